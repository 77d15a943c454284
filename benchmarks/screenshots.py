"""Take the README's pictures of the app anew, as the shipped checkpoint answers now.

    python -m benchmarks.screenshots [--out docs] [--only app compare annotate]

Starts the app with a state of its own, drives it in headless Chromium as the browser tests do, and
writes app.png, compare.png and annotate.png. Look at them afterwards: captions say what is seen.
"""

from __future__ import annotations

import argparse
import io
import tempfile
from collections.abc import Callable
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

from tests.test_browser import CHROMIUM, FLAGS, Server, Visit, said, started, visit

WORDS = "desk\noffice chair\nbookshelf\nfloor\nwall\ndoor\nwindow"
SIZE = {"width": 1280, "height": 800}
BOARD = (0.57, 0.24)
"""Place on the picture, across and down, that the whiteboard covers."""


def office(browser: Browser, server: Server) -> Visit:
    """Open the bundled office with seven words, its upper fifth cut away."""
    seen = visit(browser, server)
    seen.page.set_viewport_size(SIZE)
    seen.page.locator("#s4-prompts textarea").fill(WORDS)
    seen.redrawn(seen.page.get_by_role("button", name="Office", exact=True).click)
    seen.status("^Office: ")
    seen.view("Labels")
    field = seen.page.locator("#s4-cut input[type=number]")
    field.fill("80")
    seen.redrawn(lambda: field.press("Enter"))
    return seen


def app(seen: Visit) -> None:
    """Show labels."""


def compare(seen: Visit) -> None:
    """Show the three tokenizers in units times 1000."""
    canvas = "s4-compare-canvas"
    seen.page.get_by_role("tab", name="Compare tokenizers").click()
    seen.redrawn(seen.page.locator("#s4-units").get_by_text("× 1000").click, canvas)
    seen.status("units × 1000", "#s4-compare-status")
    seen.settle(canvas)


def annotate(seen: Visit) -> None:
    """Label the whiteboard, which is one superpoint, then draw a lasso around a desk."""
    page = seen.page
    seen.view("Annotate")
    field = page.get_by_label("New class")
    field.fill("whiteboard")
    field.press("Enter")
    said(seen, "new class")
    page.locator("#s4-canvas button[data-act=label]").click()
    page.mouse.click(*seen.place(*BOARD))
    seen.settle()
    page.locator("#s4-canvas button[data-act=lasso]").click()
    page.keyboard.press("1")
    path = [(0.5, 0.53), (0.55, 0.48), (0.63, 0.55), (0.63, 0.65), (0.56, 0.64), (0.5, 0.55)]
    page.mouse.move(*seen.place(*path[0]))
    page.mouse.down()
    for place in path[1:]:
        page.mouse.move(*seen.place(*place), steps=6)
    page.mouse.up()
    said(seen, "points selected")


PICTURES: dict[str, Callable[[Visit], None]] = {
    "app": app,
    "compare": compare,
    "annotate": annotate,
}


def save(seen: Visit, path: Path) -> None:
    """Write the page, of Explore what the window shows, in 256 colours: half of the bytes."""
    whole = path.stem == "compare"  # numbers stand below
    seen.page.evaluate("document.activeElement.blur()")
    seen.page.mouse.move(2, 2)
    seen.page.wait_for_timeout(500)  # buttons fade
    shot = Image.open(io.BytesIO(seen.page.screenshot(full_page=whole))).convert("RGB")
    shot.quantize(256, kmeans=8, dither=Image.Dither.NONE).save(path, optimize=True)
    print(f"{path}: {shot.width} x {shot.height}, {path.stat().st_size / 1000:.0f} KB")


def main() -> None:
    """Take the pictures that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("docs"))
    parser.add_argument("--only", nargs="+", choices=PICTURES, default=list(PICTURES))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        state = Path(folder)
        with started(state / "log.txt", state) as (server, _):
            browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS.split())
            for name in options.only:
                seen = office(browser, server)
                PICTURES[name](seen)
                save(seen, options.out / f"{name}.png")
                seen.page.context.close()
            browser.close()


if __name__ == "__main__":
    main()

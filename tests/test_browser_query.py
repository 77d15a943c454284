"""Thresholds, comparison, links and preferences in the real app and a real browser."""

from __future__ import annotations

import contextlib
import csv
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from PIL import Image

import s4token
from tests.test_browser import WAIT, Visit, browser, room, server, visit

__all__ = ["browser", "room", "server"]  # fixtures

pytestmark = pytest.mark.browser
LABELS = "Array.from(viewer.panels[0].labels)"


def line(seen: Visit, label: int) -> tuple[Any, dict[str, float]]:
    """Return the threshold of a word and its place on the page."""
    bar = seen.page.locator(f'.s4-hist[data-label="{label}"]')
    bar.scroll_into_view_if_needed()
    return bar, bar.bounding_box()


def test_a_dragged_threshold_recolours_at_once_and_the_server_agrees(room):
    room.find("floor | ground\nwall\ndesk")
    room.view("Labels")
    page = room.page
    before = room.get(LABELS)
    wall = page.locator("#s4-legend tbody tr", has=page.get_by_title("wall", exact=True))
    full = wall.locator("td").first.inner_text()
    _, box = line(room, 2)
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    across = lambda share: box["x"] + share * box["width"]  # noqa: E731
    page.mouse.move(across(0.3), box["y"] + 10)
    page.mouse.down()
    page.mouse.move(across(0.95), box["y"] + 10, steps=5)
    room.settle()
    live = room.get(LABELS)
    count = wall.locator("td").first.inner_text()
    assert live.count(2) < before.count(2) and not [u for u in asked if "queue" in u]
    assert [v for v in live if v != 2].count(1) >= [v for v in before if v != 2].count(1)
    room.redrawn(page.mouse.up)
    same = [a == b for a, b in zip(room.get(LABELS), live, strict=True)]
    assert sum(same) > 0.95 * len(same), "what was shown while dragging is what the server says"
    live = room.get(LABELS)
    number = lambda text: int(text.replace(",", ""))  # noqa: E731
    assert number(wall.locator("td").first.inner_text()) < number(full) > number(count)
    room.redrawn(page.get_by_role("button", name="best word").click)
    assert 0 not in room.get(LABELS)
    room.redrawn(page.get_by_role("button", name="above its threshold").click)
    assert room.get(LABELS) == live


def test_a_threshold_has_keys_and_keeps_the_focus(room):
    room.find("floor\nwall")
    bar, _ = line(room, 1)
    bar.focus()
    now = int(bar.get_attribute("aria-valuenow"))
    for key in ("ArrowRight", "PageUp", "ArrowLeft"):
        room.page.keyboard.press(key)
    assert int(bar.get_attribute("aria-valuenow")) == now + 10
    room.redrawn(lambda: None)
    room.page.wait_for_function("document.activeElement.dataset.label === '1'")
    assert int(bar.get_attribute("aria-valuenow")) == now + 10


def test_a_unit_that_is_told_takes_the_place_of_the_estimate(room):
    room.find("floor\nwall")
    facts = room.page.locator("#s4-stats")
    assert re.search(r"Size\s+about .* m, estimated from what it shows", facts.inner_text())
    unit = room.page.locator("#s4-unit input")
    unit.focus()
    room.page.keyboard.press("ArrowDown")
    room.redrawn(lambda: room.page.keyboard.press("Enter"))
    facts.get_by_text(re.compile("^[0-9][^a]* m$")).wait_for()
    assert unit.input_value() == "m" and "estimated" not in facts.inner_text()
    assert room.page.locator("#s4-legend tbody tr").count() == 3, "the words were asked again"
    unit.focus()
    room.page.keyboard.press("ArrowUp")
    room.redrawn(lambda: room.page.keyboard.press("Enter"))
    facts.get_by_text(re.compile("^about")).wait_for()


def test_a_link_brings_everything_back(room, browser, server):
    room.find("floor\nwall\nStühle | 椅子")
    room.view("Labels")
    _, box = line(room, 1)
    room.redrawn(lambda: room.page.mouse.click(box["x"] + 0.6 * box["width"], box["y"] + 8))
    room.drag(70, -20)
    room.page.locator("#s4-canvas button[data-act=link]").click()
    room.page.locator("#s4-canvas .s4-note").get_by_text("ink").wait_for()
    address = room.get("window.s4.linkOf(viewer)")
    assert room.page.evaluate("location.href") == address and "scan=office" in address
    follows = "location.href === window.s4.linkOf(window.s4.viewers['s4-canvas'])"
    for view in ("Superpoints", "Labels"):
        room.view(view)
        room.page.wait_for_function(f"location.href.includes('view={view}') && {follows}")
    room.drag(10, 5)
    room.page.wait_for_function(f"location.href !== '{address}' && {follows}")
    address = room.page.evaluate("location.href")
    page = browser.new_context(viewport={"width": 1100, "height": 700}).new_page()
    page.set_default_timeout(WAIT)
    page.goto(address)
    other = Visit(page)
    other.status("^Office: ")
    other.settle()
    assert page.locator("#s4-prompts textarea").input_value() == "floor\nwall\nStühle | 椅子"
    assert np.allclose(other.camera(), room.camera(), rtol=1e-4, atol=1e-4)
    assert other.get(LABELS) == room.get(LABELS)
    thresholds = "Array.from(document.querySelectorAll('.s4-hist'), e => e.ariaValueNow)"
    assert page.evaluate(thresholds) == room.page.evaluate(thresholds)
    page.goto("about:blank")
    page.goto(f"{server.url}/#scan=/etc/passwd")
    text = other.status("no bundled scan")
    assert "/etc/passwd" in text and "office" in text
    page.context.close()


def test_preferences_stay_in_the_browser(browser, server, tmp_path):
    rng = np.random.default_rng(0)
    points = rng.uniform(0, 4, (2000, 3)).astype(np.float32)
    s4token.write(tmp_path / "mine.ply", s4token.PointCloud(points, rng.uniform(size=(2000, 3))))
    seen = visit(browser, server)
    page = seen.page
    for again in (False, True):
        page.locator("input[type=file]").first.set_input_files(tmp_path / "mine.ply")
        seen.status(r"^mine\.ply: 2,000 points")
        seen.settle()
        view = page.locator("#s4-view").get_by_label("Superpoints", exact=True)
        assert view.is_checked() is again
        assert seen.get("viewer.panels[0].spec.mode") == ("palette" if again else "colours")
        if not again:
            seen.view("Superpoints")
            page.wait_for_function("localStorage.getItem('s4-view') === 'Superpoints'")
            page.reload()
            seen.status("Ready")
            page.wait_for_timeout(2000)  # what was kept is put back after the greeting
    assert not seen.errors
    page.context.close()


def test_a_labelled_upload_with_a_foreign_name_is_compared_and_exported(browser, server, tmp_path):
    rng = np.random.default_rng(0)
    points = rng.uniform(0, 4, (6000, 3)).astype(np.float32)
    label = (points[:, 2] > 2).astype(np.int32) + 1
    cloud = s4token.PointCloud(points, rng.uniform(size=(6000, 3)), attributes={"label": label})
    name = "Küche_北京"
    s4token.write(tmp_path / f"{name}.ply", cloud)
    (tmp_path / f"{name}.json").write_text('{"labels": {"1": "floor", "2": "wall"}}')
    seen = visit(browser, server)
    page, canvas = seen.page, "s4-compare-canvas"
    page.locator("#s4-prompts textarea").fill("class 1 | Stühle\n椅子")
    page.locator("input[type=file]").first.set_input_files(tmp_path / f"{name}.ply")
    assert name in seen.status("6,000 points in")
    seen.settle()
    page.locator("#s4-canvas button[data-act=link]").click()
    page.locator("#s4-canvas .s4-note").get_by_text("Only bundled rooms").wait_for()
    page.get_by_role("tab", name="Compare tokenizers").click()
    seen.redrawn(page.locator("#s4-compare").click, canvas)
    seen.status("original units", "#s4-compare-status")
    texts = page.locator(".s4-column").all_inner_texts()
    assert all("Oracle mIoU" in t and "1 of 2" in t for t in texts), "a file alone has no names"
    with page.expect_download() as waiting:
        page.locator("#s4-compare-table").click()
    waiting.value.save_as(tmp_path / "table.csv")
    rows = list(
        csv.DictReader((tmp_path / "table.csv").read_text(encoding="utf-8-sig").splitlines())
    )
    assert [r["tokenizer"] for r in rows] == ["knn", "radius", "superpoint"]
    assert rows[0]["scan"] == f"{name}.ply" and 0 < float(rows[2]["oracle_miou_percent"]) <= 100
    shown = re.search(r"Oracle mIoU\s+([\d.]+)%", texts[2]).group(1)
    assert float(shown) == pytest.approx(float(rows[2]["oracle_miou_percent"]), abs=0.06)
    with page.expect_download() as waiting:
        page.locator("#s4-compare-figure").click()
    waiting.value.save_as(tmp_path / "figure.png")
    assert waiting.value.suggested_filename == f"{name}.ply.png"
    picture, screen = (
        np.asarray(Image.open(tmp_path / "figure.png")),
        seen.get("viewer.surface.height", canvas),
    )
    below = picture[screen + 5 :, : picture.shape[1] // 2]
    assert len(below) > 100 and len(np.unique(below.reshape(-1, below.shape[2]), axis=0)) > 20
    assert not seen.errors and not seen.foreign
    page.context.close()


@contextlib.contextmanager
def delayed(seen: Visit) -> Iterator[Callable[[], None]]:
    """Keep the next event on its way until the block ends; those after it pass.

    Yields a function that waits until there is such an event: a busy page sends it when it can.
    """
    held: list[Any] = []

    def hold(route: Any) -> None:
        route.continue_() if held else held.append(route)

    def wait() -> None:
        until = time.monotonic() + 60
        while not held and time.monotonic() < until:
            seen.page.wait_for_timeout(20)
        assert held, "the block must have asked the server for something"

    seen.page.route("**/queue/join**", hold)
    yield wait
    assert len(held) == 1, "the block must have asked the server for something"
    held[0].continue_()
    seen.page.unroute("**/queue/join**")


def test_a_slow_answer_leaves_what_was_chosen_since(room):
    room.find("floor\nwall\ndesk")
    room.view("Superpoints")
    page = room.page
    view = page.locator("#s4-view")
    cut = page.locator("#s4-cut input[type=number]")
    with delayed(room) as asked:
        cut.fill("60")
        cut.press("Enter")
        asked()
        view.get_by_text("Heatmap", exact=True).click()
    page.locator("#s4-caption").get_by_text(re.compile("^Heatmap:")).wait_for()
    room.settle()
    assert view.get_by_label("Heatmap", exact=True).is_checked() and cut.input_value() == "60"
    assert room.get("viewer.scene.cut") is not None and room.get("viewer.panels[0].spec.bar")

    room.view("Labels")
    _, box = line(room, 1)
    with delayed(room) as asked:  # another event than the choice of a view: the two answers race
        page.mouse.click(box["x"] + 0.8 * box["width"], box["y"] + 8)
        asked()
        room.view("Colours")
    room.status("of the points have a label")
    page.locator("#s4-caption").get_by_text(re.compile("^Colours:")).wait_for()
    page.wait_for_function("window.s4.viewers['s4-canvas'].panels[0].spec.mode === 'colours'")
    assert view.get_by_label("Colours", exact=True).is_checked()
    room.redrawn(lambda: (cut.fill("100"), cut.press("Enter")))

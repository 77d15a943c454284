"""The real app with the shipped checkpoint, in a real browser: what a person does with it."""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

import numpy as np
import pytest
from PIL import Image

import s4token
import viewer
from tests.fakes import FakeModel
from viewer import exchange

pytestmark = pytest.mark.browser

ROOT = Path(__file__).resolve().parent.parent
CHROMIUM = Path("/usr/bin/chromium")
FLAGS = (
    "--no-sandbox --use-gl=angle --use-angle=swiftshader --enable-unsafe-swiftshader "
    "--ignore-gpu-blocklist --disable-quic --no-first-run --disable-background-networking"
)
WAIT = 120_000  # ms; a busy machine is slow, not wrong
FIRST_PAGE = 15.0  # seconds
CANVAS = "s4-canvas"


WATCH = """
import os, sys

def watch(event, args):
    if event in ("socket.connect", "socket.sendto", "socket.getaddrinfo"):
        where = args[0] if event == "socket.getaddrinfo" else args[1]
        with open(os.environ["S4TOKEN_WATCHED"], "a") as file:
            print(where[0] if isinstance(where, tuple) else where, file=file)

sys.addaudithook(watch)
open(os.environ["S4TOKEN_WATCHED"], "a").close()
"""
"""What Python runs before the app: it notes every host that is asked for anything."""


@dataclass
class Server:
    url: str
    first_page: float  # seconds until the first page, those of waiting for a busy CPU left out
    watched: Path  # hosts that the app and its processes asked for anything, one a line


@dataclass
class Visit:
    page: Any
    errors: list[str] = field(default_factory=list)
    foreign: list[str] = field(default_factory=list)

    def status(self, text: str, line: str = "#s4-status") -> str:
        found = self.page.locator(line).get_by_text(re.compile(text))
        found.first.wait_for()
        return self.page.locator(line).inner_text()

    def settle(self, canvas: str = CANVAS) -> None:
        """Wait until everything that was asked for is on the screen."""
        self.page.wait_for_function(
            """name => {
                const viewer = window.s4.viewers[name];
                return viewer && viewer.cloud && !viewer.busy;
            }""",
            arg=canvas,
        )

    def get(self, what: str, canvas: str = CANVAS) -> Any:
        """Evaluate ``viewer => what`` on a canvas's viewer."""
        script = f"name => (viewer => {what})(window.s4.viewers[name])"
        return self.page.evaluate(script, canvas)

    def redrawn(self, act: Callable[[], object], canvas: str = CANVAS) -> None:
        """Do something and wait until a new scene is on the screen.

        A mark on the old scene tells it from the next. Gradio takes it for a change and shows the
        scene anew, as soon as a long event says what it does; so a busy line is waited for, too.
        """
        mark = "n => { const v = window.s4.viewers[n]; if (v && v.scene) v.scene.old = 1; }"
        self.page.evaluate(mark, canvas)
        act()
        self.page.wait_for_function(
            """name => {
                const viewer = window.s4.viewers[name];
                const busy = "#s4-status .s4-bar, #s4-compare-status .s4-bar";
                return viewer && viewer.scene && !viewer.scene.old && !document.querySelector(busy);
            }""",
            arg=canvas,
        )
        self.settle(canvas)

    def view(self, name: str) -> None:
        radio = self.page.locator("#s4-view").get_by_label(name, exact=True)
        if not radio.is_checked():
            self.redrawn(self.page.locator("#s4-view").get_by_text(name, exact=True).click)
        self.page.locator("#s4-caption").get_by_text(re.compile(f"^{name}:")).wait_for()

    def find(self, words: str) -> str:
        """Ask for words."""
        self.page.locator("#s4-prompts textarea").fill(words)
        self.redrawn(self.page.locator("#s4-find").click)
        self.page.wait_for_function(
            """words => words.every(word => [...document.querySelectorAll("#s4-legend tbody th")]
                .some(row => row.title === word))""",
            arg=words.splitlines(),
        )
        return self.status(f"^{len(words.splitlines())} words compared")

    def camera(self, canvas: str = CANVAS) -> np.ndarray:
        found = self.get("viewer.camera.state", canvas)
        return np.array([*found["target"], found["yaw"], found["pitch"], found["distance"]])

    def place(self, across: float = 0.5, down: float = 0.5, canvas: str = CANVAS):
        """Return a place on the canvas in pixels of the page."""
        surface = self.page.locator(f"#{canvas} .s4-surface")
        surface.scroll_into_view_if_needed()
        box = surface.bounding_box()
        return box["x"] + across * box["width"], box["y"] + down * box["height"]

    def drag(self, across: int = 60, down: int = 8, canvas: str = CANVAS, **press: Any) -> None:
        x, y = self.place(canvas=canvas)
        self.page.mouse.move(x, y)
        self.page.mouse.down(**press)
        self.page.mouse.move(x + across, y + down, steps=5)
        self.page.mouse.up(**press)
        self.settle(canvas)

    def pixels(self, canvas: str = CANVAS) -> np.ndarray:
        """Return the picture as the page would save it, (H, W, 4) uint8."""
        script = """viewer => {
            const made = window.s4.compose(viewer);
            const {width, height} = viewer.surface;
            const data = made.getContext("2d").getImageData(0, 0, width, height).data;
            return [width, height, window.s4.base64(new Uint8Array(data.buffer))];
        }"""
        width, height, data = self.get(f"({script})(viewer)", canvas)
        return np.frombuffer(base64.b64decode(data), np.uint8).reshape(height, width, 4)

    def colored(self, color: str) -> float:
        """Return the share of pixels of about this hue: shading only makes them darker."""
        want = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)], dtype=float)
        rgb = self.pixels()[..., :3].astype(float)
        cosine = (rgb @ want) / (np.linalg.norm(rgb, axis=2) * np.linalg.norm(want) + 1e-9)
        return float(((cosine > 0.999) & (rgb.max(axis=2) > 60)).mean())


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


def cpu_seconds(pid: int) -> float:
    """Return how long a process has computed; infinite where that cannot be known."""
    stat = Path(f"/proc/{pid}/stat")
    if not stat.exists():
        return float("inf")
    user, system = stat.read_text().rsplit(")", 1)[1].split()[11:13]
    return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")


@contextlib.contextmanager
def started(log: Path, state: Path) -> Iterator[tuple[Server, subprocess.Popen]]:
    """Run the app with its output in a file and its corrections in a folder."""
    port = free_port()
    watched = log.with_suffix(".watched")
    watch = log.with_suffix(".watch") / "sitecustomize.py"
    watch.parent.mkdir()
    watch.write_text(WATCH)
    paths = os.pathsep.join(filter(None, [str(watch.parent), os.environ.get("PYTHONPATH")]))
    watching = {"S4TOKEN_WATCHED": str(watched), "PYTHONPATH": paths}
    start = time.monotonic()
    with log.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "app.py", "--port", str(port)],
            cwd=ROOT,
            stdout=out,
            stderr=out,
            env={**os.environ, **watching, "S4TOKEN_STATE": str(state)},
        )
    try:
        url = f"http://127.0.0.1:{port}"
        while True:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() - start < 180, log.read_text()
            try:
                with urllib.request.urlopen(url, timeout=5) as answer:
                    assert answer.status == 200
                break
            except OSError:
                time.sleep(0.1)
        first_page = min(time.monotonic() - start, cpu_seconds(process.pid))
        while "S4Token is at" not in log.read_text():  # the model is loaded, too
            assert process.poll() is None, log.read_text()
            assert time.monotonic() - start < 180, log.read_text()
            time.sleep(0.1)
        yield Server(url, first_page, watched), process
    finally:
        process.terminate()
        process.wait(30)


@pytest.fixture(scope="module")
def server(tmp_path_factory) -> Iterator[Server]:
    if not CHROMIUM.exists() and os.environ.get("S4TOKEN_REQUIRE_BROWSER") != "1":
        pytest.skip("needs chromium: apt-get install chromium")
    folder = tmp_path_factory.mktemp("app")
    with started(folder / "log.txt", folder) as (server, _):
        yield server


@pytest.fixture(scope="module")
def browser(server):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS.split())
        yield browser
        browser.close()


def visit(browser, server: Server, script: str = "", **context: Any) -> Visit:
    page = browser.new_context(viewport={"width": 1100, "height": 700}, **context).new_page()
    page.add_init_script(script)
    page.set_default_timeout(WAIT)
    seen = Visit(page)
    page.on("pageerror", lambda error: seen.errors.append(str(error)))
    page.on("console", lambda m: seen.errors.append(m.text) if m.type == "error" else None)

    def requested(request: Any) -> None:
        parts = urlparse(request.url)
        if parts.scheme not in ("data", "blob") and parts.hostname != "127.0.0.1":
            seen.foreign.append(request.url)

    page.on("request", requested)
    page.goto(server.url)
    seen.status("Ready")
    return seen


@pytest.fixture(scope="module")
def room(browser, server) -> Iterator[Visit]:
    """One page with the bundled office open, used by all tests below."""
    seen = visit(browser, server)
    seen.redrawn(seen.page.get_by_role("button", name="Office", exact=True).click)
    seen.status("^Office: .* points in .* tokens")
    yield seen
    seen.page.context.close()


def test_the_first_page_comes_soon(server):
    assert server.first_page < FIRST_PAGE


def test_a_newcomer_is_told_what_to_do_and_one_click_shows_it(browser, server):
    seen = visit(browser, server, color_scheme="dark")
    page = seen.page
    assert "Open a scan" in page.locator(".s4-empty").inner_text()
    assert "not CLIP" in page.locator("#s4-badge").inner_text()
    questions: list[str] = []
    page.on("request", lambda r: questions.append(r.url) if r.url.endswith("/join?") else None)
    page.get_by_role("button", name="Try it").click()
    page.locator(".s4-bar").wait_for()
    seen.redrawn(lambda: None)
    assert page.locator("#s4-status").get_attribute("aria-live") == "polite"
    seen.status("Office: ")
    page.wait_for_timeout(500)
    assert len(questions) == 1, "an answer must not make the page ask again"
    hidden = [page.locator(f"#s4-{name}") for name in ("settings", "again", "mailbox", "address")]
    assert [part.count() for part in hidden] == [1] * 4
    assert not any(part.is_visible() for part in hidden)
    assert page.locator("#s4-legend tbody tr").count() == 6
    assert page.locator(".s4-empty").is_hidden()
    assert seen.pixels()[5, 5, :3].max() < 60, "the picture follows the dark page"
    page.keyboard.press("n")
    seen.settle()
    assert seen.pixels()[5, 5, :3].min() > 200
    assert not seen.errors and not seen.foreign
    page.context.close()


def test_a_model_that_comes_late_wipes_no_answer_away(browser, tmp_path, monkeypatch):
    monkeypatch.setenv("S4TOKEN_STATE", str(tmp_path / "state"))
    (tmp_path / "broken.ply").write_bytes(b"not")
    there = threading.Event()
    demo = viewer.build(lambda: FakeModel() if there.wait(120) else None)
    _, url, _ = demo.launch(
        server_port=free_port(), prevent_thread_lock=True, **viewer.launch_options()
    )
    pages = [Visit(browser.new_page()) for _ in range(2)]
    try:
        for seen in pages:
            seen.page.set_default_timeout(WAIT)
            seen.page.goto(url)
            seen.status("Loading the model")
        pages[0].page.locator("input[type=file]").first.set_input_files(tmp_path / "broken.ply")
        pages[0].status("broken.ply")
        there.set()
        pages[1].status("^Ready")
        pages[0].page.locator("#s4-badge").get_by_text("not CLIP").first.wait_for()
        pages[0].page.wait_for_timeout(500)
        assert "broken.ply" in pages[0].page.locator("#s4-status").inner_text()
    finally:
        there.set()
        for seen in pages:
            seen.page.close()
        demo.close(verbose=False)


def test_another_scan_is_drawn_as_if_it_were_the_first(browser, server):
    """Points, colours and camera are those of the new scan alone."""
    pictures = []
    for names in (["Kitchen"], ["Office", "Kitchen"]):
        seen = visit(browser, server)
        for name in names:
            button = seen.page.get_by_role("button", name=name, exact=True)
            seen.redrawn(button.click)
            seen.status(f"^{name}: ")
        seen.settle()
        pictures.append(seen.pixels().astype(int))
        assert not seen.errors
        seen.page.context.close()
    first, second = pictures
    assert first.shape == second.shape
    assert (np.abs(first - second).max(axis=2) > 8).mean() < 0.01


def test_a_page_that_was_reloaded_or_closed_is_no_other_page(browser, server):
    def opened(seen: Visit) -> str:
        seen.redrawn(seen.page.get_by_role("button", name="Kitchen", exact=True).click)
        return seen.status("^Kitchen: .* points in .* tokens")

    first, second = visit(browser, server), visit(browser, server)
    assert "another page" not in opened(first)
    assert "It is open on another page, too" in opened(second)
    second.page.context.close()
    first.page.reload()
    first.status("Ready")
    assert "another page" not in opened(first)
    first.page.context.close()
    third = visit(browser, server)
    assert "another page" not in opened(third)
    third.page.context.close()


def test_words_change_the_heatmap_and_the_camera_stays(room):
    room.find("chair\ndesk")
    room.view("Heatmap")
    first = room.camera()
    room.drag()
    camera, before = room.camera(), room.pixels()
    assert not np.allclose(camera, first)
    text = room.find("bookshelf\ndesk")
    assert room.page.locator("#s4-heat input").input_value() == "bookshelf"
    assert (room.pixels() != before).any(axis=2).mean() > 0.05
    assert np.allclose(room.camera(), camera)
    assert "2 words compared" in text
    for name in ("Tokens", "Labels"):
        room.view(name)
        assert np.allclose(room.camera(), camera), name


def test_the_camera_turns_shifts_zooms_and_comes_back(room):
    page = room.page
    page.mouse.move(*room.place())
    page.keyboard.press("f")
    room.settle()
    home = room.camera()
    room.drag(80, 30)
    turned = room.camera()
    assert np.allclose(turned[:3], home[:3]) and (np.abs(turned[3:5] - home[3:5]) > 0.05).all()
    room.drag(50, 50, button="right")
    shifted = room.camera()
    assert np.allclose(shifted[3:], turned[3:]) and np.abs(shifted[:3] - turned[:3]).max() > 0.05
    page.mouse.wheel(0, -200)
    room.page.wait_for_function(f"window.s4.viewers['{CANVAS}'].camera.distance < {home[5]} * 0.9")
    page.mouse.dblclick(*room.place())
    room.settle()
    assert room.get("viewer.points.drawn === viewer.points.count"), "at rest all points are drawn"
    page.keyboard.press("f")
    room.settle()
    assert np.allclose(room.camera(), home)


def test_what_is_drawn_has_the_colours_of_the_legend(room):
    room.find("floor\nwall\ndesk")
    room.view("Labels")
    chips = room.page.locator("#s4-legend tbody input[type=color]")
    colors = [chips.nth(i).input_value() for i in range(chips.count())]
    assert len(colors) == 3 and max(room.colored(c) for c in colors) > 0.05
    new = "#ff00c8"
    share = room.colored(colors[0])
    room.redrawn(lambda: chips.first.fill(new))
    assert room.colored(new) == pytest.approx(share, rel=0.2)
    assert room.colored(colors[0]) < share / 10


def test_edges_are_shaded_as_the_formula_says(room):
    script = """viewer => {
        const {gl, points, colouring, camera} = viewer, {width, height} = points;
        const relief = new Uint8Array(4 * width * height);
        gl.bindFramebuffer(gl.FRAMEBUFFER, colouring.frame);
        gl.readPixels(0, 0, width, height, gl.RGBA, gl.UNSIGNED_BYTE, relief);
        const m = viewer.view(), p = points.positions, {far} = camera.range();
        const away = Float32Array.from(points.all(), id => id === 0 ? far :
            m[3] * p[3 * id - 3] + m[7] * p[3 * id - 2] + m[11] * p[3 * id - 1] + m[15]);
        const text = array => window.s4.base64(new Uint8Array(array.buffer));
        return [width, height, text(away), text(relief.filter((_, i) => i % 4 === 0))];
    }"""
    room.settle()
    width, height, away, relief = room.get(f"({script})(viewer)")
    away = np.frombuffer(base64.b64decode(away), np.float32).reshape(height, width)
    relief = np.frombuffer(base64.b64decode(relief), np.uint8).reshape(height, width)
    far, padded = np.log2(away), np.pad(np.log2(away), 1, mode="edge")
    expected = np.zeros_like(far)
    for y in range(3):
        for x in range(3):
            expected += (far - padded[y : y + height, x : x + width]).clip(0, 0.06) / 0.48
    there = away < away.max()
    assert there.mean() > 0.2 and (relief[there] > 40).mean() > 0.02, "some edges"
    assert np.abs(relief[there] / 255 - expected[there]).max() < 0.03


def test_what_is_written_over_the_picture_takes_no_more_than_it_needs(room):
    assert room.get("viewer.gl.getContextAttributes().depth") is False, "nothing uses it"
    sizes = "[viewer.overlay.height, viewer.surface.height, viewer.overlay.offsetHeight]"
    foot, whole, shown = room.get(sizes)
    assert foot == shown < whole / 4
    corner = room.pixels()[whole - foot :, :100, :3].reshape(-1, 3).astype(int)
    for color in ((213, 94, 0), (0, 158, 115), (0, 114, 178)):
        assert (np.abs(corner - color).max(axis=1) < 12).any(), "the axes are there"
    start = "(viewer.tool = 'lasso', viewer.editor.start([200, 100]), viewer.dirty = true)"
    room.get(start)
    room.settle()
    assert room.get(sizes) == [whole, whole, whole], "a lasso can go everywhere"
    room.get("(viewer.editor.drop(), viewer.tool = 'move', viewer.dirty = true)")
    room.settle()
    assert room.get(sizes) == [foot, whole, foot]


def test_a_pointer_shows_and_a_click_explains_a_superpoint(room):
    room.find("floor\nwall\ndesk")
    page = room.page
    page.mouse.move(*room.place())
    tip = page.locator("#s4-canvas .s4-tip")
    tip.get_by_text("superpoint").wait_for()
    token = int(re.search(r"superpoint (\d+)", tip.inner_text()).group(1))
    page.mouse.down()
    page.mouse.up()
    page.locator("#s4-why").get_by_text(f"Superpoint {token}:").wait_for()
    assert page.locator("#s4-why tbody tr").count() == 3
    room.settle()
    assert room.get("viewer.chosen") == token
    beside = room.place(0.02, 0.5)
    page.mouse.move(*beside)
    tip.wait_for(state="hidden")


def test_a_picture_is_saved(room, tmp_path):
    page = room.page
    with page.expect_download() as waiting:
        page.locator("#s4-canvas button[data-act=picture]").click()
    waiting.value.save_as(tmp_path / "picture.png")
    assert waiting.value.suggested_filename == "Office.png"
    picture = np.asarray(Image.open(tmp_path / "picture.png"))
    assert len(np.unique(picture.reshape(-1, picture.shape[2]), axis=0)) > 50
    assert picture.shape[1] > room.pixels().shape[1], "with the legend beside it"


def test_keys_have_a_sheet(room):
    page = room.page
    page.mouse.move(*room.place())
    page.keyboard.press("?")
    sheet = page.locator("#s4-canvas .s4-sheet")
    sheet.get_by_text("Look from above").wait_for()
    page.keyboard.press("Escape")
    sheet.wait_for(state="hidden")
    page.locator("#s4-prompts textarea").press("?")
    assert sheet.is_hidden(), "a key that is typed is no command"


def test_a_further_prompt_is_cheap(room):
    room.find("desk")
    took = []
    for words in ("desk\nlamp", "desk\nlamp\nbook"):
        took.append(float(re.search(r"in (\d+) ms", room.find(words)).group(1)))
    busy = max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
    assert min(took) < 50 * busy, took


def test_hide_and_only_in_the_legend(room):
    room.find("floor\nwall\ndesk")
    page = room.page
    rows = page.locator("#s4-legend tbody tr")
    total = sum(int(t.replace(",", "")) for t in rows.locator("td:nth-child(2)").all_inner_texts())
    first = rows.first.locator("td").first.inner_text()
    page.locator("#s4-legend button[data-action=hide]").first.click()
    page.locator("#s4-legend tr.s4-off").wait_for()
    left = total - int(first.replace(",", ""))
    page.locator("#s4-caption").get_by_text(f"of {left:,} points").wait_for()
    page.locator("#s4-legend button[data-action=all]").click()
    page.locator("#s4-caption").get_by_text(f"of {total:,} points").wait_for()
    page.locator("#s4-legend button[data-action=solo]").first.click()
    page.locator("#s4-caption").get_by_text(f"of {first} points").wait_for()
    page.locator("#s4-legend button[data-action=all]").click()
    page.locator("#s4-caption").get_by_text(f"of {total:,} points").wait_for()


def test_hostile_and_bad_words_are_harmless(room):
    room.find('<img src=x onerror="document.title=1">{{value}}${value}\nстул')
    legend = room.page.locator("#s4-legend").inner_text()
    assert "<img src=x onerror=" in legend and "{{value}}${value}" in legend and "стул" in legend
    assert room.page.title() == "S4Token"
    for words, message in (
        ("", "Words: type at least one"),
        ("\n".join(map(str, range(300))), "Words: 300 lines"),
        ("x" * 5000, "5,000 characters"),
    ):
        room.page.locator("#s4-prompts textarea").fill(words)
        room.page.locator("#s4-find").click()
        room.status(message)


def test_a_broken_upload_is_named_and_work_goes_on(room, tmp_path):
    for name, content in {"broken.ply": b"not", "empty.ply": b"", "notes.docx": b"hi"}.items():
        (tmp_path / name).write_bytes(content)
        room.page.locator("input[type=file]").first.set_input_files(tmp_path / name)
        text = room.status(re.escape(name))
        assert len(text.strip().splitlines()) <= 2 and "/tmp" not in text
        assert room.page.locator(".s4-error").is_visible()
    room.find("floor\nchair")
    assert "Office" in room.page.locator("#s4-stats").inner_text()


def test_an_uploaded_scan_is_labelled_and_comes_back_in_order(browser, server, tmp_path):
    rng = np.random.default_rng(0)
    points = rng.uniform(0, 4000, (5000, 3)).astype(np.float32)
    s4token.write(tmp_path / "mine.ply", s4token.PointCloud(points, rng.uniform(size=(5000, 3))))
    seen = visit(browser, server)
    page = seen.page
    page.locator("#s4-prompts textarea").fill("chair\ntable")
    page.locator("input[type=file]").first.set_input_files(tmp_path / "mine.ply")
    seen.status(r"^mine\.ply: 5,000 points")
    page.locator("#s4-export").click()
    seen.status("^Written: mine.labels.ply with 5,000 points")
    page.locator("#s4-files a").nth(1).wait_for()
    links = [a.get_attribute("href") for a in page.locator("#s4-files a").all()]
    found = {}
    for link in links:
        with urllib.request.urlopen(link, timeout=60) as answer:
            path = tmp_path / Path(urlparse(link).path).name
            path.write_bytes(answer.read())
            found[path.suffix] = path
    back = s4token.read_scan(found[".ply"])
    assert np.array_equal(back.cloud.points, points)
    about = json.loads(found[".json"].read_text(encoding="utf-8"))
    assert about["points"] == 5000
    names = ("unlabelled", *back.classes)
    assert about["counts"] == {n: int((back.labels == i).sum()) for i, n in enumerate(names)}
    assert not seen.errors and not seen.foreign
    page.context.close()


def exported(seen: Visit, chosen: exchange.Format, folder: Path) -> list[Path]:
    """Export in a format, as a person chooses it; returns what was downloaded."""
    page = seen.page
    page.locator("#s4-format input").click()
    page.get_by_role("option", name=chosen.title, exact=True).click()
    page.locator("#s4-export").click()
    seen.status(f"^Written: .*{re.escape(chosen.ending)} with 3,000 points")
    page.locator(f"#s4-files a[href$='{chosen.ending}']").first.wait_for()
    paths = []
    for link in {a.get_attribute("href") for a in page.locator("#s4-files a").all()}:
        with urllib.request.urlopen(link, timeout=60) as answer:
            paths.append(folder / Path(urlparse(link).path).name)
            paths[-1].write_bytes(answer.read())
    return sorted(paths, key=lambda p: p.suffix == ".json")


def read_by_others(found: dict[str, list[Path]]) -> dict[str, np.ndarray]:
    """Return the labels that other libraries find in files of the page."""
    import laspy
    from plyfile import PlyData

    labels = {
        "ply": PlyData.read(found["ply"][0])["vertex"]["label"],
        "cloudcompare": PlyData.read(found["cloudcompare"][0])["vertex"]["scalar_label"],
        "las": laspy.read(found["las"][0])["label"],
        "laz": laspy.read(found["laz"][0])["label"],
        "npz": np.load(found["npz"][0], allow_pickle=False)["label"] + 1,
        "semantickitti": np.fromfile(found["semantickitti"][0], "<u4") & 0xFFFF,
    }
    with contextlib.suppress(ImportError, OSError):  # where its system libraries are
        import open3d

        cloud = open3d.t.io.read_point_cloud(str(found["ply"][0]))
        labels["open3d"] = cloud.point["label"].numpy().ravel()
    return labels


def test_labels_leave_in_every_format_and_come_back(browser, server, tmp_path):
    rng = np.random.default_rng(0)
    cloud = s4token.PointCloud(rng.uniform(0, 4, (3000, 3)), rng.uniform(size=(3000, 3)))
    s4token.write(tmp_path / "mine.ply", cloud)
    cloud = s4token.read(tmp_path / "mine.ply")
    seen = visit(browser, server)
    page = seen.page
    page.locator("#s4-prompts textarea").fill("chair\ntable")
    page.locator("input[type=file]").first.set_input_files(tmp_path / "mine.ply")
    seen.status(r"^mine\.ply: 3,000 points")
    seen.settle()
    seen.view("Annotate")
    field = page.get_by_label("New class")
    field.fill("sofa <b>")
    field.press("Enter")
    said(seen, "new class")
    page.mouse.click(*seen.place(0.02, 0.9))
    page.keyboard.press("c")
    page.mouse.click(*seen.place())
    said(seen, "points are sofa")
    own = seen.get("Array.from(viewer.editor.own)")
    legend = page.locator("#s4-legend").inner_text()
    found = {k: exported(seen, f, tmp_path) for k, f in exchange.FORMATS.items()}
    files = [s4token.read_labels(paths[0], cloud) for paths in found.values()]
    for one in files:
        assert (one.labels == files[0].labels).all() and one.classes == (
            "chair",
            "table",
            "sofa <b>",
        )
    assert (files[0].labels == 3).sum() == sum(v > 0 for v in own) > 0
    for kind, column in read_by_others(found).items():
        assert (column == files[0].labels).all(), kind

    page.mouse.move(*seen.place())
    page.keyboard.press("Control+z")
    said(seen, "Undone")
    seen.find("lamp")
    upload = page.locator("#s4-import").locator("xpath=..").locator("input[type=file]")
    seen.redrawn(lambda: upload.set_input_files(found["semantickitti"]))
    seen.status("^mine.semantickitti.label: labels of 3,000 points, 3 classes")
    assert page.locator("#s4-prompts textarea").input_value() == "chair\ntable"
    page.locator("#s4-legend").get_by_text("sofa <b>").wait_for()
    assert page.locator("#s4-legend").inner_text() == legend
    seen.view("Annotate")
    page.wait_for_function(f"window.s4.viewers['{CANVAS}'].editor.own.some(v => v & 127)")
    assert seen.get("Array.from(viewer.editor.own)") == own, "the same labels, point by point"
    page.mouse.move(*seen.place())
    page.keyboard.press("Control+z")
    said(seen, "Undone")
    assert seen.get("viewer.editor.own.every(v => (v & 127) === 0)")
    upload.set_input_files(found["semantickitti"][0])
    seen.status(r"give mine\.semantickitti\.json together with it, .* Nothing was changed")
    assert seen.get("viewer.editor.own.every(v => (v & 127) === 0)")
    assert not seen.errors and not seen.foreign
    page.context.close()


def said(seen: Visit, text: str) -> str:
    """Wait for what the picture says about the last edit."""
    note = seen.page.locator("#s4-canvas .s4-note")
    note.get_by_text(re.compile(text)).wait_for()
    seen.settle()
    return note.inner_text()


def count_of(seen: Visit, name: str) -> int:
    row = seen.page.locator("#s4-legend tbody tr", has=seen.page.get_by_title(name, exact=True))
    return int(row.locator("td").first.inner_text().replace(",", ""))


def lasso(seen: Visit, radius: int, *keys: str) -> int:
    """Draw around the middle of the picture; returns how many points are selected then."""
    page = seen.page
    x, y = seen.place()
    for key in keys:
        page.keyboard.down(key)
    for i in range(13):
        page.mouse.move(x + radius * np.cos(i / 2), y + radius * np.sin(i / 2))
        if i == 0:
            page.mouse.down()
    page.mouse.up()
    for key in keys:
        page.keyboard.up(key)
    seen.settle()
    return seen.get("viewer.selected")


def select_and_change(room: Visit, first: int) -> None:
    """Check the lasso with every key; leaves what is visible inside selected."""
    page = room.page
    page.keyboard.press("l")
    whole = lasso(room, 70)
    assert whole > first and "selected" in page.locator("#s4-canvas .s4-note").inner_text()
    assert lasso(room, 40, "Control") < whole, "Ctrl takes away"
    assert lasso(room, 70, "Shift") >= whole, "Shift adds"
    assert 0 < lasso(room, 40, "Shift", "Control") < whole, "both intersect"
    before = room.get("viewer.selected")
    page.keyboard.press("]")
    grown = room.get("viewer.selected")
    page.keyboard.press("[")
    assert grown > before and room.get("viewer.selected") < grown
    page.keyboard.press("k")
    page.keyboard.press("h")
    through = lasso(room, 50)
    page.keyboard.press("h")
    assert 0 < lasso(room, 50) < through, "what is behind is not taken"


def test_labels_are_corrected_by_click_and_lasso_and_undone(room):
    room.find("floor\nwall\ndesk")
    room.view("Annotate")
    page = room.page
    start = {name: count_of(room, name) for name in ("floor", "wall", "desk", "unlabelled")}
    page.mouse.move(*room.place())
    field = page.get_by_label("New class")
    field.fill("sofa <b>")
    field.press("Enter")
    said(room, "new class")
    assert page.locator(".s4-class[aria-pressed=true]").inner_text().startswith("sofa <b>")
    page.mouse.click(*room.place(0.3, 0.9))  # leaves the field; nothing is there to choose
    page.keyboard.press("c")
    page.mouse.click(*room.place())
    first = int(
        re.search(r"([\d,]+) points are sofa", said(room, "Saved")).group(1).replace(",", "")
    )
    page.locator("#s4-legend").get_by_text("sofa <b>").wait_for()
    assert count_of(room, "sofa <b>") == first > 0
    room.status("points are sofa <b>. Saved")

    select_and_change(room, first)
    page.keyboard.press("3")
    page.keyboard.press("Enter")
    said(room, "points are desk")

    page.keyboard.press("x")
    x, y = room.place()
    page.mouse.move(x - 10, y - 10)
    page.mouse.down()
    page.mouse.move(x + 60, y + 50, steps=4)
    page.mouse.up()
    page.wait_for_function(f"window.s4.viewers['{CANVAS}'].selected > 0")
    page.keyboard.press("Delete")
    said(room, "as the model says")
    steps = 3
    for _ in range(steps):
        page.keyboard.press("Control+z")
    page.wait_for_function(f"!window.s4.viewers['{CANVAS}'].can.undo")
    room.settle()
    assert {name: count_of(room, name) for name in start} == start, "undone to the start"
    assert room.get("viewer.editor.own.every(v => (v & 127) === 0)")
    for _ in range(steps):
        page.locator("#s4-canvas button[data-act=redo]").click()
    page.wait_for_function(f"!window.s4.viewers['{CANVAS}'].can.redo")
    room.settle()
    assert count_of(room, "sofa <b>") > 0
    room.view("Labels")


def test_forged_messages_are_refused_with_a_line(room):
    room.view("Annotate")
    before = room.get("Array.from(viewer.editor.own).reduce((a, b) => a + b, 0)")
    for bad in (
        "{op: 'label', label: 'floor', tokens: [-1]}",
        "{op: 'label', label: 'floor', tokens: [1e9]}",
        "{op: 'erase', points: 'AAAA'}",
        "{op: 'drop table'}",
    ):
        room.get(f"viewer.editor.send({bad})")
        said(room, "Corrections:")
        room.page.keyboard.press("Escape")
    assert room.get("Array.from(viewer.editor.own).reduce((a, b) => a + b, 0)") == before
    room.view("Labels")


def test_tokenizers_side_by_side(room):
    room.find("floor\nwall\ndesk")
    page, canvas = room.page, "s4-compare-canvas"
    page.get_by_role("tab", name="Compare tokenizers").click()
    room.redrawn(page.locator("#s4-units").get_by_text("× 1000").click, canvas)
    room.status("units × 1000", "#s4-compare-status")
    text = page.locator(".s4-column").all_inner_texts()
    assert all("Same label as × 1" in t and "Coverage" in t for t in text)
    same = [float(re.search(r"cosine\s+(-?[\d.]+)", t).group(1)) for t in text]
    assert same[2] > 0.99 > max(same[:2]), "superpoints alone do not care about the unit"
    before = room.camera(canvas)
    room.drag(canvas=canvas)
    assert not np.allclose(room.camera(canvas), before)
    thirds = np.split(room.pixels(canvas)[:, : room.pixels(canvas).shape[1] // 3 * 3], 3, axis=1)
    room.redrawn(page.locator("#s4-coloring").get_by_text("Superpoints").click, canvas)
    ids = room.get("viewer.panels.map(p => p.key)", canvas)
    assert len(thirds) == len(set(ids)) == 3, "one picture, three tokenizations"
    page.mouse.move(*room.place(0.5, 0.5, canvas))
    page.locator("#s4-compare-canvas .s4-tip").get_by_text(
        re.compile("superpoint|token")
    ).wait_for()
    crosses = room.get("viewer.crosses()", canvas)
    assert [c is None for c in crosses] == [False, True, False], "the same point in the others"
    assert crosses[2][0] - crosses[0][0] == pytest.approx(
        2 * room.get("viewer.boxes()[0].width", canvas)
    )
    page.get_by_role("tab", name="About").click()
    page.get_by_text("What to know before you trust it").wait_for()
    page.get_by_role("tab", name="Explore").click()
    room.settle()


WITHOUT = """
const real = HTMLCanvasElement.prototype.getContext;
HTMLCanvasElement.prototype.getContext = function (kind, ...rest) {
  return kind === "webgl2" ? null : real.call(this, kind, ...rest);
};
"""


def test_without_webgl2_plotly_draws_and_says_so(browser, server, tmp_path):
    rng = np.random.default_rng(0)
    points = rng.uniform(0, 4, (40_000, 3)).astype(np.float32)
    s4token.write(tmp_path / "many.ply", s4token.PointCloud(points, rng.uniform(size=(40_000, 3))))
    seen = visit(browser, server, WITHOUT)
    page = seen.page
    page.locator("input[type=file]").first.set_input_files(tmp_path / "many.ply")
    page.locator("#s4-canvas").get_by_text("no WebGL2").wait_for()
    page.locator("#s4-caption").get_by_text("showing 30,000 of 40,000").wait_for()
    page.wait_for_function(
        """() => {
            const gd = document.querySelector("#s4-plot .js-plotly-plot");
            return gd && gd._fullLayout && gd._fullLayout.scene;
        }"""
    )
    assert not seen.foreign
    page.context.close()


def test_nothing_left_the_machine_and_no_script_failed(room, server):
    assert not room.foreign
    assert not room.errors
    asked = server.watched.read_text().split()
    assert set(asked) <= {"127.0.0.1", "localhost", "None"}


def test_corrections_survive_a_killed_server(browser, tmp_path):
    rng = np.random.default_rng(0)
    points = rng.uniform(0, 4, (3000, 3)).astype(np.float32)
    s4token.write(tmp_path / "mine.ply", s4token.PointCloud(points, rng.uniform(size=(3000, 3))))
    corrected = []
    for again in (False, True):
        with started(tmp_path / f"log-{again}", tmp_path / "state") as (server, process):
            seen = visit(browser, server)
            page = seen.page
            page.locator("#s4-prompts textarea").fill("chair\ntable")
            page.locator("input[type=file]").first.set_input_files(tmp_path / "mine.ply")
            text = seen.status(r"^mine\.ply: 3,000 points")
            seen.settle()
            if again:
                assert f"{corrected[0]:,} corrected points were restored" in text
                seen.view("Annotate")
                assert seen.get("viewer.editor.own.filter(v => v & 127).length") == corrected[0]
                page.mouse.move(*seen.place())
                page.keyboard.press("Control+z")
                said(seen, "Undone")
                assert seen.get("viewer.editor.own.every(v => (v & 127) === 0)")
            else:
                seen.view("Annotate")
                page.mouse.move(*seen.place())
                page.keyboard.press("c")
                page.mouse.click(*seen.place())
                said(seen, "Saved")
                corrected.append(seen.get("viewer.editor.own.filter(v => v & 127).length"))
                page.keyboard.press("l")
                page.mouse.down()
                page.mouse.move(*seen.place(0.6, 0.6), steps=4)  # in the middle of a stroke
                process.kill()  # no time to tidy up
                process.wait(30)
            page.context.close()

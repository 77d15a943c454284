"""Time and memory of the WebGL2 viewer beside Plotly, in headless Chromium with software GL.

    python benchmarks/viewer.py [--json benchmarks/viewer.json] [--points 200000 1000000]

Both draw the same cloud in the same run, one page each, at 1280 x 800. A frame lasts from a change
of camera until a pixel of it could be read. Memory is what all of Chromium's processes hold more
than with an empty page (proportional set size). Software GL draws on the processor: absolute times
say little about a graphics card, the ratios more. Medians of several repetitions.
"""

from __future__ import annotations

import argparse
import contextlib
import http.server
import json
import os
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import plotly.graph_objects as go
from playwright.sync_api import Page, sync_playwright

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

import s4token  # noqa: E402
from viewer import figures, scene, serving  # noqa: E402
from viewer.controls import Controls  # noqa: E402
from viewer.files import Files  # noqa: E402
from viewer.session import Layer, Session  # noqa: E402

FLAGS = (
    "--no-sandbox --use-gl=angle --use-angle=swiftshader --enable-unsafe-swiftshader "
    "--ignore-gpu-blocklist --disable-quic --no-first-run --disable-background-networking"
)
SIZE = {"width": 1280, "height": 800}
REPEAT = 5
PLOTLY_POINTS = 200_000
WAIT = 300_000  # ms

VIEWER = """<!doctype html><meta charset="utf-8"><style>{css}
body {{ margin: 0 }} .s4-view {{ height: 100vh !important }}</style>
<div id="host"><div class="s4-view" data-name="bench"></div></div><script>{script}</script>"""
PLOTLY = """<!doctype html><meta charset="utf-8"><body style="margin:0"><div id="plot"
style="height:100vh"></div><script src="plotly.js"></script>"""
SHOW = """async scene => {
  const host = document.getElementById("host");
  if (!window.s4.viewers.bench) {
    window.props = {value: scene};
    window.s4.viewer(host, () => {}, window.props, f => { window.changed = f; }, []);
  }
  const viewer = window.s4.viewers.bench;
  if (viewer.scene && viewer.scene !== scene) viewer.show(scene);
  while (!viewer.cloud || viewer.busy || viewer.measure) {
    await new Promise(requestAnimationFrame);
  }
  return viewer.times;
}"""
FRAME = """async () => {
  const viewer = window.s4.viewers.bench;
  const began = performance.now();
  viewer.camera.orbit(0.1, 0);
  viewer.moved(false);
  viewer.budget = 2e7;
  while (viewer.stale || viewer.dirty || viewer.points.drawn < viewer.points.count) {
    await new Promise(requestAnimationFrame);
  }
  viewer.pick([640, 400]);
  return performance.now() - began;
}"""
PICK = """place => {
  const viewer = window.s4.viewers.bench;
  const began = performance.now();
  const found = viewer.pick(place);
  return [performance.now() - began, found ? found.token : -1];
}"""
LASSO = """async ([through, whole]) => {
  const viewer = window.s4.viewers.bench;
  Object.assign(viewer, {tool: "lasso", through, whole});
  viewer.editor.start([340, 200]);
  for (let i = 1; i < 60; i += 1) {
    viewer.editor.extend([640 - 300 * Math.cos(i / 9.5), 400 - 220 * Math.sin(i / 9.5)]);
  }
  await new Promise(done => setTimeout(done, 50)); // somebody draws for longer
  viewer.editor.end({});
  return [viewer.times.selected, viewer.selected];
}"""
PLOTLY_SHOW = """async name => {
  const began = performance.now();
  const figure = await (await fetch(name)).json();
  await Plotly.newPlot("plot", figure.data, figure.layout);
  const gl = document.getElementById("plot")._fullLayout.scene._scene.glplot.gl;
  await new Promise(requestAnimationFrame);
  gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(4));
  return performance.now() - began;
}"""
PLOTLY_FRAME = """async () => {
  const scene = document.getElementById("plot")._fullLayout.scene._scene;
  const gl = scene.glplot.gl;
  const began = performance.now();
  const camera = scene.getCamera();
  camera.eye.x += 0.1;
  scene.setViewport({...scene.fullSceneLayout, camera});
  for (let i = 0; i < 3; i += 1) await new Promise(requestAnimationFrame);
  gl.readPixels(0, 0, 1, 1, gl.RGBA, gl.UNSIGNED_BYTE, new Uint8Array(4));
  return performance.now() - began;
}"""


def furnished(n: int) -> s4token.PointCloud:
    """Return n points on the walls, floor and balls of a room, in metres, coloured."""
    rng = np.random.default_rng(0)
    points = rng.uniform([0, 0, 0], [6, 5, 2.6], (n, 3))
    side = rng.integers(0, 4, n)
    points[side == 0, 2] = 0
    points[side == 1, 0] = 0
    points[side == 2, 1] = 5
    ball = rng.normal(size=(n, 3))
    ball /= np.linalg.norm(ball, axis=1, keepdims=True)
    centers = rng.uniform([1, 1, 0.4], [5, 4, 1.2], (12, 3))
    points = np.where((side == 3)[:, None], centers[rng.integers(0, 12, n)] + 0.4 * ball, points)
    return s4token.PointCloud(points.astype(np.float32), rng.uniform(0.2, 0.9, (n, 3)))


def session_of(n: int, prompts: int = 8) -> Session:
    """Return a session with about 500 superpoints and an answer to some prompts."""
    cloud, rng = furnished(n), np.random.default_rng(1)
    cell = np.minimum(cells(cloud).astype(int), 11) @ [144, 12, 1]
    groups = s4token.Groups.from_labels(np.unique(cell, return_inverse=True)[1])
    features = rng.normal(size=(len(groups), 8)).astype(np.float32)
    layer = Layer(s4token.Encoding(cloud, groups, features, features[0]))
    session = Session("room", cloud).with_layers({("superpoint", 1.0): layer})
    return answered(session, prompts, 0)


def cells(cloud: s4token.PointCloud) -> np.ndarray:
    """Return where points lie in a grid of 12 cells an axis, (N, 3) in [0, 12]."""
    return (cloud.points - cloud.points.min(axis=0)) / np.ptp(cloud.points, axis=0) * 12


@lru_cache
def astray(cloud: s4token.PointCloud) -> np.ndarray:
    """Return which points get another label than their superpoint, along its borders, (N,) bool."""
    return (cells(cloud) % 1 < 0.03).any(axis=1)


def answered(session: Session, prompts: int, seed: int) -> Session:
    """Return the session with another random answer."""
    rng = np.random.default_rng(seed)
    groups = session.layer.encoding.groups
    assert session.cloud is not None
    owner = (groups.labels + astray(session.cloud)) % len(groups)
    labels = rng.integers(0, prompts + 1, len(groups)).astype(np.int32)[owner]
    scores = rng.uniform(size=(len(groups), prompts)).astype(np.float32)
    names = tuple(f"word {i}" for i in range(prompts))
    sure = np.ones(len(labels), np.float32)
    answer = s4token.Segmentation(names, labels, sure, groups.labels, scores)
    return replace(session, answer=answer)


def held(pid: int) -> float:
    """Return the proportional set size of a process and all below it, in MB."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            parents[int(stat.parent.name)] = int(stat.read_text().rsplit(")", 1)[1].split()[1])
    family, grown = {pid}, True
    while grown:
        more = {p for p, parent in parents.items() if parent in family} - family
        family, grown = family | more, bool(more)
    total = 0
    for member in family:
        with contextlib.suppress(OSError):
            rollup = Path(f"/proc/{member}/smaps_rollup").read_text()
            total += int(rollup.split("Pss:")[1].split()[0])
    return total / 1024


@contextlib.contextmanager
def served(folder: Path) -> Iterator[str]:
    """Serve a folder on this machine."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), partial(Quiet, directory=str(folder))
    )
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()


@contextlib.contextmanager
def page_of(url: str) -> Iterator[tuple[Page, Callable[[], float]]]:
    """Open a page in a browser of its own; yields it and a measure of the memory it holds."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path="/usr/bin/chromium", args=[*FLAGS.split(), "--js-flags=--expose-gc"]
        )
        page = browser.new_context(viewport=SIZE).new_page()
        page.set_default_timeout(WAIT)
        main = next(
            int(p.parent.name)
            for p in Path("/proc").glob("[0-9]*/cmdline")
            if b"playwright_chromiumdev_profile" in _read(p) and b"--type=" not in _read(p)
        )
        base = held(main)

        def memory() -> float:
            page.evaluate("() => { gc(); gc(); }")
            time.sleep(1)
            return held(main) - base

        page.goto(url)
        yield page, memory
        browser.close()


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:
        return b""


def median(run: Callable[[], float], repeat: int = REPEAT) -> float:
    """Return the median of repetitions, after one to warm up."""
    run()
    return round(statistics.median(run() for _ in range(repeat)), 1)


def webgl(folder: Path, url: str, files: Files, n: int) -> dict[str, Any]:
    """Measure the viewer with n points."""
    session = session_of(n)
    c = Controls(view="Labels")

    def sent(now: Session) -> dict[str, Any]:
        drawn = scene.scene(files, now, [scene.panel(files, now, c)], c)
        for spec in (drawn["cloud"], *(p["tokens"] for p in drawn["panels"])):
            name = Path(spec["file"]["path"]).name
            (folder / name).unlink(missing_ok=True)
            (folder / name).symlink_to(files.folder / name)
            spec["file"] = {"url": name}
        return drawn

    start = time.perf_counter()
    first = sent(session)
    packed = time.perf_counter() - start
    start = time.perf_counter()
    others = [sent(answered(session, 8, seed)) for seed in range(1, 8)]
    answer_ms = 1000 * (time.perf_counter() - start) / len(others)
    with page_of(f"{url}/viewer.html") as (page, memory):
        shown = page.evaluate(SHOW, first)["shown"]
        queue = iter(others)
        again = lambda: page.evaluate(SHOW, next(queue))["recoloured"]  # noqa: E731
        recoloured = median(again)
        frame = median(lambda: page.evaluate(FRAME))
        pick = median(lambda: page.evaluate(PICK, [640, 420])[0])
        lassos = {}
        for through in (True, False):
            for whole in (False, True):
                name = f"{'through' if through else 'visible'} {'whole' if whole else 'points'}"
                lassos[name] = median(
                    lambda how=(through, whole): page.evaluate(LASSO, list(how))[0], 3
                )
        selected = page.evaluate(LASSO, [True, False])[1]
        assert 0.02 * n < selected < 0.98 * n, "the lasso must mean something"
        return {
            "points": n,
            "points_astray": round(float(astray(session.cloud).mean()), 3),
            "superpoints": len(session.layer.encoding.groups),
            "file_mb": round((19 + 4) * n / 1e6, 1),
            "write_file_s": round(packed, 2),
            "shown_ms": round(shown),
            "answer_on_server_ms": round(answer_ms, 1),
            "answer_bytes": max(len(json.dumps(other)) for other in others),
            "recolour_ms": recoloured,
            "frame_ms": frame,
            "pick_ms": pick,
            "lasso_ms": lassos,
            "memory_mb": round(memory()),
        }


def plotly(folder: Path, url: str, n: int) -> dict[str, Any]:
    """Measure Plotly with n points, drawn as this project's fallback draws them."""
    session = session_of(n)
    cloud, answer = session.cloud, session.answer
    assert cloud is not None and answer is not None
    frame = figures.make_frame(cloud.points, np.arange(n), cloud.up, figures.Look())
    figure: go.Figure = figures.labels_figure(frame, answer.labels, answer.classes, session.color)
    (folder / f"{n}.json").write_text(figure.to_json())
    with page_of(f"{url}/plotly.html") as (page, memory):
        shown = page.evaluate(PLOTLY_SHOW, f"{n}.json")
        took = median(lambda: page.evaluate(PLOTLY_FRAME), 3)
        return {
            "points": n,
            "file_mb": round((folder / f"{n}.json").stat().st_size / 1e6, 1),
            "shown_ms": round(shown),
            "frame_ms": took,
            "memory_mb": round(memory()),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--points", type=int, nargs="+", default=[PLOTLY_POINTS, 1_000_000])
    options = parser.parse_args()
    import plotly as package

    files = Files()
    with tempfile.TemporaryDirectory() as name, served(Path(name)) as url:
        folder = Path(name)
        css = (serving.STATIC / "app.css").read_text(encoding="utf-8")
        text = VIEWER.format(css=css, script=serving.script())
        (folder / "viewer.html").write_text(text, encoding="utf-8")
        (folder / "plotly.html").write_text(PLOTLY, encoding="utf-8")
        bundled = Path(package.__file__).parent / "package_data" / "plotly.min.js"
        (folder / "plotly.js").symlink_to(bundled)
        rows = [webgl(folder, url, files, n) for n in options.points]
        for row in rows:
            print(json.dumps(row), flush=True)
        other = plotly(folder, url, PLOTLY_POINTS)
        print(json.dumps(other), flush=True)
    same = next((row for row in rows if row["points"] == PLOTLY_POINTS), None)
    ratios = {}
    if same is not None:
        for name in ("shown_ms", "frame_ms", "memory_mb"):
            ratios[name.rsplit("_", 1)[0]] = round(other[name] / same[name], 1)
        print(json.dumps({"plotly / webgl at 200k": ratios}))
    if options.json:
        found = {
            "machine": {"cores": os.cpu_count(), "load": round(os.getloadavg()[0], 1)},
            "webgl": rows,
            "plotly": other,
            "plotly_over_webgl_at_200k": ratios,
        }
        options.json.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()

"""The tab that compares tokenizers: one picture with linked panels, numbers below each."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gradio as gr

from viewer import compare, events, panels
from viewer.controls import Controls
from viewer.events import Screen
from viewer.guard import staged
from viewer.page import HEAVY, Page, canvas, js, plot, status_of
from viewer.shared import App

CANVAS = "s4-compare-canvas"


def written(folder: Path, table: str) -> str:
    """Write the table of a page's comparison and return its path."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "comparison.csv"
    path.write_text(table, encoding="utf-8-sig")  # with the mark by which spreadsheets know UTF-8
    return str(path)


def _exports() -> Any:
    """Lay out what saves a comparison; returns the button that holds the table."""
    with gr.Column(scale=0, min_width=150):
        figure = gr.Button("Figure (PNG)", size="sm", elem_id="s4-compare-figure")
        table = gr.DownloadButton(
            "Table (CSV)", size="sm", interactive=False, elem_id="s4-compare-table"
        )
    figure.click(
        None, js=f"() => window.s4.viewers['{CANVAS}']?.act('picture')", api_visibility="private"
    )
    return table


def compare_tab(app: App, page: Page) -> None:
    """Lay out the comparison and wire it."""
    with gr.Row():
        units = gr.Radio(
            list(compare.FACTORS), value="× 1", label="Multiply the units by", elem_id="s4-units",
            info="The same scan in kilometres, metres, millimetres",
        )  # fmt: skip
        coloring = gr.Radio(
            list(compare.COLORINGS), value="Labels", label="Colour by", elem_id="s4-coloring",
            info="Labels need words on the first page",
        )  # fmt: skip
        button = gr.Button(
            "Compare", variant="primary", elem_id="s4-compare", min_width=120, scale=0
        )
        table = _exports()
    root = Path(tempfile.mkdtemp(prefix="s4token-compare-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)
    hint = "Open a scan and type words on the first page, then press Compare."
    status = gr.HTML(panels.status(hint), elem_id="s4-compare-status", js_on_load=None)
    key = gr.HTML(elem_id="s4-key", js_on_load=None)
    picture = canvas(CANVAS)
    plots, numbers = [], []
    with gr.Row(equal_height=False):
        for name in compare.ORDER:
            with gr.Column(min_width=260, elem_classes="s4-column"):
                gr.HTML(f"<h3>{events.TOKENIZERS[name]}</h3>", js_on_load=None)
                plots.append(plot(f"s4-plot-{name}"))
                numbers.append(gr.HTML(js_on_load=None))

    def run(units: str, coloring: str, handle: str, *values: Any) -> Iterator[list[Any]]:
        factor = compare.FACTORS.get(units, 0.0)
        call = lambda report: compare.compare(  # noqa: E731
            app.page(handle), handle, Controls.of(*values), compare.Choice(factor, coloring), report
        )
        for step in staged(call):
            if isinstance(step, Screen):
                yield [status_of(step), *[gr.skip()] * (3 + 2 * len(plots))]
                continue
            pairs = [step.panels.get(name) for name in compare.ORDER]
            yield [
                panels.status(step.status),
                step.key,
                gr.skip() if step.scene is None else step.scene,
                gr.DownloadButton(value=written(root / handle, step.table), interactive=True),
                *(gr.Plot(p.figure, visible=True) if p and p.figure else gr.skip() for p in pairs),
                *(p.numbers if p else "" for p in pairs),
            ]

    gr.on(
        [button.click, units.input, coloring.input],
        run,
        [units, coloring, *page.inputs],
        [status, key, picture, table, *plots, *numbers],
        js=js(f"s4-plot-{compare.ORDER[0]}"),
        api_visibility="private",
        **HEAVY,
    )

"""The tab that compares tokenizers: one picture with linked panels, numbers below each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gradio as gr

from viewer import compare, events, panels
from viewer.controls import Controls
from viewer.events import Screen
from viewer.guard import staged
from viewer.page import HEAVY, Page, canvas, js, plot, status_of
from viewer.shared import App


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
    hint = "Open a scan and type words on the first page, then press Compare."
    status = gr.HTML(panels.status(hint), elem_id="s4-compare-status", js_on_load=None)
    key = gr.HTML(elem_id="s4-key", js_on_load=None)
    picture = canvas("s4-compare-canvas")
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
                yield [status_of(step), *[gr.skip()] * (2 + 2 * len(plots))]
                continue
            pairs = [step.panels.get(name) for name in compare.ORDER]
            yield [
                panels.status(step.status),
                step.key,
                gr.skip() if step.scene is None else step.scene,
                *(gr.Plot(p.figure, visible=True) if p and p.figure else gr.skip() for p in pairs),
                *(p.numbers if p else "" for p in pairs),
            ]

    gr.on(
        [button.click, units.input, coloring.input],
        run,
        [units, coloring, *page.inputs],
        [status, key, picture, *plots, *numbers],
        js=js(f"s4-plot-{compare.ORDER[0]}"),
        api_visibility="private",
        **HEAVY,
    )

"""The tab that trains tokenizers: a form, four buttons, curves, and the choice of what answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import gradio as gr

from viewer import panels, train
from viewer.controls import Controls, parse_look
from viewer.events import TOKENIZERS, Screen
from viewer.guard import guarded, staged
from viewer.page import HEAVY, Page, js, plot, tokenizer_choice, unit_choice, updates
from viewer.shared import App

EVERY = {True: 2.0, False: 10.0}
"""Seconds between two looks, while a training runs or not: another page may start one."""
LANE = {"show_progress": "hidden", "concurrency_id": "train", "concurrency_limit": 4}
INTRO = (
    '<p class="s4-caption">Teaches the tokenizers on this machine, at low priority: you can go on '
    "working. CLIP stays as it is. Training goes on when this page is closed, and survives the "
    "app; Ctrl+C in the app's terminal pauses it. Everybody who uses this app sees the training "
    "and its checkpoint.</p>"
)
Shown = dict[str, Any]
BUTTONS = {"start": "Start", "pause": "Pause", "resume": "Resume", "stop": "Stop and keep"}


def train_tab(app: App, page: Page, card: Any, tab: Any) -> None:
    """Lay out the training and wire it; card: what says which checkpoint answers."""
    with gr.Row(equal_height=False):
        with gr.Column(scale=0, min_width=300):
            form, scans = _form()
        with gr.Column(scale=1, min_width=480):
            gr.HTML(INTRO, js_on_load=None)
            status = gr.HTML(panels.status(train.IDLE), elem_id="s4-train-status", js_on_load=None)
            with gr.Row():
                buttons = {
                    name: gr.Button(
                        text, elem_id=f"s4-train-{name}", min_width=90, interactive=name == "start",
                        variant="primary" if name == "start" else "secondary",
                    )
                    for name, text in BUTTONS.items()
                }  # fmt: skip
            figure = plot("s4-train-plot")
            notes = gr.HTML(js_on_load=None)
            choice = gr.Dropdown(
                [(train.OWN, "")], value="", label="Checkpoint that answers here", interactive=True,
                filterable=False, elem_id="s4-train-choice",
                info="On this page alone; the open scan is encoded with it at once",
            )  # fmt: skip
    timer, seen = gr.Timer(EVERY[True], active=False), gr.State({})
    shown = [status, notes, figure, *buttons.values(), choice, timer, seen]
    _wire_training(app, page, form, scans, buttons, shown, [tab.select, timer.tick], seen)
    _wire_choice(app, page, choice, card, status)


def _form() -> tuple[list[Any], Any]:
    name = gr.Textbox("My tokenizers", label="Name", max_lines=1, elem_id="s4-train-name")
    source = gr.Radio(
        list(train.SOURCES), value="Bundled rooms", label="Learn from", elem_id="s4-train-source"
    )
    scans = gr.File(
        label="Scans, labels not needed", file_count="directory", visible=False,
        height=130, elem_id="s4-train-scans",
    )  # fmt: skip
    unit = unit_choice("s4-train-unit", "One for all of the scans", visible=False)
    tokenizers = gr.CheckboxGroup(
        [(text, name) for name, text in TOKENIZERS.items()], value=["superpoint"],
        label="Tokenizers", elem_id="s4-train-tokenizers",
    )  # fmt: skip
    with gr.Row():
        scenes = gr.Number(
            40, label="Scenes", info="Crops or rooms", precision=0, min_width=110,
            elem_id="s4-train-scenes",
        )  # fmt: skip
        steps = gr.Number(
            300, label="Steps", info="Of each tokenizer", precision=0, min_width=110,
            elem_id="s4-train-steps",
        )  # fmt: skip
    begin = gr.Checkbox(True, label="Begin with the weights that answer now")
    with gr.Accordion("Objectives", open=False):
        told = {
            "distillation": (1.0, "Follow what CLIP sees in pictures of the scenes"),
            "masked": (0.0, "Say what a hidden part means from what is around it"),
            "clustering": (0.0, "Hidden parts belong to the same prototype as when seen"),
            "alignment": (0.0, "Come near the names of things: bundled rooms only"),
        }
        weights = [
            gr.Slider(0, 2, value=value, step=0.05, label=name.capitalize(), info=info)
            for name, (value, info) in told.items()
        ]
    source.change(
        lambda value: [gr.update(visible=value == "My scans")] * 2, source, [scans, unit],
        show_progress="hidden", api_visibility="private",
    )  # fmt: skip
    return [name, source, unit, tokenizers, scenes, steps, begin, *weights], scans


def _wire_training(
    app: App,
    page: Page,
    form: list[Any],
    scans: Any,
    buttons: dict[str, Any],
    shown: list[Any],
    looks: list[Any],
    seen: Any,
) -> None:
    def after(act: Callable[[], str | None], handle: str, before: Shown, look: Any) -> list[Any]:
        done = guarded(act)
        dark = parse_look(look).dark
        said = done if isinstance(done, str) else ""
        view = guarded(
            lambda: train.look(app, handle, before.get("drawn", ""), dark=dark, said=said)
        )
        if isinstance(view, Screen):
            return [_line(view), *[gr.skip()] * (len(shown) - 1)]
        out = _shown(view, before)
        return [_line(done), *out[1:]] if isinstance(done, Screen) else out

    def begin(handle: str, files: list[str] | None, *values: Any) -> list[Any]:
        name, source, unit, tokenizers, scenes, steps, first, *weights, before, look = values
        filled = train.Form(name, source, unit, tokenizers, scenes, steps, first, weights)
        return after(lambda: train.start(app, handle, filled, files or []), handle, before, look)

    acts = {"pause": app.trainer.pause, "resume": app.trainer.resume, "stop": app.trainer.stop}
    wire = {"outputs": shown, "js": js("s4-train-plot"), "api_visibility": "private", **LANE}
    buttons["start"].click(begin, [page.handle, scans, *form, seen, page.look], **wire)
    for name, act in acts.items():
        buttons[name].click(_bound(after, act), [page.handle, seen, page.look], **wire)
    gr.on(looks, _bound(after, lambda: None), [page.handle, seen, page.look], **wire)


def _bound(run: Callable[..., list[Any]], act: Callable[[], str | None]) -> Callable[..., Any]:
    return lambda handle, before, look: run(act, handle, before, look)


def _line(screen: Screen) -> str:
    return panels.status(screen.status or "", screen.kind, screen.fraction)


def _shown(view: train.View, before: Shown) -> list[Any]:
    """Return updates of what has changed: an error stays to be read, an open list stays open."""
    now = {name: getattr(view, name) for name in ("status", "notes", "can", "offer", "drawn")}
    new = {name for name, value in now.items() if before.get(name) != value}
    choices, chosen = view.offer
    return [
        view.status if "status" in new else gr.skip(),
        view.notes if "notes" in new else gr.skip(),
        gr.skip() if view.figure is None else gr.Plot(view.figure, visible=True),
        *(gr.Button(interactive=view.can[n]) if "can" in new else gr.skip() for n in BUTTONS),
        gr.Dropdown(choices=choices, value=chosen) if "offer" in new else gr.skip(),
        gr.Timer(EVERY[view.can["pause"]], active=True),
        now,
    ]


def _wire_choice(app: App, page: Page, choice: Any, card: Any, status: Any) -> None:
    outputs = [*page.outputs, status, page.badge, card, page.tokenizer, choice]

    def choose(name: str, handle: str, *values: Any) -> Iterator[list[Any]]:
        call = lambda report: train.use(  # noqa: E731
            app, str(name or ""), handle, Controls.of(*values), report
        )
        for screen in staged(call):
            known: list[Any] = [gr.skip()] * 4
            if screen.kind == "error":
                known[-1] = train.chosen(app, handle)
            if screen.kind == "info":
                radio = tokenizer_choice(app, handle, Controls.of(*values).tokenizer)
                facts = app.page(handle).model().description
                known = [panels.badge(facts), panels.about(facts), radio, gr.skip()]
            yield [*updates(screen, values), _line(screen), *known]

    choice.input(
        choose,
        [choice, *page.inputs],
        outputs,
        js=js(),
        api_visibility="private",
        **HEAVY,
    )

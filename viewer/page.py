"""What all tabs share: the components that events fill, and how an event becomes updates."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import gradio as gr
from gradio.context import LocalContext

from s4token import AXES, UNITS
from viewer import events, panels
from viewer.controls import Controls
from viewer.events import Screen
from viewer.guard import guarded, staged
from viewer.shared import App

QUICK = {"show_progress": "hidden", "concurrency_id": "prompt", "concurrency_limit": 4}
CONTROLS = (
    "prompts", "negatives", "threshold", "tokenizer", "view", "heat", "scale", "cut", "unit", "up",
)  # fmt: skip
"""Controls that events read, in the order of ``Controls.of``."""
DRAWN = ("view", "heat", "scale", "cut")
"""Those of which a picture is."""
HEAVY = {"show_progress": "hidden", "concurrency_id": "encode", "concurrency_limit": 1}


@dataclass(frozen=True)
class Page:
    """Hold the components that events read and write."""

    handle: Any
    badge: Any
    status: Any
    empty: Any
    work: Any
    canvas: Any
    mailbox: Any
    plot: Any
    caption: Any
    legend: Any
    stats: Any
    why: Any
    prompts: Any
    negatives: Any
    threshold: Any
    tokenizer: Any
    unit: Any
    up: Any
    view: Any
    heat: Any
    scale: Any
    cut: Any
    look: Any
    palette: Any
    settings: Any
    again: Any

    @property
    def inputs(self) -> list[Any]:
        """Session and controls, in the order of ``Controls.of``, the look last."""
        return [self.handle, *self.controls, self.look]

    @property
    def controls(self) -> list[Any]:
        """What a person sets."""
        return [getattr(self, name) for name in CONTROLS]

    @property
    def outputs(self) -> list[Any]:
        """What ``updates`` fills."""
        parts = [self.status, self.empty, self.work, self.canvas, self.plot, self.caption]
        return [*parts, self.legend, self.stats, self.why, self.heat, self.scale, self.settings]


def settings(screen: Screen, values: Sequence[Any], sets: Mapping[str, Any]) -> Any:
    """Write what an answer makes of the controls, as text for ``window.s4.answered``.

    values: the controls when the event left the page; sets: those that the event is about. Each
    goes as [was, is]: a control that is no longer what it was has been changed by a person since,
    and is left alone.
    """
    carried = dict(zip(CONTROLS, values, strict=False))
    answered = {name: getattr(screen, name) for name in ("view", "heat", "prompts", "unit", "up")}
    found = {**answered, **sets}
    drawn = screen.figure is not None or screen.scene is not None
    pairs = {
        name: [was, was if found.get(name) is None else found[name]]
        for name, was in carried.items()
        if (name in DRAWN and drawn) or found.get(name) is not None
    }
    # Every answer is another text, else the page would not notice it.
    return json.dumps({"at": time.time_ns(), "controls": pairs}) if pairs else gr.skip()


def updates(screen: Screen, values: Sequence[Any], **sets: Any) -> list[Any]:
    """Turn a screen into one update per output of the page; None leaves a part alone.

    values, sets: as of ``settings``.
    """
    keep = lambda value: gr.skip() if value is None else value  # noqa: E731
    shown = screen.figure is not None or screen.scene is not None
    heat = scale = gr.skip()
    if screen.heat_choices is not None:
        heated = screen.view == "Heatmap"
        heat = gr.Dropdown(choices=list(screen.heat_choices), visible=heated)
        scale = gr.Radio(visible=heated)
    return [
        status_of(screen),
        gr.Column(visible=False) if shown else gr.skip(),
        gr.Column(visible=True) if shown else gr.skip(),
        keep(screen.scene),
        gr.skip() if screen.figure is None else gr.Plot(screen.figure, visible=True),
        keep(screen.caption),
        keep(screen.legend),
        keep(screen.stats),
        keep(screen.why),
        heat,
        scale,
        settings(screen, values, sets),
    ]


def status_of(screen: Screen) -> Any:
    """Turn a screen's status into HTML, or leave the line alone."""
    if screen.status is None:
        return gr.skip()
    return panels.status(screen.status, screen.kind, screen.fraction)


def canvas(name: str, *sends: str) -> Any:
    """Return the WebGL2 picture, which sends events of these names.

    Its own script keeps it alive, so the template never changes.
    """
    names = ", ".join(f"'{event}'" for event in sends)
    return gr.HTML(
        elem_id=name,
        elem_classes="s4-canvas",
        html_template=f'<div class="s4-view" data-name="{name}"></div>',
        js_on_load=f"window.s4.viewer(element, trigger, props, watch, [{names}]);",
    )


def plot(name: str) -> Any:
    """Return the picture for a browser without WebGL2."""
    return gr.Plot(
        show_label=False, container=False, visible=False, elem_id=name, elem_classes="s4-panel"
    )


def word_choice(label: str, name: str) -> Any:
    """Return a choice among a page's words, which may be others than the browser last knew.

    Gradio refuses whatever comes along with a value that is no choice any more, an edit too. So
    any value is allowed; what reads the word takes another one then.
    """
    return gr.Dropdown(
        [], label=label, visible=False, scale=2, min_width=120, elem_id=name,
        allow_custom_value=True,
    )  # fmt: skip


def unit_choice(name: str, info: str, *, visible: bool = True) -> Any:
    """Return the choice of how long a unit of the coordinates is, "" to estimate it."""
    return gr.Dropdown(
        [("estimate it", ""), *((name, name) for name in UNITS)], value="", visible=visible,
        label="Unit of the coordinates", elem_id=name, filterable=False, info=info,
    )  # fmt: skip


def up_choice(name: str) -> Any:
    """Return the choice of the axis that points up."""
    return gr.Dropdown(
        [(f"{axis} ({where})" if where else axis, axis) for axis, where in _UP.items()], value="z",
        label="Up", elem_id=name, filterable=False, info="Labels need to know where the floor is",
    )  # fmt: skip


_UP = dict.fromkeys(AXES, "") | {"y": "phones, meshes", "-y": "cameras"}


def tokenizer_choice(app: App, handle: str, was: str) -> Any:
    """Return the update of the tokenizer's choice for the model of a page; was: what it was."""
    choices, value = events.offered(app, handle, was)
    return gr.Radio(choices=choices) if value is None else gr.Radio(choices=choices, value=value)


def settle(page: Page) -> None:
    """Let answers set controls, but never one that a person has changed since the question."""
    names = json.dumps(CONTROLS)
    page.settings.change(
        None,
        [page.settings, page.again, *page.controls],
        [page.again, *page.controls],
        js=f"(...a) => window.s4.answered(a, {names}, {json.dumps(DRAWN)})",
        api_visibility="private",
    )


def js(panel: str = "s4-plot") -> str:
    """Return the script that puts what only the browser knows into the last input."""
    return f"(...a) => window.s4 ? window.s4.look('{panel}', a) : a"


def long(run: Callable[..., Screen], app: App, *fixed: Any) -> Callable[..., Iterator[list[Any]]]:
    """Wrap ``run(app, handle, *fixed, controls, report)`` as a handler that shows stages."""

    def handler(handle: str, *values: Any) -> Iterator[list[Any]]:
        here = app.page(handle)
        call = lambda report: run(here, handle, *fixed, Controls.of(*values), report)  # noqa: E731
        for screen in staged(call):
            yield updates(screen, values)

    return handler


def quick(run: Callable[..., Screen], app: App) -> Callable[..., list[Any]]:
    """Wrap ``run(app, handle, controls)`` as a handler."""
    return lambda handle, *values: updates(
        guarded(lambda: run(app.page(handle), handle, Controls.of(*values))), values
    )


def visitor() -> str:
    """Return whose event runs: the name of the account, "" when the app has none."""
    return getattr(LocalContext.request.get(None), "username", None) or ""

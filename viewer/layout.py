"""The page: components, where they stand, and which event they call."""

from __future__ import annotations

import atexit
import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import gradio as gr

from viewer import edit_messages, edits, events, panels, thresholds
from viewer.api_layout import endpoints
from viewer.colors import PALETTES
from viewer.compare_layout import compare_tab
from viewer.controls import SCALES, VIEWS, Controls
from viewer.corrections import Desk
from viewer.events import Screen
from viewer.exchange_layout import Exchange, exchange_section, wire_exchange
from viewer.guard import guarded
from viewer.journal import folder
from viewer.link_layout import open_links, remember
from viewer.page import (
    HEAVY,
    QUICK,
    Page,
    canvas,
    js,
    long,
    plot,
    quick,
    settle,
    status_of,
    tokenizer_choice,
    unit_choice,
    up_choice,
    updates,
    visitor,
    word_choice,
)
from viewer.session import Store
from viewer.shared import App
from viewer.train_layout import train_tab

EXAMPLES = {
    "Seats": "chair\nsofa\nstool\nbench",
    "Room shell": "floor\nwall\nwindow\ndoor",
    "Furniture": "table\ndesk\nbed\ncabinet\nlamp",
}
FIRST_TRY = "desk\nchair\nfloor\nwall\nwindow"
EMPTY = """<div class="s4-empty"><h2>Point at things with words</h2><ol>
<li><b>Open a scan.</b> One of the rooms on the left, or drop your own file here: PLY, PCD, LAS,
OBJ, GLB, … in any unit.</li>
<li><b>Type words</b>, one per line, such as <i>chair</i> or <i>wooden table</i>, and press
<b>Find</b>.</li>
<li><b>Look</b> at labels, heatmaps and tokens; hide what is in the way; export the result.</li>
</ol></div>"""
WELCOME = panels.status("Loading the model. You can open a room meanwhile.", "busy")
READY = panels.status("Ready. Open a room on the left, or a file of your own.")


def build(
    model: Callable[[], Any], *, byte_budget: int, checkpoint: str | Path | None
) -> gr.Blocks:
    """Build the app; see ``viewer.build``."""
    app = App(
        model,
        Store(byte_budget, byte_budget // 2, visitor),
        desk=Desk(folder(), visitor),
        source=Path(checkpoint) if checkpoint else None,
    )
    atexit.register(app.trainer.close)
    gr.set_static_paths([app.files.folder])  # served from where they are, never copied
    with gr.Blocks(title="S4Token", fill_width=True, delete_cache=(3600, 86400)) as demo:
        handle = gr.State(None, delete_callback=app.close)
        look = gr.Textbox(visible="hidden", elem_id="s4-look")
        with gr.Row(elem_id="s4-header"):
            gr.HTML("<h1>S4Token</h1><p>Type words, see which points they mean.</p>")
            badge = gr.HTML(elem_id="s4-badge")
        with gr.Tabs(elem_id="s4-tabs"):
            with gr.Tab("Explore"):
                page = _explore(app, handle, look, badge)
            with gr.Tab("Compare tokenizers"):
                compare_tab(app, page)
            card = gr.HTML(render=False)
            with gr.Tab("Train") as training:
                train_tab(app, page, card, training)
            with gr.Tab("About"):
                card.render()
        opened = remember(page, _wire_sessions(app, demo, handle))
        open_links(app, page, _wire_greeting(app, page, card, opened))
        endpoints(app)
    return demo


def _wire_sessions(app: App, demo: gr.Blocks, handle: Any) -> Any:
    """Open a session for every page; notice when a browser closes or reloads it."""
    handles: dict[str | None, str] = {}  # by Gradio's name of the connection

    def loaded(request: gr.Request) -> str:
        handles[request.session_hash] = app.store.open()
        return handles[request.session_hash]

    def left(request: gr.Request) -> None:
        app.desk.leave(handles.pop(request.session_hash, ""))

    demo.unload(left)
    # A scan can be opened before the model is there, so the session does not wait for it.
    return demo.load(loaded, None, handle, api_visibility="private", **QUICK)


def _wire_greeting(app: App, page: Page, card: Any, opened: Any) -> Any:
    """Say which model answers as soon as it is there, over nothing that was said meanwhile."""
    greeted = opened.then(
        partial(_greet, app),
        [page.handle, page.tokenizer],
        [page.badge, card, page.status, page.tokenizer],
        api_visibility="private",
    )
    welcome, ready = json.dumps(WELCOME), json.dumps(READY)
    said = f"said => said === {welcome} ? {ready} : said"
    return greeted.then(None, page.status, page.status, js=said, api_visibility="private")


def _greet(app: App, handle: str, tokenizer: str) -> list[Any]:
    facts = guarded(lambda: app.model().description)
    if isinstance(facts, Screen):
        return [gr.skip(), gr.skip(), status_of(facts), gr.skip()]
    radio = tokenizer_choice(app, handle, tokenizer)
    return [panels.badge(facts), panels.about(facts), gr.skip(), radio]


def _explore(app: App, handle: Any, look: Any, badge: Any) -> Page:
    with gr.Row(equal_height=False):
        with gr.Column(scale=0, min_width=264, elem_id="s4-left"):
            rooms, upload = _scene_controls()
            prompts, find, examples = _prompt_controls()
            negatives, threshold, tokenizer, unit, up = _refine_controls()
        with gr.Column(scale=1, min_width=480, elem_id="s4-right"):
            status = gr.HTML(WELCOME, elem_id="s4-status", js_on_load=None)
            # Not in a column that is shown later: that would show what is hidden in it, too.
            settings = gr.Textbox("", visible="hidden", elem_id="s4-settings")
            again = gr.Textbox("", visible="hidden", elem_id="s4-again")
            with gr.Column(visible=True) as empty:
                gr.HTML(EMPTY, js_on_load=None)
                first = gr.Button(
                    "Try it: an office and five words",
                    variant="primary",
                    elem_id="s4-first",
                )
            with gr.Column(visible=False) as work:
                parts, exchange = _picture()
    page = Page(
        handle=handle, badge=badge, status=status, settings=settings, again=again, empty=empty,
        work=work, prompts=prompts,
        negatives=negatives, threshold=threshold, tokenizer=tokenizer, unit=unit, up=up, look=look,
        **parts,
    )  # fmt: skip
    _wire_scene(app, page, rooms, upload, [(first, FIRST_TRY), *examples])
    _wire_query(app, page, find)
    settle(page)
    _wire_edits(app, page)
    wire_exchange(app, page, exchange)
    return page


def _scene_controls() -> tuple[dict[str, Any], Any]:
    gr.HTML("<h3><span>1</span> Scan</h3>", js_on_load=None)
    with gr.Row(elem_classes="s4-grid"):
        rooms = {
            kind: gr.Button(name, size="sm", min_width=110)
            for kind, (name, _) in events.ROOMS.items()
        }
    upload = gr.UploadButton("Open a file…", size="sm", elem_id="s4-upload")
    return rooms, upload


def _prompt_controls() -> tuple[Any, Any, list[tuple[Any, str]]]:
    gr.HTML("<h3><span>2</span> Words</h3>", js_on_load=None)
    prompts = gr.Textbox(
        label="One per line",
        placeholder="chair | seat\ntable\nfloor",
        lines=5,
        max_lines=10,
        elem_id="s4-prompts",
        info="A bar parts synonyms: sofa | couch. Shift+Enter or Find",
    )
    find = gr.Button("Find", variant="primary", elem_id="s4-find")
    with gr.Row(elem_classes="s4-grid"):
        examples = [
            (gr.Button(name, size="sm", min_width=110), text) for name, text in EXAMPLES.items()
        ]
        examples.append((gr.Button("All in this room", size="sm", min_width=110), ""))
    return prompts, find, examples


def _refine_controls() -> tuple[Any, Any, Any, Any, Any]:
    gr.HTML("<h3><span>3</span> Refine</h3>", js_on_load=None)
    threshold = gr.Slider(
        0, 0.95, value=0.3, step=0.05, label="Threshold", elem_id="s4-threshold",
        info="Less probable labels stay unlabelled",
    )  # fmt: skip
    negatives = gr.Textbox(
        label="Not these", placeholder="ceiling", lines=2, max_lines=4, elem_id="s4-negatives",
        info="Points that fit these better get no label",
    )  # fmt: skip
    tokenizer = gr.Radio(
        [(text, name) for name, text in events.TOKENIZERS.items()],
        value="superpoint", label="Tokenizer", elem_id="s4-tokenizer",
    )  # fmt: skip
    unit = unit_choice("s4-unit", "Known sizes help to tell things apart")
    return negatives, threshold, tokenizer, unit, up_choice("s4-up")


def _picture() -> tuple[dict[str, Any], Exchange]:
    with gr.Row(elem_id="s4-toolbar"):
        view = gr.Radio(
            list(VIEWS), value="Colours", show_label=False, container=False, scale=4,
            min_width=400, elem_id="s4-view",
        )  # fmt: skip
        heat = word_choice("Heatmap of", "s4-heat")
        scale = gr.Radio(
            list(SCALES), value=SCALES[0], label="Scale", visible=False, scale=1,
            min_width=148, elem_id="s4-scale",
        )  # fmt: skip
        cut = gr.Slider(
            5, 100, value=100, step=5, label="Cut above, %", scale=2, min_width=150,
            elem_id="s4-cut", buttons=[],
        )  # fmt: skip
    with gr.Row(equal_height=False):
        with gr.Column(scale=1, min_width=420):
            picture = canvas("s4-canvas", "pick", "edit")
            mailbox = gr.HTML(
                elem_id="s4-mailbox", visible="hidden", html_template="<i></i>",
                js_on_load="window.s4.mailbox('s4-canvas', props, watch);",
            )  # fmt: skip
            fallback = plot("s4-plot")
            caption = gr.HTML(elem_id="s4-caption", js_on_load=None)
        with gr.Column(scale=0, min_width=328, elem_id="s4-side"):
            why = gr.HTML(elem_id="s4-why", js_on_load=None)
            legend = gr.HTML(elem_id="s4-legend", js_on_load="window.s4.legend(element, trigger)")
            exchange = exchange_section()
            palette = gr.Dropdown(
                list(PALETTES), value=next(iter(PALETTES)), label="Colours of classes",
                elem_id="s4-palette", filterable=False,
            )  # fmt: skip
            stats = gr.HTML(elem_id="s4-stats", js_on_load=None)
    parts = {
        "canvas": picture, "mailbox": mailbox, "plot": fallback, "caption": caption,
        "legend": legend, "stats": stats,
        "palette": palette,
        "why": why, "view": view, "heat": heat, "scale": scale, "cut": cut,
    }  # fmt: skip
    return parts, exchange


def _wire_scene(
    app: App, page: Page, rooms: dict[str, Any], upload: Any, examples: list[tuple[Any, str]]
) -> None:
    def uploaded(path: str, handle: str, *values: Any) -> Iterator[list[Any]]:
        yield from long(events.open_file, app, path)(handle, *values)

    wire = {"outputs": page.outputs, "js": js(), "api_visibility": "private", **HEAVY}
    for kind, button in rooms.items():
        button.click(long(events.open_room, app, kind), page.inputs, **wire)
    upload.upload(uploaded, [upload, *page.inputs], **wire)
    for button, text in examples:
        button.click(long(events.example, app, text), page.inputs, **wire)
    page.tokenizer.input(long(events.choose_tokenizer, app), page.inputs, **wire)
    for told in (page.unit, page.up):
        told.input(long(events.tell, app), page.inputs, **wire)


def _wire_query(app: App, page: Page, find: Any) -> None:
    def clicked(event: gr.EventData, handle: str, *values: Any) -> list[Any]:
        data = event._data if isinstance(event._data, dict) else {}
        action, label, here = data.get("action"), data.get("label"), app.page(handle)

        def work() -> Screen:
            c = Controls.of(*values)
            if action in ("threshold", "best"):
                return events.tune(here, handle, action, label, data.get("value"), c)
            if action == "color":
                return events.recolor(here, handle, label, data.get("color"), c)
            return events.toggle(here, handle, action, label, c)

        return updates(guarded(work), values)

    def recoloured(_: str, handle: str, *values: Any) -> list[Any]:
        return quick(events.redraw, app)(handle, *values)

    def picked(event: gr.EventData, handle: str) -> list[Any]:
        screen = guarded(lambda: events.explain(app, handle, event._data))
        return [status_of(screen), gr.skip() if screen.why is None else screen.why]

    wire = {"outputs": page.outputs, "js": js(), "api_visibility": "private", **QUICK}
    gr.on(
        [find.click, page.prompts.submit, page.negatives.submit, page.threshold.release],
        quick(events.ask, app),
        page.inputs,
        trigger_mode="always_last",  # words that changed while an answer was on its way
        **wire,
    )
    gr.on(
        [page.view.input, page.heat.input, page.scale.input, page.cut.release],
        quick(events.redraw, app),
        page.inputs,
        trigger_mode="always_last",
        **wire,
    )
    page.again.change(quick(events.catch_up, app), page.inputs, trigger_mode="always_last", **wire)
    page.palette.input(
        recoloured,
        [page.palette, *page.inputs],
        page.outputs,
        js="(...a) => window.s4 ? window.s4.recoloured(a) : a",
        trigger_mode="always_last",
        api_visibility="private",
        **QUICK,
    )
    page.legend.click(clicked, page.inputs, trigger_mode="multiple", **wire)
    page.canvas.pick(
        picked,
        [page.handle],
        [page.status, page.why],
        trigger_mode="always_last",
        api_visibility="private",
        **QUICK,
    )


def _wire_edits(app: App, page: Page) -> None:
    def edited(event: gr.EventData, handle: str, *values: Any) -> list[Any]:
        number, here = edit_messages.parse_number(event._data), app.page(handle)

        def work() -> list[Any]:
            answer = edits.apply(here, handle, event._data)
            session = events.corrected(here, handle, here.store.get(handle))
            legend = panels.legend(session) + thresholds.block(here.store.get(handle))
            scene = gr.skip()
            if answer.get("refresh"):
                scene = events.redraw(here, handle, Controls.of(*values)).scene
            said = panels.status(answer["said"]) if answer["said"] else gr.skip()
            return [{**answer, "number": number}, said, legend, scene]

        done = guarded(work)
        if isinstance(done, Screen):  # refused: nothing has changed
            said = {"number": number, "error": done.status}
            return [said, status_of(done), gr.skip(), gr.skip()]
        return done

    page.canvas.edit(
        edited,
        page.inputs,
        [page.mailbox, page.status, page.legend, page.canvas],
        trigger_mode="multiple",
        api_visibility="private",
        **QUICK,
    )

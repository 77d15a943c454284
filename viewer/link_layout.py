"""Open what the page's own address asks for, in the view that was chosen last."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import gradio as gr

from viewer import events
from viewer.colors import PALETTES
from viewer.controls import SCALES, VIEWS, Controls
from viewer.guard import guarded, staged
from viewer.links import Link
from viewer.page import HEAVY, Page, updates
from viewer.shared import App


def remember(page: Page, ready: Any) -> Any:
    """Keep view, scale and palette in the browser, and take them back once the page is ready.

    Annotate is no view to come back to: it would take the right to correct from another page.
    """
    parts = {
        "view": (page.view, VIEWS[:-1]),
        "scale": (page.scale, SCALES),
        "palette": (page.palette, tuple(PALETTES)),
    }
    for name, (part, _) in parts.items():
        keep = f"v => window.s4 ? window.s4.keep('{name}', v) : []"
        part.input(None, part, None, js=keep, api_visibility="private")
    choices = json.dumps({name: list(possible) for name, (_, possible) in parts.items()})
    return ready.then(
        None,
        None,
        [part for part, _ in parts.values()],
        js=f"() => window.s4.remembered({choices})",
        api_visibility="private",
    )


def open_links(app: App, page: Page, ready: Any) -> None:
    """Wire the link in the address to what the page shows, once it is ready."""
    address = gr.Textbox(visible="hidden", elem_id="s4-address")

    def follow(address: str, handle: str, *values: Any) -> Iterator[list[Any]]:
        link = guarded(lambda: events.parse_link(app, address))
        if link is None:
            yield [gr.skip()] * len(page.outputs)
        elif not isinstance(link, Link):
            yield updates(link, values)
        else:
            look = Controls.of(*values).look
            c = link.controls
            sets = {"negatives": c.negatives, "threshold": c.threshold, "tokenizer": c.tokenizer}
            sets |= {"scale": c.scale, "cut": round(100 * c.cut)}
            for screen in staged(lambda report: events.open_link(app, handle, link, look, report)):
                yield updates(screen, values, **sets)

    ready.then(
        follow,
        [address, *page.inputs],
        page.outputs,
        js="(...a) => window.s4 ? window.s4.fromLink(a) : a",
        api_visibility="private",
        **HEAVY,
    )

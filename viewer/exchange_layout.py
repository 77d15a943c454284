"""Where labels leave as files and come back: a format to choose, a download, an upload."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gradio as gr

from viewer import exchange, panels
from viewer.controls import Controls
from viewer.events import Screen
from viewer.guard import guarded
from viewer.page import QUICK, Page, js, status_of, updates
from viewer.shared import App


@dataclass(frozen=True)
class Exchange:
    """Hold the components of the section."""

    kind: Any
    button: Any
    files: Any
    upload: Any


def exchange_section() -> Exchange:
    """Lay out the section below the legend."""
    with gr.Row(elem_id="s4-exchange"):
        kind = gr.Dropdown(
            [(f.title, name) for name, f in exchange.FORMATS.items()], value="ply",
            label="Format", show_label=False, container=False, min_width=150, scale=3,
            filterable=False, elem_id="s4-format",
        )  # fmt: skip
        button = gr.Button("Export", size="sm", min_width=64, scale=0, elem_id="s4-export")
        upload = gr.UploadButton(
            "Import…", size="sm", min_width=64, scale=0, file_count="multiple", elem_id="s4-import"
        )
    files = gr.File(
        label="Export", file_count="multiple", visible=False, interactive=False,
        elem_id="s4-files",
    )  # fmt: skip
    return Exchange(kind, button, files, upload)


def wire_exchange(app: App, page: Page, parts: Exchange) -> None:
    """Wire export and import."""
    root = Path(tempfile.mkdtemp(prefix="s4token-export-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)

    def run(handle: str, kind: str) -> list[Any]:
        done = guarded(lambda: exchange.export(app, handle, kind, root / str(handle)))
        if isinstance(done, Screen):
            return [status_of(done), gr.skip()]
        paths, said = done
        return [panels.status(said), gr.File([str(p) for p in paths], visible=True)]

    def load(paths: list[str], handle: str, *values: Any) -> list[Any]:
        done = guarded(lambda: exchange.load(app, handle, paths, Controls.of(*values)))
        if isinstance(done, Screen):
            return updates(done, values)
        screen, query = done
        if query is None:
            return updates(screen, values)
        words = {"prompts": "\n".join(query.prompts), "negatives": "\n".join(query.negatives)}
        return updates(screen, values, **words, threshold=query.threshold)

    written = parts.button.click(
        run,
        [page.handle, parts.kind],
        [page.status, parts.files],
        api_visibility="private",
        **QUICK,
    )
    written.then(
        None,
        js="() => document.getElementById('s4-files')?.scrollIntoView({block: 'nearest'})",
        api_visibility="private",
    )
    parts.upload.upload(
        load,
        [parts.upload, *page.inputs],
        page.outputs,
        js=js(),
        api_visibility="private",
        **QUICK,
    )

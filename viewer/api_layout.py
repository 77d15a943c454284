"""The endpoints that programs may call; every event of the page itself is private."""

from __future__ import annotations

import atexit
import shutil
import tempfile
from pathlib import Path
from typing import Any

import gradio as gr

from s4token import AXES, UNITS
from viewer import api
from viewer.events import TOKENIZERS, Screen
from viewer.guard import guarded
from viewer.page import HEAVY
from viewer.shared import App


def endpoints(app: App) -> None:
    """Declare ``/segment`` and ``/model``.

    They have components of their own, out of sight: those check that a file was uploaded and is
    no path on the server, which ``gr.api`` would not.
    """
    root = Path(tempfile.mkdtemp(prefix="s4token-api-"))
    atexit.register(shutil.rmtree, root, ignore_errors=True)

    def segment(
        scan: str, words: str, negatives: str, threshold: float, tokenizer: str, unit: str, up: str
    ) -> tuple[str, Any]:
        """Label an uploaded scan by words, one class per line."""
        for old in root.iterdir():  # Gradio has made its copy of the last answer
            shutil.rmtree(old, ignore_errors=True)
        found = guarded(
            lambda: api.segment(app, root, scan, words, negatives, threshold, tokenizer, unit, up)
        )
        if isinstance(found, Screen):
            raise gr.Error(found.status or "", print_exception=False)
        return str(found[0]), found[1]

    def model() -> Any:
        """Say which checkpoint and which CLIP answer."""
        return dict(app.model().description)

    with gr.Column(visible=False):
        scan = gr.File(label="scan", type="filepath")
        words = gr.Textbox(label="words, one per line; a bar parts synonyms")
        negatives = gr.Textbox("", label="words whose points stay unlabelled")
        threshold = gr.Number(0.3, label="least probability of a label, 0 to 0.99")
        tokenizer = gr.Radio(list(TOKENIZERS), value="superpoint", label="tokenizer")
        unit = gr.Dropdown(["", *UNITS], value="", label="unit of the coordinates")
        up = gr.Dropdown(list(AXES), value="z", label="axis against gravity")
        labelled = gr.File(label="labelled PLY")
        found = gr.JSON(label="classes with their points, and where they came from")
        gr.Button().click(
            segment,
            [scan, words, negatives, threshold, tokenizer, unit, up],
            [labelled, found],
            api_name="segment",
            **HEAVY,
        )
        gr.Button().click(model, None, found, api_name="model", show_progress="hidden")

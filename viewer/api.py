"""What programs may ask of a running app: the same steps as on the page, without a page."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

import s4token
from viewer import answers, events
from viewer.controls import Controls, number
from viewer.session import Session
from viewer.shared import App


def segment(
    app: App,
    folder: Path,
    scan: str | None,
    words: str,
    negatives: str = "",
    threshold: float = 0.3,
    tokenizer: str = "superpoint",
    unit: str = "",
    up: str = "z",
) -> tuple[Path, Mapping[str, Any]]:
    """Label an uploaded scan by words; returns a labelled PLY in ``folder`` and what was found.

    unit: of the coordinates, "" to estimate it; up: the axis against gravity. Corrections made on
    a page take no part.
    Raises ValueError naming what is wrong.
    """
    if not scan:
        raise ValueError("scan: upload a file, with gradio_client by handle_file(path).")
    path = Path(scan)
    threshold = number("threshold", threshold, 0.0, 0.99)
    c = Controls(
        str(words or ""), str(negatives or ""), threshold, str(tokenizer), unit=unit, up=up
    )
    query = c.query()  # before the slow part
    cloud = c.told(events.read_cloud(path))
    session = Session(path.name, cloud, tokenizer=c.tokenizer)
    session = answers.encoded(app, session, c.tokenizer, 1.0, answers.quiet)
    handle = app.store.open()
    try:  # the store knows whether there is room for it
        session, _ = app.store.update(handle, lambda _: session)
        session = answers.answered(app, session, query)
    finally:
        app.store.close(handle)
    assert session.cloud is not None and session.answer is not None
    folder = Path(tempfile.mkdtemp(dir=folder))
    out = folder / f"{path.stem[:60]}.labels.ply"
    s4token.write(out, session.cloud, session.answer)
    return out, summary(session)


def summary(session: Session) -> Mapping[str, Any]:
    """Return what was asked and found, JSON-ready."""
    answer, cloud = session.answer, session.cloud
    assert answer is not None and cloud is not None
    counts = np.bincount(answer.labels, minlength=len(answer.classes) + 1).tolist()
    names = ["unlabelled", *answer.classes]
    return {
        "scan": session.name,
        "points": len(cloud),
        "tokenizer": session.tokenizer,
        "tokens": len(session.layer.encoding.groups),
        "threshold": session.query.threshold,
        "negatives": list(session.query.negatives),
        "classes": [
            {
                "label": label,
                "prompt": name,
                "color": session.color(label),
                "points": counts[label],
                "percent": round(100 * counts[label] / len(cloud), 3),
            }
            for label, name in enumerate(names)
        ],
        "provenance": dict(answer.provenance),
    }

"""What the model says of a page's scan: encoded once per tokenizer, asked as often as one likes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from time import perf_counter

import s4token
from s4token import PointCloud
from viewer.session import Layer, Query, Session
from viewer.shared import App

Report = Callable[[float, str], None]


def quiet(fraction: float, stage: str) -> None:
    """Report progress to nobody."""


def encoded(app: App, session: Session, tokenizer: str, factor: float, report: Report) -> Session:
    """Return the session with the layer of (tokenizer, factor), encoded if it is missing."""
    if (tokenizer, factor) in session.layers:
        return session
    assert session.cloud is not None
    report(0.02, "Waiting for the model")
    model = app.model()
    if tokenizer not in model.tokenizers:
        raise ValueError(
            f"Tokenizer: this checkpoint has no {tokenizer!r:.40}; "
            f"choose one of {', '.join(model.tokenizers)}."
        )
    cloud: PointCloud = session.cloud if factor == 1 else session.cloud.scaled(factor)
    start = perf_counter()
    encoding = model.encode(
        cloud, tokenizer=tokenizer, progress=lambda f, s: report(0.05 + 0.85 * f, s)
    )
    if not encoding.seconds:
        encoding = replace(encoding, seconds={"encode": perf_counter() - start})
    report(0.95, "preparing answers")
    # The first query pays for what all later ones share; let it be paid here.
    s4token.point_tokens(cloud, encoding.groups)
    return session.with_layers({(tokenizer, factor): Layer(encoding)})


def unless_changed(now: Session, before: Session, after: Session) -> Session:
    """Return ``after``; ValueError when another event replaced scan or tokenizer meanwhile.

    A superpoint that was clicked meanwhile stays clicked, unless its layer is gone.
    """
    if now.cloud is not before.cloud or now.tokenizer != before.tokenizer:
        raise ValueError("Scan: another one was opened meanwhile; this answer was dropped.")
    same = after.layers.get((now.tokenizer, 1.0)) is now.layer and after.tokenizer == now.tokenizer
    return replace(after, picked=now.picked if same else None)


def answer_of(app: App, layer: Layer, query: Query) -> s4token.Segmentation:
    """Return the answer to a query on a layer."""
    return s4token.segment(
        app.model(),
        layer.encoding,
        query.prompts,
        negatives=query.negatives,
        threshold=query.thresholds,
    )


def answered(app: App, session: Session, query: Query) -> Session:
    """Return the session with the answer to a query."""
    answer = answer_of(app, session.layer, query)
    same = answer.classes == session.query.prompts
    return replace(
        session, query=query, answer=answer, hidden=session.hidden if same else frozenset()
    )

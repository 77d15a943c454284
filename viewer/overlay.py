"""What a person did to a scan, laid over what the model says of it."""

from __future__ import annotations

import weakref
from dataclasses import replace

import numpy as np

from s4token import Groups
from viewer.corrections import Corrections
from viewer.session import Layer, Session
from viewer.shared import App

_refined: weakref.WeakKeyDictionary[Layer, tuple[Corrections, int, Layer]] = (
    weakref.WeakKeyDictionary()
)
"""By layer: whose splits, how often they had changed, and the layer that came of it."""


def refined(layer: Layer, piece: np.ndarray) -> Layer:
    """Cut superpoints into the pieces that a person asked for; piece: (N,), 0 = whole.

    Superpoints keep their numbers, the first piece that of its superpoint; the others come last.
    Pieces have the feature of the superpoint that they were.
    """
    encoding, token = layer.encoding, layer.nearest.astype(np.int64)
    width = int(piece.max()) + 1
    found, where = np.unique(token * width + piece, return_inverse=True)
    parent = found // width
    leads = np.diff(parent, prepend=-1) > 0
    number = np.where(leads, parent, len(encoding.groups) - 1 + np.cumsum(~leads))
    groups = Groups.from_labels(number[where])
    features = encoding.features[parent[np.argsort(number)]]
    return Layer(replace(encoding, groups=groups, features=features))


def divided(app: App, handle: str, session: Session) -> Session:
    """Return the session with its superpoints split as a person asked; others are left alone."""
    found, layer = app.desk.get(handle), session.layer
    if found is None or not found.pieces or not layer.encoding.groups.is_partition:
        return session
    kept = _refined.get(layer)
    if kept is None or kept[0] is not found or kept[1] != found.cuts:
        kept = _refined[layer] = (found, found.cuts, refined(layer, found.piece))
    fine = kept[2]
    session = session.with_layers({(session.tokenizer, 1.0): fine})
    if session.answer is None:
        return session
    first = fine.encoding.groups.index[fine.encoding.groups.offsets[:-1]]
    parent, answer = layer.nearest[first], session.answer
    rows = {
        name: values[parent]
        for name in ("scores", "probability")
        if (values := getattr(answer, name)) is not None
    }
    return replace(session, answer=replace(answer, superpoints=fine.nearest, **rows))


def corrected(app: App, handle: str, session: Session) -> Session:
    """Return the session with splits and corrections in it, as legend, pictures and export show."""
    found = app.desk.get(handle)
    if found is None:
        return session
    session = divided(app, handle, session)
    return replace(session, answer=found.over(session.answer))


def protected(session: Session) -> np.ndarray:
    """Return which points no edit may change, (N,) bool: those of locked and hidden classes."""
    assert session.cloud is not None
    if session.answer is None:
        return np.zeros(len(session.cloud), dtype=bool)
    names = ("unlabelled", *session.answer.classes)
    out = np.array([n in session.locked or i in session.hidden for i, n in enumerate(names)])
    return out[session.answer.labels]

"""What to correct next: superpoints that look alike, and those of which the model is least sure."""

from __future__ import annotations

import math

import numpy as np

from viewer.corrections import FIRST, NONE, Corrections
from viewer.overlay import protected
from viewer.session import Session

MOST_PROPOSED = 0.05
"""Share of the superpoints that one proposal may name."""


def propose(session: Session, found: Corrections, label: str) -> np.ndarray:
    """Return the superpoints that look like those corrected to a class, (K,) ids.

    Corrected superpoints are prototypes: the mean feature of each class. Proposed are those that
    nobody corrected yet and that are nearer to this class's prototype than to any other's: the
    most similar ones, at most a twentieth of all. Raises ValueError without a prototype.
    """
    features, count = session.layer.encoding.features, len(session.layer.encoding.groups)
    width = FIRST + len(found.names)
    votes = np.bincount(
        session.layer.nearest.astype(np.int64) * width + found.own, minlength=count * width
    ).reshape(count, width)
    value = votes.argmax(axis=1)
    mine = FIRST + found.names.index(label) if label in found.names else -1
    if not (value == mine).any():
        raise ValueError(f"Propose: first label a superpoint as {label}; what looks like it comes.")
    known = [v for v in np.unique(value) if v >= FIRST]
    means = np.stack([features[value == v].mean(axis=0) for v in known])
    cosine = features @ (means / np.linalg.norm(means, axis=1, keepdims=True)).T
    nearest = np.asarray(known)[cosine.argmax(axis=1)] == mine
    could = np.flatnonzero((value == 0) & nearest)
    order = np.argsort(-cosine[could, known.index(mine)], kind="stable")
    return np.sort(could[order[: math.ceil(MOST_PROPOSED * count)]])


def doubtful(session: Session, found: Corrections) -> tuple[np.ndarray, np.ndarray]:
    """Return superpoints by how much doubt they hold, most first, (M,); and which are to do, (M,).

    The doubt of a superpoint is the sum over its points of one minus the probability of their best
    word (least confidence, Lewis and Gale 1994): how many points of it one would expect to be
    wrong, so large superpoints come before small ones. To do are those most of whose points
    nobody corrected, and that no lock or hiding keeps. Raises ValueError without an answer.
    """
    answer = session.answer
    if answer is None or not answer.classes or not session.query.prompts:
        raise ValueError("Next: type words and press Find first; it goes by their scores.")
    token, count = session.layer.nearest, len(session.layer.encoding.groups)
    doubt = np.bincount(token, 1.0 - answer.confidence, minlength=count)
    done = (found.own != NONE) | protected(session)
    sizes = np.bincount(token, minlength=count)
    todo = (2 * np.bincount(token, done, minlength=count) < sizes) & (sizes > 0)
    return np.argsort(-doubt, kind="stable"), todo


def following(session: Session, found: Corrections, after: int) -> int | None:
    """Return the superpoint to look at after another one, -1 for the first; None when all is done.

    After the last one the first comes again.
    """
    order, todo = doubtful(session, found)
    left = order[todo[order]]
    if not len(left):
        return None
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    later = left[place[left] > place[after]] if after >= 0 else left
    return int(later[0] if len(later) else left[0])

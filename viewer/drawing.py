"""The open scan as a picture: a scene for WebGL2, or a Plotly figure for a browser without it."""

from __future__ import annotations

import numpy as np
import plotly.graph_objects as go

from viewer import figures, panels
from viewer.controls import Controls
from viewer.session import Session


def visible_points(session: Session, cut: float) -> np.ndarray:
    """Return the indices of points that neither the legend nor the height cut hides."""
    assert session.cloud is not None
    mask = np.ones(len(session.cloud), dtype=bool)
    if session.hidden and session.answer is not None:
        mask &= ~np.isin(session.answer.labels, list(session.hidden))
    if cut < 1:
        height = session.cloud.points @ session.cloud.up.astype(session.cloud.points.dtype)
        mask &= height <= height.min() + cut * (height.max() - height.min())
    return np.flatnonzero(mask)


def draw(
    session: Session, c: Controls, limit: int = figures.MAX_POINTS
) -> tuple[go.Figure, int, int]:
    """Draw a session; returns the figure, how many points it shows, and of how many visible."""
    assert session.cloud is not None
    layer, cloud, answer = session.layer, session.cloud, session.answer
    visible = visible_points(session, c.cut)
    index = visible[figures.sample_tokens(layer.token[visible], limit)] if len(visible) else visible
    frame = figures.make_frame(cloud.points, index, cloud.up, c.look)
    if not len(index):
        return figures.empty_figure(frame), 0, 0
    if c.view == "Superpoints":
        figure = figures.superpoints_figure(frame, layer.token, layer.shade)
    elif c.view == "Tokens":
        figure = _draw_tokens(session, frame, c)
    elif c.view == "Heatmap" and answer is not None and c.heat is not None:
        column = answer.scores[:, answer.classes.index(c.heat)]
        figure = figures.heatmap_figure(frame, column[answer.superpoints], c.heat)
    elif c.view == "Labels" and answer is not None:
        figure = figures.labels_figure(frame, answer.labels, answer.classes, session.color)
    else:
        figure = figures.colors_figure(frame, cloud.colors)
    return figure, len(index), len(visible)


def _draw_tokens(session: Session, frame: figures.Frame, c: Controls) -> go.Figure:
    """Draw token centres; with an answer in the colour of the token's best class."""
    assert session.cloud is not None
    layer = session.layer
    low = session.cloud.points.min(axis=0).astype(np.float64)
    longest = float((session.cloud.points.max(axis=0).astype(np.float64) - low).max()) or 1.0
    paint, names = panels.token_paint(session)
    keep = panels.shown_tokens(session, c.cut)
    return figures.tokens_figure(
        frame,
        (layer.centers[keep] - low) / longest,
        layer.extent[keep] / longest,
        [paint[m] for m in keep],
        [names[m] for m in keep],
    )

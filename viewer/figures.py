"""From values to Plotly figures: pure functions, at most ``MAX_POINTS`` points each."""

from __future__ import annotations

import html
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import plotly.graph_objects as go

from viewer import colors

MAX_POINTS = 30_000
"""Plotly draws every point as a mesh of its own; beyond this a browser slows to a crawl."""

Camera = Mapping[str, Any]


@dataclass(frozen=True)
class Look:
    """Hold how the reader looks at a panel.

    camera: Plotly's, None = the default; dark: the theme; plotly: the browser has no WebGL2;
    palette: name of one in ``colors.PALETTES``, None = the one there is.
    """

    camera: Camera | None = None
    dark: bool = False
    plotly: bool = False
    palette: str | None = None


@dataclass(frozen=True, eq=False)
class Frame:
    """Hold the drawn sample of a cloud.

    index: (S,) point indices; points: (S, 3) float32 in [0, 1], the longest side being 1, so that
    a picture does not depend on the scan's units; size: (3,) sides of the box; up: (3,).
    """

    index: np.ndarray
    points: np.ndarray
    size: np.ndarray
    up: np.ndarray
    look: Look = Look()


def sample_tokens(token: np.ndarray, limit: int = MAX_POINTS) -> np.ndarray:
    """Choose at most ``limit`` points so that every token keeps at least one.

    token: (N,) token of each point, -1 for none (which counts as a token). Returns sorted (S,)
    indices; all of them when N <= limit. Evenly spaced within a token, hence deterministic.
    """
    token = np.asarray(token)
    if len(token) <= limit:
        return np.arange(len(token))
    order = np.argsort(token, kind="stable")
    sizes = np.bincount(token + 1)
    sizes = sizes[sizes > 0]
    starts = np.concatenate([[0], np.cumsum(sizes)[:-1]])
    if len(sizes) > limit:  # more tokens than may be drawn: one point of every n-th token
        keep = np.linspace(0, len(sizes) - 1, limit).astype(int)
        return np.sort(order[starts[keep]])
    share = (limit - len(sizes)) / (len(token) - len(sizes))
    exact = (sizes - 1) * share
    quota = 1 + np.floor(exact).astype(int)
    rest = np.argsort(np.floor(exact) - exact, kind="stable")[: limit - int(quota.sum())]
    quota[rest] += 1  # what rounding down left over goes to the largest remainders
    row = np.repeat(np.arange(len(sizes)), quota)
    rank = np.arange(len(row)) - np.repeat(np.cumsum(quota) - quota, quota)
    place = np.floor((rank + 0.5) * sizes[row] / quota[row]).astype(int)
    return np.sort(order[starts[row] + place])


def make_frame(points: np.ndarray, index: np.ndarray, up: np.ndarray, look: Look) -> Frame:
    """Cut the sample ``index`` out of (N, 3) ``points`` and bring it into the unit box."""
    low = points.min(axis=0).astype(np.float64)
    size = points.max(axis=0).astype(np.float64) - low
    longest = float(size.max()) or 1.0
    unit = ((points[index].astype(np.float64) - low) / longest).astype(np.float32)
    return Frame(index, unit, np.maximum(size / longest, 0.02), np.asarray(up), look)


def default_camera(up: np.ndarray) -> dict[str, Any]:
    """Return a camera that looks down on the scan from a corner."""
    up = np.asarray(up, dtype=np.float64)
    side = np.eye(3)[int(np.argmin(np.abs(up)))]
    across = np.cross(up, side)
    across /= np.linalg.norm(across)
    eye = 1.5 * up - 0.75 * across + 0.6 * np.cross(across, up)
    name = lambda v: dict(zip("xyz", (float(x) for x in v), strict=True))  # noqa: E731
    return {"eye": name(eye), "center": name(-0.05 * up), "up": name(up)}


def _markers(frame: Frame, pick: Any, marker: dict[str, Any], hover: str | None) -> go.Scatter3d:
    points = frame.points[pick]
    return go.Scatter3d(
        x=points[:, 0],
        y=points[:, 1],
        z=points[:, 2],
        mode="markers",
        marker={"symbol": "square", "line": {"width": 0}, **marker},
        hoverinfo="skip" if hover is None else None,
        hovertemplate=None if hover is None else hover + "<extra></extra>",
        showlegend=False,
    )


def point_size(count: int) -> float:
    """Return the marker size in pixels at which ``count`` points make a surface."""
    return float(np.clip(560 / np.sqrt(max(count, 1)), 2.2, 7.0))


def _figure(frame: Frame, traces: Sequence[go.Scatter3d]) -> go.Figure:
    axis = lambda side: {"visible": False, "range": [-0.005, side + 0.005]}  # noqa: E731
    size = frame.size
    return go.Figure(
        data=list(traces),
        layout={
            "autosize": True,
            "margin": {"l": 0, "r": 0, "t": 0, "b": 0},
            "paper_bgcolor": "rgba(0,0,0,0)",
            "font": {"family": "system-ui, sans-serif", "color": ink(frame.look.dark)},
            "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": "#8A94A6", "activecolor": "#3B82F6"},
            "hoverlabel": {"font": {"family": "system-ui, sans-serif"}},
            "scene": {
                "xaxis": axis(size[0]),
                "yaxis": axis(size[1]),
                "zaxis": axis(size[2]),
                "aspectmode": "manual",
                "aspectratio": dict(zip("xyz", (0.92 * size).tolist(), strict=True)),
                "camera": dict(frame.look.camera or default_camera(frame.up)),
                "dragmode": "turntable",
            },
        },
    )


def empty_figure(frame: Frame) -> go.Figure:
    """Draw nothing, with the camera kept: everything is hidden."""
    return _figure(frame, [_markers(frame, slice(0, 0), {}, None)])


def ink(dark: bool) -> str:
    """Return the text colour of a figure."""
    return "#E5E7EB" if dark else "#1F2937"


def colors_figure(frame: Frame, rgb: np.ndarray | None) -> go.Figure:
    """Draw the scan's own colours; (N, 3) in [0, 1], or None: shaded by height."""
    size = point_size(len(frame.index))
    if rgb is None:
        height = (frame.points @ frame.up.astype(np.float32)).astype(np.float32)
        marker = {"size": size, "color": height, "colorscale": "Greys", "reversescale": True}
        low, high = float(height.min()), float(height.max())
        pad = max(high - low, 1e-6) * 0.4  # keep both ends away from the page's own colour
        return _figure(
            frame,
            [_markers(frame, slice(None), {**marker, "cmin": low - pad, "cmax": high + pad}, None)],
        )
    shades = colors.quantize(rgb[frame.index])
    return _figure(
        frame, [_markers(frame, slice(None), _indexed(shades.index, shades.palette, size), None)]
    )


def _indexed(index: np.ndarray, palette: Sequence[str], size: float) -> dict[str, Any]:
    return {
        "size": size,
        "color": index,
        "colorscale": colors.step_scale(tuple(palette)),
        "cmin": 0,
        "cmax": max(len(palette) - 1, 1),
        "showscale": False,
    }


def superpoints_figure(frame: Frame, token: np.ndarray, shade: np.ndarray) -> go.Figure:
    """Draw every token in a colour that its neighbours do not have.

    token: (N,) token of each point or -1 (drawn small and grey: no token holds it);
    shade: (M,) palette index per token.
    """
    mine = token[frame.index]
    size = point_size(len(mine))
    inside = mine >= 0
    traces = []
    if inside.any():
        trace = _markers(
            frame,
            inside,
            _indexed(shade[mine[inside]], colors.CLASSES, size),
            "token %{customdata}",
        )
        traces.append(trace.update(customdata=mine[inside].astype(np.int32)))
    if not inside.all():
        faint = {"size": max(size * 0.6, 1.6), "color": colors.UNLABELLED, "opacity": 0.35}
        traces.append(_markers(frame, ~inside, faint, "in no token"))
    return _figure(frame, traces)


def tokens_figure(
    frame: Frame,
    centers: np.ndarray,
    extent: np.ndarray,
    paint: Sequence[str],
    names: Sequence[str],
) -> go.Figure:
    """Draw token centres as discs over a faint scan.

    centers: (M, 3) in the frame's unit box; extent: (M,) radius there, which sizes the discs;
    paint: M hex colours; names: M hover texts (plain text).
    """
    veil = {"size": 1.6, "color": colors.UNLABELLED, "opacity": 0.25}
    step = max(1, len(frame.index) // 10_000)
    size = np.clip(np.asarray(extent) * 420, 4, 44).astype(np.float32)
    discs = go.Scatter3d(
        **dict(zip("xyz", np.asarray(centers, dtype=np.float32).T, strict=True)),
        mode="markers",
        marker={
            "symbol": "circle",
            "size": size,
            "color": list(paint),
            "opacity": 0.85,
            "line": {"width": 0},
        },
        text=[html.escape(name) for name in names],
        hovertemplate="%{text}<extra></extra>",
        showlegend=False,
    )
    return _figure(frame, [_markers(frame, slice(None, None, step), veil, None), discs])


def heatmap_figure(frame: Frame, score: np.ndarray, prompt: str) -> go.Figure:
    """Draw how similar every point's token is to one prompt; score: (N,) cosine."""
    mine = np.asarray(score)[frame.index].astype(np.float32)
    low, high = (float(v) for v in np.quantile(mine, [0.02, 0.99]))
    high = max(high, low + 1e-4)
    bar = {
        "title": {"text": html.escape(_short(prompt)), "side": "right"},
        "thickness": 12,
        "len": 0.6,
        "x": 0.99,
        "xanchor": "right",
        "outlinewidth": 0,
        "tickformat": ".2f",
    }
    marker = {
        "size": point_size(len(mine)),
        "color": mine,
        "colorscale": colors.HEATMAP,
        "cmin": low,
        "cmax": high,
        "showscale": True,
        "colorbar": bar,
    }
    return _figure(frame, [_markers(frame, slice(None), marker, "cosine %{marker.color:.3f}")])


def labels_figure(
    frame: Frame, labels: np.ndarray, classes: Sequence[str], paint: Callable[[int], str]
) -> go.Figure:
    """Draw one trace per class that is present; labels: (N,), 0 = unlabelled."""
    mine = np.asarray(labels)[frame.index]
    size = point_size(len(mine))
    traces = []
    for label in np.unique(mine).tolist():
        name = str(classes[label - 1]) if label else "unlabelled"
        marker = {"size": size, "color": paint(label)}
        if label == 0:
            marker |= {"size": max(size * 0.7, 1.6), "opacity": 0.5}
        traces.append(_markers(frame, mine == label, marker, html.escape(_short(name, 60))))
    return _figure(frame, traces)


def _short(text: str, most: int = 32) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"

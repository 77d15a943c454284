"""From a session to what the browser draws: numbers per superpoint."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from plotly import colors as plotly_colors

from s4token import Segmentation
from viewer import colors, panels
from viewer.controls import Controls
from viewer.files import Files
from viewer.session import Session

MODES = {"Colours": "colours", "Tokens": "tokens"}
"""How points are drawn in each view; all others take colours from the palette."""
STEPS = 32
"""Colours that stand for a colour scale."""

Scene = dict[str, Any]


def text(array: np.ndarray) -> str:
    """Return an array's bytes as base64."""
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode("ascii")


def rgb(hex_colors: Sequence[str]) -> np.ndarray:
    """Return (K, 3) uint8 of colours written #RRGGBB."""
    values = [[int(c[i : i + 2], 16) for i in (1, 3, 5)] for c in hex_colors]
    return np.array(values, dtype=np.uint8).reshape(-1, 3)


def _scale(name: str) -> np.ndarray:
    """Return a colour scale as (256, 3) uint8."""
    stops = plotly_colors.get_colorscale(name)
    at, shade = [s[0] for s in stops], rgb([_hex(s[1]) for s in stops])
    place = np.linspace(0, 1, 256)
    return np.stack([np.interp(place, at, shade[:, c]) for c in range(3)], axis=1).astype(np.uint8)


def _hex(color: str) -> str:
    if color.startswith("#"):
        return color
    return "#{:02X}{:02X}{:02X}".format(*plotly_colors.unlabel_rgb(color))


HEAT = _scale(colors.HEATMAP)


def heat_range(answer: Segmentation, column: int, scale: str) -> tuple[float, float]:
    """Return the cosines at both ends of the colour scale.

    raw: the same for every prompt, from the lowest to the highest cosine of all; normalised: those
    of this prompt, without the outermost percents.
    """
    scores = answer.scores
    if scale == "raw":
        low, high = float(np.nanmin(scores)), float(np.nanmax(scores))
    else:
        low, high = (float(v) for v in np.quantile(scores[:, column], [0.02, 0.99]))
    return low, max(high, low + 1e-4)


def heat_bar(answer: Segmentation, column: int, scale: str) -> dict[str, Any]:
    """Return the colour bar of a heatmap."""
    low, high = heat_range(answer, column, scale)
    steps = HEAT[np.linspace(0, 255, STEPS).astype(int)]
    name = answer.classes[column]
    return {
        "title": name if len(name) <= 32 else f"{name[:31]}…",
        "low": f"{low:.3f}",
        "high": f"{high:.3f}",
        "colors": ["#{:02X}{:02X}{:02X}".format(*c) for c in steps],
    }


def paint(session: Session, labels: np.ndarray, c: Controls) -> np.ndarray:
    """Return the colour of every superpoint in a view, (M, 4) uint8; alpha 0: hidden.

    labels: (M,) label of each superpoint.
    """
    answer, layer = session.answer, session.layer
    out = np.full((len(labels), 4), 255, dtype=np.uint8)
    if c.view == "Superpoints" or (answer is None and c.view != "Labels"):
        out[:, :3] = rgb(colors.CLASSES)[layer.shade]
    elif answer is None:
        out[:, :3] = rgb([session.color(0)])
    elif c.view == "Heatmap" and c.heat is not None:
        column = answer.classes.index(c.heat)
        low, high = heat_range(answer, column, c.scale)
        share = np.clip((answer.scores[:, column] - low) / (high - low), 0, 1)
        out[:, :3] = HEAT[np.rint(255 * share).astype(int)]
    else:
        out[:, :3] = rgb([session.color(i) for i in range(len(answer.classes) + 1)])[labels]
    if session.hidden:
        out[np.isin(labels, list(session.hidden)), 3] = 0
    return out


def panel(files: Files, session: Session, c: Controls, title: str = "") -> Scene:
    """Return one panel: whose superpoints, in which colours, and what a hover says."""
    assert session.cloud is not None
    layer, answer = session.layer, session.answer
    packed, labels = files.cloud(session.cloud), panels.token_labels(session)
    spec: Scene = {
        "title": title,
        "mode": "colours"
        if c.view == "Annotate" and answer is None
        else MODES.get(c.view, "palette"),
        "tokens": files.tokens(layer, packed.order),
        "palette": text(paint(session, labels, c)),
        "names": [],
    }
    if answer is not None:
        spec["names"] = ["unlabelled", *answer.classes]
        spec["labels"] = text(labels.astype("<u2"))
    if c.view == "Heatmap" and answer is not None and c.heat is not None:
        column = answer.classes.index(c.heat)
        spec["scores"] = text(answer.scores[:, column].astype("<f4"))
        spec["bar"] = heat_bar(answer, column, c.scale)
    if c.view == "Tokens":
        spec["discs"] = text(discs(files, session))
    return spec


def discs(files: Files, session: Session) -> np.ndarray:
    """Return centre and radius of every token in the frame of the file, (M, 4) float32."""
    assert session.cloud is not None
    packed, layer = files.cloud(session.cloud), session.layer
    factor = session.factor
    center = layer.centers / factor - packed.center
    return np.c_[center, layer.extent / factor].astype("<f4")


def scene(files: Files, session: Session, shown: Sequence[Mapping[str, Any]], c: Controls) -> Scene:
    """Return everything that the browser needs to draw panels of the open scan."""
    cloud = session.cloud
    assert cloud is not None
    packed = files.cloud(cloud)
    height = (cloud.points.astype(np.float64) - packed.center) @ cloud.up if c.cut < 1 else None
    limit = None
    if height is not None:
        limit = float(height.min() + c.cut * np.ptp(height))
    return {
        "cloud": {
            "key": packed.key,
            "file": files.reference(packed.key),
            "count": len(cloud),
            "name": session.name,
            # By which the browser knows that it is the same place, told another unit.
            "home": f"{session.name}:{len(cloud)}:{packed.radius!r}:{cloud.up.tolist()}",
            "up": cloud.up.tolist(),
            "radius": packed.radius,
            "spacing": packed.spacing,
        },
        "panels": list(shown),
        "cut": limit,
        "units": session.factor,
        "legend": legend(session) if c.view in ("Labels", "Tokens", "Annotate") else [],
        "describes": f"{session.name}: {len(cloud):,} points, {c.view}",
    }


def legend(session: Session) -> list[Mapping[str, str]]:
    """Return names and colours of the classes, for pictures."""
    if session.answer is None:
        return []
    names = [*enumerate(session.answer.classes, 1), (0, "unlabelled")]
    return [{"name": name, "color": session.color(label)} for label, name in names]

"""Palettes that a colour-blind reader can tell apart, and how colours reach Plotly as numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

OKABE_ITO = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7")
"""Okabe & Ito (2008) without its black, which a dark page swallows."""

UNLABELLED = "#9AA0A6"
HEATMAP = "Cividis"

Scale = list[tuple[float, str]]


def _mix(color: str, other: str, share: float) -> str:
    a, b = (np.array([int(c[i : i + 2], 16) for i in (1, 3, 5)]) for c in (color, other))
    return "#{:02X}{:02X}{:02X}".format(*np.rint(a * (1 - share) + b * share).astype(int))


CLASSES = (
    *OKABE_ITO,
    *(_mix(c, "#FFFFFF", 0.5) for c in OKABE_ITO),
    *(_mix(c, "#000000", 0.45) for c in OKABE_ITO),
)
"""21 colours: the seven hues, then a light and a dark version of each."""


def label_color(label: int) -> str:
    """Return the colour of a label: grey for 0, then the palette, repeating after 21."""
    return UNLABELLED if label <= 0 else CLASSES[(label - 1) % len(CLASSES)]


def step_scale(palette: tuple[str, ...]) -> Scale:
    """Return a Plotly colorscale that maps 0 .. len-1 (cmin, cmax) exactly to ``palette``."""
    if len(palette) == 1:
        return [(0.0, palette[0]), (1.0, palette[0])]
    return [(i / (len(palette) - 1), color) for i, color in enumerate(palette)]


def neighbour_colors(centers: np.ndarray, count: int = len(CLASSES), near: int = 8) -> np.ndarray:
    """Choose one palette index per token so that close tokens differ.

    centers: (M, 3). Returns (M,) int16 in [0, count). Greedy and deterministic: every token takes
    the colour that its ``near`` nearest, already coloured tokens use least, ties by its own id.
    """
    chosen = np.full(len(centers), -1, dtype=np.int16)
    for m, center in enumerate(centers):
        distance = ((centers[:m] - center) ** 2).sum(axis=1)
        close = np.argsort(distance, kind="stable")[:near]
        used = np.bincount(chosen[close], minlength=count) if m else np.zeros(count)
        preference = (np.arange(count) - m) % count
        chosen[m] = np.lexsort((preference, used))[0]
    return chosen


@dataclass(frozen=True, eq=False)
class Quantized:
    """Hold colours as numbers: index (S,) uint8 into ``palette``, at most 256 hex colours."""

    index: np.ndarray
    palette: tuple[str, ...]


def quantize(colors: np.ndarray) -> Quantized:
    """Reduce (S, 3) sRGB in [0, 1] to at most 256 colours.

    Plotly takes numbers with a colorscale some thirty times faster than rgb() strings.
    """
    row = np.rint(np.asarray(colors) * 255).astype(np.uint8)[None]
    image = Image.fromarray(row).quantize(256, method=Image.Quantize.MEDIANCUT, kmeans=1)
    flat = (image.getpalette() or [0, 0, 0])[: 256 * 3]
    index = np.asarray(image, dtype=np.uint8)[0]
    triples = np.array(flat).reshape(-1, 3)[: int(index.max()) + 1]
    return Quantized(index, tuple("#{:02X}{:02X}{:02X}".format(*t) for t in triples))

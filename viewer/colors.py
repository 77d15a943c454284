"""Palettes that a colour-blind reader can tell apart, and how colours reach Plotly as numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from PIL import Image

OKABE_ITO = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#0072B2", "#D55E00", "#CC79A7")
"""Okabe & Ito (2008) without its black, which a dark page swallows."""

TOL = (
    "#CC6677", "#332288", "#DDCC77", "#117733", "#88CCEE", "#882255", "#44AA99", "#999933",
    "#AA4499",
)  # fmt: skip
"""Tol's muted scheme (SRON/EPS/TN/09-002, 2021), for nine classes."""

OKLAB_LMS = (
    (0.4122214708, 0.5363325363, 0.0514459929),
    (0.2119034982, 0.6806995451, 0.1073969566),
    (0.0883024619, 0.2817188376, 0.6299787005),
)
OKLAB = (
    (0.2104542553, 0.7936177850, -0.0040720468),
    (1.9779984951, -2.4285922050, 0.4505937099),
    (0.0259040371, 0.7827717662, -0.8086757660),
)
"""Matrices from linear sRGB to cones, and from their cube roots to lightness and two hues."""

UNLABELLED = "#9AA0A6"
HEATMAP = "Cividis"

Scale = list[tuple[float, str]]


def _mix(color: str, other: str, share: float) -> str:
    a, b = (np.array([int(c[i : i + 2], 16) for i in (1, 3, 5)]) for c in (color, other))
    return "#{:02X}{:02X}{:02X}".format(*np.rint(a * (1 - share) + b * share).astype(int))


def _in_shades(hues: tuple[str, ...]) -> tuple[str, ...]:
    """Return hues, then a light and a dark version of each."""
    light, dark = (
        tuple(_mix(c, *how) for c in hues) for how in (("#FFFFFF", 0.5), ("#000000", 0.45))
    )
    return (*hues, *light, *dark)


def _far_apart(count: int) -> tuple[str, ...]:
    """Choose colours one after the other, each as far as can be from all before it.

    Distances are those of Oklab (Ottosson 2020); the grey of what has no label counts as chosen,
    and what a light or a dark page swallows is left out.
    """
    level = np.linspace(0, 255, 12).round()
    rgb = np.stack(np.meshgrid(level, level, level), axis=-1).reshape(-1, 3)
    grey = np.array([int(UNLABELLED[i : i + 2], 16) for i in (1, 3, 5)])
    share = np.concatenate([grey[None], rgb]) / 255
    linear = np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)
    lab = np.cbrt(linear @ np.array(OKLAB_LMS).T) @ np.array(OKLAB).T
    usable = (lab[1:, 0] > 0.35) & (lab[1:, 0] < 0.92)
    nearest = np.where(usable, ((lab[1:] - lab[0]) ** 2).sum(axis=1), -1)
    chosen = []
    for _ in range(count):
        chosen.append(int(nearest.argmax()))
        nearest = np.minimum(nearest, ((lab[1:] - lab[1 + chosen[-1]]) ** 2).sum(axis=1))
    return tuple("#{:02X}{:02X}{:02X}".format(*rgb[i].astype(int)) for i in chosen)


CLASSES = _in_shades(OKABE_ITO)
"""21 colours: the seven hues, then a light and a dark version of each."""

PALETTES = {"Okabe-Ito": CLASSES, "Tol": _in_shades(TOL), "64 colours": _far_apart(64)}
"""Colours of classes by name, the first the default; the last are as many as a page asks words."""


def label_color(label: int, palette: str = "Okabe-Ito") -> str:
    """Return the colour of a label: grey for 0, then those of a palette, again and again."""
    chosen = PALETTES[palette]
    return UNLABELLED if label <= 0 else chosen[(label - 1) % len(chosen)]


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

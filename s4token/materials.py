"""Procedural surfaces of synthetic things: palettes, patterns and their evaluation at points."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

Color = tuple[float, float, float]
Rng = np.random.Generator

PATTERNS = (
    "plain",
    "wood",
    "fabric",
    "stripes",
    "tile",
    "brick",
    "carpet",
    "picture",
    "marble",
    "rug",
    "leaf",
    "planks",
    "checks",
)


@dataclass(frozen=True)
class Material:
    """Hold a surface: two or three sRGB colours, a pattern and its feature size in metres."""

    color: Color
    second: Color = (0.5, 0.5, 0.5)
    third: Color = (0.5, 0.5, 0.5)
    pattern: str = "plain"
    scale: float = 0.1
    contrast: float = 1.0


def pick(rng: Rng, *options):
    """Return one of the options."""
    return options[int(rng.integers(len(options)))]


def _rgb(text: str) -> Color:
    return tuple(int(text[i : i + 2], 16) / 255 for i in (0, 2, 4))  # type: ignore[return-value]


def palette(text: str) -> list[Color]:
    """Return the colours of hexadecimal words."""
    return [_rgb(word) for word in text.split()]


PAINTS = palette(
    "f4f1ea efece4 e8e6e1 ffffff f7f5f0 dcd9d2 cfd3d6 e9dfcf f0e6d2 d8cbb3 c9d6df bfcfc2 e3d0c4 "
    "d9d9d9 b8bcc0 a9b8c4 d6c7d8 f3e3b5 8fa3ad 7d8f86 c4a484 93a8b8 b5503c 44576b 5b6e58"
)
CEILINGS = palette("ffffff f6f5f1 efeee9 e6e4de f2f2f2 dddddd d8d4c8")
WOODS = palette(
    "c8a06a b98b56 d9b98a e3cba4 a0703c 8a5a2e 6f4524 553319 3d2414 c19a6b b5835a 9c6b3f d2b48c "
    "7a4a2b eadcc2 a67b5b 4a3020 916a46 caa67e"
)
FABRICS = palette(
    "8c8c8c b0aca4 6d6f73 4a4c50 d3cdc0 c2b59b 9b8f7a 7c6f5c 5d5347 2f3237 1f2126 34495e 47607a "
    "6d8299 4f6b52 7f9272 a35c44 8c2f2a c1762f d8b04c b48ea0 6c5a7c e9e4da f3f0e8 225577 a02c3a "
    "557a95 b7c9cf 305050"
)
LEATHERS = palette("2a211c 4b3226 6b4630 8d5f3c b08a62 1b1b1d 3a3a3c d9cfc0 f0ebe2 7a2a22")
METALS = palette("b8bcc0 9a9ea3 d5d8da 6e7276 4a4d50 2c2e30 1b1c1e c9b27c f0f0f0 8a8378")
PLASTICS = palette(
    "f2f2f0 e4e4e2 1d1e20 2e3033 5a5d61 8d9196 c7c9cb c0392b e67e22 f1c40f 27ae60 2980b9 8e44ad "
    "16a085 d35400 34495e ecf0f1 e8a0b0 3d6fb4 a0c45a"
)
CERAMICS = palette("ffffff f8f8f6 efece6 e6e9ec f5f0e0 3b3f45 7aa0b8 b5c7b0 c86b4a d9b36c")
FLOORS_TILE = palette("e8e4dc d6d0c4 bdb6a8 a39c90 8a8680 cfd2d3 f0eee8 6b6a68 c9a98a b0785a")
CARPETS = palette("8d8f92 6f757c a59f93 c4bba8 5b6470 7a6a58 4c5a4f 8a4b45 3f4a60 b3a890 9a958c")
BRICKS = palette("9c5a42 a8674e 8a4a38 b58068 c9a08a 7d4434 d8cfc4 6e5a52")
GREENS = palette("3f6b35 4f7f3f 2f5a2c 6a934a 87a85c 557a45 274a2a 9ab46a 7a8f4a 8d9a3f")
BINDINGS = palette(
    "7a2e2a a33b33 c9752f d8b44a 3d6b4a 2f5f7a 27406b 4b3a6b 1f1f22 4a4a4a 8a8a88 d8d4c8 f0ece0 "
    "b3322e e0c9a0 5a7d8c 1d4f4a 9a5a7a ffffff 6b4a2f"
)


def tinted(rng: Rng, colors: Sequence[Color], amount: float = 1.0) -> Color:
    """Return a palette colour with a little change of hue, saturation and value."""
    color = pick(rng, *colors)
    h, s, v = colorsys.rgb_to_hsv(*color)
    h = (h + rng.normal(0, 0.012 * amount)) % 1.0
    s = float(np.clip(s * rng.uniform(1 - 0.3 * amount, 1 + 0.25 * amount), 0, 1))
    v = float(np.clip(v * rng.uniform(1 - 0.14 * amount, 1 + 0.08 * amount), 0.03, 1))
    return colorsys.hsv_to_rgb(h, s, v)


def darker(color: Color, factor: float) -> Color:
    """Return the colour times a factor, clipped."""
    return tuple(min(1.0, max(0.0, c * factor)) for c in color)  # type: ignore[return-value]


def vivid(rng: Rng) -> Color:
    """Return any fairly saturated colour."""
    return colorsys.hsv_to_rgb(rng.random(), rng.uniform(0.3, 0.95), rng.uniform(0.25, 0.95))


def plain(rng: Rng, colors: Sequence[Color], stray: float = 0.06) -> Material:
    """Return an even surface; with probability ``stray`` of any colour at all."""
    color = vivid(rng) if rng.random() < stray else tinted(rng, colors)
    return Material(color, scale=float(rng.uniform(0.2, 1.0)), contrast=float(rng.uniform(0.2, 1)))


def wood(rng: Rng) -> Material:
    """Return a wooden surface: grain along the part's longest side, painted now and then."""
    if rng.random() < 0.22:
        return plain(rng, PAINTS + PLASTICS[:6])
    color = tinted(rng, WOODS)
    return Material(
        color,
        darker(color, rng.uniform(0.55, 0.85)),
        pattern="wood",
        scale=float(rng.uniform(0.02, 0.08)),
        contrast=float(rng.uniform(0.3, 1)),
    )


def fabric(rng: Rng) -> Material:
    """Return upholstery or cloth: plain weave, stripes or checks."""
    color = vivid(rng) if rng.random() < 0.12 else tinted(rng, FABRICS)
    pattern = str(rng.choice(["fabric", "stripes", "checks"], p=[0.84, 0.1, 0.06]))
    second = tinted(rng, FABRICS) if pattern != "fabric" else darker(color, rng.uniform(0.7, 0.95))
    return Material(color, second, pattern=pattern, scale=float(rng.uniform(0.03, 0.15)))


def drape(rng: Rng) -> Material:
    """Return thin cloth of any colour, plain or with a large figure."""
    color = vivid(rng) if rng.random() < 0.4 else tinted(rng, PAINTS)
    if rng.random() < 0.3:
        return Material(color, tinted(rng, PAINTS), vivid(rng), "picture", rng.uniform(0.05, 0.2))
    return Material(color, darker(color, 0.85), pattern="stripes", scale=rng.uniform(0.02, 0.06))


def upholstery(rng: Rng) -> Material:
    """Return cloth or leather."""
    return plain(rng, LEATHERS, 0.03) if rng.random() < 0.3 else fabric(rng)


def metal(rng: Rng) -> Material:
    """Return bare or lacquered metal."""
    return plain(rng, METALS, 0.04)


def plastic(rng: Rng) -> Material:
    """Return plastic."""
    return plain(rng, PLASTICS, 0.1)


def ceramic(rng: Rng) -> Material:
    """Return ceramic, mostly white."""
    return plain(rng, CERAMICS[:5] if rng.random() < 0.7 else CERAMICS, 0.08)


def white(rng: Rng) -> Material:
    """Return an off-white enamel."""
    return plain(rng, CEILINGS, 0.0)


def dark(rng: Rng) -> Material:
    """Return black or dark grey plastic."""
    return plain(rng, PLASTICS[2:5], 0.0)


def stone(rng: Rng) -> Material:
    """Return a worktop: marble, granite or laminate."""
    color = tinted(rng, FLOORS_TILE)
    return Material(
        color, darker(color, rng.uniform(0.6, 1.15)), pattern="marble", scale=rng.uniform(0.05, 0.4)
    )


def picture(rng: Rng) -> Material:
    """Return an image of some kind: three colours in large soft shapes."""
    three = [vivid(rng) if rng.random() < 0.5 else tinted(rng, PAINTS + WOODS) for _ in range(3)]
    return Material(*three, pattern="picture", scale=float(rng.uniform(0.1, 0.5)))


def drawing(rng: Rng) -> Material:
    """Return a print, drawing or black-and-white photograph: shades of one colour on paper."""
    ink = tinted(rng, PAINTS + FABRICS)
    grey, paper = darker(ink, rng.uniform(0.2, 0.7)), pick(rng, *CEILINGS)
    return Material(paper, grey, darker(paper, 0.8), "picture", float(rng.uniform(0.04, 0.3)))


def rug(rng: Rng) -> Material:
    """Return a rug: border and ornament, or shaggy."""
    if rng.random() < 0.35:
        color = tinted(rng, CARPETS + FABRICS)
        return Material(color, darker(color, 0.8), pattern="carpet", scale=0.05)
    three = [tinted(rng, FABRICS + CARPETS + BRICKS) for _ in range(3)]
    return Material(*three, pattern="rug", scale=float(rng.uniform(0.08, 0.35)))


def floor(rng: Rng, kind: str) -> Material:
    """Return a floor fit for the kind of room."""
    wet = kind in ("bathroom", "kitchen")
    bare = kind in ("warehouse", "shop")
    weights = [0.12, 0.83, 0.0, 0.05] if wet else [0.2, 0.2, 0.05, 0.55] if bare else None
    weights = weights or [0.5, 0.12, 0.33, 0.05]
    choice = rng.choice(["planks", "tile", "carpet", "marble"], p=weights)
    if choice == "planks":
        color = tinted(rng, WOODS)
        return Material(
            color, darker(color, 0.75), pattern="planks", scale=float(rng.uniform(0.07, 0.2))
        )
    color = tinted(rng, CARPETS if choice == "carpet" else FLOORS_TILE)
    scale = rng.uniform(0.04, 0.1) if choice == "carpet" else rng.choice([0.1, 0.2, 0.3, 0.45, 0.6])
    return Material(color, darker(color, rng.uniform(0.7, 1.1)), pattern=choice, scale=float(scale))


def wall(rng: Rng, kind: str) -> Material:
    """Return a wall fit for the kind of room."""
    if kind == "bathroom" and rng.random() < 0.6:
        color = tinted(rng, FLOORS_TILE[:7] + CERAMICS[:5])
        scale = float(rng.choice([0.1, 0.15, 0.2, 0.3]))
        return Material(color, darker(color, rng.uniform(0.7, 1.1)), pattern="tile", scale=scale)
    if rng.random() < 0.07:
        color = tinted(rng, BRICKS)
        return Material(color, tinted(rng, CEILINGS), pattern="brick", scale=0.075)
    if rng.random() < 0.08:
        color = tinted(rng, PAINTS)
        return Material(color, darker(color, 0.88), pattern="stripes", scale=rng.uniform(0.05, 0.3))
    return plain(rng, PAINTS[:20] if rng.random() < 0.85 else PAINTS, 0.02)


_WAYS = np.array([[1.0, 0.37, -0.61], [-0.43, 1.13, 0.29], [0.71, -0.83, 0.97]])


def _smooth(p: np.ndarray, phase: np.ndarray) -> np.ndarray:
    """Return soft noise in about [-1, 1] with features of size ~1."""
    wave = p @ _WAYS.T * 3.1 + phase * 6.28
    wave = np.sin(wave + 1.3 * np.sin(wave[:, [1, 2, 0]] * 0.7))
    return wave.sum(axis=1) / 1.8


def _hash(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return a repeatable pseudo-random number in [0, 1) per pair of integers."""
    return np.modf(np.abs(np.sin(a * 12.9898 + b * 78.233) * 43758.5453))[0]


def _cells(u: np.ndarray, v: np.ndarray, gap: float) -> tuple[np.ndarray, np.ndarray]:
    """Return 1 in the joints between unit cells and one random number per cell."""
    a, b = np.floor(u), np.floor(v)
    joint = ((u - a < gap) | (v - b < gap)).astype(float)
    return joint, _hash(a, b)


def _mix(  # noqa: PLR0911
    pattern: str, p, u, v, phase, axis, contrast
) -> tuple[np.ndarray, np.ndarray]:
    """Return the share of the second colour and a brightness factor; p, u, v in feature sizes."""
    n = len(p)
    ones, rows = np.ones(n), np.arange(n)
    if pattern == "wood":
        stretched = p.copy()
        stretched[rows, axis] *= 0.08
        grain = _smooth(stretched, phase) + 0.5 * _smooth(stretched * 3.1, phase)
        return contrast * np.clip(0.5 + 0.5 * grain, 0, 1), ones
    if pattern == "planks":
        row = np.floor(v)
        joint, tone = _cells(u / 9 + _hash(row, row) * 3, v, 0.04)
        grain = _smooth(np.stack([u * 0.15, v * 2, tone * 9], axis=1), phase)
        return np.clip(0.6 * joint + 0.2 + 0.3 * grain, 0, 1), 0.84 + 0.26 * tone
    if pattern == "fabric":
        return 0.5 + 0.5 * np.sin(u * 9) * np.sin(v * 9), 1 + 0.05 * _smooth(p * 0.2, phase)
    if pattern == "stripes":
        return (np.sin(u * 3.14) > 0).astype(float), ones
    if pattern == "checks":
        return 0.5 * (np.sin(u * 3.14) > 0) + 0.5 * (np.sin(v * 3.14) > 0), ones
    if pattern == "tile":
        joint, tone = _cells(u, v, 0.035)
        return joint, (0.95 + 0.08 * tone) * (1 - 0.25 * joint)
    if pattern == "brick":
        joint, tone = _cells(u / 3 + 0.5 * (np.floor(v) % 2), v, 0.1)
        return joint, 0.8 + 0.35 * tone
    if pattern == "carpet":
        return np.clip(0.5 + 0.4 * _smooth(p * 0.3, phase), 0, 1), 1 + 0.06 * _smooth(p, phase)
    if pattern == "marble":
        vein = np.abs(_smooth(p + 0.6 * _smooth(p * 0.7, phase)[:, None], phase))
        return np.exp(-6 * vein), ones
    if pattern == "leaf":
        return np.clip(0.5 + 0.5 * _smooth(p, phase), 0, 1), ones
    return np.zeros(n), 1 + 0.03 * contrast * _smooth(p, phase)


def _ornament(pattern: str, p: np.ndarray, u, v, phase) -> tuple[np.ndarray, np.ndarray]:
    """Return the shares of the second and third colour of pictures and rugs."""
    if pattern == "picture":
        second = np.clip(1.5 * _smooth(p, phase) + 0.4 * np.sign(phase[:, 0] - 0.5), 0, 1)
        return second, np.clip(2 * _smooth(p * 1.7 + 5, phase[:, [2, 0, 1]]) - 0.5, 0, 1)
    figure = np.sin(u * 3.14) * np.sin(v * 3.14) + 0.5 * np.sin(np.hypot(u, v) * 2.5)
    return (figure > 0.15).astype(float), (figure < -0.55).astype(float)


_ACROSS = np.array([1, 0, 0])
_ALONG = np.array([2, 2, 1])


def paint(
    materials: Sequence[Material],
    index: Int[np.ndarray, "N"],
    points: Float[np.ndarray, "N 3"],
    normals: Float[np.ndarray, "N 3"],
    axis: Int[np.ndarray, "N"],
    rng: Rng,
) -> Float[np.ndarray, "N 3"]:
    """Return unlit sRGB colours of points on surfaces.

    points, normals: in the frame of the thing; axis: direction of the grain (0, 1, 2).
    """
    first = np.array([m.color for m in materials])
    second = np.array([m.second for m in materials])
    third = np.array([m.third for m in materials])
    scale = np.array([m.scale for m in materials])[index]
    contrast = np.array([m.contrast for m in materials])[index]
    kind = np.array([PATTERNS.index(m.pattern) for m in materials])[index]
    phase = rng.random((len(materials), 3))[index]
    colors = first[index].copy()
    scaled = points / scale[:, None]
    drop = np.abs(normals).argmax(axis=1)
    rows = np.arange(len(points))
    u, v = scaled[rows, _ACROSS[drop]], scaled[rows, _ALONG[drop]]
    grain = np.full(len(points), 0.012)
    for k in np.unique(kind):
        at, pattern = np.flatnonzero(kind == k), PATTERNS[k]
        if pattern in ("picture", "rug"):
            b, c = _ornament(pattern, scaled[at], u[at], v[at], phase[at])
            b, c = b[:, None], c[:, None]
            mixed = colors[at] * (1 - b) + second[index[at]] * b
            colors[at] = mixed * (1 - c) + third[index[at]] * c
        else:
            m, bright = _mix(pattern, scaled[at], u[at], v[at], phase[at], axis[at], contrast[at])
            m = m[:, None]
            colors[at] = (colors[at] * (1 - m) + second[index[at]] * m) * bright[:, None]
        grain[at] = 0.06 if pattern in ("carpet", "rug", "fabric", "leaf") else 0.015
    colors *= 1 + rng.normal(0, 1, (len(points), 1)) * grain[:, None]
    return np.clip(colors, 0, 1)

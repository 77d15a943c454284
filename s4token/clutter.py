"""Parametric small things: tableware, plants, boxes, bags, in metres, facing -y."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from . import materials as m
from .materials import Rng, pick
from .shapes import Part, Piece, Top, blob, box, cushion, lathe, rod, sheet

BLACK = m.Material((0.05, 0.05, 0.055))


def vase(rng: Rng) -> Piece:
    """Return a vase of any outline, sometimes with flowers or dry twigs."""
    h, r = rng.uniform(0.12, 0.45), rng.uniform(0.04, 0.12)
    if rng.random() < 0.12:  # stands on the floor
        h, r = rng.uniform(0.5, 0.9), rng.uniform(0.12, 0.2)
    pot = pick(rng, m.ceramic(rng), m.ceramic(rng), m.plastic(rng), m.Material((0.75, 0.82, 0.83)))
    belly, neck = rng.uniform(0.15, 0.7), rng.uniform(0.25, 0.9)
    profile = [
        (0, 0),
        (r * rng.uniform(0.4, 0.8), 0),
        (r, h * belly),
        (r * neck, h * max(0.85, belly)),
        (r * min(1.0, neck * rng.uniform(0.9, 1.4)), h),
        (r * neck * 0.8, h * 0.97),
    ]
    parts: list[Part] = [lathe(pot, profile, sides=16)]
    if rng.random() < 0.4:
        parts += _stems(rng, h, min(r, 0.1))
    return Piece("vase", tuple(parts))


def _stems(rng: Rng, z: float, r: float) -> list[Part]:
    parts, green = [], m.Material(m.tinted(rng, m.GREENS))
    petal = m.Material(m.vivid(rng))
    for _ in range(int(rng.integers(3, 8))):
        x, y = rng.normal(0, r * 1.3, 2)
        tip = (x, y, z + rng.uniform(0.1, 0.25))
        parts.append(rod(green, (0, 0, z * 0.9), tip, 0.004))
        parts.append(cushion(petal, (0.06, 0.06, 0.045), tip, 2, 3))
    return parts


def _leaves(
    rng: Rng, count: int, spread: float, low: float, high: float, size: float
) -> list[Part]:
    """Return leaves as bent strips around an axis, in two shades of green."""
    color = m.tinted(rng, m.GREENS)
    parts: list[Part] = []
    u, v = np.meshgrid(np.linspace(0, 1, 5), np.linspace(-1, 1, 3), indexing="ij")
    taper, slim = np.sin(np.pi * np.clip(u * 0.92 + 0.06, 0, 1)), rng.uniform(0.12, 0.35)
    droop = rng.uniform(0.1, 0.9)
    triangles = []
    for _ in range(count):
        way, lift = rng.uniform(0, 360), rng.uniform(-0.2, 1.1)
        long = size * rng.uniform(0.6, 1.2)
        radius, z = spread * np.sqrt(rng.random()), rng.uniform(low, high)
        grid = np.stack(
            [
                radius * 0.4 + u * long * np.cos(lift),
                v * taper * long * slim,
                z + long * (u * np.sin(lift) - droop * u**2 * 0.6) + 0.02 * np.abs(v),
            ],
            axis=-1,
        )
        grid[..., 2] = np.maximum(grid[..., 2], 0.01)
        triangles.append(sheet(BLACK, grid).turned(way, 2).triangles)
    for i, tone in enumerate((1.0, 0.75, 1.2)):
        some = triangles[i::3]
        if some:
            leaf = m.Material(
                m.darker(color, tone), m.darker(color, tone * 0.7), pattern="leaf", scale=0.05
            )
            parts.append(Part(np.concatenate(some), leaf))
    return parts


def potted_plant(rng: Rng) -> Piece:
    """Return a plant in a pot: leafy bush, palm-like tuft, small tree or succulent."""
    r, h = rng.uniform(0.08, 0.2), rng.uniform(0.12, 0.34)
    pot = pick(rng, m.ceramic(rng), m.Material(m.tinted(rng, m.BRICKS)), m.plastic(rng))
    taper = rng.uniform(0.65, 1.0)
    parts: list[Part] = [
        lathe(pot, [(r * taper, 0), (r, h), (r * 0.9, h), (r * 0.9, h * 0.9)], sides=16),
        lathe(m.Material((0.2, 0.14, 0.1)), [(0, h * 0.9), (r * 0.9, h * 0.9)]),
    ]
    style, size = rng.integers(4), r * rng.uniform(1.4, 2.8)
    if style == 0:
        parts += _leaves(rng, int(rng.integers(25, 60)), r * 1.4, h, h + size * 1.2, size * 0.7)
    elif style == 1:
        parts += _leaves(rng, int(rng.integers(10, 24)), r * 0.5, h * 0.9, h, size * 2)
    elif style == 2:
        trunk = size * rng.uniform(1.5, 3)
        parts.append(rod(m.Material((0.36, 0.26, 0.17)), (0, 0, h * 0.8), (0, 0, h + trunk), 0.018))
        crown = _leaves(
            rng, int(rng.integers(30, 70)), r * 2.2, h + trunk * 0.6, h + trunk * 1.3, size * 0.7
        )
        parts += crown
    else:
        parts += _leaves(rng, int(rng.integers(8, 18)), r * 0.6, h * 0.95, h + 0.03, size * 0.8)
    return Piece("potted plant", tuple(parts))


def trash_can(rng: Rng) -> Piece:
    """Return a bin: round or square, open, lined, lidded, with a pedal, or on wheels."""
    h, r, style = rng.uniform(0.22, 0.7), rng.uniform(0.1, 0.2), rng.random()
    body = pick(rng, m.metal(rng), m.plastic(rng), m.dark(rng))
    lid = pick(rng, body, m.plastic(rng), m.dark(rng))
    if style < 0.35:
        flat = rng.uniform(0.5, 0.95)
        bin_ = lathe(body, [(r * 1.2, 0), (r * 1.4, h), (r * 1.3, h), (r * 1.1, 0.02)], sides=4)
        parts = [Part(bin_.turned(45, 2).triangles * [1, flat, 1], body)]
        if rng.random() < 0.6:
            top = box(lid, (r * 2.05, r * 2.05 * flat, 0.05), (0, 0, h))
            lean = rng.uniform(15, 60) if rng.random() < 0.2 else 0.0
            parts.append(top.turned(-lean, 0, (0, r * flat, h)))
    elif style < 0.42:
        h = rng.uniform(0.85, 1.05)
        bin_ = lathe(body, [(0.3, 0.06), (0.38, h), (0.36, h), (0.28, 0.08)], sides=4).turned(45, 2)
        wheel = rod(BLACK, (-0.26, 0.24, 0.09), (0.26, 0.24, 0.09), 0.09)
        parts = [bin_, wheel, box(lid, (0.56, 0.6, 0.06), (0, 0, h))]
    else:
        slope = rng.uniform(0.7, 1.0)
        profile = [(0, 0), (r * slope, 0), (r, h), (r * 0.95, h), (r * slope * 0.97, 0.02)]
        parts = [lathe(body, profile, sides=18)]
        if rng.random() < 0.45:
            parts.append(lathe(lid, [(r, h), (r * 0.8, h + 0.06), (0, h + 0.08)], sides=18))
            parts.append(box(BLACK, (0.08, 0.05, 0.015), (0, -r * slope - 0.01, 0.001)))
        elif rng.random() < 0.5:
            liner = pick(rng, m.white(rng), m.dark(rng), m.plastic(rng))
            profile = [(r * 1.04, h * 0.8), (r * 1.04, h + 0.01), (r * 0.9, h), (0, h * 0.4)]
            parts.append(lathe(liner, profile, sides=18))
    return Piece("trash can", tuple(parts))


def cardboard_box(rng: Rng) -> Piece:
    """Return a cardboard box, closed with tape or open with flaps."""
    w, d, h = rng.uniform(0.2, 0.6), rng.uniform(0.2, 0.45), rng.uniform(0.15, 0.45)
    card = m.Material(m.tinted(rng, m.palette("b98f62 a97f55 c7a27a 9c764d d0b08a")))
    parts = [box(card, (w, d, h))]
    if rng.random() < 0.6:
        parts.append(box(m.Material((0.78, 0.68, 0.48)), (0.05, d * 1.002, 0.003), (0, 0, h)))
    else:
        for s in (-1, 1):
            flap = box(card, (w, d / 2, 0.004), (0, s * (d / 2 + d / 4), h))
            parts.append(flap.turned(-s * rng.uniform(10, 60), 0, (0, s * d / 2, h)))
    return Piece("cardboard box", tuple(parts), tops=(Top(0, 0, h, w * 0.8, d * 0.8, 0.6),))


def storage_bin(rng: Rng) -> Piece:
    """Return an open plastic bin or basket."""
    w, d, h, t = rng.uniform(0.25, 0.55), rng.uniform(0.2, 0.4), rng.uniform(0.14, 0.35), 0.012
    body = pick(rng, m.plastic(rng), m.wood(rng))
    parts = [box(body, (w, d, 0.01))]
    parts += [box(body, (w, t, h), (0, s * d / 2, 0)) for s in (-1, 1)]
    parts += [box(body, (t, d, h), (s * w / 2, 0, 0)) for s in (-1, 1)]
    return Piece("storage bin", tuple(parts))


def bag(rng: Rng) -> Piece:
    """Return a handbag, tote or rucksack."""
    cloth, w, h = m.upholstery(rng), rng.uniform(0.25, 0.45), rng.uniform(0.25, 0.5)
    body = blob(cloth, (w, w * 0.5, h), (0, 0, 0), rng, 0.06, 3.5)
    if rng.random() < 0.5:
        pocket = cushion(cloth, (w * 0.7, 0.08, h * 0.45), (0, -w * 0.25, 0.03), 4)
        return Piece("backpack", (body, pocket))
    arc = np.linspace(0, np.pi, 7)
    points = np.stack([np.cos(arc) * w * 0.25, np.zeros(7), h * 0.85 + np.sin(arc) * 0.13], axis=1)
    strap = [rod(cloth, tuple(a), tuple(b), 0.01) for a, b in pairwise(points)]
    return Piece("bag", (body, *strap))


def clothes(rng: Rng) -> Piece:
    """Return a heap of clothes."""
    parts = []
    for _ in range(int(rng.integers(1, 4))):
        size = (rng.uniform(0.25, 0.5), rng.uniform(0.2, 0.4), rng.uniform(0.06, 0.16))
        parts.append(
            blob(
                m.fabric(rng),
                size,
                (rng.normal(0, 0.08), rng.normal(0, 0.08), len(parts) * 0.05),
                rng,
                0.25,
            )
        )
    return Piece("clothes", tuple(parts))


def paper(rng: Rng) -> Piece:
    """Return sheets or folders of paper."""
    parts = []
    for i in range(int(rng.integers(1, 5))):
        page = box(
            m.white(rng) if rng.random() < 0.8 else m.plastic(rng),
            (0.21, 0.3, 0.004),
            (rng.normal(0, 0.03), rng.normal(0, 0.03), i * 0.004),
        )
        parts.append(page.turned(rng.normal(0, 15), 2))
    return Piece("paper", tuple(parts))


def book_pile(rng: Rng) -> Piece:
    """Return a pile of lying books."""
    parts, z = [], 0.0
    for _ in range(int(rng.integers(1, 5))):
        thick, long = rng.uniform(0.012, 0.045), rng.uniform(0.18, 0.28)
        cover = box(m.Material(m.tinted(rng, m.BINDINGS)), (long * 0.72, long, thick), (0, 0, z))
        parts.append(cover.turned(rng.normal(0, 12), 2))
        z += thick
    return Piece("book", tuple(parts))


def toilet_paper(rng: Rng) -> Piece:
    """Return a roll of toilet paper."""
    return Piece(
        "toilet paper",
        (lathe(m.white(rng), [(0.02, 0), (0.055, 0), (0.055, 0.1), (0.02, 0.1), (0.02, 0)]),),
    )


def pallet(rng: Rng) -> Piece:
    """Return a wooden pallet."""
    plank = m.Material(
        m.tinted(rng, m.WOODS[:4]), m.tinted(rng, m.WOODS), pattern="wood", scale=0.04
    )
    parts = [box(plank, (1.2, 0.1, 0.022), (0, y, 0.12)) for y in np.linspace(-0.35, 0.35, 6)]
    parts += [box(plank, (0.12, 0.8, 0.1), (x, 0, 0)) for x in (-0.54, 0, 0.54)]
    return Piece("pallet", tuple(parts), tops=(Top(0, 0, 0.142, 1.1, 0.75),))


def crate(rng: Rng) -> Piece:
    """Return a slatted wooden crate."""
    plank, w, h = m.wood(rng), rng.uniform(0.35, 0.8), rng.uniform(0.25, 0.7)
    parts = [box(plank, (w, w, 0.02))]
    for z in np.arange(0.02, h, 0.12):
        parts += [box(plank, (w, 0.02, 0.09), (0, s * w / 2, z)) for s in (-1, 1)]
        parts += [box(plank, (0.02, w, 0.09), (s * w / 2, 0, z)) for s in (-1, 1)]
    return Piece("crate", tuple(parts))


def barrel(rng: Rng) -> Piece:
    """Return a drum or barrel."""
    r, h = rng.uniform(0.22, 0.32), rng.uniform(0.6, 0.95)
    body = pick(rng, m.plastic(rng), m.wood(rng), m.metal(rng))
    bulge = rng.uniform(1.0, 1.15)
    return Piece(
        "barrel",
        (
            lathe(
                body,
                [(r, 0), (r * bulge, h * 0.33), (r * bulge, h * 0.66), (r, h), (0, h)],
                sides=20,
            ),
        ),
    )


def ladder(rng: Rng) -> Piece:
    """Return a step ladder."""
    frame, high = pick(rng, m.metal(rng), m.wood(rng)), rng.uniform(1.2, 2.2)
    parts = []
    for s in (-1, 1):
        parts += [
            rod(frame, (s * 0.24, -0.4, 0), (s * 0.18, 0, high), 0.022),
            rod(frame, (s * 0.24, 0.4, 0), (s * 0.18, 0, high), 0.018),
        ]
    for k in np.arange(0.15, 0.95, 0.14):
        parts.append(box(frame, (0.42 - 0.08 * k, 0.07, 0.025), (0, -0.4 * (1 - k), high * k)))
    return Piece("ladder", tuple(parts))


def ball(rng: Rng) -> Piece:
    """Return a ball, from a tennis ball's to an exercise ball's size."""
    r = rng.uniform(0.04, 0.15) if rng.random() < 0.85 else rng.uniform(0.2, 0.34)
    skin = pick(rng, m.plastic(rng), m.fabric(rng), m.Material(m.vivid(rng)))
    if rng.random() < 0.3:
        one, two = m.vivid(rng), pick(rng, (0.95, 0.95, 0.95), m.vivid(rng))
        skin = m.Material(one, two, pattern=pick(rng, "stripes", "checks", "tile"), scale=r * 0.7)
    return Piece("ball", (cushion(skin, (2 * r, 2 * r, 2 * r), power=2, cells=6),))


def rug(rng: Rng, wide: float | None = None, deep: float | None = None) -> Piece:
    """Return a rug, rectangular or round."""
    wide = rng.uniform(1.2, 2.8) if wide is None else wide
    deep = wide * rng.uniform(0.55, 0.9) if deep is None else deep
    cloth = m.rug(rng)
    if rng.random() < 0.2:
        return Piece(
            "rug", (lathe(cloth, [(0, 0.012), (deep / 2, 0.012), (deep / 2, 0)], sides=26),)
        )
    parts = [box(cloth, (wide, deep, 0.014))]
    if rng.random() < 0.5:
        edge, border = rng.uniform(0.04, 0.15), m.Material(m.tinted(rng, m.FABRICS))
        parts += [box(border, (wide, edge, 0.016), (0, s * (deep - edge) / 2, 0)) for s in (-1, 1)]
        parts += [box(border, (edge, deep, 0.016), (s * (wide - edge) / 2, 0, 0)) for s in (-1, 1)]
    return Piece("rug", tuple(parts))

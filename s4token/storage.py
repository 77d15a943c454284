"""Parametric wardrobes, racks and counters to keep things in, in metres, facing -y."""

from __future__ import annotations

import numpy as np

from . import furniture
from . import materials as m
from .household import shoes
from .materials import Rng, pick
from .shapes import Part, Piece, Pose, Top, box, cushion, legs, ring, rod

GLASS = ((0.62, 0.66, 0.68), (0.75, 0.78, 0.8), (0.5, 0.52, 0.52))


def mirror_glass(rng: Rng) -> m.Material:
    """Return what a mirror shows: something bright and something dark."""
    first, second, third = (m.darker(c, float(rng.uniform(0.6, 1.2))) for c in GLASS)
    return m.Material(first, second, third, "picture", float(rng.uniform(0.3, 0.9)))


def garments(rng: Rng, wide: float, high: float, deep: float) -> list[Part]:
    """Return clothes on hangers side by side, hanging down from z = high."""
    parts: list[Part] = []
    x = -wide / 2 + 0.04
    while x < wide / 2 - 0.04:
        if rng.random() < 0.85:
            long, thick = high * float(rng.uniform(0.5, 0.95)), float(rng.uniform(0.03, 0.07))
            size = (thick, deep * float(rng.uniform(0.6, 0.85)), long)
            parts.append(cushion(m.fabric(rng), size, (x, 0, high - long), 4, 3))
        x += float(rng.uniform(0.05, 0.11))
    return parts


def _carcass(body: m.Material, wide: float, deep: float, high: float, foot: float) -> list[Part]:
    """Return sides, back, floor and top of a cupboard without its front."""
    t, tall = 0.02, high - foot
    parts = [box(body, (t, deep, tall), (s * (wide - t) / 2, 0, foot)) for s in (-1, 1)]
    parts += [box(body, (wide, deep, t), (0, 0, z)) for z in (foot, high - t)]
    parts.append(box(body, (wide, t, tall), (0, deep / 2 - t / 2, foot)))
    return parts + (legs(body, wide, deep, foot, 0.05) if foot > 0.03 else [])


def _door(rng: Rng, front: m.Material, wide: float, high: float, style: int) -> list[Part]:
    """Return a cupboard door around x = 0: plain, framed, of mirror, of slats, or with cane."""
    leaf = [box(front, (wide - 0.006, 0.02, high))]
    if style == 1:
        leaf += ring(front, wide - 0.006, high, 0.07, 0.03)
    elif style == 2:
        leaf = [box(mirror_glass(rng), (wide - 0.01, 0.02, high))]
    elif style == 3:
        dim = m.Material(m.darker(front.color, 0.8))
        rows = np.arange(0.08, high - 0.08, 0.05)
        leaf += [box(dim, (wide * 0.8, 0.03, 0.015), (0, 0, z)) for z in rows]
    elif style == 4:
        rows = int(rng.integers(1, 4))
        inset = m.Material(m.darker(front.color, float(rng.uniform(0.7, 1.2))))
        each = high / rows
        size = (wide * 0.72, 0.028, each * 0.8)
        leaf += [box(inset, size, (0, 0, each * (i + 0.1))) for i in range(rows)]
    return leaf


def _hinged(rng: Rng, front: m.Material, wide: float, deep: float, high: float) -> list[Part]:
    """Return hinged doors with or without handles, one of them ajar now and then."""
    doors = max(1, round(wide / float(rng.uniform(0.4, 0.6))))
    each, style = wide / doors, int(rng.choice(5, p=[0.45, 0.2, 0.08, 0.07, 0.2]))
    mirrored = int(rng.integers(doors)) if rng.random() < 0.15 else -1
    grip, steel, parts = int(rng.integers(4)), m.metal(rng), []
    for i in range(doors):
        side = 1 if i % 2 == 0 else -1
        leaf = _door(rng, front, each, high, 2 if i == mirrored else style)
        x = side * each * 0.42
        if grip == 1:
            long = float(rng.uniform(0.1, 0.35))
            leaf.append(box(steel, (0.015, 0.03, long), (x, -0.025, high * 0.5)))
        elif grip == 2:
            leaf.append(cushion(steel, (0.03, 0.03, 0.03), (x, -0.025, high * 0.5), 2, 3))
        elif grip == 3:
            leaf.append(box(steel, (0.02, 0.025, high), (side * each * 0.49, -0.01, 0.001)))
        swing = float(rng.uniform(10, 95)) if rng.random() < 0.06 else 0.0
        hinge = (-side * each / 2, 0, 0)
        leaf = [p.turned(-side * swing, 2, hinge) for p in leaf]
        parts += [p.moved(each * (i + 0.5) - wide / 2, -deep / 2 - 0.01) for p in leaf]
    return parts


def _sliding(rng: Rng, front: m.Material, wide: float, deep: float, high: float) -> list[Part]:
    """Return two or three sliding doors one behind the other, plain or of mirror, and a gap."""
    doors = 3 if wide > 2.0 and rng.random() < 0.6 else 2
    each, edge, parts = wide / doors + 0.02, m.metal(rng), []
    mirrors = rng.random(doors) < pick(rng, 0.0, 0.4, 1.0)
    shift = each * float(rng.uniform(0.1, 0.9)) if rng.random() < 0.15 else 0.0
    for i in range(doors):
        face = mirror_glass(rng) if mirrors[i] else front
        x = wide / doors * (i + 0.5) - wide / 2 + (shift if i == 0 else 0)
        y = -deep / 2 - 0.015 - 0.025 * (i % 2)
        parts.append(box(face, (each, 0.018, high), (x, y, 0)))
        for s in (-1, 1):
            parts.append(box(edge, (0.025, 0.024, high), (x + s * each / 2, y, 0)))
    return parts


def wardrobe(rng: Rng) -> Piece:
    """Return a wardrobe: one to five doors, hinged or sliding, up to the ceiling, or open."""
    wide, deep = float(rng.uniform(0.5, 2.6)), float(rng.uniform(0.42, 0.68))
    high = float(rng.uniform(1.7, 2.3) if rng.random() < 0.75 else rng.uniform(2.3, 2.6))
    wide = min(wide, 1.3) if rng.random() < 0.4 else wide
    body = m.wood(rng) if rng.random() < 0.6 else pick(rng, m.white(rng), m.plain(rng, m.PAINTS))
    front = body if rng.random() < 0.6 else pick(rng, m.wood(rng), m.white(rng), m.dark(rng))
    foot = float(pick(rng, 0.0, 0.06, rng.uniform(0.08, 0.2)))
    parts = _carcass(body, wide, deep, high, foot)
    low, style = foot + 0.02, rng.random()
    if style < 0.25 and wide > 0.9:
        front_ = _sliding(rng, front, wide, deep, high - low)
    elif style < 0.35:
        front_ = []
    else:
        if rng.random() < 0.2:
            rows, top = int(rng.integers(1, 4)), low + float(rng.uniform(0.25, 0.7))
            columns = max(1, round(wide / 0.6))
            parts += furniture.fronts(rng, front, wide, low, top, -deep / 2, rows, columns)
            low = top
        front_ = _hinged(rng, front, wide, deep, high - low)
    parts += [p.moved(z=low) for p in front_]
    if rng.random() < 0.3:
        parts.append(box(body, (wide + 0.06, deep + 0.04, 0.05), (0, 0, high)))
        high += 0.05
    tops = (Top(0, 0, high, wide * 0.9, deep * 0.85),)
    piece = Piece("wardrobe", tuple(parts), tops=tops)
    return piece if front_ else _opened(rng, piece, body, wide, deep, high)


def _opened(
    rng: Rng, piece: Piece, body: m.Material, wide: float, deep: float, high: float
) -> Piece:
    """Return a wardrobe without doors: clothes on a rail, boards with things beside them."""
    rail_z, parts, things = high - 0.15, list(piece.parts), []
    hung = wide * (1.0 if wide < 0.9 else float(rng.uniform(0.4, 0.7)))
    x = (hung - wide) / 2
    parts.append(rod(m.metal(rng), (x - hung / 2, 0, rail_z), (x + hung / 2, 0, rail_z), 0.013))
    clothes = garments(rng, hung - 0.06, min(1.3, high - 0.5), deep)
    drop = rail_z - min(1.3, high - 0.5)
    if clothes:
        things.append((Piece("clothes", tuple(clothes)), Pose(x, 0, drop)))
    tops = list(piece.tops)
    if hung < wide:
        beside = wide - hung
        parts.append(box(body, (0.02, deep, high - 0.25), (x + hung / 2, 0, 0.2)))
        for z in np.arange(0.25, high - 0.3, float(rng.uniform(0.3, 0.45))):
            at = (wide - beside) / 2
            parts.append(box(body, (beside, deep, 0.02), (at, 0, z)))
            tops.append(Top(at, 0, z + 0.02, beside * 0.9, deep * 0.8, 0.28))
    return Piece("wardrobe", tuple(parts), tuple(things), tuple(tops))


def clothes_rack(rng: Rng) -> Piece:
    """Return clothes hanging on a rail on two stands."""
    frame, wide, high = m.metal(rng), float(rng.uniform(0.8, 1.5)), float(rng.uniform(1.4, 1.7))
    parts = [box(frame, (0.03, 0.45, 0.03), (s * wide / 2, 0, 0)) for s in (-1, 1)]
    parts += [rod(frame, (s * wide / 2, 0, 0), (s * wide / 2, 0, high), 0.013) for s in (-1, 1)]
    parts.append(rod(frame, (-wide / 2, 0, high), (wide / 2, 0, high), 0.013))
    long = min(1.2, high - 0.25)
    clothes = garments(rng, wide * float(rng.uniform(0.5, 0.95)), long, 0.5)
    things = ((Piece("clothes", tuple(clothes)), Pose(0, 0, high - long)),) if clothes else ()
    return Piece("clothes rack", tuple(parts), things)


def shoe_rack(rng: Rng) -> Piece:
    """Return a low rack of slanted boards or bars with pairs of shoes."""
    body = m.wood(rng) if rng.random() < 0.6 else m.metal(rng)
    wide, deep, levels = float(rng.uniform(0.5, 1.1)), 0.32, int(rng.integers(2, 5))
    step = float(rng.uniform(0.17, 0.24))
    high = levels * step
    parts = [box(body, (0.025, deep, high), (s * wide / 2, 0, 0)) for s in (-1, 1)]
    things: list[tuple[Piece, Pose]] = []
    for i in range(levels):
        z = 0.04 + i * step
        if rng.random() < 0.5:
            parts.append(box(body, (wide, deep, 0.015), (0, 0, z)))
        else:
            parts += [box(body, (wide, 0.02, 0.015), (0, y, z)) for y in (-0.13, -0.05, 0.03, 0.11)]
        for x in np.arange(-wide / 2 + 0.16, wide / 2 - 0.12, 0.27):
            if rng.random() < 0.7:
                things.append((shoes(rng), Pose(x, 0, z + 0.016, float(rng.normal(0, 6)))))
    tops = (Top(0, 0, high - step + 0.06, wide * 0.8, deep * 0.8),)
    return Piece("shoe rack", tuple(parts), tuple(things), () if things else tops)


def book_island(rng: Rng) -> Piece:
    """Return a low double-sided bookshelf full of books, more of them lying on top."""
    wide, deep, levels = (
        float(rng.uniform(0.9, 2.6)),
        float(rng.uniform(0.45, 0.9)),
        pick(rng, 2, 3),
    )
    body, step = m.wood(rng), float(rng.uniform(0.28, 0.36))
    high = levels * step + 0.03
    parts = [box(body, (wide, deep, 0.025), (0, 0, i * step)) for i in range(levels + 1)]
    parts += [box(body, (0.025, deep, high), (s * wide / 2, 0, 0)) for s in (-1, 1)]
    parts.append(box(body, (wide, 0.02, high), (0, 0, 0)))
    for i in range(levels):
        for side in (0, 180):
            for row, at in furniture.book_row(rng, wide * 0.95, step, deep * 0.45):
                pose = Pose(at.x, -deep * 0.27, i * step + 0.026).then(Pose(yaw=side))
                parts += [Part(pose.apply(p.triangles), p.material) for p in row.parts]
    for x in np.arange(-wide / 2 + 0.15, wide / 2 - 0.1, 0.24):
        for y in np.arange(-deep / 2 + 0.15, deep / 2 - 0.1, 0.28):
            if rng.random() < 0.7:
                cover, thick = (
                    m.Material(m.tinted(rng, m.BINDINGS)),
                    float(rng.uniform(0.015, 0.12)),
                )
                parts.append(
                    box(cover, (0.17, 0.24, thick), (x, y, high)).turned(
                        rng.normal(0, 8), 2, (x, y, 0)
                    )
                )
    return Piece("bookshelf", tuple(parts))

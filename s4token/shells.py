"""The empty room: floor, walls with openings, doors, windows, ceiling, in metres."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from . import materials as m
from . import openings
from .materials import Rng, pick
from .openings import Wall
from .shapes import Part, Piece, Pose, box, cushion, cylinder, rod, sheet

Box = tuple[float, float, float, float]

EXTENTS: dict[str, tuple[Box, tuple[float, float]]] = {
    "living": ((3.4, 6.0, 3.2, 5.2), (2.4, 3.0)),
    "bedroom": ((2.9, 4.8, 2.8, 4.4), (2.3, 2.9)),
    "kitchen": ((2.8, 5.0, 2.6, 4.4), (2.4, 2.9)),
    "office": ((3.0, 7.0, 2.8, 5.5), (2.5, 3.1)),
    "bathroom": ((1.9, 3.3, 1.9, 3.2), (2.3, 2.7)),
    "meeting": ((4.2, 8.0, 3.6, 6.0), (2.5, 3.2)),
    "corridor": ((5.0, 12.0, 1.5, 2.3), (2.4, 3.0)),
    "shop": ((6.0, 15.0, 5.0, 13.0), (2.8, 4.4)),
    "warehouse": ((8.0, 22.0, 7.0, 18.0), (4.0, 10.0)),
}
"""Least and greatest width and depth, and height, of each kind of room."""

LARGE = {"living": 0.25, "office": 0.15, "meeting": 0.1, "kitchen": 0.1, "shop": 0.15}
"""How likely a kind of room is a good deal larger: an open plan, a hall."""


@dataclass(frozen=True)
class Shell:
    """Hold the empty room: extent, walls, a corner that is cut off (or None), and the pieces."""

    width: float
    depth: float
    height: float
    walls: tuple[Wall, ...]
    cut: Box | None
    pieces: tuple[tuple[Piece, Pose], ...]


def _outline(width: float, depth: float, cut: Box | None) -> list[tuple[float, float]]:
    """Return the floor's corners counter-clockwise; the cut corner is at +x +y."""
    w, d = width / 2, depth / 2
    if cut is None:
        return [(-w, -d), (w, -d), (w, d), (-w, d)]
    x, y = cut[0], cut[2]
    return [(-w, -d), (w, -d), (w, y), (x, y), (x, d), (-w, d)]


def _wall_frames(corners: Sequence[tuple[float, float]]) -> list[Wall]:
    walls = []
    for (ax, ay), (bx, by) in zip(corners, [*corners[1:], corners[0]], strict=True):
        length = float(np.hypot(bx - ax, by - ay))
        # Counter-clockwise outline: the room lies to the left; local -y points there.
        yaw = float(np.degrees(np.arctan2(by - ay, bx - ax))) + 180
        walls.append(Wall(Pose((ax + bx) / 2, (ay + by) / 2, 0, yaw), length))
    return walls


def _wall_piece(wall: Wall, height: float, paint: m.Material, skirt: m.Material | None) -> Piece:
    """Return the wall's surface around its openings, with reveals and a skirting board."""
    xs = sorted(
        {-wall.length / 2, wall.length / 2}
        | {o.at + s * o.width / 2 for o in wall.openings for s in (-1, 1)}
    )
    parts: list[Part] = []
    for a, b in pairwise(xs):
        spans, z = [], 0.0
        for o in sorted(
            (o for o in wall.openings if abs(o.at - (a + b) / 2) < o.width / 2), key=lambda o: o.low
        ):
            spans.append((z, o.low))
            z = o.high
        spans.append((z, height))
        for low, high in spans:
            if high - low > 1e-6:
                grid = np.array([[[a, 0, low], [a, 0, high]], [[b, 0, low], [b, 0, high]]])
                parts.append(sheet(paint, grid))
                if skirt is not None and low == 0:
                    parts.append(box(skirt, (b - a, 0.014, 0.09), ((a + b) / 2, -0.007, 0)))
    for o in wall.openings:
        for s in (-1, 1):
            x = o.at + s * o.width / 2
            parts.append(
                sheet(
                    paint,
                    np.array(
                        [
                            [[x, 0, o.low], [x, 0, o.high]],
                            [[x, o.deep, o.low], [x, o.deep, o.high]],
                        ]
                    ),
                )
            )
    return Piece("wall", tuple(parts))


def _level(kind: str, material: m.Material, rects: Sequence[Box], z: float) -> Piece:
    """Return a level surface that faces up, or down if it is a ceiling."""
    parts = []
    for a, b, c, d in rects:
        x0, x1 = (b, a) if kind == "ceiling" else (a, b)
        grid = np.array([[[x0, c, z], [x0, d, z]], [[x1, c, z], [x1, d, z]]])
        parts.append(sheet(material, grid))
    return Piece(kind, tuple(parts))


def _rects(width: float, depth: float, cut: Box | None) -> list[Box]:
    w, d = width / 2, depth / 2
    if cut is None:
        return [(-w, w, -d, d)]
    return [(-w, w, -d, cut[2]), (-w, cut[0], cut[2], d)]


def _structure(
    rng: Rng, kind: str, width: float, depth: float, height: float
) -> list[tuple[Piece, Pose]]:
    """Return beams and columns."""
    things: list[tuple[Piece, Pose]] = []
    if rng.random() < (0.8 if kind == "warehouse" else 0.12):
        steel = m.metal(rng) if kind == "warehouse" else m.wood(rng)
        for y in np.linspace(-depth / 2, depth / 2, int(depth / 2.2) + 2)[1:-1]:
            things.append(
                (
                    Piece("beam", (box(steel, (width, 0.16, 0.22), (0, 0, height - 0.23)),)),
                    Pose(0, y),
                )
            )
    if rng.random() < {"warehouse": 0.7, "shop": 0.5}.get(kind, 0.1):
        body, side = m.plain(rng, m.PAINTS), rng.uniform(0.2, 0.45)
        for _ in range(int(rng.integers(1, 4))):
            if rng.random() < 0.3:
                part = cylinder(body, side / 2, height)
            else:
                part = box(body, (side, side, height))
            at = Pose(rng.uniform(-0.35, 0.35) * width, rng.uniform(-0.35, 0.35) * depth)
            things.append((Piece("column", (part,)), at))
            if kind not in ("warehouse", "shop"):
                break
    return things


def stairs(rng: Rng) -> Piece:
    """Return a flight of stairs against a wall, with a railing."""
    steps, wide = int(rng.integers(6, 13)), rng.uniform(0.8, 1.1)
    body, rise, run = pick(rng, m.wood(rng), m.stone(rng)), 0.175, 0.27
    long = steps * run
    parts = [
        box(body, (run, wide, rise * (i + 1)), (-long / 2 + run * (i + 0.5), 0, 0))
        for i in range(steps)
    ]
    frame = m.metal(rng)
    rail: list[Part] = []
    for i in range(0, steps, 2):
        x, z = -long / 2 + run * (i + 0.5), rise * (i + 1)
        rail.append(rod(frame, (x, -wide / 2 + 0.03, z), (x, -wide / 2 + 0.03, z + 0.9), 0.014))
    rail.append(
        rod(
            frame,
            (-long / 2, -wide / 2 + 0.03, rise + 0.9),
            (long / 2, -wide / 2 + 0.03, rise * steps + 0.9),
            0.022,
        )
    )
    return Piece("stairs", tuple(parts), ((Piece("railing", tuple(rail)), Pose()),))


def railing(rng: Rng) -> Piece:
    """Return a free-standing railing or low fence."""
    long, frame = rng.uniform(1.2, 2.4), m.metal(rng) if rng.random() < 0.6 else m.wood(rng)
    xs = np.linspace(-long / 2, long / 2, int(long / 0.14))
    parts = [rod(frame, (x, 0, 0), (x, 0, 0.95), 0.01) for x in xs]
    parts += [box(frame, (long, 0.04, 0.04), (0, 0, z)) for z in (0.08, 0.95)]
    return Piece("railing", tuple(parts))


def vent(rng: Rng) -> Piece:
    """Return a small thing on the wall: air vent, socket or switch."""
    body, side = m.white(rng), pick(rng, 0.085, 0.085, 0.3)
    return Piece(
        "air vent" if side > 0.1 else "light switch",
        (cushion(body, (side, 0.02, side), power=9, cells=3),),
    )


def _extent(rng: Rng, kind: str) -> tuple[float, float, float]:
    """Return width, depth and height: now and then of a large room, or of a tall one."""
    (w0, w1, d0, d1), (h0, h1) = EXTENTS[kind]
    width, depth, height = (float(rng.uniform(a, b)) for a, b in ((w0, w1), (d0, d1), (h0, h1)))
    if rng.random() < LARGE.get(kind, 0.0):
        width, depth = width * float(rng.uniform(1.3, 2.2)), depth * float(rng.uniform(1.1, 1.5))
    if rng.random() < (0.12 if kind in LARGE else 0.04):
        height *= float(rng.uniform(1.2, 2.0))
    return width, depth, height


def shell(rng: Rng, kind: str, *, bare: bool = False) -> Shell:
    """Return an empty room of a kind; ``bare`` leaves the ceiling out."""
    width, depth, height = _extent(rng, kind)
    cut: Box | None = None
    if kind not in ("bathroom", "corridor", "warehouse") and rng.random() < 0.25:
        cut = (
            width * float(rng.uniform(0.05, 0.25)),
            width / 2,
            depth * float(rng.uniform(0.05, 0.25)),
            depth / 2,
        )
    walls = _wall_frames(_outline(width, depth, cut))
    long_ones = [i for i, w in enumerate(walls) if w.length > 1.3]
    door_wall = int(rng.choice(long_ones))
    paint = m.wall(rng, kind)
    accent = m.wall(rng, kind) if rng.random() < 0.25 else paint
    skirt = (
        (pick(rng, m.white(rng), m.wood(rng)))
        if rng.random() < 0.75 and kind != "bathroom"
        else None
    )
    made, pieces = [], []
    for i, wall in enumerate(walls):
        doors = int(i == door_wall) + int(rng.random() < (0.9 if kind == "corridor" else 0.08))
        doors += int(rng.integers(0, 3)) if kind == "corridor" and wall.length > 4 else 0
        windows = int(rng.random() < 0.45) * int(rng.integers(1, 3)) if kind != "corridor" else 0
        wall = openings.cut(rng, kind, wall, height, doors, windows)  # noqa: PLW2901
        made.append(wall)
        surface = accent if i == (door_wall + 1) % len(walls) else paint
        pieces.append((_wall_piece(wall, height, surface, skirt), wall.pose))
        pieces += openings.fill(rng, kind, wall, height)
    rects = _rects(width, depth, cut)
    pieces.append((_level("floor", m.floor(rng, kind), rects, 0.0), Pose()))
    if not bare:
        color = m.white(rng) if rng.random() < 0.8 else m.wood(rng)
        panels = kind in ("office", "meeting", "shop", "corridor") and rng.random() < 0.6
        if panels:
            color = m.Material(color.color, m.darker(color.color, 0.8), pattern="tile", scale=0.6)
        pieces.append((_level("ceiling", color, rects, height), Pose()))
    pieces += _structure(rng, kind, width, depth, height)
    return Shell(width, depth, height, tuple(made), cut, tuple(pieces))


def niche(rng: Rng) -> Shell:
    """Return a corner of a room: some floor, one or two walls, no ceiling."""
    width, depth, height = (
        float(rng.uniform(a, b)) for a, b in ((1.9, 2.8), (1.7, 2.6), (1.6, 2.4))
    )
    walls = _wall_frames(_outline(width, depth, None))[2 : 4 if rng.random() < 0.5 else 3]
    paint = m.wall(rng, "living")
    floor = _level("floor", m.floor(rng, "living"), _rects(width, depth, None), 0.0)
    pieces = [(_wall_piece(wall, height, paint, None), wall.pose) for wall in walls]
    return Shell(width, depth, height, tuple(walls), None, (*pieces, (floor, Pose())))

"""Doors and windows of many makes, and what hangs before them, in metres, facing -y."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from . import fixtures
from . import materials as m
from .materials import Rng, pick
from .shapes import Part, Piece, Pose, box, ring, rod


@dataclass(frozen=True)
class Opening:
    """Hold a hole in a wall: centre along it, width, lower and upper edge, what fills it, depth."""

    at: float
    width: float
    low: float
    high: float
    kind: str
    deep: float = 0.14


@dataclass(frozen=True)
class Wall:
    """Hold one wall: the pose of its frame (x along, -y into the room), length and openings."""

    pose: Pose
    length: float
    openings: tuple[Opening, ...] = ()


FRONTED = frozenset(["living", "office", "meeting", "shop", "kitchen"])
"""Kinds of room that have wide glass fronts more often."""


def _doorway(rng: Rng, kind: str, height: float) -> Opening:
    wide, high = float(rng.uniform(0.7, 1.05)), float(rng.uniform(1.95, 2.2))
    if rng.random() < 0.15:
        wide *= 1.9
    if kind == "warehouse" and rng.random() < 0.5:
        wide, high = 3.0, 3.2
    high = min(high, height - (0.1 if high < 3 else 0.4))
    return Opening(0, wide, 0.0, high, "door", float(rng.uniform(0.08, 0.25)))


def _light(rng: Rng, kind: str, height: float, length: float) -> Opening:
    """Return a window: over a parapet, down to the floor, or a front of glass."""
    wide = float(rng.uniform(0.45, 2.2))
    low = float(rng.uniform(0.1, 0.4) if rng.random() < 0.15 else rng.uniform(0.7, 1.2))
    high = min(float(rng.uniform(1.75, 2.4)), height - 0.12)
    if rng.random() < (0.3 if kind in FRONTED else 0.15):
        wide, low = float(rng.uniform(1.2, max(1.5, min(7.0, length - 0.4)))), 0.02
        low = low if rng.random() < 0.6 else float(rng.uniform(0.02, 0.5))
        high = min(float(rng.uniform(2.0, 3.6)), height - float(rng.uniform(0.04, 0.2)))
    elif rng.random() < 0.08:  # a strip below the ceiling
        low, high = height - float(rng.uniform(0.6, 1.0)), height - 0.12
    if kind == "bathroom":
        wide, low, high = min(wide, 0.9), 1.2, max(high, 1.7)
    return Opening(0, wide, low, high, "window", float(rng.uniform(0.05, 0.35)))


def cut(rng: Rng, kind: str, wall: Wall, height: float, doors: int, windows: int) -> Wall:
    """Return the wall with so many doors and windows, as far as they fit."""
    placed: list[Opening] = []
    for number in range(doors + windows):
        if number < doors:
            hole = _doorway(rng, kind, height)
        else:
            hole = _light(rng, kind, height, wall.length)
        half = wall.length / 2 - hole.width / 2 - 0.12
        if half <= 0:
            continue
        for _ in range(8):
            at = float(rng.uniform(-half, half))
            if all(abs(at - o.at) > (hole.width + o.width) / 2 + 0.15 for o in placed):
                placed.append(replace(hole, at=at))
                break
    return replace(wall, openings=tuple(placed))


def casing(rng: Rng, material: m.Material, wide: float, high: float, low: bool) -> list[Part]:
    """Return the boards round an opening, flat on the wall; ``low`` adds the one below."""
    edge, thick = float(rng.uniform(0.04, 0.13)), float(rng.uniform(0.01, 0.03))
    y, base = -thick / 2, -edge if low else 0.0
    parts = [
        box(material, (edge, thick, high - base + edge), (s * (wide + edge) / 2, y, base))
        for s in (-1, 1)
    ]
    parts.append(box(material, (wide, thick, edge), (0, y, high)))
    if low:
        parts.append(box(material, (wide, thick, edge), (0, y, -edge)))
    return parts


def glass(rng: Rng) -> m.Material:
    """Return what a pane looks like: sky, a view, night, a reflection of the room, frosted."""
    style = rng.random()
    if style < 0.3:
        return m.Material(pick(rng, (0.97, 0.98, 0.98), (0.88, 0.92, 0.96), (1.0, 1.0, 1.0)))
    if style < 0.6:
        sky = pick(rng, (0.86, 0.91, 0.96), (0.7, 0.78, 0.85), (0.93, 0.94, 0.93))
        ground = pick(rng, m.tinted(rng, m.GREENS), m.tinted(rng, m.BRICKS), m.darker(sky, 0.6))
        return m.Material(sky, m.darker(sky, 0.8), ground, "picture", float(rng.uniform(0.3, 1.2)))
    if style < 0.75:
        dark = pick(rng, (0.12, 0.13, 0.16), (0.3, 0.36, 0.4), (0.2, 0.22, 0.22))
        return m.Material(dark, m.darker(dark, 1.5), m.darker(dark, 0.6), "picture", 0.8)
    if style < 0.9:
        return m.Material(m.tinted(rng, m.PAINTS[:16]), contrast=0.6)
    grey = pick(rng, (0.55, 0.57, 0.58), (0.68, 0.75, 0.74), (0.8, 0.82, 0.83))
    return m.Material(grey)


def _wing(
    frame: m.Material, view: m.Material | None, wide: float, high: float, edge: float, grid: tuple
) -> list[Part]:
    """Return one wing: frame, glass (or none) and muntins, around x = y = 0, upwards from z = 0."""
    parts = ring(frame, wide, high, edge, 0.05)
    if view is not None:
        parts.append(box(view, (wide - 2 * edge, 0.012, high - 2 * edge), (0, 0.005, edge)))
    columns, rows = grid
    for i in range(1, columns):
        parts.append(box(frame, (0.025, 0.03, high), (wide * (i / columns - 0.5), 0, 0.001)))
    for i in range(1, rows):
        parts.append(box(frame, (wide, 0.03, 0.025), (0, 0, high * i / rows)))
    return parts


def _blind(rng: Rng, wide: float, high: float) -> tuple[Piece, bool]:
    """Return a roller or slatted blind hanging from ``high``, and whether one sees through it."""
    cloth = pick(rng, m.white(rng), m.fabric(rng), m.plain(rng, m.PAINTS), m.metal(rng))
    drop = high * float(rng.uniform(0.2, 1.0))
    rail = box(cloth, (wide, 0.05, 0.05), (0, 0, high - 0.05))
    if rng.random() < 0.4:
        parts = [rail, box(cloth, (wide, 0.006, drop), (0, 0, high - drop))]
        return Piece("blinds", tuple(parts)), False
    step, tilt = float(rng.uniform(0.025, 0.07)), float(rng.uniform(0, 75))
    slats = [
        box(cloth, (wide, step, 0.003), (0, 0, z)).turned(tilt, 0, (0, 0, z))
        for z in np.arange(high - drop, high - 0.05, step)
    ]
    return Piece("blinds", (rail, *slats)), tilt < 35


def window(rng: Rng, wide: float, high: float, deep: float = 0.14) -> Piece:
    """Return a window: wings with frames, muntins, sill, blind; z = 0 is its lower edge.

    deep: how far the wall reaches back; the glass stands anywhere in it, or flush with the wall.
    """
    frame = (
        m.white(rng) if rng.random() < 0.55 else pick(rng, m.wood(rng), m.metal(rng), m.dark(rng))
    )
    view = glass(rng) if rng.random() < 0.88 else None
    edge = float(rng.uniform(0.02, 0.09))
    y = float(pick(rng, 0.0, deep * 0.5, deep - 0.03)) + float(rng.normal(0, 0.01))
    columns = max(1, round(wide / float(rng.uniform(0.5, 1.4))))
    fixed = float(rng.uniform(0.2, 0.4)) * high if high > 1.2 and rng.random() < 0.3 else 0.0
    above = rng.random() < 0.5
    grid = (int(rng.integers(1, 4)), int(rng.integers(1, 5))) if rng.random() < 0.3 else (1, 1)
    each, low = wide / columns, 0.0 if above else fixed
    parts: list[Part] = []
    for i in range(columns):
        x = -wide / 2 + each * (i + 0.5)
        wing = _wing(frame, view, each, high - fixed, edge, grid)
        if rng.random() < 0.06:
            side = pick(rng, -1, 1)
            hinge = (-side * each / 2, 0, 0)
            wing = [p.turned(-side * float(rng.uniform(15, 80)), 2, hinge) for p in wing]
        parts += [p.moved(x, y, low) for p in wing]
        if rng.random() < 0.6:
            parts.append(
                box(m.metal(rng), (0.02, 0.04, 0.12), (x + each * 0.46, y - 0.04, low + 0.4 * high))
            )
        if fixed:
            z = high - fixed if above else 0.0
            parts += [p.moved(x, y, z) for p in _wing(frame, view, each, fixed, edge, (1, 1))]
    if rng.random() < 0.35:
        parts += casing(rng, frame, wide, high, True)
    if rng.random() < 0.6:
        board, out = (
            pick(rng, m.white(rng), m.stone(rng), m.wood(rng)),
            float(rng.uniform(0.02, 0.2)),
        )
        sill = (wide + float(rng.uniform(0, 0.12)), deep + out, 0.03)
        parts.append(box(board, sill, (0, (deep - out) / 2, -0.03)))
    if rng.random() < 0.22:
        blind, open_ = _blind(rng, wide * 0.97, high)
        at = Pose(0, y - 0.05)
        if not open_:
            return Piece("window", tuple(parts), ((blind, at),))
        parts += [p.moved(y=at.y) for p in blind.parts]
    return Piece("window", tuple(parts))


def _leaf(rng: Rng, body: m.Material, wide: float, high: float, style: int) -> list[Part]:
    """Return a door leaf: flush, panelled, glazed wholly or in part, or of slats."""
    if style == 1:
        rows, columns = int(rng.integers(1, 5)), int(rng.integers(1, 3))
        inset = m.Material(m.darker(body.color, float(rng.uniform(0.75, 1.15))))
        w, h = wide * 0.78 / columns, (high - 0.3) / rows
        out = [box(body, (wide, 0.04, high))]
        for i in range(columns):
            for j in range(rows):
                at = (w * (i + 0.5 - columns / 2), 0, 0.17 + h * j)
                out.append(box(inset, (w * 0.86, 0.052, h * 0.86), at))
        return out
    if style == 2:
        edge, grid = float(rng.uniform(0.05, 0.14)), (1, 1)
        if rng.random() < 0.5:
            grid = (int(rng.integers(1, 3)), int(rng.integers(2, 6)))
        low = float(pick(rng, 0.0, 0.0, 0.3, 0.8))
        out = _wing(body, glass(rng), wide, high - low, edge, grid)
        return [p.moved(z=low) for p in out] + ([box(body, (wide, 0.04, low))] if low else [])
    out = [box(body, (wide, 0.04, high))]
    if style == 3:
        pane = (wide * float(rng.uniform(0.15, 0.6)), 0.046, high * float(rng.uniform(0.15, 0.4)))
        out.append(box(glass(rng), pane, (float(rng.normal(0, 0.1)) * wide, 0, high * 0.55)))
    if style == 4:
        dim = m.Material(m.darker(body.color, 0.8))
        out += [
            box(dim, (wide * 0.8, 0.05, 0.02), (0, 0, z))
            for z in np.arange(0.15, high - 0.15, 0.06)
        ]
    return out


def _handle(rng: Rng, x: float, side: int) -> list[Part]:
    """Return a lever, knob or long bar on both faces of a leaf at x."""
    steel, style, parts = m.metal(rng), rng.integers(3), []
    for y in (-1, 1):
        if style == 0:
            parts.append(rod(steel, (x, y * 0.06, 1.02), (x - side * 0.12, y * 0.06, 1.02), 0.012))
            parts.append(box(steel, (0.04, 0.06, 0.2), (x, y * 0.02, 0.9)))
        elif style == 1:
            parts.append(rod(steel, (x, y * 0.02, 1.0), (x, y * 0.08, 1.0), 0.03))
        else:
            parts.append(rod(steel, (x, y * 0.06, 0.7), (x, y * 0.06, 1.4), 0.014))
    return parts


def door(rng: Rng, wide: float, high: float, deep: float = 0.14) -> Piece:
    """Return a door in its frame: leaves closed, open into the room or away from it, or none."""
    body = m.wood(rng) if rng.random() < 0.5 else m.plain(rng, m.PAINTS[:16])
    body = body if rng.random() < 0.88 else pick(rng, m.metal(rng), m.plain(rng, m.PLASTICS))
    frame = body if rng.random() < 0.5 else pick(rng, m.white(rng), m.metal(rng))
    parts = casing(rng, frame, wide, high, False)
    parts += [box(frame, (0.03, deep, high), (s * (wide / 2 - 0.01), deep / 2, 0)) for s in (-1, 1)]
    parts.append(box(frame, (wide, deep, 0.03), (0, deep / 2, high - 0.03)))
    if rng.random() < 0.06:
        return Piece("door", tuple(parts))
    leaves, grips = 2 if wide > 1.3 else 1, []
    each, style = (wide - 0.04) / leaves, int(rng.choice(5, p=[0.35, 0.27, 0.2, 0.13, 0.05]))
    top = high - 0.03
    if top > 2.1 and rng.random() < 0.15:
        light = float(rng.uniform(0.2, 0.4))
        top -= light
        pane = _wing(frame, glass(rng), wide - 0.04, light, 0.04, (leaves, 1))
        parts += [p.moved(0, deep * 0.4, top) for p in pane]
    y = float(pick(rng, 0.02, deep * 0.5))
    for i in range(leaves):
        side = 1 if i == 0 and (leaves == 2 or rng.random() < 0.5) else -1
        board = [p.moved(z=0.005) for p in _leaf(rng, body, each - 0.01, top - 0.01, style)]
        x, hinge = each * (i + 0.5) - each * leaves / 2, (-side * each / 2, 0, 0)
        swing = 0.0 if rng.random() < 0.55 else float(rng.uniform(5, 105))
        swing *= -1 if rng.random() < 0.25 else 1
        grip = _handle(rng, side * each * 0.42, side)
        board = [p.turned(-side * swing, 2, hinge).moved(x, y) for p in board]
        grips += [p.turned(-side * swing, 2, hinge).moved(x, y) for p in grip]
        parts += board
    return Piece("door", tuple(parts), ((Piece("door handle", tuple(grips)), Pose()),))


CLOTHED = {"living": 0.7, "bedroom": 0.8, "office": 0.3, "meeting": 0.3, "kitchen": 0.3}
"""How likely windows of a kind of room have curtains; 0.12 otherwise."""


def _curtains(rng: Rng, o: Opening, height: float) -> list[tuple[Piece, Pose]]:
    """Return curtains of one window: a pair, one side alone, a second sheer layer, or a valance."""
    low = 0.03 if rng.random() < 0.65 else max(0.03, o.low - 0.15)
    top = height - 0.04 if rng.random() < 0.3 else min(height - 0.04, o.high + 0.15)
    drawn = float(rng.uniform(0.1, 0.35) if rng.random() < 0.7 else rng.uniform(0.35, 0.56))
    sides = (-1, 1) if rng.random() < 0.75 else (pick(rng, -1, 1),)
    seed, tied = int(rng.integers(1 << 30)), rng.random() < 0.15
    things: list[tuple[Piece, Pose]] = []
    for s in sides:
        wide = max(0.15, o.width * drawn * (1 if len(sides) == 2 else 1.5))
        at = Pose(o.at + s * (o.width / 2 + 0.12 - wide / 2), -0.12, low)
        lean = s * 0.8 if tied else 0.0
        again = np.random.default_rng(seed)
        things.append((fixtures.curtain(again, wide, top - low, lean=lean), at))
    if rng.random() < 0.25:
        net = m.Material(pick(rng, (0.97, 0.97, 0.95), (0.9, 0.9, 0.88), (1.0, 1.0, 1.0)))
        wide = (o.width + 0.1) * float(rng.uniform(0.5, 1.0))
        at = Pose(o.at + (o.width + 0.1 - wide) * float(rng.uniform(-0.5, 0.5)), -0.05, low)
        things.append((fixtures.curtain(rng, wide, top - low, cloth=net), at))
    pole = rod(m.metal(rng), (-o.width / 2 - 0.25, 0, 0), (o.width / 2 + 0.25, 0, 0), 0.014)
    if rng.random() < 0.25:
        pole = box(
            pick(rng, m.fabric(rng), m.wood(rng)), (o.width + 0.4, 0.1, 0.16), (0, 0.03, -0.13)
        )
    things.append((Piece("curtain", (pole,)), Pose(o.at, -0.12, top)))
    return things


def fill(rng: Rng, kind: str, wall: Wall, height: float) -> list[tuple[Piece, Pose]]:
    """Return doors, windows and curtains of a wall."""
    things: list[tuple[Piece, Pose]] = []
    cloth = rng.random() < CLOTHED.get(kind, 0.12)
    seed = int(rng.integers(1 << 30))
    for o in wall.openings:
        if o.kind == "door":
            things.append((door(rng, o.width, o.high, o.deep), Pose(o.at)))
            continue
        # Windows of one wall are alike.
        again = np.random.default_rng(seed)
        things.append((window(again, o.width, o.high - o.low, o.deep), Pose(o.at, 0, o.low)))
        things += _curtains(np.random.default_rng(seed), o, height) if cloth else []
    return [(piece, at.then(wall.pose)) for piece, at in things]

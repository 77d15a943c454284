"""Parametric chairs, sofas and beds, in metres, z up, facing -y."""

from __future__ import annotations

import numpy as np

from . import materials as m
from .materials import Rng, pick
from .shapes import Part, Piece, Pose, bar, blob, box, cushion, cylinder, legs, rod, sheet


def _slats(rng: Rng, material: m.Material, width: float, z0: float, z1: float, y: float) -> list:
    """Return the filling of a chair's back: a board, vertical slats, or horizontal ones."""
    style, height = rng.integers(4), z1 - z0
    if style == 0:
        return [box(material, (width, 0.02, height * 0.75), (0, y, z0 + height * 0.25))]
    if style == 1:
        count = int(rng.integers(3, 7))
        xs = np.linspace(-width / 2 + 0.03, width / 2 - 0.03, count)
        up = [box(material, (0.025, 0.018, height), (x, y, z0)) for x in xs]
        return [*up, box(material, (width, 0.025, 0.06), (0, y, z1 - 0.06))]
    if style == 2:
        count = int(rng.integers(2, 5))
        zs = np.linspace(z0 + height * 0.3, z1 - 0.05, count)
        return [box(material, (width, 0.018, 0.045), (0, y, z)) for z in zs]
    return [cushion(material, (width, 0.05, height * 0.7), (0, y, z0 + height * 0.3))]


def chair(rng: Rng) -> Piece:
    """Return a dining or visitor's chair: wood, metal and shell, or upholstered."""
    width, depth = rng.uniform(0.4, 0.54), rng.uniform(0.4, 0.52)
    seat, back = rng.uniform(0.42, 0.49), rng.uniform(0.36, 0.58)
    frame = m.wood(rng) if rng.random() < 0.6 else m.metal(rng)
    soft = pick(rng, frame, m.upholstery(rng), m.plastic(rng))
    thick = rng.uniform(0.025, 0.045)
    lean = rng.uniform(4, 14)
    parts: list[Part] = []
    if rng.random() < 0.2:  # cantilever or sled base
        for sx in (-1, 1):
            x = sx * (width / 2 - 0.02)
            parts += [
                rod(frame, (x, -depth / 2, 0.015), (x, depth / 2, 0.015), 0.013),
                rod(frame, (x, -depth / 2, 0.015), (x, -depth / 2, seat), 0.013),
            ]
        parts.append(
            rod(frame, (-width / 2, depth / 2, 0.015), (width / 2, depth / 2, 0.015), 0.01)
        )
    else:
        splay = rng.uniform(0, 0.06) if rng.random() < 0.5 else 0.0
        round_ = rng.random() < 0.4
        parts += legs(frame, width, depth, seat, thick, round_=round_, splay=splay, taper=0.7)
        if rng.random() < 0.4:
            parts += [
                box(frame, (0.02, depth - 0.05, 0.03), (s * width / 2 * 0.92, 0, seat * 0.4))
                for s in (-1, 1)
            ]
    upright = []
    if rng.random() < 0.3:  # one moulded shell
        z = np.linspace(0, back, 6)
        x = np.linspace(-0.5, 0.5, 7)
        grid = np.stack(np.meshgrid(x, z, indexing="ij"), axis=-1)
        bulge = depth / 2 - 0.25 * depth * (2 * grid[..., 0]) ** 2
        narrow = width * (1 - 0.25 * (grid[..., 1] / back) ** 2)
        shell = np.stack([grid[..., 0] * narrow, bulge, seat + grid[..., 1]], axis=-1)
        upright.append(sheet(soft, shell))
        parts.append(cushion(soft, (width, depth, 0.05), (0, 0, seat - 0.02), 4))
    else:
        parts.append(
            cushion(soft, (width, depth, rng.uniform(0.025, 0.08)), (0, 0, seat - 0.02), 8)
        )
        upright += [
            box(
                frame,
                (thick, thick, back),
                (s * (width / 2 - thick / 2), depth / 2 - thick / 2, seat),
            )
            for s in (-1, 1)
        ]
        fill = soft if rng.random() < 0.5 else frame
        inner = width - 2 * thick
        upright += _slats(rng, fill, inner, seat + 0.05, seat + back, depth / 2 - thick / 2)
    parts += [p.turned(-lean, 0, (0, depth / 2, seat)) for p in upright]
    if rng.random() < 0.2:
        parts += _arms(frame, width, depth, seat)
    return Piece("chair", tuple(parts))


def _arms(frame: m.Material, width: float, depth: float, seat: float, high: float = 0.2) -> list:
    parts = []
    for s in (-1, 1):
        x = s * (width / 2 + 0.015)
        parts += [
            box(frame, (0.045, depth * 0.8, 0.03), (x, 0, seat + high)),
            box(frame, (0.03, 0.03, high + 0.05), (x, -depth * 0.35, seat - 0.05)),
            box(frame, (0.03, 0.03, high + 0.05), (x, depth * 0.35, seat - 0.05)),
        ]
    return parts


def _star(frame: m.Material, seat: float, arms: int = 5) -> list[Part]:
    parts = [cylinder(frame, 0.028, seat - 0.08, (0, 0, 0.08))]
    for a in np.arange(arms) * 2 * np.pi / arms:
        x, y = 0.3 * np.cos(a), 0.3 * np.sin(a)
        parts.append(bar(frame, (0, 0, 0.11), (x, y, 0.075), 0.04))
        parts.append(cushion(m.Material((0.08, 0.08, 0.08)), (0.05, 0.05, 0.06), (x, y, 0), 2, 3))
    return parts


def office_chair(rng: Rng) -> Piece:
    """Return a swivel chair with a five-star base."""
    frame = m.dark(rng) if rng.random() < 0.7 else m.metal(rng)
    dark = rng.random() < 0.55
    soft = m.plain(rng, m.FABRICS[9:12] + m.LEATHERS[5:7]) if dark else m.upholstery(rng)
    width, seat, back = rng.uniform(0.46, 0.56), rng.uniform(0.43, 0.52), rng.uniform(0.4, 0.75)
    parts = _star(frame, seat)
    parts.append(cushion(soft, (width, 0.48, 0.09), (0, 0, seat - 0.03), 4))
    rest = cushion(soft, (width * 0.9, 0.08, back), (0, 0.22, seat + 0.12), 4)
    parts.append(rest.turned(-rng.uniform(5, 15), 0, (0, 0.22, seat)))
    parts.append(bar(frame, (0, 0.2, seat - 0.02), (0, 0.28, seat + 0.3), 0.05))
    if rng.random() < 0.7:
        parts += _arms(frame, width, 0.4, seat, rng.uniform(0.17, 0.24))
    return Piece("office chair", tuple(parts))


def stool(rng: Rng) -> Piece:
    """Return a stool, low or bar height."""
    high = rng.random() < 0.4
    seat = rng.uniform(0.62, 0.8) if high else rng.uniform(0.4, 0.5)
    width, frame = rng.uniform(0.28, 0.42), pick(rng, m.wood(rng), m.metal(rng))
    top = pick(rng, frame, m.upholstery(rng))
    parts: list[Part] = []
    if rng.random() < 0.35:
        parts = [
            cylinder(frame, 0.2, 0.02),
            cylinder(frame, 0.025, seat - 0.04, (0, 0, 0.02)),
        ]
    else:
        splay = rng.uniform(0, 0.06)
        parts = legs(frame, width * 0.85, width * 0.85, seat, 0.032, round_=True, splay=splay)
        z = seat * 0.35
        parts += [
            rod(frame, (-width / 2, s * 0.1, z), (width / 2, s * 0.1, z), 0.01) for s in (-1, 1)
        ]
    if rng.random() < 0.6:
        parts.append(cylinder(top, width / 2, 0.04, (0, 0, seat - 0.02)))
    else:
        parts.append(cushion(top, (width, width, 0.06), (0, 0, seat - 0.02), 5))
    return Piece("bar stool" if high else "stool", tuple(parts))


def bench(rng: Rng) -> Piece:
    """Return a bench, with or without a back."""
    width, depth, seat = rng.uniform(0.9, 1.8), rng.uniform(0.32, 0.48), rng.uniform(0.42, 0.48)
    frame = m.wood(rng)
    top = frame if rng.random() < 0.6 else m.upholstery(rng)
    parts = legs(pick(rng, frame, m.metal(rng)), width, depth, seat, 0.06)
    if top is frame:
        count = int(rng.integers(1, 5))
        for y in (np.arange(count) - (count - 1) / 2) * depth / count:
            parts.append(box(top, (width, depth / count * 0.88, 0.035), (0, y, seat)))
    else:
        parts.append(cushion(top, (width, depth, 0.1), (0, 0, seat - 0.02), 6))
    if rng.random() < 0.35:
        parts += [box(frame, (width, 0.03, 0.09), (0, depth / 2, seat + z)) for z in (0.2, 0.36)]
        parts += [
            box(frame, (0.05, 0.04, 0.45), (s * (width / 2 - 0.05), depth / 2, seat))
            for s in (-1, 1)
        ]
    return Piece("bench", tuple(parts))


def _seat_block(
    rng: Rng, cloth: m.Material, wide: float, deep: float, seats: int, arm: float
) -> list:
    """Return base, back, arms and cushions of a sofa or armchair of this outer size."""
    seat, back = rng.uniform(0.36, 0.46), rng.uniform(0.7, 0.95)
    rest, soft = rng.uniform(0.16, 0.26), rng.uniform(4, 9)
    foot = rng.uniform(0.04, 0.16)
    parts = legs(pick(rng, m.wood(rng), m.metal(rng)), wide * 0.92, deep * 0.85, foot, 0.05)
    parts.append(cushion(cloth, (wide, deep, seat - 0.12 - foot), (0, 0, foot), 10))
    parts.append(cushion(cloth, (wide, rest, back - foot), (0, deep / 2 - rest / 2, foot), soft))
    if arm:
        height = rng.uniform(0.5, 0.68)
        for s in (-1, 1):
            x = s * (wide / 2 - arm / 2)
            parts.append(cushion(cloth, (arm, deep, height - foot), (x, 0, foot), soft))
    inner = wide - 2 * arm
    each, thick = inner / seats, rng.uniform(0.12, 0.18)
    for i in range(seats):
        x = -inner / 2 + each * (i + 0.5)
        size = (each * 0.98, deep - rest, thick)
        parts.append(cushion(cloth, size, (x, -rest / 2, seat - 0.12), 6))
        if back > 0.8 or rng.random() < 0.6:
            pad = cushion(cloth, (each * 0.95, 0.16, 0.45), (x, deep / 2 - rest - 0.06, seat), 4)
            parts.append(pad.turned(-10, 0, (x, deep / 2 - rest, seat)))
    return parts


def pillow(rng: Rng) -> Piece:
    """Return a scatter cushion or bed pillow lying flat."""
    wide = rng.uniform(0.38, 0.7)
    cloth = m.fabric(rng) if rng.random() < 0.7 else m.white(rng)
    size = (wide, rng.uniform(0.35, 0.48), rng.uniform(0.1, 0.17))
    return Piece("pillow", (cushion(cloth, size, power=2.6),))


def _sofa_end(rng: Rng, cloth: m.Material, wide: float, deep: float, seats: int) -> list[Part]:
    """Return what makes a sofa L-shaped: a chaise longue, or a second sofa around the corner."""
    side = pick(rng, -1, 1)
    if rng.random() < 0.6:
        x, long = side * (wide / 2 - 0.4), rng.uniform(0.5, 0.9)
        low = cushion(cloth, (0.78, long, 0.28), (x, -deep / 2 - long / 2 + 0.02, 0.06), 9)
        top = cushion(cloth, (0.76, long, 0.15), (x, -deep / 2 - long / 2 + 0.04, 0.3), 6)
        return [low, top]
    long = (seats - 1) * rng.uniform(0.6, 0.75)
    block = _seat_block(rng, cloth, long, deep, seats - 1, 0.0)
    x, y = side * (wide / 2 - deep / 2), -deep / 2 - long / 2 + 0.03
    return [part.turned(-90 * side, 2).moved(x, y) for part in block]


def sofa(rng: Rng) -> Piece:
    """Return a sofa of two to four seats, sometimes L-shaped, with scatter cushions.

    The cushions are things of their own, or now and then part of it.
    """
    seats, deep, arm = int(rng.integers(2, 5)), rng.uniform(0.8, 1.02), rng.uniform(0.1, 0.28)
    arm = 0.0 if rng.random() < 0.08 else arm
    wide = min(seats * rng.uniform(0.58, 0.78) + 2 * arm, 2.8)
    cloth = m.white(rng) if rng.random() < 0.1 else m.upholstery(rng)
    parts = _seat_block(rng, cloth, wide, deep, seats, arm)
    if rng.random() < 0.35:
        parts += _sofa_end(rng, cloth, wide, deep, seats)
    soft = []
    for _ in range(int(rng.integers(0, 5))):
        x = rng.uniform(-wide / 2 + arm + 0.2, wide / 2 - arm - 0.2)
        tilted = [p.turned(72, 0).moved(z=0.16) for p in pillow(rng).parts]
        yaw = rng.uniform(-25, 25)
        soft += [p.turned(yaw, 2).moved(x, 0.1, 0.44) for p in tilted]
    if rng.random() < 0.3:
        return Piece("sofa", tuple(parts + soft))
    return Piece("sofa", tuple(parts), tuple((Piece("pillow", (p,)), Pose()) for p in soft))


def armchair(rng: Rng) -> Piece:
    """Return an armchair."""
    arm = rng.uniform(0.1, 0.2)
    parts = _seat_block(
        rng, m.upholstery(rng), rng.uniform(0.72, 0.95), rng.uniform(0.72, 0.92), 1, arm
    )
    return Piece("armchair", tuple(parts))


def ottoman(rng: Rng) -> Piece:
    """Return a footstool or pouf."""
    cloth, wide = m.upholstery(rng), rng.uniform(0.4, 0.75)
    high = rng.uniform(0.3, 0.45)
    if rng.random() < 0.4:
        return Piece("ottoman", (cylinder(cloth, wide / 2, high, sides=20),))
    return Piece("ottoman", (cushion(cloth, (wide, wide * rng.uniform(0.7, 1), high), power=8),))


def _duvet(
    rng: Rng, cloth: m.Material, wide: float, start: float, end: float, z: float, drop: float
) -> Part:
    """Return a rumpled cover from y = start to end that hangs ``drop`` down a bed's sides."""
    x, y = np.linspace(-1, 1, 19), np.linspace(start, end, 15)
    u, v = np.meshgrid(x, y, indexing="ij")
    folded = np.clip(np.abs(u) * (wide / 2 + drop) - wide / 2, 0, None)
    waves = sum(
        np.sin(u * rng.normal(0, 5) + v * rng.normal(0, 6) + rng.uniform(0, 6)) for _ in range(4)
    )
    across = np.sign(u) * np.minimum(np.abs(u) * (wide / 2 + drop), wide / 2 + 0.02)
    lift = z + rng.uniform(0.02, 0.05) + rng.uniform(0.006, 0.02) * waves - folded
    return sheet(cloth, np.stack([across, v, lift], axis=-1))


def _headboard(rng: Rng, frame: m.Material, wide: float, y: float) -> list[Part]:
    """Return a board, a padded one, padded panels or bars, sometimes wider than the bed."""
    head, style = rng.uniform(0.75, 1.3), rng.random()
    wide += rng.uniform(0.2, 0.9) if rng.random() < 0.2 else 0.08
    if style < 0.35:
        return [box(frame, (wide, 0.05, head), (0, y, 0))]
    if style < 0.65:
        return [cushion(frame, (wide, rng.uniform(0.07, 0.14), head), (0, y, 0), 8)]
    if style < 0.85:
        across, up = int(rng.integers(2, 7)), int(rng.integers(1, 4))
        size = (wide / across, 0.09, (head - 0.1) / up)
        return [
            cushion(frame, size, ((i + 0.5 - across / 2) * size[0], y, 0.1 + k * size[2]), 6)
            for i in range(across)
            for k in range(up)
        ]
    xs = np.linspace(-wide / 2, wide / 2, int(rng.integers(6, 14)))
    bars = [rod(frame, (x, y, 0), (x, y, head), 0.014) for x in xs]
    return [*bars, rod(frame, (-wide / 2, y, head), (wide / 2, y, head), 0.02)]


def _bed_frame(
    rng: Rng, frame: m.Material, cover: m.Material, wide: float, long: float, base: float
) -> list[Part]:
    """Return what carries the mattress: a box, rails on legs, or a divan clad to the floor."""
    style = rng.random()
    if style < 0.4:
        return [box(frame, (wide + 0.06, long + 0.04, base + 0.02), (0, 0, 0))]
    if style < 0.7:
        rails = box(frame, (wide + 0.06, long + 0.04, 0.15), (0, 0, base - 0.13))
        return [rails, *legs(frame, wide, long, base - 0.1, 0.07)]
    return [cushion(pick(rng, frame, cover, cover), (wide, long, base + 0.02), (0, 0, 0), 14)]


def _bed_pillows(rng: Rng, sheets: m.Material, wide: float, long: float, z: float) -> list[Part]:
    """Return pillows lying side by side, or leaning on the headboard in one or two rows."""
    count, rows = 1 if wide < 1.3 else 2, int(rng.integers(1, 3))
    leaning = rng.random() < 0.5
    pillows = []
    for row in range(rows if leaning else 1):
        cloth = sheets if row == 0 or rng.random() < 0.5 else m.fabric(rng)
        for i in range(count):
            x, y = (i - (count - 1) / 2) * wide / 2, long / 2 - 0.28
            soft = cushion(cloth, (min(0.75, wide * 0.46), 0.42, 0.16), power=2.6)
            if leaning:
                soft = soft.turned(rng.uniform(40, 75), 0).moved(z=0.18)
                y += 0.14 - 0.2 * row
            pillows.append(soft.turned(rng.normal(0, 5), 2).moved(x, y, z))
    return pillows


def bed(rng: Rng) -> Piece:
    """Return a made or rumpled bed with headboard at +y and pillows, now and then a throw.

    The bedding is the bed, as labelled scans have it; the pillows are too, four times in ten.
    """
    wide, long = float(rng.choice([0.9, 1.2, 1.4, 1.6, 1.8, 2.0])), rng.uniform(1.95, 2.15)
    frame = pick(rng, m.wood, m.wood, m.wood, m.upholstery, m.white)(rng)
    base, thick = rng.uniform(0.12, 0.4), rng.uniform(0.12, 0.3)
    sheets = m.white(rng) if rng.random() < 0.6 else m.fabric(rng)
    cover = m.fabric(rng) if rng.random() < 0.5 else sheets
    parts = [cushion(sheets, (wide, long, thick), (0, 0, base), rng.uniform(5, 14))]
    parts += _bed_frame(rng, frame, cover, wide, long, base)
    if rng.random() < 0.85:
        parts += _headboard(rng, pick(rng, frame, frame, cover), wide, long / 2 + 0.04)
    if rng.random() < 0.2:
        parts.append(box(frame, (wide + 0.08, 0.05, base + thick + 0.1), (0, -long / 2 - 0.04, 0)))
    z = base + thick
    things: list[tuple[Piece, Pose]] = []
    style = rng.random()
    if style < 0.75:
        top = long / 2 - rng.uniform(-0.02, 0.9)
        drop = rng.uniform(0.8, 1.0) * z if rng.random() < 0.3 else rng.uniform(0.1, 0.35)
        parts.append(_duvet(rng, cover, wide, -long / 2 - 0.02, top, z, drop))
    elif style < 0.9:
        parts.append(blob(cover, (wide * 0.6, 0.8, 0.25), (0, -0.3, z), rng))
    if rng.random() < 0.35:
        throw, end = m.fabric(rng), -long / 2 + rng.uniform(0.3, 0.8)
        cloth = _duvet(rng, throw, wide + 0.02, -long / 2 - 0.03, end, z + 0.05, 0.25)
        if rng.random() < 0.4:
            cloth = blob(throw, (rng.uniform(0.4, 0.9), 0.5, 0.2), (0, -0.4, z + 0.03), rng)
        things.append((Piece("blanket", (cloth,)), Pose()))
    pillows = _bed_pillows(rng, sheets, wide, long, z)
    if rng.random() < 0.4:
        parts += pillows
    else:
        things += [(Piece("pillow", (soft,)), Pose()) for soft in pillows]
    return Piece("bed", tuple(parts), tuple(things))

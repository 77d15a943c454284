"""Parametric furniture: seats, tables, beds and storage, in metres, z up, facing -y."""

from __future__ import annotations

import numpy as np

from . import materials as m
from .shapes import (
    Part,
    Piece,
    Pose,
    Top,
    bar,
    blob,
    box,
    cushion,
    cylinder,
    lathe,
    legs,
    rod,
    sheet,
)

Rng = np.random.Generator


def _pick(rng: Rng, *options):
    return options[int(rng.integers(len(options)))]


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
    soft = _pick(rng, frame, m.upholstery(rng), m.plastic(rng))
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
    width, frame = rng.uniform(0.28, 0.42), _pick(rng, m.wood(rng), m.metal(rng))
    top = _pick(rng, frame, m.upholstery(rng))
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
    parts = legs(_pick(rng, frame, m.metal(rng)), width, depth, seat, 0.06)
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
    parts = legs(_pick(rng, m.wood(rng), m.metal(rng)), wide * 0.92, deep * 0.85, foot, 0.05)
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


def sofa(rng: Rng) -> Piece:
    """Return a sofa of two to four seats, sometimes L-shaped, with scatter cushions."""
    seats, deep, arm = int(rng.integers(2, 4)), rng.uniform(0.8, 1.02), rng.uniform(0.1, 0.28)
    arm = 0.0 if rng.random() < 0.08 else arm
    wide = seats * rng.uniform(0.58, 0.78) + 2 * arm
    cloth = m.upholstery(rng)
    parts = _seat_block(rng, cloth, wide, deep, seats, arm)
    if rng.random() < 0.25:
        side, long = _pick(rng, -1, 1), rng.uniform(0.5, 0.9)
        x = side * (wide / 2 - 0.4)
        parts.append(cushion(cloth, (0.78, long, 0.28), (x, -deep / 2 - long / 2 + 0.02, 0.06), 9))
        parts.append(cushion(cloth, (0.76, long, 0.15), (x, -deep / 2 - long / 2 + 0.04, 0.3), 6))
    things = []
    for _ in range(int(rng.integers(0, 4))):
        x = rng.uniform(-wide / 2 + arm + 0.2, wide / 2 - arm - 0.2)
        soft = pillow(rng)
        tilted = tuple(p.turned(72, 0).moved(z=0.16) for p in soft.parts)
        things.append((Piece("pillow", tilted), Pose(x, 0.1, 0.44, rng.uniform(-25, 25))))
    return Piece("sofa", tuple(parts), tuple(things[:2]))


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


def _tabletop(rng: Rng, name: str, wide: float, deep: float, high: float, round_: bool) -> Piece:
    top = _pick(rng, m.wood(rng), m.wood(rng), m.stone(rng), m.white(rng))
    frame = _pick(rng, top, m.metal(rng), m.wood(rng))
    thick = rng.uniform(0.02, 0.05)
    leg = high - thick
    parts: list[Part] = []
    base = rng.random()
    if round_ or base < 0.12:
        pole = rng.uniform(0.03, 0.08)
        foot = min(wide, deep) * rng.uniform(0.25, 0.36)
        if rng.random() < 0.5:
            parts += [cylinder(frame, foot, 0.025), cylinder(frame, pole, leg - 0.02, (0, 0, 0.02))]
        else:
            for a in np.arange(4) * np.pi / 2 + 0.785:
                tip = (foot * 1.2 * np.cos(a), foot * 1.2 * np.sin(a), 0.03)
                parts.append(bar(frame, (0, 0, leg * 0.3), tip, 0.06))
            parts.append(cylinder(frame, pole, leg - 0.1, (0, 0, 0.1)))
    elif base < 0.25:
        for s in (-1, 1):
            x = s * (wide / 2 - 0.12)
            parts.append(box(frame, (0.05, deep * 0.85, leg), (x, 0, 0)))
        parts.append(box(frame, (wide - 0.3, 0.03, 0.1), (0, 0, leg * 0.4)))
    else:
        splay = rng.uniform(0, 0.06) if rng.random() < 0.4 else 0.0
        size = rng.uniform(0.04, 0.09)
        inset = rng.uniform(0.0, 0.1)
        round_leg = rng.random() < 0.35
        parts += legs(frame, wide - inset, deep - inset, leg, size, round_=round_leg, splay=splay)
        if rng.random() < 0.6:
            rail = (wide - inset - size, deep - inset - size)
            for s in (-1, 1):
                parts.append(box(frame, (rail[0], 0.02, 0.08), (0, s * rail[1] / 2, leg - 0.08)))
                parts.append(box(frame, (0.02, rail[1], 0.08), (s * rail[0] / 2, 0, leg - 0.08)))
    if round_:
        parts.append(cylinder(top, wide / 2, thick, (0, 0, leg), sides=26))
        return Piece(name, tuple(parts), tops=(Top(0, 0, high, wide * 0.7, wide * 0.7),))
    if rng.random() < 0.25:
        parts.append(cushion(top, (wide, deep, thick), (0, 0, leg), 12, 4))
    else:
        parts.append(box(top, (wide, deep, thick), (0, 0, leg)))
    return Piece(name, tuple(parts), tops=(Top(0, 0, high, wide * 0.94, deep * 0.92),))


def table(rng: Rng) -> Piece:
    """Return a dining or meeting table, rectangular or round."""
    high = rng.uniform(0.7, 0.78)
    if rng.random() < 0.35:
        wide = rng.uniform(0.75, 1.4)
        return _tabletop(rng, "table", wide, wide, high, True)
    return _tabletop(rng, "table", rng.uniform(1.0, 2.2), rng.uniform(0.7, 1.05), high, False)


def coffee_table(rng: Rng) -> Piece:
    """Return a low table."""
    high = rng.uniform(0.32, 0.5)
    if rng.random() < 0.35:
        wide = rng.uniform(0.6, 1.0)
        return _tabletop(rng, "coffee table", wide, wide, high, True)
    return _tabletop(
        rng, "coffee table", rng.uniform(0.8, 1.3), rng.uniform(0.45, 0.7), high, False
    )


def side_table(rng: Rng) -> Piece:
    """Return a small table beside a seat."""
    wide, high = rng.uniform(0.35, 0.55), rng.uniform(0.45, 0.65)
    return _tabletop(rng, "side table", wide, wide, high, rng.random() < 0.5)


def _fronts(
    rng: Rng,
    front: m.Material,
    wide: float,
    z0: float,
    z1: float,
    y: float,
    rows: int,
    columns: int,
) -> list[Part]:
    """Return doors or drawers with handles on a face at -y."""
    handle, parts = m.metal(rng), []
    w, h = wide / columns, (z1 - z0) / rows
    style = rng.integers(3)
    for i in range(columns):
        for j in range(rows):
            x, z = -wide / 2 + w * (i + 0.5), z0 + h * j
            parts.append(box(front, (w - 0.012, 0.018, h - 0.012), (x, y - 0.009, z + 0.006)))
            if style == 2:
                continue
            if h > w * 1.2:
                side = w * 0.38 * (1 if i % 2 == 0 else -1)
                parts.append(
                    box(handle, (0.014, 0.03, min(0.14, h / 3)), (x + side, y - 0.03, z + h * 0.5))
                )
            elif style == 0:
                parts.append(
                    box(handle, (min(0.16, w / 2), 0.03, 0.014), (x, y - 0.03, z + h * 0.6))
                )
            else:
                parts.append(cushion(handle, (0.03, 0.03, 0.03), (x, y - 0.03, z + h * 0.5), 2, 3))
    return parts


def _cabinet(
    rng: Rng, name: str, wide: float, deep: float, high: float, rows: int, columns: int
) -> Piece:
    body = m.wood(rng)
    front = body if rng.random() < 0.65 else _pick(rng, m.wood(rng), m.white(rng))
    foot = rng.uniform(0.05, 0.15) if rng.random() < 0.5 else 0.0
    parts = legs(body, wide * 0.95, deep * 0.9, foot, 0.045) if foot else []
    parts.append(box(body, (wide, deep, high - foot), (0, 0, foot)))
    parts += _fronts(rng, front, wide - 0.04, foot + 0.03, high - 0.03, -deep / 2, rows, columns)
    if rng.random() < 0.4:
        parts.append(box(body, (wide + 0.03, deep + 0.03, 0.025), (0, 0, high)))
        high += 0.025
    return Piece(name, tuple(parts), tops=(Top(0, 0, high, wide * 0.92, deep * 0.85),))


def nightstand(rng: Rng) -> Piece:
    """Return a bedside cabinet."""
    wide = rng.uniform(0.36, 0.58)
    return _cabinet(rng, "nightstand", wide, rng.uniform(0.34, 0.45), rng.uniform(0.42, 0.65), 2, 1)


def dresser(rng: Rng) -> Piece:
    """Return a chest of drawers."""
    wide, rows = rng.uniform(0.75, 1.6), int(rng.integers(3, 6))
    columns = 2 if wide > 1.1 else 1
    return _cabinet(
        rng, "dresser", wide, rng.uniform(0.4, 0.52), rng.uniform(0.7, 1.15), rows, columns
    )


def cabinet(rng: Rng) -> Piece:
    """Return a sideboard or filing cabinet."""
    if rng.random() < 0.35:
        rows = int(rng.integers(2, 5))
        return _cabinet(rng, "cabinet", rng.uniform(0.38, 0.5), 0.55, rows * 0.33 + 0.05, rows, 1)
    columns = int(rng.integers(2, 5))
    return _cabinet(
        rng, "cabinet", columns * 0.42, 0.42, rng.uniform(0.7, 1.3), _pick(rng, 1, 2), columns
    )


def tv_stand(rng: Rng) -> Piece:
    """Return a low board for a television."""
    wide, high = rng.uniform(1.0, 2.0), rng.uniform(0.35, 0.58)
    return _cabinet(
        rng, "tv stand", wide, rng.uniform(0.36, 0.48), high, _pick(rng, 1, 2), _pick(rng, 2, 3)
    )


def wardrobe(rng: Rng) -> Piece:
    """Return a tall wardrobe."""
    doors = int(rng.integers(2, 5))
    wide = doors * rng.uniform(0.42, 0.58)
    return _cabinet(
        rng, "wardrobe", wide, rng.uniform(0.55, 0.65), rng.uniform(1.85, 2.3), 1, doors
    )


def desk(rng: Rng) -> Piece:
    """Return a desk: legs, panels or a drawer unit under a board."""
    wide, deep, high = rng.uniform(1.0, 1.8), rng.uniform(0.55, 0.82), rng.uniform(0.7, 0.77)
    top = _pick(rng, m.wood(rng), m.wood(rng), m.white(rng))
    frame = _pick(rng, top, m.metal(rng))
    parts = [box(top, (wide, deep, 0.03), (0, 0, high - 0.03))]
    style = rng.integers(3)
    if style == 0:
        parts += legs(frame, wide - 0.05, deep - 0.05, high - 0.03, rng.uniform(0.04, 0.07))
    elif style == 1:
        for s in (-1, 1):
            parts.append(
                box(frame, (0.03, deep * 0.95, high - 0.03), (s * (wide / 2 - 0.03), 0, 0))
            )
        parts.append(box(frame, (wide - 0.1, 0.02, 0.4), (0, deep / 2 - 0.05, high - 0.45)))
    else:
        for s in (-1, 1):
            x = s * (wide / 2 - 0.1)
            parts.append(box(frame, (0.07, 0.07, high - 0.03), (x, 0, 0)))
            parts.append(box(frame, (0.06, deep * 0.85, 0.03), (x, 0, 0)))
    if rng.random() < 0.45:
        x, unit = _pick(rng, -1, 1) * (wide / 2 - 0.24), high - 0.08
        parts.append(box(frame, (0.4, deep * 0.8, unit), (x, 0, 0.02)))
        front = _fronts(rng, top, 0.38, 0.04, unit, -deep * 0.4, 3, 1)
        parts += [p.moved(x=x) for p in front]
    return Piece("desk", tuple(parts), tops=(Top(0, 0, high, wide * 0.94, deep * 0.9),))


def book(rng: Rng, high: float | None = None, upright: bool = True) -> Piece:
    """Return a book, standing with its spine to -y or lying flat."""
    high = rng.uniform(0.18, 0.3) if high is None else high
    thick, deep = rng.uniform(0.015, 0.05), high * rng.uniform(0.66, 0.78)
    color = m.tinted(rng, m.BINDINGS)
    cover, pages = m.Material(color, m.darker(color, 0.7)), m.Material((0.9, 0.87, 0.78))
    parts = (
        box(cover, (thick, deep, high)),
        box(pages, (thick * 0.8, deep * 0.97, high * 1.004), (0, 0.02 * deep, 0)),
    )
    if not upright:
        parts = tuple(p.turned(90, 1).moved(z=thick / 2, x=-high / 2) for p in parts)
    return Piece("book", parts)


def book_row(rng: Rng, wide: float, room: float, deep: float) -> list[tuple[Piece, Pose]]:
    """Return books standing side by side, centred, in a compartment of this size.

    Neighbouring volumes form one instance of a few books: a scan cannot part them.
    """
    things: list[tuple[Piece, Pose]] = []
    x, end = -wide / 2 + 0.01, -wide / 2 + wide * rng.uniform(0.35, 1.0)
    base = min(room * 0.9, rng.uniform(0.19, 0.3))
    while x < end - 0.03:
        parts: list[Part] = []
        start = x
        for _ in range(int(rng.integers(2, 9))):
            high = base * rng.uniform(0.78, 1.0)
            thick, long = rng.uniform(0.015, 0.045), min(deep * 0.9, high * 0.75)
            if x + thick > end:
                break
            cover = m.Material(m.tinted(rng, m.BINDINGS))
            parts.append(box(cover, (thick * 0.95, long, high), (x + thick / 2, 0, 0)))
            x += thick
        if not parts:
            break
        middle = (start + x) / 2
        parts = [p.moved(x=-middle) for p in parts]
        things.append((Piece("book", tuple(parts)), Pose(middle, -deep * 0.05)))
    return things


def shelf_frame(
    rng: Rng, name: str, wide: float, deep: float, high: float, levels: int, back: bool = True
) -> Piece:
    """Return an open shelf whose boards are its tops."""
    body, thick = m.wood(rng), rng.uniform(0.018, 0.03)
    step = (high - thick) / levels
    parts = [box(body, (wide, deep, thick), (0, 0, i * step)) for i in range(levels + 1)]
    parts += [box(body, (thick, deep, high), (s * (wide - thick) / 2, 0, 0)) for s in (-1, 1)]
    if back:
        parts.append(box(body, (wide, 0.008, high), (0, deep / 2 - 0.004, 0)))
    tops = tuple(
        Top(0, 0, i * step + thick, wide * 0.92, deep * 0.85, step - thick) for i in range(levels)
    )
    return Piece(name, tuple(parts), tops=(*tops, Top(0, 0, high, wide * 0.9, deep * 0.8)))


def bookshelf(rng: Rng) -> Piece:
    """Return a bookshelf filled with rows of books."""
    wide, deep = rng.uniform(0.6, 1.3), rng.uniform(0.25, 0.36)
    levels = int(rng.integers(2, 7))
    piece = shelf_frame(rng, "bookshelf", wide, deep, levels * rng.uniform(0.32, 0.4), levels)
    things, free = [], []
    for top in piece.tops[:-1]:
        if rng.random() < 0.85:
            for thing, at in book_row(rng, top.width, top.room, top.depth):
                things.append((thing, Pose(at.x, at.y, top.z)))
        else:
            free.append(top)
    return Piece("bookshelf", piece.parts, tuple(things), (*free, piece.tops[-1]))


def shelf(rng: Rng) -> Piece:
    """Return an open shelf for things, of wood or metal posts."""
    wide, deep, levels = rng.uniform(0.6, 1.4), rng.uniform(0.28, 0.45), int(rng.integers(2, 6))
    return shelf_frame(
        rng, "shelf", wide, deep, levels * rng.uniform(0.32, 0.45), levels, rng.random() < 0.5
    )


def _duvet(rng: Rng, cloth: m.Material, wide: float, start: float, end: float, z: float) -> Part:
    """Return a rumpled cover over the sides of a bed from y = start to end."""
    x, y = np.linspace(-1, 1, 19), np.linspace(start, end, 15)
    u, v = np.meshgrid(x, y, indexing="ij")
    drop = rng.uniform(0.15, 0.35)
    folded = np.clip(np.abs(u) * (wide / 2 + drop) - wide / 2, 0, None)
    waves = sum(
        np.sin(u * rng.normal(0, 5) + v * rng.normal(0, 6) + rng.uniform(0, 6)) for _ in range(4)
    )
    across = np.sign(u) * np.minimum(np.abs(u) * (wide / 2 + drop), wide / 2 + 0.02)
    lift = z + rng.uniform(0.02, 0.05) + rng.uniform(0.006, 0.02) * waves - folded
    return sheet(cloth, np.stack([across, v, lift], axis=-1))


def bed(rng: Rng) -> Piece:
    """Return a made or rumpled bed with headboard at +y, mattress, duvet and pillows."""
    wide, long = float(rng.choice([0.9, 1.2, 1.4, 1.6, 1.8])), rng.uniform(1.95, 2.15)
    frame = m.wood(rng) if rng.random() < 0.6 else m.upholstery(rng)
    base, thick = rng.uniform(0.22, 0.36), rng.uniform(0.15, 0.26)
    sheets = m.white(rng) if rng.random() < 0.6 else m.fabric(rng)
    parts = [cushion(sheets, (wide, long, thick), (0, 0, base), 12)]
    if rng.random() < 0.5:
        parts.append(box(frame, (wide + 0.06, long + 0.04, base + 0.02), (0, 0, 0)))
    else:
        parts.append(box(frame, (wide + 0.06, long + 0.04, 0.15), (0, 0, base - 0.13)))
        parts += legs(frame, wide, long, base - 0.1, 0.07)
    if rng.random() < 0.85:
        head = rng.uniform(0.75, 1.25)
        y = long / 2 + 0.04
        if rng.random() < 0.4:
            parts.append(cushion(frame, (wide + 0.1, 0.1, head), (0, y, 0), 8))
        else:
            parts.append(box(frame, (wide + 0.08, 0.05, head), (0, y, 0)))
    if rng.random() < 0.25:
        parts.append(box(frame, (wide + 0.08, 0.05, base + thick + 0.1), (0, -long / 2 - 0.04, 0)))
    z = base + thick
    things: list[tuple[Piece, Pose]] = []
    cover = m.fabric(rng) if rng.random() < 0.7 else m.white(rng)
    if rng.random() < 0.9:
        top = long / 2 - rng.uniform(0.45, 0.9)
        cloth = _duvet(rng, cover, wide, -long / 2 - 0.02, top, z)
        things.append((Piece("blanket", (cloth,)), Pose()))
    else:
        heap = blob(cover, (wide * 0.6, 0.8, 0.25), (0, -0.3, z), rng)
        things.append((Piece("blanket", (heap,)), Pose()))
    count = 1 if wide < 1.3 else 2
    for i in range(count):
        x = (i - (count - 1) / 2) * wide / 2
        soft = cushion(sheets, (min(0.7, wide * 0.44), 0.42, 0.16), power=2.6)
        things.append((Piece("pillow", (soft,)), Pose(x, long / 2 - 0.28, z, rng.normal(0, 6))))
    return Piece("bed", tuple(parts), tuple(things))


def coat_rack(rng: Rng) -> Piece:
    """Return a standing coat rack with some clothes."""
    frame, high = _pick(rng, m.wood(rng), m.metal(rng)), rng.uniform(1.6, 1.9)
    parts = [cylinder(frame, 0.2, 0.03), rod(frame, (0, 0, 0), (0, 0, high), 0.02)]
    things = []
    for a in np.arange(4) * np.pi / 2 + rng.uniform(0, 1):
        tip = (0.2 * np.cos(a), 0.2 * np.sin(a), high - 0.05)
        parts.append(rod(frame, (0, 0, high - 0.15), tip, 0.012))
        if rng.random() < 0.5:
            profile = [(0.03, 0.9), (0.12, 0.8), (0.16, 0.3), (0.2, 0.0)]
            cloth = lathe(m.fabric(rng), profile, (tip[0], tip[1], high - 0.95), 10)
            things.append((Piece("clothes", (cloth,)), Pose()))
    return Piece("coat rack", tuple(parts), tuple(things))

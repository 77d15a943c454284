"""Parametric tables, cabinets and shelves, in metres, z up, facing -y."""

from __future__ import annotations

import numpy as np

from . import materials as m
from .materials import Rng, pick
from .shapes import Part, Piece, Pose, Top, bar, box, cushion, cylinder, lathe, legs, rod


def tabletop(rng: Rng, name: str, wide: float, deep: float, high: float, round_: bool) -> Piece:
    top = pick(rng, m.wood(rng), m.wood(rng), m.stone(rng), m.white(rng))
    frame = pick(rng, top, m.metal(rng), m.wood(rng))
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
    if rng.random() < 0.4:
        wide = rng.uniform(0.75, 1.4) if rng.random() < 0.75 else rng.uniform(0.5, 0.8)
        return tabletop(rng, "table", wide, wide, high, True)
    return tabletop(rng, "table", rng.uniform(1.0, 2.2), rng.uniform(0.7, 1.05), high, False)


def coffee_table(rng: Rng) -> Piece:
    """Return a low table."""
    high = rng.uniform(0.32, 0.5)
    if rng.random() < 0.35:
        wide = rng.uniform(0.6, 1.0)
        return tabletop(rng, "coffee table", wide, wide, high, True)
    return tabletop(rng, "coffee table", rng.uniform(0.8, 1.3), rng.uniform(0.45, 0.7), high, False)


def side_table(rng: Rng) -> Piece:
    """Return a small table beside a seat."""
    wide, high = rng.uniform(0.35, 0.55), rng.uniform(0.45, 0.65)
    return tabletop(rng, "side table", wide, wide, high, rng.random() < 0.5)


def fronts(
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
    if rng.random() < 0.3:
        body = pick(rng, m.white(rng), m.dark(rng), m.plain(rng, m.PAINTS))
    front = body if rng.random() < 0.65 else pick(rng, m.wood(rng), m.white(rng))
    foot = rng.uniform(0.05, 0.15) if rng.random() < 0.5 else 0.0
    parts = legs(body, wide * 0.95, deep * 0.9, foot, 0.045) if foot else []
    parts.append(box(body, (wide, deep, high - foot), (0, 0, foot), front=False))
    parts += fronts(rng, front, wide - 0.04, foot + 0.03, high - 0.03, -deep / 2, rows, columns)
    if rng.random() < 0.4:
        parts.append(box(body, (wide + 0.03, deep + 0.03, 0.025), (0, 0, high)))
        high += 0.025
    return Piece(name, tuple(parts), tops=(Top(0, 0, high, wide * 0.92, deep * 0.85),))


def nightstand(rng: Rng) -> Piece:
    """Return a bedside cabinet: drawers, an open box with or without one, a drum or small table."""
    wide, high = rng.uniform(0.32, 0.62), rng.uniform(0.38, 0.7)
    deep, style = rng.uniform(0.3, 0.48), rng.random()
    if style < 0.2:
        return tabletop(rng, "nightstand", wide, wide, high, rng.random() < 0.5)
    if style < 0.3:
        body = pick(rng, m.wood(rng), m.metal(rng), m.white(rng))
        drum = cylinder(body, wide / 2, high, sides=24)
        return Piece("nightstand", (drum,), tops=(Top(0, 0, high, wide * 0.6, wide * 0.6),))
    if style < 0.5:
        levels = int(rng.integers(1, 3))
        piece = shelf_frame(rng, "nightstand", wide, deep, high, levels)
        if rng.random() < 0.6:
            drawer = fronts(
                rng, m.wood(rng), wide - 0.03, high * 0.55, high - 0.02, -deep / 2, 1, 1
            )
            return Piece("nightstand", (*piece.parts, *drawer), tops=piece.tops[-1:])
        return piece
    return _cabinet(rng, "nightstand", wide, deep, high, int(rng.integers(1, 4)), 1)


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
        rng, "cabinet", columns * 0.42, 0.42, rng.uniform(0.7, 1.3), pick(rng, 1, 2), columns
    )


def tv_stand(rng: Rng) -> Piece:
    """Return a low board for a television."""
    wide, high = rng.uniform(1.0, 2.0), rng.uniform(0.35, 0.58)
    return _cabinet(
        rng, "tv stand", wide, rng.uniform(0.36, 0.48), high, pick(rng, 1, 2), pick(rng, 2, 3)
    )


def desk(rng: Rng) -> Piece:
    """Return a desk: legs, panels or a drawer unit under a board."""
    wide, deep, high = rng.uniform(1.0, 1.8), rng.uniform(0.55, 0.82), rng.uniform(0.7, 0.77)
    top = pick(rng, m.wood(rng), m.wood(rng), m.white(rng))
    frame = pick(rng, top, m.metal(rng))
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
    sides = pick(rng, (), (), (-1,), (1,), (-1, 1))
    for side in sides:
        x, unit = side * (wide / 2 - 0.24), high - 0.08
        parts.append(box(frame, (0.4, deep * 0.8, unit), (x, 0, 0.02)))
        front = fronts(rng, top, 0.38, 0.04, unit, -deep * 0.4, pick(rng, 1, 2, 3, 4), 1)
        parts += [p.moved(x=x) for p in front]
    tops = [Top(0, 0, high, wide * 0.94, deep * 0.9)]
    if rng.random() < 0.12:  # a board or two over the back
        up = high + rng.uniform(0.45, 0.6)
        parts += [
            box(top, (0.025, 0.22, up - high), (s * wide * 0.49, deep * 0.34, high))
            for s in (-1, 1)
        ]
        parts.append(box(top, (wide, 0.22, 0.025), (0, deep * 0.34, up)))
        tops.append(Top(0, deep * 0.34, up + 0.025, wide * 0.9, 0.2, 0.4))
    return Piece("desk", tuple(parts), tops=tuple(tops))


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
    """Return a bookshelf filled with rows of books, which are things of their own or part of it."""
    wide, deep = rng.uniform(0.6, 1.3), rng.uniform(0.25, 0.36)
    levels = int(rng.integers(2, 7))
    piece = shelf_frame(rng, "bookshelf", wide, deep, levels * rng.uniform(0.32, 0.4), levels)
    things, free, part_of_it = [], [], rng.random() < 0.4
    parts = list(piece.parts)
    for top in piece.tops[:-1]:
        if rng.random() > 0.85:
            free.append(top)
            continue
        for thing, at in book_row(rng, top.width, top.room, top.depth):
            if part_of_it:
                parts += [p.moved(at.x, at.y, top.z) for p in thing.parts]
            else:
                things.append((thing, Pose(at.x, at.y, top.z)))
    return Piece("bookshelf", tuple(parts), tuple(things), (*free, piece.tops[-1]))


def shelf(rng: Rng) -> Piece:
    """Return an open shelf for things, of wood or metal posts."""
    wide, deep, levels = rng.uniform(0.6, 1.4), rng.uniform(0.28, 0.45), int(rng.integers(2, 6))
    return shelf_frame(
        rng, "shelf", wide, deep, levels * rng.uniform(0.32, 0.45), levels, rng.random() < 0.5
    )


def coat_rack(rng: Rng) -> Piece:
    """Return a standing coat rack with some clothes."""
    frame, high = pick(rng, m.wood(rng), m.metal(rng)), rng.uniform(1.6, 1.9)
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

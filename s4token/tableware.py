"""Parametric tableware and what kitchens keep it in, in metres, facing -y."""

from __future__ import annotations

import numpy as np

from . import materials as m
from .clutter import BLACK
from .materials import Rng, pick
from .shapes import Part, Piece, Pose, box, cushion, cylinder, lathe, rod


def cup(rng: Rng) -> Piece:
    """Return a cup or mug with handle."""
    pot = m.ceramic(rng) if rng.random() < 0.6 else m.plastic(rng)
    r, h = rng.uniform(0.034, 0.048), rng.uniform(0.07, 0.12)
    body = lathe(pot, [(0, 0), (r * 0.85, 0), (r, h), (r * 0.9, h), (r * 0.75, 0.01)], sides=12)
    handle = [
        rod(pot, (r, 0, h * 0.25), (r + 0.03, 0, h * 0.4), 0.006),
        rod(pot, (r + 0.03, 0, h * 0.4), (r, 0, h * 0.8), 0.006),
    ]
    return Piece("cup", (body, *handle))


def bottle(rng: Rng) -> Piece:
    """Return a bottle with cap and label."""
    h, r = rng.uniform(0.18, 0.34), rng.uniform(0.028, 0.048)
    glass = pick(
        rng,
        m.plastic(rng),
        m.Material((0.12, 0.25, 0.14)),
        m.Material((0.75, 0.82, 0.85)),
        m.Material((0.25, 0.14, 0.07)),
    )
    body = lathe(
        glass, [(0, 0), (r, 0), (r, h * 0.62), (r * 0.35, h * 0.8), (r * 0.35, h * 0.95)], sides=12
    )
    label = lathe(
        m.plain(rng, m.PLASTICS, 0.5), [(r * 1.02, h * 0.2), (r * 1.02, h * 0.48)], sides=12
    )
    return Piece(
        "bottle", (body, label, cylinder(m.plastic(rng), r * 0.4, h * 0.06, (0, 0, h * 0.94)))
    )


def bowl(rng: Rng) -> Piece:
    """Return a bowl, sometimes with fruit."""
    pot, r = pick(rng, m.ceramic(rng), m.wood(rng), m.plastic(rng)), rng.uniform(0.07, 0.16)
    h = r * rng.uniform(0.4, 0.75)
    parts: list[Part] = [
        lathe(
            pot,
            [
                (0, 0),
                (r * 0.5, 0),
                (r * 0.9, h * 0.5),
                (r, h),
                (r * 0.94, h),
                (r * 0.8, h * 0.5),
                (0, 0.01),
            ],
            sides=18,
        )
    ]
    if rng.random() < 0.3:
        for _ in range(4):
            fruit = m.Material(
                pick(rng, (0.8, 0.2, 0.15), (0.9, 0.6, 0.15), (0.5, 0.7, 0.2), (0.9, 0.8, 0.3))
            )
            x, y = rng.normal(0, r * 0.3, 2)
            parts.append(cushion(fruit, (r * 0.6, r * 0.6, r * 0.6), (x, y, h * 0.4), 2, 4))
    return Piece("bowl", tuple(parts))


def plate(rng: Rng) -> Piece:
    """Return a plate."""
    r = rng.uniform(0.09, 0.14)
    return Piece(
        "plate",
        (
            lathe(
                m.ceramic(rng),
                [(0, 0.006), (r * 0.6, 0.006), (r, 0.022), (r * 0.98, 0.015), (r * 0.6, 0)],
                sides=18,
            ),
        ),
    )


def cooking_pot(rng: Rng) -> Piece:
    """Return a pot or pan."""
    steel, r = pick(rng, m.metal(rng), BLACK, m.plastic(rng)), rng.uniform(0.09, 0.14)
    h, flat = rng.uniform(0.09, 0.2), rng.random() < 0.35
    h = 0.05 if flat else h
    body = lathe(
        steel, [(0, 0), (r * 0.95, 0), (r, h), (r * 0.95, h), (r * 0.9, 0.01), (0, 0.01)], sides=18
    )
    grip = rod(BLACK, (r, 0, h * 0.9), (r + (0.2 if flat else 0.04), 0, h), 0.01)
    other = rod(BLACK, (-r, 0, h * 0.9), (-r - 0.03, 0, h), 0.01)
    return Piece("frying pan" if flat else "cooking pot", (body, grip, other))


def kettle(rng: Rng) -> Piece:
    """Return a kettle or coffee maker."""
    body = pick(rng, m.metal(rng), m.plastic(rng), BLACK)
    pot = lathe(body, [(0.09, 0), (0.09, 0.05), (0.06, 0.2), (0.02, 0.23), (0, 0.24)])
    handle = [
        rod(BLACK, (0.07, 0, 0.2), (0.13, 0, 0.18), 0.01),
        rod(BLACK, (0.13, 0, 0.18), (0.1, 0, 0.05), 0.01),
    ]
    return Piece("kettle", (pot, *handle))


def jar(rng: Rng) -> Piece:
    """Return a jar with a lid."""
    r, h = rng.uniform(0.03, 0.06), rng.uniform(0.08, 0.22)
    fill = pick(rng, m.ceramic(rng), m.Material(m.tinted(rng, m.WOODS + m.BRICKS)), m.plastic(rng))
    lid = pick(rng, m.metal(rng), m.wood(rng), m.plastic(rng))
    profile = [(0, 0), (r, 0), (r, h * 0.85), (r * 0.8, h)]
    return Piece("jar", (lathe(fill, profile), cylinder(lid, r * 0.85, 0.02, (0, 0, h))))


def dish_rack(rng: Rng) -> Piece:
    """Return a draining rack with plates on edge and cups."""
    wire, wide, deep = m.metal(rng), float(rng.uniform(0.3, 0.5)), float(rng.uniform(0.26, 0.34))
    parts = [box(pick(rng, m.plastic(rng), m.metal(rng)), (wide, deep, 0.012))]
    for z in (0.03, 0.1):
        for s in (-1, 1):
            y, x = s * deep / 2, s * wide / 2
            parts.append(rod(wire, (-wide / 2, y, z), (wide / 2, y, z), 0.005, sides=4))
            parts.append(rod(wire, (x, -deep / 2, z), (x, deep / 2, z), 0.005, sides=4))
    for x in np.linspace(-wide / 2, wide / 2, 8):
        parts.append(rod(wire, (x, -deep / 2, 0.03), (x, deep / 2, 0.03), 0.004, sides=4))
    things: list[tuple[Piece, Pose]] = []
    pot = m.ceramic(rng)
    for x in np.arange(-wide * 0.4, wide * float(rng.uniform(-0.2, 0.4)), 0.035):
        r = float(rng.uniform(0.09, 0.13))
        dish = lathe(pot, [(0, 0), (r * 0.6, 0), (r, 0.016)], sides=14).turned(80, 1)
        things.append((Piece("plate", (dish.moved(z=r),)), Pose(x, 0, 0.02)))
    return Piece("dish rack", tuple(parts), tuple(things))


def spice_rack(rng: Rng) -> Piece:
    """Return a small rack for the wall or worktop with rows of jars."""
    body, wide, levels = m.wood(rng), float(rng.uniform(0.25, 0.55)), int(rng.integers(1, 4))
    step = 0.15
    parts = [box(body, (0.012, 0.08, levels * step), (s * wide / 2, 0, 0)) for s in (-1, 1)]
    jars: list[Part] = []
    for i in range(levels):
        z = i * step
        parts.append(box(body, (wide, 0.08, 0.012), (0, 0, z + 0.001)))
        parts.append(box(body, (wide, 0.008, 0.02), (0, -0.04, z + 0.05)))
        for x in np.arange(-wide / 2 + 0.04, wide / 2 - 0.03, 0.055):
            if rng.random() < 0.8:
                fill, high = m.Material(m.tinted(rng, m.WOODS + m.BRICKS)), rng.uniform(0.07, 0.11)
                lid = m.metal(rng)
                jars.append(lathe(fill, [(0.022, 0), (0.022, high)], (x, 0, z + 0.014), 8))
                profile = [(0.023, high), (0.023, high + 0.015), (0, high + 0.015)]
                jars.append(lathe(lid, profile, (x, 0, z + 0.014), 8))
    things = ((Piece("jar", tuple(jars)), Pose()),) if jars else ()
    return Piece("spice rack", tuple(parts), things)

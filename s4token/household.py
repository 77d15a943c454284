"""More parametric household things, rarer ones, in metres, z up, facing -y."""

from __future__ import annotations

import numpy as np

from . import materials as m
from .materials import Rng, pick
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
    ring,
    rod,
    sheet,
)

BLACK = m.Material((0.05, 0.05, 0.055))


def shoes(rng: Rng) -> Piece:
    """Return a pair of shoes."""
    upper, sole = m.upholstery(rng), pick(rng, BLACK, m.white(rng))
    parts: list[Part] = []
    for x in (-0.07, 0.07):
        turned = rng.normal(0, 10)
        for part in (
            cushion(sole, (0.1, 0.28, 0.035), (x, 0, 0), 3, 4),
            cushion(upper, (0.095, 0.16, 0.07), (x, -0.05, 0.025), 2.5, 4),
            cushion(upper, (0.09, 0.13, 0.11), (x, 0.065, 0.025), 3, 4),
        ):
            parts.append(part.turned(turned, 2, (x, 0, 0)))
    return Piece("shoe", tuple(parts))


def basket(rng: Rng) -> Piece:
    """Return a woven basket, sometimes with laundry."""
    r, h = rng.uniform(0.15, 0.26), rng.uniform(0.2, 0.55)
    color = m.tinted(rng, m.WOODS[:6])
    cane = m.Material(color, m.darker(color, 0.6), pattern="checks", scale=0.03)
    parts = [lathe(cane, [(r * 0.8, 0), (r, h), (r * 0.94, h), (r * 0.75, 0.02), (0, 0.02)])]
    if rng.random() < 0.5:
        parts.append(blob(m.fabric(rng), (r * 1.7, r * 1.7, h * 0.4), (0, 0, h * 0.75), rng, 0.2))
    return Piece("basket", tuple(parts))


def toaster(rng: Rng) -> Piece:
    """Return a toaster."""
    body = pick(rng, m.metal(rng), m.plastic(rng))
    slots = [box(BLACK, (0.2, 0.025, 0.004), (0, y, 0.18)) for y in (-0.035, 0.035)]
    lever = box(BLACK, (0.02, 0.03, 0.02), (0.145, 0, 0.12))
    return Piece("toaster", (cushion(body, (0.28, 0.17, 0.185), power=6), *slots, lever))


def coffee_maker(rng: Rng) -> Piece:
    """Return a filter or espresso machine."""
    body, wide = pick(rng, BLACK, m.metal(rng), m.plastic(rng)), rng.uniform(0.18, 0.28)
    glass = m.Material((0.22, 0.16, 0.12))
    parts = (
        box(body, (wide, 0.26, 0.04)),
        box(body, (wide, 0.1, 0.34), (0, 0.08, 0.001)),
        box(body, (wide, 0.26, 0.09), (0, 0, 0.27)),
        lathe(glass, [(0.06, 0.04), (0.075, 0.1), (0.05, 0.17), (0, 0.18)], (0, -0.05, 0)),
    )
    return Piece("coffee maker", parts)


def fire_extinguisher(rng: Rng) -> Piece:
    """Return a fire extinguisher."""
    red, h = m.Material(m.tinted(rng, [(0.75, 0.1, 0.08)])), rng.uniform(0.4, 0.55)
    body = lathe(red, [(0, 0), (0.08, 0), (0.08, h * 0.8), (0.03, h * 0.9), (0.03, h * 0.93)])
    hose = rod(BLACK, (0.03, 0, h * 0.93), (0.1, 0, h * 0.45), 0.012)
    return Piece(
        "fire extinguisher", (body, hose, box(BLACK, (0.14, 0.03, 0.04), (0, 0, h * 0.93)))
    )


def water_dispenser(rng: Rng) -> Piece:
    """Return a water dispenser with its bottle."""
    body, water = m.white(rng), m.Material((0.45, 0.62, 0.78))
    parts = (
        box(body, (0.31, 0.32, 0.98)),
        box(m.dark(rng), (0.22, 0.02, 0.2), (0, -0.165, 0.66)),
        lathe(water, [(0.05, 0.98), (0.13, 1.06), (0.135, 1.32), (0.1, 1.36), (0, 1.36)]),
    )
    return Piece("water dispenser", parts)


def vending_machine(rng: Rng) -> Piece:
    """Return a vending machine with rows of goods."""
    body, wide = pick(rng, BLACK, m.plastic(rng), m.white(rng)), rng.uniform(0.8, 1.1)
    parts = [
        box(body, (wide, 0.8, 1.85)),
        box(m.Material((0.2, 0.22, 0.25)), (wide * 0.62, 0.01, 1.3), (-wide * 0.12, -0.405, 0.45)),
    ]
    for z in np.arange(0.5, 1.65, 0.22):
        for x in np.linspace(-wide * 0.38, wide * 0.14, 6):
            goods = m.Material(m.vivid(rng))
            parts.append(box(goods, (0.065, 0.02, 0.14), (x, -0.42, z)))
    parts.append(box(m.dark(rng), (wide * 0.5, 0.02, 0.16), (-wide * 0.1, -0.405, 0.18)))
    return Piece("vending machine", tuple(parts))


def piano(rng: Rng) -> Piece:
    """Return an upright piano."""
    body, ivory = pick(rng, BLACK, m.wood(rng)), m.Material((0.93, 0.91, 0.86))
    parts = [
        box(body, (1.45, 0.32, 1.2), (0, 0.12, 0)),
        box(body, (1.45, 0.62, 0.06), (0, -0.02, 0.62)),
        box(ivory, (1.25, 0.15, 0.02), (0, -0.22, 0.68)),
    ]
    parts += [
        box(BLACK, (0.015, 0.09, 0.015), (x, -0.19, 0.7))
        for x in np.linspace(-0.6, 0.6, 36)
        if rng.random() < 0.75
    ]
    parts += [box(body, (0.06, 0.06, 0.62), (s * 0.68, -0.26, 0)) for s in (-1, 1)]
    return Piece("piano", tuple(parts), tops=(Top(0, 0.12, 1.2, 1.3, 0.25),))


def guitar(rng: Rng) -> Piece:
    """Return a guitar leaning back on a stand."""
    wood_, neck = m.wood(rng), m.Material((0.25, 0.16, 0.1))
    body = cushion(wood_, (0.38, 0.1, 0.3), (0, 0, 0.06), 2.3)
    upper = cushion(wood_, (0.28, 0.095, 0.26), (0, 0, 0.28), 2.3)
    hole = lathe(BLACK, [(0, 0.055), (0.05, 0.055)]).turned(90, 0).moved(z=0.32)
    parts = (
        body,
        upper,
        hole,
        box(neck, (0.055, 0.03, 0.55), (0, -0.03, 0.45)),
        box(neck, (0.08, 0.025, 0.14), (0, -0.03, 0.99)),
    )
    return Piece("guitar", tuple(p.moved(z=-0.06).turned(-12, 0) for p in parts))


def suitcase(rng: Rng) -> Piece:
    """Return a suitcase standing upright."""
    shell, h = pick(rng, m.plastic(rng), m.fabric(rng)), rng.uniform(0.5, 0.75)
    handle = [rod(BLACK, (x, 0.06, h), (x, 0.06, h + 0.3), 0.008) for x in (-0.1, 0.1)]
    grip = rod(BLACK, (-0.1, 0.06, h + 0.3), (0.1, 0.06, h + 0.3), 0.012)
    handle += [cushion(BLACK, (0.04, 0.04, 0.05), (s * h * 0.25, 0, 0), 2, 3) for s in (-1, 1)]
    return Piece(
        "suitcase", (cushion(shell, (h * 0.68, 0.25, h - 0.03), (0, 0, 0.03), 8), *handle, grip)
    )


def umbrella(rng: Rng) -> Piece:
    """Return a closed umbrella in a stand."""
    cloth, stand = m.fabric(rng), m.metal(rng)
    bin_ = lathe(stand, [(0, 0), (0.11, 0), (0.11, 0.45), (0.1, 0.45), (0.1, 0.02)])
    folded = lathe(cloth, [(0.01, 0.05), (0.05, 0.55), (0.02, 0.75)])
    return Piece("umbrella", (bin_, folded, rod(BLACK, (0, 0, 0.7), (0.02, 0, 0.88), 0.01)))


def broom(rng: Rng) -> Piece:
    """Return a broom or mop leaning back against a wall."""
    stick, h = pick(rng, m.wood(rng), m.metal(rng)), rng.uniform(1.2, 1.5)
    head = cushion(m.plastic(rng), (0.32, 0.06, 0.12), (0, 0, 0), 3)
    parts = (head, rod(stick, (0, 0, 0.08), (0, 0, h), 0.012))
    return Piece("broom", tuple(p.turned(-7, 0) for p in parts))


def bucket(rng: Rng) -> Piece:
    """Return a bucket with its handle."""
    body, r, h = m.plastic(rng), rng.uniform(0.12, 0.17), rng.uniform(0.22, 0.32)
    arc = np.linspace(0, np.pi, 8)
    tips = np.stack([np.cos(arc) * r, np.zeros(8), h * 0.95 + np.sin(arc) * r * 0.9], axis=1)
    wire = [
        rod(m.Material((0.6, 0.6, 0.6)), tuple(tips[i]), tuple(tips[i + 1]), 0.005, sides=5)
        for i in range(7)
    ]
    return Piece(
        "bucket",
        (lathe(body, [(0, 0), (r * 0.75, 0), (r, h), (r * 0.96, h), (r * 0.72, 0.01)]), *wire),
    )


def ironing_board(rng: Rng) -> Piece:
    """Return an ironing board with crossed legs."""
    cloth, frame = m.fabric(rng), m.metal(rng)
    parts = [cushion(cloth, (1.2, 0.36, 0.04), (0, 0, 0.86), 3)]
    parts += [rod(frame, (-0.4, s * 0.12, 0), (0.4, s * 0.12, 0.86), 0.014) for s in (-1, 1)]
    parts += [rod(frame, (0.4, s * 0.1, 0), (-0.4, s * 0.1, 0.86), 0.014) for s in (-1, 1)]
    return Piece("ironing board", tuple(parts), tops=(Top(0, 0, 0.9, 0.8, 0.3),))


def crib(rng: Rng) -> Piece:
    """Return a baby's cot with bars."""
    frame, long, wide, high = m.wood(rng), 1.25, 0.66, rng.uniform(0.85, 1.0)
    parts = legs(frame, long, wide, high, 0.045)
    for s in (-1, 1):
        parts += [
            box(frame, (long, 0.025, 0.05), (0, s * wide / 2, z)) for z in (0.25, high - 0.05)
        ]
        parts += [
            rod(frame, (x, s * wide / 2, 0.27), (x, s * wide / 2, high - 0.03), 0.009, sides=5)
            for x in np.linspace(-0.55, 0.55, 11)
        ]
        parts.append(box(frame, (0.025, wide, high - 0.3), (s * long / 2, 0, 0.25)))
    parts.append(cushion(m.white(rng), (long - 0.05, wide - 0.05, 0.12), (0, 0, 0.3), 10))
    return Piece("crib", tuple(parts))


def bunk_bed(rng: Rng) -> Piece:
    """Return a bunk bed with ladder."""
    frame, wide, long, high = (
        m.wood(rng) if rng.random() < 0.6 else m.metal(rng),
        0.95,
        2.05,
        rng.uniform(1.5, 1.75),
    )
    parts = legs(frame, long, wide, high, 0.06)
    things = []
    for z in (0.3, high - 0.45):
        parts.append(box(frame, (long, wide, 0.08), (0, 0, z)))
        parts += [
            box(frame, (long, 0.03, 0.1), (0, s * wide / 2, z + 0.24))
            for s in (-1, 1)
            if z > 1 or s > 0
        ]
        parts.append(cushion(m.white(rng), (long - 0.1, wide - 0.08, 0.16), (0, 0, z + 0.08), 10))
        parts.append(cushion(m.fabric(rng), (long * 0.62, wide - 0.02, 0.1), (-0.3, 0, z + 0.2), 6))
        things.append(
            (
                Piece("pillow", (cushion(m.white(rng), (0.4, 0.6, 0.14), power=2.6),)),
                Pose(long / 2 - 0.3, 0, z + 0.24),
            )
        )
    parts += [
        rod(frame, (x, -wide / 2 - 0.06, 0), (x, -wide / 2 - 0.03, high), 0.018)
        for x in (-0.8, -0.5)
    ]
    parts += [
        rod(frame, (-0.8, -wide / 2 - 0.05, z), (-0.5, -wide / 2 - 0.05, z), 0.015)
        for z in np.arange(0.25, high - 0.2, 0.27)
    ]
    return Piece("bunk bed", tuple(parts), tuple(things))


def bulletin_board(rng: Rng) -> Piece:
    """Return a cork board with notes; z = 0 is its lower edge."""
    wide, high = rng.uniform(0.6, 1.6), rng.uniform(0.5, 1.0)
    cork = m.Material(
        m.tinted(rng, [(0.72, 0.54, 0.35)]), (0.6, 0.42, 0.26), pattern="carpet", scale=0.02
    )
    parts = ring(m.wood(rng), wide + 0.04, high + 0.04, 0.025, 0.03)
    parts.append(box(cork, (wide - 0.01, 0.02, high - 0.01), (0, 0, 0.025)))
    for _ in range(int(rng.integers(3, 12))):
        note = m.Material(
            pick(rng, (0.95, 0.95, 0.92), (0.98, 0.9, 0.45), (0.7, 0.85, 0.95), (0.98, 0.7, 0.75))
        )
        at = (rng.uniform(-0.42, 0.42) * wide, -0.013, rng.uniform(0.1, 0.7) * high)
        parts.append(box(note, (rng.uniform(0.07, 0.2), 0.003, rng.uniform(0.07, 0.22)), at))
    return Piece("bulletin board", tuple(parts))


def projector_screen(rng: Rng) -> Piece:
    """Return a projection screen; z = 0 is its lower edge."""
    wide = rng.uniform(1.4, 2.4)
    cloth, case = m.Material((0.95, 0.95, 0.95)), pick(rng, m.white(rng), m.dark(rng))
    high = wide * 0.62
    parts = (
        *ring(BLACK, wide, high, 0.04, 0.008),
        box(cloth, (wide - 0.08, 0.008, high - 0.08), (0, 0, 0.04)),
        box(case, (wide + 0.1, 0.09, 0.09), (0, 0, high)),
    )
    return Piece("projector screen", parts)


def teddy_bear(rng: Rng) -> Piece:
    """Return a sitting stuffed bear."""
    fur = m.Material(m.tinted(rng, m.WOODS[:8]), (0.5, 0.35, 0.2), pattern="carpet", scale=0.03)
    s = rng.uniform(0.2, 0.45)
    balls = [
        (0.5, 0, 0, 0.0),
        (0.38, 0, -0.02, 0.42),
        (0.14, -0.15, 0, 0.7),
        (0.14, 0.15, 0, 0.7),
        (0.16, 0, -0.2, 0.5),
    ]
    parts = [cushion(fur, (d * s, d * s, d * s), (x * s, y * s, z * s), 2) for d, x, y, z in balls]
    for side in (-1, 1):
        parts.append(
            rod(fur, (side * 0.2 * s, 0, 0.36 * s), (side * 0.34 * s, -0.2 * s, 0.2 * s), 0.08 * s)
        )
        parts.append(
            rod(
                fur,
                (side * 0.14 * s, -0.1 * s, 0.09 * s),
                (side * 0.22 * s, -0.42 * s, 0.09 * s),
                0.09 * s,
            )
        )
    return Piece("teddy bear", tuple(parts))


def fruit(rng: Rng) -> Piece:
    """Return one piece of fruit."""
    name, color, size = pick(
        rng,
        ("apple", (0.75, 0.15, 0.12), (0.08, 0.08, 0.075)),
        ("apple", (0.5, 0.68, 0.2), (0.08, 0.08, 0.075)),
        ("orange", (0.93, 0.52, 0.1), (0.08, 0.08, 0.078)),
        ("lemon", (0.95, 0.85, 0.2), (0.09, 0.06, 0.06)),
        ("pear", (0.72, 0.72, 0.25), (0.07, 0.07, 0.1)),
    )
    if rng.random() < 0.25:
        arc = np.linspace(-0.8, 0.8, 6)
        tips = np.stack([0.1 * np.sin(arc), 0.12 * (1 - np.cos(arc)), np.full(6, 0.018)], axis=1)
        yellow = m.Material(m.tinted(rng, [(0.92, 0.8, 0.2)]))
        parts = [rod(yellow, tuple(tips[i]), tuple(tips[i + 1]), 0.018, sides=6) for i in range(5)]
        return Piece("banana", tuple(parts))
    return Piece(name, (cushion(m.Material(m.tinted(rng, [color])), size, power=2, cells=4),))


def tissue_box(rng: Rng) -> Piece:
    """Return a box of tissues with one pulled up."""
    wave = np.linspace(-1, 1, 5)
    u, v = np.meshgrid(wave, np.linspace(0, 1, 4), indexing="ij")
    grid = np.stack([u * 0.05 * (1 + v), 0.02 * np.sin(4 * u), 0.09 + 0.07 * v], axis=-1)
    paper = sheet(m.Material((0.96, 0.96, 0.96)), grid)
    return Piece(
        "tissue box", (box(pick(rng, m.plastic(rng), m.picture(rng)), (0.23, 0.12, 0.09)), paper)
    )


def binder(rng: Rng) -> Piece:
    """Return a row of ring binders."""
    parts, x = [], 0.0
    for _ in range(int(rng.integers(1, 6))):
        cover = pick(rng, m.plastic(rng), BLACK)
        parts.append(box(cover, (0.07, 0.28, 0.32), (x, 0, 0)))
        parts.append(box(m.Material((0.93, 0.93, 0.9)), (0.045, 0.004, 0.14), (x, -0.142, 0.12)))
        x += 0.074
    return Piece("binder", tuple(p.moved(x=-(x - 0.074) / 2) for p in parts))


def treadmill(rng: Rng) -> Piece:
    """Return a treadmill."""
    frame, long = pick(rng, BLACK, m.metal(rng)), rng.uniform(1.4, 1.8)
    parts = [
        box(frame, (0.75, long, 0.14)),
        box(m.Material((0.1, 0.1, 0.1)), (0.5, long * 0.9, 0.02), (0, 0, 0.14)),
    ]
    for s in (-1, 1):
        parts.append(bar(frame, (s * 0.34, long * 0.4, 0.1), (s * 0.34, long * 0.3, 1.25), 0.06))
        parts.append(rod(frame, (s * 0.34, long * 0.3, 1.0), (s * 0.34, 0, 0.95), 0.02))
    parts.append(box(m.dark(rng), (0.7, 0.08, 0.25), (0, long * 0.3, 1.15)))
    return Piece("treadmill", tuple(parts))


def tree(rng: Rng) -> Piece:
    """Return a decorated tree of the winter season."""
    h, r = rng.uniform(1.2, 1.9), rng.uniform(0.35, 0.55)
    needles = m.Material(m.tinted(rng, m.GREENS[:3]), (0.1, 0.25, 0.12), pattern="leaf", scale=0.04)
    parts = [cylinder(m.Material((0.35, 0.25, 0.16)), 0.04, h * 0.2)]
    for k in range(4):
        low = h * (0.14 + 0.2 * k)
        parts.append(lathe(needles, [(0, low), (r * (1 - 0.2 * k), low), (0.02, low + h * 0.3)]))
    for _ in range(25):
        k = rng.uniform(0.15, 0.85)
        a, rr = rng.uniform(0, 6.28), r * (1 - k) * 0.95 + 0.03
        at = (rr * np.cos(a), rr * np.sin(a), h * k)
        parts.append(cushion(m.Material(m.vivid(rng)), (0.05, 0.05, 0.05), at, 2, 3))
    return Piece("christmas tree", tuple(parts))

"""Parametric kitchen and bathroom fittings, in metres, z up, facing -y."""

from __future__ import annotations

from . import materials as m
from .fixtures import curtain
from .furniture import fronts
from .materials import Rng, pick
from .shapes import Part, Piece, Pose, Top, box, cushion, cylinder, lathe, rod

COUNTER = 0.9
"""Height of a worktop in metres."""


def base_unit(rng: Rng, front: m.Material, top: m.Material, wide: float) -> Piece:
    """Return a kitchen base cabinet with its worktop."""
    parts = [
        box(front, (wide, 0.56, COUNTER - 0.14), (0, 0.02, 0.1), front=False),
        box(m.dark(rng), (wide, 0.5, 0.1), (0, 0.04, 0)),
        box(top, (wide, 0.62, 0.04), (0, 0, COUNTER - 0.04)),
    ]
    rows = pick(rng, 1, 1, 3, 4)
    columns = 2 if wide > 0.65 else 1
    parts += fronts(rng, front, wide, 0.12, COUNTER - 0.05, -0.26, rows, columns)
    tops = (Top(0, 0, COUNTER, wide * 0.9, 0.5, 0.5),)
    return Piece("kitchen cabinet", tuple(parts), tops=tops)


def wall_unit(rng: Rng, front: m.Material, wide: float, high: float) -> Piece:
    """Return a kitchen wall cabinet; z = 0 is its underside."""
    body = box(front, (wide, 0.33, high), (0, 0.01, 0.001), front=False)
    doors = fronts(rng, front, wide, 0.0, high, -0.155, 1, 2 if wide > 0.65 else 1)
    return Piece("kitchen cabinet", (body, *doors))


def kitchen_sink(rng: Rng, front: m.Material, top: m.Material, wide: float = 0.8) -> Piece:
    """Return a base cabinet with a basin and tap let into its worktop."""
    steel = m.metal(rng) if rng.random() < 0.7 else m.ceramic(rng)
    base = base_unit(rng, front, top, wide)
    basin = [
        box(steel, (wide * 0.8, 0.44, 0.012), (0, -0.02, COUNTER)),
        box(
            m.Material(m.darker(steel.color, 0.55)),
            (wide * 0.6, 0.36, 0.004),
            (0, -0.02, COUNTER + 0.012),
        ),
        rod(steel, (0, 0.24, COUNTER), (0, 0.24, COUNTER + 0.28), 0.015),
        rod(steel, (0, 0.24, COUNTER + 0.28), (0, 0.06, COUNTER + 0.24), 0.012),
    ]
    for s in (-1, 1):
        basin.append(box(steel, (0.02, 0.4, 0.05), (s * wide * 0.31, -0.02, COUNTER)))
        basin.append(box(steel, (wide * 0.62, 0.02, 0.05), (0, -0.02 + s * 0.19, COUNTER)))
    return Piece(
        "",
        children=(
            (Piece("kitchen cabinet", base.parts), Pose()),
            (Piece("sink", tuple(basin)), Pose()),
        ),
    )


def stove(rng: Rng) -> Piece:
    """Return a range: oven door, knobs and burners."""
    body = pick(rng, m.white(rng), m.metal(rng), m.dark(rng))
    black = m.Material((0.06, 0.06, 0.07))
    parts = [
        box(body, (0.6, 0.6, COUNTER - 0.01), front=False),
        box(body, (0.6, 0.02, COUNTER - 0.01), (0, -0.3, 0)),
        box(black, (0.46, 0.02, 0.3), (0, -0.315, 0.28)),
        rod(m.metal(rng), (-0.24, -0.35, 0.66), (0.24, -0.35, 0.66), 0.012),
        box(black, (0.58, 0.54, 0.012), (0, 0, COUNTER - 0.01)),
    ]
    for i in range(5):
        parts.append(cushion(black, (0.045, 0.04, 0.045), (-0.22 + 0.11 * i, -0.32, 0.76), 3, 3))
    ring = m.metal(rng)
    for x in (-0.15, 0.15):
        for y in (-0.13, 0.13):
            parts.append(cylinder(ring, 0.09, 0.014, (x, y, COUNTER + 0.002)))
    return Piece("stove", tuple(parts), tops=(Top(0, 0, COUNTER + 0.016, 0.5, 0.45, 0.5),))


def dishwasher(rng: Rng) -> Piece:
    """Return a dishwasher under a worktop."""
    body = pick(rng, m.white(rng), m.metal(rng))
    parts = [
        box(body, (0.6, 0.58, COUNTER - 0.04), (0, 0.01, 0)),
        box(m.dark(rng), (0.58, 0.02, 0.09), (0, -0.29, 0.74)),
        box(m.metal(rng), (0.4, 0.04, 0.02), (0, -0.31, 0.7)),
        box(m.stone(rng), (0.6, 0.62, 0.04), (0, 0, COUNTER - 0.04)),
    ]
    return Piece("dishwasher", tuple(parts), tops=(Top(0, 0, COUNTER, 0.5, 0.5, 0.5),))


def washing_machine(rng: Rng) -> Piece:
    """Return a front loader."""
    body, glass = m.white(rng), m.Material((0.16, 0.18, 0.2))
    ring = lathe(m.metal(rng), [(0.14, 0), (0.2, 0.02), (0.2, 0.05), (0.14, 0.05)])
    door = lathe(glass, [(0, 0.03), (0.1, 0.045), (0.15, 0.03)])
    turned = [p.turned(90, 0).moved(0, -0.3, 0.42) for p in (ring, door)]
    panel = box(pick(rng, m.dark(rng), m.plastic(rng)), (0.3, 0.015, 0.07), (0.1, -0.305, 0.74))
    parts = (box(body, (0.6, 0.6, 0.85)), *turned, panel)
    return Piece("washing machine", parts, tops=(Top(0, 0, 0.85, 0.5, 0.5),))


def _cooler_doors(rng: Rng, wide: float, high: float) -> list[tuple[float, float, float, float]]:
    """Return x0, x1, z0, z1 of a refrigerator's doors and drawers."""
    left, right, low, gap = -wide / 2, wide / 2, 0.03, 0.006
    if high < 0.95:
        return [(left, right, low, high)]
    style, split = rng.integers(5), high * float(rng.uniform(0.28, 0.45))
    if wide > 0.75 and style < 3:
        middle = wide * float(pick(rng, 0.0, -0.08))
        under = split if rng.random() < 0.5 else low
        doors = [(left, middle - gap, under + gap, high), (middle + gap, right, under + gap, high)]
        return doors + ([(left, right, low, split)] if under > low else [])
    if style == 0:
        return [(left, right, low, high)]
    split = high - split if style < 3 else split
    return [(left, right, low, split - gap), (left, right, split + gap, high)]


def refrigerator(rng: Rng) -> Piece:
    """Return a refrigerator: one door, freezer above or below, side by side, or a small one."""
    wide, high = float(rng.uniform(0.52, 0.7)), float(rng.uniform(1.4, 2.0))
    wide = float(rng.uniform(0.76, 0.95)) if rng.random() < 0.3 else wide
    if rng.random() < 0.12:
        wide, high = float(rng.uniform(0.44, 0.58)), float(rng.uniform(0.5, 0.9))
    body = pick(rng, m.white(rng), m.white(rng), m.metal(rng), m.metal(rng), m.dark(rng))
    body = m.plastic(rng) if rng.random() < 0.08 else body
    steel, grip, long = m.metal(rng), rng.integers(4), float(rng.uniform(0.15, 0.6))
    parts = [
        box(body, (wide, 0.56, high - 0.01), (0, 0.03, 0.01), front=False),
        box(m.dark(rng), (wide * 0.98, 0.02, high - 0.05), (0, -0.255, 0.02)),
    ]
    doors = _cooler_doors(rng, wide, high)
    for x0, x1, z0, z1 in doors:
        x, w, h = (x0 + x1) / 2, x1 - x0, z1 - z0
        parts.append(cushion(body, (w, 0.07, h), (x, -0.295, z0), 14, 3))
        side = -1 if x > 0.05 else 1
        if h < 0.75 and w > 0.7:
            parts.append(box(steel, (w * 0.6, 0.04, 0.025), (x, -0.35, z1 - 0.1)))
        elif grip < 3:
            bar = min(long, h * 0.7)
            z = z0 + 0.06 if z0 > 0.3 else z1 - bar - 0.06
            z = z0 + (h - bar) / 2 if len(doors) == 1 or w < wide * 0.6 else z
            at = x + side * (w / 2 - 0.05)
            parts.append(box(steel if grip else body, (0.025, 0.05, bar), (at, -0.35, z)))
    if wide > 0.75 and rng.random() < 0.5:
        parts.append(box(m.dark(rng), (0.2, 0.01, 0.32), (-wide * 0.25, -0.333, high * 0.6)))
    for _ in range(int(rng.integers(1, 7)) if rng.random() < 0.3 else 0):
        note = m.Material(m.vivid(rng))
        at = (float(rng.uniform(-0.4, 0.4)) * wide, -0.333, high * float(rng.uniform(0.55, 0.9)))
        parts.append(box(note, (0.07, 0.006, float(rng.uniform(0.05, 0.15))), at))
    return Piece("refrigerator", tuple(parts), tops=(Top(0, 0, high, wide * 0.8, 0.5),))


def visor_hood(rng: Rng, wide: float = 0.6) -> Piece:
    """Return a flat hood to hang below a wall unit; z = 0 is its underside."""
    steel, high = pick(rng, m.metal(rng), m.white(rng), m.dark(rng)), float(rng.uniform(0.06, 0.16))
    parts = [
        box(steel, (wide, 0.48, high), (0, -0.06, 0.001)),
        box(m.dark(rng), (wide * 0.8, 0.3, 0.004), (0, -0.05, 0)),
        box(m.metal(rng), (wide, 0.02, high * 0.5), (0, -0.31, high * 0.2)),
    ]
    return Piece("range hood", tuple(parts))


def range_hood(rng: Rng) -> Piece:
    """Return a chimney hood: pyramid, flat slab, bell or slanted pane; z = 0 is its underside."""
    steel = m.metal(rng) if rng.random() < 0.8 else pick(rng, m.white(rng), m.dark(rng))
    wide, tall, style = pick(rng, 0.6, 0.9), float(rng.uniform(0.5, 0.85)), rng.integers(4)
    duct = box(steel, (0.26, 0.24, tall), (0, 0.12, 0.05))
    if style == 0:
        profile = [(0.45, 0.0), (0.45, 0.06), (0.17, 0.28), (0.17, tall)]
        hood = lathe(steel, profile, sides=4).turned(45, 2)
        return Piece("range hood", (Part(hood.triangles * [wide / 0.64, 0.75, 1], steel),))
    if style == 1:
        slab = box(steel, (wide, 0.48, 0.06), (0, 0, 0.001))
        return Piece("range hood", (slab, duct, box(m.dark(rng), (wide * 0.8, 0.36, 0.004))))
    if style == 2:
        bell = lathe(steel, [(0.42, 0), (0.42, 0.04), (0.3, 0.16), (0.15, 0.24), (0.13, tall)])
        return Piece("range hood", (Part(bell.triangles * [wide / 0.84, 0.56, 1], steel),))
    pane = box(m.Material((0.07, 0.07, 0.08)), (wide, 0.03, 0.5), (0, 0.05, 0.01))
    body = box(steel, (wide * 0.9, 0.2, 0.3), (0, 0.14, 0.03))
    return Piece(
        "range hood", (pane.turned(float(rng.uniform(25, 50)), 0, (0, 0.05, 0.4)), body, duct)
    )


def microwave(rng: Rng) -> Piece:
    """Return a microwave oven."""
    wide, high = rng.uniform(0.42, 0.54), rng.uniform(0.25, 0.32)
    body, black = (
        pick(rng, m.white(rng), m.metal(rng), m.dark(rng)),
        m.Material((0.07, 0.07, 0.08)),
    )
    parts = (
        box(body, (wide, 0.34, high)),
        box(black, (wide * 0.66, 0.01, high * 0.75), (-wide * 0.13, -0.175, high * 0.12)),
        box(m.dark(rng), (wide * 0.2, 0.01, high * 0.8), (wide * 0.36, -0.175, high * 0.1)),
    )
    return Piece("microwave", parts)


def toilet(rng: Rng) -> Piece:
    """Return a close-coupled toilet with its cistern at +y."""
    pot, lid = m.ceramic(rng) if rng.random() < 0.3 else m.white(rng), m.white(rng)
    bowl = lathe(
        pot,
        [
            (0.11, 0),
            (0.1, 0.08),
            (0.13, 0.2),
            (0.19, 0.36),
            (0.19, 0.4),
            (0.15, 0.4),
            (0.1, 0.28),
            (0, 0.24),
        ],
        sides=18,
    )
    parts = [
        Part(bowl.triangles * [1, 1.3, 1] - [0, 0.1, 0], pot),
        box(pot, (0.2, 0.3, 0.38), (0, 0.15, 0)),
        cushion(pot, (0.38, 0.18, 0.36), (0, 0.24, 0.38), 9),
    ]
    if rng.random() < 0.65:
        parts.append(cushion(lid, (0.38, 0.46, 0.035), (0, -0.1, 0.4), 3))
    else:
        parts.append(
            cushion(lid, (0.37, 0.035, 0.42), (0, 0.13, 0.41), 3).turned(-8, 0, (0, 0.13, 0.41))
        )
    return Piece("toilet", tuple(parts), tops=(Top(0, 0.24, 0.74, 0.3, 0.14),))


def _basin(pot: m.Material, wide: float, deep: float, z: float) -> Part:
    profile = [(0.2, -0.14), (0.45, -0.08), (0.5, 0), (0.44, 0), (0.3, -0.08), (0, -0.1)]
    part = lathe(pot, profile, sides=18)
    return Part(part.triangles * [wide, deep, 1] + [0, 0, z], pot)


def sink(rng: Rng) -> Piece:
    """Return a washbasin on a pedestal or vanity unit, with tap."""
    pot, steel = m.white(rng), m.metal(rng)
    wide, z = rng.uniform(0.45, 0.7), rng.uniform(0.8, 0.88)
    parts = [
        _basin(pot, wide, 0.44, z),
        rod(steel, (0, 0.19, z), (0, 0.19, z + 0.14), 0.014),
        rod(steel, (0, 0.19, z + 0.14), (0, 0.06, z + 0.11), 0.012),
    ]
    if rng.random() < 0.5:
        parts.append(cylinder(pot, 0.09, z - 0.12, (0, 0.05, 0), 0.07))
        return Piece("sink", tuple(parts))
    wide += 0.1
    front = m.wood(rng) if rng.random() < 0.6 else m.white(rng)
    unit = [box(front, (wide, 0.44, z - 0.22), (0, 0.02, 0.2), front=False)]
    unit += fronts(rng, front, wide, 0.2, z - 0.03, -0.2, 1, 2)
    slab = box(m.stone(rng), (wide + 0.02, 0.48, 0.02), (0, 0, z - 0.02))
    tops = (Top(wide * 0.4, 0.1, z, 0.12, 0.2),)
    vanity = Piece("bathroom cabinet", (*unit, slab), tops=tops)
    return Piece("", children=((vanity, Pose()), (Piece("sink", tuple(parts)), Pose())))


def bathtub(rng: Rng) -> Piece:
    """Return a bathtub, boxed in or free-standing."""
    pot, long, wide, high = (
        m.white(rng),
        rng.uniform(1.5, 1.8),
        rng.uniform(0.7, 0.82),
        rng.uniform(0.5, 0.6),
    )
    outer = cushion(pot, (long, wide, 2 * high), (0, 0, -high), pick(rng, 4.0, 20.0), 7).triangles
    outer = outer[(outer[..., 2] <= 1e-9).all(axis=1)] * [1, 1, 1] + [0, 0, high]
    inner = cushion(
        pot, (long * 0.88, wide * 0.82, 1.7 * high), (0, 0, -0.85 * high), 4, 7
    ).triangles
    inner = inner[(inner[..., 2] <= 1e-9).all(axis=1)] + [0, 0, high]
    rim = [box(pot, (long, wide * 0.09, 0.02), (0, s * wide * 0.455, high - 0.02)) for s in (-1, 1)]
    rim += [box(pot, (long * 0.06, wide, 0.02), (s * long * 0.47, 0, high - 0.02)) for s in (-1, 1)]
    tap = rod(m.metal(rng), (long * 0.42, 0, high), (long * 0.36, 0, high + 0.14), 0.02)
    return Piece("bathtub", (Part(outer, pot), Part(inner, pot), *rim, tap))


def shower(rng: Rng) -> Piece:
    """Return a shower tray with a rail and head."""
    pot, steel, side = m.white(rng), m.metal(rng), rng.uniform(0.8, 1.0)
    parts = [
        box(pot, (side, side, 0.1)),
        rod(steel, (0, side / 2 - 0.03, 0.9), (0, side / 2 - 0.03, 2.0), 0.015),
        rod(steel, (0, side / 2 - 0.03, 2.0), (0, side / 2 - 0.25, 2.05), 0.012),
        cylinder(steel, 0.08, 0.03, (0, side / 2 - 0.27, 2.0)),
        rod(steel, (-side / 2, -side / 2, 2.0), (side / 2, -side / 2, 2.0), 0.012),
    ]
    cloth = curtain(rng, side * rng.uniform(0.4, 0.95), 1.85, "shower curtain")
    return Piece("shower", tuple(parts), ((cloth, Pose(-side * 0.1, -side / 2, 0.12)),))

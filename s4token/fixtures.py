"""Parametric lamps and what hangs on walls and windows, in metres, facing -y."""

from __future__ import annotations

import numpy as np

from . import materials as m
from .materials import Rng, pick
from .shapes import Part, Piece, Pose, Top, box, cushion, cylinder, lathe, ring, rod, sheet


def curtain(
    rng: Rng,
    wide: float = 1.2,
    high: float = 2.2,
    name: str = "curtain",
    *,
    lean: float = 0.0,
    cloth: m.Material | None = None,
) -> Piece:
    """Return a wavy hanging cloth; ``lean`` ties it to one side (-1 to 1) below its middle."""
    if cloth is None:
        cloth = m.white(rng) if rng.random() < 0.3 else pick(rng, m.fabric(rng), m.drape(rng))
    waves = max(2.0, wide / rng.uniform(0.1, 0.22))
    deep = float(np.exp(rng.uniform(*np.log((0.008, 0.06)))))
    rows = 13 if lean else 7
    u, v = np.meshgrid(
        np.linspace(0, 1, int(waves * 6) + 2), np.linspace(0, 1, rows), indexing="ij"
    )
    gather = 1 - rng.uniform(0, 0.25) * np.sin(np.pi * v)
    tie = abs(lean) * np.exp(-(((v - 0.4) / 0.22) ** 2))
    x = (u - 0.5) * wide * gather * (1 - 0.75 * tie) + np.sign(lean) * 0.4 * wide * tie
    y = deep * np.sin(2 * np.pi * waves * u + 0.6 * np.sin(5 * v + rng.uniform(0, 6)))
    grid = np.stack([x, y * (1.2 - 0.5 * v), v * high], axis=-1)
    return Piece(name, (sheet(cloth, grid),))


def radiator(rng: Rng) -> Piece:
    """Return a ribbed radiator."""
    wide, high, body = rng.uniform(0.5, 1.6), rng.uniform(0.4, 0.7), m.white(rng)
    xs = np.arange(-wide / 2 + 0.03, wide / 2, rng.uniform(0.045, 0.08))
    ribs = [cushion(body, (0.035, 0.09, high), (x, 0, 0.12), 5, 3) for x in xs]
    bars = [box(body, (wide, 0.04, 0.04), (0, 0, z)) for z in (0.16, high + 0.04)]
    return Piece("radiator", (*ribs, *bars))


def air_conditioner(rng: Rng) -> Piece:
    """Return a wall-mounted split unit."""
    wide, high, deep = rng.uniform(0.7, 1.15), rng.uniform(0.24, 0.34), rng.uniform(0.16, 0.26)
    body, dark = m.white(rng), m.dark(rng)
    parts = [
        cushion(body, (wide, deep, high), power=pick(rng, 5.0, 8.0, 14.0)),
        box(dark, (wide * 0.85, 0.02, 0.025), (0, -deep / 2 - 0.005, 0.03)),
    ]
    if rng.random() < 0.5:  # the flap stands open
        flap = box(body, (wide * 0.88, 0.07, 0.008), (0, -deep / 2 - 0.02, 0.03))
        parts.append(flap.turned(rng.uniform(10, 50), 0, (0, -deep / 2, 0.03)))
    if rng.random() < 0.4:
        parts.append(box(dark, (0.06, 0.01, 0.02), (wide * 0.4, -deep / 2 - 0.003, 0.12)))
    return Piece("air conditioner", tuple(parts))


def fireplace(rng: Rng) -> Piece:
    """Return a fireplace with mantelpiece."""
    wide, high = rng.uniform(1.1, 1.6), rng.uniform(1.0, 1.25)
    body = m.Material(m.tinted(rng, m.BRICKS), (0.8, 0.78, 0.75), pattern="brick", scale=0.075)
    body = body if rng.random() < 0.5 else pick(rng, m.white(rng), m.stone(rng))
    black = m.Material((0.05, 0.045, 0.04))
    hole, top = wide * 0.5, high * 0.62
    side = (wide - hole) / 2
    parts = [box(body, (side, 0.4, top), (s * (wide - side) / 2, 0, 0)) for s in (-1, 1)]
    parts += [
        box(body, (wide, 0.4, high - top), (0, 0, top)),
        box(black, (hole, 0.02, top), (0, 0.15, 0)),
        box(m.wood(rng), (wide + 0.2, 0.48, 0.06), (0, -0.02, high)),
    ]
    parts += [rod(m.wood(rng), (-0.2, y, 0.08), (0.2, y + 0.05, 0.1), 0.045) for y in (-0.05, 0.06)]
    return Piece("fireplace", tuple(parts), tops=(Top(0, 0, high + 0.06, wide, 0.3),))


def _framed(rng: Rng, wide: float, high: float) -> list[Part]:
    """Return a picture in a frame, with or without a mat, or a canvas or poster without a frame."""
    style = rng.random()
    image = m.picture(rng) if rng.random() < 0.8 else m.drawing(rng)
    if style < 0.2:
        return [box(image, (wide, float(rng.uniform(0.015, 0.04)), high), (0, 0, 0.001))]
    frame = pick(rng, m.wood(rng), m.dark(rng), m.white(rng), m.metal(rng))
    edge = min(wide, high) * rng.uniform(0.03, 0.14)
    parts = ring(frame, wide, high, edge, rng.uniform(0.015, 0.04))
    wide, high, low = wide - 2 * edge, high - 2 * edge, edge
    if rng.random() < 0.5:
        mat = min(wide, high) * rng.uniform(0.1, 0.32)
        parts += ring(m.white(rng), wide, high, mat, 0.012, low)
        wide, high, low = wide - 2 * mat, high - 2 * mat, low + mat
    return [*parts, box(image, (wide, 0.012, high), (0, 0, low))]


def wall_picture(rng: Rng) -> Piece:
    """Return a picture of any size and make; z = 0 is its lower edge."""
    wide = float(np.exp(rng.uniform(*np.log((0.18, 1.3)))))
    high = float(np.clip(wide * np.exp(rng.normal(0, 0.35)), 0.15, 1.1))
    return Piece("picture", tuple(_framed(rng, wide, high)))


def poster(rng: Rng) -> Piece:
    """Return a poster or map; z = 0 is its lower edge."""
    wide, high = rng.uniform(0.35, 1.0), rng.uniform(0.4, 1.1)
    image = pick(rng, m.picture(rng), m.drawing(rng))
    return Piece("poster", (box(image, (wide, 0.006, high), (0, 0, 0.001)),))


def gallery(rng: Rng) -> Piece:
    """Return two to nine pictures in rows on a wall, alike or not; z = 0 is the lowest edge."""
    columns, rows = int(rng.integers(2, 5)), int(rng.integers(1, 3))
    wide, high = rng.uniform(0.18, 0.5), rng.uniform(0.18, 0.5)
    alike, seed, gap = rng.random() < 0.5, int(rng.integers(1 << 30)), rng.uniform(0.04, 0.15)
    things = []
    for i in range(columns):
        for j in range(rows):
            if rng.random() < 0.1 and things:
                continue
            own = np.random.default_rng(seed if alike else seed + 9 * i + j)
            w, h = (
                (wide, high) if alike else (wide * rng.uniform(0.5, 1), high * rng.uniform(0.5, 1))
            )
            piece = Piece("picture", tuple(_framed(own, w, h)))
            at = Pose((i - (columns - 1) / 2) * (wide + gap), 0, j * (high + gap))
            things.append((piece, at))
    return Piece("", children=tuple(things))


def picture_frame(rng: Rng) -> Piece:
    """Return a small framed photograph that stands on furniture, leaning back."""
    wide, high = rng.uniform(0.09, 0.26), rng.uniform(0.1, 0.28)
    back = box(m.dark(rng), (0.05, 0.006, high * 0.8), (0, 0.012, 0)).turned(
        22, 0, (0, 0, high * 0.8)
    )
    parts = [p.turned(-rng.uniform(8, 18), 0) for p in (*_framed(rng, wide, high), back)]
    return Piece("picture frame", tuple(parts))


def wall_lamp(rng: Rng) -> Piece:
    """Return a lamp on a wall: arm with shade, half bowl, or spot; z = 0 is its lower edge."""
    frame, glow, style = m.metal(rng), m.Material((0.98, 0.96, 0.88)), rng.integers(3)
    plate = box(frame, (0.1, 0.02, 0.14), (0, 0, 0.01))
    if style == 0:
        arm = rod(frame, (0, 0, 0.08), (0, -0.16, 0.08), 0.01)
        return Piece("wall lamp", (plate, arm, lamp_shade(rng, 0.09, 0.16, 0.03).moved(0, -0.16)))
    if style == 1:
        bowl = lathe(glow, [(0.04, 0), (0.14, 0.12), (0.15, 0.16)]).triangles
        bowl = np.minimum(bowl, [9, 0, 9])
        return Piece("wall lamp", (Part(bowl, glow), plate))
    spot = lathe(frame, [(0.03, 0), (0.06, 0.14)]).turned(rng.uniform(20, 160), 0, (0, 0, 0.07))
    return Piece("wall lamp", (plate, spot.moved(0, -0.1)))


def security_camera(rng: Rng) -> Piece:
    """Return a camera under the ceiling: a dome or a box on an arm; z = 0 is its lower edge."""
    body, lens = pick(rng, m.white(rng), m.dark(rng)), m.Material((0.04, 0.04, 0.05))
    if rng.random() < 0.5:
        dome = cushion(lens, (0.09, 0.09, 0.09), (0, -0.06, 0), 2, 4)
        return Piece("security camera", (dome, cylinder(body, 0.07, 0.05, (0, -0.06, 0.045))))
    tube = box(body, (0.07, 0.2, 0.07), (0, -0.14, 0))
    face = box(lens, (0.05, 0.01, 0.05), (0, -0.245, 0.01))
    arm = rod(body, (0, 0, 0.1), (0, -0.1, 0.05), 0.012)
    seen = [p.turned(12, 0, (0, 0, 0.07)).moved(z=0.05) for p in (tube, face)]
    return Piece("security camera", (*seen, arm))


def pipes(rng: Rng, high: float) -> Piece:
    """Return one to three heating or water pipes up a wall."""
    body = m.white(rng) if rng.random() < 0.6 else m.metal(rng)
    r, count = rng.uniform(0.011, 0.06), int(rng.integers(1, 4))
    parts = [rod(body, (2.8 * r * i, 0, 0), (2.8 * r * i, 0, high), r) for i in range(count)]
    return Piece("pipe", tuple(parts))


def mirror(rng: Rng) -> Piece:
    """Return a wall mirror, rectangular or round; z = 0 is its lower edge."""
    wide, high = rng.uniform(0.4, 1.0), rng.uniform(0.5, 1.1)
    glass = m.Material((0.62, 0.66, 0.68), (0.75, 0.78, 0.8), (0.5, 0.52, 0.52), "picture", 0.6)
    frame = pick(rng, m.wood(rng), m.metal(rng))
    if rng.random() < 0.25:
        r = wide / 2
        face = lathe(glass, [(0, 0.01), (r, 0.01)], sides=24).turned(90, 0)
        rim = lathe(frame, [(r, 0), (r, 0.02), (r * 1.06, 0.02), (r * 1.06, 0)], sides=24)
        return Piece("mirror", tuple(p.moved(z=r * 1.06) for p in (face, rim.turned(90, 0))))
    parts = ring(frame, wide, high, 0.03, 0.03)
    return Piece("mirror", (*parts, box(glass, (wide - 0.06, 0.02, high - 0.06), (0, 0, 0.03))))


def whiteboard(rng: Rng) -> Piece:
    """Return a whiteboard or pinboard with traces of writing."""
    wide, high = rng.uniform(1.0, 2.4), rng.uniform(0.8, 1.2)
    board, frame = m.white(rng), m.metal(rng)
    parts = [
        box(board, (wide, 0.02, high), (0, 0, 0.001)),
        box(frame, (wide * 0.5, 0.08, 0.02), (0, -0.04, -0.01)),
    ]
    parts += [box(frame, (wide, 0.03, 0.025), (0, 0, z)) for z in (-0.01, high - 0.015)]
    for _ in range(int(rng.integers(0, 9))):
        ink = m.Material(
            pick(rng, (0.1, 0.2, 0.6), (0.7, 0.1, 0.1), (0.1, 0.1, 0.1), (0.1, 0.5, 0.2))
        )
        at = (rng.uniform(-0.4, 0.4) * wide, -0.011, rng.uniform(0.15, 0.85) * high)
        parts.append(box(ink, (rng.uniform(0.1, 0.4), 0.002, 0.015), at))
    return Piece("whiteboard", tuple(parts))


def clock(rng: Rng) -> Piece:
    """Return a round wall clock."""
    r, rim = rng.uniform(0.12, 0.2), pick(rng, m.dark(rng), m.wood(rng), m.metal(rng))
    face = lathe(m.white(rng), [(0, 0.03), (r * 0.88, 0.03)], sides=20).turned(90, 0)
    ring = lathe(rim, [(r * 0.86, 0.035), (r, 0.035), (r, 0)], sides=20).turned(90, 0)
    black = m.Material((0.05, 0.05, 0.05))
    hands = [
        box(black, (0.012, 0.006, r * k), (0, -0.034, 0)).turned(a, 1)
        for k, a in ((0.5, rng.uniform(0, 360)), (0.75, rng.uniform(0, 360)))
    ]
    return Piece("clock", tuple(p.moved(z=r) for p in (face, ring, *hands)))


def towel(rng: Rng) -> Piece:
    """Return a towel on a rail; z = 0 is its lower edge."""
    wide, high = rng.uniform(0.35, 0.6), rng.uniform(0.4, 0.8)
    cloth = curtain(rng, wide, high, "towel")
    rail = rod(m.metal(rng), (-wide * 0.6, 0, high), (wide * 0.6, 0, high), 0.01)
    return Piece("towel", (*cloth.parts, rail))


def lamp_shade(rng: Rng, radius: float, high: float, z: float) -> Part:
    """Return a conical or drum shade, bright inside and out."""
    color = pick(
        rng, (0.98, 0.95, 0.86), (0.97, 0.93, 0.8), (0.9, 0.85, 0.75), m.tinted(rng, m.FABRICS)
    )
    return lathe(
        m.Material(color), [(radius, 0), (radius * rng.uniform(0.5, 1.0), high)], (0, 0, z), 18
    )


def floor_lamp(rng: Rng) -> Piece:
    """Return a floor lamp: shade on a pole, or an arc."""
    frame, high = pick(rng, m.metal(rng), m.wood(rng)), rng.uniform(1.3, 1.75)
    parts = [cylinder(frame, rng.uniform(0.12, 0.17), 0.025)]
    if rng.random() < 0.2:
        parts = [
            rod(frame, (0.3 * np.cos(a), 0.3 * np.sin(a), 0), (0, 0, high * 0.85), 0.015)
            for a in (0.5, 2.6, 4.7)
        ]
    parts += [
        rod(frame, (0, 0, 0), (0, 0, high), 0.013),
        lamp_shade(rng, rng.uniform(0.15, 0.26), rng.uniform(0.2, 0.35), high - 0.2),
    ]
    return Piece("floor lamp", tuple(parts))


def table_lamp(rng: Rng) -> Piece:
    """Return a bedside lamp: a foot of any outline with a shade, a globe, or three legs."""
    foot, high = pick(rng, m.ceramic(rng), m.wood(rng), m.metal(rng)), rng.uniform(0.15, 0.4)
    belly, style = rng.uniform(0.02, 0.1), rng.random()
    shade = lamp_shade(rng, rng.uniform(0.08, 0.2), rng.uniform(0.12, 0.25), high * 0.9)
    if style < 0.15:
        globe, r = m.Material((0.98, 0.96, 0.9)), rng.uniform(0.06, 0.13)
        ball = cushion(globe, (2 * r, 2 * r, 2 * r), (0, 0, high * 0.3), 2, 5)
        return Piece("table lamp", (cylinder(foot, r * 0.7, high * 0.35), ball))
    if style < 0.3:
        ends = [(0.09 * np.cos(a), 0.09 * np.sin(a), 0.0) for a in (0.5, 2.6, 4.7)]
        return Piece("table lamp", (*(rod(foot, e, (0, 0, high), 0.008) for e in ends), shade))
    if style < 0.5:
        stem = rod(foot, (0, 0, 0), (0, 0, high), 0.01)
        return Piece("table lamp", (cylinder(foot, rng.uniform(0.05, 0.09), 0.02), stem, shade))
    profile = [(0, 0), (0.07, 0), (belly, high * 0.3), (belly * 0.7, high * 0.7), (0.015, high)]
    return Piece("table lamp", (lathe(foot, profile), shade))


def desk_lamp(rng: Rng) -> Piece:
    """Return a jointed desk lamp."""
    frame = pick(rng, m.metal(rng), m.plastic(rng))
    knee, head = (0, 0.1, 0.28), (0, -0.14, 0.45)
    shade = lathe(frame, [(0.085, 0), (0.03, 0.1), (0, 0.11)]).turned(-25, 0).moved(0, -0.18, 0.36)
    return Piece(
        "desk lamp",
        (
            cylinder(frame, 0.09, 0.02),
            rod(frame, (0, 0, 0), knee, 0.01),
            rod(frame, knee, head, 0.01),
            shade,
        ),
    )


def ceiling_light(rng: Rng) -> Piece:
    """Return a ceiling light hanging down from z = 0: disc, panel, tube or pendant."""
    glow, style = m.Material((0.99, 0.98, 0.93)), rng.integers(4)
    if style == 0:
        r = rng.uniform(0.14, 0.28)
        part = lathe(glow, [(0, -0.1), (r * 0.8, -0.08), (r, -0.001)], sides=18)
        return Piece("ceiling light", (part,))
    if style == 1:
        return Piece("ceiling light", (box(glow, (0.6, pick(rng, 0.6, 1.2), 0.04), (0, 0, -0.04)),))
    if style == 2:
        return Piece("ceiling light", (box(glow, (0.16, 1.25, 0.07), (0, 0, -0.08)),))
    drop = rng.uniform(0.4, 1.0)
    cord = rod(m.dark(rng), (0, 0, -drop), (0, 0, 0), 0.008)
    return Piece(
        "ceiling light", (cord, lamp_shade(rng, rng.uniform(0.12, 0.28), 0.2, -drop - 0.12))
    )


def chandelier(rng: Rng) -> Piece:
    """Return a chandelier hanging down from z = 0."""
    frame, drop, arms = m.metal(rng), rng.uniform(0.4, 0.8), int(rng.integers(4, 8))
    parts = [
        rod(frame, (0, 0, -drop), (0, 0, 0), 0.012),
        cushion(frame, (0.12, 0.12, 0.14), (0, 0, -drop - 0.1), 2, 4),
    ]
    for a in np.arange(arms) * 2 * np.pi / arms:
        x, y = 0.32 * np.cos(a), 0.32 * np.sin(a)
        parts.append(rod(frame, (0, 0, -drop), (x, y, -drop), 0.01))
        parts.append(
            lathe(m.Material((0.98, 0.95, 0.85)), [(0.05, 0), (0.07, 0.12)], (x, y, -drop))
        )
    return Piece("chandelier", tuple(parts))


def ceiling_fan(rng: Rng) -> Piece:
    """Return a ceiling fan hanging down from z = 0."""
    frame, blade = m.metal(rng), m.wood(rng)
    parts = [rod(frame, (0, 0, -0.3), (0, 0, 0), 0.015), cylinder(frame, 0.1, 0.12, (0, 0, -0.4))]
    for a in np.arange(4) * 90 + rng.uniform(0, 90):
        parts.append(box(blade, (0.5, 0.13, 0.012), (0.36, 0, -0.34)).turned(a, 2))
    return Piece("fan", tuple(parts))

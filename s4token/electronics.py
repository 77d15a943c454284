"""Parametric screens, computers and other devices, in metres, facing -y."""

from __future__ import annotations

from . import materials as m
from .materials import Rng, pick
from .shapes import Piece, box, cushion, cylinder, lathe, rod

BLACK = m.Material((0.05, 0.05, 0.055))


def screen(rng: Rng) -> m.Material:
    if rng.random() < 0.6:
        return m.Material(
            (0.04, 0.045, 0.05), (0.1, 0.11, 0.13), (0.02, 0.02, 0.02), "picture", 0.5
        )
    return m.picture(rng)


def _panel(rng: Rng) -> m.Material:
    """Return a television's glossy panel, most often off: near black with a reflection in it."""
    if rng.random() < 0.12:
        return m.picture(rng)
    base, shine = rng.uniform(0.015, 0.07), rng.uniform(0.02, 0.22)
    tone = (base, base * 1.03, base * 1.1)
    bright = (base + shine, base + shine, base + shine * 1.1)
    return m.Material(tone, bright, tone, "picture", float(rng.uniform(0.4, 1.5)))


def tv(rng: Rng) -> Piece:
    """Return a flat television on one foot or two, or without for the wall; it faces -y."""
    wide = rng.uniform(0.55, 1.7)
    high, base, thick = (
        wide * rng.uniform(0.56, 0.62),
        rng.uniform(0.03, 0.1),
        rng.uniform(0.03, 0.07),
    )
    frame = BLACK if rng.random() < 0.85 else pick(rng, m.metal(rng), m.white(rng))
    edge = rng.uniform(0.005, 0.03)
    size = (wide - 2 * edge, 0.004, high - 2 * edge)
    parts = [
        box(frame, (wide, thick, high), (0, thick / 2 - 0.01, base), front=False),
        box(_panel(rng), size, (0, -0.012, base + edge)),
    ]
    if rng.random() < 0.5:
        parts.append(box(BLACK, (wide * 0.4, 0.2, 0.015)))
        parts.append(box(BLACK, (0.08, 0.03, base), (0, 0.02, 0)))
    else:
        for s in (-1, 1):
            parts += [box(BLACK, (0.03, 0.22, 0.012), (s * wide * 0.35, 0, 0))]
            parts += [box(BLACK, (0.03, 0.03, base), (s * wide * 0.35, 0.01, 0))]
    return Piece("tv", tuple(parts))


def wall_tv(rng: Rng) -> Piece:
    """Return a television to hang on a wall; z = 0 is its lower edge."""
    parts = tv(rng).parts[:2]
    low = float(parts[0].triangles[..., 2].min())
    return Piece("tv", tuple(p.moved(z=-low) for p in parts))


def computer_monitor(rng: Rng) -> Piece:
    """Return a computer screen on a stand."""
    wide = rng.uniform(0.42, 0.68)
    high, frame, z = (
        wide * rng.uniform(0.55, 0.65),
        pick(rng, BLACK, m.metal(rng)),
        rng.uniform(0.08, 0.14),
    )
    parts = (
        box(frame, (wide, 0.04, high), (0, 0, z), front=False),
        box(screen(rng), (wide * 0.98, 0.004, high * 0.96), (0, -0.018, z + high * 0.02)),
        box(frame, (0.05, 0.04, z + 0.1), (0, 0.04, 0)),
        cushion(frame, (0.26, 0.2, 0.015), (0, 0.03, 0), 4, 3),
    )
    return Piece("computer monitor", parts)


def keyboard(rng: Rng) -> Piece:
    """Return a computer keyboard."""
    wide, body = rng.uniform(0.3, 0.46), pick(rng, BLACK, m.white(rng), m.plastic(rng))
    keys = m.Material(m.darker(body.color, 0.8), body.color, pattern="tile", scale=0.019)
    return Piece(
        "keyboard",
        (box(body, (wide, 0.14, 0.02)), box(keys, (wide * 0.96, 0.12, 0.008), (0, 0, 0.02))),
    )


def computer_mouse(rng: Rng) -> Piece:
    """Return a computer mouse."""
    return Piece(
        "computer mouse",
        (cushion(pick(rng, BLACK, m.white(rng)), (0.06, 0.1, 0.035), power=2.5, cells=4),),
    )


def laptop(rng: Rng) -> Piece:
    """Return an open laptop."""
    body, wide = pick(rng, m.metal(rng), BLACK), rng.uniform(0.3, 0.38)
    deep = wide * 0.68
    lid = [
        box(body, (wide, 0.008, deep), (0, deep / 2, 0.015), front=False),
        box(screen(rng), (wide * 0.97, 0.003, deep * 0.94), (0, deep / 2 - 0.005, 0.02)),
    ]
    keys = box(BLACK, (wide * 0.85, deep * 0.45, 0.002), (0, 0.1 * deep, 0.016))
    lean = -rng.uniform(8, 35)
    return Piece(
        "laptop",
        (
            box(body, (wide, deep, 0.016)),
            keys,
            *(p.turned(lean, 0, (0, deep / 2, 0.015)) for p in lid),
        ),
    )


def computer(rng: Rng) -> Piece:
    """Return a tower case."""
    body = pick(rng, BLACK, m.dark(rng), m.white(rng))
    front = box(m.dark(rng), (0.16, 0.006, 0.3), (0, -0.222, 0.08))
    return Piece(
        "computer", (box(body, (rng.uniform(0.17, 0.22), 0.44, rng.uniform(0.38, 0.48))), front)
    )


def printer(rng: Rng) -> Piece:
    """Return a desktop printer."""
    body = pick(rng, m.white(rng), m.dark(rng), m.plastic(rng))
    parts = (
        cushion(body, (0.44, 0.36, 0.22), power=9),
        box(m.dark(rng), (0.3, 0.02, 0.06), (0, -0.18, 0.05)),
        box(m.white(rng), (0.22, 0.16, 0.01), (0, -0.24, 0.06)),
    )
    return Piece("printer", parts)


def speaker(rng: Rng) -> Piece:
    """Return a loudspeaker."""
    high = rng.uniform(0.2, 0.9)
    wide = rng.uniform(0.14, 0.24)
    cones = [
        lathe(BLACK, [(0, 0.0), (wide * k, 0.02)]).turned(90, 0).moved(0, -wide * 0.55, z)
        for k, z in ((0.4, high * 0.35), (0.22, high * 0.75))
    ]
    return Piece("speaker", (box(pick(rng, m.wood(rng), BLACK), (wide, wide * 1.1, high)), *cones))


def phone(rng: Rng) -> Piece:
    """Return an office telephone."""
    body = pick(rng, BLACK, m.plastic(rng))
    return Piece(
        "telephone",
        (
            cushion(body, (0.19, 0.2, 0.06), power=6, cells=3),
            cushion(BLACK, (0.05, 0.2, 0.05), (-0.06, 0, 0.05), 3, 4),
        ),
    )


def fan(rng: Rng) -> Piece:
    """Return a pedestal fan."""
    body, z = m.plastic(rng), rng.uniform(0.7, 1.2)
    head = lathe(
        body, [(0, 0.1), (0.08, 0.09), (0.2, 0.06), (0.21, 0.0), (0.06, -0.06), (0, -0.06)]
    ).turned(90, 0)
    return Piece(
        "fan",
        (
            cylinder(body, 0.2, 0.03),
            rod(body, (0, 0, 0), (0, 0, z), 0.018),
            head.moved(0, -0.05, z + 0.1),
        ),
    )

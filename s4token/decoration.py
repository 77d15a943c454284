"""What is found in rooms of any kind on walls, ceiling and floor, and laden tables."""

from __future__ import annotations

import numpy as np

from . import arrangements as a
from . import catalog as c
from . import shells
from .fixtures import curtain, pipes
from .furnishing import Furnisher
from .materials import pick
from .shapes import Pose

STANDING: dict[str, str] = {
    "living": "potted plant,potted plant,floor lamp,speaker,piano,guitar,basket,shelf,bookshelf,"
    "fan,christmas tree,armchair,stool,trash can,ottoman,fire extinguisher,side table,treadmill,"
    "table,table,desk,vase,wardrobe",
    "bedroom": "potted plant,floor lamp,basket,suitcase,chair,shelf,crib,fan,trash can,shoes,"
    "guitar,ironing board,cardboard box,coat rack,bench,bookshelf,bag,nightstand,"
    "clothes rack,shoe rack,table,ball,wardrobe",
    "kitchen": "trash can,trash can,stool,basket,broom,bucket,potted plant,storage bin,shelf,"
    "cabinet,cardboard box,bag,fan,washing machine,refrigerator,refrigerator,table,ladder",
    "office": "trash can,potted plant,cardboard box,printer,water dispenser,cabinet,chair,bag,"
    "coat rack,umbrella,fire extinguisher,floor lamp,fan,bookshelf,storage bin,computer",
    "bathroom": "trash can,basket,stool,bucket,broom,storage bin,potted plant,shelf,towel",
    "meeting": "trash can,potted plant,chair,cabinet,water dispenser,fire extinguisher,speaker,"
    "coat rack,umbrella,floor lamp,bag",
    "corridor": "trash can,potted plant,bench,chair,fire extinguisher,water dispenser,umbrella,"
    "vending machine,coat rack,shoes,cardboard box,bucket,broom,cabinet,shelf,suitcase,"
    "shoe rack,shoe rack,wardrobe,table,vase,clothes rack",
    "shop": "vending machine,fire extinguisher,trash can,potted plant,cardboard box,basket,crate,"
    "ladder,barrel,refrigerator,bench,suitcase,clothes rack,shelf,table,vase",
    "warehouse": "fire extinguisher,ladder,barrel,crate,bucket,broom,trash can,cardboard box,"
    "pallet,storage bin,cabinet,shelf,fan",
}
"""What else stands along the walls of each kind of room, commas between."""

LYING = ("shoes", "bag", "clothes", "teddy bear", "cardboard box", "ball", "suitcase", "basket")
SHOWN = ("picture", "picture", "pictures", "picture", "clock", "mirror", "poster")
PINNED = (
    "picture",
    "whiteboard",
    "bulletin board",
    "clock",
    "picture",
    "projector screen",
    "poster",
)


def _lights(f: Furnisher, kind: str) -> None:
    """Hang lamps in a row, or one of any kind in a small room."""
    rng, small = f.rng, kind in ("living", "bedroom", "bathroom", "kitchen")
    count = 1 if small else max(1, round(f.shell.width / 2.6))
    names, weights = ["ceiling light", "chandelier", "ceiling fan"], [0.75, 0.15, 0.1]
    lamp = f.make(str(rng.choice(names, p=weights)) if count == 1 else "ceiling light")
    rows = 1 if small else max(1, round(f.shell.depth / 4.5))
    yaw, z = 90.0 * int(rng.integers(2)), f.shell.height - 0.001
    for x in (np.arange(count) - (count - 1) / 2) * f.shell.width / count:
        for y in (np.arange(rows) - (rows - 1) / 2) * f.shell.depth / rows:
            f.put(lamp, Pose(float(x) + 0.02, float(y), z, yaw))


def _fittings(f: Furnisher, kind: str) -> None:
    """Add lamps, pipes, cameras and televisions to the walls."""
    rng, high = f.rng, f.shell.height
    home = kind in ("living", "bedroom", "corridor", "bathroom")
    for _ in f.some(1, 2) if c.chance(rng, 0.25 if home else 0.08) else ():
        f.wall(f.make("wall lamp"), float(rng.uniform(1.4, 1.9)), gap=0.0)
    if c.chance(rng, 0.15):
        f.wall(pipes(rng, high - 0.02), corner=True, gap=0.02)
    if c.chance(rng, 0.05 if home else 0.25):
        f.wall(f.make("security camera"), high - float(rng.uniform(0.25, 0.5)), gap=0.0)
    if c.chance(rng, 0.12):
        f.wall(f.make("wall tv"), float(rng.uniform(0.9, 1.4)), gap=0.01)


def decorate(f: Furnisher, kind: str, bare: bool) -> None:
    """Add what is found in rooms of any kind: things on walls, ceiling and floor."""
    rng, make = f.rng, f.make
    on_walls = PINNED if kind in ("office", "corridor", "meeting") else SHOWN
    for _ in f.some(0, 2 if kind in ("warehouse", "bathroom") else 6):
        f.wall(make(*on_walls), float(rng.uniform(1.0, 1.6)), gap=0.0)
    _fittings(f, kind)
    if c.chance(rng, 0.5):
        f.wall(make("radiator"), 0.02)
    if c.chance(rng, 0.3):
        f.wall(make("air conditioner"), f.shell.height - float(rng.uniform(0.4, 0.6)), gap=0.0)
    for _ in f.some(0, 3):
        f.wall(shells.vent(rng), float(rng.uniform(0.3, 1.3)), gap=0.0)
    for _ in f.some(1, 5):
        piece = make(*STANDING[kind].split(","))
        f.wall(c.loaded(make, piece, c.SHELVED, 0.8), corner=c.chance(rng, 0.4))
    if kind in ("living", "bedroom") and c.chance(rng, 0.12):
        f.wall(curtain(rng, float(rng.uniform(0.8, 2.6)), f.shell.height - 0.15), 0.05, gap=0.03)
    for _ in f.some(0, 4):
        f.free(make(*LYING), any_yaw=True)
    for _ in f.some(0, 9 if make.objects else 0):
        thing = make.anything(0.15, 1.95)
        if thing is not None:
            f.free(thing, any_yaw=True) if c.chance(rng, 0.5) else f.wall(thing)
    if not bare:
        _lights(f, kind)


def laden(f: Furnisher) -> None:
    """Furnish the corner of a room with one laden surface and something beside it."""
    make, rng = f.make, f.rng
    name = str(
        rng.choice(["table", "desk", "coffee table", "cabinet", "dresser", "shelf", "table"])
    )
    things = pick(rng, c.TABLEWARE, c.DESKTOP, c.WORKTOP, c.SHELVED)
    base = make(name)
    base = c.loaded(make, base, things, 12.0 if len(base.tops) == 1 else 3.0)
    if c.chance(rng, 0.25):
        base = a.workplace(make)
    if not f.wall(base, gap=float(rng.uniform(0.02, 0.5))):
        f.put(base, Pose())
    for _ in f.some(0, 2):
        f.free(make("chair", "office chair", "stool", "trash can", "armchair", "cardboard box"))
    if c.chance(rng, 0.4):
        f.wall(make("picture", "clock", "mirror"), float(rng.uniform(1.1, 1.4)), gap=0.0)

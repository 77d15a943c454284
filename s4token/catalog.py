"""Things by name: own pieces mixed with given objects, and what is put on top of what."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from . import (
    appliances,
    clutter,
    electronics,
    fixtures,
    furniture,
    household,
    seating,
    storage,
    tableware,
)
from .materials import Rng, pick
from .shapes import Piece, Pose, Top, turn

GENERATORS: dict[str, Callable[[Rng], Piece]] = {
    name.replace("_", " "): getattr(module, name)
    for module, names in (
        (seating, "chair office_chair stool bench sofa armchair ottoman pillow bed"),
        (
            furniture,
            "table coffee_table side_table nightstand dresser cabinet tv_stand desk "
            "bookshelf shelf coat_rack",
        ),
        (storage, "wardrobe clothes_rack shoe_rack"),
        (tableware, "cup bottle bowl plate jar cooking_pot kettle dish_rack spice_rack"),
        (
            appliances,
            "stove dishwasher washing_machine refrigerator range_hood microwave toilet sink "
            "bathtub shower",
        ),
        (
            fixtures,
            "curtain radiator air_conditioner fireplace mirror whiteboard clock towel floor_lamp "
            "table_lamp desk_lamp ceiling_light chandelier poster picture_frame wall_lamp "
            "security_camera",
        ),
        (
            electronics,
            "tv computer_monitor keyboard computer_mouse laptop computer printer speaker fan",
        ),
        (
            clutter,
            "vase potted_plant trash_can cardboard_box storage_bin bag "
            "clothes paper toilet_paper pallet crate barrel ladder ball rug",
        ),
        (
            household,
            "shoes basket toaster coffee_maker fire_extinguisher water_dispenser vending_machine "
            "piano guitar suitcase umbrella broom bucket ironing_board crib bunk_bed "
            "bulletin_board projector_screen teddy_bear fruit tissue_box binder treadmill",
        ),
    )
    for name in names.split()
} | {
    "book": clutter.book_pile,
    "telephone": electronics.phone,
    "picture": fixtures.wall_picture,
    "pictures": fixtures.gallery,
    "wall tv": electronics.wall_tv,
    "ceiling fan": fixtures.ceiling_fan,
    "christmas tree": household.tree,
}

SIZES: dict[str, tuple[float, float]] = {
    "chair": (0.75, 1.05), "office chair": (0.9, 1.2), "armchair": (0.75, 1), "sofa": (1.5, 2.4),
    "stool": (0.42, 0.6), "bar stool": (0.65, 0.95), "bench": (0.9, 1.8), "table": (0.9, 2),
    "kitchen table": (0.9, 1.6), "coffee table": (0.7, 1.3), "side table": (0.4, 0.65),
    "desk": (1, 1.8), "reception desk": (1.6, 2.8), "workbench": (1.2, 1.9), "bed": (1.9, 2.2),
    "bunk bed": (1.9, 2.2), "nightstand": (0.4, 0.65), "dresser": (0.8, 1.4),
    "wardrobe": (1.8, 2.3), "cabinet": (0.7, 1.3), "kitchen cabinet": (0.6, 1),
    "shelf": (0.8, 1.9), "ottoman": (0.4, 0.7), "bookshelf": (1.2, 2.1), "tv stand": (1, 1.8),
    "tv": (0.6, 1.4), "refrigerator": (1.4, 2), "stove": (0.85, 1), "oven": (0.6, 0.9),
    "washing machine": (0.8, 0.95), "sink": (0.5, 0.9), "kitchen sink": (0.6, 1),
    "toilet": (0.65, 0.8), "bathtub": (1.5, 1.8), "shower": (1.9, 2.2), "floor lamp": (1.3, 1.8),
    "lamp": (0.3, 0.6), "table lamp": (0.3, 0.55), "desk lamp": (0.3, 0.5),
    "ceiling light": (0.3, 0.8), "chandelier": (0.5, 1), "ceiling fan": (0.9, 1.3),
    "potted plant": (0.3, 1.4), "plant": (0.3, 1.2), "cactus": (0.2, 0.9), "vase": (0.15, 0.45),
    "rug": (1.2, 2.8), "picture frame": (0.3, 0.9), "mirror": (0.5, 1.2), "poster": (0.5, 1),
    "curtain": (1.6, 2.4), "pillow": (0.4, 0.65), "towel": (0.4, 0.8), "person": (1.5, 1.9),
    "robot": (0.4, 1.5), "trash can": (0.3, 0.8), "cardboard box": (0.2, 0.6),
    "crate": (0.3, 0.8), "barrel": (0.6, 0.95), "storage bin": (0.25, 0.6),
    "container": (0.15, 0.4), "pallet": (1, 1.2), "bicycle": (1.5, 1.8), "dog": (0.4, 0.9),
    "cat": (0.3, 0.5), "horse": (0.3, 0.6), "ladder": (1.4, 2.4), "coat rack": (1.5, 1.9),
    "fireplace": (1, 1.5), "radio": (0.2, 0.4), "speaker": (0.2, 0.9), "computer": (0.35, 0.55),
    "computer monitor": (0.4, 0.65), "laptop": (0.3, 0.4), "keyboard": (0.35, 0.46),
    "computer mouse": (0.09, 0.13), "microwave": (0.42, 0.55), "blender": (0.3, 0.45),
    "coffee maker": (0.25, 0.4), "cup": (0.08, 0.13), "mug": (0.09, 0.13), "bottle": (0.18, 0.35),
    "water bottle": (0.2, 0.3), "bowl": (0.12, 0.3), "plate": (0.18, 0.28), "book": (0.18, 0.32),
    "jar": (0.1, 0.25), "cooking pot": (0.2, 0.4), "frying pan": (0.3, 0.5),
    "saucepan": (0.25, 0.45), "knife": (0.18, 0.3), "fork": (0.17, 0.21), "spoon": (0.15, 0.21),
    "backpack": (0.35, 0.55), "bag": (0.3, 0.6), "teddy bear": (0.2, 0.6),
    "toilet paper": (0.1, 0.13), "soccer ball": (0.2, 0.24), "air conditioner": (0.7, 1.1),
    "candle": (0.08, 0.25), "clock": (0.2, 0.4), "traffic cone": (0.4, 0.9),
    "fire hydrant": (0.6, 0.95), "lantern": (0.2, 0.5), "bucket": (0.25, 0.45),
    "trunk": (0.6, 1.1), "treasure chest": (0.5, 0.9), "dish rack": (0.35, 0.5),
    "camera": (0.1, 0.2), "dumpster": (1.4, 2.2), "tablet": (0.2, 0.3),
    "cell phone": (0.13, 0.17), "car": (0.15, 0.5), "toy airplane": (0.2, 0.35),
    "package": (0.2, 0.5), "bathroom cabinet": (0.5, 0.9), "armor": (0.5, 1.6),
    "statue": (0.3, 1.4), "helmet": (0.22, 0.35), "guitar": (0.9, 1.1), "hammer": (0.25, 0.36),
    "power drill": (0.18, 0.27), "screwdriver": (0.16, 0.25), "wrench": (0.16, 0.3),
    "scissors": (0.15, 0.22), "hamburger": (0.1, 0.15), "pizza": (0.25, 0.35),
    "apple": (0.07, 0.1), "banana": (0.16, 0.22), "orange": (0.07, 0.1), "cake": (0.2, 0.3),
    "soda can": (0.11, 0.14), "can": (0.1, 0.2), "tomato": (0.06, 0.1), "carrot": (0.12, 0.22),
    "cheese": (0.08, 0.2), "ham": (0.15, 0.3), "fish": (0.15, 0.5), "mushroom": (0.06, 0.2),
    "pumpkin": (0.2, 0.4), "watermelon": (0.22, 0.35), "kitchen utensil": (0.2, 0.35),
    "wheel": (0.4, 0.7), "sign": (0.3, 1), "lid": (0.15, 0.3), "pipe": (0.3, 1.5),
    "log": (0.3, 0.8), "brick": (0.15, 0.25), "rock": (0.15, 0.6), "key": (0.05, 0.12),
    "coin": (0.05, 0.12),
}  # fmt: skip
"""Longest side in metres of given things whose size is unknown or not a room's."""

OUTDOORS = frozenset(
    ["door", "window", "wall", "floor", "column", "stairs", "building", "house", "road", "bridge",
     "tower", "train", "crane", "railing", "fence", "gate", "pier", "dock", "tree", "ceiling",
     "doorway", "elevator", "door frame", "elevator door", "kitchen counter", "rug", "curtain"]
)  # fmt: skip
"""Given things that would be nonsense as furniture even when small."""

HANGING = frozenset(["ceiling light", "chandelier", "ceiling fan"])
FLAT_TOPS = frozenset(
    ["table", "kitchen table", "coffee table", "side table", "desk", "nightstand", "dresser",
     "cabinet", "tv stand", "reception desk", "workbench"]
)  # fmt: skip
BACKED = frozenset(["chair", "office chair", "armchair", "sofa", "bed", "bench", "toilet"])


def _recolored(rng: Rng, colors: np.ndarray) -> np.ndarray:
    """Return colours under a changed exposure, contrast, saturation and cast."""
    grey = colors.mean(axis=1, keepdims=True)
    colors = grey + (colors - grey) * rng.uniform(0.4, 1.1)
    colors = colors.clip(0, 1) ** rng.uniform(0.75, 1.35) * rng.uniform(0.75, 1.1, (1, 3)) ** 0.5
    return np.clip(colors * rng.uniform(0.8, 1.1) + rng.uniform(0, 0.06), 0, 1)


def given_piece(rng: Rng, thing: Any) -> Piece:
    """Return a given object (points, colors, category, scale) as a piece in metres."""
    low, high = SIZES.get(thing.category, (0.12, 0.7))
    size = float(thing.scale)
    known = thing.category in SIZES
    if not (0 < size <= 2.6) or (known and not low * 0.6 <= size <= high * 1.5):
        size = float(np.exp(rng.uniform(np.log(low), np.log(high))))
    # No two things of a kind are alike: stretched a little, and half of them mirrored.
    stretch = np.exp(rng.normal(0, 0.08, 3)) * [pick(rng, 1, -1), 1, 1]
    points = np.asarray(thing.points, np.float64) * stretch
    points = points * size / max(np.ptp(points, axis=0).max(), 1e-9)
    points = points - (points.min(axis=0) + points.max(axis=0)) / 2
    if thing.category in BACKED:
        high_ones = points[points[:, 2] >= np.quantile(points[:, 2], 0.85)]
        way = high_ones[:, :2].mean(axis=0)
        quarter = np.round((90 - np.degrees(np.arctan2(way[1], way[0]))) / 90) * 90
        points = points @ turn(float(quarter), 2).T
    elif np.ptp(points[:, 1]) > np.ptp(points[:, 0]):
        points = points @ turn(90.0 * pick(rng, 1, -1), 2).T
    points[:, 2] -= points[:, 2].max() if thing.category in HANGING else points[:, 2].min()
    top = float(points[:, 2].max())
    wide, deep = np.ptp(points[:, :2], axis=0) * 0.7
    tops = (Top(0, 0, top, wide, deep),) if thing.category in FLAT_TOPS else ()
    return Piece(thing.category, tops=tops, samples=(points, _recolored(rng, thing.colors)))


@dataclass(frozen=True)
class Maker:
    """Make things by name: about half of them from given objects, where there are any."""

    rng: Rng
    objects: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    share: float = 0.5

    def __call__(self, *names: str) -> Piece:
        """Return one thing of one of these names."""
        name = pick(self.rng, *names)
        if name in self.objects and (name not in GENERATORS or self.rng.random() < self.share):
            return given_piece(self.rng, pick(self.rng, *self.objects[name]))
        return GENERATORS[name](self.rng)

    def anything(self, low: float, high: float) -> Piece | None:
        """Return any given object whose size can lie between two lengths, or None."""
        names = [
            n for n in self.objects
            if n not in OUTDOORS and n not in HANGING and n != "rug"
            and SIZES.get(n, (0.12, 0.7))[0] < high and SIZES.get(n, (0.12, 0.7))[1] > low
        ]  # fmt: skip
        if not names:
            return None
        indoor = [n for n in names if n in SIZES]
        if indoor and self.rng.random() < 0.75:
            names = indoor
        piece = given_piece(self.rng, pick(self.rng, *self.objects[pick(self.rng, *names)]))
        return piece if low <= piece.size.max() <= high else None


def chance(rng: Rng, p: float) -> bool:
    """Return True with probability p."""
    return bool(rng.random() < p)


def load(make: Maker, top: Top, names: Sequence[str], count: int) -> list[tuple[Piece, Pose]]:
    """Return things put down on a top without overlap."""
    rng, placed, things = make.rng, [], []
    for _ in range(count):
        thing = None
        if make.objects and chance(rng, 0.35):
            thing = make.anything(0.05, min(0.45, max(top.depth, 0.06)))
        thing = thing or make(*names)
        low, high = thing.bounds
        if (
            high[2] - low[2] > top.room
            or high[0] - low[0] > top.width
            or high[1] - low[1] > top.depth
        ):
            continue
        yaw = float(rng.normal(0, 25)) + (180 if top.depth > 1.2 and chance(rng, 0.5) else 0)
        reach = float(np.hypot(*(np.maximum(-low[:2], high[:2])))) * 0.85
        for _try in range(4):
            half_w, half_d = max(0, top.width / 2 - reach), max(0, top.depth / 2 - reach)
            x, y = top.x + rng.uniform(-half_w, half_w), top.y + rng.uniform(-half_d, half_d)
            if all(np.hypot(x - a, y - b) > reach + r for a, b, r in placed):
                placed.append((x, y, reach))
                things.append((thing, Pose(x, y, top.z - float(low[2]), yaw)))
                break
    return things


TABLEWARE = (
    "cup",
    "bottle",
    "bowl",
    "plate",
    "vase",
    "potted plant",
    "book",
    "paper",
    "fruit",
    "fruit",
)
DESKTOP = (
    "book",
    "paper",
    "cup",
    "bottle",
    "telephone",
    "desk lamp",
    "potted plant",
    "printer",
    "tissue box",
    "binder",
    "picture frame",
    "book",
)
SHELVED = (
    *("picture frame", "picture frame", "jar", "table lamp", "clock", "book"),
    *("book", "vase", "cardboard box", "storage bin", "potted plant", "bowl"),
    *("bottle", "bag", "clothes", "ball", "speaker", "basket", "teddy bear", "shoes", "binder"),
)
WORKTOP = (
    "kettle",
    "microwave",
    "cooking pot",
    "bottle",
    "bowl",
    "cup",
    "plate",
    "vase",
    "toaster",
    "coffee maker",
    "fruit",
    "dish rack",
    "spice rack",
    "jar",
)


def loaded(make: Maker, piece: Piece, names: Sequence[str], each: float) -> Piece:
    """Return the piece with about ``each`` things on every top."""
    things = [
        thing for top in piece.tops for thing in load(make, top, names, int(make.rng.poisson(each)))
    ]
    return piece.with_things(things)

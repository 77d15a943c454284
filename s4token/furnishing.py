"""Furnishing a room without collisions, and what rooms of each kind contain."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from . import arrangements as a
from . import catalog as c
from . import shells
from .clutter import rug
from .materials import Rng
from .shapes import Piece, Pose, turn
from .storage import book_island

FLAT = 0.03
"""Height in metres below which things do not stand in each other's way."""


@dataclass
class _Floorplan:
    """Keep track of what stands where: oriented rectangles with a height span."""

    width: float
    depth: float
    height: float
    taken: list = field(default_factory=list)

    def block(self, rect: np.ndarray, z0: float, z1: float) -> None:
        """Take the room above a rectangle; what is flat, like a rug, takes none."""
        if z1 - z0 > FLAT:
            self.taken.append((rect, z0, z1))

    def fits(self, rect: np.ndarray, z0: float, z1: float) -> bool:
        """Return whether the rectangle lies inside the room and is free."""
        if (np.abs(rect[:, 0]) > self.width / 2 - 0.005).any() or z1 > self.height:
            return False
        if (np.abs(rect[:, 1]) > self.depth / 2 - 0.005).any():
            return False
        if z1 - z0 <= FLAT:
            return not any(
                t1 >= self.height and _overlap(rect, other) for other, _, t1 in self.taken
            )
        return not any(
            z0 < t1 and t0 < z1 and _overlap(rect, other) for other, t0, t1 in self.taken
        )


def _overlap(p: np.ndarray, q: np.ndarray) -> bool:
    """Return whether two convex quadrilaterals intersect (separating axis theorem)."""
    if (p.max(axis=0) <= q.min(axis=0)).any() or (q.max(axis=0) <= p.min(axis=0)).any():
        return False
    for edges in (p, q):
        for side in (edges[1] - edges[0], edges[2] - edges[1]):
            normal = np.array([-side[1], side[0]])
            s, t = p @ normal, q @ normal
            if s.max() <= t.min() or t.max() <= s.min():
                return False
    return True


def _footprint(bounds: np.ndarray, pose: Pose) -> np.ndarray:
    (x0, y0, _), (x1, y1, _) = bounds
    corners = np.array([[x0, y0, 0], [x1, y0, 0], [x1, y1, 0], [x0, y1, 0]])
    return pose.apply(corners)[:, :2]


def _solids(piece: Piece, pose: Pose) -> Iterator[tuple[np.ndarray, float, float]]:
    """Yield footprint and height span of everything that takes room."""
    matrix, shift = turn(pose.yaw, 2)[:2, :2].T, np.array([pose.x, pose.y])
    for corners, low, high in piece.solids:
        yield corners @ matrix + shift, low + pose.z + 0.005, high + pose.z - 0.005


class Furnisher:
    """Put pieces into a shell without collisions; keeps the things placed so far."""

    def __init__(self, rng: Rng, shell: shells.Shell, make: c.Maker) -> None:
        self.rng, self.shell, self.make = rng, shell, make
        self.plan = _Floorplan(shell.width, shell.depth, shell.height)
        self.things: list[tuple[Piece, Pose]] = []
        if shell.cut is not None:
            x0, x1, y0, y1 = shell.cut
            rect = np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]])
            self.plan.block(rect, 0, shell.height)
        for wall in shell.walls:
            for o in wall.openings:
                deep = 0.95 if o.kind == "door" else 0.12
                bounds = np.array([[-o.width / 2, -deep, 0], [o.width / 2, 0, 0]])
                rect = _footprint(bounds, Pose(o.at).then(wall.pose))
                # What reaches a little over a window sill may stand before it.
                self.plan.block(rect, o.low + (0.3 if o.kind == "window" else 0), o.high)
        for piece, pose in shell.pieces:
            if piece.category == "column":
                self.plan.block(_footprint(piece.bounds, pose), 0, shell.height)

    def put(self, piece: Piece, pose: Pose) -> bool:
        """Place the piece there if everything in it fits."""
        solids = list(_solids(piece, pose))
        if not all(self.plan.fits(*solid) for solid in solids):
            return False
        for solid in solids:
            self.plan.block(*solid)
        self.things.append((piece, pose))
        return True

    def wall(
        self, piece: Piece, z: float = 0.0, *, corner: bool = False, gap: float = 0.02
    ) -> bool:
        """Place the piece with its back to some wall."""
        lengths = np.array([w.length for w in self.shell.walls])
        for _ in range(40):
            w = self.shell.walls[int(self.rng.choice(len(lengths), p=lengths / lengths.sum()))]
            half = w.length / 2 - float(piece.size[0]) / 2 - 0.01
            if half <= 0:
                continue
            x = float(self.rng.uniform(-half, half))
            if corner:
                x = float(np.sign(x) * (half - abs(self.rng.normal(0, 0.03))))
            x -= float(piece.bounds[:, 0].mean())
            back = float(piece.bounds[1, 1]) + gap + abs(float(self.rng.normal(0, 0.01)))
            if self.put(piece, Pose(x, -back, z).then(w.pose)):
                return True
        return False

    def free(self, piece: Piece, *, any_yaw: bool = False, z: float = 0.0) -> bool:
        """Place the piece anywhere."""
        for _ in range(40):
            yaw = self.rng.uniform(0, 360) if any_yaw else 90.0 * self.rng.integers(4)
            yaw += 0 if any_yaw else self.rng.normal(0, 2)
            x = self.rng.uniform(-0.5, 0.5) * self.shell.width * 0.85
            y = self.rng.uniform(-0.5, 0.5) * self.shell.depth * 0.85
            if self.put(piece, Pose(float(x), float(y), z, float(yaw))):
                return True
        return False

    def first(self, design: Callable[[], Piece], gap: float = 0.02) -> bool:
        """Place one of several designs at a wall, the first that fits."""
        return any(self.wall(design(), gap=gap) for _ in range(4))

    @property
    def area(self) -> float:
        """The floor's area in square metres."""
        return self.shell.width * self.shell.depth

    def some(self, least: int, most: int) -> range:
        """Return a range of a random count."""
        return range(int(self.rng.integers(least, most + 1)))


def _living(f: Furnisher) -> None:
    if f.area > 26 and c.chance(f.rng, 0.65):  # an open plan
        _kitchen(f)
    f.first(lambda: a.lounge(f.make), gap=0.05)
    f.first(lambda: a.television(f.make))
    if c.chance(f.rng, 0.5):
        f.free(a.dining(f.make))
    for _ in f.some(1, 4):
        piece = f.make(
            "bookshelf",
            "cabinet",
            "shelf",
            "dresser",
            "fireplace",
            "bookshelf",
            "bench",
            "table",
            "desk",
        )
        f.wall(c.loaded(f.make, piece, c.SHELVED, 1.0))
    for _ in f.some(0, 2):
        f.free(f.make("armchair", "ottoman", "rug"), any_yaw=True)


def _bedroom(f: Furnisher) -> None:
    f.first(lambda: a.sleeping(f.make), gap=0.06)
    if c.chance(f.rng, 0.12):
        f.wall(f.make("bunk bed", "crib"))
    f.first(lambda: f.make("wardrobe"), gap=0.01)
    for _ in f.some(1, 4):
        piece = f.make("dresser", "bookshelf", "shelf", "cabinet", "wardrobe", "coat rack")
        f.wall(c.loaded(f.make, piece, c.SHELVED, 1.0))
    if c.chance(f.rng, 0.45):
        f.wall(a.workplace(f.make))
    for _ in f.some(0, 2):
        f.free(f.make("clothes", "bag", "rug", "ottoman", "chair", "armchair"), any_yaw=True)


def _kitchen(f: Furnisher) -> None:
    longest = sorted((w.length for w in f.shell.walls), reverse=True)
    for length in (longest[0] * f.rng.uniform(0.6, 0.95), longest[1] * f.rng.uniform(0.3, 0.7)):
        for shrink in (1.0, 0.85, 0.85, 0.7, 0.7, 0.55, 0.55, 0.4):
            run = a.kitchen_run(f.make, length * shrink)
            if f.wall(run, corner=c.chance(f.rng, 0.4), gap=0.01):
                break
    any(f.free(a.dining(f.make)) for _ in range(8))
    for _ in f.some(0, 3):
        f.wall(f.make("refrigerator", "shelf", "cabinet", "stool", "trash can", "refrigerator"))
    if c.chance(f.rng, 0.2):
        f.wall(f.make("spice rack"), float(f.rng.uniform(1.1, 1.5)), gap=0.0)


def _office(f: Furnisher) -> None:
    for _ in f.some(2, max(3, int(f.area / 5))):
        f.wall(a.workplace(f.make), gap=0.03) if c.chance(f.rng, 0.7) else f.free(
            a.workplace(f.make)
        )
    for _ in f.some(1, 4):
        piece = f.make("cabinet", "bookshelf", "shelf", "bookshelf")
        f.wall(c.loaded(f.make, piece, ("book", "paper", "printer", "cardboard box"), 1.2))
    if c.chance(f.rng, 0.5):
        f.wall(
            f.make("whiteboard", "whiteboard", "projector screen", "bulletin board"), 0.85, gap=0.0
        )
    for _ in f.some(0, 3):
        f.free(f.make("office chair", "trash can", "bag", "cardboard box", "chair"), any_yaw=True)
    if c.chance(f.rng, 0.25):
        f.free(a.dining(f.make))


def _bathroom(f: Furnisher) -> None:
    f.wall(f.make("bathtub", "shower", "bathtub"), corner=True)
    f.first(lambda: f.make("toilet"))
    if f.first(lambda: f.make("sink")):
        piece, pose = f.things[-1]
        mirror = f.make("mirror")
        f.put(mirror, Pose(0, float(piece.bounds[1, 1] - mirror.bounds[1, 1]), 1.15).then(pose))
    if c.chance(f.rng, 0.4):
        f.wall(f.make("washing machine"))
    for _ in f.some(0, 2):
        f.wall(
            c.loaded(
                f.make,
                f.make("shelf", "cabinet", "trash can", "stool", "storage bin"),
                ("bottle", "toilet paper", "towel", "cup"),
                1.5,
            )
        )
    for _ in f.some(1, 3):
        f.wall(f.make("towel"), float(f.rng.uniform(0.7, 1.1)), gap=0.04)
    f.wall(f.make("toilet paper"), float(f.rng.uniform(0.6, 0.8)), gap=0.01)
    if c.chance(f.rng, 0.5):
        f.free(rug(f.rng, 0.75, 0.5))


def _meeting(f: Furnisher) -> None:
    if not f.put(a.meeting(f.make), Pose(yaw=90.0 * f.rng.integers(2))):
        any(f.free(a.meeting(f.make)) for _ in range(3))
    if c.chance(f.rng, 0.7):
        f.wall(
            f.make("whiteboard", "whiteboard", "projector screen", "bulletin board"), 0.85, gap=0.0
        )
    if c.chance(f.rng, 0.6):
        f.wall(f.make("wall tv"), 1.1, gap=0.01)
    for _ in f.some(1, 4):
        piece = f.make("cabinet", "chair", "bookshelf", "chair", "trash can", "side table")
        f.wall(c.loaded(f.make, piece, c.TABLEWARE, 1.0))


HALL = ("bench", "chair", "cabinet", "shelf", "shoe rack", "wardrobe", "coat rack", "table")


def _corridor(f: Furnisher) -> None:
    for _ in f.some(2, 7):
        piece = f.make(*HALL)
        f.wall(c.loaded(f.make, piece, c.SHELVED, 0.7))
    if c.chance(f.rng, 0.3):
        f.wall(shells.stairs(f.rng))
    if c.chance(f.rng, 0.4):
        f.free(f.make("rug"))


def _bookshop(f: Furnisher) -> None:
    """Fill a shop or library with bookshelves: tall ones on the walls, islands in between."""
    for _ in f.some(4, max(10, int(f.area / 5))):
        f.wall(f.make("bookshelf"), gap=0.01)
    for _ in f.some(2, max(6, int(f.area / 8))):
        f.free(book_island(f.rng))
    for _ in f.some(0, 3):
        f.free(c.loaded(f.make, f.make("table"), ("book", "book", "binder", "poster"), 9))
    for _ in f.some(0, 4):
        f.free(f.make("chair", "stool", "armchair", "trash can", "bench"), any_yaw=True)


def _shop(f: Furnisher) -> None:
    f.free(a.counter(f.make))
    if c.chance(f.rng, 0.35):
        _bookshop(f)
        return
    for _ in f.some(0, 3):
        f.free(f.make("clothes rack", "clothes rack", "shoe rack"))
    for _ in f.some(5, max(12, int(f.area / 8))):
        piece = a.goods_shelf(f.make)
        f.wall(piece) if c.chance(f.rng, 0.6) else f.free(piece)
    for _ in f.some(1, max(5, int(f.area / 20))):
        f.free(c.loaded(f.make, f.make("table"), ("book", "bottle", "bag", "bowl", "vase"), 5))
    for _ in f.some(1, 5):
        f.free(f.make("cardboard box", "crate", "barrel", "stool", "trash can", "chair"))
    if c.chance(f.rng, 0.4):
        f.free(shells.railing(f.rng))


def _warehouse(f: Furnisher) -> None:
    for _ in f.some(3, max(9, int(f.area / 14))):
        piece = a.rack(f.make)
        f.wall(piece, gap=0.1) if c.chance(f.rng, 0.6) else f.free(piece)
    for _ in f.some(2, max(8, int(f.area / 20))):
        f.free(a.pallet_stack(f.make))
    for _ in f.some(3, 9):
        f.free(
            f.make(
                "cardboard box", "crate", "barrel", "pallet", "ladder", "storage bin", "trash can"
            ),
            any_yaw=True,
        )
    if c.chance(f.rng, 0.4):
        f.wall(a.workplace(f.make))
    if c.chance(f.rng, 0.4):
        f.free(shells.railing(f.rng))
    if c.chance(f.rng, 0.3):
        f.wall(shells.stairs(f.rng))


RECIPES: dict[str, Callable[[Furnisher], None]] = {
    "living": _living,
    "bedroom": _bedroom,
    "kitchen": _kitchen,
    "office": _office,
    "bathroom": _bathroom,
    "meeting": _meeting,
    "corridor": _corridor,
    "shop": _shop,
    "warehouse": _warehouse,
}

"""Seeded, labelled, furnished rooms, in metres, z up, as Scan.

Everything is a triangle soup with procedural materials, sampled by area in one go and lit by a
baked light: ambient occlusion from a coarse occupancy grid, lamps, and light from the windows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float
from scipy.ndimage import map_coordinates, uniform_filter

from . import shells
from .catalog import Maker
from .decoration import decorate, laden
from .furnishing import RECIPES, Furnisher
from .materials import Material, Rng, paint, pick
from .shapes import Piece, Pose, turn
from .types import PointCloud, Scan

ROOM_KINDS = (
    "living",
    "bedroom",
    "kitchen",
    "office",
    "bathroom",
    "meeting",
    "corridor",
    "shop",
    "warehouse",
)

STRUCTURE = frozenset(["wall", "floor", "ceiling"])
FEWEST = 1000
"""Points a room needs at least."""

UNLIT = 0.12
"""Share of the rooms that nothing lights and nothing shades."""

LEAST = 24
"""Points every instance gets at least, however small."""


@dataclass(frozen=True, eq=False)
class Named:
    """Hold an object to furnish rooms with.

    points: (n, 3) in the unit cube, z up; colors: (n, 3) sRGB in [0, 1]; category: a singular
    noun; scale: longest side in metres, 0 = unknown.
    """

    points: Float[np.ndarray, "N 3"]
    colors: Float[np.ndarray, "N 3"]
    category: str
    scale: float = 0.0

    def __post_init__(self) -> None:
        if self.points.ndim != 2 or self.points.shape[1] != 3 or not len(self.points):
            raise ValueError(f"points: expected shape (n, 3), got {self.points.shape}")
        if self.colors.shape != self.points.shape:
            raise ValueError(f"colors: expected {self.points.shape}, got {self.colors.shape}")
        if not np.isfinite(self.points).all() or not np.isfinite(self.scale) or self.scale < 0:
            raise ValueError(f"points, scale: expected finite values in {self.category!r}")


@dataclass(frozen=True)
class _Soup:
    """Hold all triangles of a room, and the given objects' points, ready to sample."""

    world: np.ndarray
    local: np.ndarray
    material: np.ndarray
    instance: np.ndarray
    axis: np.ndarray
    materials: list[Material]
    samples: list[tuple[np.ndarray, np.ndarray, int]]
    categories: list[str]


def _flatten(things: Sequence[tuple[Piece, Pose]]) -> _Soup:
    world, local, materials, instance, axis, samples, names = [], [], [], [], [], [], []
    counts: list[int] = []
    for thing, at in things:
        for piece, pose in thing.walk(at):
            if not piece.parts and piece.samples is None:
                continue
            names.append(piece.category)
            if piece.samples is not None:
                samples.append((pose.apply(piece.samples[0]), piece.samples[1], len(names)))
            if not piece.parts:
                continue
            soup = np.concatenate([part.triangles for part in piece.parts])
            local.append(soup)
            world.append(pose.apply(soup))
            for part in piece.parts:
                counts.append(len(part.triangles))
                materials.append(part.material)
                axis.append(int(np.ptp(part.triangles.reshape(-1, 3), axis=0).argmax()))
                instance.append(len(names))
    sizes = np.array(counts)
    return _Soup(
        np.concatenate(world), np.concatenate(local), np.repeat(np.arange(len(sizes)), sizes),
        np.repeat(instance, sizes), np.repeat(axis, sizes), materials, samples, names,
    )  # fmt: skip


def _quota(soup: _Soup, areas: np.ndarray, points: int) -> np.ndarray:
    """Return how many points each instance gets: by area, denser on small things."""
    count = len(soup.categories)
    area = np.bincount(soup.instance, areas, minlength=count + 1)[1:]
    for cloud, _, i in soup.samples:
        x, y, z = np.ptp(cloud, axis=0) + 1e-3
        area[i - 1] += 1.1 * (x * y + y * z + z * x)
    boost = np.clip((0.5 / np.maximum(area, 1e-6)) ** 0.35, 1.0, 2.5)
    boost[[name in STRUCTURE for name in soup.categories]] = 0.75
    wanted = area * boost
    wanted = np.maximum(points * wanted / wanted.sum(), LEAST)
    return np.floor(points * wanted / wanted.sum()).astype(int)


def _sample(
    soup: _Soup, points: int, rng: Rng
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Return positions, colours without light, normals and instances."""
    edge1, edge2 = soup.world[:, 1] - soup.world[:, 0], soup.world[:, 2] - soup.world[:, 0]
    normal = np.cross(edge1, edge2)
    double = np.linalg.norm(normal, axis=1)
    quota = _quota(soup, double / 2, points)
    own = np.bincount(soup.instance, double, minlength=len(quota) + 1)[1:]
    weight = double * (quota / np.maximum(own, 1e-12))[soup.instance - 1]
    total = round(float(weight.sum()))
    pick = np.searchsorted(np.cumsum(weight) / weight.sum(), np.sort(rng.random(total)))
    pick = np.minimum(pick, len(weight) - 1)
    u, v = rng.random((2, total, 1))
    u, v = np.where(u + v > 1, 1 - u, u), np.where(u + v > 1, 1 - v, v)
    at = soup.world[pick, 0] + u * edge1[pick] + v * edge2[pick]
    corner = soup.local[pick, 0]
    inner = corner + u * (soup.local[pick, 1] - corner) + v * (soup.local[pick, 2] - corner)
    flat = np.cross(soup.local[pick, 1] - corner, soup.local[pick, 2] - corner)
    length = np.maximum(double[pick, None], 1e-12)
    colors = paint(soup.materials, soup.material[pick], inner, flat / length, soup.axis[pick], rng)
    parts = [(at, colors, normal[pick] / length, soup.instance[pick])]
    for cloud, color, i in soup.samples:
        keep = rng.permutation(len(cloud))[: quota[i - 1]]
        out = cloud[keep] - cloud.mean(axis=0)
        out /= np.maximum(np.linalg.norm(out, axis=1, keepdims=True), 1e-9)
        parts.append((cloud[keep], color[keep], out, np.full(len(keep), i)))
    return tuple(np.concatenate(column) for column in zip(*parts, strict=True))  # type: ignore[return-value]


def _occlusion(points: np.ndarray, normals: np.ndarray, cell: float) -> np.ndarray:
    """Return how open the half space before each point is, 0..1, from blurred occupancy."""
    low = points.min(axis=0) - 4 * cell
    grid = np.zeros(np.ceil((np.ptp(points, axis=0) + 8 * cell) / cell).astype(int), np.float32)
    index = ((points - low) / cell).astype(int)
    grid[tuple(index.T)] = 1
    near, far = uniform_filter(grid, 3), uniform_filter(grid, 7)
    closed = np.zeros(len(points))
    for field_, reach, weight in ((near, 2.0, 0.5), (far, 4.5, 1.3)):
        at = (points + normals * reach * cell - low) / cell - 0.5
        closed += weight * map_coordinates(field_, at.T, order=1, mode="nearest")
    return np.exp(-1.6 * closed)


def _sunlit(points: np.ndarray, normals: np.ndarray, shell: shells.Shell, rng: Rng) -> np.ndarray:
    """Return where the sun shines in through the windows of one wall, whatever stands between."""
    wall = shell.walls[int(rng.integers(len(shell.walls)))]
    way = np.array([rng.normal(0, 0.5), -1.0, -rng.uniform(0.4, 1.6)])
    # Into the wall's frame, then back along the light to its plane.
    local = (points - [wall.pose.x, wall.pose.y, wall.pose.z]) @ turn(wall.pose.yaw, 2)
    hit = local - (local[:, 1:2] / way[1]) * way
    lit = np.zeros(len(points), bool)
    for o in wall.openings:
        if o.kind == "window":
            within = np.abs(hit[:, 0] - o.at) < o.width / 2
            lit |= within & (hit[:, 2] > o.low) & (hit[:, 2] < o.high)
    toward = -(normals @ turn(wall.pose.yaw, 2)) @ (way / np.linalg.norm(way))
    return lit * (local[:, 1] < 0) * np.maximum(toward, 0)


def _light(points: np.ndarray, normals: np.ndarray, shell: shells.Shell, rng: Rng) -> np.ndarray:
    """Return (N, 3) light per point: sky or ceiling light, lamps, windows, occlusion, cast.

    Some rooms have none of it, as a sampled model that shows its materials alone.
    """
    if rng.random() < UNLIT:
        return np.full((len(points), 3), rng.uniform(0.9, 1.05))
    cell = 0.1 if shell.width * shell.depth < 60 else 0.2
    open_ = _occlusion(points, normals, cell)
    light = np.full(len(points), rng.uniform(0.55, 0.85)) * (0.4 + 0.6 * open_)
    light += rng.uniform(-0.12, 0.12) * normals[:, 2]
    lamp = np.array([rng.normal(0, 0.3), rng.normal(0, 0.3), shell.height - 0.3])
    sources = [(lamp, rng.uniform(0.1, 0.45))]
    for wall in shell.walls:
        for o in wall.openings:
            if o.kind == "window":
                at = Pose(o.at, 0.4, (o.low + o.high) / 2).then(wall.pose)
                sources.append((np.array([at.x, at.y, at.z]), rng.uniform(0.1, 0.4)))
    span = max(shell.width, shell.depth)
    for at, power in sources:
        way = at - points
        distance = np.linalg.norm(way, axis=1)
        cosine = np.maximum((way * normals).sum(axis=1), 0) / np.maximum(distance, 0.05)
        light += power * (0.3 + 0.7 * cosine) / (0.4 + (distance / (0.35 * span)) ** 2) * 0.5
    if rng.random() < 0.2:
        light += rng.uniform(0.2, 0.6) * _sunlit(points, normals, shell, rng)
    warmth = rng.normal(0, 0.05)
    cast = np.array([1 + warmth, 1.0 + rng.normal(0, 0.012), 1 - warmth])
    return np.minimum(light, 1.25)[:, None] * cast


def _scan(
    name: str, shell: shells.Shell, things: list[tuple[Piece, Pose]], points: int, rng: Rng
) -> Scan:
    """Return the sampled, lit and labelled cloud, in random order."""
    soup = _flatten([*shell.pieces, *things])
    at, colors, normals, instance = _sample(soup, points, rng)
    colors = np.clip(colors * _light(at, normals, shell, rng), 0, 1)
    order = rng.permutation(len(at))
    classes = tuple(sorted(set(soup.categories)))
    number = {category: i + 1 for i, category in enumerate(classes)}
    labels = np.array([0, *(number[category] for category in soup.categories)])[instance]
    cloud = PointCloud(at[order].astype(np.float32), colors[order].astype(np.float32))
    instance = instance[order].astype(np.int32)
    return Scan(name, cloud, labels[order], classes, instance, name.rsplit("-", 1)[0])


def _maker(rng: Rng, objects: Sequence[Named] | None, points: int) -> Maker:
    if points < FEWEST:
        raise ValueError(f"points: expected at least {FEWEST:,}, got {points}")
    by_name: dict[str, list[Named]] = {}
    for thing in objects or ():
        by_name.setdefault(thing.category, []).append(thing)
    return Maker(rng, by_name)


def room(
    kind: str = "living",
    seed: int = 0,
    *,
    points: int = 60_000,
    objects: Sequence[Named] | None = None,
) -> Scan:
    """Return a furnished room in metres, z up, floor at 0, the same for the same arguments.

    kind: one of ROOM_KINDS; points: about how many; objects: things to furnish with, about half
    of the furniture then comes from them. Labels and instances are complete; the ceiling is
    missing now and then.

    Raises ValueError for an unknown kind or too few points.
    """
    if kind not in RECIPES:
        raise ValueError(f"kind: expected one of {', '.join(ROOM_KINDS)}, got {kind!r}")
    rng = np.random.default_rng([ROOM_KINDS.index(kind), seed])
    make = _maker(rng, objects, points)
    bare = bool(rng.random() < 0.35)
    shell = shells.shell(rng, kind, bare=bare)
    furnisher = Furnisher(rng, shell, make)
    RECIPES[kind](furnisher)
    decorate(furnisher, kind, bare)
    return _scan(f"{kind}-{seed}", shell, furnisher.things, points, rng)


def tabletop(
    seed: int = 0, *, points: int = 60_000, objects: Sequence[Named] | None = None
) -> Scan:
    """Return a laden table, desk or shelf in the corner of a room, dense enough for one picture.

    Like ``room`` otherwise.
    """
    rng = np.random.default_rng([len(ROOM_KINDS), seed])
    make = _maker(rng, objects, points)
    furnisher = Furnisher(rng, shells.niche(rng), make)
    laden(furnisher)
    return _scan(f"tabletop-{seed}", furnisher.shell, furnisher.things, points, rng)


def single(seed: int = 0, *, points: int = 60_000, objects: Sequence[Named] | None = None) -> Scan:
    """Return one thing of a furnished room alone, with what lies on it.

    Like ``room`` otherwise.
    """
    rng = np.random.default_rng([len(ROOM_KINDS) + 1, seed])
    make = _maker(rng, objects, points)
    modelled: list[tuple[Piece, Pose]] = []
    # Now and then everything in a room is a given object, or nothing fits.
    while not modelled:
        kind = pick(rng, *ROOM_KINDS)
        furnisher = Furnisher(rng, shells.shell(rng, kind, bare=False), make)
        RECIPES[kind](furnisher)
        modelled = [t for t in furnisher.things if any(p.parts for p, _ in t[0].walk(t[1]))]
    alone = replace(furnisher.shell, pieces=())
    return _scan(f"single-{seed}", alone, [pick(rng, *modelled)], points, rng)

"""Parts and pieces of synthetic things: triangle soups with materials, in metres, z up.

A piece stands on z = 0, is centred on the z axis and faces -y; its back is at +y.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import numpy as np
from jaxtyping import Float

from .materials import Material

Triple = tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class Part:
    """Hold triangles of one material."""

    triangles: Float[np.ndarray, "T 3 3"]
    material: Material

    def turned(self, degrees: float, axis: int = 0, about: Triple = (0, 0, 0)) -> Part:
        """Return the part rotated about a coordinate axis through ``about``."""
        pivot = np.asarray(about, float)
        return replace(self, triangles=(self.triangles - pivot) @ turn(degrees, axis).T + pivot)

    def moved(self, x: float = 0, y: float = 0, z: float = 0) -> Part:
        """Return the part shifted."""
        return replace(self, triangles=self.triangles + np.array([x, y, z]))


@dataclass(frozen=True)
class Pose:
    """Hold where a piece stands: position in metres and yaw in degrees."""

    x: float = 0.0
    y: float = 0.0
    z: float = 0.0
    yaw: float = 0.0

    def apply(self, points: np.ndarray) -> np.ndarray:
        """Return points (..., 3) in the frame this pose is given in."""
        return points @ turn(self.yaw, 2).T + np.array([self.x, self.y, self.z])

    def then(self, outer: Pose) -> Pose:
        """Return this pose seen from the frame ``outer`` is given in."""
        x, y, z = outer.apply(np.array([self.x, self.y, self.z]))
        return Pose(float(x), float(y), float(z), self.yaw + outer.yaw)


@dataclass(frozen=True)
class Top:
    """Hold a level rectangle on which things can stand, and the height free above it."""

    x: float
    y: float
    z: float
    width: float
    depth: float
    room: float = 1.0


@dataclass(frozen=True, eq=False)
class Piece:
    """Hold a thing: its parts or sampled points, what belongs to it, and where things can stand.

    An empty category marks a mere group of its children.
    """

    category: str
    parts: tuple[Part, ...] = ()
    children: tuple[tuple[Piece, Pose], ...] = ()
    tops: tuple[Top, ...] = ()
    samples: tuple[np.ndarray, np.ndarray] | None = None

    def walk(self, pose: Pose = Pose()) -> Iterator[tuple[Piece, Pose]]:
        """Yield this piece and everything in it with its pose."""
        yield self, pose
        for child, at in self.children:
            yield from child.walk(at.then(pose))

    @cached_property
    def bounds(self) -> Float[np.ndarray, "2 3"]:
        """Lower and upper corner."""
        low, high = [], []
        for part in self.parts:
            low.append(part.triangles.min(axis=(0, 1)))
            high.append(part.triangles.max(axis=(0, 1)))
        if self.samples is not None:
            low.append(self.samples[0].min(axis=0))
            high.append(self.samples[0].max(axis=0))
        for child, pose in self.children:
            corners = pose.apply(_corners(child.bounds))
            low.append(corners.min(axis=0))
            high.append(corners.max(axis=0))
        return np.stack([np.min(low, axis=0), np.max(high, axis=0)])

    @cached_property
    def solids(self) -> tuple[tuple[np.ndarray, float, float], ...]:
        """Footprint corners (4, 2) and height span of everything in the piece."""
        if not self.category:
            return tuple(
                (at.apply(np.pad(corners, ((0, 0), (0, 1))))[:, :2], low + at.z, high + at.z)
                for child, at in self.children
                for corners, low, high in child.solids
            )
        (x0, y0, low), (x1, y1, high) = self.bounds
        return ((np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1]]), float(low), float(high)),)

    @property
    def size(self) -> Float[np.ndarray, "3"]:
        """Extent along x, y, z."""
        return self.bounds[1] - self.bounds[0]

    def with_things(self, things: Sequence[tuple[Piece, Pose]]) -> Piece:
        """Return the piece with more children."""
        return replace(self, children=(*self.children, *things))


def group(*things: tuple[Piece, Pose], tops: tuple[Top, ...] = ()) -> Piece:
    """Return things as one, centred over the origin."""
    piece = Piece("", children=tuple(things), tops=tops)
    low, high = piece.bounds
    shift = Pose(-float(low[0] + high[0]) / 2, -float(low[1] + high[1]) / 2)
    return Piece("", children=tuple((child, pose.then(shift)) for child, pose in things))


def _corners(bounds: np.ndarray) -> np.ndarray:
    return np.array([[x, y, z] for x in bounds[:, 0] for y in bounds[:, 1] for z in bounds[:, 2]])


def turn(degrees: float, axis: int) -> Float[np.ndarray, "3 3"]:
    """Return the rotation matrix about a coordinate axis, counter-clockwise."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    matrix = np.eye(3)
    i, j = (axis + 1) % 3, (axis + 2) % 3
    matrix[i, i], matrix[i, j], matrix[j, i], matrix[j, j] = c, -s, s, c
    return matrix


def _quads(grid: np.ndarray) -> np.ndarray:
    """Return the triangles of a (n, m, 3) grid."""
    a, b, c, d = grid[:-1, :-1], grid[1:, :-1], grid[1:, 1:], grid[:-1, 1:]
    return np.concatenate([np.stack([a, b, c], axis=2), np.stack([a, c, d], axis=2)]).reshape(
        -1, 3, 3
    )


@lru_cache(maxsize=8)
def _cube(cells: int) -> np.ndarray:
    """Return triangles of the cube [-1, 1]^3, every face cut into cells x cells, facing out."""
    s = np.linspace(-1, 1, cells + 1)
    u, v = np.meshgrid(s, s, indexing="ij")
    one = np.ones_like(u)
    faces = [
        (one, u, v),
        (-one, v, u),
        (v, one, u),
        (u, -one, v),
        (u, v, one),
        (v, u, -one),
    ]
    return np.concatenate([_quads(np.stack(face, axis=-1)) for face in faces])


def box(material: Material, size: Triple, at: Triple = (0, 0, 0), *, front: bool = True) -> Part:
    """Return a box; ``at`` is the centre of its bottom face.

    Faces nobody can see are left out: the bottom of what stands on z = 0, and the -y face
    unless ``front``.
    """
    size_ = np.asarray(size, float)
    cube = _cube(1)
    keep = np.ones(len(cube), bool)
    keep[6:8] = front
    keep[10:12] = at[2] != 0
    return Part(cube[keep] * (size_ / 2) + np.asarray(at, float) + [0, 0, size_[2] / 2], material)


def cushion(
    material: Material, size: Triple, at: Triple = (0, 0, 0), power: float = 5.0, cells: int = 5
) -> Part:
    """Return a box with soft edges (a superellipsoid); power 2 is an ellipsoid."""
    cube = _cube(cells)
    norm = (np.abs(cube) ** power).sum(axis=-1, keepdims=True) ** (1 / power)
    size_ = np.asarray(size, float)
    return Part(cube / norm * (size_ / 2) + np.asarray(at, float) + [0, 0, size_[2] / 2], material)


def blob(
    material: Material,
    size: Triple,
    at: Triple,
    rng: np.random.Generator,
    rough: float = 0.15,
    power: float = 2.5,
) -> Part:
    """Return a lumpy ellipsoid resting on a flat bottom."""
    part = cushion(material, size, (0, 0, 0), power, 7)
    points = part.triangles - [0, 0, size[2] / 2]
    way = points / np.asarray(size)
    bumps = np.zeros(points.shape[:2])
    for _ in range(5):
        bumps += np.sin(way @ rng.normal(0, 7, 3) + rng.uniform(0, 6.28))
    points = points * (1 + rough * bumps[..., None] / 2)
    points[..., 2] = np.maximum(points[..., 2], -size[2] * 0.45) + size[2] * 0.45
    return Part(points + np.asarray(at, float), material)


@lru_cache(maxsize=16)
def _circle(sides: int) -> np.ndarray:
    angle = np.linspace(0, 2 * np.pi, sides + 1)
    return np.stack([np.cos(angle), np.sin(angle)], axis=1)


def lathe(
    material: Material,
    profile: Sequence[tuple[float, float]],
    at: Triple = (0, 0, 0),
    sides: int = 14,
) -> Part:
    """Return the surface of revolution of (radius, z) pairs about the z axis."""
    radius, z = np.asarray(profile, float).T
    circle = _circle(sides)
    grid = np.empty((len(circle), len(radius), 3))
    grid[..., :2] = circle[:, None] * radius[:, None]
    grid[..., 2] = z
    return Part(_quads(grid) + np.asarray(at, float), material)


def cylinder(
    material: Material,
    radius: float,
    height: float,
    at: Triple = (0, 0, 0),
    top: float | None = None,
    sides: int = 14,
) -> Part:
    """Return a closed cylinder or truncated cone standing at ``at``."""
    top = radius if top is None else top
    return lathe(material, [(0, 0), (radius, 0), (top, height), (0, height)], at, sides)


def rod(
    material: Material,
    start: Triple,
    end: Triple,
    radius: float,
    end_radius: float | None = None,
    sides: int = 8,
) -> Part:
    """Return a closed round bar between two points."""
    a, b = np.asarray(start, float), np.asarray(end, float)
    way = b - a
    length = float(np.linalg.norm(way))
    z = way / length
    x = np.cross(z, [0, 1, 0] if abs(z[1]) < 0.9 else [1, 0, 0])
    x /= np.linalg.norm(x)
    frame = np.stack([x, np.cross(z, x), z])
    part = cylinder(material, radius, length, (0, 0, 0), end_radius, sides)
    return Part(part.triangles @ frame + a, material)


def bar(material: Material, start: Triple, end: Triple, width: float) -> Part:
    """Return a closed square bar between two points."""
    return rod(material, start, end, width * 0.7071, sides=4)


def sheet(material: Material, grid: Float[np.ndarray, "A B 3"]) -> Part:
    """Return a surface through a grid of points."""
    return Part(_quads(np.asarray(grid, float)), material)


def ring(
    material: Material, wide: float, high: float, edge: float, thick: float, z: float = 0.001
) -> list[Part]:
    """Return an upright rectangular frame of this outer size around nothing."""
    sides = [box(material, (edge, thick, high), (s * (wide - edge) / 2, 0, z)) for s in (-1, 1)]
    inner = wide - 2 * edge
    return sides + [box(material, (inner, thick, edge), (0, 0, t)) for t in (z, z + high - edge)]


def legs(
    material: Material,
    width: float,
    depth: float,
    height: float,
    thick: float,
    *,
    round_: bool = False,
    splay: float = 0.0,
    taper: float = 1.0,
) -> list[Part]:
    """Return four legs under a width x depth rectangle; ``splay`` moves the feet outwards."""
    parts = []
    x, y = width / 2 - thick / 2, depth / 2 - thick / 2
    for sx in (-1, 1):
        for sy in (-1, 1):
            top, foot = (sx * x, sy * y, height), (sx * (x + splay), sy * (y + splay), 0.0)
            if round_:
                parts.append(rod(material, top, foot, thick / 2, thick / 2 * taper))
            elif splay:
                parts.append(bar(material, top, foot, thick))
            else:
                parts.append(box(material, (thick, thick, height), (sx * x, sy * y, 0)))
    return parts

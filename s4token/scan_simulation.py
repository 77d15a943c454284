"""What a hand-held depth camera would have seen of a synthetic room, in metres.

Not a copy of one sensor: occlusion from a walk through the room, noise that grows with range,
a little drift, holes on dark surfaces, and the colours of an automatic exposure. Or a laser
scanner on a tripod. What else goes wrong in real scans is in scan_defects.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.ndimage import binary_dilation

from . import scan_defects as defects
from .geometry import point_spacing, voxel_downsample
from .render import SPLAT_SPACINGS, visible
from .types import Camera, PointCloud, Scan

CELL = 0.1
"""Edge of the cells of the map of free floor, in metres."""

FEW = 200
"""Points below which a scan is left as it is."""

TARGETS = frozenset(
    ["table", "desk", "coffee table", "side table", "nightstand", "kitchen cabinet", "dresser",
     "cabinet", "bookshelf", "shelf", "sofa", "bed", "tv stand", "stove", "reception desk"]
)  # fmt: skip
"""What a single frame may look at."""


def _free_floor(points: np.ndarray) -> np.ndarray:
    """Return (K, 2) places where a person could stand, or the centre if there are none."""
    low = points.min(axis=0)
    shape = np.ceil(np.ptp(points[:, :2], axis=0) / CELL).astype(int) + 1
    index = ((points[:, :2] - low[:2]) / CELL).astype(int)
    height = points[:, 2] - low[2]
    floor, blocked = np.zeros(shape, bool), np.zeros(shape, bool)
    floor[tuple(index[height < 0.06].T)] = True
    blocked[tuple(index[(height > 0.25) & (height < 1.9)].T)] = True
    free = np.argwhere(floor & (binary_dilation(blocked, iterations=3) == 0))
    if len(free) == 0:
        return np.median(points[:, :2], axis=0)[None]
    return low[:2] + (free + 0.5) * CELL


def _trajectory(
    points: np.ndarray, rng: np.random.Generator, frames: int, size: tuple[int, int]
) -> list[Camera]:
    """Return cameras of a walk: stops on the free floor, from which one looks around."""
    places, base = _free_floor(points), float(points[:, 2].min())
    stops = max(1, frames // int(rng.integers(3, 7)))
    center, cameras = np.median(points, axis=0), []
    fov, height = float(rng.uniform(45, 65)), base + float(rng.uniform(1.2, 1.8))
    for _ in range(stops):
        spot = places[int(rng.integers(len(places)))]
        inward = np.arctan2(center[1] - spot[1], center[0] - spot[0])
        for _look in range(-(-frames // stops)):
            yaw = inward + rng.normal(0, 1.3)
            pitch = np.radians(rng.normal(-22, 14))
            eye = np.array([*(spot + rng.normal(0, 0.1, 2)), height + rng.normal(0, 0.08)])
            way = np.array(
                [np.cos(yaw) * np.cos(pitch), np.sin(yaw) * np.cos(pitch), np.sin(pitch)]
            )
            cameras.append(Camera(eye, eye + way, fov=fov, width=size[0], height=size[1]))
    return cameras[:frames]


def _stations(points: np.ndarray, rng: np.random.Generator, size: tuple[int, int]) -> list[Camera]:
    """Return cameras all around from one to three tripods on the free floor."""
    places, base, cameras = _free_floor(points), float(points[:, 2].min()), []
    for _ in range(int(rng.integers(1, 4))):
        height = base + float(rng.uniform(1.3, 1.8))
        eye = np.array([*places[int(rng.integers(len(places)))], height])
        for pitch in (-0.7, 0.3):
            for yaw in rng.uniform(0, 6.28) + np.arange(5) * 2 * np.pi / 5:
                level = np.cos(pitch)
                way = np.array([np.cos(yaw) * level, np.sin(yaw) * level, np.sin(pitch)])
                cameras.append(Camera(eye, eye + way, fov=72.0, width=size[0], height=size[1]))
    return cameras


def _watch(
    cloud: PointCloud, cameras: list[Camera], reach: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return per point: how many frames saw it, from how near, and the number of that frame."""
    points = cloud.points.astype(np.float64)
    radius = SPLAT_SPACINGS * point_spacing(cloud.points)
    count = np.zeros(len(cloud), np.int32)
    nearest, frame = np.full(len(cloud), np.inf), np.zeros(len(cloud), np.int32)
    for f, camera in enumerate(cameras):
        distance = np.linalg.norm(points - camera.position, axis=1)
        near = np.flatnonzero((distance < reach) & (distance > 0.25))
        if len(near) < 2:
            continue
        part = PointCloud(points[near])
        seen = near[visible(part, [camera], radii=np.full(len(near), radius))]
        count[seen] += 1
        closer = seen[distance[seen] < nearest[seen]]
        nearest[closer], frame[closer] = distance[closer], f
    return count, nearest, frame


def _noisy(
    points: np.ndarray,
    rng: np.random.Generator,
    eyes: np.ndarray,
    distance: np.ndarray,
    frame: np.ndarray,
    worst: float,
) -> np.ndarray:
    """Return points with range noise along the ray, frame misregistration and slow drift.

    Range noise: sigma = 1.2 mm + 1.9 mm (z - 0.4 m)^2, the structured-light fit of Nguyen et al.,
    3DIMPVT 2012, times a random quality of the device; ``worst`` is the most it can be.
    """
    ray = (points - eyes[frame]) / np.maximum(distance, 1e-6)[:, None]
    sigma = (0.0012 + 0.0019 * (distance - 0.4) ** 2) * rng.uniform(0.2, 1.0)
    noisy = points + ray * (rng.normal(0, 1, len(points)) * np.minimum(sigma, worst))[:, None]
    noisy += rng.normal(0, rng.uniform(0, 0.006), (len(eyes), 3))[frame]
    amount = rng.uniform(0, 0.012)
    for _ in range(3):
        wave = points @ rng.normal(0, 0.9, 3) + rng.uniform(0, 6.28)
        noisy += amount * np.sin(wave)[:, None] * rng.normal(0, 0.6, 3)
    return noisy


def photographed(
    colors: np.ndarray, rng: np.random.Generator, frame: np.ndarray | None = None
) -> np.ndarray:
    """Return colours as a camera would record them: exposure, white balance, gamma, grain.

    frame: number of the picture each colour comes from; exposure varies between pictures.
    """
    frame = np.zeros(len(colors), np.int64) if frame is None else frame
    count = int(frame.max()) + 1
    gain = (
        rng.uniform(0.75, 1.3) * np.exp(rng.normal(0, rng.uniform(0.02, 0.14), count))[frame, None]
    )
    balance = np.exp(rng.normal(0, 0.06, 3))
    lit = np.clip(colors * gain * balance, 0, 1.15) ** rng.uniform(0.75, 1.25)
    grey = lit.mean(axis=1, keepdims=True)
    lit = grey + (lit - grey) * rng.uniform(0.6, 1.15) + rng.uniform(-0.02, 0.05)
    lit = lit + rng.normal(0, rng.uniform(0.005, 0.04), lit.shape)
    return np.clip(lit, 0, 1).astype(np.float32)


def _holes(
    points: np.ndarray, colors: np.ndarray, count: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """Return which points survive: dark surfaces, blots and little-seen places lose some."""
    keep = np.ones(len(points), bool)
    dark = np.clip(1 - colors.mean(axis=1) / 0.2, 0, 1)
    keep &= rng.random(len(points)) > rng.uniform(0.2, 0.9) * dark
    blot = sum(np.sin(points @ rng.normal(0, 4, 3) + rng.uniform(0, 6.28)) for _ in range(5))
    keep &= blot < rng.uniform(2.6, 4.5)
    often = np.minimum(count / max(1.0, float(np.quantile(count[count > 0], 0.6))), 1.0)
    keep &= rng.random(len(points)) < often ** rng.uniform(0.2, 0.9)
    return keep


@dataclass(frozen=True)
class _Seen:
    """Hold what was measured.

    index: which point of the room; points; colors; rays: from the eye; distance; frame; astray:
    where a point is no longer where its thing is.
    """

    index: np.ndarray
    points: np.ndarray
    colors: np.ndarray | None
    rays: np.ndarray
    distance: np.ndarray
    frame: np.ndarray
    astray: np.ndarray

    def select(self, keep: np.ndarray) -> _Seen:
        """Return a part, or all where next to nothing would be left."""
        if keep.dtype == bool and keep.sum() < min(FEW, len(keep)):
            return self
        colors = None if self.colors is None else self.colors[keep]
        rows = (self.rays[keep], self.distance[keep], self.frame[keep], self.astray[keep])
        return _Seen(self.index[keep], self.points[keep], colors, *rows)

    def scan(self, scan: Scan, points: int | None, rng: np.random.Generator) -> Scan:
        """Return at most so many points as a scan; what is astray has no label."""
        if points is not None and len(self.index) > points:
            return self.select(np.sort(rng.permutation(len(self.index))[:points])).scan(
                scan, None, rng
            )
        cloud = replace(
            scan.cloud,
            points=self.points.astype(np.float32),
            colors=self.colors,
            normals=None,
            attributes={},
        )
        taken = [
            None if a is None else np.where(self.astray, 0, a[self.index]).astype(a.dtype)
            for a in (scan.labels, scan.instances)
        ]
        return replace(scan, cloud=cloud, labels=taken[0], instances=taken[1])


def _observe(
    scan: Scan, rng: np.random.Generator, cameras: list[Camera], reach: float, worst: float = 0.03
) -> _Seen:
    """Return noisy points and colours of what the cameras saw, off by ``worst`` at most."""
    count, distance, frame = _watch(scan.cloud, cameras, reach)
    index = np.flatnonzero(count)
    if len(index) < FEW:
        index = np.arange(len(scan.cloud))
        count, distance = np.ones(len(index), np.int32), np.full(len(index), 1.0)
    points = scan.cloud.points[index].astype(np.float64)
    colors = scan.cloud.colors
    if colors is not None and len(cameras) > 1:
        keep = _holes(points, colors[index], count[index], rng)
        if keep.sum() >= FEW:
            index, points = index[keep], points[keep]
    eyes = np.stack([camera.position for camera in cameras])
    distance, frame = distance[index], frame[index]
    rays = (points - eyes[frame]) / np.maximum(distance, 1e-6)[:, None]
    points = _noisy(points, rng, eyes, distance, frame, worst)
    shown = None if colors is None else photographed(colors[index], rng, frame)
    return _Seen(index, points, shown, rays, distance, frame, np.zeros(len(index), bool))


def _flawed(scan: Scan, seen: _Seen, rng: np.random.Generator) -> _Seen:
    """Return what was measured with some of the defects of real scans."""
    if rng.random() < 0.5:
        lost, further = defects.panes(scan, seen.index, rng)
        beyond = np.isfinite(further)
        shift = np.where(beyond, further, 0.0)[:, None] * seen.rays
        seen = replace(seen, points=seen.points + shift, astray=seen.astray | beyond)
        seen = seen.select(beyond | ~lost)
    if rng.random() < 0.15:
        seen = replace(seen, points=defects.stepped(seen.points, seen.frame, rng))
    if rng.random() < 0.25:
        smooth, colors, keep = defects.fused(seen.points, seen.colors, rng)
        seen = replace(seen, points=smooth, colors=colors).select(keep)
    elif rng.random() < 0.15:
        points, stray = defects.flying(seen.points, seen.rays, rng)
        seen = replace(seen, points=points, astray=seen.astray | stray)
    if seen.colors is not None:
        seen = replace(seen, colors=defects.weathered(seen.colors, seen.points, rng))
    return seen


def simulate(scan: Scan, rng: np.random.Generator, *, points: int | None = None) -> Scan:
    """Return what a person with a depth camera or laser would bring back, in metres.

    points: at most so many are kept (default: all seen). Give the room two to three times as
    many: what lies behind or inside things is not seen. Now and then coverage is partial, the
    density even, or that of a mesh; points that hang in the air have label 0.
    """
    fate, xyz = rng.random(), scan.cloud.points.astype(np.float64)
    if fate < 0.15:
        cameras = _stations(xyz, rng, (128, 96))
        seen = _observe(scan, rng, cameras, float(rng.uniform(10, 30)), 0.003)
        seen = seen.select(defects.falling_off(seen.distance, rng))
    else:
        partial = fate < 0.36
        frames = int(rng.integers(3, 8) if partial else rng.integers(14, 30))
        cameras = _trajectory(xyz, rng, frames, (128, 96))
        seen = _observe(scan, rng, cameras, float(rng.uniform(3.5, 8)))
    if len(seen.index) > FEW:
        seen = _flawed(scan, seen, rng)
    fate = rng.random()
    if fate < 0.35:
        spacing = point_spacing(seen.points)
        size = max(spacing, 1e-6) * rng.uniform(1.2, 2.0)
        seen = seen.select(voxel_downsample(seen.points, size)[0])
    elif fate < 0.55 and len(seen.index) > FEW:
        seen = seen.select(defects.uneven(seen.points, rng))
    return seen.scan(scan, points, rng)


def _target(scan: Scan, rng: np.random.Generator) -> np.ndarray:
    """Return a point on top of something worth looking at."""
    points = scan.cloud.points
    if scan.labels is not None and scan.instances is not None:
        wanted = [i + 1 for i, name in enumerate(scan.classes) if name in TARGETS]
        on = np.isin(scan.labels, wanted)
        if on.any():
            one = scan.instances == rng.choice(np.unique(scan.instances[on]))
            some = points[one]
            high = some[some[:, 2] >= np.quantile(some[:, 2], 0.7)]
            return high[int(rng.integers(len(high)))].astype(np.float64)
    return points[int(rng.integers(len(points)))].astype(np.float64)


def simulate_frame(scan: Scan, rng: np.random.Generator, *, points: int | None = None) -> Scan:
    """Return what one picture from 0.8-2 m of a piece of furniture shows, z still up, in metres.

    points: at most so many are kept. One frame sees little of a room: give a ``tabletop``.
    """
    xyz = scan.cloud.points.astype(np.float64)
    places = _free_floor(xyz)
    base = float(xyz[:, 2].min())
    best: tuple[float, Camera] | None = None
    for _ in range(12):
        target = _target(scan, rng)
        away = np.linalg.norm(places - target[:2], axis=1)
        near = places[(away > 0.8) & (away < 1.9)]
        spot = near[int(rng.integers(len(near)))] if len(near) else target[:2] + np.array([1.2, 0])
        height = max(target[2] + rng.uniform(0.3, 0.9), base + 0.7)
        eye = np.array([*spot, height])
        camera = Camera(eye, target, fov=float(rng.uniform(42, 58)), width=160, height=120)
        local = np.linalg.norm(xyz - eye, axis=1)
        score = -abs(float(np.linalg.norm(eye - target)) - 1.4) - 2.0 * float(
            (local < 0.3).mean() > 0
        )
        if best is None or score > best[0]:
            best = (score, camera)
    assert best is not None
    seen = _observe(scan, rng, [best[1]], float(rng.uniform(2.0, 3.5)))
    if len(seen.index) > FEW:
        seen = _flawed(scan, seen, rng)
    return seen.scan(scan, points, rng)

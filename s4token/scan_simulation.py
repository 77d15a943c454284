"""What a hand-held depth camera would have seen of a synthetic room, in metres.

Not a copy of one sensor: occlusion from a walk through the room, noise that grows with range,
a little drift, holes on dark surfaces, and the colours of an automatic exposure.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from scipy.ndimage import binary_dilation

from .geometry import point_spacing, voxel_downsample
from .render import SPLAT_SPACINGS, visible
from .types import Camera, PointCloud, Scan

CELL = 0.1
"""Edge of the cells of the map of free floor, in metres."""

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
) -> np.ndarray:
    """Return points with range noise along the ray, frame misregistration and slow drift.

    Range noise: sigma = 1.2 mm + 1.9 mm (z - 0.4 m)^2, the structured-light fit of Nguyen et al.,
    3DIMPVT 2012, times a random quality of the device.
    """
    ray = (points - eyes[frame]) / np.maximum(distance, 1e-6)[:, None]
    sigma = (0.0012 + 0.0019 * (distance - 0.4) ** 2) * rng.uniform(0.2, 1.0)
    noisy = points + ray * (rng.normal(0, 1, len(points)) * np.minimum(sigma, 0.03))[:, None]
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
    gain = rng.uniform(0.75, 1.3) * np.exp(rng.normal(0, 0.06, count))[frame, None]
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


def _taken(scan: Scan, index: np.ndarray, points: np.ndarray, colors: np.ndarray | None) -> Scan:
    cloud = replace(
        scan.cloud,
        points=points.astype(np.float32),
        colors=colors,
        normals=None,
        attributes={},
    )
    pick = lambda a: None if a is None else a[index]  # noqa: E731
    return replace(scan, cloud=cloud, labels=pick(scan.labels), instances=pick(scan.instances))


def _observe(
    scan: Scan, rng: np.random.Generator, cameras: list[Camera], reach: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray | None]:
    """Return indices, noisy points and colours of what the cameras saw."""
    count, distance, frame = _watch(scan.cloud, cameras, reach)
    index = np.flatnonzero(count)
    if len(index) < 200:
        index = np.arange(len(scan.cloud))
        count, distance = np.ones(len(index), np.int32), np.full(len(index), 1.0)
    points = scan.cloud.points[index].astype(np.float64)
    colors = scan.cloud.colors
    if colors is not None and len(cameras) > 1:
        keep = _holes(points, colors[index], count[index], rng)
        if keep.sum() >= 200:
            index, points = index[keep], points[keep]
    eyes = np.stack([camera.position for camera in cameras])
    points = _noisy(points, rng, eyes, distance[index], frame[index])
    shown = None if colors is None else photographed(colors[index], rng, frame[index])
    return index, points, shown


def simulate(scan: Scan, rng: np.random.Generator, *, points: int | None = None) -> Scan:
    """Return what a person with a depth camera would bring back from the room, in metres.

    points: at most so many are kept (default: all seen). Give the room two to three times as
    many: what lies behind or inside things is not seen. Now and then coverage is partial and
    the density even.
    """
    partial = rng.random() < 0.25
    frames = int(rng.integers(3, 8) if partial else rng.integers(14, 30))
    xyz = scan.cloud.points.astype(np.float64)
    cameras = _trajectory(xyz, rng, frames, (128, 96))
    index, seen, colors = _observe(scan, rng, cameras, float(rng.uniform(3.5, 8)))
    if rng.random() < 0.4:
        spacing = point_spacing(seen)
        keep = voxel_downsample(seen, max(spacing, 1e-6) * rng.uniform(1.2, 2.0))[0]
        index, seen = index[keep], seen[keep]
        colors = None if colors is None else colors[keep]
    if points is not None and len(seen) > points:
        keep = np.sort(rng.permutation(len(seen))[:points])
        index, seen = index[keep], seen[keep]
        colors = None if colors is None else colors[keep]
    return _taken(scan, index, seen, colors)


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
    index, seen, colors = _observe(scan, rng, [best[1]], float(rng.uniform(2.0, 3.5)))
    if points is not None and len(seen) > points:
        keep = np.sort(rng.permutation(len(seen))[:points])
        index, seen = index[keep], seen[keep]
        colors = None if colors is None else colors[keep]
    return _taken(scan, index, seen, colors)

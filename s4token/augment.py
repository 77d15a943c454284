"""Random changes of a cloud that leave its meaning alone: pure functions of (cloud, rng).

Every length is a multiple of the cloud's own spacing or extent.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from .geometry import point_spacing, rotation_to_z
from .types import PointCloud

Rng = np.random.Generator


def _linear(cloud: PointCloud, matrix: np.ndarray) -> PointCloud:
    """Return the cloud with points, normals and up under an orthogonal matrix."""
    points = (cloud.points.astype(np.float64) @ matrix.T).astype(cloud.points.dtype)
    normals = None if cloud.normals is None else (cloud.normals @ matrix.T).astype(np.float32)
    return replace(
        cloud, points=points, normals=normals, up=matrix @ cloud.up, offset=matrix @ cloud.offset
    )


def yaw(cloud: PointCloud, rng: Rng) -> PointCloud:
    """Turn the cloud about its up axis through the origin by any angle."""
    angle = rng.uniform(0, 2 * np.pi)
    c, s = np.cos(angle), np.sin(angle)
    to_z = rotation_to_z(cloud.up)
    return _linear(cloud, to_z.T @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]]) @ to_z)


def mirror(cloud: PointCloud, rng: Rng) -> PointCloud:
    """Mirror the cloud, with probability 1/2, in a vertical plane."""
    if rng.random() < 0.5:
        return cloud
    to_z = rotation_to_z(cloud.up)
    return _linear(cloud, to_z.T @ np.diag([-1.0, 1.0, 1.0]) @ to_z)


def rescale(cloud: PointCloud, rng: Rng, *, most: float = 1.25) -> PointCloud:
    """Scale the cloud by a factor between 1/most and most, log-uniform."""
    return cloud.scaled(float(np.exp(rng.uniform(-np.log(most), np.log(most)))))


def jitter(
    cloud: PointCloud, rng: Rng, *, spacings: float = 0.3, spacing: float | None = None
) -> PointCloud:
    """Move every point by normal noise of up to ``spacings`` point spacings.

    spacing: the cloud's spacing, if known.
    """
    spacing = point_spacing(cloud.points) if spacing is None else spacing
    sigma = rng.uniform(0, spacings) * spacing
    moved = cloud.points + rng.normal(0, 1, cloud.points.shape) * sigma
    return replace(cloud, points=moved.astype(cloud.points.dtype))


def _hue_turned(colors: np.ndarray, degrees: float) -> np.ndarray:
    """Return colours turned about the grey axis."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    one = np.full((3, 3), (1 - c) / 3)
    cross = np.array([[0, -1, 1], [1, 0, -1], [-1, 1, 0]]) * s / np.sqrt(3)
    return colors @ (np.eye(3) * c + one + cross).T


def color_jitter(
    cloud: PointCloud,
    rng: Rng,
    *,
    strength: float = 1.0,
    grey: float = 0.1,
    dropped: float = 0.0,
) -> PointCloud:
    """Change brightness, contrast, saturation, hue, gamma and white balance of all colours.

    strength: 0 = none, 1 = usual; grey: probability of losing all hue; dropped: probability of
    losing the colours altogether. A cloud without colours comes back unchanged.
    """
    if cloud.colors is None:
        return cloud
    if rng.random() < dropped:
        return replace(cloud, colors=None)
    colors = cloud.colors.astype(np.float64)
    colors = np.clip(colors, 0, 1) ** np.exp(rng.normal(0, 0.2 * strength))
    mean = colors.mean(axis=0)
    colors = mean + (colors - mean) * np.exp(rng.normal(0, 0.15 * strength))
    colors = (
        colors * np.exp(rng.normal(0, 0.15 * strength)) * np.exp(rng.normal(0, 0.05 * strength, 3))
    )
    level = colors.mean(axis=1, keepdims=True)
    saturation = 0.0 if rng.random() < grey else float(np.exp(rng.normal(0, 0.25 * strength)))
    colors = level + (colors - level) * saturation
    colors = _hue_turned(colors, rng.normal(0, 8 * strength))
    return replace(cloud, colors=np.clip(colors, 0, 1).astype(np.float32))


def crop(cloud: PointCloud, rng: Rng, *, least: float = 0.5) -> np.ndarray:
    """Return the sorted indices of the part around a random point, at least ``least`` of all.

    The part is a vertical cylinder: a scan is cut by where one walked, not by height.
    """
    count = len(cloud)
    keep = max(1, int(np.ceil(count * rng.uniform(least, 1.0))))
    flat = cloud.points.astype(np.float64) @ rotation_to_z(cloud.up).T[:, :2]
    away = ((flat - flat[int(rng.integers(count))]) ** 2).sum(axis=1)
    return np.sort(np.argpartition(away, keep - 1)[:keep])


def dropout(cloud: PointCloud, rng: Rng, *, most: float = 0.5) -> np.ndarray:
    """Return the sorted indices of what is left after losing up to ``most`` of the points."""
    count = len(cloud)
    keep = max(1, int(np.ceil(count * (1 - rng.uniform(0, most)))))
    return np.sort(rng.permutation(count)[:keep])


def cut(cloud: PointCloud, rng: Rng, *, least: float = 0.3, most: float = 0.7) -> np.ndarray:
    """Return the sorted indices of what lies below a share of the height, as a ceiling removed."""
    height = cloud.points.astype(np.float64) @ cloud.up
    low, high = np.quantile(height, (0.01, 0.99))
    return np.flatnonzero(height <= low + rng.uniform(least, most) * (high - low))


def box(cloud: PointCloud, rng: Rng, *, least: float = 0.35) -> np.ndarray:
    """Return the sorted indices inside an upright box, each side at least ``least`` of the cloud's.

    The box is turned to any yaw and lies anywhere; its height is the cloud's.
    """
    angle = rng.uniform(0, 2 * np.pi)
    c, s = np.cos(angle), np.sin(angle)
    plan = cloud.points.astype(np.float64) @ rotation_to_z(cloud.up).T[:, :2] @ [[c, -s], [s, c]]
    low, size = plan.min(axis=0), np.ptp(plan, axis=0)
    share = rng.uniform(least, 1.0, 2)
    start = low + rng.random(2) * (1 - share) * size
    return np.flatnonzero(((plan >= start) & (plan <= start + share * size)).all(axis=1))

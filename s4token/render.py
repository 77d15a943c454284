"""Pictures of point clouds: z-buffered splats, with the way back from pixel to point.

A splat's size is a multiple of the cloud's own spacing and the near plane a fraction of its
extent, so a cloud in millimetres looks like the same cloud in kilometres.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from jaxtyping import Bool, Float
from numba import config, njit

from .geometry import knn, point_spacing, rotation_to_z
from .types import Camera, PointCloud, Views

GREY = 178
"""Brightness of a cloud without colours."""

SPLAT_SPACINGS = 2.5
"""Radius of a splat in point spacings: random samples then leave under 2 % of a surface open."""

NEAR = 0.004
"""Near plane as a fraction of the scene's diagonal."""

LARGEST = 1 / 16
"""Largest splat radius as a fraction of the picture's height."""

MARGIN = 1.1
"""Distance of orbiting cameras over the one at which the cloud just fits."""

SMALLEST = 0.5
"""Smallest splat radius in pixels: every projected point owns the pixel it falls into."""


@njit(cache=True, nogil=True)
def _splat(
    points: np.ndarray,
    radii: np.ndarray,
    pose: np.ndarray,
    focal: float,
    near: float,
    depth: np.ndarray,
    owner: np.ndarray,
) -> None:
    """Draw discs facing the camera into ``depth`` and ``owner``; rows of ``pose``: x, y, z, eye."""
    height, width = depth.shape
    largest = max(SMALLEST, height * LARGEST)
    for i in range(len(points)):
        x, y, z = points[i, 0] - pose[3, 0], points[i, 1] - pose[3, 1], points[i, 2] - pose[3, 2]
        ahead = x * pose[2, 0] + y * pose[2, 1] + z * pose[2, 2]
        if not ahead > near:
            continue
        u = 0.5 * width + focal * (x * pose[0, 0] + y * pose[0, 1] + z * pose[0, 2]) / ahead
        v = 0.5 * height + focal * (x * pose[1, 0] + y * pose[1, 1] + z * pose[1, 2]) / ahead
        radius = min(max(focal * radii[i] / ahead, SMALLEST), largest)
        if u + radius < 0 or v + radius < 0 or u - radius >= width or v - radius >= height:
            continue
        home_column, home_row = int(np.floor(u)), int(np.floor(v))
        top, bottom = max(0, int(np.floor(v - radius))), min(height - 1, int(np.floor(v + radius)))
        left, right = max(0, int(np.floor(u - radius))), min(width - 1, int(np.floor(u + radius)))
        for row in range(top, bottom + 1):
            dy = row + 0.5 - v
            for column in range(left, right + 1):
                dx = column + 0.5 - u
                inside = dx * dx + dy * dy <= radius * radius
                # Strictly nearer: of equal depths the lower index stays.
                if (inside or (row == home_row and column == home_column)) and (
                    ahead < depth[row, column]
                ):
                    depth[row, column] = ahead
                    owner[row, column] = i


@njit(cache=True, nogil=True)
def _seen(
    points: np.ndarray,
    radii: np.ndarray,
    pose: np.ndarray,
    focal: float,
    near: float,
    depth: np.ndarray,
    slack: float,
    seen: np.ndarray,
) -> None:
    """Mark points that lie at most ``slack`` splat radii behind the surface of their pixel."""
    height, width = depth.shape
    largest = max(SMALLEST, height * LARGEST)
    for i in range(len(points)):
        if seen[i]:
            continue
        x, y, z = points[i, 0] - pose[3, 0], points[i, 1] - pose[3, 1], points[i, 2] - pose[3, 2]
        ahead = x * pose[2, 0] + y * pose[2, 1] + z * pose[2, 2]
        if not ahead > near:
            continue
        u = 0.5 * width + focal * (x * pose[0, 0] + y * pose[0, 1] + z * pose[0, 2]) / ahead
        v = 0.5 * height + focal * (x * pose[1, 0] + y * pose[1, 1] + z * pose[1, 2]) / ahead
        if u < 0 or v < 0 or u >= width or v >= height:
            continue
        radius = min(max(focal * radii[i] / ahead, SMALLEST), largest) * ahead / focal
        seen[i] = ahead <= depth[int(v), int(u)] + slack * radius


def _pose(camera: Camera) -> tuple[Float[np.ndarray, "4 3"], float]:
    """Return right, down, forward and position as rows, and the focal length in pixels."""
    forward = camera.target - camera.position
    forward = forward / np.linalg.norm(forward)
    right = np.cross(forward, camera.up)
    if np.linalg.norm(right) < 1e-9 * np.linalg.norm(camera.up) or not camera.up.any():
        # Looking along up: any direction may be up in the picture; take +y, else +x.
        helper = np.array([0.0, 1.0, 0.0]) if abs(forward[1]) < 0.9 else np.array([1.0, 0.0, 0.0])
        right = np.cross(forward, helper)
    right = right / np.linalg.norm(right)
    focal = 0.5 * camera.height / np.tan(np.radians(camera.fov) / 2)
    return np.stack([right, np.cross(forward, right), forward, camera.position]), float(focal)


def splat_radii(
    cloud: PointCloud, *, neighbours: int = 6, factor: float = 1.0
) -> Float[np.ndarray, "N"]:
    """Return splat radii that follow the local density: distance to the k-th neighbour.

    Slower than one radius for all; for scans whose density varies. Outliers stay small: no
    radius exceeds four times the median.
    """
    distance = knn(cloud.points, neighbours + 1)[1][:, -1] * factor
    return np.minimum(distance, 4 * np.median(distance))


def _world_radii(cloud: PointCloud, radii: np.ndarray | None, point_size: float) -> np.ndarray:
    if not np.isfinite(point_size) or point_size <= 0:
        raise ValueError(f"point_size: expected a positive number, got {point_size}")
    if radii is None:
        radii = np.full(len(cloud), SPLAT_SPACINGS * point_spacing(cloud.points))
    radii = np.asarray(radii, dtype=np.float64)
    if radii.shape != (len(cloud),) or not np.isfinite(radii).all() or (radii < 0).any():
        raise ValueError(
            f"radii: expected {len(cloud):,} finite numbers >= 0, one per point, "
            f"got shape {radii.shape}"
        )
    return radii * point_size


def _same_size(cameras: Sequence[Camera]) -> tuple[int, int]:
    sizes = {(camera.height, camera.width) for camera in cameras}
    if len(sizes) != 1:
        raise ValueError(
            f"cameras: expected at least one and all of one picture size, got {sorted(sizes)}"
        )
    return sizes.pop()


def each_view(count: int, draw: Callable[[int], object]) -> None:
    """Call ``draw`` for every view, in threads: most of the work releases the interpreter lock."""
    workers = min(count, config.NUMBA_NUM_THREADS)  # type: ignore[attr-defined]
    if workers <= 1:
        for v in range(count):
            draw(v)
        return
    with ThreadPoolExecutor(workers) as pool:
        list(pool.map(draw, range(count)))


def _near(points: np.ndarray) -> float:
    return NEAR * float(np.linalg.norm(np.ptp(points, axis=0)))


def _eye_dome(depth: Float[np.ndarray, "H W"]) -> Float[np.ndarray, "H W"]:
    """Return a brightness that falls where the neighbourhood is nearer (Boucheny, 2009).

    Works on log depth, so that the unit cancels out.
    """
    known = np.isfinite(depth)
    log_depth = np.where(known, np.log(np.where(known, depth, 1.0)), np.inf)
    padded = np.pad(log_depth, 1, mode="edge")
    drop = np.zeros_like(depth)
    for row, column in ((0, 1), (2, 1), (1, 0), (1, 2)):
        near = padded[row : row + depth.shape[0], column : column + depth.shape[1]]
        with np.errstate(invalid="ignore"):
            drop += np.where(known & np.isfinite(near), np.clip(log_depth - near, 0, 0.1), 0)
    return np.exp(-6.0 * drop)


def render(
    cloud: PointCloud,
    cameras: Sequence[Camera],
    *,
    background: tuple[int, int, int] = (255, 255, 255),
    point_size: float = 1.0,
    radii: Float[np.ndarray, "N"] | None = None,
    shading: bool = False,
) -> Views:
    """Draw the cloud as discs, nearest in front, from each of V cameras of one picture size.

    A disc's radius is ``point_size * radii`` in the cloud's unit (default: a multiple of its
    spacing), seen in perspective and kept between half a pixel and 1/16 of the height. Of equal
    depths the lower index wins. A cloud without colours is neutral grey. ``shading`` darkens
    depth edges, for clouds whose colours do not show the shape.

    Raises ValueError for no cameras, cameras of different sizes, and radii of another shape.
    """
    height, width = _same_size(cameras)
    points = np.ascontiguousarray(cloud.points, dtype=np.float64)
    world, near = _world_radii(cloud, radii, point_size), _near(points)
    if cloud.colors is None:
        colors = np.full((len(cloud), 3), GREY, np.uint8)
    else:
        colors = np.round(cloud.colors * 255).astype(np.uint8)
    images = np.empty((len(cameras), height, width, 3), np.uint8)
    images[:] = np.asarray(background, np.uint8)
    owner = np.full((len(cameras), height, width), -1, np.int32)

    def draw(v: int) -> None:
        depth = np.full((height, width), np.inf)
        pose, focal = _pose(cameras[v])
        _splat(points, world, pose, focal, near, depth, owner[v])
        hit = owner[v] >= 0
        pixels = colors[owner[v][hit]]
        if shading:
            pixels = (pixels * _eye_dome(depth)[hit][:, None]).astype(np.uint8)
        images[v][hit] = pixels

    each_view(len(cameras), draw)
    return Views(images, owner)


def visible(
    cloud: PointCloud,
    cameras: Sequence[Camera],
    *,
    slack: float = 2.0,
    point_size: float = 1.0,
    radii: Float[np.ndarray, "N"] | None = None,
) -> Bool[np.ndarray, "N"]:
    """Return which points at least one camera sees.

    A point is seen when it lies in the picture and at most ``slack`` of its own splat radii
    behind the nearest surface in its pixel.
    """
    _same_size(cameras)
    points = np.ascontiguousarray(cloud.points, dtype=np.float64)
    world, near = _world_radii(cloud, radii, point_size), _near(points)
    seen = np.zeros((len(cameras), len(cloud)), np.bool_)

    def draw(v: int) -> None:
        depth = np.full((cameras[v].height, cameras[v].width), np.inf)
        owner = np.empty(depth.shape, np.int32)
        pose, focal = _pose(cameras[v])
        _splat(points, world, pose, focal, near, depth, owner)
        _seen(points, world, pose, focal, near, depth, slack, seen[v])

    each_view(len(cameras), draw)
    return np.asarray(seen.any(axis=0))


def orbit(
    cloud: PointCloud,
    count: int,
    *,
    elevation: float = 25.0,
    fov: float = 50.0,
    size: int | tuple[int, int] = 112,
    start: float = 0.0,
) -> list[Camera]:
    """Return cameras on a ring around the cloud, at the distance that frames it.

    elevation, fov, start (azimuth of the first camera): degrees; size: pixels of a square
    picture, or (width, height).
    """
    if count < 1:
        raise ValueError(f"count: expected at least one camera, got {count}")
    width, height = (size, size) if isinstance(size, int) else size
    points = np.asarray(cloud.points, dtype=np.float64)
    low, high = np.percentile(points, (0.5, 99.5), axis=0)
    center = (low + high) / 2
    azimuth = np.radians(start + np.arange(count) * 360 / count)
    level = np.radians(elevation)
    flat = np.stack([np.cos(azimuth), np.sin(azimuth), np.full(count, np.tan(level))], axis=1)
    ways = (flat * np.cos(level)) @ rotation_to_z(cloud.up)  # rows times R: back from +z to up
    tangent = np.tan(np.radians(fov) / 2) * np.array([width / height, 1.0])
    local = points[:: -(-len(points) // 20_000)] - center
    distance = 0.0
    for way in ways:
        pose = _pose(Camera(center + way, center, cloud.up))[0]
        needed = (np.abs(local @ pose[:2].T) / tangent).max(axis=1) - local @ pose[2]
        # Robust: a few stray points must not push the camera away.
        distance = max(distance, float(np.percentile(needed, 99.5)))
    distance = MARGIN * distance if distance > 0 else 1.0
    return [Camera(center + distance * way, center, cloud.up, fov, width, height) for way in ways]

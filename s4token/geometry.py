"""Geometry that scales with its input: neighbours, spacing, normals, sampling.

Every length in the project is a multiple of one of three: the point spacing, a token's own
radius, the token pitch. Nothing here knows a metre.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float, Int
from numba import njit, prange
from scipy.spatial import KDTree

SPACING_SAMPLE = 20_000


def point_spacing(points: Float[np.ndarray, "N 3"]) -> float:
    """Return the median positive nearest-neighbour distance; 0 when all points are equal."""
    if len(points) < 2:
        return 0.0
    step = -(-len(points) // SPACING_SAMPLE)
    distance = KDTree(points).query(points[::step], k=min(8, len(points)), workers=-1)[0]
    first = np.where(distance > 0, distance, np.inf).min(axis=1)
    first = first[np.isfinite(first)]
    if len(first):
        return float(np.median(first))
    distinct = np.unique(points, axis=0)
    return 0.0 if len(distinct) == 1 else point_spacing(distinct)


def knn(
    points: Float[np.ndarray, "N 3"], k: int, queries: Float[np.ndarray, "Q 3"] | None = None
) -> tuple[Int[np.ndarray, "Q K"], Float[np.ndarray, "Q K"]]:
    """Return indices and distances of the nearest ``min(k, N)`` points, nearest first.

    Without ``queries`` every point asks for itself and finds itself among the answers.
    """
    k = min(k, len(points))
    tree = KDTree(points, compact_nodes=False, balanced_tree=False)
    distance, index = tree.query(points if queries is None else queries, k=k, workers=-1)
    shape = (-1, k)
    return np.asarray(index, np.int32).reshape(shape), np.reshape(distance, shape)


@njit(cache=True, nogil=True)
def smallest_eigenvector(
    xx: float, xy: float, xz: float, yy: float, yz: float, zz: float
) -> tuple[float, float, float, float, float, float]:
    """Return (x, y, z, l0, l1, l2) of a symmetric 3x3 matrix: ascending eigenvalues, unit vector.

    Trigonometric solution of the characteristic cubic (Smith, CACM 4(4), 1961).
    """
    p1 = xy * xy + xz * xz + yz * yz
    q = (xx + yy + zz) / 3.0
    p2 = (xx - q) ** 2 + (yy - q) ** 2 + (zz - q) ** 2 + 2.0 * p1
    if p2 <= 0.0:
        return 0.0, 0.0, 1.0, q, q, q
    p = np.sqrt(p2 / 6.0)
    a, b, c = (xx - q) / p, (yy - q) / p, (zz - q) / p
    d, e, f = xy / p, xz / p, yz / p
    half_det = 0.5 * (a * (b * c - f * f) - d * (d * c - f * e) + e * (d * f - b * e))
    phi = np.arccos(min(1.0, max(-1.0, half_det))) / 3.0
    l2 = q + 2.0 * p * np.cos(phi)
    l0 = q + 2.0 * p * np.cos(phi + 2.0 * np.pi / 3.0)
    l1 = 3.0 * q - l0 - l2
    # The eigenvector is the largest cross product of two rows of A - l0 I.
    r0x, r0y, r0z = xx - l0, xy, xz
    r1x, r1y, r1z = xy, yy - l0, yz
    r2x, r2y, r2z = xz, yz, zz - l0
    best, nx, ny, nz = 0.0, 0.0, 0.0, 1.0
    for i in range(3):
        if i == 0:
            ux, uy, uz, vx, vy, vz = r0x, r0y, r0z, r1x, r1y, r1z
        elif i == 1:
            ux, uy, uz, vx, vy, vz = r0x, r0y, r0z, r2x, r2y, r2z
        else:
            ux, uy, uz, vx, vy, vz = r1x, r1y, r1z, r2x, r2y, r2z
        cx, cy, cz = uy * vz - uz * vy, uz * vx - ux * vz, ux * vy - uy * vx
        norm = cx * cx + cy * cy + cz * cz
        if norm > best:
            best, nx, ny, nz = norm, cx, cy, cz
    if best > 0.0:
        norm = np.sqrt(best)
        return nx / norm, ny / norm, nz / norm, l0, l1, l2
    # Two equal small eigenvalues (a line): any direction across the largest one.
    lx, ly, lz = r0x, r0y, r0z
    for vx, vy, vz in ((r1x, r1y, r1z), (r2x, r2y, r2z)):
        if vx * vx + vy * vy + vz * vz > lx * lx + ly * ly + lz * lz:
            lx, ly, lz = vx, vy, vz
    if abs(lz) <= max(abs(lx), abs(ly)):
        norm = np.sqrt(lx * lx + ly * ly)
        return -ly / norm, lx / norm, 0.0, l0, l1, l2
    norm = np.sqrt(ly * ly + lz * lz)
    return 0.0, -lz / norm, ly / norm, l0, l1, l2


@njit(cache=True, nogil=True, parallel=True)
def _pca(
    points: np.ndarray, index: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    n, k = index.shape
    normals = np.empty((n, 3))
    values = np.empty((n, 3))
    for i in prange(n):
        mx = my = mz = total = 0.0
        for j in range(k):
            p, w = points[index[i, j]], weights[i, j]
            mx += w * p[0]
            my += w * p[1]
            mz += w * p[2]
            total += w
        mx, my, mz = mx / total, my / total, mz / total
        xx = xy = xz = yy = yz = zz = 0.0
        for j in range(k):
            p, w = points[index[i, j]], weights[i, j]
            dx, dy, dz = p[0] - mx, p[1] - my, p[2] - mz
            xx += w * dx * dx
            xy += w * dx * dy
            xz += w * dx * dz
            yy += w * dy * dy
            yz += w * dy * dz
            zz += w * dz * dz
        trace = xx + yy + zz
        scale = 1.0 / trace if trace > 0.0 else 0.0
        x, y, z, l0, l1, l2 = smallest_eigenvector(
            xx * scale, xy * scale, xz * scale, yy * scale, yz * scale, zz * scale
        )
        normals[i, 0], normals[i, 1], normals[i, 2] = x, y, z
        values[i, 0], values[i, 1], values[i, 2] = max(l0, 0.0), l1, l2
    return normals, values


def pca_normals(
    points: Float[np.ndarray, "N 3"],
    index: Int[np.ndarray, "Q K"],
    weights: Float[np.ndarray, "Q K"] | None = None,
) -> tuple[Float[np.ndarray, "Q 3"], Float[np.ndarray, "Q 3"]]:
    """Return unit normals (sign arbitrary) and ascending eigenvalues of trace 1 of neighbourhoods.

    weights: of the neighbours, with a positive sum per row; all equal without them. A
    neighbourhood without extent has eigenvalues 0 and normal (0, 0, 1).
    """
    weights = np.ones(index.shape) if weights is None else np.ascontiguousarray(weights)
    return _pca(
        np.ascontiguousarray(points, dtype=np.float64), np.ascontiguousarray(index), weights
    )


def fading_weights(distance: Float[np.ndarray, "Q K"]) -> Float[np.ndarray, "Q K"]:
    """Return weights of sorted neighbours that fade to 0 at the farthest one.

    Which of two equally far points comes last among k neighbours hangs on rounding; with weights
    that vanish there, nothing else does. A hair stays, so that no sum is zero.
    """
    last = np.where(distance[:, -1:] > 0, distance[:, -1:], 1.0)
    return np.maximum(1 - (distance / last) ** 2, 1e-6)


@njit(cache=True, nogil=True)
def _interleave(x: np.ndarray, y: np.ndarray, z: np.ndarray) -> np.ndarray:
    code = np.zeros(len(x), np.int64)
    for i in range(len(x)):
        for bit in range(21):
            triple = (x[i] >> bit & 1) | (y[i] >> bit & 1) << 1 | (z[i] >> bit & 1) << 2
            code[i] |= triple << (3 * bit)
    return code


def morton_code(points: Float[np.ndarray, "N 3"]) -> Int[np.ndarray, "N"]:
    """Return the place of every point on a Morton curve through the ranks of the coordinates.

    Ranks, unlike coordinates over a cell size, are the same in every unit. Equal points have
    equal codes; different points have different ones below 2 million of them (21 bits an axis).
    """
    columns = (np.unique(points[:, j], return_inverse=True)[1] for j in range(3))
    return _interleave(*columns)


def voxel_downsample(
    points: Float[np.ndarray, "N 3"], size: float
) -> tuple[Int[np.ndarray, "V"], Int[np.ndarray, "N"]]:
    """Return one point per occupied voxel (the one nearest its centre) and each point's voxel.

    size: edge in the cloud's unit, > 0. Voxels are counted from the cloud's minimum.
    """
    if size <= 0:
        raise ValueError(f"size: expected a positive voxel edge, got {size}")
    scaled = (np.asarray(points, np.float64) - points.min(axis=0)) / size
    cell = np.floor(scaled).astype(np.int64)
    spans = cell.max(axis=0) + 1
    if float(spans[0]) * float(spans[1]) * float(spans[2]) > 2**62:
        raise ValueError(f"size: {size:g} is too small for a cloud of this extent")
    key = (cell[:, 0] * spans[1] + cell[:, 1]) * spans[2] + cell[:, 2]
    _, voxel = np.unique(key, return_inverse=True)
    distance = ((scaled - cell - 0.5) ** 2).sum(axis=1)
    order = np.lexsort((distance, voxel))
    first = np.flatnonzero(np.diff(voxel[order], prepend=-1))
    return order[first].astype(np.int32), voxel.astype(np.int32)


@njit(cache=True, nogil=True)
def _fps(points: np.ndarray, count: int, start: int) -> np.ndarray:
    n = len(points)
    chosen = np.empty(count, np.int32)
    nearest = np.full(n, np.inf)
    current = start
    for m in range(count):
        chosen[m] = current
        cx, cy, cz = points[current, 0], points[current, 1], points[current, 2]
        best, following = -1.0, 0
        for i in range(n):
            dx, dy, dz = points[i, 0] - cx, points[i, 1] - cy, points[i, 2] - cz
            distance = dx * dx + dy * dy + dz * dz
            nearest[i] = min(nearest[i], distance)
            if nearest[i] > best:
                best, following = nearest[i], i
        current = following
    return chosen


def farthest_point_sample(points: Float[np.ndarray, "N 3"], count: int) -> Int[np.ndarray, "M"]:
    """Return ``min(count, N)`` indices, each the farthest from those before it.

    Starts at the point farthest from the centroid, so that the result depends on nothing but the
    cloud. Source: Eldar et al., IEEE TIP 6(9), 1997.
    """
    points = np.ascontiguousarray(points, dtype=np.float64)
    start = int(((points - points.mean(axis=0)) ** 2).sum(axis=1).argmax())
    return _fps(points, min(count, len(points)), start)


def rotation_to_z(up: Float[np.ndarray, "3"]) -> Float[np.ndarray, "3 3"]:
    """Return the rotation that turns ``up`` to +z by the shortest way; exact identity for +z."""
    x, y, z = (float(v) for v in up)
    if z >= 1.0:
        return np.eye(3)
    plan = x * x + y * y
    if z < 0 and plan < 1e-24:
        return np.diag([1.0, -1.0, -1.0])
    # Of a unit vector 1 + z, but without its cancellation near -z.
    rest = 1.0 + z if z >= 0 else plan / (1.0 - z)
    cross = np.array([[0.0, 0.0, -x], [0.0, 0.0, -y], [x, y, 0.0]])
    return np.eye(3) + cross + cross @ cross / rest

"""What real scans have that a clean depth camera has not: each a small function, in metres.

Fused meshes smooth and lose thin things, glass is not seen or seen through, frames are registered
in steps, pixels fly at edges, density follows detail, colours are of many exposures or none.
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Float, Int

from .geometry import knn
from .types import Scan

Rng = np.random.Generator

GLASSY = {"window": 0.45, "mirror": 0.4, "tv": 0.4, "computer monitor": 0.25, "shower": 0.2}
"""How likely the panes of a thing of this name are missing, in a scan that misses any."""


def panes(
    scan: Scan, index: Int[np.ndarray, "K"], rng: Rng
) -> tuple[Bool[np.ndarray, "K"], Float[np.ndarray, "K"]]:
    """Return which of the seen points lie on glass that is not seen, and how far off what is is.

    Nothing behind that glass is measured (NaN), or, through windows and in mirrors, something
    some metres further on.
    """
    lost, further = np.zeros(len(index), bool), np.full(len(index), np.nan)
    if scan.labels is None or scan.instances is None:
        return lost, further
    labels, instances = scan.labels[index], scan.instances[index]
    beyond = rng.random() < 0.3
    for k, name in enumerate(scan.classes):
        on = np.flatnonzero(labels == k + 1) if name in GLASSY else np.zeros(0, int)
        for thing in np.unique(instances[on]):
            if rng.random() > GLASSY[name]:
                continue
            mine = on[instances[on] == thing]
            points = scan.cloud.points[index[mine]]
            along = int(np.ptp(points[:, :2], axis=0).argmax())
            flat = points[:, [along, 2]]
            middle = (flat.max(axis=0) + flat.min(axis=0)) / 2
            half = np.maximum(np.ptp(flat, axis=0) / 2, 1e-6)
            inner = (np.abs(flat - middle) / half < rng.uniform(0.75, 0.95)).all(axis=1)
            gone = mine[inner & (rng.random(len(mine)) < rng.uniform(0.6, 1.0))]
            lost[gone] = True
            if beyond and name in ("window", "mirror"):
                seen = gone[rng.random(len(gone)) < 0.25]
                further[seen] = rng.uniform(0.5, 6.0) * rng.uniform(0.9, 1.1, len(seen))
    return lost, further


def flying(
    points: Float[np.ndarray, "K 3"], rays: Float[np.ndarray, "K 3"], rng: Rng
) -> tuple[Float[np.ndarray, "K 3"], Bool[np.ndarray, "K"]]:
    """Return points of which a few hang in the air along their ray, and which do."""
    stray = rng.random(len(points)) < rng.uniform(0.0005, 0.005)
    along = rng.exponential(rng.uniform(0.02, 0.15), len(points)) * rng.choice([-1, 1], len(points))
    return np.where(stray[:, None], points + rays * along[:, None], points), stray


def stepped(
    points: Float[np.ndarray, "K 3"], frame: Int[np.ndarray, "K"], rng: Rng
) -> Float[np.ndarray, "K 3"]:
    """Return points of which the later frames were registered with a step: walls come double."""
    late = frame >= rng.integers(1, max(2, int(frame.max()) + 1))
    angle = rng.normal(0, 0.005)
    middle = points.mean(axis=0)
    arm = points - middle
    turned = np.stack([arm[:, 0] - angle * arm[:, 1], arm[:, 1] + angle * arm[:, 0], arm[:, 2]], 1)
    step = rng.normal(0, [0.02, 0.02, 0.008])
    return np.where(late[:, None], turned + middle + step, points)


def fused(
    points: Float[np.ndarray, "K 3"], colors: Float[np.ndarray, "K 3"] | None, rng: Rng
) -> tuple[Float[np.ndarray, "K 3"], Float[np.ndarray, "K 3"] | None, Bool[np.ndarray, "K"]]:
    """Return points and colours as a mesh fused of many frames has them, and which it keeps.

    Every point goes to the mean of its neighbours: noise and edges are rounded off, things melt
    into what they stand on. What is thin, like a chair's leg, is lost now and then.
    """
    k = int(rng.integers(6, 22))
    near, distance = knn(points, k)
    share = rng.uniform(0.5, 1.0)
    smooth = points + share * (points[near].mean(axis=1) - points)
    blurred = None
    if colors is not None:
        blurred = colors + share * (colors[near].mean(axis=1) - colors)
        blurred = blurred.astype(np.float32)
    keep = np.ones(len(points), bool)
    if rng.random() < 0.5:
        keep = distance[:, -1] < rng.uniform(1.8, 3.0) * np.median(distance[:, -1])
    return smooth, blurred, keep


def uneven(points: Float[np.ndarray, "K 3"], rng: Rng) -> Bool[np.ndarray, "K"]:
    """Return which points stay where density follows detail, as the vertices of a mesh do."""
    cell = np.floor((points - points.min(axis=0)) / rng.uniform(0.1, 0.25)).astype(np.int64)
    spans = cell.max(axis=0) + 1
    key = (cell[:, 0] * spans[1] + cell[:, 1]) * spans[2] + cell[:, 2]
    _, owner = np.unique(key, return_inverse=True)
    count = np.bincount(owner)
    mean = np.stack([np.bincount(owner, points[:, i]) for i in range(3)], axis=1) / count[:, None]
    off = points - mean[owner]
    spread = np.empty((len(count), 3, 3))
    for i in range(3):
        for j in range(i, 3):
            spread[:, i, j] = spread[:, j, i] = np.bincount(owner, off[:, i] * off[:, j])
    values = np.linalg.eigvalsh(spread)
    bend = values[:, 0] / np.maximum(values.sum(axis=1), 1e-12)
    detail = np.where(count < 5, 1.0, np.clip(bend / rng.uniform(0.01, 0.04), 0, 1))
    least = rng.uniform(0.12, 0.5)
    return rng.random(len(points)) < (least + (1 - least) * detail)[owner]


def falling_off(distance: Float[np.ndarray, "K"], rng: Rng) -> Bool[np.ndarray, "K"]:
    """Return which points a scanner on a tripod gets: ever fewer with the distance squared."""
    return rng.random(len(distance)) < (rng.uniform(1.2, 4.0) / np.maximum(distance, 0.1)) ** 2


def weathered(
    colors: Float[np.ndarray, "K 3"], points: Float[np.ndarray, "K 3"], rng: Rng
) -> Float[np.ndarray, "K 3"]:
    """Return colours under an exposure that differs by region, dusty, or of a laser's intensity."""
    out = colors.astype(np.float64)
    if rng.random() < 0.3:
        waves = [np.sin(points @ rng.normal(0, 0.8, 3) + rng.uniform(0, 6.28)) for _ in range(3)]
        out *= np.exp(rng.uniform(0.05, 0.2) * sum(waves))[:, None]
    fate, grey = rng.random(), out.mean(axis=1, keepdims=True)
    if fate < 0.12:  # dust, haze, a cheap camera
        tone = rng.uniform(0.35, 0.65) * np.exp(rng.normal(0, 0.03, 3))
        out = grey + (out - grey) * rng.uniform(0.2, 0.7)
        out += rng.uniform(0.1, 0.5) * (tone - out)
    elif fate < 0.2:  # intensity
        out = np.repeat(grey ** rng.uniform(0.5, 1.6) * rng.uniform(0.5, 1.2), 3, axis=1)
        out += rng.normal(0, rng.uniform(0.01, 0.08), (len(out), 1))
    return np.clip(out, 0, 1).astype(np.float32)

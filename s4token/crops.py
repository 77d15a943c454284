"""Parts of a scan, as users cut them: fewer points, a neighbourhood, a height, a box."""

from __future__ import annotations

import numpy as np

from s4token.augment import box, cut
from s4token.geometry import rotation_to_z
from s4token.types import PointCloud, Scan

FEWEST = 4000
"""A crop that would leave fewer points is not made, a composed scan of fewer is taken anew."""


def selected(scan: Scan, index: np.ndarray) -> Scan:
    labels = None if scan.labels is None else scan.labels[index]
    return Scan(scan.name, scan.cloud.select(index), labels, scan.classes)


def thinned(scan: Scan, rng: np.random.Generator, points: int) -> Scan:
    if len(scan.cloud) <= points:
        return scan
    return selected(scan, np.sort(rng.permutation(len(scan.cloud))[:points]))


def nearest(scan: Scan, rng: np.random.Generator, points: int) -> Scan:
    """Return the points nearest to a random one, in plan."""
    plan = scan.cloud.points[:, :2]
    distance = ((plan - plan[rng.integers(len(plan))]) ** 2).sum(axis=1)
    keep = np.argpartition(distance, min(points, len(plan) - 1))[:points]
    return selected(scan, np.sort(keep))


def upright(scan: Scan) -> Scan:
    """Return the scan with z up and its middle at the origin."""
    cloud = scan.cloud
    points = (cloud.points - cloud.points.mean(axis=0)) @ rotation_to_z(cloud.up).T
    return Scan(scan.name, PointCloud(points, cloud.colors), scan.labels, scan.classes)


def partial(scan: Scan, rng: np.random.Generator) -> Scan:
    """Cut scans off as users do: below the ceiling, at a height, to a box, now and then both."""
    fate = rng.random()
    if fate < 0.25:
        least, most = 0.8, 0.97
    elif fate < 0.5:
        least, most = 0.25, 0.7
    else:
        least, most = 1.0, 1.0
    keep = np.arange(len(scan.cloud))
    if most < 1:
        keep = cut(scan.cloud, rng, least=least, most=most)
    if rng.random() < 0.3:
        keep = np.intersect1d(keep, box(scan.cloud, rng))
    return selected(scan, keep) if len(keep) >= FEWEST else scan

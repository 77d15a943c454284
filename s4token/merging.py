"""Region merging on a neighbourhood graph: the compiled core of ``superpoints``.

A region carries the moments that its energy needs, so that a merge is an addition. Columns of a
region's moments: 0 area; weighted by area 1-3 position, 4-9 normal outer product (xx, xy, xz, yy,
yz, zz; blind to the normal's sign), 10-12 colour; 13-14 contrast and length of the borders that
merging has made interior. An edge carries its border length and the contrast summed along it.
"""

from __future__ import annotations

import heapq
from typing import Any, NamedTuple

import numpy as np
from numba import njit, prange

MOMENTS = 15
MEANS = 14
"""Columns of what a cost is made of (``_means``)."""
SOFT = 0.01
"""Distance of normals or colours below which it counts less: rounding, and noise."""
FIRST = 1e9
"""Head start, in units of energy, of merges that make a too small region vanish."""


class Weights(NamedTuple):
    """What the energy of a merge weighs; all but ``area`` are plain numbers.

    area: of the mean superpoint, in the square of the cloud's unit.
    position: of the distance of centres over the mean superpoint's side.
    normal, colour: of the distances of mean normals (as outer products, 0 to 1) and of mean
    colours (0 to 1). bend: how much a bent region's normal counts less.
    contrast: of the mean contrast along the common border, less ``inner`` times that inside the
    smoother of the two regions.
    """

    area: float
    position: float
    normal: float
    colour: float
    bend: float
    contrast: float
    inner: float


@njit(cache=True, nogil=True)
def _soft(square: float) -> float:
    """Return a distance from its square, but quadratic near 0 (pseudo-Huber)."""
    return np.sqrt(square + SOFT * SOFT) - SOFT


@njit(cache=True, nogil=True)
def _means(moments: np.ndarray, out: np.ndarray) -> None:
    """Write a region's area, its means in columns 1-12, and its inner contrast in column 13."""
    out[0] = moments[0]
    for j in range(1, 13):
        out[j] = moments[j] / moments[0]
    out[13] = moments[13] / moments[14] if moments[14] > 0.0 else 0.0


@njit(cache=True, nogil=True)
def merge_cost(a: np.ndarray, b: np.ndarray, length: float, contrast: float, w: Weights) -> float:
    """Return the dimensionless energy that merging two adjacent regions would add.

    a, b: means of the regions (``_means``).

    A robust relative of Ward's criterion: distances, not their squares, between mean positions,
    normals and colours, plus the contrast along the common border as far as it exceeds what is
    usual inside, so that texture and noise are no borders; times the harmonic area to the power
    3/4, so that small but distinct things outlive large alike ones; over the fourth root of the
    border's length, which ragged borders raise.
    """
    position = normal = colour = flat = 0.0
    for j in range(1, 4):
        d = a[j] - b[j]
        position += d * d
    for j in range(4, 10):
        # Off-diagonal entries stand twice in the matrix.
        twice = 1.0 if j in (4, 7, 9) else 2.0
        x, y = a[j], b[j]
        normal += twice * (x - y) * (x - y)
        flat += twice * 0.5 * (x * x + y * y)
    for j in range(10, 13):
        d = a[j] - b[j]
        colour += d * d
    # ``flat`` is 1 where all normals of either region agree, and less the more they differ.
    unlike = w.position * np.sqrt(position / w.area) + w.colour * _soft(colour / 3.0)
    unlike += w.normal * _soft(0.5 * normal / (1.0 + w.bend * (1.0 - flat)))
    unlike += w.contrast * max(contrast / length - w.inner * min(a[13], b[13]), 0.0)
    harmonic = a[0] * b[0] / ((a[0] + b[0]) * w.area)
    border = np.sqrt(length * length / w.area)
    return np.sqrt(harmonic * np.sqrt(harmonic)) * unlike / np.sqrt(np.sqrt(border))


@njit(cache=True, nogil=True, parallel=True)
def point_edges(index, fade, area, normals, normal_weight, color, color_weight):
    """Return (a, b, length, contrast) of directed edges from every point to its neighbours.

    index: (N, K) with the point itself first; fade: (N, K') weights of the first K' of them, which
    get edges; area: (N,) surface that a point stands for; normals, color: (N, 3).
    """
    n, k = len(index), fade.shape[1] - 1
    a, b = np.empty(n * k, np.int32), np.empty(n * k, np.int32)
    length, contrast = np.empty(n * k), np.empty(n * k)
    for i in prange(n):
        for q in range(k):
            j, e = index[i, q + 1], i * k + q
            cosine = colour = 0.0
            for x in range(3):
                cosine += normals[i, x] * normals[j, x]
                colour += (color[i, x] - color[j, x]) ** 2
            a[e], b[e] = i, j
            length[e] = fade[i, q + 1] * np.sqrt(min(area[i], area[j])) / (k + 1)
            bend = normal_weight * _soft(max(1.0 - cosine * cosine, 0.0))
            contrast[e] = length[e] * (bend + color_weight * _soft(colour / 3.0))
    return a, b, length, contrast


@njit(cache=True, nogil=True, parallel=True)
def region_means(moments):
    """Return what ``merge_cost`` reads of every region."""
    out = np.empty((len(moments), MEANS))
    for v in prange(len(moments)):
        _means(moments[v], out[v])
    return out


@njit(cache=True, nogil=True, parallel=True)
def _costs(means, a, b, length, contrast, weights):
    cost = np.empty(len(a))
    for e in prange(len(a)):
        cost[e] = merge_cost(means[a[e]], means[b[e]], length[e], contrast[e], weights)
    return cost


@njit(cache=True, nogil=True)
def _mutual_edges(cost, a, b, n):
    """Return the edges that are the cheapest of both their regions."""
    best = np.full(n, -1, np.int64)
    for e in range(len(a)):
        for v in (a[e], b[e]):
            if best[v] < 0 or cost[e] < cost[best[v]]:
                best[v] = e
    return np.array([e for e in range(len(a)) if best[a[e]] == e and best[b[e]] == e], np.int64)


@njit(cache=True, nogil=True)
def _merge(moments, size, u, v, length, contrast):
    """Add region v and the border it shared with u to region u."""
    for k in range(moments.shape[1]):  # as a whole row it takes seconds to compile
        moments[u, k] += moments[v, k]
    moments[u, 13] += contrast
    moments[u, 14] += length
    size[u] += size[v]


@njit(cache=True, nogil=True)
def _contract(moments, size, label, target):
    """Give every region its target's id (its own or a smaller one) and renumber densely."""
    n = len(target)
    new = np.empty(n, np.int64)
    k = 0
    for v in range(n):
        if target[v] == v:
            new[v] = k
            moments[k] = moments[v]
            size[k] = size[v]
            k += 1
        else:
            new[v] = new[target[v]]
    for i in range(len(label)):
        label[i] = new[label[i]]
    return new, k


@njit(cache=True, nogil=True)
def unique_edges(a, b, length, contrast, n):
    """Return undirected edges a < b of n regions once each, with length and contrast summed."""
    m = len(a)
    start = np.zeros(n + 1, np.int64)
    for e in range(m):
        if a[e] != b[e]:
            start[min(a[e], b[e]) + 1] += 1
    for u in range(n):
        start[u + 1] += start[u]
    place = start[:-1].copy()
    order = np.empty(start[n], np.int32)
    for e in range(m):
        if a[e] != b[e]:
            u = min(a[e], b[e])
            order[place[u]] = e
            place[u] += 1
    low, high = np.empty(start[n], np.int32), np.empty(start[n], np.int32)
    lengths, contrasts = np.empty(start[n]), np.empty(start[n])
    last = np.full(n, -1, np.int64)
    k = 0
    for u in range(n):
        first = k
        for e in order[start[u] : start[u + 1]]:
            v = max(a[e], b[e])
            if last[v] >= first:
                lengths[last[v]] += length[e]
                contrasts[last[v]] += contrast[e]
            else:
                low[k], high[k], lengths[k], contrasts[k] = u, v, length[e], contrast[e]
                last[v] = k
                k += 1
    return low[:k], high[:k], lengths[:k], contrasts[:k]


def merge_rounds(moments, size, edges, count, weights):
    """Merge mutually best neighbours, round after round, until ``count`` regions remain.

    Changes moments and sizes in place. Returns labels, moments, sizes and edges of the remaining
    regions. Rounds are parallel: within one no decision depends on another.
    """
    n = len(moments)
    label = np.arange(n)
    a, b, length, contrast = edges
    while n > count and len(a):
        cost = _costs(region_means(moments[:n]), a, b, length, contrast, weights)
        mutual = _mutual_edges(cost, a, b, n)
        if len(mutual) > n - count:
            mutual = mutual[np.argsort(cost[mutual], kind="stable")[: n - count]]
        target = np.arange(n)
        target[b[mutual]] = a[mutual]
        _merge_all(moments, size, a, b, length, contrast, mutual)
        new, n = _contract(moments, size, label, target)
        a, b, length, contrast = unique_edges(new[a], new[b], length, contrast, n)
    return label, moments[:n].copy(), size[:n].copy(), (a, b, length, contrast)


@njit(cache=True, nogil=True)
def _merge_all(moments, size, a, b, length, contrast, chosen):
    for e in chosen:
        _merge(moments, size, a[e], b[e], length[e], contrast[e])


@njit(cache=True, nogil=True)
def _borders(a, b, n):
    """Chain the half-edges of every region: heads and tails (n), successors (2m), ends (2, m)."""
    m = len(a)
    ends = np.empty((2, m), np.int64)
    ends[0], ends[1] = a, b
    head, tail, following = np.full(n, -1), np.full(n, -1), np.full(2 * m, -1)
    for half in range(2 * m):
        node = ends[half % 2, half // 2]
        if head[node] < 0:
            head[node] = half
        else:
            following[tail[node]] = half
        tail[node] = half
    return head, tail, following, ends


@njit(cache=True, nogil=True)
def _take_over(u, v, head, tail, following, ends):
    """Give region v's border to region u."""
    half = head[v]
    while half >= 0:
        ends[half % 2, half // 2] = u
        half = following[half]
    if head[u] < 0:
        head[u], tail[u] = head[v], tail[v]
    elif head[v] >= 0:
        following[tail[u]] = head[v]
        tail[u] = tail[v]


@njit(cache=True, nogil=True)
def _join_twins(u, head, tail, following, ends, alive, seen, length, contrast):
    """Drop u's dead edges and make one of two edges with the same neighbour."""
    half, last = head[u], -1
    while half >= 0:
        e, onward = half // 2, following[half]
        other = ends[1 - half % 2, e]
        keep = alive[e] and other != u
        if keep and seen[other] >= 0:
            length[seen[other]] += length[e]
            contrast[seen[other]] += contrast[e]
            keep = False
        if keep:
            seen[other] = e
            if last >= 0:
                following[last] = half
            else:
                head[u] = half
            last = half
        else:
            alive[e] = False
        half = onward
    if last >= 0:
        following[last] = -1
    else:
        head[u] = -1
    tail[u] = last


@njit(cache=True, nogil=True)
def _priority(means, size, u, v, length, contrast, weights, smallest):
    cost = merge_cost(means[u], means[v], length, contrast, weights)
    return cost - FIRST if min(size[u], size[v]) < smallest else cost


@njit(cache=True, nogil=True)
def merge_greedy(moments, size, edges, weights, counts, smallest):
    """Merge the cheapest pair of adjacent regions until each of ``counts`` remain, or none is left.

    counts: falling. Regions under ``smallest`` points go first. Returns one region id per input
    region, for every count: (len(counts), n).
    """
    moments, size = moments.copy(), size.copy()
    a, b = edges[0], edges[1]
    length, contrast = edges[2].copy(), edges[3].copy()
    n, m = len(moments), len(a)
    means = region_means(moments)
    head, tail, following, ends = _borders(a, b, n)
    stamp, alive = np.zeros(m, np.int64), np.ones(m, np.bool_)
    parent, seen = np.arange(n), np.full(n, -1)
    parents = np.empty((len(counts), n), np.int64)
    heap: Any = [(0.0, 0, 0)]
    heap.pop()
    for e in range(m):
        u, v = a[e], b[e]
        cost = _priority(means, size, u, v, length[e], contrast[e], weights, smallest)
        heap.append((cost, e, 0))
    heapq.heapify(heap)
    remaining, done = n, 0
    while done < len(counts):
        if remaining <= counts[done] or not heap:
            for v in range(n):
                parents[done, v] = parents[done, parent[v]] if parent[v] < v else v
            done += 1
            continue
        _, e, version = heapq.heappop(heap)
        if not alive[e] or stamp[e] != version:
            continue
        u, v = min(ends[0, e], ends[1, e]), max(ends[0, e], ends[1, e])
        alive[e] = False
        _merge(moments, size, u, v, length[e], contrast[e])
        _means(moments[u], means[u])
        parent[v] = u
        remaining -= 1
        _take_over(u, v, head, tail, following, ends)
        _join_twins(u, head, tail, following, ends, alive, seen, length, contrast)
        half = head[u]
        while half >= 0:
            e = half // 2
            v = ends[1 - half % 2, e]
            seen[v] = -1
            stamp[e] += 1
            cost = _priority(means, size, u, v, length[e], contrast[e], weights, smallest)
            heapq.heappush(heap, (cost, e, stamp[e]))
            half = following[half]
    return parents

"""Region merging on a neighbourhood graph: the compiled core of ``superpoints``.

A region carries the moments that its energy needs, so that a merge is an addition. Columns of a
region's moments, all weighted by surface area: 0 area, 1-3 position, 4-9 normal outer product (xx,
xy, xz, yy, yz, zz; blind to the normal's sign), 10-12 colour. An edge carries its border length
and the contrast summed along that border.
"""

from __future__ import annotations

import heapq

import numpy as np
from numba import njit, prange

MOMENTS = 13


@njit(cache=True, nogil=True)
def merge_cost(
    a: np.ndarray, b: np.ndarray, length: float, contrast: float, weights: np.ndarray
) -> float:
    """Return the dimensionless energy that merging two adjacent regions would add.

    Ward's criterion on mean position, normal and colour, plus the mean contrast along the common
    border, all times the harmonic area, over a power of the border's length.
    weights: unit area (the mean superpoint's), then the weights of position, normal, colour and
    contrast, and that power.
    """
    unit = weights[0]
    wa, wb = a[0], b[0]
    position = normal = colour = 0.0
    for j in range(1, 4):
        d = a[j] / wa - b[j] / wb
        position += d * d
    for j in range(4, 10):
        d = a[j] / wa - b[j] / wb
        # Off-diagonal entries stand twice in the matrix.
        normal += d * d * (1.0 if j in (4, 7, 9) else 2.0)
    for j in range(10, 13):
        d = a[j] / wa - b[j] / wb
        colour += d * d
    mean = weights[2] * normal + weights[3] * colour + weights[1] * position / unit
    harmonic = wa * wb / ((wa + wb) * unit)
    energy = harmonic * (mean + weights[4] * contrast / length)
    return energy / (length / np.sqrt(unit)) ** weights[5]


@njit(cache=True, nogil=True, parallel=True)
def _costs(moments, a, b, length, contrast, weights):  # noqa: PLR0917
    cost = np.empty(len(a))
    for e in prange(len(a)):
        cost[e] = merge_cost(moments[a[e]], moments[b[e]], length[e], contrast[e], weights)
    return cost


@njit(cache=True, nogil=True)
def _best_edges(cost, a, b, n):
    best = np.full(n, -1, np.int64)
    for e in range(len(a)):
        for v in (a[e], b[e]):
            if best[v] < 0 or cost[e] < cost[best[v]]:
                best[v] = e
    return best


@njit(cache=True, nogil=True)
def _contract(moments, size, label, target):
    """Merge every region into its target (itself or a smaller id) and renumber densely."""
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
            moments[new[v]] += moments[v]
            size[new[v]] += size[v]
    for i in range(len(label)):
        label[i] = new[label[i]]
    return new, k


def unique_edges(a, b, length, contrast):
    """Return undirected edges a < b once each, with length and contrast summed."""
    low, high = np.minimum(a, b).astype(np.int64), np.maximum(a, b).astype(np.int64)
    keep = low != high
    key = (low * (int(high.max(initial=0)) + 1) + high)[keep]
    order = np.argsort(key, kind="stable")
    key = key[order]
    first = np.flatnonzero(np.diff(key, prepend=-1))
    if len(first) == 0:
        return low[:0], high[:0], length[:0], contrast[:0]
    pick = np.flatnonzero(keep)[order]
    return (
        low[pick[first]],
        high[pick[first]],
        np.add.reduceat(length[pick], first),
        np.add.reduceat(contrast[pick], first),
    )


def merge_rounds(moments, size, edges, count, weights):
    """Merge mutually best neighbours, the cheaper half per round, until ``count`` regions remain.

    Returns labels, moments, sizes and edges of the remaining regions. Rounds are parallel: within
    one no decision depends on another.
    """
    n = len(moments)
    label = np.arange(n)
    a, b, length, contrast = edges
    while n > count and len(a):
        cost = _costs(moments[:n], a, b, length, contrast, weights)
        best = _best_edges(cost, a, b, n)
        mutual = np.flatnonzero((best[a] == best[b]) & (best[a] == np.arange(len(a))))
        keep = max(len(mutual) // 2, 1)
        mutual = mutual[np.argsort(cost[mutual], kind="stable")[: min(keep, n - count)]]
        target = np.arange(n)
        target[b[mutual]] = a[mutual]
        new, n = _contract(moments, size, label, target)
        a, b, length, contrast = unique_edges(new[a], new[b], length, contrast)
    return label, moments[:n].copy(), size[:n].copy(), (a, b, length, contrast)


@njit(cache=True, nogil=True)
def _link(head, tail, following, node, half):
    following[half] = -1
    if head[node] < 0:
        head[node] = half
    else:
        following[tail[node]] = half
    tail[node] = half


@njit(cache=True, nogil=True)
def merge_greedy(  # noqa: PLR0912, PLR0915, PLR0917
    moments, size, a, b, length, contrast, weights, count, smallest
):
    """Merge the cheapest pair of adjacent regions until ``count`` remain or none is adjacent.

    Regions under ``smallest`` points go first. Returns one region id per input region.
    """
    n, m = len(moments), len(a)
    ends = np.empty((2, m), np.int64)
    ends[0], ends[1] = a, b
    head, tail = np.full(n, -1), np.full(n, -1)
    following = np.full(2 * m, -1)
    stamp = np.zeros(m, np.int64)
    alive = np.ones(m, np.bool_)
    parent = np.arange(n)
    seen = np.full(n, -1)
    heap = [(0.0, 0, 0)]
    heap.pop()
    for e in range(m):
        for side in range(2):
            _link(head, tail, following, ends[side, e], 2 * e + side)
        cost = merge_cost(moments[a[e]], moments[b[e]], length[e], contrast[e], weights)
        if min(size[a[e]], size[b[e]]) < smallest:
            cost -= 1e9
        heap.append((cost, e, 0))
    heapq.heapify(heap)
    remaining = n
    while remaining > count and heap:
        _, e, version = heapq.heappop(heap)
        if not alive[e] or stamp[e] != version:
            continue
        u, v = min(ends[0, e], ends[1, e]), max(ends[0, e], ends[1, e])
        alive[e] = False
        moments[u] += moments[v]
        size[u] += size[v]
        parent[v] = u
        remaining -= 1
        # u takes over v's border.
        half = head[v]
        while half >= 0:
            ends[half % 2, half // 2] = u
            half = following[half]
        if head[u] < 0:
            head[u], tail[u] = head[v], tail[v]
        elif head[v] >= 0:
            following[tail[u]] = head[v]
            tail[u] = tail[v]
        # Two borders with the same neighbour become one; every border of u gets its new cost.
        half = head[u]
        last = -1
        while half >= 0:
            e, onward = half // 2, following[half]
            other = ends[1 - half % 2, e]
            keep = alive[e] and other != u
            if (
                keep
                and seen[other] >= 0
                and alive[seen[other]]
                and _joins(ends, seen[other], u, other)
            ):
                twin = seen[other]
                length[twin] += length[e]
                contrast[twin] += contrast[e]
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
            tail[u] = last
        else:
            head[u] = tail[u] = -1
        half = head[u]
        while half >= 0:
            e = half // 2
            other = ends[1 - half % 2, e]
            seen[other] = -1
            stamp[e] += 1
            cost = merge_cost(moments[u], moments[other], length[e], contrast[e], weights)
            if min(size[u], size[other]) < smallest:
                cost -= 1e9
            heapq.heappush(heap, (cost, e, stamp[e]))
            half = following[half]
    for v in range(n):
        parent[v] = parent[parent[v]]
    return parent


@njit(cache=True, nogil=True, inline="always")
def _joins(ends, e, u, v):
    return (ends[0, e] == u and ends[1, e] == v) or (ends[0, e] == v and ends[1, e] == u)

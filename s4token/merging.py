"""Region merging on a neighbourhood graph: the compiled core of ``superpoints``.

A region carries the moments that its energy needs, so that a merge is an addition. Columns of a
region's moments, all weighted by surface area: 0 area, 1-3 position, 4-9 normal outer product (xx,
xy, xz, yy, yz, zz; blind to the normal's sign), 10-12 colour. An edge carries its border length
and the contrast summed along that border.
"""

from __future__ import annotations

import heapq
from typing import Any

import numpy as np
from numba import njit, prange

MOMENTS = 13
FIRST = 1e9
"""Head start, in units of energy, of merges that make a too small region vanish."""


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
def _costs(moments, a, b, length, contrast, weights):
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
def _priority(moments, size, u, v, length, contrast, weights, smallest):
    cost = merge_cost(moments[u], moments[v], length, contrast, weights)
    return cost - FIRST if min(size[u], size[v]) < smallest else cost


@njit(cache=True, nogil=True)
def merge_greedy(moments, size, a, b, length, contrast, weights, count, smallest):
    """Merge the cheapest pair of adjacent regions until ``count`` remain or none is adjacent.

    Regions under ``smallest`` points go first. Returns one region id per input region.
    """
    moments, size = moments.copy(), size.copy()
    length, contrast = length.copy(), contrast.copy()
    n, m = len(moments), len(a)
    head, tail, following, ends = _borders(a, b, n)
    stamp, alive = np.zeros(m, np.int64), np.ones(m, np.bool_)
    parent, seen = np.arange(n), np.full(n, -1)
    heap: Any = [(0.0, 0, 0)]
    heap.pop()
    for e in range(m):
        u, v = a[e], b[e]
        cost = _priority(moments, size, u, v, length[e], contrast[e], weights, smallest)
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
        _take_over(u, v, head, tail, following, ends)
        _join_twins(u, head, tail, following, ends, alive, seen, length, contrast)
        half = head[u]
        while half >= 0:
            e = half // 2
            v = ends[1 - half % 2, e]
            seen[v] = -1
            stamp[e] += 1
            cost = _priority(moments, size, u, v, length[e], contrast[e], weights, smallest)
            heapq.heappush(heap, (cost, e, stamp[e]))
            half = following[half]
    for v in range(n):
        parent[v] = parent[parent[v]]
    return parent

"""Region merging: the compiled kernels against a slow twin that looks at every pair."""

from __future__ import annotations

import numpy as np
import pytest

from s4token.merging import (
    MOMENTS,
    SOFT,
    Weights,
    merge_cost,
    merge_greedy,
    merge_rounds,
    point_edges,
    region_means,
    unique_edges,
)

WEIGHTS = Weights(area=3.0, position=0.1, normal=1.0, colour=2.0, bend=4.0, contrast=0.8, inner=1.3)


def graph(n=60, degree=4, seed=0, pieces=1):
    """Random regions with positive area and a random connected graph per piece."""
    rng = np.random.default_rng(seed)
    moments = rng.random((n, MOMENTS))
    moments[:, 0] = rng.uniform(0.5, 2, n)
    normals = rng.normal(size=(n, 3, 3))
    normals /= np.linalg.norm(normals, axis=2, keepdims=True)
    outer = np.einsum("nki,nkj->nij", normals, normals) / 3
    moments[:, 4:10] = outer[:, [0, 0, 0, 1, 1, 2], [0, 1, 2, 1, 2, 2]]
    moments[:, 1:13] *= moments[:, :1]
    moments[::2, 13:] = 0
    piece = np.arange(n) % pieces
    a, b = [], []
    for p in range(pieces):
        own = np.flatnonzero(piece == p)
        a += [*own[:-1], *rng.choice(own, degree * len(own))]
        b += [*own[1:], *rng.choice(own, degree * len(own))]
    length, contrast = rng.uniform(0.1, 1, len(a)), rng.uniform(0, 1, len(a))
    ends = np.array(a, np.int32), np.array(b, np.int32)
    return moments, rng.integers(1, 5, n), unique_edges(*ends, length, contrast, n)


def cost_of(moments, a, b, length, contrast, weights):
    means = region_means(moments)
    return merge_cost(means[a], means[b], length, contrast, weights)


def slow_cost(a, b, length, contrast, w):
    """The energy as its documentation says it, with matrices."""

    def soft(distance):
        return (distance**2 + SOFT**2) ** 0.5 - SOFT

    def means(m):
        xx, xy, xz, yy, yz, zz = m[4:10] / m[0]
        normal = np.array([[xx, xy, xz], [xy, yy, yz], [xz, yz, zz]])
        return m[1:4] / m[0], normal, m[10:13] / m[0], m[13] / m[14] if m[14] else 0.0

    (pa, na, ca, ia), (pb, nb, cb, ib) = means(a), means(b)
    side = w.area**0.5
    bent = 1 - ((na**2).sum() + (nb**2).sum()) / 2
    unlike = w.position * np.linalg.norm(pa - pb) / side
    unlike += w.normal * soft(np.linalg.norm(na - nb) / 2**0.5 / (1 + w.bend * bent) ** 0.5)
    unlike += w.colour * soft(np.linalg.norm(ca - cb) / 3**0.5)
    unlike += w.contrast * max(0, contrast / length - w.inner * min(ia, ib))
    harmonic = 1 / (1 / a[0] + 1 / b[0]) / w.area
    return harmonic**0.75 * unlike / (length / side) ** 0.25


def slow_greedy(moments, size, edges, weights, count, smallest):
    """Merge the best pair among all, recomputed each time."""
    moments, size = moments.copy(), size.copy()
    parent = np.arange(len(moments))
    border = {
        (i, j): np.array([length, contrast]) for i, j, length, contrast in zip(*edges, strict=True)
    }
    while len(set(parent.tolist())) > count and border:
        price = {
            (i, j): (
                min(size[i], size[j]) >= smallest,
                slow_cost(moments[i], moments[j], *values, weights),
            )
            for (i, j), values in border.items()
        }
        u, v = min(price, key=price.__getitem__)
        moments[u] += moments[v]
        moments[u, 13:15] += border[u, v][::-1]
        size[u] += size[v]
        parent[parent == v] = u
        joined: dict[tuple[int, int], np.ndarray] = {}
        for pair, values in border.items():
            i, j = sorted(u if end == v else end for end in pair)
            if i != j:
                joined[i, j] = joined.get((i, j), 0) + values
        border = joined
    return parent


def as_sets(labels):
    return {frozenset(np.flatnonzero(labels == v).tolist()) for v in np.unique(labels)}


@pytest.mark.parametrize("seed", range(5))
def test_cost_equals_its_definition(seed):
    moments, _, edges = graph(seed=seed)
    for a, b, length, contrast in zip(*edges, strict=True):
        fast = cost_of(moments, a, b, length, contrast, WEIGHTS)
        assert fast == pytest.approx(slow_cost(moments[a], moments[b], length, contrast, WEIGHTS))
        assert fast >= 0
        assert fast == pytest.approx(cost_of(moments, b, a, length, contrast, WEIGHTS))


def test_cost_has_no_unit():
    """Areas grow with the square of lengths; the energy does not."""
    moments, _, (a, b, length, contrast) = graph()
    s = 1000.0
    scaled, weights = moments * s**2, WEIGHTS._replace(area=WEIGHTS.area * s**2)
    scaled[:, 1:4] *= s
    scaled[:, 13:] /= s
    for e in range(len(a)):
        cost = cost_of(moments, a[e], b[e], length[e], contrast[e], WEIGHTS)
        other = cost_of(scaled, a[e], b[e], length[e] * s, contrast[e] * s, weights)
        assert other == pytest.approx(cost, rel=1e-9)


def test_point_edges_equal_their_definition():
    rng = np.random.default_rng(1)
    n, k = 30, 5
    index = np.stack([np.r_[i, rng.permutation(np.delete(np.arange(n), i))[:7]] for i in range(n)])
    fade, area = rng.random((n, k)), rng.uniform(0.5, 2, n)
    normals, color = rng.normal(size=(n, 3)), rng.random((n, 3))
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    a, b, length, contrast = point_edges(index, fade, area, normals, 1.5, color, 2.5)
    assert len(a) == n * (k - 1)

    def soft(distance):
        return (distance**2 + SOFT**2) ** 0.5 - SOFT

    for e, (i, j) in enumerate(zip(a, b, strict=True)):
        q = e % (k - 1) + 1
        assert i == e // (k - 1) and j == index[i, q]
        width = fade[i, q] * min(area[i], area[j]) ** 0.5 / k
        sine = np.linalg.norm(np.cross(normals[i], normals[j]))
        step = soft(np.linalg.norm(color[i] - color[j]) / 3**0.5)
        assert length[e] == pytest.approx(width)
        assert contrast[e] == pytest.approx(width * (1.5 * soft(sine) + 2.5 * step), abs=1e-9)


def test_unique_edges_sum_what_they_join():
    a, b = np.array([3, 1, 2, 1, 3, 0]), np.array([1, 3, 2, 2, 1, 4])
    got = unique_edges(a, b, np.arange(6.0), 10 * np.arange(6.0), 5)
    edges = sorted(zip(*(e.tolist() for e in got), strict=True))
    assert edges == [(0, 4, 5, 50), (1, 2, 3, 30), (1, 3, 5, 50)]
    assert all(len(e) == 0 for e in unique_edges(a[:0], b[:0], np.zeros(0), np.zeros(0), 5))
    assert all(len(e) == 0 for e in unique_edges(a[2:3], b[2:3], np.ones(1), np.ones(1), 5))


@pytest.mark.parametrize("count", [1, 7, 30, 59])
@pytest.mark.parametrize("smallest", [1, 8])
@pytest.mark.parametrize("seed", range(3))
def test_greedy_equals_brute_force(count, smallest, seed):
    moments, size, edges = graph(seed=seed)
    fast = merge_greedy(moments, size, edges, WEIGHTS, np.array([count]), smallest)[0]
    slow = slow_greedy(moments, size, edges, WEIGHTS, count, smallest)
    assert as_sets(fast) == as_sets(slow)
    assert len(as_sets(fast)) == count


def test_greedy_passes_every_count_on_its_way():
    moments, size, edges = graph(seed=6)
    counts = np.array([100, 60, 31, 8, 1])
    found = merge_greedy(moments, size, edges, WEIGHTS, counts, 3)
    for count, parent in zip(counts, found, strict=True):
        alone = merge_greedy(moments, size, edges, WEIGHTS, np.array([count]), 3)[0]
        np.testing.assert_array_equal(parent, alone)
        assert len(np.unique(parent)) == min(count, 60)


def test_greedy_leaves_its_input_alone_and_stops_at_separate_pieces():
    moments, size, edges = graph(pieces=5)
    before = [x.copy() for x in (moments, size, *edges)]
    parent = merge_greedy(moments, size, edges, WEIGHTS, np.array([2]), 1)[0]
    assert as_sets(parent) == as_sets(np.arange(60) % 5)
    for old, new in zip(before, (moments, size, *edges), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("count", [1, 10, 45])
def test_rounds_keep_the_sums(count):
    moments, size, edges = graph(seed=3)
    total, points = moments[:, :13].sum(axis=0), size.sum()
    label, merged, sizes, (a, b, length, _) = merge_rounds(
        moments.copy(), size.copy(), edges, count, WEIGHTS
    )
    assert len(merged) == len(sizes) == len(np.unique(label)) == count
    np.testing.assert_allclose(merged[:, :13].sum(axis=0), total)
    assert sizes.sum() == points
    for region in range(count):
        parts = label == region
        expected = moments[parts].sum(axis=0)
        # Borders between a region's parts have become interior.
        inside = parts[edges[0]] & parts[edges[1]]
        expected[13:] += edges[3][inside].sum(), edges[2][inside].sum()
        np.testing.assert_allclose(merged[region], expected)
    # Borders between regions are the sums of the borders between their parts.
    crossing = label[edges[0]] != label[edges[1]]
    assert length.sum() == pytest.approx(edges[2][crossing].sum())
    assert len(a) == 0 or (a < b).all()


def test_rounds_merge_the_cheapest_pair_first():
    moments, size, edges = graph(seed=4)
    label, *_ = merge_rounds(moments.copy(), size.copy(), edges, 59, WEIGHTS)
    cost = [
        slow_cost(moments[a], moments[b], x, c, WEIGHTS) for a, b, x, c in zip(*edges, strict=True)
    ]
    best = int(np.argmin(cost))
    assert label[edges[0][best]] == label[edges[1][best]]


def test_rounds_stop_at_separate_pieces():
    moments, size, edges = graph(pieces=6)
    label, *_ = merge_rounds(moments.copy(), size.copy(), edges, 2, WEIGHTS)
    assert as_sets(label) == as_sets(np.arange(60) % 6)

"""The claim: superpoint tokens know neither unit nor origin; raw kNN and radius tokens do.

Exact for float64 input at any factor and for float32 with powers of two; for other factors and
moves in float32, whose rounding can flip a merge, nearly all points and tokens stay.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from s4token.describe import describe
from s4token.grouping import KNN
from s4token.metrics import partition_agreement
from s4token.propagation import point_tokens
from s4token.segment import segment
from s4token.superpoints import Superpoints
from s4token.types import Groups

FACTORS = (0.001, 0.0254, 0.3048, 1000.0, float(np.random.default_rng(5).uniform(0.1, 100)))
FIELDS = ("samples", "shape", "centers")
PROMPTS = ["sofa", "table", "red ball"]


def single(cloud):
    return replace(cloud, points=cloud.points.astype(np.float32))


def moved(cloud, share):
    """The cloud moved by a share of its extent along a slanted direction."""
    points = cloud.points
    extent = float(np.ptp(points, axis=0).max())
    by = np.array([0.83, -0.61, 0.37]) * share * extent
    return replace(cloud, points=(points.astype(np.float64) + by).astype(points.dtype))


def matched_cosine(first, second):
    """Cosine of every token with the token of the other encoding that shares most points."""
    width = len(second.groups)
    pairs, counts = np.unique(
        first.groups.labels.astype(np.int64) * width + second.groups.labels, return_counts=True
    )
    best = {}
    for pair, count in zip(pairs, counts, strict=True):
        best[pair // width] = max(best.get(pair // width, (0, 0)), (count, pair % width))
    partner = [best[m][1] for m in range(len(first.groups))]
    return (first.features * second.features[partner]).sum(axis=1)


# Exact tiers


@pytest.mark.parametrize("factor", FACTORS)
def test_float64_partition_and_inputs_are_equal(room_cloud, factor):
    first = Superpoints(96)(room_cloud)
    second = Superpoints(96)(room_cloud.scaled(factor))
    assert (first.index == second.index).all() and (first.offsets == second.offsets).all()
    a, b = describe(room_cloud, first), describe(room_cloud.scaled(factor), second)
    for field in FIELDS:
        np.testing.assert_allclose(getattr(b, field), getattr(a, field), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("share", [1.0, 10.0])
def test_float64_partition_does_not_depend_on_the_origin(room_cloud, share):
    first, second = (Superpoints(96)(c) for c in (room_cloud, moved(room_cloud, share)))
    assert (first.labels == second.labels).all()


@pytest.mark.parametrize("power", [-10, -1, 3, 10])
def test_float32_powers_of_two_are_bit_equal(room_cloud, tiny_model, power):
    cloud = single(room_cloud)
    first, second = (tiny_model.encode(c) for c in (cloud, cloud.scaled(2.0**power)))
    assert (first.groups.index == second.groups.index).all()
    a, b = (describe(e.cloud, e.groups) for e in (first, second))
    for field in FIELDS:
        np.testing.assert_array_equal(getattr(a, field), getattr(b, field))
    np.testing.assert_array_equal(first.features, second.features)


# Rounded tier


@pytest.mark.parametrize(
    ("factor", "share"), [(0.001, 0.0), (0.0254, 0.5), (0.3048, 1.0), (1000.0, 0.0), (7.77, 1.0)]
)
def test_float32_decimal_factors_and_moves(room_cloud, tiny_model, factor, share):
    cloud = single(room_cloud)
    assert len(cloud) <= 20_000
    first, second = (tiny_model.encode(c) for c in (cloud, moved(cloud, share).scaled(factor)))
    assert partition_agreement(first.groups.labels, second.groups.labels) >= 99
    assert matched_cosine(first, second).min() >= 1 - 1e-4


@pytest.mark.parametrize("factor", [0.001, 1000.0])
def test_labels_stay(room_cloud, tiny_model, factor):
    cloud = single(room_cloud)
    first, second = (
        segment(tiny_model, tiny_model.encode(c), PROMPTS, threshold=0)
        for c in (cloud, cloud.scaled(factor))
    )
    assert len(np.unique(first.labels)) > 1, "one label everywhere would prove nothing"
    assert (first.labels == second.labels).mean() >= 0.99


@pytest.mark.parametrize("factor", FACTORS)
@pytest.mark.parametrize("grouping", [Superpoints(96), KNN(96, 16)])
def test_tokens_of_points_have_no_unit(room_cloud, factor, grouping):
    groups, other = grouping(room_cloud), room_cloud.scaled(factor)
    again = Groups(groups.index, groups.offsets, groups.n_points, groups.centers)
    kept = point_tokens(room_cloud, groups) == point_tokens(other, again)
    assert kept.mean() > 0.9999, "but for points half-way between two centres"


# The control must fail


@pytest.mark.parametrize("factor", [0.001, 1000.0])
@pytest.mark.parametrize("tokenizer", ["knn", "radius"])
def test_raw_tokens_change_with_the_unit(room_cloud, tiny_model, tokenizer, factor):
    first, second = (
        tiny_model.encode(c, tokenizer=tokenizer) for c in (room_cloud, room_cloud.scaled(factor))
    )
    assert len(first.groups) == len(second.groups)
    cosine = (first.features * second.features).sum(axis=1)
    assert cosine.mean() < 0.9
    if tokenizer == "radius":
        kept = sum(set(a) == set(b) for a, b in zip(first.groups, second.groups, strict=True))
        assert kept < 0.1 * len(first.groups)
    else:
        np.testing.assert_array_equal(first.groups.index, second.groups.index)

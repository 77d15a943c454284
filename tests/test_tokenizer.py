"""What the tokenizer sees: ratios, against a slow twin; and the learned part's contract."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from s4token.describe import (
    EQUAL,
    LENGTHS,
    SAMPLE_CHANNELS,
    SAMPLES,
    SHAPE_CHANNELS,
    TokenInputs,
    describe,
    token_pitch,
    turned,
)
from s4token.grouping import KNN, Radius
from s4token.superpoints import Superpoints
from s4token.tokenizer import Tokenizer, collate
from s4token.types import Groups, PointCloud

FIELDS = ("samples", "shape", "centers")


def cloud(n=900, seed=0, colors=True):
    rng = np.random.default_rng(seed)
    points = rng.random((n, 3)) * [4, 3, 2]
    return PointCloud(points, rng.random((n, 3)) if colors else None)


def same(first: TokenInputs, second: TokenInputs, atol=1e-5):
    for field in FIELDS:
        np.testing.assert_allclose(getattr(first, field), getattr(second, field), atol=atol)


@pytest.mark.parametrize("grouping", [Superpoints(20), KNN(20, 16), Radius(20, 0.6, 16)])
def test_centers_equal_a_loop(grouping):
    groups = grouping(cloud())
    expected = [cloud().points[m].mean(axis=0) for m in groups]
    np.testing.assert_allclose(groups.means(cloud().points), expected)


def test_pitch_equals_brute_force():
    centers = cloud(40).points
    apart = np.linalg.norm(centers[:, None] - centers[None], axis=2) + np.eye(40) * 99
    assert token_pitch(centers) == pytest.approx(np.median(apart.min(axis=1)))
    assert token_pitch(centers[:1]) == token_pitch(np.ones((5, 3))) == 1.0


def slow_shape(cloud, groups, m):
    """Columns of ``TokenInputs.shape`` that one group alone decides, written out."""
    points = cloud.points - cloud.points.min(axis=0)
    low, high = np.quantile(points[:, 2], (0.01, 0.99))
    own = points[groups[m]] - points[groups[m]].mean(axis=0)
    radius = np.sqrt(2 * (own**2).sum(axis=1).mean())
    radii = [
        np.sqrt(2 * ((points[g] - points[g].mean(axis=0)) ** 2).sum(axis=1).mean()) for g in groups
    ]
    values, vectors = np.linalg.eigh(own.T @ own)

    def along(distance):
        weight = np.exp(-distance / values.sum() / EQUAL)
        return np.sqrt((weight * vectors[2] ** 2).sum() / weight.sum())

    size = np.ptp(own, axis=0) / radius
    level = (points[groups[m]][:, 2] - low) / (high - low)
    color = cloud.colors[groups[m]].astype(float) * 2 - 1
    return [
        *(values / values.sum()),
        along(values - values[0]),
        along(values[2] - values),
        np.hypot(size[0], size[1]),
        size[2],
        np.log(radius / np.median(radii)),
        level.min(),
        level.max(),
        level.mean(),
        *color.mean(axis=0),
        *color.std(axis=0),
        np.log(len(groups[m]) / np.median(groups.sizes)),
        1.0,
    ]


def test_shape_equals_its_definition():
    groups = Superpoints(20)(cloud())
    inputs = describe(cloud(), groups)
    assert inputs.samples.shape == (20, SAMPLES, SAMPLE_CHANNELS)
    assert inputs.shape.shape == (20, SHAPE_CHANNELS + LENGTHS)
    for m in range(20):
        expected = slow_shape(cloud(), groups, m)
        np.testing.assert_allclose(inputs.shape[m, : len(expected)], expected, atol=1e-4)
    centers = groups.means(cloud().points)
    expected = (centers - centers.mean(axis=0)) / token_pitch(centers)
    np.testing.assert_allclose(inputs.centers, expected, atol=1e-5)
    assert inputs.pitch == pytest.approx(token_pitch(centers))
    floor = np.quantile(cloud().points[:, 2], 0.01)
    for m, members in enumerate(groups):
        own = cloud().points[members]
        radius = np.sqrt(2 * ((own - own.mean(axis=0)) ** 2).sum(axis=1).mean())
        wide, deep, rise = np.ptp(own, axis=0)
        ends = own[:, 2].min() - floor, own[:, 2].max() - floor
        expected = np.array([radius, np.hypot(wide, deep), rise, *ends]) / inputs.pitch
        np.testing.assert_allclose(inputs.shape[m, SHAPE_CHANNELS:], expected, atol=1e-4)


@pytest.mark.parametrize("factor", [0.001, 0.3048, 1000.0])
def test_lines_and_pairs_of_points_have_no_accidental_normal(factor):
    """Rounding in float32 must not decide which way a token of two points faces."""
    rng = np.random.default_rng(2)
    points = rng.random((400, 3)).astype(np.float32)
    groups = Groups.from_labels(np.arange(400) // 2)
    first = describe(PointCloud(points), groups)
    second = describe(PointCloud((points.astype(np.float64) * factor).astype(np.float32)), groups)
    np.testing.assert_allclose(second.shape, first.shape, atol=1e-3)


def test_samples_are_members_relative_to_their_token():
    groups = Superpoints(20)(cloud())
    inputs = describe(cloud(), groups)
    for m, members in enumerate(groups):
        own = cloud().points[members] - cloud().points[members].mean(axis=0)
        own /= np.sqrt(2 * (own**2).sum(axis=1).mean())
        apart = np.linalg.norm(inputs.samples[m, :, None, :3] - own[None], axis=2)
        assert apart.min(axis=1).max() < 1e-5
        picked = apart.argmin(axis=1)
        assert len(set(picked.tolist())) == min(SAMPLES, len(members))
        np.testing.assert_allclose(
            inputs.samples[m, :, 3:6], cloud().colors[members[picked]] * 2 - 1, atol=1e-6
        )


def test_order_of_points_does_not_matter():
    order = np.random.default_rng(1).permutation(900)
    first, second = (describe(c, Superpoints(20)(c)) for c in (cloud(), cloud().select(order)))
    order = [np.lexsort(i.centers.round(4).T) for i in (first, second)]
    a, b = (
        TokenInputs(*(getattr(i, f)[o] for f in FIELDS))
        for i, o in zip((first, second), order, strict=True)
    )
    same(a, b)


@pytest.mark.parametrize("up", [(0, 0, -1), (1, 0, 0), (0, 1, 0), (0.3, -0.5, 0.8)])
def test_up_is_turned_to_z(up):
    """A scan turned together with its up gives the same heights, extents and orientations."""
    from s4token.geometry import rotation_to_z

    up = np.array(up) / np.linalg.norm(up)
    turned = replace(cloud(), points=cloud().points @ rotation_to_z(up), up=up)
    groups = KNN(20, 16)(cloud())
    same(describe(cloud(), groups), describe(turned, groups), atol=1e-4)


def test_quarter_turns_are_those_of_the_cloud():
    groups = Superpoints(20)(cloud())
    turns = [turned(describe(cloud(), groups), quarters) for quarters in range(4)]
    x, y, z = cloud().points.T
    for turn, plan in zip(turns, ((x, y), (-y, x), (-x, -y), (y, -x)), strict=True):
        expected = describe(replace(cloud(), points=np.stack([*plan, z], axis=1)), groups)
        np.testing.assert_allclose(turn.centers, expected.centers, atol=1e-5)
        np.testing.assert_allclose(turn.shape, expected.shape, atol=1e-4)
        heights = [np.sort(i.samples[..., 2].mean(axis=1)) for i in (turn, expected)]
        np.testing.assert_allclose(*heights, atol=0.2)
    np.testing.assert_array_equal(turns[0].samples[..., 0], -turns[2].samples[..., 0])
    np.testing.assert_array_equal(turns[1].samples[..., 0], -turns[0].samples[..., 1])


def test_no_colours_read_as_grey_with_a_flag():
    groups = Superpoints(20)(cloud())
    plain = describe(cloud(colors=False), groups)
    assert (plain.samples[..., 3:6] == 0).all() and (plain.shape[:, 11:17] == 0).all()
    assert (plain.shape[:, 18] == 0).all() and (describe(cloud(), groups).shape[:, 18] == 1).all()
    np.testing.assert_array_equal(
        plain.samples[..., :3], describe(cloud(), groups).samples[..., :3]
    )


def test_raw_lengths_keep_the_unit():
    groups = KNN(20, 16)(cloud())
    first, second = (describe(c, groups, normalise="none") for c in (cloud(), cloud().scaled(2)))
    np.testing.assert_allclose(second.centers, 2 * first.centers, atol=1e-5)
    np.testing.assert_allclose(second.samples[..., :3], 2 * first.samples[..., :3], atol=1e-5)


@pytest.mark.parametrize(
    "points",
    [
        np.zeros((1, 3)),
        np.ones((40, 3)),
        np.arange(40.0)[:, None] * [1, 0, 0],
        np.arange(40.0)[:, None] * [0, 0, 1],
        np.random.default_rng(0).random((40, 3)) * [1, 1, 0],
        np.random.default_rng(0).random((40, 3)) * 1e7,
        np.random.default_rng(0).random((40, 3)) * 1e-7,
    ],
)
@pytest.mark.parametrize("normalise", ["token", "none"])
def test_odd_clouds_give_finite_numbers(points, normalise):
    odd = PointCloud(points)
    for grouping in (Superpoints(8), KNN(8, 4), Radius(8, 0.2, 4)):
        inputs = describe(odd, grouping(odd), normalise=normalise)
        for field in FIELDS:
            values = getattr(inputs, field)
            assert np.isfinite(values).all() and values.dtype == np.float32


def test_single_token():
    inputs = describe(cloud(), Groups.from_labels(np.zeros(900, int)))
    assert inputs.shape.shape == (1, SHAPE_CHANNELS + LENGTHS) and (inputs.centers == 0).all()


def test_collate_pads_and_says_where():
    short, long = (describe(cloud(), Superpoints(m)(cloud())) for m in (5, 9))
    samples, shape, centers, valid = collate([short, long])
    assert samples.shape == (2, 9, SAMPLES, SAMPLE_CHANNELS) and centers.shape == (2, 9, 3)
    assert valid.tolist() == [[True] * 5 + [False] * 4, [True] * 9]
    assert (shape[0, 5:] == 0).all()
    np.testing.assert_array_equal(shape[0, :5].numpy(), short.shape)


def looking(width=48, hidden=32):
    """Return a tokenizer whose tokens look at each other, which a new one has yet to learn."""
    torch.manual_seed(0)
    tokenizer = Tokenizer(width, hidden=hidden)
    assert tokenizer.size is not None
    for last in (*(n.out for n in tokenizer.neighbours), tokenizer.size.vote[2]):
        torch.nn.init.normal_(last.weight, std=0.3)
    torch.nn.init.normal_(tokenizer.size.tell[2].weight, std=0.3)
    return tokenizer


def embed(tokenizer, *arrays):
    """Return embeddings of scenes whose size is known."""
    return tokenizer(*arrays, told=torch.tensor([[-1.0, 1.0]] * len(arrays[0])))[0]


def test_tokenizer_shapes_gradients_and_batch_independence():
    tokenizer = looking()
    inputs = [describe(cloud(), Superpoints(m)(cloud())) for m in (5, 9)]
    *arrays, valid = collate(inputs)
    out, size = tokenizer(*arrays, valid)
    assert out.shape == (2, 9, 48) and size.shape == (2,)
    alone, own = tokenizer(*collate(inputs[:1])[:3])
    torch.testing.assert_close(out[0, :5], alone[0], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(size[:1], own)
    (out[:, :5].sum() + size.sum()).backward()
    silent = [name for name, p in tokenizer.named_parameters() if not (p.grad != 0).any()]
    assert silent == []


def test_tokens_look_at_the_nearest_fifteen_and_no_further():
    tokenizer = looking()
    *arrays, _ = collate([describe(cloud(), Superpoints(40)(cloud()))])
    samples, _, centers = arrays
    order = torch.cdist(centers[0], centers[0]).argsort(dim=1)
    # With one layer of looking around, which the second would widen.
    torch.nn.init.zeros_(tokenizer.neighbours[1].out.weight)
    base = embed(tokenizer, *arrays)
    for token in (0, 7, 23):
        changed = samples.clone()
        changed[0, token, :, 3:6] += 0.7
        moved = (embed(tokenizer, changed, *arrays[1:]) - base).abs().amax(dim=2)[0] > 1e-6
        # The farthest of the sixteen weighs nothing, so that no rounding decides which one it is.
        expected = (order[:, :15] == token).any(dim=1)
        assert moved.tolist() == expected.tolist()
        assert 1 < int(moved.sum()) < 40


def test_which_neighbour_is_the_last_does_not_matter():
    tokenizer = looking()
    samples, shape, centers, _ = collate([describe(cloud(), Superpoints(40)(cloud()))])
    distance, index = (centers[0] - centers[0, 0]).norm(dim=1).sort()
    swapped = centers.clone()
    # The sixteenth and the seventeenth nearest change places by a hair.
    middle = centers[0, 0] + (centers[0, index[15]] - centers[0, 0]) * distance[16] / distance[15]
    out = []
    for hair in (-1e-4, 1e-4):
        swapped[0, index[15]] = centers[0, 0] + (middle - centers[0, 0]) * (1 + hair)
        out.append(embed(tokenizer, samples, shape, swapped)[0, 0])
    assert (out[0] - out[1]).abs().max() < 1e-3 * out[0].abs().max()


def test_tokenizer_does_not_depend_on_the_order_of_samples():
    tokenizer = looking()
    samples, shape, centers, _ = collate([describe(cloud(), Superpoints(9)(cloud()))])
    mixed = samples[:, :, torch.randperm(SAMPLES)]
    torch.testing.assert_close(
        tokenizer(samples, shape, centers), tokenizer(mixed, shape, centers), atol=1e-5, rtol=1e-5
    )


def test_every_input_matters():
    tokenizer = looking()
    arrays = collate([describe(cloud(), Superpoints(9)(cloud()))])[:3]
    base, _ = tokenizer(*arrays)
    for changed in range(3):
        for channel in range(arrays[changed].shape[-1]):
            other = [a.clone() for a in arrays]
            other[changed][..., channel] += 0.5
            moved = (tokenizer(*other)[0] - base).abs().max()
            assert moved > 1e-5, f"{FIELDS[changed]} channel {channel} is not read"

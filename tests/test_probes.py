"""Classifiers of features against sums done by hand and slow twins."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.optimize import brentq

from s4token.probes import Linear, Probing, Prototype, draw_shots


def test_prototypes_by_hand():
    features = np.array([[1.0, 0.0], [0.6, 0.8], [0.0, 1.0]])
    head = Prototype()(features, np.array([0, 0, 2]), 3)
    logits = head(np.array([[0.0, 1.0]]))
    length = np.hypot(1.6, 0.8)
    np.testing.assert_allclose(logits, [[0.8 / length, -np.inf, 1.0]])
    assert head.known.tolist() == [True, False, True]


@pytest.mark.parametrize("penalty", [0.1, 1.0, 10.0])
@pytest.mark.parametrize("stretch", [1.0, 0.01])
def test_logistic_regression_of_two_points_by_hand(penalty, stretch):
    """Two points at +1 and -1: weights w and -w with penalty * w * (1 + exp(2 w)) = 2."""
    w = brentq(lambda w: penalty * w * (1 + np.exp(2 * w)) - 2, 0, 50)
    features = stretch * np.array([[1.0], [-1.0]]) + 7
    head = Linear(penalty)(features, np.array([0, 1]), 2)
    got = head(stretch * np.array([[1.0], [0.0], [3.0]]) + 7)
    np.testing.assert_allclose(got[:, 0] - got[:, 1], [2 * w, 0, 6 * w], rtol=1e-3, atol=1e-3)


def test_nothing_near_the_fit_is_better():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 3, 60)
    features = (rng.normal(size=(60, 4)) + np.eye(4)[labels]) * [1.0, 0.1, 3.0, 0.3]
    head = Linear(2.0)(features, labels, 3)
    spread = np.sqrt(((features - features.mean(axis=0)) ** 2).mean())

    def loss(weight, bias):
        total = 0.0
        for x, label in zip(features, labels, strict=True):
            logits = x @ weight + bias
            total += np.log(np.exp(logits).sum()) - logits[label]
        return total + 0.5 * 2.0 * ((weight * spread) ** 2).sum()

    best = loss(head.weight, head.bias)
    for _ in range(50):
        step = 0.02 * rng.normal(size=(5, 3))
        # Bias and weight move together about the mean of the features, where the fit is centred.
        moved = head.bias + step[4] - features.mean(axis=0) @ step[:4]
        assert loss(head.weight + step[:4], moved) > best


def test_turning_the_features_changes_nothing():
    rng = np.random.default_rng(1)
    labels = rng.integers(0, 4, 50)
    features = rng.normal(size=(50, 6)) + np.eye(6)[labels]
    turn = np.linalg.qr(rng.normal(size=(6, 6)))[0]
    first, second = (Linear()(f, labels, 4)(f) for f in (features, features @ turn))
    gap = lambda logits: logits - logits.mean(axis=1, keepdims=True)  # noqa: E731
    np.testing.assert_allclose(gap(first), gap(second), atol=1e-2)


def test_one_class_alone_and_equal_features():
    head = Linear()(np.ones((3, 2)), np.array([1, 1, 1]), 3)
    assert head(np.ones((1, 2))).argmax() == 1 and head.known.tolist() == [False, True, False]


@pytest.mark.parametrize("shots", [1, 2, 5, None])
def test_shots_of_every_class(shots):
    labels = np.array([3, 0, 0, 3, 3, 1, 0, 3, 3, 3])
    got = draw_shots(labels, shots, np.random.default_rng(4))
    most = shots or 99
    assert np.bincount(labels[got], minlength=4).tolist() == [min(3, most), min(1, most), 0,
                                                              min(6, most)]  # fmt: skip
    assert len(set(got.tolist())) == len(got)


def test_fewer_shots_are_among_more_and_seeds_differ():
    labels = np.repeat(np.arange(5), 30)
    few, more = (set(draw_shots(labels, k, np.random.default_rng(2)).tolist()) for k in (3, 8))
    other = set(draw_shots(labels, 8, np.random.default_rng(3)).tolist())
    assert few < more and more != other


def test_heads_are_one_per_seed_and_one_for_all():
    features, labels = np.eye(6)[[0, 1, 2, 0, 1, 2]], np.array([0, 1, 2, 0, 1, 2])
    heads = Probing(["prototype", "linear"], [1, None], seeds=4)(features, labels, 3)
    counts = {case: len(found) for case, found in heads.items()}
    assert counts == {(p, k): 4 if k else 1 for p in ("prototype", "linear") for k in (1, None)}
    whole = Prototype()(features, labels, 3)
    np.testing.assert_array_equal(heads["prototype", None][0].weight, whole.weight)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"shots": [1, 0]}, "shots: expected numbers of at least 1, or 'all', got 0"),
        ({"seeds": 0}, "seeds: expected at least 1, got 0"),
        ({"probes": ["svm"]}, "probes: expected some of linear, prototype, got 'svm'"),
    ],
)
def test_bad_probing(how, message):
    with pytest.raises(ValueError, match=message):
        Probing(**how)

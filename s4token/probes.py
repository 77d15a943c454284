"""Classifiers of frozen features: logistic regression and prototypes, from a few shots or all."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy.optimize import minimize

from s4token.tallies import SEED


@dataclass(frozen=True, eq=False)
class Head:
    """Classify features: ``features @ weight + bias``, never a class without an example.

    weight: (E, C); bias: (C,); known: (C,), which classes had an example.
    """

    weight: Float[np.ndarray, "E C"]
    bias: Float[np.ndarray, "C"]
    known: Bool[np.ndarray, "C"]

    def __call__(self, features: Float[np.ndarray, "n E"]) -> Float[np.ndarray, "n C"]:
        """Return logits, minus infinity for classes without an example."""
        return np.where(self.known, features @ self.weight + self.bias, -np.inf)


@dataclass(frozen=True)
class Linear:
    """Fit multinomial logistic regression by L-BFGS.

    Minimises the sum of cross-entropies plus ``penalty / 2`` times the squared weights, on
    features less their mean, divided by their one root mean square deviation, so that the fit does
    not depend on how features are turned or how far they spread. The penalty is fixed, never
    searched for.
    """

    penalty: float = 1.0

    def __call__(
        self, features: Float[np.ndarray, "n E"], labels: Int[np.ndarray, "n"], classes: int
    ) -> Head:
        """Learn from examples with labels in 0 .. classes - 1."""
        present, target = np.unique(labels, return_inverse=True)
        mean = features.mean(axis=0, dtype=np.float64)
        x = features - mean
        spread = np.sqrt((x**2).mean()) or 1.0
        x /= spread
        n, size, count = len(x), x.shape[1], len(present)
        rows = np.arange(n)
        # Coordinates in which the loss is about as steep in every direction, by its curvature where
        # all classes are as likely: several times fewer steps, to the same minimum.
        square, axes = np.linalg.eigh(x.T @ x)
        turn = axes / np.sqrt(np.maximum(square / count + self.penalty, 1e-9))
        x, penalty = x @ turn, self.penalty * (turn**2).sum(axis=0)[:, None]

        def loss(flat: np.ndarray) -> tuple[float, np.ndarray]:
            weight, bias = flat[:-count].reshape(size, count), flat[-count:]
            logits = x @ weight + bias
            logits -= logits.max(axis=1, keepdims=True)
            share = np.exp(logits)
            total = share.sum(axis=1, keepdims=True)
            value = np.log(total).sum() - logits[rows, target].sum()
            share /= total
            share[rows, target] -= 1
            shrink = penalty * weight
            value += 0.5 * (weight * shrink).sum()
            return float(value), np.concatenate([(x.T @ share + shrink).ravel(), share.sum(axis=0)])

        start = np.zeros((size + 1) * count)
        found = minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 1000}).x
        weight, bias = np.zeros((size, classes)), np.zeros(classes)
        weight[:, present] = turn @ found[:-count].reshape(size, count) / spread
        bias[present] = found[-count:] - mean @ weight[:, present]
        return Head(weight, bias, np.isin(np.arange(classes), present))


@dataclass(frozen=True)
class Prototype:
    """Take the mean direction of a class's examples as its weight (Snell et al., 1703.05175)."""

    def __call__(
        self, features: Float[np.ndarray, "n E"], labels: Int[np.ndarray, "n"], classes: int
    ) -> Head:
        """Learn from unit rows with labels in 0 .. classes - 1; logits are cosines."""
        total = np.zeros((classes, features.shape[1]))
        np.add.at(total, labels, features)
        length = np.linalg.norm(total, axis=1, keepdims=True)
        known = np.bincount(labels, minlength=classes) > 0
        return Head((total / np.maximum(length, 1e-12)).T, np.zeros(classes), known)


PROBES: dict[str, Linear | Prototype] = {"linear": Linear(), "prototype": Prototype()}


def draw_shots(
    labels: Int[np.ndarray, "n"], shots: int | None, rng: np.random.Generator
) -> Int[np.ndarray, "m"]:
    """Return the indices of ``shots`` random examples of every class, or of all there are.

    Of one generator state, fewer shots are among more. None takes everything.
    """
    if shots is None:
        return np.arange(len(labels))
    order = rng.permutation(len(labels))
    by_class = order[np.argsort(labels[order], kind="stable")]
    sizes = np.bincount(labels)
    place = np.arange(len(labels)) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    return np.sort(by_class[place < shots])


@dataclass(frozen=True)
class Probing:
    """Say what is learnt of few examples: probes, examples per class (None: all), and draws.

    Everything is learnt from once, a number of shots ``seeds`` times.
    """

    probes: Sequence[str] = ("linear",)
    shots: Sequence[int | None] = (1, 2, 4, 8, 16, None)
    seeds: int = 5

    def __post_init__(self) -> None:
        for name in ("probes", "shots"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        for name in self.probes:
            if name not in PROBES:
                raise ValueError(f"probes: expected some of {', '.join(PROBES)}, got '{name}'")
        for shots in self.shots:
            if shots is not None and shots < 1:
                raise ValueError(f"shots: expected numbers of at least 1, or 'all', got {shots}")
        if self.seeds < 1:
            raise ValueError(f"seeds: expected at least 1, got {self.seeds}")

    def __call__(
        self, features: Float[np.ndarray, "n E"], labels: Int[np.ndarray, "n"], classes: int
    ) -> dict[tuple[str, int | None], list[Head]]:
        """Return the heads learnt by every probe from every number of shots, one per draw."""
        out: dict[tuple[str, int | None], list[Head]] = {}
        for name, shots in itertools.product(self.probes, self.shots):
            out[name, shots] = []
            for seed in range(1 if shots is None else self.seeds):
                index = draw_shots(labels, shots, np.random.default_rng([SEED, seed]))
                out[name, shots].append(PROBES[name](features[index], labels[index], classes))
        return out

"""Distillation: against a slow twin, and what it must be blind to."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from s4token.objectives.distillation import Distillation, global_distance


def units(*shape, seed=0):
    return F.normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


def example():
    weight = torch.rand(2, 6, generator=torch.Generator().manual_seed(3))
    weight[0, 4:] = 0
    return units(2, 6, 5), units(2, 6, 5, seed=1), weight


def slow(student, teacher, weight, relation, temperature):
    """The objective in loops over scenes and tokens."""
    distance = cross = 0.0
    for s, t, w in zip(student.tolist(), teacher.tolist(), weight.tolist(), strict=True):
        shown = [j for j in range(len(w)) if w[j] > 0]
        dot = lambda a, b: sum(x * y for x, y in zip(a, b, strict=True))  # noqa: E731
        for i in shown:
            distance += w[i] * (1 - dot(s[i], t[i]))
            own = [math.exp(dot(t[i], t[j]) / temperature) for j in shown]
            got = [math.exp(dot(s[i], t[j]) / temperature) for j in shown]
            cross -= w[i] * sum(
                p / sum(own) * math.log(q / sum(got)) for p, q in zip(own, got, strict=True)
            )
    total = float(weight.sum())
    return distance / total + relation * cross / total, distance / total, cross / total


def test_equals_the_slow_twin():
    got = Distillation(0.3, 0.2)(*example())
    expected = slow(*example(), 0.3, 0.2)
    for name, value in zip(("loss", "distance", "relation"), expected, strict=True):
        assert float(got[name]) == pytest.approx(value, rel=1e-4), name


def test_equal_features_have_no_distance_and_the_least_relation():
    _, teacher, weight = example()
    best = Distillation()(teacher, teacher, weight)
    assert float(best["distance"]) == pytest.approx(0, abs=1e-6)
    for seed in range(5):
        other = Distillation()(units(2, 6, 5, seed=10 + seed), teacher, weight)
        assert other["relation"] > best["relation"] and other["distance"] > 0
    opposite = Distillation()(-teacher, teacher, weight)
    assert float(opposite["distance"]) == pytest.approx(2, abs=1e-5)


def test_descent_brings_the_student_to_its_teacher():
    student, teacher, weight = example()
    student = student.clone().requires_grad_()
    before = F.cosine_similarity(student, teacher, dim=-1)
    Distillation()(student, teacher, weight)["loss"].backward()
    # The distance's own pull is along the teacher, in proportion to the weight.
    (pull,) = torch.autograd.grad(Distillation(0.0)(student, teacher, weight)["loss"], student)
    torch.testing.assert_close(pull, -teacher * weight[..., None] / weight.sum())
    moved = F.normalize(student - 0.5 * student.grad, dim=-1)
    after = F.cosine_similarity(moved, teacher, dim=-1)
    seen = weight > 0.05
    assert (after[seen] > before[seen]).float().mean() > 0.9


def test_tokens_of_no_weight_count_for_nothing():
    student, teacher, weight = example()
    other_student, other_teacher = student.clone(), teacher.clone()
    other_student[0, 4:], other_teacher[0, 4:] = units(2, 5, seed=8), units(2, 5, seed=9)
    other_student.requires_grad_()
    first = Distillation()(student, teacher, weight)
    second = Distillation()(other_student, other_teacher, weight)
    for name in first:
        torch.testing.assert_close(first[name], second[name], msg=name)
    second["loss"].backward()
    assert (other_student.grad[0, 4:] == 0).all() and (other_student.grad[0, :4] != 0).any()


def test_zero_padding_counts_for_nothing():
    student, teacher, weight = example()
    pad = lambda x: F.pad(x, (0, 0, 0, 3))  # noqa: E731
    first = Distillation()(student, teacher, weight)
    second = Distillation()(pad(student), pad(teacher), F.pad(weight, (0, 3)))
    torch.testing.assert_close(first, second)


@pytest.mark.parametrize("scenes", ["one", "all"])
def test_scenes_that_no_view_saw_are_no_nan(scenes):
    student, teacher, weight = example()
    weight[: 1 if scenes == "one" else 2] = 0
    student.requires_grad_()
    losses = Distillation()(student, teacher, weight)
    losses["loss"].backward()
    assert all(torch.isfinite(v) for v in losses.values())
    assert torch.isfinite(student.grad).all() and (student.grad[0] == 0).all()
    if scenes == "one":
        alone = Distillation()(student[1:], teacher[1:], weight[1:])
        torch.testing.assert_close(losses["loss"], alone["loss"])


def test_the_relation_tells_tokens_apart():
    """A student that gives every token the mean teacher pays for it in relation."""
    _, teacher, weight = example()
    collapsed = F.normalize(teacher.mean(dim=1, keepdim=True), dim=-1).expand_as(teacher)
    blurred = F.normalize(teacher + 0.5 * units(2, 6, 5, seed=4), dim=-1)
    score = Distillation()
    assert (
        score(collapsed, teacher, weight)["relation"] > score(blurred, teacher, weight)["relation"]
    )


def test_global_distance():
    a, b = units(4, 8), units(4, 8, seed=1)
    assert float(global_distance(a, a)) == pytest.approx(0, abs=1e-6)
    assert float(global_distance(a, -a)) == pytest.approx(2)
    assert float(global_distance(a, b)) == pytest.approx(float((1 - (a * b).sum(-1)).mean()))
    torch.testing.assert_close(global_distance(3 * a, b), global_distance(a, b))

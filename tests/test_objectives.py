"""Objectives: against slow twins and by hand, and what they must be blind to."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from s4token.describe import COLUMNS, SAMPLE_CHANNELS
from s4token.objectives.alignment import Alignment
from s4token.objectives.clustering import Clustering, sinkhorn
from s4token.objectives.distillation import Distillation, global_distance
from s4token.objectives.masked import MaskedModelling, block_mask, pitches
from s4token.objectives.teacher import AverageTeacher
from s4token.tokenizer import Tokenizer


def units(*shape, seed=0):
    return F.normalize(torch.randn(*shape, generator=torch.Generator().manual_seed(seed)), dim=-1)


def example():
    weight = torch.rand(2, 6, generator=torch.Generator().manual_seed(3))
    weight[0, 4:] = 0
    return units(2, 6, 5), units(2, 6, 5, seed=1), weight


MEAN = 0.8 * units(5, seed=12)


def scored(relation=0.25, temperature=0.1):
    return Distillation(MEAN, relation, temperature)


def slow(student, teacher, weight, relation, temperature):
    """The objective in loops over scenes and tokens."""

    def dot(a, b):
        return sum(x * y for x, y in zip(a, b, strict=True))

    def without_mean(a):
        left = [x - m for x, m in zip(a, MEAN.tolist(), strict=True)]
        return [x / math.sqrt(dot(left, left)) for x in left]

    distance = contrast = cross = 0.0
    for s, t, w in zip(student.tolist(), teacher.tolist(), weight.tolist(), strict=True):
        shown = [j for j in range(len(w)) if w[j] > 0]
        own, wanted = [without_mean(a) for a in s], [without_mean(a) for a in t]
        for i in shown:
            distance += w[i] * (1 - dot(s[i], t[i]))
            contrast += w[i] * (1 - dot(own[i], wanted[i]))
            like = [math.exp(dot(wanted[i], wanted[j]) / temperature) for j in shown]
            got = [math.exp(dot(own[i], wanted[j]) / temperature) for j in shown]
            cross -= w[i] * sum(
                p / sum(like) * math.log(q / sum(got)) for p, q in zip(like, got, strict=True)
            )
    d, c, r = (x / float(weight.sum()) for x in (distance, contrast, cross))
    return {"loss": d + c + relation * r, "distance": d, "contrast": c, "relation": r}


def test_equals_the_slow_twin():
    got = scored(0.3, 0.2)(*example())
    for name, value in slow(*example(), 0.3, 0.2).items():
        assert float(got[name]) == pytest.approx(value, rel=1e-4), name


def test_what_all_features_share_does_not_hide_a_difference():
    """Nearly equal features, as those of one CLIP are: the mean is right in the distance alone."""
    common = units(5, seed=13)
    teacher = F.normalize(common + 0.1 * units(2, 6, 5, seed=14), dim=-1)
    mean = teacher.mean(dim=(0, 1))
    got = Distillation(mean)(F.normalize(mean, dim=0).expand_as(teacher), teacher, torch.ones(2, 6))
    assert got["distance"] < 0.01 and got["contrast"] > 0.5


def test_equal_features_have_no_distance_and_the_least_relation():
    _, teacher, weight = example()
    best = scored()(teacher, teacher, weight)
    assert float(best["distance"]) == pytest.approx(0, abs=1e-6)
    for seed in range(5):
        other = scored()(units(2, 6, 5, seed=10 + seed), teacher, weight)
        assert other["relation"] > best["relation"]
        assert other["distance"] > 0 and other["contrast"] > 0
    opposite = scored()(-teacher, teacher, weight)
    assert float(opposite["distance"]) == pytest.approx(2, abs=1e-5)


def test_descent_brings_the_student_to_its_teacher():
    student, teacher, weight = example()
    student = student.clone().requires_grad_()
    before = F.cosine_similarity(student, teacher, dim=-1)
    scored()(student, teacher, weight)["loss"].backward()
    # The distance's own pull is along the teacher, in proportion to the weight.
    (pull,) = torch.autograd.grad(scored()(student, teacher, weight)["distance"], student)
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
    first = scored()(student, teacher, weight)
    second = scored()(other_student, other_teacher, weight)
    for name in first:
        torch.testing.assert_close(first[name], second[name], msg=name)
    second["loss"].backward()
    assert (other_student.grad[0, 4:] == 0).all() and (other_student.grad[0, :4] != 0).any()


def test_zero_padding_counts_for_nothing():
    student, teacher, weight = example()
    pad = lambda x: F.pad(x, (0, 0, 0, 3))  # noqa: E731
    first = scored()(student, teacher, weight)
    second = scored()(pad(student), pad(teacher), F.pad(weight, (0, 3)))
    torch.testing.assert_close(first, second)


@pytest.mark.parametrize("scenes", ["one", "all"])
def test_scenes_that_no_view_saw_are_no_nan(scenes):
    student, teacher, weight = example()
    weight[: 1 if scenes == "one" else 2] = 0
    student.requires_grad_()
    losses = scored()(student, teacher, weight)
    losses["loss"].backward()
    assert all(torch.isfinite(v) for v in losses.values())
    assert torch.isfinite(student.grad).all() and (student.grad[0] == 0).all()
    if scenes == "one":
        alone = scored()(student[1:], teacher[1:], weight[1:])
        torch.testing.assert_close(losses["loss"], alone["loss"])


def test_the_relation_tells_tokens_apart():
    """A student that gives every token the mean teacher pays for it in relation."""
    _, teacher, weight = example()
    collapsed = F.normalize(teacher.mean(dim=1, keepdim=True), dim=-1).expand_as(teacher)
    blurred = F.normalize(teacher + 0.5 * units(2, 6, 5, seed=4), dim=-1)
    score = scored()
    assert (
        score(collapsed, teacher, weight)["relation"] > score(blurred, teacher, weight)["relation"]
    )


def test_global_distance():
    a, b = units(4, 8), units(4, 8, seed=1)
    assert float(global_distance(a, a)) == pytest.approx(0, abs=1e-6)
    assert float(global_distance(a, -a)) == pytest.approx(2)
    assert float(global_distance(a, b)) == pytest.approx(float((1 - (a * b).sum(-1)).mean()))
    torch.testing.assert_close(global_distance(3 * a, b), global_distance(a, b))


# Alignment


def naming(**options):
    """Six names of which 0 and 1 mean nearly the same."""
    words = units(6, 8, seed=2)
    words[1] = F.normalize(words[0] + 0.1 * words[3], dim=-1)
    frequency = torch.tensor([100.0, 5.0, 50.0, 1.0, 20.0, 0.0])
    return Alignment(words, frequency, **options)


def shares():
    share = torch.zeros(1, 3, 6)
    share[0, 0, 0] = 1
    share[0, 1, 2], share[0, 1, 3] = 0.25, 0.75
    return share


def test_alignment_equals_the_slow_twin():
    score, features = naming(scale=10.0, prior=0.5, cosine=0.5), units(1, 3, 8, seed=4)
    compete = torch.tensor([[True, True, True, True, False, True]])
    weight = torch.tensor([[1.0, 0.5, 0.0]])
    smooth = [f + 176 / 6 * 0.01 for f in (100, 5, 50, 1, 20, 0)]
    total = 0.0
    for t, w in enumerate(weight[0].tolist()):
        share = shares()[0, t].tolist()
        cosine = (features[0, t] @ score.words.T).tolist()
        logits = [
            10 * c + 0.5 * math.log(f / max(smooth)) for c, f in zip(cosine, smooth, strict=True)
        ]
        # Name 4 does not compete; 1 is kin of the first token's name.
        heard = [j for j in range(6) if j != 4 and not (t == 0 and j == 1)]
        norm = math.log(sum(math.exp(logits[j]) for j in heard))
        total += w * sum(share[j] * (norm - logits[j]) for j in heard)
        word = F.normalize(torch.tensor(share) @ score.words, dim=-1)
        total += w * 0.5 * (1 - float(features[0, t] @ word))
    got = score(features, shares(), weight, compete)
    assert float(got) == pytest.approx(total / 1.5, rel=1e-4)


def test_alignment_pulls_to_the_own_word_and_pushes_no_kin():
    score = naming()
    features = F.normalize(score.words[[4, 4, 4]], dim=-1)[None].clone().requires_grad_()
    weight = torch.tensor([[1.0, 1.0, 0.0]])
    score(features, shares(), weight, torch.ones(1, 6, dtype=torch.bool)).backward()
    assert features.grad is not None and (features.grad[0, 2] == 0).all()
    step = -features.grad[0, 0]
    pulled = step @ score.words.T
    assert pulled[0] > 0 and pulled[1] > 0 and pulled[4] < min(pulled[0], pulled[1])


def test_rare_names_win_where_frequent_ones_had_the_handicap():
    flat, balanced = naming(prior=0.0), naming(prior=1.0)
    assert (flat.handicap == 0).all() and balanced.handicap[0] == balanced.handicap.max()
    assert (
        balanced.handicap[5] == balanced.handicap.min() and torch.isfinite(balanced.handicap).all()
    )
    # Sure of neither, a feature between two words is pushed to the rarer one.
    between = F.normalize(balanced.words[2] + balanced.words[3], dim=-1)[None, None].clone()
    share = torch.zeros(1, 1, 6)
    share[..., 2], share[..., 3] = 0.5, 0.5
    pushed = []
    for score in (flat, balanced):
        x = between.clone().requires_grad_()
        score(x, share, torch.ones(1, 1), torch.ones(1, 6, dtype=torch.bool)).backward()
        assert x.grad is not None
        pushed.append(float(-x.grad[0, 0] @ (score.words[3] - score.words[2])))
    assert pushed[1] > pushed[0]


def test_present_names_always_compete_and_others_now_and_then():
    generator = torch.Generator().manual_seed(0)
    draws = torch.cat([naming(absent=0.3).competitors(shares(), generator) for _ in range(300)])
    often = draws.float().mean(dim=0)
    assert (often[[0, 2, 3]] == 1).all()
    assert ((often[[1, 4, 5]] > 0.2) & (often[[1, 4, 5]] < 0.4)).all()


# Clustering


def test_sinkhorn_balances_and_survives_large_scores():
    scores = 3 * torch.randn(64, 8, generator=torch.Generator().manual_seed(0))
    scores[:, 0] += 500
    even = sinkhorn(scores.bfloat16(), rounds=50)
    assert even.dtype == torch.float32
    torch.testing.assert_close(even.sum(dim=1), torch.ones(64))
    torch.testing.assert_close(even.sum(dim=0), torch.full((8,), 8.0), atol=0.5, rtol=0)


def test_sinkhorn_equals_alternating_division():
    scores = torch.randn(5, 3, generator=torch.Generator().manual_seed(1))
    slow = scores.double().exp()
    for _ in range(3):
        slow = slow / slow.sum(dim=0) * 5 / 3
        slow = slow / slow.sum(dim=1, keepdim=True)
    torch.testing.assert_close(sinkhorn(scores).double(), slow, atol=1e-5, rtol=1e-5)


def test_clustering_sees_agreement_and_collapse():
    torch.manual_seed(0)
    score, teacher = Clustering(16, 8), units(256, 16)
    assert score(teacher, teacher)["loss"] < score(teacher.roll(1, 0), teacher)["loss"]
    spread = score(teacher, teacher)["entropy"]
    collapsed = score(teacher, teacher[:1].expand_as(teacher).clone())["entropy"]
    assert 0 <= collapsed < 0.5 < spread <= 1
    student = teacher.clone().requires_grad_()
    score(student, teacher)["loss"].backward()
    assert student.grad is not None and score.prototypes.grad is not None


# Masked point modelling


def place():
    centers = torch.rand(2, 40, 3, generator=torch.Generator().manual_seed(0)) * 10
    valid = torch.ones(2, 40, dtype=torch.bool)
    valid[1, 25:] = False
    return centers, valid


@pytest.mark.parametrize("ratio", [0.6, 0.65])
def test_blocks_fill_the_ratio_with_neighbours(ratio):
    centers, valid = place()
    mask = block_mask(centers, valid, ratio, torch.Generator().manual_seed(0))
    assert mask.sum(dim=1).tolist() == [round(ratio * 40), round(ratio * 25)]
    assert not mask[1, 25:].any()

    def apart(chosen):
        away = torch.cdist(centers[0, chosen], centers[0, chosen]).fill_diagonal_(torch.inf)
        return away.amin(dim=1).mean()

    generator = torch.Generator().manual_seed(1)
    blocks = [apart(block_mask(centers, valid, 0.3, generator)[0]) for _ in range(20)]
    chance = [apart(torch.randperm(40, generator=generator)[:12]) for _ in range(20)]
    assert sum(blocks) < sum(chance), "masked tokens lie nearer together than by chance"


def test_pitch_is_the_median_nearest_distance():
    line = torch.tensor([[[0.0, 0, 0], [1, 0, 0], [3, 0, 0], [9, 9, 9]]])
    valid = torch.tensor([[True, True, True, False]])
    torch.testing.assert_close(pitches(line, valid), torch.tensor([1.0]))


def test_masked_tokens_are_blank_but_for_a_jittered_place():
    torch.manual_seed(0)
    tokenizer, modelling = Tokenizer(32), MaskedModelling(256, 16, jitter=0.0)
    centers, valid = place()
    inputs = torch.randn(2, 40, 32, SAMPLE_CHANNELS), torch.randn(2, 40, COLUMNS), centers
    hide = lambda i, m: m.hide(tokenizer, i, valid, torch.Generator().manual_seed(3))  # noqa: E731
    embeddings, mask = hide(inputs, modelling)
    plain, _ = tokenizer(*inputs)
    torch.testing.assert_close(embeddings[~mask], plain[~mask])
    assert not torch.isclose(embeddings[mask], plain[mask]).all(dim=-1).any()
    # Their looks are gone: other samples and shapes change nothing. Their place is not.
    other, _ = hide((inputs[0] + 1, inputs[1] - 1, centers), modelling)
    torch.testing.assert_close(other[mask], embeddings[mask])
    jittered, same = hide(inputs, MaskedModelling(256, 16, jitter=0.3))
    assert (same == mask).all() and not torch.isclose(jittered[mask], embeddings[mask]).all()
    loss = modelling(units(2, 40, 16), units(2, 40, 16, seed=1), mask)
    loss.backward()
    assert 0 <= loss <= 2 and modelling.predict[0].weight.grad is not None


# Teacher


def test_the_teacher_follows_slowly_and_learns_nothing():
    torch.manual_seed(0)
    student = torch.nn.Linear(3, 2)
    teacher = AverageTeacher(student, 0.9)
    before = student.weight.clone()
    with torch.no_grad():
        student.weight += 1
    torch.testing.assert_close(teacher.model.weight, before)
    teacher.update(student)
    torch.testing.assert_close(teacher.model.weight, before + 0.1)
    assert not teacher(torch.ones(1, 3)).requires_grad
    assert not any(p.requires_grad for p in teacher.parameters())
    with pytest.raises(ValueError, match="momentum: expected a number in"):
        AverageTeacher(student, 1.0)

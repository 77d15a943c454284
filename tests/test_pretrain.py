"""The recipe end to end, tiny: scenes, image tower, tokenizers; resumable and label-free."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from s4token import checkpoint
from s4token.backbone import SMALL_CLIP, FrozenCLIP, build
from s4token.bank import Bank, scene_groups, token_inputs
from s4token.clip_pretrain import (
    ClipPretrainConfig,
    augment,
    patch_targets,
    pretrain_clip,
    split,
)
from s4token.model import load
from s4token.pretrain import PretrainConfig, augment_tokens, pretrain_all


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
    with np.load(bank.path(1)) as first, np.load(again.path(1)) as second:
        assert set(first) == set(second)
        for name in first:
            np.testing.assert_array_equal(first[name], second[name])
    stamp = bank.path(0).stat().st_mtime_ns
    bank.build(range(3))
    assert bank.path(0).stat().st_mtime_ns == stamp
    assert not list(bank.folder.glob(".*"))


def test_scene_holds_consistent_views_and_tokens(built):
    _, bank = built
    with np.load(bank.path(0)) as scene:
        assert scene["images"].shape == (3, 128, 128, 3)
        assert scene["pixel_labels"].shape == scene["pixel_points"].shape == (3, 64, 64)
        assert (scene["pixel_labels"][scene["pixel_points"] < 0] == 0).all()
        assert scene["pixel_labels"].max() <= len(scene["classes"])
        for name in ("superpoint", "knn", "radius"):
            groups, inputs = scene_groups(scene, name), token_inputs(scene, name)
            assert len(groups) == len(inputs.shape) == len(inputs.centers) == len(inputs.samples)
        assert scene_groups(scene, "superpoint").is_partition


def test_the_whole_recipe(built, monkeypatch):
    folder, bank = built
    config = ClipPretrainConfig(
        str(bank.folder),
        str(folder / "pack.npz"),
        str(folder / "text.safetensors"),
        steps=2,
        batch=4,
        held_out=0.3,
    )
    metrics = pretrain_clip(config, folder / "clip.safetensors", folder=folder / "clip")
    assert 0 <= metrics["patch_accuracy"] <= 100 and metrics["names"] > 10
    log = [json.loads(line) for line in (folder / "clip" / "log.jsonl").read_text().splitlines()]
    assert [r["step"] for r in log] == [0, 1]
    clip = FrozenCLIP.load(tag=folder / "clip.safetensors")
    trained = clip.clip.visual.state_dict()
    fresh = build(SMALL_CLIP).visual.state_dict()
    assert any(not torch.equal(trained[k], fresh[k]) for k in trained)

    monkeypatch.setattr(FrozenCLIP, "load", classmethod(lambda cls, name, tag=None: clip))
    before = clip.identity.sha256
    result = pretrain_all(
        "s4token-small",
        PretrainConfig(steps=2, batch=2, held_out=0.3),
        bank.folder,
        ("superpoint", "radius"),
        folder / "s4.safetensors",
        folder=folder / "pretrain",
    )
    assert -1 <= result["superpoint"]["teacher_cosine"] <= 1
    assert checkpoint.weights_sha256(clip.clip.state_dict()) == before
    model = load(folder / "s4.safetensors", clip=clip)
    assert model.tokenizers == ("superpoint", "radius") and model.trained


def test_labels_do_not_reach_the_tokenizers(built, tmp_path):
    """Students trained on scenes with and without their classes are the same to the last bit."""
    folder, bank = built
    blind = tmp_path / "bank"
    blind.mkdir()
    for number in range(3):
        with np.load(bank.path(number)) as scene:
            arrays = dict(scene) | {"pixel_labels": np.zeros_like(scene["pixel_labels"])}
            np.savez(blind / bank.path(number).name, **arrays)
    clip = FrozenCLIP(
        build(SMALL_CLIP), lambda texts: torch.zeros(1), name="x", tag="y", dense="tokens"
    )
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


def test_augment_tokens_turns_samples_and_centres_alike():
    generator = torch.Generator().manual_seed(0)
    samples, shape = torch.randn(2, 5, 32, 7), torch.randn(2, 5, 22)
    centers = samples[:, :, 0, :3].clone()
    new, _, moved = augment_tokens(samples, shape, centers, generator)
    torch.testing.assert_close(new[:, :, 0, :3], moved)
    torch.testing.assert_close(moved.norm(dim=-1), centers.norm(dim=-1))
    torch.testing.assert_close(new[..., 2], samples[..., 2])


def test_split_is_stable_and_never_empty():
    np.testing.assert_array_equal(split(50, 0.1, 3), split(50, 0.1, 3))
    assert split(50, 0.1, 3).sum() == 5 and split(3, 0.01, 0).sum() == 1

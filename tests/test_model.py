"""S4Token from cloud to unit features, and from memory to disk and back."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from s4token import checkpoint
from s4token.backbone import SMALL_NAME, FrozenCLIP, build, byte_pairs
from s4token.describe import describe, describe_levels, turned
from s4token.grouping import KNN, Radius
from s4token.model import SHAPES, S4Token, Tokenization, _levels, load, quick_count
from s4token.superpoints import Superpoints
from s4token.types import PointCloud


@pytest.mark.parametrize("tokenizer", ["superpoint", "knn", "radius"])
def test_encode(tiny_model, room_cloud, tokenizer):
    heard = []
    encoding = tiny_model.encode(
        room_cloud, tokenizer=tokenizer, progress=lambda f, s: heard.append((f, s))
    )
    assert encoding.features.shape == (96, 32) and encoding.features.dtype == np.float32
    np.testing.assert_allclose(np.linalg.norm(encoding.features, axis=1), 1, atol=1e-5)
    assert np.linalg.norm(encoding.global_feature) == pytest.approx(1, abs=1e-5)
    assert encoding.cloud is room_cloud and encoding.tokenizer == tokenizer
    assert set(encoding.seconds) == {"grouping", "describing", "transformer"}
    assert min(encoding.seconds.values()) >= 0
    fractions = [f for f, _ in heard]
    assert fractions == sorted(fractions) and (fractions[0], fractions[-1]) == (0.0, 1.0)
    assert all(stage for _, stage in heard)


def test_tokens_differ(tiny_model, room_cloud):
    features = tiny_model.encode(room_cloud).features
    assert len(np.unique(features.round(4), axis=0)) == len(features)


def test_encode_is_deterministic_and_leaves_no_gradient(tiny_model, room_cloud):
    first, second = (tiny_model.encode(room_cloud).features for _ in range(2))
    assert (first == second).all()
    assert all(p.grad is None for p in tiny_model.parameters())


def test_count_and_batches(tiny_model, room_cloud):
    inputs = [describe(room_cloud, Superpoints(m)(room_cloud)) for m in (17, 40)]
    whole, each, _ = tiny_model.encode_inputs("superpoint", inputs)
    assert each.shape == (2, 40, 32)
    alone, alone_each, _ = tiny_model.encode_inputs("superpoint", inputs[:1])
    torch.testing.assert_close(each[0, :17], alone_each[0], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(whole[0], alone[0], atol=1e-5, rtol=1e-5)


def test_an_encoding_is_the_mean_over_levels_each_from_another_side(tiny_model, room_cloud):
    unit = lambda x: x / np.linalg.norm(x, axis=-1, keepdims=True)  # noqa: E731
    levels = Superpoints(16).levels(room_cloud, [16, 32, 8, 4])
    features, whole = 0, 0
    for level, degrees in zip(levels, (0, 90, 180, 270), strict=True):
        inputs = turned(describe(room_cloud, level), degrees // 90)
        pooled, each = (f.numpy()[0] for f in tiny_model.encode_inputs("superpoint", [inputs])[:2])
        points = each[level.labels]
        features = features + np.array([points[members].mean(axis=0) for members in levels[0]])
        whole = whole + pooled
    encoding = tiny_model.encode(room_cloud, count=16)
    assert (encoding.groups.labels == levels[0].labels).all()
    np.testing.assert_allclose(encoding.features, unit(features), atol=5e-5)
    np.testing.assert_allclose(encoding.global_feature, unit(whole), atol=1e-5)


def test_one_level_is_what_the_transformer_says_of_it_and_is_noted(tiny_model, room_cloud):
    inputs = describe(room_cloud, Superpoints(16)(room_cloud))
    with tiny_model._quickest():
        whole, each, _ = tiny_model.encode_inputs("superpoint", [inputs])
    encoding = tiny_model.encode(room_cloud, count=16, levels=1)
    unit = lambda x: torch.nn.functional.normalize(x.float(), dim=-1)  # noqa: E731
    np.testing.assert_allclose(encoding.features, unit(each[0]), atol=1e-6)
    np.testing.assert_allclose(encoding.global_feature, unit(whole[0]), atol=1e-6)
    assert any("levels: 1 of 4" in note for note in encoding.notes)
    assert not any("levels" in note for note in tiny_model.encode(room_cloud, count=16).notes)
    for levels in (0, 5):
        with pytest.raises(ValueError, match="levels: expected 1 to 4"):
            tiny_model.encode(room_cloud, levels=levels)


@pytest.mark.parametrize(
    ("points", "most", "tokens"),
    [(900, 512, 128), (41_568, 512, 259), (900_000, 512, 512), (9, 16, 16)],
)
def test_a_quick_encoding_takes_a_token_for_160_points(points, most, tokens):
    assert quick_count(points, most) == tokens


def test_a_small_scan_has_fewer_tokens_where_quick_is_asked_and_no_count(tiny_clip, room_cloud):
    model = S4Token(tiny_clip, {"superpoint": Tokenization(Superpoints(512), "token")}).eval()
    tokens = lambda **how: len(model.encode(room_cloud, **how).groups)  # noqa: E731
    assert tokens(levels=1) == tokens(levels=3) == quick_count(len(room_cloud), 512) < 512
    assert tokens(levels=1, count=400) == 400
    assert tokens() == 512


@pytest.mark.parametrize("tokenizer", ["superpoint", "knn", "radius"])
@pytest.mark.parametrize(
    "points",
    [
        np.zeros((1, 3)),
        np.ones((500, 3)),
        np.random.default_rng(0).random((20, 3)),
        np.random.default_rng(0).random((500, 3)) * [1, 1, 0],
        np.random.default_rng(0).random((500, 3)) * 1e6,
    ],
)
def test_odd_clouds(tiny_model, points, tokenizer):
    encoding = tiny_model.encode(PointCloud(points), tokenizer=tokenizer)
    assert np.isfinite(encoding.features).all()
    np.testing.assert_allclose(np.linalg.norm(encoding.features, axis=1), 1, atol=1e-5)


def test_notes_say_what_a_user_must_know(tiny_model, room_cloud):
    notes = tiny_model.encode(room_cloud).notes
    assert any("untrained" in n for n in notes) and not any("colours" in n for n in notes)
    few = tiny_model.encode(PointCloud(room_cloud.points[:50])).notes
    assert any("no colours" in n for n in few) and any("50 tokens instead of 96" in n for n in few)


def test_unknown_tokenizer(tiny_model, room_cloud):
    with pytest.raises(ValueError, match=r"tokenizer: .* no 'octree'; it has superpoint, knn, rad"):
        tiny_model.encode(room_cloud, tokenizer="octree")


@pytest.mark.parametrize("tokenizer", ["superpoint", "knn", "radius"])
def test_bad_count(tiny_model, room_cloud, tokenizer):
    with pytest.raises(ValueError, match="count: expected at least 1"):
        tiny_model.encode(room_cloud, tokenizer=tokenizer, count=0)


def test_description_is_json(tiny_model):
    description = json.loads(json.dumps(tiny_model.description))
    assert description["trained"] is False and description["clip_is_small"] is False
    assert description["clip"] == "tiny" and len(description["sha256"]) == 64
    assert set(description["tokenizers"]) == {"superpoint", "knn", "radius"}
    assert description["parameters"] == sum(p.numel() for p in tiny_model.learned.parameters())


# Disk


@pytest.fixture
def saved(tiny_model, tmp_path):
    path = tmp_path / "model.safetensors"
    tiny_model.save(path, recipe={"steps": 3})
    return path


def test_round_trip(tiny_model, tiny_clip, saved, room_cloud, tmp_path):
    loaded = load(saved, clip=tiny_clip)
    assert loaded.trained and loaded.source == "model.safetensors" and loaded.recipe == {"steps": 3}
    assert loaded.tokenizations == tiny_model.tokenizations
    assert not loaded.training and not any(p.requires_grad for p in loaded.parameters())
    first, second = (m.encode(room_cloud) for m in (tiny_model, loaded))
    assert (first.features * second.features).sum(axis=1).min() > 0.999
    assert not any("untrained" in n for n in second.notes)
    loaded.save(tmp_path / "again.safetensors")
    again = load(tmp_path / "again.safetensors", clip=tiny_clip)
    assert (again.encode(room_cloud).features == second.features).all()


def test_settings_of_the_groupings_survive(tiny_clip, tmp_path):
    tokenizations = {
        "superpoint": Tokenization(Superpoints(33, 2.5), "token"),
        "knn": Tokenization(KNN(44, 5), "token"),
        "radius": Tokenization(Radius(55, 0.75, 6), "none"),
    }
    S4Token(tiny_clip, tokenizations).save(tmp_path / "m.safetensors")
    assert load(tmp_path / "m.safetensors", clip=tiny_clip).tokenizations == tokenizations


def test_another_clip_is_refused(saved, tiny_config):
    torch.manual_seed(99)
    other = FrozenCLIP(build(tiny_config), byte_pairs(1024, 16), name="tiny", tag="other")
    words = r"model\.safetensors: trained against tiny:random \(.{12}\), but .* is tiny:other"
    with pytest.raises(ValueError, match=words):
        load(saved, clip=other)


def test_the_clip_beside_the_file_is_found(tiny_clip, tiny_config, tmp_path, room_cloud):
    path = tmp_path / "my-clip.safetensors"
    checkpoint.save(
        path, tiny_clip.clip.state_dict(), kind="clip", header={"open_clip": tiny_config}
    )
    clip = FrozenCLIP.load(SMALL_NAME, path)
    model = S4Token(clip, {"superpoint": Tokenization(Superpoints(20), "token")})
    model.save(tmp_path / "m.safetensors")
    loaded = load(tmp_path / "m.safetensors")
    assert loaded.clip.identity == clip.identity and loaded.tokenizers == ("superpoint",)
    assert loaded.description["clip_is_small"]
    assert len(loaded.encode(room_cloud).features) == 20


def test_a_clip_file_is_no_model(tiny_clip, tiny_config, tmp_path):
    path = tmp_path / "clip.safetensors"
    checkpoint.save(
        path, tiny_clip.clip.state_dict(), kind="clip", header={"open_clip": tiny_config}
    )
    with pytest.raises(ValueError, match=r"clip\.safetensors: holds 'clip' weights, expected 'tok"):
        load(path, clip=tiny_clip)


def test_tokenizers_that_are_not_known_are_refused(saved, tiny_clip, tmp_path):
    state, header = checkpoint.load(saved, kind="tokenizers")
    path = tmp_path / "other.safetensors"
    for described in ({"voxel": {}}, {"knn": {}}, {"knn": {"grouping": {"x": 1}}}, {"knn": 3}):
        header["tokenizers"] = described
        kept = {k: v for k, v in header.items() if k not in ("format", "kind")}
        checkpoint.save(path, state, kind="tokenizers", header=kept)
        with pytest.raises(ValueError, match=f"^{path}: its header describes tokenizers"):
            load(path, clip=tiny_clip)


def test_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing\.safetensors"):
        load(tmp_path / "nothing.safetensors")


@pytest.mark.parametrize("device", ["gpu9", "", "cuda:x"])
def test_no_such_device(saved, tiny_clip, device):
    with pytest.raises(ValueError, match="device: "):
        load(saved, device=device, clip=tiny_clip)


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA device")
def test_no_cuda(saved, tiny_clip):
    with pytest.raises(ValueError, match=r"device: this machine has no usable CUDA device; .* cpu"):
        load(saved, device="cuda", clip=tiny_clip)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_gpu_equals_cpu(tmp_path, room_cloud, tiny_config):
    torch.manual_seed(0)
    clip = FrozenCLIP(build(tiny_config), byte_pairs(1024, 16), name="tiny", tag="random")
    S4Token(clip).save(tmp_path / "m.safetensors")
    on_cpu = load(tmp_path / "m.safetensors", clip=clip).encode(room_cloud)
    on_gpu = load(tmp_path / "m.safetensors", device="cuda", clip=clip).encode(room_cloud)
    assert (on_cpu.groups.index == on_gpu.groups.index).all()
    assert (on_cpu.features * on_gpu.features).sum(axis=1).min() > 0.999


@pytest.mark.parametrize("tokenizer", ["superpoint", "knn", "radius"])
def test_many_shapes_are_encoded_as_one_by_one(tiny_model, room_cloud, tokenizer):
    """Of several sizes, one below the number of tokens, and with and without a unit."""
    few = np.random.default_rng(0).permutation(len(room_cloud))
    clouds = [room_cloud.select(np.sort(few[:n])) for n in (700, 40, 1500, 900)]
    clouds[2] = replace(clouds[2], metres_per_unit=0.01)
    threads = torch.get_num_threads()
    found = tiny_model.encode_shapes(clouds, tokenizer=tokenizer)
    one_by_one = [tiny_model.encode(c, tokenizer=tokenizer).global_feature for c in clouds]
    alike = found @ np.stack(one_by_one).T
    assert alike.diagonal().min() > 0.999 and torch.get_num_threads() == threads
    np.testing.assert_allclose(np.linalg.norm(found, axis=1), 1, atol=1e-5)
    together = tiny_model._whole(tokenizer, *_given(tiny_model, clouds, tokenizer))
    assert (found * together).sum(axis=1).min() > 0.999  # as a GPU reads them: padded
    assert tiny_model.encode_shapes([], tokenizer=tokenizer).shape == (0, 32)


def _given(model, clouds, tokenizer):
    """Return what a GPU is given of several clouds at a time."""
    grouping, how = model.grouping(tokenizer), model.tokenizations[tokenizer].normalise
    shapes = [describe_levels(cloud, _levels(grouping, cloud), how) for cloud in clouds]
    return shapes, [cloud.metres_per_unit for cloud in clouds]


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_many_shapes_on_a_gpu(tmp_path, room_cloud, tiny_config):
    torch.manual_seed(0)
    clip = FrozenCLIP(build(tiny_config), byte_pairs(1024, 16), name="tiny", tag="random")
    S4Token(clip).save(tmp_path / "m.safetensors")
    clouds = [room_cloud.select(np.arange(n)) for n in range(40, 1400, 120)]
    on_gpu = load(tmp_path / "m.safetensors", device="cuda", clip=clip)
    found = on_gpu.encode_shapes(clouds)
    one_by_one = np.stack([on_gpu.encode(cloud).global_feature for cloud in clouds])
    assert len(clouds) > SHAPES and (found * one_by_one).sum(axis=1).min() > 0.999


@pytest.mark.parametrize("tokenizer", ["superpoint", "knn", "radius"])
def test_in_bfloat16_as_on_a_gpu_features_are_the_same(tiny_model, room_cloud, tokenizer):
    inputs = [describe(room_cloud, tiny_model.grouping(tokenizer)(room_cloud))]
    full = tiny_model.encode_inputs(tokenizer, inputs)
    with torch.autocast("cpu", torch.bfloat16):
        half = tiny_model.encode_inputs(tokenizer, inputs)
    for a, b in zip(full[:2], half[:2], strict=True):
        assert b.dtype == torch.bfloat16
        assert torch.nn.functional.cosine_similarity(a, b.float(), dim=-1).min() > 0.999

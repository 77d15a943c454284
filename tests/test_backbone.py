"""The frozen CLIP: the seam where tokens enter, padding, text, and every way loading can fail."""

from __future__ import annotations

import copy

import open_clip
import pytest
import torch
import torch.nn.functional as F

from s4token import backbone, checkpoint
from s4token.backbone import (
    SMALL_NAME,
    FrozenCLIP,
    _check_config,
    _self_path,
    build,
    byte_pairs,
    small_tokenizer,
)
from s4token.text_store import TextStore

SMALL = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 32, "patch_size": 8, "width": 64, "layers": 2, "head_width": 32},
    "text_cfg": {"context_length": 16, "vocab_size": 1024, "width": 64, "heads": 2, "layers": 1},
}
# The architecture of OpenAI's models, smaller: quick GELU, more layers, pictures of 4 x 4 patches.
OPENAI_LIKE = {
    "embed_dim": 48,
    "quick_gelu": True,
    "vision_cfg": {"image_size": 64, "patch_size": 16, "width": 96, "layers": 3, "head_width": 32},
    "text_cfg": {"context_length": 16, "vocab_size": 1024, "width": 64, "heads": 2, "layers": 2},
}
REAL = "ViT-S-32-alt"
"""The smallest plain architecture of open_clip's list, to load by name."""


def frozen(config, dense="tokens", seed=0):
    torch.manual_seed(seed)
    clip = build(config)
    # Away from the initial values, which hide a forgotten bias or gain.
    with torch.no_grad():
        for p in clip.parameters():
            p.add_(0.02 * torch.randn_like(p))
    return FrozenCLIP(clip, byte_pairs(1024, 16), name="test", tag="random", dense=dense)


@pytest.fixture(scope="module", params=[SMALL, OPENAI_LIKE], ids=["small", "openai"])
def clip(request):
    return frozen(request.param)


def pictures(clip, count=3, seed=0):
    generator = torch.Generator().manual_seed(seed)
    size = clip.image_size
    return torch.randint(0, 256, (count, size, size, 3), generator=generator, dtype=torch.uint8)


def tokens(clip, batch=2, count=10, seed=0):
    return torch.randn(batch, count, clip.width, generator=torch.Generator().manual_seed(seed))


# The seam


@torch.no_grad()
def test_a_pictures_own_patches_give_the_picture(clip):
    images = clip.normalise(pictures(clip))
    whole, _ = clip._encode_batch(clip.patch_embeddings(images), None)
    assert (whole - F.normalize(clip.clip.visual(images), dim=-1)).abs().max() < 1e-6
    assert (whole - F.normalize(clip.clip.encode_image(images), dim=-1)).abs().max() < 1e-6


@pytest.mark.parametrize("dense", ["tokens", "value"])
@torch.no_grad()
def test_encode_image_equals_the_tower(dense):
    clip = frozen(OPENAI_LIKE, dense)
    images = pictures(clip)
    whole, patches = clip.encode_image(images)
    expected = F.normalize(clip.clip.visual(clip.normalise(images)), dim=-1)
    torch.testing.assert_close(whole, expected, atol=1e-6, rtol=1e-6)
    assert patches.shape == (3, 16, 48)
    torch.testing.assert_close(patches.norm(dim=-1), torch.ones(3, 16))


@torch.no_grad()
def test_value_path_equals_attention_to_itself_alone():
    clip = frozen(OPENAI_LIKE, "value")
    visual = clip.clip.visual
    x = visual._embeds(clip.normalise(pictures(clip)))
    *before, last = visual.transformer.resblocks
    for block in before:
        x = block(x)
    alone = torch.full((x.shape[1], x.shape[1]), float("-inf")).fill_diagonal_(0)
    y = last.ln_1(x)
    y, _ = last.attn(y, y, y, attn_mask=alone, need_weights=False)
    expected = F.normalize(visual.ln_post(y)[:, 1:] @ visual.proj, dim=-1)
    _, patches = clip.encode_image(pictures(clip))
    torch.testing.assert_close(patches, expected, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_self_path_with_query_and_key_is_the_blocks_own_attention():
    """The trick switched off: nothing else is left that could differ."""
    clip = frozen(OPENAI_LIKE)
    visual = clip.clip.visual
    x = visual._embeds(clip.normalise(pictures(clip)))
    block = visual.transformer.resblocks[-1]
    y = block.ln_1(x)
    expected, _ = block.attn(y, y, y, need_weights=False)
    torch.testing.assert_close(_self_path(block, x, ("qk",)), expected, atol=1e-6, rtol=1e-6)
    assert (_self_path(block, x) - expected).abs().max() > 1e-3


@torch.no_grad()
def test_self_path_equals_a_loop_over_heads():
    clip = frozen(OPENAI_LIKE, "self")
    visual = clip.clip.visual
    x = visual._embeds(clip.normalise(pictures(clip)))
    *before, last = visual.transformer.resblocks
    for block in before:
        x = block(x)
    joint = F.linear(last.ln_1(x), last.attn.in_proj_weight, last.attn.in_proj_bias)
    q, k, v = joint.chunk(3, dim=-1)
    out = torch.zeros_like(v)
    for head in range(3):
        part = slice(32 * head, 32 * head + 32)
        a, b = (t[..., part] @ t[..., part].mT / 32**0.5 for t in (q, k))
        out[..., part] = (a.softmax(-1) + b.softmax(-1)) / 2 @ v[..., part]
    expected = visual.ln_post(last.attn.out_proj(out))[:, 1:] @ visual.proj
    whole, patches = clip.encode_image(pictures(clip))
    torch.testing.assert_close(patches, F.normalize(expected, dim=-1), atol=1e-5, rtol=1e-5)
    plain, _ = frozen(OPENAI_LIKE, "tokens").encode_image(pictures(clip))
    torch.testing.assert_close(whole, plain, atol=1e-6, rtol=1e-6)


@torch.no_grad()
def test_dense_features_are_the_towers_own_where_the_trick_is_off():
    clip = frozen(OPENAI_LIKE, "tokens")
    visual = clip.clip.visual
    visual.output_tokens = True
    _, tokens = visual(clip.normalise(pictures(clip)))
    _, patches = clip.encode_image(pictures(clip))
    expected = F.normalize(tokens @ visual.proj, dim=-1)
    torch.testing.assert_close(patches, expected, atol=1e-6, rtol=0)


def test_pictures_are_normalised_as_clip_does(clip):
    images = pictures(clip)
    expected = (images[1, 5, 7].double() / 255 - clip.mean.flatten()) / clip.std.flatten()
    torch.testing.assert_close(
        clip.normalise(images)[1, :, 5, 7].double(), expected, atol=1e-6, rtol=1e-6
    )


# Padding


@torch.no_grad()
def padded(clip, encode):
    """Largest gap between features of 4, 10 and 7 tokens padded together, and each alone."""
    x, counts = tokens(clip, 3), (4, 10, 7)
    valid = torch.arange(10) < torch.tensor(counts)[:, None]
    x = torch.where(valid[..., None], x, 1e3)
    whole, each = encode(x, valid)
    alone = [clip.encode_tokens(x[b : b + 1, :n]) for b, n in enumerate(counts)]
    gaps = [(whole[b] - alone[b][0][0]).abs().max() for b in range(3)]
    gaps += [(each[b, :n] - alone[b][1][0]).abs().max() for b, n in enumerate(counts)]
    return float(max(gaps))


def test_padding_changes_nothing(clip):
    assert padded(clip, clip._encode_batch) < 1e-5
    assert padded(clip, clip.encode_tokens) < 1e-5


def test_padding_test_sees_the_boolean_trap(clip, monkeypatch):
    """open_clip adds a boolean mask as numbers: the error the test above must catch."""
    right = clip._padding_mask
    monkeypatch.setattr(
        clip, "_padding_mask", lambda v, dtype: None if v is None else right(v, dtype) < 0
    )
    assert padded(clip, clip._encode_batch) > 1e-3
    monkeypatch.setattr(clip, "_padding_mask", lambda v, dtype: None)
    assert padded(clip, clip._encode_batch) > 1e-3


@torch.no_grad()
def test_tokens_have_no_order(clip):
    order = torch.randperm(10)
    whole, each = clip.encode_tokens(tokens(clip))
    mixed, mixed_each = clip.encode_tokens(tokens(clip)[:, order])
    torch.testing.assert_close(mixed, whole, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(mixed_each, each[:, order], atol=1e-5, rtol=1e-5)


# Frozen


def test_frozen_means_frozen(clip):
    assert not any(p.requires_grad for p in clip.parameters())
    clip.train()
    assert not any(m.training for m in clip.modules())
    torch.nn.ModuleList([clip]).train()
    assert not any(m.training for m in clip.modules())


def test_gradients_flow_to_the_tokens_only(clip):
    x = tokens(clip).requires_grad_()
    whole, each = clip.encode_tokens(x)
    (whole.sum() + each[:, 0].sum()).backward()
    assert x.grad is not None and torch.isfinite(x.grad).all()
    assert (x.grad.abs().sum(dim=-1) > 0).all()
    assert all(p.grad is None for p in clip.parameters())


def test_a_tower_without_tokens_is_refused():
    config = SMALL | {"vision_cfg": {"image_size": 32, "layers": [1, 1, 1, 1], "width": 8}}
    with pytest.raises(ValueError, match=r"resnet: .*ModifiedResNet.*ViT-B-32"):
        FrozenCLIP(build(config), byte_pairs(1024, 16), name="resnet", tag="")


# Words

TEXTS = ["chair", "a photo of a chair", "Stühle 🪑 椅子 кресло", "", "word " * 500, "<end_of_text>"]


@pytest.mark.parametrize("vocab", [514, 600, 1024, 16384, 49408])
def test_tokens_fit_the_vocabulary(vocab):
    ids = byte_pairs(vocab, 16)(TEXTS)
    assert ids.shape == (len(TEXTS), 16) and ids.max() < vocab and ids.min() >= 0
    assert (ids[:, 0] == vocab - 2).all()
    # Pooling takes the first largest id: the end token must be there and be the largest.
    assert (ids.max(dim=1).values == vocab - 1).all()
    assert ids[4, -1] == vocab - 1, "a long prompt still ends"


def test_small_vocabulary_spells_the_same_words():
    tokenizer = byte_pairs(1024, 32)
    word = {i: piece for piece, i in tokenizer.encoder.items() if i < 1022}
    ids = [int(i) for i in tokenizer(["a red chair by the window"])[0] if i not in (0, 1022, 1023)]
    assert "".join(word[i] for i in ids).replace("</w>", " ").strip() == "a red chair by the window"


def test_full_vocabulary_is_open_clips_own():
    expected = open_clip.get_tokenizer("ViT-B-32")(TEXTS)
    assert (byte_pairs(49408, 77)(TEXTS) == expected).all()
    assert small_tokenizer()(["chair"]).shape == (1, 32)


def test_text_rows_are_units_and_remembered(monkeypatch):
    clip = frozen(SMALL)
    seen = []
    spell = clip.tokenize
    monkeypatch.setattr(clip, "tokenize", lambda texts: seen.extend(texts) or spell(texts))
    first = clip.encode_text(["chair", "table", "chair"])
    again = clip.encode_text(["table", "lamp", "chair"])
    assert seen == ["chair", "table", "lamp"]
    assert (first[0] == first[2]).all() and (first[0] == again[2]).all()
    assert (first[1] == again[0]).all() and not (first[0] == first[1]).all()
    torch.testing.assert_close(first.norm(dim=-1), torch.ones(3))
    with torch.no_grad():
        expected = F.normalize(clip.clip.encode_text(spell(["lamp"])), dim=-1)
    torch.testing.assert_close(again[1:2], expected, atol=1e-6, rtol=1e-6)


def test_texts_are_kept_on_disk_by_model_and_words(tmp_path, monkeypatch):
    clip = frozen(SMALL)
    clip.text_store = TextStore(tmp_path)
    texts = ["a chair", "a table"]
    first = clip.encode_text(texts)
    assert len(list(tmp_path.glob("*.npy"))) == 1
    spell = clip.tokenize
    again = frozen(SMALL)
    again.text_store = TextStore(tmp_path)
    monkeypatch.setattr(again, "tokenize", lambda texts: pytest.fail("encoded again"))
    assert (again.encode_text(texts) == first).all()
    assert (again.encode_text(texts[:1]) == first[:1]).all()  # in memory by now
    monkeypatch.setattr(again, "tokenize", spell)
    again.encode_text(["a lamp"])
    other = frozen(SMALL, seed=1)
    other.text_store = TextStore(tmp_path)
    assert not torch.equal(other.encode_text(texts), first)
    assert len(list(tmp_path.glob("*.npy"))) == 3


def test_text_memory_is_bounded(monkeypatch):
    clip = frozen(SMALL)
    monkeypatch.setattr(backbone, "TEXT_CACHE_ROWS", 3)
    rows = clip.encode_text([f"word {i}" for i in range(100)])
    assert torch.allclose(clip.encode_text(["word 7", "word 99"]), rows[[7, 99]], atol=1e-6)
    assert len(clip._text_cache) <= 3


# Identity and loading


def test_identity_names_the_weights():
    clip = frozen(SMALL)
    twin = FrozenCLIP(copy.deepcopy(clip.clip), clip.tokenize, name="test", tag="random")
    assert twin.identity == clip.identity and len(clip.identity.sha256) == 64
    other = copy.deepcopy(clip.clip)
    other.visual.proj[0, 0] += 0.01
    changed = FrozenCLIP(other, clip.tokenize, name="test", tag="random")
    assert changed.identity.sha256 != clip.identity.sha256


def test_small_clip_loads_from_its_file(tmp_path):
    clip = frozen(SMALL)
    path = tmp_path / "my-clip.safetensors"
    checkpoint.save(path, clip.clip.state_dict(), kind="clip", header={"open_clip": SMALL})
    loaded = FrozenCLIP.load(SMALL_NAME, path)
    assert (loaded.name, loaded.tag, loaded.dense) == (SMALL_NAME, "my-clip.safetensors", "tokens")
    assert loaded.identity.sha256 == clip.identity.sha256
    cosine = (loaded.encode_text(["chair"]) * clip.encode_text(["chair"])).sum()
    assert cosine > 0.999, "stored in half precision"


def test_real_architecture_loads_by_name_and_path(tmp_path):
    clip = open_clip.create_model(REAL)
    path = tmp_path / "weights.pt"
    torch.save(clip.state_dict(), path)
    loaded = FrozenCLIP.load(REAL, path)
    assert loaded.identity.sha256 == checkpoint.weights_sha256(clip.state_dict())
    assert (loaded.width, loaded.embed_dim, loaded.grid, loaded.image_size) == (384, 256, 7, 224)
    assert loaded.encode_text(["chair"]).shape == (1, 256)
    with torch.no_grad():
        images = loaded.normalise(pictures(loaded, 1))
        whole, each = loaded.encode_tokens(loaded.patch_embeddings(images))
        assert (whole - F.normalize(loaded.clip.visual(images), dim=-1)).abs().max() < 1e-6
    assert each.shape == (1, 49, 256)


REAL_TOWERS = [
    ("ViT-B-32", 768, 512, 7),
    pytest.param("ViT-B-16", 768, 512, 14, marks=pytest.mark.slow),
    pytest.param("ViT-B-16-quickgelu", 768, 512, 14, marks=pytest.mark.slow),
    pytest.param("ViT-L-14", 1024, 768, 16, marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("name", "width", "embed_dim", "grid"), REAL_TOWERS)
@torch.no_grad()
def test_seam_and_dense_features_of_the_real_architectures(name, width, embed_dim, grid):
    torch.manual_seed(0)
    model = open_clip.create_model(name)
    clip = FrozenCLIP(model, open_clip.get_tokenizer(name), name=name, tag="random", dense="self")
    assert (clip.width, clip.embed_dim, clip.grid, clip.image_size) == (width, embed_dim, grid, 224)
    shown = pictures(clip, 1)
    images = clip.normalise(shown)
    whole, each = clip.encode_tokens(clip.patch_embeddings(images))
    assert (whole - F.normalize(model.visual(images), dim=-1)).abs().max() == 0
    pooled, patches = clip.encode_image(shown)
    assert each.shape == patches.shape == (1, grid**2, embed_dim)
    torch.testing.assert_close(pooled, whole, atol=1e-5, rtol=1e-5)
    assert clip.encode_text(["chair"]).shape == (1, embed_dim)


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("ViT-B-16-SigLIP", "timm's vit_base_patch16_siglip_224"),
        ("MobileCLIP-S1", "timm's fastvit_mci1"),
        ("MobileCLIP-B", "timm's vit_base_mci_224"),
        ("EVA02-B-16", "timm's eva02_base_patch16_clip_224"),
        ("RN50", "a ResNet"),
        ("coca_ViT-B-32", "a ViT with another pooling"),
    ],
)
def test_towers_without_our_seam_are_refused_before_anything_is_fetched(monkeypatch, name, kind):
    monkeypatch.setattr(open_clip, "create_model_and_transforms", lambda *a, **k: pytest.fail("x"))
    with pytest.raises(ValueError, match=rf"the image tower of '{name}' is {kind}.*ViT-B-16"):
        FrozenCLIP.load(name, "openai")


def test_every_plain_vit_of_open_clip_passes_the_check():
    taken = 0
    for name in open_clip.list_models():
        vision = open_clip.get_model_config(name)["vision_cfg"]
        own = "timm_model_name" not in vision and not isinstance(vision["layers"], list)
        if own and not vision.get("attentional_pool") and vision.get("pool_type", "tok") == "tok":
            _check_config(name, open_clip.get_model_config(name))
            taken += 1
    assert taken > 20


def test_a_tower_that_pools_by_attention_is_refused():
    vision = OPENAI_LIKE["vision_cfg"] | {"attentional_pool": True, "attn_pooler_heads": 3}
    with pytest.raises(ValueError, match="pools without a class token"):
        frozen(OPENAI_LIKE | {"vision_cfg": vision})


@pytest.mark.parametrize(("tag", "quick"), [("openai", True), ("laion2b_s34b_b79k", False)])
def test_openai_weights_get_the_activation_that_they_were_trained_with(monkeypatch, tag, quick):
    asked = {}

    def create(name, **options):
        asked.update(options)
        return build(OPENAI_LIKE), None, None

    monkeypatch.setattr(open_clip, "create_model_and_transforms", create)
    FrozenCLIP.load("ViT-B-32", tag, dense="self")
    assert asked == {"pretrained": tag, "force_quick_gelu": quick}


@pytest.mark.parametrize("kind", ["garbage.pt", "garbage.safetensors", "other.pt", "list.pt"])
def test_files_that_hold_no_such_weights(tmp_path, kind):
    path = tmp_path / kind
    if kind.startswith("garbage"):
        path.write_bytes(b"no weights" * 50)
    else:
        torch.save([1, 2] if kind == "list.pt" else {"a": torch.zeros(3)}, path)
    with pytest.raises(ValueError, match=rf"{kind} holds no weights of {REAL}") as caught:
        FrozenCLIP.load(REAL, path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "tag", "words"),
    [
        ("ViT-B-99", "openai", "no model 'ViT-B-99'; e.g. ViT-B-16:openai"),
        ("", "openai", "no model ''"),
        ("ViT-B-32", "opnai", "no pretrained tag 'opnai'; known: openai, .* path to weights"),
        ("ViT-B-32", None, "no pretrained tag ''"),
        ("ViT-B-32", "missing.pt", "no pretrained tag 'missing.pt'"),
    ],
)
def test_unknown_names(name, tag, words):
    with pytest.raises(ValueError, match=f"clip: .*{words}"):
        FrozenCLIP.load(name, tag)


@pytest.mark.parametrize("error", [OSError, RuntimeError])
def test_no_network(monkeypatch, error):
    def unreachable(*args, **kwargs):
        raise error("the hub\nis far")

    monkeypatch.setattr(open_clip, "create_model_and_transforms", unreachable)
    with pytest.raises(ConnectionError, match=r"ViT-B-32:openai could not be fetched: the hub$"):
        FrozenCLIP.load("ViT-B-32", "openai")


def test_missing_small_clip(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing\.safetensors"):
        FrozenCLIP.load(SMALL_NAME, tmp_path / "nothing.safetensors")

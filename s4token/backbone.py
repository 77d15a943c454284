"""The frozen CLIP that reads 3D tokens, images and words: the only file that knows open_clip."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, UInt8
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from s4token import checkpoint
from s4token.text_store import TextStore

SMALL_NAME = "s4token-small"
SMALL_CLIP: dict[str, Any] = {
    "embed_dim": 256,
    "vision_cfg": {
        "image_size": 128,
        "patch_size": 16,
        "width": 256,
        "layers": 6,
        "head_width": 64,
    },
    "text_cfg": {
        "context_length": 32,
        "vocab_size": 16384,
        "width": 192,
        "heads": 3,
        "layers": 4,
    },
}
"""open_clip configuration of the small CLIP-text-aligned model that this project trains."""

TEXT_CACHE_ROWS = 20_000
KERNELS = [SDPBackend.FLASH_ATTENTION, SDPBackend.EFFICIENT_ATTENTION, SDPBackend.MATH]
Dense = Literal["tokens", "value", "self"]
PictureStyle = Literal["photo", "relief"]
"""What rendered views show: colours, or brightness, height and warmth (``multiview.draw``)."""


@dataclass(frozen=True)
class ClipIdentity:
    """Name a CLIP exactly: open_clip architecture, pretrained tag and hash of the weights."""

    name: str
    tag: str
    sha256: str

    def as_dict(self) -> dict[str, str]:
        return asdict(self)


def build(config: Mapping[str, Any]) -> nn.Module:
    """Build a randomly initialised open_clip ``CLIP`` from an open_clip configuration."""
    from open_clip.model import CLIP

    return CLIP(**config)


def small_tokenizer() -> Callable[[list[str]], Tensor]:
    """Return the tokenizer of the small CLIP: list[str] -> (n, 32) int64."""
    text = SMALL_CLIP["text_cfg"]
    return byte_pairs(text["vocab_size"], text["context_length"])


def byte_pairs(vocab_size: int = 49408, context_length: int = 77) -> Callable[[list[str]], Tensor]:
    """Return CLIP's byte-pair encoding with only as many merges as ``vocab_size`` allows.

    Merges are ranked by frequency, so a smaller vocabulary is a prefix of the larger one; the two
    special tokens take the last two ids, as the end token must be the highest.
    """
    from open_clip.tokenizer import SimpleTokenizer

    tokenizer = SimpleTokenizer(context_length=context_length)
    if vocab_size < tokenizer.vocab_size:
        merges = vocab_size - 2 * 256 - 2
        tokenizer.bpe_ranks = {m: r for m, r in tokenizer.bpe_ranks.items() if r < merges}
        tokenizer.sot_token_id, tokenizer.eot_token_id = vocab_size - 2, vocab_size - 1
        tokenizer.encoder |= {"<start_of_text>": vocab_size - 2, "<end_of_text>": vocab_size - 1}
        tokenizer.vocab_size = vocab_size
    return tokenizer


def _channels(values: Sequence[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float32).view(1, 3, 1, 1)


def _value_path(block: Any, x: Float[Tensor, "B T D"]) -> Float[Tensor, "B T D"]:
    """Return a block's attention output when every token attends to itself alone."""
    attn, width = block.attn, x.shape[-1]
    weight, bias = attn.in_proj_weight[2 * width :], attn.in_proj_bias[2 * width :]
    return attn.out_proj(F.linear(block.ln_1(x), weight, bias))


def _self_path(
    block: Any, x: Float[Tensor, "B T D"], pairs: Sequence[str] = ("qq", "kk")
) -> Float[Tensor, "B T D"]:
    """Return a block's attention output with other similarities than query with key.

    pairs: whose products are turned into weights, averaged over the pairs. ``("qk",)`` is the
    block's own attention; query with query and key with key keep tokens of one thing together
    (SCLIP, arXiv 2312.01597, equation 4).
    """
    attn, (batch, count, width) = block.attn, x.shape
    joint = F.linear(block.ln_1(x), attn.in_proj_weight, attn.in_proj_bias)
    heads = joint.view(batch, count, 3, attn.num_heads, -1).permute(2, 0, 3, 1, 4)
    part = dict(zip("qkv", heads, strict=True))
    scale = heads.shape[-1] ** -0.5
    weights = [(scale * part[a] @ part[b].transpose(-1, -2)).softmax(dim=-1) for a, b in pairs]
    mixed = torch.stack(weights).mean(dim=0) @ part["v"]
    return attn.out_proj(mixed.transpose(1, 2).reshape(batch, count, width))


def _check_tower(name: str, visual: Any) -> None:
    """Raise ValueError unless tokens can take the place of this image tower's patches."""
    wanted = "S4Token needs open_clip's own VisionTransformer, as in ViT-B-32, ViT-B-16 or ViT-L-14"
    if not all(hasattr(visual, a) for a in ("conv1", "class_embedding", "transformer", "proj")):
        raise ValueError(f"{name}: its image tower is {type(visual).__name__}; {wanted}")
    if visual.attn_pool is not None or visual.pool_type != "tok" or visual.proj is None:
        raise ValueError(f"{name}: its image tower pools without a class token; {wanted}")


def _check_config(name: str, config: Mapping[str, Any]) -> None:
    """Refuse a tower that cannot be used before its weights are fetched."""
    vision = config["vision_cfg"]
    kind = vision.get("timm_model_name") or vision.get("hf_model_name")
    kind = f"timm's {kind}" if kind else ""
    if isinstance(vision.get("layers"), list):
        kind = "a ResNet"
    elif vision.get("attentional_pool") or vision.get("pool_type", "tok") != "tok":
        kind = kind or "a ViT with another pooling"
    if kind:
        raise ValueError(
            f"clip: the image tower of '{name}' is {kind}; S4Token needs open_clip's own ViT, "
            "pooled by its class token, such as ViT-B-16:openai, ViT-B-32:laion2b_s34b_b79k or "
            "ViT-L-14:openai"
        )


def _linear(x: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    return F.linear(x, weight.to(x.dtype), bias.to(x.dtype))


def _norm(norm: nn.LayerNorm, x: Tensor) -> Tensor:
    weight, bias = norm.weight.to(x.dtype), norm.bias.to(x.dtype)
    return F.layer_norm(x, norm.normalized_shape, weight, bias, norm.eps)


def _attention(attn: Any, x: Float[Tensor, "B T D"], mask: Tensor | None) -> Tensor:
    """Return what ``nn.MultiheadAttention`` returns for ``attn(x, x, x, attn_mask=mask)``.

    mask: (B, 1, 1, T), added to the logits.
    """
    batch, tokens, width = x.shape
    parts = _linear(x, attn.in_proj_weight, attn.in_proj_bias)
    q, k, v = parts.view(batch, tokens, 3, attn.num_heads, -1).permute(2, 0, 3, 1, 4)
    if x.device.type == "cpu":
        logits = (q * q.shape[-1] ** -0.5) @ k.mT
        mixed = (logits if mask is None else logits + mask).softmax(dim=-1) @ v
    else:
        mixed = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
    mixed = mixed.transpose(1, 2).reshape(batch, tokens, width)
    return _linear(mixed, attn.out_proj.weight, attn.out_proj.bias)


def _run(blocks: Any, x: Float[Tensor, "B T D"], mask: Tensor | None = None) -> Tensor:
    """Run open_clip's residual attention blocks, in the precision of autocast if that is on.

    On a CPU several times faster than the modules themselves: PyTorch's attention copies strided
    matrices, its fused kernel is slow for short sequences, and autocast goes back to float32 for
    every norm and softmax (docs/LOG.md).
    """
    device = x.device.type
    if torch.is_autocast_enabled(device):
        x = x.to(torch.get_autocast_dtype(device))
        mask = None if mask is None else mask.to(x.dtype)
    # cuDNN's kernel makes a plan for every new number of tokens (docs/LOG.md).
    with torch.autocast(device, enabled=False), sdpa_kernel(KERNELS):
        for block in blocks:
            fc, proj = block.mlp.c_fc, block.mlp.c_proj
            y = _attention(block.attn, _norm(block.ln_1, x), mask)
            x = x + block.ls_1(y).to(x.dtype)
            y = block.mlp.gelu(_linear(_norm(block.ln_2, x), fc.weight, fc.bias))
            x = x + block.ls_2(_linear(y, proj.weight, proj.bias)).to(x.dtype)
    return x


class FrozenCLIP(nn.Module):
    """Hold an open_clip model whose weights never change.

    ``encode_tokens`` puts 3D tokens where the patch embeddings of an image would be, behind the
    class token and in front of ``ln_pre``. ``dense`` says how patch features become text-aligned:
    ``tokens`` where the model was trained for it, ``value`` for ordinary CLIP (MaskCLIP,
    arXiv 2112.01071: the last block's value path instead of its attention) or ``self`` (attention
    of queries with queries and keys with keys, ``_self_path``; the residual and the MLP are left
    out in both, as ClearCLIP, arXiv 2407.12442, recommends).
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        clip: nn.Module,
        tokenizer: Callable[[list[str]], Tensor],
        *,
        name: str,
        tag: str,
        dense: Dense = "value",
    ) -> None:
        super().__init__()
        visual: Any = getattr(clip, "visual", None)
        _check_tower(name, visual)
        self.clip: Any = clip.eval().requires_grad_(False)
        self.tokenize = tokenizer
        self.name, self.tag, self.dense = name, tag, dense
        self.pictures: PictureStyle = "relief" if dense == "tokens" else "photo"
        self.image_size: int = visual.image_size[0]
        self.grid: int = visual.grid_size[0]
        self.width: int = visual.class_embedding.shape[0]
        self.embed_dim: int = visual.proj.shape[1]
        self._text_cache: dict[str, Tensor] = {}
        self.text_store: TextStore | None = None
        config = getattr(visual, "preprocess_cfg", None) or {}
        self.register_buffer("mean", _channels(config.get("mean", (0.481, 0.458, 0.408))), False)
        self.register_buffer("std", _channels(config.get("std", (0.269, 0.261, 0.276))), False)

    @classmethod
    def load(
        cls, name: str = SMALL_NAME, tag: str | Path | None = None, *, dense: Dense = "value"
    ) -> FrozenCLIP:
        """Load a CLIP by open_clip name and pretrained tag, or a file that this project trained.

        name: ``s4token-small`` or an open_clip architecture such as ``ViT-B-16``.
        tag: a pretrained tag such as ``openai``, or a path to weights. Weights that were trained
        with QuickGELU, as OpenAI's, get it by their tag; for a path say ``ViT-B-16-quickgelu``.
        dense: how patch features of an open_clip model become text-aligned.
        Raises ValueError naming what is unknown, ConnectionError when a hub cannot be reached.
        """
        if name == SMALL_NAME:
            path = Path(tag) if tag else checkpoint.CHECKPOINTS / f"{SMALL_NAME}.safetensors"
            state, header = checkpoint.load(path, kind="clip")
            clip = build(header["open_clip"])
            checkpoint.load_into(clip, state, source=str(path))
            text = header["open_clip"]["text_cfg"]
            tokenizer = byte_pairs(text["vocab_size"], text["context_length"])
            return cls(clip, tokenizer, name=name, tag=path.name, dense="tokens")
        return cls._load_open_clip(name, str(tag or ""), dense)

    @classmethod
    def _load_open_clip(cls, name: str, tag: str, dense: Dense) -> FrozenCLIP:
        import open_clip

        if name not in open_clip.list_models():
            raise ValueError(f"clip: open_clip knows no model '{name}'; e.g. ViT-B-16:openai")
        _check_config(name, open_clip.get_model_config(name) or {})
        known = open_clip.list_pretrained_tags_by_model(name)
        if tag not in known and not Path(tag).is_file():
            raise ValueError(
                f"clip: '{name}' has no pretrained tag '{tag}'; known: {', '.join(known)}, or "
                "a path to weights"
            )
        try:
            about = open_clip.get_pretrained_cfg(name, tag) or {}
            clip, _, _ = open_clip.create_model_and_transforms(
                name, pretrained=tag, force_quick_gelu=bool(about.get("quick_gelu"))
            )
        except Exception as error:
            # open_clip lets the errors of pickle, safetensors and the hub's client through.
            reason = str(error).strip().split("\n")[0]
            if tag in known:
                raise ConnectionError(
                    f"clip: {name}:{tag} could not be fetched: {reason}"
                ) from error
            raise ValueError(f"clip: {tag} holds no weights of {name}: {reason}") from error
        return cls(clip, open_clip.get_tokenizer(name), name=name, tag=tag, dense=dense)

    @cached_property
    def identity(self) -> ClipIdentity:
        """Name, tag and hash of the weights."""
        return ClipIdentity(self.name, self.tag, checkpoint.weights_sha256(self.clip.state_dict()))

    def train(self, mode: bool = True) -> FrozenCLIP:
        """Stay in evaluation mode: frozen means frozen."""
        return super().train(False)

    @property
    def device(self) -> torch.device:
        return self.clip.visual.proj.device

    def encode_tokens(
        self, embeddings: Float[Tensor, "B T D"], valid: Bool[Tensor, "B T"] | None = None
    ) -> tuple[Float[Tensor, "B E"], Float[Tensor, "B T E"]]:
        """Encode tokens in place of patches; return unit global and per-token features.

        valid: False marks padding behind the tokens, which no token attends to. Gradients flow
        to ``embeddings``. On a CPU clouds of different sizes go through one by one: nothing is
        padded.
        """
        if embeddings.device.type != "cpu" or valid is None:
            return self._encode_batch(embeddings, valid)
        if bool(valid.all()):
            return self._encode_batch(embeddings, None)
        batch, tokens, _ = embeddings.shape
        pooled, features = [], []
        for row in range(batch):
            one, found = self._encode_batch(embeddings[row : row + 1, valid[row]], None)
            pooled.append(one)
            features.append(F.pad(found, (0, 0, 0, tokens - found.shape[1])))
        return torch.cat(pooled), torch.cat(features)

    def _encode_batch(
        self, embeddings: Float[Tensor, "B T D"], valid: Bool[Tensor, "B T"] | None
    ) -> tuple[Float[Tensor, "B E"], Float[Tensor, "B T E"]]:
        visual = self.clip.visual
        first = visual.class_embedding + visual.positional_embedding[0]
        first = first.to(embeddings.dtype).expand(len(embeddings), 1, -1)
        x = visual.ln_pre(torch.cat([first, embeddings], dim=1))
        x = _run(visual.transformer.resblocks, x, self._padding_mask(valid, x.dtype))
        return self._project(x)

    def _padding_mask(self, valid: Tensor | None, dtype: torch.dtype) -> Tensor | None:
        """Return an additive mask of (B, 1, 1, T + 1), or None."""
        if valid is None:
            return None
        batch, tokens = valid.shape
        mask = torch.zeros(batch, tokens + 1, dtype=dtype, device=valid.device)
        mask[:, 1:].masked_fill_(~valid, float("-inf"))
        return mask[:, None, None, :]

    def _project(self, x: Tensor) -> tuple[Tensor, Tensor]:
        visual = self.clip.visual
        pooled, _ = visual._pool(x)
        tokens = visual.ln_post(x)[:, 1:]
        return F.normalize(pooled @ visual.proj, dim=-1), F.normalize(tokens @ visual.proj, dim=-1)

    def patch_embeddings(self, images: Float[Tensor, "B 3 H W"]) -> Float[Tensor, "B P D"]:
        """Return an image's own patch embeddings with positions, for ``encode_tokens``."""
        visual = self.clip.visual
        x = visual.conv1(images).flatten(2).transpose(1, 2)
        return x + visual.positional_embedding[1:].to(x.dtype)

    def encode_image(
        self, images: UInt8[Tensor, "B H W 3"]
    ) -> tuple[Float[Tensor, "B E"], Float[Tensor, "B P E"]]:
        """Encode square uint8 pictures of the model's size; return unit global and patch features.

        Gradients flow when the model's parameters require them (``clip_pretrain``).
        """
        visual = self.clip.visual
        x = visual._embeds(self.normalise(images))
        if self.dense == "tokens":
            return self._project(_run(visual.transformer.resblocks, x))
        *first, last = visual.transformer.resblocks
        x = _run(first, x)
        pooled, _ = self._project(_run([last], x))
        path = _value_path if self.dense == "value" else _self_path
        return pooled, self._project(path(last, x))[1]

    def normalise(self, images: UInt8[Tensor, "B H W 3"]) -> Float[Tensor, "B 3 H W"]:
        """Turn uint8 pictures into the tower's input."""
        return (images.permute(0, 3, 1, 2).float() / 255 - self.mean) / self.std

    @torch.no_grad()
    def encode_text(self, texts: Sequence[str]) -> Float[Tensor, "C E"]:
        """Encode texts; return unit rows, remembered per text (and in ``text_store``, if set)."""
        if len(self._text_cache) > TEXT_CACHE_ROWS:
            self._text_cache.clear()
        new = [t for t in dict.fromkeys(texts) if t not in self._text_cache]
        if new and self.text_store is not None:
            return self._stored_text(self.text_store, texts)
        return self._fresh_text(texts, new)

    def _stored_text(self, store: TextStore, texts: Sequence[str]) -> Tensor:
        """Return texts from the store, or encode and keep them there."""
        about = self.identity.as_dict()
        rows = store.get(about, texts)
        if rows is None:
            new = [t for t in dict.fromkeys(texts) if t not in self._text_cache]
            rows = self._fresh_text(texts, new).numpy()
            store.put(about, texts, rows)
        found = torch.from_numpy(rows.copy())
        self._text_cache |= dict(zip(texts, found, strict=True))
        return found

    def _fresh_text(self, texts: Sequence[str], new: list[str]) -> Tensor:
        for start in range(0, len(new), 64):
            chunk = new[start : start + 64]
            vectors = self.clip.encode_text(self.tokenize(chunk).to(self.device)).float()
            self._text_cache |= dict(zip(chunk, F.normalize(vectors, dim=-1).cpu(), strict=True))
        return torch.stack([self._text_cache[t] for t in texts])

"""How the image tower of the small CLIP was trained: pictures and 3D tokens against a text tower.

The class token learns the names of single objects and the mix of names in a room, every patch
the mix of names of its own pixels. So that the tower is at home on 3D tokens as well, it learns
from the tokens of the same scenes too, through tokenizers of its own. Text vectors are fixed:
pictures and tokens come to the words.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from s4token import checkpoint
from s4token.backbone import (
    SMALL_CLIP,
    SMALL_NAME,
    ClipIdentity,
    FrozenCLIP,
    build,
    small_tokenizer,
)
from s4token.bank import finished_scenes, held_scenes
from s4token.checkpoint import Saving
from s4token.clip_batches import (
    NamedTokens,
    Objects,
    bank_names,
    named_pictures,
    named_tokens,
    patch_targets,
)
from s4token.datasets import Named, objects
from s4token.datasets.packs import HELD_OUT, HELD_SEED, split
from s4token.hypernyms import Hypernyms
from s4token.metrics import score_of
from s4token.model import TOKENIZATIONS
from s4token.objectives.alignment import Alignment
from s4token.scene_memory import BankMemory, TokenBatch, digest, draw_scenes
from s4token.segment import text_features
from s4token.size import size_distance
from s4token.tokenizer import collate
from s4token.training import Loop, MuonAdamW, check_recipe, own_device, processes


@dataclass(frozen=True)
class ClipPretrainConfig:
    """Hold the recipe of the image tower.

    bank: folder of training scenes; pack: named objects; text: trained text tower, or a small CLIP
    whose text tower is taken; go_on: begin with its image tower as well, and with the tokenizers
    beside it, instead of with random weights.
    batch: pictures per step; scenes: scenes of 512 tokens per step that the tower reads, of one
    tokenizer at a time; keep: least share of a scene's tokens; held_out: share of the scenes kept
    for measuring; scale: inverse temperature of cosines; prior: handicap of frequent names.
    growing: take in scenes that ``bank`` finishes meanwhile.
    mixed_first: share of the steps, before any other, that draw no tokens of objects alone: from
    random weights rooms are learned faster without them (docs/LOG.md). Not with ``go_on``.
    """

    bank: str
    pack: str
    text: str
    steps: int = 3000
    batch: int = 16
    scenes: int = 8
    keep: float = 0.5
    lr: float = 1e-3
    weight_decay: float = 0.05
    scale: float = 20.0
    cosine_weight: float = 0.5
    prior: float = 0.5
    token_weight: float = 2.0
    size_weight: float = 0.5
    held_out: float = 0.05
    seed: int = 0
    go_on: bool = False
    growing: bool = False
    mixed_first: float = 0.4

    def __post_init__(self) -> None:
        check_recipe(self, at_least_one=("steps", "batch", "scenes"))


class _Words:
    def __init__(self, clip: FrozenCLIP) -> None:
        self.clip, self.description = clip, {}

    def encode_text(self, prompts: Sequence[str]) -> np.ndarray:
        return self.clip.encode_text(list(prompts)).numpy()


def name_vectors(clip: FrozenCLIP, names: Sequence[str]) -> Tensor:
    """Return one unit row per name, averaged over the prompt templates."""
    adapter: Any = _Words(clip)
    return torch.from_numpy(text_features(adapter, names))


class _Trainer:
    """What one step needs: the tower, tokenizers in front of it, the names and their vectors."""

    def __init__(
        self,
        config: ClipPretrainConfig,
        clip: FrozenCLIP,
        hypernyms: Hypernyms,
        frequency: Tensor,
    ) -> None:
        self.config, self.clip, self.hypernyms = config, clip, hypernyms
        self.names = hypernyms.names
        self.words = name_vectors(clip, self.names).to(clip.device)
        self.tokenizers = nn.ModuleDict(
            {t: TOKENIZATIONS[t].tokenizer(clip.width) for t in TOKENIZATIONS}
        ).to(clip.device)
        self.alignment = Alignment(
            self.words,
            hypernyms.frequency(frequency.float()),
            scale=config.scale,
            prior=config.prior,
            cosine=config.cosine_weight,
        )

    def take_tokenizers(self, path: Path) -> None:
        """Begin with those of a checkpoint."""
        state, _ = checkpoint.load(path, kind="tokenizers")
        checkpoint.load_into(self.tokenizers, state, source=str(path))

    def cosine(self, features: Tensor) -> Tensor:
        """Return (..., C) with all names, but far below all others with what no scene is called."""
        cosine = features.float() @ self.words.T
        return cosine.masked_fill(self.hypernyms.alone, -2)

    def pictures(
        self, images: Tensor, labels: Tensor, generator: torch.Generator
    ) -> dict[str, Tensor]:
        """Align patches and class tokens of pictures."""
        with torch.autocast(self.clip.device.type, torch.bfloat16):
            pooled, dense = self.clip.encode_image(images)
        share, known = patch_targets(labels, self.clip.grid, len(self.names))
        compete = self.alignment.competitors(share, generator) & ~self.hypernyms.alone
        weight = known * (known > 0.25)
        return {
            "dense": self.alignment(dense.float(), share, weight, compete),
            "global": self.alignment.whole(pooled.float(), share, weight, compete),
        }

    def tokens(
        self, tokenizer: str, b: TokenBatch, rng: np.random.Generator, generator: torch.Generator
    ) -> dict[str, Tensor]:
        """Align tokens of scenes, and estimate how large they are."""
        with torch.autocast(self.clip.device.type, torch.bfloat16):
            embeddings, size = self.tokenizers[tokenizer](*b.inputs, b.valid, b.told)
            pooled, features = self.clip.encode_tokens(embeddings, b.valid)
        share, silent = self.hypernyms.called(b.share, rng, generator)
        named = share, b.weight, self.alignment.competitors(share, generator) & ~silent
        out = {
            tokenizer: self.alignment(features.float(), *named),
            f"{tokenizer}_global": self.alignment.whole(pooled.float(), *named),
        }
        if TOKENIZATIONS[tokenizer].normalise == "token":
            out["size"] = size_distance(size, b.pitch)
        return out


def with_text_tower(path: str | Path, *, whole: bool = False) -> FrozenCLIP:
    """Return the small CLIP with a trained text tower, of itself or of a small CLIP's file.

    The image tower is a fresh one, or with ``whole`` that of the file.
    """
    clip: Any = build(_architecture(path, whole))
    state, _ = checkpoint.load(path, kind=checkpoint.read_header(path)["kind"])
    text = {k: weight for k, weight in state.items() if whole or not k.startswith("visual.")}
    for name, weight in clip.visual.named_parameters():
        # The usual ViT initialisation; open_clip leaves its towers at PyTorch's defaults.
        if "resblocks" in name and weight.ndim == 2:
            nn.init.trunc_normal_(weight, std=0.02)
    checkpoint.load_into(clip, clip.state_dict() | text, source=str(path))
    return FrozenCLIP(clip, small_tokenizer(), name=SMALL_NAME, tag="training", dense="tokens")


def _architecture(path: str | Path, whole: bool) -> dict[str, Any]:
    """Return what is built: the small CLIP as it is now, or with ``whole`` as in that file."""
    if not whole:
        return SMALL_CLIP
    header = checkpoint.read_header(path)
    if header["kind"] != "clip" or "open_clip" not in header:
        raise ValueError(f"{path}: is no small CLIP, which --go-on begins with")
    return header["open_clip"]


def _text_recipe(path: str) -> dict[str, Any]:
    header = checkpoint.read_header(path)
    if header["kind"] == "clip":
        return header.get("text_tower", {})
    return {k: header[k] for k in ("recipe", "metrics") if k in header}


def tokenizers_path(clip: Path) -> Path:
    """Return where the tokenizers go that a tower was trained with: to use, or to go on from."""
    return clip.with_name(f"{clip.stem}-tokenizers.safetensors")


def pretrain_clip(
    config: ClipPretrainConfig,
    out: Path,
    *,
    folder: Path,
    device: str = "cpu",
    progress: Callable[[Iterable[int]], Iterable[int]] = lambda steps: steps,
) -> dict[str, float]:
    """Train the image tower, write the small CLIP to ``out`` and return its metrics.

    The tokenizers that it was trained with are written beside it (``tokenizers_path``). Under
    ``torchrun`` the first process writes, and the others return nothing.
    """
    torch.manual_seed(config.seed)
    clip = with_text_tower(config.text, whole=config.go_on).to(own_device(device))
    named = objects(config.pack)
    bank = Path(config.bank)
    paths = finished_scenes(bank)
    if not paths:
        raise ValueError(f"{bank}: no scene-*.npz with its tokens; build the bank first")
    _held(config, paths)
    hypernyms = Hypernyms({o.category for o in named} | bank_names(paths), clip.device)
    lessons = BankMemory(bank, hypernyms.names, clip.device, config.held_out)
    lessons.add(paths)
    trainer = _Trainer(config, clip, hypernyms, lessons.frequency())
    settings = _settings(config, clip, paths)
    if config.go_on:
        trainer.take_tokenizers(tokenizers_path(Path(config.text)))
    learned = nn.ModuleDict({"visual": clip.clip.visual, "tokenizers": trainer.tokenizers})
    learned.requires_grad_(True)
    optimizer = MuonAdamW(learned, config.lr, config.weight_decay)
    late = 0 if config.go_on else config.mixed_first * config.steps * processes()[1]

    def step(number: int) -> dict[str, Tensor]:
        if config.growing and number % 50 == 0:
            lessons.take_in_new()
        rng = np.random.default_rng([config.seed, number])
        generator = torch.Generator(clip.device).manual_seed(int(rng.integers(2**31)))
        losses = trainer.pictures(*lessons.pictures.batch(config.batch, generator), generator)
        tokenizer, share = str(rng.choice(tuple(TOKENIZATIONS))), rng.uniform(config.keep, 1)
        among = lessons.mixed if number < late else None
        chosen = draw_scenes(lessons.counts, config.scenes, rng, among)
        batch = lessons.tokens[tokenizer].batch(chosen, share, rng, generator)
        losses |= trainer.tokens(tokenizer, batch, rng, generator)
        pictures = losses["dense"] + 0.5 * losses["global"]
        tokens = losses[tokenizer] + 0.5 * losses[f"{tokenizer}_global"]
        total = pictures + config.token_weight * tokens
        return losses | {"loss": total + config.size_weight * losses.get("size", 0.0)}

    Loop(folder, config.steps, config.lr, settings).run(learned, optimizer, step, progress)
    if processes()[0] > 0:
        return {}
    learned.requires_grad_(False)
    held = _held(config, finished_scenes(bank))
    metrics = _measured(trainer, held, named) | {"scenes": float(len(lessons.counts))}
    (folder / "metrics.json").write_text(json.dumps(metrics))
    _save(config, trainer, metrics, out, knows_metres=lessons.knows_metres)
    return metrics


def _measured(trainer: _Trainer, held: Sequence[Path], named: list[Named]) -> dict[str, float]:
    """Return the scores of scenes and of the pack's objects that training never showed."""
    unseen = [named[i] for i in np.flatnonzero(split(len(named), HELD_OUT, HELD_SEED))]
    things = Objects(unseen, trainer.names, trainer.clip.image_size)
    metrics = _evaluate(trainer, held) | _evaluate_tokens(trainer, held)
    return metrics | _evaluate_objects(trainer, things) | {"held_out_scenes": float(len(held))}


def _held(config: ClipPretrainConfig, paths: Sequence[Path]) -> list[Path]:
    """Return the scenes to measure with; ValueError unless there are some, and others to learn."""
    held = held_scenes(paths, config.held_out)
    if held.all() or not held.any():
        raise ValueError(
            f"{config.bank}: {held.sum()} of its {len(held)} scenes are to measure with, by their "
            "numbers; there must be some of these and some others: make more scenes"
        )
    return [path for path, out in zip(paths, held, strict=True) if out]


def _settings(config: ClipPretrainConfig, clip: FrozenCLIP, paths: Sequence[Path]) -> dict:
    """Return all that decides what comes out."""
    found = {k: v for k, v in asdict(config).items() if k not in _PATHS}
    found["begins"] = checkpoint.weights_sha256(clip.clip.state_dict())[:12]
    return found if config.growing else {**found, "scenes_of_bank": digest(paths)}


def _save(
    config: ClipPretrainConfig,
    trainer: _Trainer,
    metrics: dict[str, float],
    out: Path,
    *,
    knows_metres: bool,
) -> None:
    clip = trainer.clip
    recipe = {k: v for k, v in asdict(config).items() if k not in _PATHS}
    tower = {
        "open_clip": _architecture(config.text, config.go_on),
        "recipe": recipe,
        "metrics": metrics,
        "text_tower": _text_recipe(config.text),
    }
    learned = {"label_free": False, "objectives": ["alignment"], "knows_metres": knows_metres}
    header = {
        "clip": ClipIdentity(clip.name, out.name, clip.identity.sha256).as_dict(),
        "tokenizers": {t: TOKENIZATIONS[t].as_dict() for t in trainer.tokenizers},
        "recipe": recipe | learned,
    }
    state = trainer.tokenizers.state_dict()
    checkpoint.save_all(
        Saving(out, clip.clip.state_dict(), "clip", tower),
        Saving(tokenizers_path(out), state, "tokenizers", header),
    )


_PATHS = ("bank", "pack", "text")


@torch.no_grad()
def _evaluate(trainer: _Trainer, paths: Sequence[Path]) -> dict[str, float]:
    """Score patches of held-out scenes: accuracy and mean class accuracy over all names."""
    device, count = trainer.clip.device, len(trainer.names)
    ids = {n: i for i, n in enumerate(trainer.names)}
    hit, total = torch.zeros(count, device=device), torch.zeros(count, device=device)
    for path in paths:
        images, labels = (torch.from_numpy(a).to(device) for a in named_pictures(path, ids))
        with torch.autocast(device.type, torch.bfloat16):
            _, dense = trainer.clip.encode_image(images)
        share, known = patch_targets(labels.long(), trainer.clip.grid, count)
        guess = trainer.cosine(dense).argmax(dim=-1)
        truth, clear = share.argmax(dim=-1), known > 0.5
        total += torch.bincount(truth[clear], minlength=count)
        hit += torch.bincount(truth[clear & (guess == truth)], minlength=count)
    present = total > 20
    return {
        "patch_accuracy": 100 * float(hit.sum() / total.sum()),
        "patch_class_accuracy": 100 * float((hit[present] / total[present]).mean()),
    }


@torch.no_grad()
def _evaluate_objects(trainer: _Trainer, things: Objects) -> dict[str, float]:
    """Score held-out objects: top-1 and top-5 of the mean of four views among all names."""
    rng = np.random.default_rng(0)
    ranks = []
    for number, truth in enumerate(things.ids):
        images = np.stack([things.draw(number, rng) for _ in range(4)])
        seen = torch.from_numpy(images).to(trainer.clip.device)
        pooled = trainer.clip.encode_image(seen)[0].mean(dim=0)
        score = trainer.cosine(pooled)
        ranks.append(int((~(score < score[truth])).sum()) - 1)  # ties count against it
    rank = np.array(ranks)
    return {
        "object_top1": 100 * float((rank < 1).mean()),
        "object_top5": 100 * float((rank < 5).mean()),
        "names": float((~trainer.hypernyms.alone).sum()),
    }


@torch.no_grad()
def _evaluate_tokens(trainer: _Trainer, paths: Sequence[Path]) -> dict[str, float]:
    """Score the tokens of held-out scenes among the names of each scene, by their points."""
    ids = {n: i for i, n in enumerate(trainer.names)}
    out = {}
    for name, tokenizer in trainer.tokenizers.items():
        rows = []
        for path in paths:
            scene = named_tokens(path, name, ids)
            device = trainer.clip.device
            samples, shape, centers, valid = (t.to(device) for t in collate([scene.inputs]))
            embeddings, _ = tokenizer(samples, shape, centers, valid)
            features = trainer.clip.encode_tokens(embeddings, valid)[1][0]
            rows.append(token_score(features @ trainer.words.T, scene))
        out |= {f"{name}_{k}": float(np.mean([r[k] for r in rows])) for k in rows[0]}
    return out


def token_score(cosine: Tensor, scene: NamedTokens) -> dict[str, float]:
    """Return mIoU and OA of a scene's tokens, each point counted with its token's guess."""
    count = scene.share * scene.points[:, None]
    present = np.flatnonzero(count.sum(axis=0) > 0)
    score = cosine.cpu().numpy()[:, present]
    guess = score.argmax(axis=1)
    matrix = np.zeros((len(present), len(present)))
    np.add.at(matrix.T, guess, count[:, present])
    score = score_of(np.stack([matrix.sum(axis=1), matrix.sum(axis=0), np.diag(matrix)]))
    return {"mIoU": score.mIoU, "OA": score.OA}

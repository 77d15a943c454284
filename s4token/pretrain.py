"""Train the tokenizers through a frozen CLIP: without labels, or aligned with words as well."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from s4token import checkpoint
from s4token.backbone import FrozenCLIP
from s4token.bank import held_scenes, scene_count, tokens_path
from s4token.bank_files import opened
from s4token.checkpoint import weights_sha256
from s4token.clip_batches import bank_names, named_tokens
from s4token.clip_pretrain import name_vectors
from s4token.lessons import Lesson, lesson, teach
from s4token.model import TOKENIZATIONS, S4Token
from s4token.objectives.alignment import Alignment
from s4token.objectives.clustering import Clustering
from s4token.objectives.distillation import Distillation, global_distance
from s4token.objectives.masked import MaskedModelling
from s4token.objectives.teacher import AverageTeacher
from s4token.scene_memory import TOGETHER, SceneMemory, TokenBatch, digest, draw_scenes
from s4token.size import size_distance
from s4token.tokenizer import HIDDEN, Tokenizer
from s4token.training import (
    Loop,
    MuonAdamW,
    check_recipe,
    own_device,
    processes,
    wait_for_all,
)


@dataclass(frozen=True)
class PretrainConfig:
    """Hold the recipe of the tokenizers; the same for each of them, with the same budget.

    batch: scenes of 512 tokens per step; keep: least share of a scene's tokens that a step sees.
    distillation, masked, clustering: weights of the objectives that need no labels.
    size: weight of estimating how large a scene is, where the bank knows it.
    alignment: weight of the objective that reads the names of the bank's scenes; 0 is S4Token's
    label-free recipe. start: weights of tokenizers to begin with, instead of random ones.
    """

    steps: int = 1500
    batch: int = 6
    lr: float = 1e-3
    weight_decay: float = 0.02
    distillation: float = 1.0
    relation: float = 0.25
    global_weight: float = 0.25
    masked: float = 0.0
    clustering: float = 0.0
    alignment: float = 0.0
    size: float = 0.5
    prior: float = 0.5
    keep: float = 0.5
    held_out: float = 0.05
    seed: int = 0
    start: str = ""

    def __post_init__(self) -> None:
        check_recipe(self, at_least_one=("steps", "batch"))
        objectives = ("distillation", "masked", "clustering", "alignment")
        for name in objectives:
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(
                    f"{name}: expected a weight of 0 or more, got {self.__dict__[name]}"
                )
        if not any(getattr(self, name) for name in objectives):
            raise ValueError(f"{', '.join(objectives)}: at least one needs a weight above 0")


class _Student(nn.Module):
    """What one step needs: a tokenizer, its objectives and what these learn and remember."""

    def __init__(
        self,
        config: PretrainConfig,
        clip: FrozenCLIP,
        tokenizer: Tokenizer,
        naming: Alignment,
        mean: Tensor,
    ) -> None:
        super().__init__()
        self.config, self.tokenizer = config, tokenizer
        # Not a submodule: its weights neither change nor belong into the saved state.
        self._frozen = [clip]
        self.distillation, self.alignment = Distillation(mean, config.relation), naming
        hidden = config.masked or config.clustering
        self.masked = MaskedModelling(HIDDEN, clip.embed_dim) if hidden else None
        self.clustering = Clustering(clip.embed_dim) if config.clustering else None
        self.teacher = AverageTeacher(tokenizer) if hidden else None

    def encode(self, embeddings: Tensor, valid: Tensor | None) -> tuple[Tensor, Tensor]:
        pooled, features = self._frozen[0].encode_tokens(embeddings, valid)
        return pooled.float(), features.float()

    def losses(self, batch: TokenBatch, generator: torch.Generator) -> dict[str, Tensor]:
        """Return every objective that has a weight, their weighted sum and what to watch."""
        config, valid = self.config, batch.valid
        with torch.autocast(batch.share.device.type, torch.bfloat16):
            embeddings, size = self.tokenizer(*batch.inputs, valid, batch.told)
            pooled, features = self.encode(embeddings, valid)
        out: dict[str, Tensor] = {}
        total = features.new_zeros(())
        if self.tokenizer.size is not None:
            out["size"] = size_distance(size, batch.pitch)
            total = total + config.size * out["size"]
        if config.distillation:
            more = batch.more
            out |= self.distillation(features, more["teacher"], more["weight"])
            out["global"] = global_distance(pooled, more["whole"])
            total = total + config.distillation * (
                out.pop("loss") + config.global_weight * out["global"]
            )
        if config.alignment:
            compete = self.alignment.competitors(batch.share, generator)
            named = batch.share, batch.weight, compete
            out["alignment"] = self.alignment(features, *named)
            out["alignment_global"] = self.alignment.whole(pooled, *named)
            both = out["alignment"] + config.global_weight * out["alignment_global"]
            total = total + config.alignment * both
        if self.teacher is not None:
            hidden = self._hidden(batch, generator)
            total = total + config.masked * hidden["masked"]
            total = total + config.clustering * hidden.get("clustering", 0.0)
            out |= hidden
        with torch.no_grad():
            real = batch.real.to(features.dtype)[..., None]
            mean = (features * real).sum(dim=1) / real.sum(dim=1)
            out["token_cosine"] = (mean**2).sum(dim=-1).mean()
        return out | {"loss": total}

    def _hidden(self, batch: TokenBatch, generator: torch.Generator) -> dict[str, Tensor]:
        """Return the objectives that look at masked tokens."""
        assert self.teacher is not None and self.masked is not None
        self.teacher.update(self.tokenizer)
        inputs, valid, told = batch.inputs, batch.valid, batch.told
        with torch.autocast(told.device.type, torch.bfloat16):
            _, target = self.encode(self.teacher(*inputs, valid, told)[0], valid)
            embeddings, mask = self.masked.hide(self.tokenizer, inputs, batch.real, generator, told)
            _, features = self.encode(embeddings, valid)
        out = {"masked": self.masked(features, target, mask)}
        if self.clustering is not None:
            found = self.clustering(features[mask], target[mask])
            out |= {"clustering": found["loss"], "prototype_entropy": found["entropy"]}
        return out


def _naming(
    config: PretrainConfig, clip: FrozenCLIP, paths: Sequence[Path], tokenizer: str
) -> tuple[Alignment, dict[str, int]]:
    """Return the objective over the bank's names, or over none in the label-free recipe."""
    if not config.alignment:
        return Alignment(torch.zeros(1, clip.embed_dim), torch.ones(1)), {}
    names = sorted(bank_names(paths))
    ids = {n: i for i, n in enumerate(names)}
    every = -(-len(paths) // 200)
    shares = [named_tokens(p, tokenizer, ids).share.sum(axis=0) for p in paths[::every]]
    frequency = torch.from_numpy(np.sum(shares, axis=0))
    return Alignment(name_vectors(clip, names), frequency, prior=config.prior), ids


def pretrain(
    clip: FrozenCLIP,
    config: PretrainConfig,
    paths: Sequence[Path],
    taught: Sequence[Path],
    tokenizer: str,
    *,
    folder: Path,
    progress: Callable[[Iterable[int]], Iterable[int]] = lambda steps: steps,
) -> tuple[S4Token, dict[str, float]]:
    """Train one tokenizer by its objectives; return the model that holds it, and metrics."""
    torch.manual_seed(config.seed)
    model = S4Token(clip, {tokenizer: TOKENIZATIONS[tokenizer]}).to(clip.device)
    learned = model.learned[tokenizer]
    assert isinstance(learned, Tokenizer)
    if config.start:
        state, _ = checkpoint.load(config.start, kind="tokenizers")
        own = {k.partition(".")[2]: v for k, v in state.items() if k.startswith(f"{tokenizer}.")}
        checkpoint.load_into(learned, own, source=config.start)
    held = held_scenes(paths, config.held_out)
    held[:1] |= not held.any()
    both = list(zip(paths, taught, strict=True))
    training = [b for b, h in zip(both, held, strict=True) if not h]
    naming, ids = _naming(config, clip, paths, tokenizer)
    memory, mean = remembered(training, tokenizer, ids, clip)
    student = _Student(config, clip, learned, naming, mean).to(clip.device)
    optimizer = MuonAdamW(student, config.lr, config.weight_decay)
    counts = np.array([scene_count(path) for path, _ in training])

    def step(number: int) -> dict[str, Tensor]:
        rng = np.random.default_rng([config.seed, number])
        generator = torch.Generator(clip.device).manual_seed(int(rng.integers(2**31)))
        share = rng.uniform(config.keep, 1)
        chosen = draw_scenes(counts, config.batch, rng)
        return student.losses(memory.batch(chosen, share, rng, generator), generator)

    settings = {**asdict(config), "start": Path(config.start).name, "scenes": digest(paths)}
    settings["clip"] = clip.identity.sha256[:12]
    Loop(folder, config.steps, config.lr, settings).run(student, optimizer, step, progress)
    kept = [lesson(p, t, tokenizer, {}) for (p, t), h in zip(both, held, strict=True) if h]
    metrics = _agreement(model, tokenizer, kept)
    if processes()[0] == 0:
        (folder / "metrics.json").write_text(json.dumps(metrics))
    return model, metrics


def remembered(
    scenes: Sequence[tuple[Path, Path]], tokenizer: str, ids: Mapping[str, int], clip: FrozenCLIP
) -> tuple[SceneMemory, Tensor]:
    """Read scenes with their teacher's answers; return also the mean of its features, (E,)."""
    memory, total, seen = SceneMemory(len(ids), clip.device), np.zeros(clip.embed_dim), 1e-6
    for start in range(0, len(scenes), TOGETHER):
        some = [lesson(*pair, tokenizer, ids) for pair in scenes[start : start + TOGETHER]]
        total += sum(one.weight @ one.teacher for one in some)
        seen += sum(float(one.weight.sum()) for one in some)
        memory.add(
            [one.scene for one in some],
            of_tokens={
                "teacher": [one.teacher.astype(np.float16) for one in some],
                "weight": [one.weight for one in some],
            },
            of_scenes={"whole": [one.whole for one in some]},
        )
    return memory, torch.from_numpy(total / seen).float()


def _agreement(model: S4Token, tokenizer: str, held: Sequence[Lesson]) -> dict[str, float]:
    """Return the mean cosine with the teacher and, as a collapse watch, between tokens."""
    cosine, spread = [], []
    for one in held:
        _, features, _ = model.encode_inputs(tokenizer, [one.scene.inputs])
        features = features.cpu()
        teacher = torch.from_numpy(one.teacher)
        seen = torch.from_numpy(one.weight) > 0
        cosine.append(F.cosine_similarity(features[0], teacher, dim=-1)[seen].mean())
        spread.append((features[0] @ features[0].T).mean())
    return {
        "teacher_cosine": float(torch.stack(cosine).mean()),
        "token_cosine": float(torch.stack(spread).mean()),
        "held_out_scenes": float(len(held)),
    }


def recipe(config: PretrainConfig, scenes: int) -> dict:
    """Return the JSON-ready recipe for a checkpoint's header."""
    weights = ("distillation", "masked", "clustering", "alignment")
    used = [w for w in weights if getattr(config, w)]
    return asdict(config) | {
        "start": Path(config.start).name,
        "scenes": scenes,
        "objectives": used,
        "label_free": not config.alignment,
    }


def _knows_metres(config: PretrainConfig, paths: Sequence[Path], tokenizers: Sequence[str]) -> bool:
    """Return whether anything was there to learn sizes in metres from: here, or at the start."""
    if config.start and checkpoint.read_header(config.start).get("recipe", {}).get("knows_metres"):
        return True
    with opened(tokens_path(paths[0], tokenizers[0])) as tokens:
        return bool(np.isfinite(tokens["pitch"]))


def pretrain_all(
    clip_name: str,
    config: PretrainConfig,
    bank: Path,
    tokenizers: Sequence[str],
    out: Path,
    *,
    folder: Path,
    device: str = "cpu",
    bar: Callable[[str], Callable[[Iterable], Iterable]] = lambda label: lambda items: items,
) -> dict[str, dict[str, float]]:
    """Teach, train every tokenizer by the same recipe, and write one checkpoint to ``out``.

    clip_name: ``name`` or ``name:tag`` as open_clip knows them; device: ``cpu`` or ``cuda``. Under
    ``torchrun`` processes share the work, on a GPU each, and the first one writes.
    Returns metrics by tokenizer. Raises ValueError when the bank is empty, or for an alignment
    when nothing in it has a name.
    """
    name, _, tag = clip_name.partition(":")
    clip = FrozenCLIP.load(name, tag or None).to(own_device(device))
    paths = sorted(bank.glob("scene-*.npz"))
    if not paths:
        raise ValueError(f"{bank}: no scene-*.npz; build the bank first")
    if len(paths) < 2:
        raise ValueError(f"{bank}: one scene; it needs two or more, of which some are held out")
    if config.alignment and not bank_names(paths):
        raise ValueError(
            f"alignment: nothing in the scenes of {bank} has a name; leave it at 0, the other "
            "objectives need no labels"
        )
    if config.start:
        checkpoint.load(config.start, kind="tokenizers")  # before hours are spent
    before = clip.identity
    taught = teach(clip, paths, folder / "teacher", bar("teacher"))
    whole = S4Token(clip, {t: TOKENIZATIONS[t] for t in tokenizers}).to(clip.device)
    metrics = {}
    for tokenizer in tokenizers:
        model, metrics[tokenizer] = pretrain(
            clip,
            config,
            paths,
            taught,
            tokenizer,
            folder=folder / tokenizer,
            progress=bar(tokenizer),
        )
        whole.learned[tokenizer].load_state_dict(model.learned[tokenizer].state_dict())
    after = weights_sha256(clip.clip.state_dict())
    if after != before.sha256:
        raise ValueError("clip: its weights changed in training; it must stay frozen")
    known = {"knows_metres": _knows_metres(config, paths, tokenizers)}
    if processes()[0] == 0:
        whole.save(out, recipe=recipe(config, len(paths)) | known, metrics=metrics)
    wait_for_all()
    return metrics

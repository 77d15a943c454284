"""Train the tokenizers without labels: by distillation from rendered views, CLIP stays frozen."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from s4token.backbone import FrozenCLIP
from s4token.bank import scene_groups, token_inputs
from s4token.checkpoint import weights_sha256
from s4token.clip_pretrain import split
from s4token.model import TOKENIZATIONS, S4Token
from s4token.multiview import lift, pool
from s4token.objectives.distillation import Distillation, global_distance
from s4token.tokenizer import TokenInputs, collate
from s4token.training import Loop, parameter_groups

COLOR = slice(3, 6)
MEAN_COLOR, COLOR_SPREAD = slice(11, 14), slice(14, 17)
"""Columns of ``TokenInputs.samples`` and ``.shape`` that hold colours."""


@dataclass(frozen=True)
class PretrainConfig:
    """Hold the recipe of the tokenizers; the same for each of them, with the same budget.

    batch: scenes per step; keep: least share of a scene's tokens that a step sees.
    """

    steps: int = 1500
    batch: int = 6
    lr: float = 1e-3
    weight_decay: float = 0.02
    relation: float = 0.25
    global_weight: float = 0.25
    keep: float = 0.5
    held_out: float = 0.05
    seed: int = 0


@dataclass(frozen=True, eq=False)
class Lesson:
    """Hold one scene for one tokenizer: inputs, teacher features, weights, global feature."""

    inputs: TokenInputs
    teacher: np.ndarray
    weight: np.ndarray
    whole: np.ndarray


def teach(
    clip: FrozenCLIP,
    paths: Sequence[Path],
    folder: Path,
    progress: Callable[[Iterable[Path]], Iterable[Path]] = lambda paths: paths,
) -> list[Path]:
    """Write what the multi-view teacher knows of every scene; skip what is there already."""
    folder = folder / clip.identity.sha256[:12]
    folder.mkdir(parents=True, exist_ok=True)
    for path in progress([p for p in paths if not (folder / p.name).is_file()]):
        with np.load(path) as scene:
            total, shown = lift(clip, scene["images"], scene["pixel_points"])
            out = {}
            for name in TOKENIZATIONS:
                features, seen = pool(total, shown, scene_groups(scene, name))
                out[f"{name}.features"] = features.astype(np.float16)
                out[f"{name}.seen"] = seen
        temporary = folder / f".{os.getpid()}.npz"
        np.savez(temporary, **out)
        os.replace(temporary, folder / path.name)
    return [folder / p.name for p in paths]


def lessons(paths: Sequence[Path], taught: Sequence[Path], tokenizer: str) -> list[Lesson]:
    """Read scenes with their teacher features for one tokenizer."""
    out = []
    for path, answer in zip(paths, taught, strict=True):
        with np.load(path) as scene, np.load(answer) as teacher:
            features = teacher[f"{tokenizer}.features"].astype(np.float32)
            norm = np.linalg.norm(features, axis=1, keepdims=True)
            unit = features / np.maximum(norm, 1e-6)
            seen = teacher[f"{tokenizer}.seen"]
            whole = unit[seen > 0].mean(axis=0)
            weight = np.minimum(seen / 8, 1).astype(np.float32)
            whole = whole / np.linalg.norm(whole)
            out.append(Lesson(token_inputs(scene, tokenizer), unit, weight, whole))
    return out


def augment_tokens(
    samples: Tensor, shape: Tensor, centers: Tensor, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Turn scenes about the vertical, mirror them and shift their colours, all in token space."""
    batch = len(samples)
    angle = torch.rand(batch, generator=generator) * 2 * torch.pi
    mirror = torch.where(torch.rand(batch, generator=generator) < 0.5, -1.0, 1.0)
    cos, sin = angle.cos(), angle.sin()
    turn = torch.stack(
        [torch.stack([cos * mirror, -sin], 1), torch.stack([sin * mirror, cos], 1)], 1
    )
    samples, shape, centers = samples.clone(), shape.clone(), centers.clone()
    samples[..., :2] = torch.einsum("bij,btkj->btki", turn, samples[..., :2])
    centers[..., :2] = torch.einsum("bij,btj->bti", turn, centers[..., :2])
    gain = torch.exp(0.15 * torch.randn(batch, 1, 3, generator=generator))
    shift = 0.1 * torch.randn(batch, 1, 3, generator=generator)
    samples[..., COLOR] = samples[..., COLOR] * gain[:, :, None] + shift[:, :, None]
    shape[..., MEAN_COLOR] = shape[..., MEAN_COLOR] * gain + shift
    shape[..., COLOR_SPREAD] = shape[..., COLOR_SPREAD] * gain
    return samples, shape, centers


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
    """Train one tokenizer against its teacher; return the model that holds it, and metrics."""
    torch.manual_seed(config.seed)
    model = S4Token(clip, {tokenizer: TOKENIZATIONS[tokenizer]})
    held = split(len(paths), config.held_out, 1)
    book = lessons(paths, taught, tokenizer)
    training = [b for b, h in zip(book, held, strict=True) if not h]
    learned = model.learned
    optimizer = torch.optim.AdamW(parameter_groups(learned, config.weight_decay), lr=config.lr)
    distillation = Distillation(config.relation)

    def step(number: int) -> dict[str, Tensor]:
        rng = np.random.default_rng([config.seed, number])
        generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
        drawn = [training[i] for i in rng.integers(len(training), size=config.batch)]
        share = rng.uniform(config.keep, 1)
        chosen = [_thin(lesson, share, rng) for lesson in drawn]
        samples, shape, centers, valid = collate([c.inputs for c in chosen])
        teacher, weight, whole = _targets(chosen, valid)
        samples, shape, centers = augment_tokens(samples, shape, centers, generator)
        with torch.autocast("cpu", torch.bfloat16):
            tokens = learned[tokenizer](samples, shape, centers)
            global_feature, features = clip.encode_tokens(tokens, valid)
        losses = distillation(features.float(), teacher, weight)
        scene = global_distance(global_feature.float(), whole)
        return losses | {"loss": losses["loss"] + config.global_weight * scene, "global": scene}

    Loop(folder, config.steps, config.lr).run(learned, optimizer, step, progress)
    metrics = _agreement(model, tokenizer, [b for b, h in zip(book, held, strict=True) if h])
    (folder / "metrics.json").write_text(json.dumps(metrics))
    return model, metrics


def _thin(lesson: Lesson, share: float, rng: np.random.Generator) -> Lesson:
    """Return a lesson with a random share of its tokens."""
    count = len(lesson.weight)
    keep = np.sort(rng.permutation(count)[: max(8, int(share * count))])
    inputs = lesson.inputs
    thin = TokenInputs(inputs.samples[keep], inputs.shape[keep], inputs.centers[keep])
    return Lesson(thin, lesson.teacher[keep], lesson.weight[keep], lesson.whole)


def _targets(chosen: Sequence[Lesson], valid: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    width = chosen[0].teacher.shape[1]
    teacher = torch.zeros(*valid.shape, width)
    weight = torch.zeros(valid.shape)
    for row, lesson in enumerate(chosen):
        teacher[row, : len(lesson.weight)] = torch.from_numpy(lesson.teacher)
        weight[row, : len(lesson.weight)] = torch.from_numpy(lesson.weight)
    return teacher, weight, torch.from_numpy(np.stack([c.whole for c in chosen]))


def _agreement(model: S4Token, tokenizer: str, held: Sequence[Lesson]) -> dict[str, float]:
    """Return the mean cosine with the teacher and, as a collapse watch, between tokens."""
    cosine, spread = [], []
    for lesson in held:
        _, features = model.encode_inputs(tokenizer, [lesson.inputs])
        teacher = torch.from_numpy(lesson.teacher)
        seen = torch.from_numpy(lesson.weight) > 0
        cosine.append(F.cosine_similarity(features[0], teacher, dim=-1)[seen].mean())
        spread.append((features[0] @ features[0].T).mean())
    return {
        "teacher_cosine": float(torch.stack(cosine).mean()),
        "token_cosine": float(torch.stack(spread).mean()),
        "held_out_scenes": float(len(held)),
    }


def recipe(config: PretrainConfig, scenes: int) -> dict:
    """Return the JSON-ready recipe for a checkpoint's header."""
    return asdict(config) | {"scenes": scenes, "objective": "distillation"}


def pretrain_all(
    clip_name: str,
    config: PretrainConfig,
    bank: Path,
    tokenizers: Sequence[str],
    out: Path,
    *,
    folder: Path,
    bar: Callable[[str], Callable[[Iterable], Iterable]] = lambda label: lambda items: items,
) -> dict[str, dict[str, float]]:
    """Teach, train every tokenizer by the same recipe, and write one checkpoint to ``out``.

    clip_name: ``name`` or ``name:tag`` as open_clip knows them. Returns metrics by tokenizer.
    """
    name, _, tag = clip_name.partition(":")
    clip = FrozenCLIP.load(name, tag or None)
    paths = sorted(bank.glob("scene-*.npz"))
    if not paths:
        raise ValueError(f"{bank}: no scene-*.npz; build the bank first")
    before = clip.identity
    taught = teach(clip, paths, folder / "teacher", bar("teacher"))
    whole = S4Token(clip, {t: TOKENIZATIONS[t] for t in tokenizers})
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
    whole.save(out, recipe=recipe(config, len(paths)), metrics=metrics)
    return metrics

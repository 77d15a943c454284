"""How the text tower of the small CLIP is trained: its own words against the teacher's vectors.

The tower is open_clip's own, so that the ordinary code runs it. It learns
``(1 - cos) + weight * KL`` between its vector of a wording and the lexicon's (``text_teacher``).
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from s4token import backbone, checkpoint
from s4token.text_teacher import Lexicon, blend
from s4token.vocabulary import ATTRIBUTES, ROOMS, normalised, pick, wordings

log = logging.getLogger(__name__)
ATTRIBUTION = (
    "Targets: CLIP ViT-B/32 name vectors (OpenAI CLIP, MIT; facebookresearch/Detic, Apache-2.0), "
    "LVIS vocabulary, Open English WordNet (CC BY 4.0, derived from Princeton WordNet); teacher "
    "features: all-MiniLM-L6-v2 (Apache-2.0)"
)
Progress = Callable[[int, Mapping[str, float]], None]


@dataclass(frozen=True)
class TextPretrainConfig:
    """Say how the text tower is trained.

    pool: wordings drawn and tokenized at a time; steps: of ``batch`` wordings each; seconds: stop
    and save after so long, 0 = never; checkpoint_every: steps between two states on disk.
    """

    steps: int = 4000
    batch: int = 512
    pool: int = 131_072
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    warmup: int = 200
    kl_weight: float = 0.2
    temperature: float = 0.07
    shares: tuple[float, float, float] = (0.6, 0.12, 0.28)
    core_share: float = 0.5
    seed: int = 0
    seconds: float = 0.0
    checkpoint_every: int = 500
    bfloat16: bool = True

    def __post_init__(self) -> None:
        for name in ("steps", "batch", "pool", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected at least 1, got {getattr(self, name)}")
        if self.pool < self.batch:
            raise ValueError(f"pool: expected at least one batch ({self.batch}), got {self.pool}")
        if len(self.shares) != 3 or min(self.shares) < 0 or not math.isclose(sum(self.shares), 1):
            raise ValueError(f"shares: expected three shares that add up to 1, got {self.shares}")


@dataclass(frozen=True)
class _Words:
    """Hold one part of the lexicon as arrays."""

    phrases: tuple[str, ...]
    vectors: Float[np.ndarray, "n e"]

    @classmethod
    def of(cls, rows: Mapping[str, np.ndarray]) -> _Words:
        return cls(tuple(rows), np.stack(list(rows.values())))

    def draw(self, rng: np.random.Generator) -> tuple[str, np.ndarray]:
        row = int(rng.integers(len(self.phrases)))
        return self.phrases[row], self.vectors[row]


class WordingSampler:
    """Draw wordings and the vectors they should have from a lexicon, without end.

    ``held_out`` phrases are never drawn, however they come about.
    """

    def __init__(
        self, lexicon: Lexicon, config: TextPretrainConfig, held_out: Iterable[str] = ()
    ) -> None:
        self.config = config
        self.hidden = {normalised(p) for p in held_out}
        near = {
            p: v
            for p, v in lexicon.nouns.items()
            if any(np.array_equal(v, c) for c in lexicon.core.values())
        }
        self.core, self.nouns = _Words.of(near), _Words.of(lexicon.nouns)
        self.descriptions = _Words.of(lexicon.descriptions)
        self.sayings = _Words.of(lexicon.sayings)
        self.attributes = _Words(ATTRIBUTES, lexicon.teacher(ATTRIBUTES))
        self.rooms = _Words(ROOMS, lexicon.teacher(ROOMS))

    def __call__(
        self, count: int, rng: np.random.Generator
    ) -> tuple[list[str], Float[np.ndarray, "count e"]]:
        """Return ``count`` wordings and their unit vectors."""
        makers = (self._noun, self._description, self._saying)
        kinds = rng.choice(len(makers), size=count, p=self.config.shares)
        texts, vectors = [], np.empty((count, self.nouns.vectors.shape[1]), np.float32)
        for row, kind in enumerate(kinds):
            text, vector = makers[kind](rng)
            while normalised(text) in self.hidden:
                text, vector = makers[kind](rng)
            texts.append(text)
            vectors[row] = vector
        return texts, vectors

    def _noun(self, rng: np.random.Generator) -> tuple[str, np.ndarray]:
        words = self.core if rng.random() < self.config.core_share else self.nouns
        noun, vector = words.draw(rng)
        dice = rng.random()
        if dice < 0.3:
            for _ in range(1 + (rng.random() < 0.35)):
                attribute, meaning = self.attributes.draw(rng)
                noun, vector = f"{attribute} {noun}", blend((0.92, vector), (0.15, meaning))
        elif dice < 0.36:
            room, meaning = self.rooms.draw(rng)
            form = pick(rng, ("{1} {0}", "{0} in the {1}", "{0} of a {1}"))
            noun, vector = form.format(noun, room), blend((0.92, vector), (0.15, meaning))
        elif dice < 0.42:
            other, meaning = words.draw(rng)
            form = pick(rng, ("on", "next to", "near", "in front of", "under", "with", "and"))
            noun, vector = f"{noun} {form} a {other}", blend((0.9, vector), (0.3, meaning))
        return wordings(noun, rng), vector

    def _description(self, rng: np.random.Generator) -> tuple[str, np.ndarray]:
        text, vector = self.descriptions.draw(rng)
        start = text.split(" ", 1)[0]
        if start == "where":
            lead = ("", "", "", "the place ", "a place ", "the thing ", "furniture ")
        elif start in ("you", "what"):
            lead = ("", "", "", "something ", "the thing ", "the object ")
        else:
            lead = ("", "", "", "a ", "the ", "something: ", "find the ")
        return pick(rng, lead) + text, vector

    def _saying(self, rng: np.random.Generator) -> tuple[str, np.ndarray]:
        text, vector = self.sayings.draw(rng)
        return pick(rng, ("", "", "", "a ", "the ")) + text, vector


def encode_short(clip: Any, tokens: Int[Tensor, "b t"]) -> Float[Tensor, "b e"]:
    """Encode tokens like ``clip.encode_text``, but only as far as the longest text reaches.

    Attention is causal and read at the end token, so what follows it changes nothing.
    """
    ends = tokens.argmax(dim=-1)
    length = int(ends.max()) + 1
    x = clip.token_embedding(tokens[:, :length]) + clip.positional_embedding[:length]
    x = clip.transformer(x, attn_mask=clip.attn_mask[:length, :length])
    x = clip.ln_final(x)[torch.arange(len(tokens)), ends]
    return F.normalize((x @ clip.text_projection).float(), dim=-1)


def text_loss(
    student: Float[Tensor, "b e"],
    target: Float[Tensor, "b e"],
    bank: Float[Tensor, "c e"],
    *,
    kl_weight: float,
    temperature: float,
) -> tuple[Tensor, Tensor]:
    """Return the loss and the mean cosine of unit rows with their targets.

    The KL compares how student and target are distributed over the words of ``bank``: which
    word is nearest matters more than the angle itself.
    """
    cosine = (student * target).sum(dim=-1).mean()
    ours = F.log_softmax(student @ bank.T / temperature, dim=-1)
    theirs = F.log_softmax(target @ bank.T / temperature, dim=-1)
    divergence = F.kl_div(ours, theirs, reduction="batchmean", log_target=True)
    return 1 - cosine + kl_weight * divergence, cosine


def seed_embeddings(clip: Any, lexicon: Lexicon, known: Mapping[str, Any]) -> int:
    """Start tokens that are whole words from the teacher's vectors; return how many.

    known: phrases that the teacher has features for.
    """
    encoder: dict[str, int] = backbone.small_tokenizer().encoder  # pyright: ignore
    words = {
        token.removesuffix("</w>"): row for token, row in encoder.items() if token.endswith("</w>")
    }
    last = backbone.SMALL_CLIP["text_cfg"]["vocab_size"] - 2
    words = {w: r for w, r in words.items() if r < last and w.isalpha() and w in known}
    if not words:
        return 0
    vectors = torch.from_numpy(lexicon.teacher(list(words)))
    weight = clip.token_embedding.weight
    axes = torch.linalg.svd(vectors, full_matrices=False).Vh[: weight.shape[1]]
    with torch.no_grad():
        start = vectors @ axes.T
        rows = torch.tensor(list(words.values()))
        weight[rows] = 0.5 * weight[rows] + start * (weight.std() / start.std())
    return len(words)


def _text_parameters(clip: nn.Module) -> dict[str, nn.Parameter]:
    return {
        name: parameter
        for name, parameter in clip.named_parameters()
        if not name.startswith("visual.") and not name.startswith("logit_")
    }


def _optimizer(
    parameters: Mapping[str, nn.Parameter], config: TextPretrainConfig
) -> torch.optim.AdamW:
    decayed = [p for n, p in parameters.items() if p.ndim > 1 and "embedding" not in n]
    others = [p for n, p in parameters.items() if not (p.ndim > 1 and "embedding" not in n)]
    groups = [
        {"params": decayed, "weight_decay": config.weight_decay},
        {"params": others, "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=config.learning_rate, betas=(0.9, 0.98))


def _rate(step: int, config: TextPretrainConfig) -> float:
    if step < config.warmup:
        return config.learning_rate * (step + 1) / config.warmup
    done = (step - config.warmup) / max(1, config.steps - config.warmup)
    return config.learning_rate * (0.01 + 0.99 * 0.5 * (1 + math.cos(math.pi * min(1.0, done))))


def _batches(
    sampler: WordingSampler, config: TextPretrainConfig, start: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield tokens and targets of steps ``start``, ``start`` + 1, ...; a pure function of the seed.

    Texts of about the same length share a batch, as a batch costs what its longest text costs.
    """
    tokenize = backbone.small_tokenizer()
    per_pool = config.pool // config.batch
    for round_ in range(start // per_pool, config.steps // per_pool + 1):
        rng = np.random.default_rng([config.seed, round_])
        texts, vectors = sampler(per_pool * config.batch, rng)
        tokens = tokenize(texts)
        lengths = tokens.argmax(dim=-1).numpy() + rng.random(len(tokens))
        order = np.argsort(lengths).reshape(per_pool, config.batch)
        rng.shuffle(order)
        first = max(0, start - round_ * per_pool)
        for rows in order[first:]:
            yield tokens[rows], torch.from_numpy(vectors[rows])


def pretrain_text(
    lexicon: Lexicon,
    config: TextPretrainConfig,
    *,
    held_out: Iterable[str] = (),
    state: str | Path | None = None,
    progress: Progress | None = None,
    known: Mapping[str, Any] | None = None,
) -> nn.Module:
    """Train the text tower of a small CLIP and return the CLIP (its image tower is untrained).

    state: a file that is continued from if it exists, and written every ``checkpoint_every``
    steps. known: phrases with sentence features, whose tokens start from the teacher's vectors.
    progress: called after each step with its number and its figures.
    Raises ValueError when ``state`` belongs to another configuration.
    """
    sampler = WordingSampler(lexicon, config, held_out)
    bank = torch.from_numpy(np.stack(list(lexicon.core.values())))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        clip: Any = backbone.build(backbone.SMALL_CLIP)
    if known:
        seed_embeddings(clip, lexicon, known)
    parameters = _text_parameters(clip)
    optimizer = _optimizer(parameters, config)
    step = _resume(state, config, parameters, optimizer)
    started = time.monotonic()
    clip.train()
    for tokens, target in _batches(sampler, config, step):
        if step >= config.steps or 0 < config.seconds < time.monotonic() - started:
            break
        for group in optimizer.param_groups:
            group["lr"] = _rate(step, config)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=config.bfloat16):
            student = encode_short(clip, tokens)
        loss, cosine = text_loss(
            student, target, bank, kl_weight=config.kl_weight, temperature=config.temperature
        )
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(parameters.values(), 1.0)
        optimizer.step()
        step += 1
        if progress:
            progress(step, {"loss": float(loss.detach()), "cosine": float(cosine.detach())})
        if state and step % config.checkpoint_every == 0:
            _save_state(state, config, step, parameters, optimizer)
    if state:
        _save_state(state, config, step, parameters, optimizer)
    return clip.eval()


def _settings(config: TextPretrainConfig) -> dict[str, Any]:
    """Return what two runs must share to be one: all but where they stop and how often they save."""
    ignored = ("seconds", "checkpoint_every")
    return {k: v for k, v in asdict(config).items() if k not in ignored} | {
        "shares": list(config.shares)
    }


def _save_state(
    path: str | Path,
    config: TextPretrainConfig,
    step: int,
    parameters: Mapping[str, nn.Parameter],
    optimizer: torch.optim.Optimizer,
) -> None:
    tensors: dict[str, Tensor] = {}
    for name, parameter in parameters.items():
        tensors[f"weight.{name}"] = parameter
        for key, value in optimizer.state[parameter].items():
            tensors[f"{key}.{name}"] = value
    header = {"step": step, "config": _settings(config)}
    checkpoint.save(path, tensors, kind="training", header=header, half=False)


def _resume(
    path: str | Path | None,
    config: TextPretrainConfig,
    parameters: Mapping[str, nn.Parameter],
    optimizer: torch.optim.Optimizer,
) -> int:
    """Load weights and moments if there are any; return the number of steps done."""
    if path is None or not Path(path).is_file():
        return 0
    tensors, header = checkpoint.load(path, kind="training")
    if header["config"] != _settings(config):
        raise ValueError(f"{path}: was written with other settings; delete it or use the same ones")
    for name, parameter in parameters.items():
        with torch.no_grad():
            parameter.copy_(tensors[f"weight.{name}"])
        keys = ("step", "exp_avg", "exp_avg_sq")
        optimizer.state[parameter] = {k: tensors[f"{k}.{name}"] for k in keys}
    return int(header["step"])


@torch.no_grad()
def measure(
    clip: Any, categories: list[str], phrases: Mapping[str, list[tuple[str, str]]]
) -> dict[str, float]:
    """Return top-1 of phrases against categories, by kind and over all.

    phrases: kind -> (phrase, category it should be nearest to).
    """
    tokenize = backbone.small_tokenizer()
    encode = lambda texts: F.normalize(clip.encode_text(tokenize(texts)).float(), dim=-1)  # noqa: E731
    bank, right = encode(categories), {}
    for kind, rows in phrases.items():
        nearest = (encode([text for text, _ in rows]) @ bank.T).argmax(dim=-1).tolist()
        right[kind] = [categories[n] == truth for n, (_, truth) in zip(nearest, rows, strict=True)]
    table = {kind: float(np.mean(hits)) for kind, hits in right.items()}
    return table | {"all": float(np.mean(np.concatenate(list(right.values()))))}


def save_text_tower(
    path: str | Path, clip: nn.Module, config: TextPretrainConfig, metrics: Mapping[str, float]
) -> None:
    """Write the text tower, without the image tower, as fp16 with its recipe in the header."""
    tower = {
        name: tensor
        for name, tensor in clip.state_dict().items()
        if not name.startswith("visual.") and not name.startswith("logit_")
    }
    header = {
        "open_clip": backbone.SMALL_CLIP,
        "recipe": asdict(config),
        "metrics": dict(metrics),
        "attribution": ATTRIBUTION,
    }
    checkpoint.save(path, tower, kind="text", header=header)

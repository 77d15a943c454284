"""How the text tower of the small CLIP is trained: its own words against the teacher's vectors.

The tower is open_clip's own, so that the ordinary code runs it. It learns
``(1 - cos) + weight * KL`` between its vector of a wording and the lexicon's (``text_teacher``).
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from s4token import backbone, checkpoint
from s4token.text_corpus import phrases_to_encode, read_corpus, sentence_features
from s4token.text_teacher import Lexicon, blend, build_lexicon
from s4token.training import Loop, parameter_groups
from s4token.vocabulary import ATTRIBUTES, ROOMS, normalised, pick, wordings

ATTRIBUTION = (
    "Targets: CLIP ViT-B/32 name vectors (OpenAI CLIP, MIT; facebookresearch/Detic, Apache-2.0), "
    "LVIS vocabulary, Open English WordNet (CC BY 4.0, derived from Princeton WordNet); teacher "
    "features: all-MiniLM-L6-v2 (Apache-2.0)"
)
EMBED_DIM: int = backbone.SMALL_CLIP["embed_dim"]
_PATHS = ("data", "sentences", "held_out", "start")


@dataclass(frozen=True)
class TextPretrainConfig:
    """Hold the recipe of the text tower.

    data: folder of the word lists; sentences: npz of sentence features, made where they are
    missing, or "" to learn from spelling alone; held_out: JSON of test phrases never trained on,
    or ""; start: a tower to go on from, or ""; pool: wordings drawn at a time; shares: of nouns,
    descriptions, sayings and rare words; core_share: of nouns that are indoor things; kl_weight,
    temperature: see ``text_loss``.
    """

    data: str
    sentences: str = ""
    held_out: str = ""
    start: str = ""
    steps: int = 3000
    batch: int = 512
    pool: int = 131_072
    lr: float = 2e-3
    weight_decay: float = 0.02
    kl_weight: float = 0.2
    temperature: float = 0.07
    shares: tuple[float, float, float, float] = (0.47, 0.13, 0.32, 0.08)
    core_share: float = 0.5
    bfloat16: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "batch"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected at least 1, got {getattr(self, name)}")
        if self.pool < self.batch:
            raise ValueError(f"pool: expected at least one batch ({self.batch}), got {self.pool}")
        if len(self.shares) != 4 or min(self.shares) < 0 or not math.isclose(sum(self.shares), 1):
            raise ValueError(f"shares: expected four shares that add up to 1, got {self.shares}")


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
        self.sayings, self.rare = _Words.of(lexicon.sayings), _Words.of(lexicon.rare)
        self.attributes = _Words(ATTRIBUTES, lexicon.teacher(ATTRIBUTES))
        self.rooms = _Words(ROOMS, lexicon.teacher(ROOMS))

    def __call__(
        self, count: int, rng: np.random.Generator
    ) -> tuple[list[str], Float[np.ndarray, "count e"]]:
        """Return ``count`` wordings and their unit vectors."""
        makers = (self._noun, self._description, self._saying, self._rare)
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

    def _rare(self, rng: np.random.Generator) -> tuple[str, np.ndarray]:
        text, vector = self.rare.draw(rng)
        return pick(rng, ("", "", "a ")) + text, vector


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
) -> dict[str, Tensor]:
    """Return the loss and the mean cosine of unit rows with their targets.

    The KL compares how student and target are distributed over the words of ``bank``: which
    word is nearest matters more than the angle itself.
    """
    cosine = (student * target).sum(dim=-1).mean()
    ours = F.log_softmax(student @ bank.T / temperature, dim=-1)
    theirs = F.log_softmax(target @ bank.T / temperature, dim=-1)
    divergence = F.kl_div(ours, theirs, reduction="batchmean", log_target=True)
    return {"loss": 1 - cosine + kl_weight * divergence, "cosine": cosine.detach()}


def seed_embeddings(clip: Any, lexicon: Lexicon) -> int:
    """Start tokens that are whole words from the teacher's vectors; return how many."""
    known = lexicon.teacher.sentences
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


class _Stream:
    """Give the tokens and targets of any step: a pure function of seed and step.

    Wordings are drawn and tokenized a pool at a time. Texts of about the same length share a
    batch, as a batch costs what its longest text costs.
    """

    def __init__(self, sampler: WordingSampler, config: TextPretrainConfig) -> None:
        self.sampler, self.config, self.round = sampler, config, -1
        self.tokenize = backbone.small_tokenizer()

    def __call__(self, step: int) -> tuple[Tensor, Tensor]:
        round_, place = divmod(step, self.config.pool // self.config.batch)
        if round_ != self.round:
            self._draw(round_)
        rows = self.order[place]
        return self.tokens[rows], torch.from_numpy(self.vectors[rows])

    def _draw(self, round_: int) -> None:
        batch = self.config.batch
        per_pool = self.config.pool // batch
        rng = np.random.default_rng([self.config.seed, round_])
        texts, self.vectors = self.sampler(per_pool * batch, rng)
        self.tokens = self.tokenize(texts)
        lengths = self.tokens.argmax(dim=-1).numpy() + rng.random(len(texts))
        self.order = np.argsort(lengths).reshape(per_pool, batch)
        rng.shuffle(self.order)
        self.round = round_


def train_text_tower(
    lexicon: Lexicon,
    config: TextPretrainConfig,
    *,
    folder: Path,
    held_out: Iterable[str] = (),
    progress: Callable[[Iterable[int]], Iterable[int]] = lambda steps: steps,
) -> nn.Module:
    """Train the text tower of a small CLIP and return the CLIP; its image tower stays random.

    folder: where the state lies that an interrupted run goes on from.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        clip: Any = backbone.build(backbone.SMALL_CLIP)
    if config.start:
        weights, _ = checkpoint.load(config.start, kind="text")
        checkpoint.load_into(clip, clip.state_dict() | weights, source=config.start)
    else:
        seed_embeddings(clip, lexicon)
    clip.visual.requires_grad_(False)
    bank = torch.from_numpy(np.stack(list(lexicon.core.values())))
    stream = _Stream(WordingSampler(lexicon, config, held_out), config)
    # The temperature of image-text pairs has no part in this loss.
    clip.logit_scale.requires_grad_(False)
    groups = parameter_groups(clip, config.weight_decay)
    optimizer = torch.optim.AdamW(groups, lr=config.lr, betas=(0.9, 0.98))

    def step(number: int) -> dict[str, Tensor]:
        tokens, target = stream(number)
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=config.bfloat16):
            student = encode_short(clip, tokens)
        return text_loss(
            student, target, bank, kl_weight=config.kl_weight, temperature=config.temperature
        )

    files = ("data", "sentences", "held_out", "start")
    settings = {k: v for k, v in asdict(config).items() if k not in files}
    settings["start"] = Path(config.start).name
    Loop(folder, config.steps, config.lr, settings).run(clip, optimizer, step, progress)
    return clip.eval()


def pretrain_text(
    config: TextPretrainConfig,
    out: Path,
    *,
    folder: Path,
    progress: Callable[[Iterable[int]], Iterable[int]] = lambda steps: steps,
) -> dict[str, float]:
    """Train the text tower, write it to ``out`` and return its metrics.

    Raises FileNotFoundError for missing data, ImportError with the command to install the
    sentence encoder when its features are not in ``config.sentences``.
    """
    corpus = read_corpus(config.data)
    sentences: Mapping[str, np.ndarray] = {}
    if config.sentences:
        words = phrases_to_encode(corpus, (*ATTRIBUTES, *ROOMS))
        sentences = sentence_features(words, cache=config.sentences)
    categories, phrases = read_phrases(config.held_out) if config.held_out else ([], {})
    hidden = [phrase for rows in phrases.values() for phrase, _ in rows]
    lexicon = build_lexicon(corpus, sentences, size=EMBED_DIM, held_out=hidden)
    clip = train_text_tower(lexicon, config, folder=folder, held_out=hidden, progress=progress)
    metrics = measure(clip, categories, phrases) if phrases else {}
    save_text_tower(out, clip, config, metrics)
    return metrics


def read_phrases(path: str | Path) -> tuple[list[str], dict[str, list[tuple[str, str]]]]:
    """Read test phrases: categories, and by kind the phrases with the category they mean.

    Raises FileNotFoundError, or ValueError naming the file and what is wrong.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such list of test phrases")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        categories = [str(c) for c in content["categories"]]
        phrases = {k: [(str(p), str(c)) for p, c in v] for k, v in content["phrases"].items()}
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{path}: expected JSON with 'categories' and 'phrases' of [phrase, category] ({error})"
        ) from None
    unknown = {c for rows in phrases.values() for _, c in rows} - set(categories)
    if unknown:
        raise ValueError(f"{path}: phrases mean {sorted(unknown)}, which are not categories")
    return categories, phrases


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
        "recipe": {k: v for k, v in asdict(config).items() if k not in _PATHS},
        "metrics": dict(metrics),
        "start": checkpoint.read_header(config.start) if config.start else None,
        "attribution": ATTRIBUTION,
    }
    checkpoint.save(path, tower, kind="text", header=header)

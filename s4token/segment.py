"""From token features to labelled points: prompts, propagation, classification."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
from jaxtyping import Float

from s4token.propagation import point_tokens
from s4token.types import Encoding, Segmentation
from s4token.version import __version__

TEMPLATES = ("{}", "a {}", "a photo of a {}")
"""Prompt templates whose text vectors are averaged (CLIP, arXiv 2103.00020, section 3.1.4)."""
BACKGROUND = ("wall", "floor", "ceiling", "door", "window", "furniture", "object", "thing")
"""Words that always compete, so that the confidence of a lone prompt means something."""
SYNONYM = 0.6
"""Cosine above which a background word says the same as a prompt and steps back."""
TEMPERATURE = 0.05
THRESHOLD = 0.3
MAX_PROMPTS = 1000
BAR = "|"
"""Stands between synonyms of one class: "sofa | couch". No label set we know has it in a name."""


class TextModel(Protocol):
    """Anything that encodes words and can say what it is."""

    @property
    def description(self) -> dict: ...

    def encode_text(self, prompts: Sequence[str]) -> Float[np.ndarray, "C E"]: ...


def synonyms(prompt: str) -> tuple[str, ...]:
    """Return the words of a prompt: "sofa | couch" is one class with two."""
    return tuple(" ".join(word.split()) for word in prompt.split(BAR))


def check_prompts(prompts: Sequence[str], field: str = "prompts") -> tuple[str, ...]:
    """Return prompts without surplus blanks, or raise ValueError naming the wrong one."""
    if isinstance(prompts, str):
        raise ValueError(f"{field}: expected a list of texts, got one text; write [{prompts!r}]")
    clean = tuple(f" {BAR} ".join(synonyms(str(p))) for p in prompts)
    seen: set[str] = set()
    for number, prompt in enumerate(clean, 1):
        if not prompt:
            raise ValueError(f"{field}: number {number} is empty; type a word or leave it out")
        for word in synonyms(prompt):
            if not word:
                raise ValueError(f"{field}: '{prompt}' lacks a word beside a bar; write a | b")
            if word in seen:
                raise ValueError(f"{field}: '{word}' stands twice; leave one out")
            seen.add(word)
    if len(clean) > MAX_PROMPTS:
        raise ValueError(f"{field}: {len(clean):,} given, at most {MAX_PROMPTS:,} are possible")
    return clean


def check_question(
    prompts: Sequence[str], negatives: Sequence[str], threshold: float | Sequence[float]
) -> tuple[tuple[str, ...], tuple[str, ...], np.ndarray]:
    """Return prompts and negatives without surplus blanks, and a threshold for each prompt.

    Raises ValueError naming the argument that is wrong.
    """
    prompts = check_prompts(prompts)
    negatives = check_prompts(negatives, "negatives")
    if not prompts:
        raise ValueError("prompts: none given; type at least one word")
    both = {w for n in negatives for w in synonyms(n)} & {w for p in prompts for w in synonyms(p)}
    if both:
        raise ValueError(f"negatives: '{min(both)}' is also a prompt; leave one out")
    return prompts, negatives, _thresholds(threshold, len(prompts))


def text_features(
    model: TextModel, prompts: Sequence[str], templates: Sequence[str] = TEMPLATES
) -> Float[np.ndarray, "C E"]:
    """Return one unit row per prompt, averaged over templates with one ``{}`` each.

    Underscores are read as blanks: label sets write coffee_table.
    """
    texts = [t.replace("{}", p.replace("_", " ")) for p in prompts for t in templates]
    rows = model.encode_text(texts).reshape(len(prompts), len(templates), -1).mean(axis=1)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def segment(
    model: TextModel,
    encoding: Encoding,
    prompts: Sequence[str],
    *,
    negatives: Sequence[str] = (),
    threshold: float | Sequence[float] = THRESHOLD,
    temperature: float = TEMPERATURE,
    templates: Sequence[str] = TEMPLATES,
) -> Segmentation:
    """Label the points of an encoded cloud with the prompt that describes them best.

    prompts: one class each; synonyms stand between bars, "sofa | couch", and the one that fits a
    token best speaks for the class. Their mean vector would let one ill-known word spoil the
    others (docs/LOG.md). negatives: words whose points stay unlabelled, synonyms likewise.
    threshold: least probability of a label, in [0, 1], for all prompts or one for each; 0 labels
    every point that no negative wins.
    temperature: divides cosines before the softmax over prompts, negatives and background words.
    Raises ValueError naming the argument that is wrong.
    """
    prompts, negatives, least = check_question(prompts, negatives, threshold)
    if not temperature > 0:
        raise ValueError(f"temperature: expected a number > 0, got {temperature}")
    if not templates or any(t.count("{}") != 1 for t in templates):
        raise ValueError("templates: each needs exactly one {}")
    cosine, probability = _compare(model, encoding, (*prompts, *negatives), temperature, templates)
    labels, confidence = best_prompt(probability, least)
    token = point_tokens(encoding.cloud, encoding.groups)
    return Segmentation(
        prompts,
        labels[token],
        np.clip(confidence, 0, 1)[token],
        token,
        cosine[:, : len(prompts)].astype(np.float32),
        probability,
        provenance={
            "prompts": list(prompts),
            "negatives": list(negatives),
            "threshold": float(least[0]) if np.ptp(least) == 0 else least.tolist(),
            "synonyms": "best",
            "temperature": temperature,
            "templates": list(templates),
            "background": list(BACKGROUND),
            **_encoded(encoding),
            "model": _described(model),
            "version": __version__,
        },
    )


def _encoded(encoding: Encoding) -> dict[str, Any]:
    """Return what there is to say of an encoding."""
    return {
        "tokenizer": encoding.tokenizer,
        "engine": encoding.engine,
        "tokens": len(encoding.groups),
        "metres_per_unit": encoding.metres_per_unit,
        "unit_told": encoding.cloud.metres_per_unit is not None,
        "up": encoding.cloud.up.tolist(),
        "notes": list(encoding.notes),
    }


def _described(model: TextModel) -> dict[str, Any]:
    """Return what the model says of itself; of the recipe of its training, the seed."""
    said = {k: v for k, v in model.description.items() if k != "recipe"}
    recipe = model.description.get("recipe") or {}
    return {**said, "seed": recipe["seed"]} if "seed" in recipe else said


def _softmax(logits: np.ndarray) -> np.ndarray:
    shifted = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (shifted / shifted.sum(axis=1, keepdims=True)).astype(np.float32)


def _thresholds(threshold: float | Sequence[float], prompts: int) -> np.ndarray:
    """Return one threshold per prompt, (C,); ValueError when there are others or too many."""
    least = np.asarray(threshold, dtype=np.float64)
    if least.ndim and least.shape != (prompts,):
        raise ValueError(
            f"threshold: expected one number or {prompts}, one per prompt, got {least.size}"
        )
    if not ((least >= 0) & (least <= 1)).all():
        raise ValueError(f"threshold: expected a number in [0, 1], got {threshold}")
    return np.broadcast_to(least, prompts)


def _compare(
    model: TextModel,
    encoding: Encoding,
    asked: Sequence[str],
    temperature: float,
    templates: Sequence[str],
) -> tuple[np.ndarray, np.ndarray]:
    """Return cosine and probability of every token with every prompt, (M, C) float32 each.

    The probability is the softmax over prompts and background words. Of synonyms the best counts.
    """
    words = [synonyms(prompt) for prompt in asked]
    starts = np.cumsum([0, *(len(w) for w in words[:-1])])
    rows = text_features(model, [w for group in words for w in group], templates)
    background = text_features(model, BACKGROUND, templates)
    background = background[(background @ rows.T).max(axis=1) < SYNONYM]
    cosine = encoding.features @ np.concatenate([rows, background]).T
    best = np.maximum.reduceat(cosine[:, : len(rows)], starts, axis=1)
    logits = np.concatenate([best, cosine[:, len(rows) :]], axis=1) / temperature
    return best.astype(np.float32), _softmax(logits)[:, : len(asked)]


def best_prompt(
    probability: Float[np.ndarray, "R CK"], threshold: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return per row the label of the best prompt that reaches its threshold, and its value.

    probability: columns of the C prompts, then of negatives; threshold: (C,). The label is 0, and
    the value that of the best prompt, where no prompt reaches its threshold or a negative is above
    the one that does.
    """
    prompts, count = probability[:, : len(threshold)], len(threshold)
    best = np.where(prompts >= threshold, prompts, -1).argmax(axis=1)
    value = np.take_along_axis(prompts, best[:, None], axis=1)[:, 0]
    won = value >= np.asarray(threshold)[best]
    if probability.shape[1] > count:
        won &= value >= probability[:, count:].max(axis=1)
    return np.where(won, best + 1, 0).astype(np.int32), np.where(won, value, prompts.max(axis=1))

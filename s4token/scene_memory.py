"""The tokens of training scenes in a device's memory, and batches drawn from there.

A step reads no file and waits for nothing that the device has not done yet: a GPU stays busy.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, fields
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from s4token.bank import finished_scenes, held_scenes, scene_count
from s4token.clip_batches import (
    NamedTokens,
    Pictures,
    augment_tokens,
    named_pictures,
    named_tokens,
)
from s4token.model import TOKENIZATIONS
from s4token.size import told_in_training

MOST_NAMES = 8
"""Names that are kept of a token, the most frequent; a token of more loses some points' names."""
TOGETHER = 128
"""Scenes that are read at a time: as they are read, every token names all names, mostly zeros."""
FEWEST = 8
"""Tokens of a scene that a batch has at least, if the scene has them."""


@dataclass(frozen=True, eq=False)
class TokenBatch:
    """Hold what a step reads of B scenes of up to T tokens, on the memory's device.

    samples, shape, centers: what a tokenizer reads; valid: False on padding, None where there is
    none; share: (B, T, C) of each name, sums to 1; weight: (B, T), what is named in
    a token times how pure it is; pitch: (B,), log of metres per token pitch, NaN if unknown; told:
    (B, 2), what a tokenizer is told of it; more: (B, T, ...) and (B, ...), what else was kept.
    """

    samples: Tensor
    shape: Tensor
    centers: Tensor
    valid: Tensor | None
    share: Tensor
    weight: Tensor
    pitch: Tensor
    told: Tensor
    more: Mapping[str, Tensor]

    @property
    def inputs(self) -> tuple[Tensor, Tensor, Tensor]:
        return self.samples, self.shape, self.centers

    @property
    def real(self) -> Tensor:
        """Return (B, T), False on padding."""
        if self.valid is not None:
            return self.valid
        return torch.ones(self.weight.shape, dtype=torch.bool, device=self.weight.device)


@dataclass(frozen=True, eq=False)
class _Columns:
    """Hold rows of tokens, those of one scene behind those of another."""

    samples: Tensor
    shape: Tensor
    centers: Tensor
    names: Tensor
    parts: Tensor

    def joined(self, other: _Columns) -> _Columns:
        both = ((getattr(self, f.name), getattr(other, f.name)) for f in fields(self))
        return _Columns(*(torch.cat(pair) for pair in both))


def digest(paths: Sequence[Path]) -> str:
    """Return what tells one set of scenes from another: a hash of their names and sizes."""
    named = [f"{path.name} {path.stat().st_size}" for path in paths]
    return hashlib.sha256("\n".join(named).encode()).hexdigest()[:12]


class SceneMemory:
    """Keep scenes' described and named tokens, and draw augmented batches of them.

    names: how many names there are; device: where all of it is kept. Samples and shares are held
    in half precision.
    """

    def __init__(self, names: int, device: torch.device | str) -> None:
        self.names, self.device = names, torch.device(device)
        self.sizes = np.zeros(0, np.int64)
        """How many tokens each scene has."""
        self._starts = np.zeros(0, np.int64)
        self._columns: _Columns | None = None
        self._pitch = torch.zeros(0, device=self.device)
        self._of_tokens: dict[str, Tensor] = {}
        self._of_scenes: dict[str, Tensor] = {}

    def __len__(self) -> int:
        """Return how many scenes there are."""
        return len(self.sizes)

    @property
    def knows_metres(self) -> bool:
        """Say whether the unit of any scene is known."""
        return bool(self._pitch.isfinite().any())

    def add(
        self,
        scenes: Sequence[NamedTokens],
        *,
        of_tokens: Mapping[str, Sequence[np.ndarray]] | None = None,
        of_scenes: Mapping[str, Sequence[np.ndarray]] | None = None,
    ) -> None:
        """Take scenes in.

        of_tokens: what else to keep, by name: an array of (M, ...) for each; of_scenes: of (...).
        """
        sizes = np.array([len(scene.points) for scene in scenes], np.int64)
        ends = self.sizes.sum() + np.cumsum(sizes)
        self._starts = np.concatenate([self._starts, ends - sizes])
        self.sizes = np.concatenate([self.sizes, sizes])
        new = self._on_device(scenes)
        self._columns = new if self._columns is None else self._columns.joined(new)
        pitch = torch.tensor([scene.inputs.pitch for scene in scenes]).float().log()
        self._pitch = torch.cat([self._pitch, pitch.to(self.device)])
        joined = {k: np.concatenate(v) for k, v in (of_tokens or {}).items()}
        self._of_tokens = _grown(self._of_tokens, joined, self.device)
        stacked = {k: np.stack(v) for k, v in (of_scenes or {}).items()}
        self._of_scenes = _grown(self._of_scenes, stacked, self.device)

    def _on_device(self, scenes: Sequence[NamedTokens]) -> _Columns:
        together = lambda arrays: torch.from_numpy(np.concatenate(arrays)).to(self.device)  # noqa: E731
        share = together([scene.share for scene in scenes])
        parts, names = share.topk(min(MOST_NAMES, self.names), dim=1)
        return _Columns(
            together([scene.inputs.samples.astype(np.float16) for scene in scenes]),
            together([scene.inputs.shape for scene in scenes]),
            together([scene.inputs.centers for scene in scenes]),
            names.to(torch.int16),
            parts.to(torch.float16),
        )

    def batch(
        self,
        numbers: Sequence[int] | np.ndarray,
        keep: float,
        rng: np.random.Generator,
        generator: torch.Generator,
    ) -> TokenBatch:
        """Draw a share of the tokens of some scenes, augmented.

        numbers: of the scenes, in the order in which they were added; keep: the share. rng picks
        tokens, generator (of the memory's device) augments.
        """
        assert self._columns is not None
        index, valid = self._chosen(numbers, keep, rng)
        full = None if valid.all() else self._sent(valid)
        at, scenes = self._sent(index), self._sent(np.asarray(numbers, np.int64))
        c = self._columns
        names, parts = c.names[at].long(), _unpadded(c.parts[at].float(), full)
        share = parts.new_zeros(*at.shape, self.names).scatter_(2, names, parts)
        # The largest share is the first; without names there is none.
        weight = parts[..., 0] if self.names else parts.new_zeros(at.shape)
        share = share / share.sum(dim=-1, keepdim=True).clamp(min=1e-6)
        pitch = self._pitch[scenes]
        described = c.samples[at].float(), c.shape[at], c.centers[at]
        called = names[..., 0] if self.names else None
        inputs = augment_tokens(*described, generator, called, self.names)
        more = {k: _unpadded(column[at].float(), full) for k, column in self._of_tokens.items()}
        more |= {k: column[scenes].float() for k, column in self._of_scenes.items()}
        told = told_in_training(pitch, generator)
        return TokenBatch(*inputs, full, share, weight, pitch, told, more)

    def _chosen(
        self, numbers: Sequence[int] | np.ndarray, keep: float, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return rows of (B, T) drawn tokens, and which of them are not padding."""
        rows = [self._starts[i] + drawn(int(self.sizes[i]), keep, rng) for i in numbers]
        longest = max(len(row) for row in rows)
        index, valid = (
            np.zeros((len(rows), longest), np.int64),
            np.zeros((len(rows), longest), bool),
        )
        for number, row in enumerate(rows):
            index[number, : len(row)], valid[number, : len(row)] = row, True
        return index, valid

    def _sent(self, array: np.ndarray) -> Tensor:
        tensor = torch.from_numpy(array)
        if self.device.type == "cpu":
            return tensor
        return tensor.pin_memory().to(self.device, non_blocking=True)


def drawn(count: int, share: float, rng: np.random.Generator) -> np.ndarray:
    """Return a random share of ``count`` indices, sorted, ``FEWEST`` at least if there are."""
    return np.sort(rng.permutation(count)[: max(FEWEST, int(share * count))])


def draw_scenes(
    counts: np.ndarray, scenes: int, rng: np.random.Generator, among: np.ndarray | None = None
) -> np.ndarray:
    """Return which scenes make a batch: of one token count, as many tokens as ``scenes`` of 512.

    counts: how many tokens each scene was to be cut into (``bank.scene_count``); among: a mask of
    those that may be drawn; all may be without it, or if it leaves none.
    """
    choice = np.arange(len(counts)) if among is None or not among.any() else np.flatnonzero(among)
    count = counts[choice[rng.integers(len(choice))]]
    alike = choice[counts[choice] == count]
    return alike[rng.integers(len(alike), size=max(1, 512 * scenes // int(count)))]


def _unpadded(found: Tensor, valid: Tensor | None) -> Tensor:
    """Return (B, T, ...) with zeros on padding."""
    if valid is None:
        return found
    return found * valid.view(*valid.shape, *[1] * (found.ndim - 2))


def _grown(
    columns: dict[str, Tensor], new: Mapping[str, np.ndarray], device: torch.device
) -> dict[str, Tensor]:
    sent = {name: torch.from_numpy(array).to(device) for name, array in new.items()}
    return {k: torch.cat([columns[k], v]) if k in columns else v for k, v in sent.items()}


Scene = tuple[tuple[np.ndarray, np.ndarray], dict[str, NamedTokens]]
"""A scene's pictures with their ids, and its tokens by tokenizer."""


class BankMemory:
    """Keep what the small CLIP learns from: pictures and tokens of a bank's training scenes.

    Scenes that are held out are left out. names: numbered from 0.
    """

    def __init__(
        self, folder: Path, names: Sequence[str], device: torch.device, held_out: float
    ) -> None:
        self.folder, self.held_out = folder, held_out
        self.ids = {name: number for number, name in enumerate(names)}
        self.pictures = Pictures(device)
        self.tokens = {t: SceneMemory(len(names), device) for t in TOKENIZATIONS}
        self.counts = np.zeros(0, np.int64)
        """How many tokens each scene was to be cut into."""
        self.mixed = np.zeros(0, bool)
        """Which scenes have more than one name: all but objects alone."""
        self._known: set[Path] = set()
        self._reader = ThreadPoolExecutor(1)
        self._coming: Future[tuple[list[Path], list[Scene]]] | None = None

    def add(self, paths: Sequence[Path]) -> None:
        """Read scenes and take them in, but for those that are held out."""
        held = held_scenes(paths, self.held_out)
        training = [path for path, out in zip(paths, held, strict=True) if not out]
        self._known |= set(paths)
        for start in range(0, len(training), TOGETHER):
            some = training[start : start + TOGETHER]
            self._take(some, [self._read(path) for path in some])

    def frequency(self) -> Tensor:
        """Return how much of the pictures shows each name, (names,)."""
        some = self.pictures.labels[::7].flatten().int()
        return torch.bincount(some, minlength=len(self.ids) + 1)[1:].float()

    @property
    def knows_metres(self) -> bool:
        """Say whether there is anything to learn sizes in metres from."""
        return any(memory.knows_metres for memory in self.tokens.values())

    def take_in_new(self, most: int = TOGETHER) -> None:
        """Take in scenes that have been read in the background, and go on reading new ones."""
        if self._coming is not None and not self._coming.done():
            return
        if self._coming is not None:
            self._take(*self._coming.result())
        self._coming = self._reader.submit(self._read_new, most)

    def _read_new(self, most: int) -> tuple[list[Path], list[Scene]]:
        paths = [p for p in finished_scenes(self.folder) if p not in self._known][:most]
        self._known |= set(paths)
        held = held_scenes(paths, self.held_out)
        training = [path for path, out in zip(paths, held, strict=True) if not out]
        return training, [self._read(path) for path in training]

    def _read(self, path: Path) -> Scene:
        tokens = {name: named_tokens(path, name, self.ids) for name in self.tokens}
        return named_pictures(path, self.ids), tokens

    def _take(self, paths: list[Path], scenes: list[Scene]) -> None:
        if not scenes:
            return
        self.pictures.add([shown for shown, _ in scenes])
        for name, memory in self.tokens.items():
            memory.add([tokens[name] for _, tokens in scenes])
        self.counts = np.append(self.counts, [scene_count(path) for path in paths])
        named = (next(iter(tokens.values())).share.any(axis=0) for _, tokens in scenes)
        self.mixed = np.append(self.mixed, [names.sum() > 1 for names in named])

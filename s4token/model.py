"""S4Token: a grouping, a learned tokenizer and a frozen CLIP, from cloud to text-aligned tokens."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from jaxtyping import Float
from numba.np.ufunc.parallel import get_num_threads, set_num_threads, threading_layer
from torch import nn

from s4token import checkpoint
from s4token.backbone import SMALL_NAME, FrozenCLIP
from s4token.compiling import stage
from s4token.describe import Normalise, TokenInputs, describe_levels
from s4token.grouping import KNN, Radius
from s4token.propagation import regroup
from s4token.superpoints import Superpoints
from s4token.tokenizer import Tokenizer, collate
from s4token.types import Encoding, Groups, PointCloud

TokenizerName = Literal["superpoint", "knn", "radius"]
Progress = Callable[[float, str], object]
LEVELS = (1.0, 2.0, 0.5, 0.25)
"""Token counts, to the budget, of the groupings that an encoding averages; its own comes first."""
SHAPES = 8
"""Small clouds that a GPU reads at a time."""
DEFAULT_CHECKPOINT = checkpoint.CHECKPOINTS / "s4token.safetensors"


@dataclass(frozen=True)
class Tokenization:
    """Say how a cloud becomes tokens: the grouping, and what its coordinates are divided by."""

    grouping: Superpoints | KNN | Radius
    normalise: Normalise

    def tokenizer(self, width: int) -> Tokenizer:
        """Return an untrained tokenizer for it, for a transformer of this width."""
        return Tokenizer(width, sized=self.normalise == "token")

    def as_dict(self) -> dict[str, Any]:
        return {"grouping": asdict(self.grouping), "normalise": self.normalise}


TOKENIZATIONS: dict[str, Tokenization] = {
    "superpoint": Tokenization(Superpoints(512), "token"),
    "knn": Tokenization(KNN(512, 32), "none"),
    "radius": Tokenization(Radius(512, 0.2, 32), "none"),
}


def _tokenization(name: str, config: Mapping[str, Any]) -> Tokenization:
    grouping = type(TOKENIZATIONS[name].grouping)(**config["grouping"])
    return Tokenization(grouping, config["normalise"])


class S4Token(nn.Module):
    """Encode clouds with one frozen CLIP and one trained tokenizer per grouping."""

    def __init__(
        self,
        clip: FrozenCLIP,
        tokenizations: Mapping[str, Tokenization] | None = None,
        *,
        source: str = "untrained",
        recipe: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__()
        self.clip = clip
        self.tokenizations = dict(TOKENIZATIONS if tokenizations is None else tokenizations)
        self.learned = nn.ModuleDict(
            {name: t.tokenizer(clip.width) for name, t in self.tokenizations.items()}
        )
        self.source, self.recipe = source, dict(recipe or {})

    @property
    def tokenizers(self) -> tuple[str, ...]:
        """Names that ``encode`` takes."""
        return tuple(self.tokenizations)

    @property
    def trained(self) -> bool:
        """Whether the tokenizers come from a checkpoint."""
        return self.source != "untrained"

    @property
    def description(self) -> dict[str, Any]:
        """Say what runs: checkpoint, CLIP, tokenizers and sizes, JSON-ready."""
        return {
            "checkpoint": self.source,
            "trained": self.trained,
            "clip": self.clip.name,
            "clip_tag": self.clip.tag,
            "clip_is_small": self.clip.name == SMALL_NAME,
            "sha256": self.clip.identity.sha256,
            "embed_dim": self.clip.embed_dim,
            "tokenizers": {k: v.as_dict() for k, v in self.tokenizations.items()},
            "parameters": sum(p.numel() for p in self.learned.parameters()),
            "clip_parameters": sum(p.numel() for p in self.clip.parameters()),
            "recipe": self.recipe,
        }

    def grouping(self, tokenizer: str, count: int | None = None) -> Superpoints | KNN | Radius:
        """Return a tokenizer's grouping, with another token count when one is given.

        Raises ValueError when this checkpoint has no such tokenizer.
        """
        if tokenizer not in self.tokenizations:
            raise ValueError(
                f"tokenizer: {self.source} has no '{tokenizer}'; "
                f"it has {', '.join(self.tokenizers)}"
            )
        grouping = self.tokenizations[tokenizer].grouping
        return grouping if count is None else replace(grouping, count=count)

    def encode(
        self,
        cloud: PointCloud,
        *,
        tokenizer: str = "superpoint",
        count: int | None = None,
        levels: int = len(LEVELS),
        progress: Progress | None = None,
    ) -> Encoding:
        """Encode a cloud into one text-aligned unit vector per token.

        Features are averaged over ``LEVELS`` of tokens, because no size is special, each turned
        about the vertical by another quarter, because no direction in plan is. How large things are
        in metres is estimated where the cloud does not say its unit.
        count: tokens, instead of the number the tokenizer was trained with.
        levels: how many of ``LEVELS``, from the first on; not all: in bfloat16 if a CPU has it, and
        fewer tokens for a small scan (``quick_count``) if ``count`` does not say how many.
        progress: called with the fraction done and the name of the stage that begins.
        Raises ValueError when this checkpoint has no such tokenizer, or for levels there are not.
        """
        if not 1 <= levels <= len(LEVELS):
            raise ValueError(f"levels: expected 1 to {len(LEVELS)}, got {levels}")
        grouping = self.grouping(tokenizer, count)
        if count is None and levels < len(LEVELS):
            grouping = replace(grouping, count=quick_count(len(cloud), grouping.count))
        say = progress or (lambda fraction, stage: None)
        clock = [time.perf_counter()]
        with stage(say, f"grouping {len(cloud):,} points ({tokenizer})"):
            groupings = _levels(grouping, cloud, levels)
        groups = groupings[0]
        clock.append(time.perf_counter())
        say(0.6, f"describing {len(groups):,} tokens")
        described = describe_levels(cloud, groupings, self.tokenizations[tokenizer].normalise)
        clock.append(time.perf_counter())
        say(0.8, f"frozen transformer ({self.clip.name})")
        features = np.zeros((len(groups), self.clip.embed_dim))
        whole, sizes, unit = np.zeros(self.clip.embed_dim), [], cloud.metres_per_unit
        for level, inputs in zip(groupings, described, strict=True):
            with self._precision() if levels == len(LEVELS) else self._quickest():
                pooled, each, size = self.encode_inputs(tokenizer, [inputs], [unit])
            sizes.append(size.cpu())
            own = each[0].float().cpu().numpy()
            features += own if level is groups else regroup(cloud, own, level, groups)
            whole += pooled[0].float().cpu().numpy()
        clock.append(time.perf_counter())
        say(1.0, "encoded")
        stages = ("grouping", "describing", "transformer")
        if unit is None and self.recipe.get("knows_metres"):
            unit = _geometric_mean(torch.cat(sizes))
        return Encoding(
            cloud,
            groups,
            _unit(features),
            _unit(whole),
            tokenizer=tokenizer,
            seconds={s: b - a for s, a, b in zip(stages, clock, clock[1:], strict=False)},
            notes=self._notes(cloud, len(groups), grouping.count, levels),
            metres_per_unit=unit,
        )

    def encode_shapes(
        self, clouds: Sequence[PointCloud], *, tokenizer: str = "superpoint"
    ) -> Float[np.ndarray, "n E"]:
        """Return the ``global_feature`` that ``encode`` has for each of many small clouds.

        Quicker than one by one, and the same to a cosine above 0.999: every core has a cloud of its
        own, a GPU reads several at a time, in bfloat16 where there are instructions for it.
        Raises ValueError when this checkpoint has no such tokenizer.
        """
        grouping = self.grouping(tokenizer)
        normalise = self.tokenizations[tokenizer].normalise

        def described(cloud: PointCloud) -> list[TokenInputs]:
            return describe_levels(cloud, _levels(grouping, cloud), normalise)

        def alone(cloud: PointCloud) -> np.ndarray:
            return self._whole(tokenizer, [described(cloud)], [cloud.metres_per_unit])

        found = [np.zeros((0, self.clip.embed_dim), np.float32)]
        with _core_each() as pool:
            if self.clip.device.type == "cpu":
                return np.concatenate([*found, *pool.map(alone, clouds)])
            units = (cloud.metres_per_unit for cloud in clouds)
            ready = zip(pool.map(described, clouds), units, strict=True)
            while batch := list(itertools.islice(ready, SHAPES)):
                found.append(self._whole(tokenizer, *zip(*batch, strict=True)))
        return np.concatenate(found)

    def _whole(
        self,
        tokenizer: str,
        shapes: Sequence[Sequence[TokenInputs]],
        units: Sequence[float | None],
    ) -> Float[np.ndarray, "B E"]:
        """Return unit features of clouds, described for every level."""
        whole = np.zeros((len(shapes), self.clip.embed_dim))
        for level in zip(*shapes, strict=True):
            with self._quickest():
                whole += self.encode_inputs(tokenizer, level, units)[0].float().cpu().numpy()
        return _unit(whole)

    def _precision(self) -> AbstractContextManager[object]:
        """Return what makes a GPU encode in bfloat16, in which large CLIPs are quicker."""
        kind = self.clip.device.type
        return torch.autocast(kind, torch.bfloat16) if kind == "cuda" else nullcontext()

    def _quickest(self) -> AbstractContextManager[object]:
        """Return the same where a CPU has instructions for it, too."""
        if self.clip.device.type == "cpu" and torch.cpu._is_avx512_bf16_supported():
            return torch.autocast("cpu", torch.bfloat16)
        return self._precision()

    def _notes(self, cloud: PointCloud, tokens: int, wanted: int, levels: int) -> tuple[str, ...]:
        notes = []
        if not self.trained:
            notes.append("untrained tokenizer: labels are meaningless")
        if cloud.colors is None:
            notes.append("the scan has no colours: read as mid grey, expect weaker labels")
        if tokens < wanted:
            notes.append(f"{tokens:,} tokens instead of {wanted:,}: the scan has no more")
        if levels < len(LEVELS):
            notes.append(f"levels: {levels} of {len(LEVELS)} averaged: quicker, and less exact")
        return tuple(notes)

    @torch.no_grad()
    def encode_inputs(
        self,
        tokenizer: str,
        inputs: Sequence[TokenInputs],
        metres_per_unit: Sequence[float | None] | None = None,
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Run described groups through tokenizer and transformer.

        metres_per_unit: of every input, where it is known. Under ``torch.autocast`` in its
        precision. Returns (B, E) and (B, T, E) units and the
        estimated metres per unit, (B,): NaN from a tokenizer that trusts the unit.
        """
        samples, shape, centers, valid = collate(inputs, self.clip.device)
        pitch = torch.tensor([i.pitch for i in inputs], device=self.clip.device).log()
        units = metres_per_unit or [None] * len(inputs)
        known = [math.nan if unit is None else math.log(unit) for unit in units]
        told = torch.stack([pitch + pitch.new_tensor(known), torch.ones_like(pitch)], dim=1)
        embeddings, size = self.learned[tokenizer](samples, shape, centers, valid, told)
        pooled, each = self.clip.encode_tokens(embeddings, valid)
        return pooled, each, (size - pitch).exp()

    def warm_up(self) -> None:
        """Group and describe noise, so that what is compiled but once is there for a scan."""
        points, colors = np.random.default_rng(0).random((2, 20_000, 3), dtype=np.float32)
        cloud = PointCloud(points, colors)
        groupings = _levels(self.grouping(self.tokenizers[0]), cloud)
        describe_levels(cloud, groupings, "token")

    def encode_text(self, prompts: Sequence[str]) -> Float[np.ndarray, "C E"]:
        """Return one unit row per prompt, float32, without templates."""
        return self.clip.encode_text(list(prompts)).float().cpu().numpy()

    def save(self, path: str | Path, **header: Any) -> None:
        """Write the trained tokenizers with their configuration and the identity of the CLIP."""
        described = {
            "clip": self.clip.identity.as_dict(),
            "tokenizers": {k: v.as_dict() for k, v in self.tokenizations.items()},
        }
        checkpoint.save(
            path, self.learned.state_dict(), kind="tokenizers", header=described | header
        )


@contextmanager
def _core_each() -> Iterator[ThreadPoolExecutor]:
    """Yield as many threads as torch may use, each of which keeps to one core.

    One thread, which may use them all, where two of Numba's parallel kernels at a time would end
    the process: in its layer ``workqueue``, which is what is left without OpenMP.
    """
    cores = torch.get_num_threads()
    get_num_threads()  # starts the layer: which it is, is not known before

    def keep_to_one() -> None:
        set_num_threads(1)
        torch.set_num_threads(1)

    workers = (1, None) if threading_layer() == "workqueue" else (cores, keep_to_one)
    try:
        with ThreadPoolExecutor(workers[0], initializer=workers[1]) as pool:
            yield pool
    finally:
        torch.set_num_threads(cores)  # what a thread sets counts for those that start later


def quick_count(points: int, most: int) -> int:
    """Return the tokens of a quick encoding: one for 160 points, at least 128, at most ``most``.

    On small scans as good as 512, in less time (docs/LOG.md).
    """
    return min(most, max(128, points // 160))


def _levels(
    grouping: Superpoints | KNN | Radius, cloud: PointCloud, levels: int = len(LEVELS)
) -> list[Groups]:
    """Return the groups, and then those of the other levels."""
    counts = [max(1, round(level * grouping.count)) for level in LEVELS[:levels]]
    return grouping.levels(cloud, counts)


def _unit(features: np.ndarray) -> np.ndarray:
    length = np.linalg.norm(features, axis=-1, keepdims=True)
    return (features / np.maximum(length, 1e-12)).astype(np.float32)


def _geometric_mean(values: torch.Tensor) -> float | None:
    mean = values.log().mean().exp().item()
    return mean if math.isfinite(mean) else None


def load(
    path: str | Path | None = None, device: str = "cpu", *, clip: FrozenCLIP | None = None
) -> S4Token:
    """Load a trained S4Token; the shipped checkpoint without a path.

    clip: use this CLIP instead of the one the checkpoint names; it must be the same one.
    Raises FileNotFoundError or ValueError naming the file, also when it was trained against
    another CLIP.
    """
    path = Path(path) if path else DEFAULT_CHECKPOINT
    check_device(device)
    state, header = checkpoint.load(path, kind="tokenizers")
    wanted = header["clip"]
    if clip is None:
        beside = path.parent / wanted["tag"]
        small = wanted["name"] == SMALL_NAME
        clip = FrozenCLIP.load(
            wanted["name"], beside if small and beside.is_file() else _tag(wanted)
        )
    if clip.identity.sha256 != wanted["sha256"]:
        raise ValueError(
            f"{path}: trained against {wanted['name']}:{wanted['tag']} "
            f"({wanted['sha256'][:12]}), but the loaded CLIP is {clip.name}:{clip.tag} "
            f"({clip.identity.sha256[:12]}); use that CLIP or train again against this one"
        )
    try:
        tokenizations = {k: _tokenization(k, v) for k, v in header["tokenizers"].items()}
    except (KeyError, TypeError):
        raise ValueError(f"{path}: its header describes tokenizers that are not known") from None
    recipe = header.get("recipe", {})
    model = S4Token(clip, tokenizations, source=path.name, recipe=recipe)
    checkpoint.load_into(model.learned, state, source=str(path))
    return model.eval().requires_grad_(False).to(device)


def _tag(identity: Mapping[str, str]) -> str | None:
    return None if identity["name"] == SMALL_NAME else identity["tag"]


def check_device(device: str) -> None:
    """Raise ValueError when a device is none, or is not there."""
    try:
        kind = torch.device(device).type
    except RuntimeError:
        raise ValueError(f"device: '{device}' is none; use cpu or cuda") from None
    if kind == "cuda" and not torch.cuda.is_available():
        raise ValueError("device: this machine has no usable CUDA device; use --device cpu")

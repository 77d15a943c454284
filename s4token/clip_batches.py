"""What the small CLIP learns from: pictures of rooms, pictures of single objects, 3D tokens."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from s4token.bank import name_shares, token_inputs, tokens_path
from s4token.bank_files import opened
from s4token.datasets import Named
from s4token.describe import TokenInputs
from s4token.multiview import draw, splats
from s4token.types import Camera, PointCloud

Draw = Callable[..., Tensor]
COLOR = slice(3, 6)
MEAN_COLOR, COLOR_SPREAD, COLOURED = slice(11, 14), slice(14, 17), 18
"""Columns of ``TokenInputs.samples`` and ``.shape`` that hold colours."""

EXPOSURES = 0.25
"""Spread of the log of exposures that augmentation draws for a scene."""

REPAINTED = 0.3
"""Share of the names in a scene that augmentation recolours by themselves."""

ROUGHEST = 0.15
"""Most noise that augmentation adds to the places of samples, in radii of their token."""


def bank_names(paths: Sequence[Path]) -> set[str]:
    """Return the names that occur in a bank's scenes."""
    out: set[str] = set()
    for path in paths:
        with opened(path) as scene:
            out |= set(scene["classes"].tolist())
    return out


class Pictures:
    """Keep scenes' pictures on a device, with global class ids (0 = none) per second pixel."""

    def __init__(self, device: torch.device | str) -> None:
        self.device = torch.device(device)
        self.images = torch.zeros(0, device=self.device)
        self.labels = torch.zeros(0, device=self.device)

    def add(self, shown: Sequence[tuple[np.ndarray, np.ndarray]]) -> None:
        """Take in pictures, uint8 (V, H, W, 3), and their ids, int16 (V, H/2, W/2)."""
        images, labels = (
            torch.from_numpy(np.concatenate(arrays)).to(self.device)
            for arrays in zip(*shown, strict=True)
        )
        first = not len(self.images)
        self.images = images if first else torch.cat([self.images, images])
        self.labels = labels if first else torch.cat([self.labels, labels])

    def batch(self, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Draw pictures, augmented, with their ids as int64."""
        pick = torch.randint(
            len(self.images), (count,), generator=generator, device=generator.device
        )
        return augment(self.images[pick], self.labels[pick].long(), generator)


def named_pictures(path: Path, ids: Mapping[str, int]) -> tuple[np.ndarray, np.ndarray]:
    """Read a scene's pictures for ``Pictures``; names that ``ids`` does not number are none."""
    with opened(path) as scene:
        table = np.array([0] + [ids.get(c, -1) + 1 for c in scene["classes"].tolist()], np.int16)
        # One more at the end, for pixels that show no point.
        labels = np.append(table[scene["labels"]], np.int16(0))[scene["pixel_points"]]
        return scene["images"], labels


class Objects:
    """Single objects, drawn from anywhere: to measure with."""

    def __init__(self, named: Sequence[Named], names: list[str], size: int) -> None:
        ids = {n: i for i, n in enumerate(names)}
        self.size = size
        self.clouds = [PointCloud(o.points, np.clip(o.colors, 0, 1)) for o in named]
        self.splats = [splats(c) for c in self.clouds]
        self.ids = np.array([ids[o.category] for o in named])

    def draw(self, number: int, rng: np.random.Generator) -> np.ndarray:
        """Render one object before a plain background."""
        cloud, prepared = self.clouds[number], self.splats[number]
        # An object stands anywhere in a room and fills some of its height.
        share = np.exp(rng.uniform(np.log(0.1), 0))
        level = share * prepared.heights + rng.random() ** 2 * (1 - share)
        prepared = replace(prepared, heights=level)
        low, high = cloud.points.min(axis=0), cloud.points.max(axis=0)
        reach = float(np.linalg.norm(high - low)) / 2
        yaw, rise = rng.uniform(0, 2 * np.pi), np.radians(rng.uniform(-15, 65))
        gaze = np.array([np.cos(yaw) * np.cos(rise), np.sin(yaw) * np.cos(rise), np.sin(rise)])
        target = (low + high) / 2 + rng.normal(size=3) * 0.15 * reach
        distance = reach / np.tan(np.radians(25)) * np.exp(rng.uniform(-0.4, 0.7))
        camera = Camera(target + distance * gaze, target, fov=50, width=self.size, height=self.size)
        shade = rng.integers(0, 256, 3) if rng.random() < 0.5 else np.full(3, rng.integers(0, 256))
        view = draw(
            cloud,
            [camera],
            prepared,
            style="relief",
            background=(int(shade[0]), int(shade[1]), int(shade[2])),
            point_size=float(np.exp(rng.uniform(-0.3, 0.4))),
        )
        return view.images[0]


def random_on(generator: torch.Generator) -> tuple[Draw, Draw]:
    """Return functions of a shape that draw uniformly from [0, 1) and normally, on its device."""
    how: Any = {"generator": generator, "device": generator.device}
    return lambda *shape: torch.rand(*shape, **how), lambda *shape: torch.randn(*shape, **how)


@cache
def _constant(values: tuple[float, ...], device: torch.device) -> Tensor:
    """Return numbers on a device, sent there once: every sending makes a GPU's queue wait."""
    return torch.tensor(values, device=device)


def augment(images: Tensor, labels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Flip, zoom and recolour a batch: uint8 (B, H, W, 3) and ids (B, H/2, W/2)."""
    batch = len(images)
    uniform, normal = random_on(generator)
    flip = torch.where(uniform(batch) < 0.5, -1.0, 1.0)
    zoom = 1 - 0.35 * uniform(batch) * (uniform(batch) < 0.6)
    shift = (2 * uniform(batch, 2) - 1) * (1 - zoom)[:, None]
    theta = torch.zeros(batch, 2, 3, device=images.device)
    theta[:, 0, 0], theta[:, 1, 1] = zoom * flip, zoom
    theta[:, :, 2] = shift
    grid = lambda n: F.affine_grid(theta, [batch, 1, n, n], align_corners=False)  # noqa: E731
    x = images.permute(0, 3, 1, 2).float()
    x = F.grid_sample(x, grid(x.shape[-1]), align_corners=False, padding_mode="border")
    ids = F.grid_sample(
        labels[:, None].float(), grid(labels.shape[-1]), mode="nearest", align_corners=False
    )
    mean = x.mean(dim=(2, 3), keepdim=True)
    contrast = torch.exp(0.12 * normal(batch, 3, 1, 1))
    # Brightness and warmth vary with the light; height only with how much was scanned.
    spread = _constant((0.2, 0.05, 0.03), x.device).view(1, 3, 1, 1)
    x = ((x - mean) * contrast + mean) * torch.exp(spread * normal(batch, 3, 1, 1))
    grey = (uniform(batch) < 0.05)[:, None, None]
    x[:, 2] = torch.where(grey, 127.5, x[:, 2])
    x = x + 4 * normal(*x.shape)
    return x.clamp(0, 255).byte().permute(0, 2, 3, 1), ids[:, 0].long()


def patch_targets(labels: Tensor, grid: int, classes: int) -> tuple[Tensor, Tensor]:
    """Return per patch the share of each class (B, P, C) and of labelled pixels (B, P)."""
    batch, size = labels.shape[0], labels.shape[1] // grid
    cells = labels[:, : grid * size, : grid * size].unflatten(2, (grid, size))
    cells = cells.unflatten(1, (grid, size)).permute(0, 1, 3, 2, 4).reshape(batch * grid**2, -1)
    share = torch.zeros(len(cells), classes + 1, device=labels.device)
    each = torch.full(cells.shape, 1 / cells.shape[1], device=labels.device)
    share = share.scatter_add_(1, cells, each).view(batch, grid**2, -1)
    known = share[..., 1:].sum(dim=-1)
    return share[..., 1:] / known.clamp(min=1e-6)[..., None], known


@dataclass(frozen=True, eq=False)
class NamedTokens:
    """Hold a scene's described tokens with what they are called.

    share: (M, C) float32, the share of each name among a token's points; points: (M,) how many.
    """

    inputs: TokenInputs
    share: np.ndarray
    points: np.ndarray

    def select(self, keep: np.ndarray) -> NamedTokens:
        """Return some of the tokens."""
        return NamedTokens(self.inputs.select(keep), self.share[keep], self.points[keep])


def named_tokens(path: Path, tokenizer: str, ids: Mapping[str, int]) -> NamedTokens:
    """Read a bank's scene for a tokenizer; ``ids`` numbers all names from 0.

    Names that are not in it count as none. Without ids no label is read and nothing has a name.
    """
    classes, labels = [], np.zeros(0, np.uint16)
    if ids:
        with opened(path) as scene:
            classes, labels = scene["classes"].tolist(), scene["labels"]
    with opened(tokens_path(path, tokenizer)) as tokens:
        share = np.zeros((len(tokens["offsets"]) - 1, len(ids)), np.float32)
        known = [number for number, name in enumerate(classes) if name in ids]
        if known:
            found = name_shares(tokens, labels, len(classes))
            share[:, [ids[classes[number]] for number in known]] = found[:, known]
        return NamedTokens(token_inputs(tokens), share, np.diff(tokens["offsets"]))


def augment_tokens(
    samples: Tensor,
    shape: Tensor,
    centers: Tensor,
    generator: torch.Generator,
    names: Tensor | None = None,
    count: int = 0,
) -> tuple[Tensor, Tensor, Tensor]:
    """Turn scenes about the vertical, mirror, roughen, recolour or discolour them, as tokens.

    names: (B, T) int64 of ``count``, what each token is mostly called. Some names of a scene are
    recoloured by themselves, because a sofa may have any colour: what is called alike, alike.
    """
    batch = len(samples)
    uniform, normal = random_on(generator)
    angle = uniform(batch) * 2 * torch.pi
    mirror = torch.where(uniform(batch) < 0.5, -1.0, 1.0)
    cos, sin = angle.cos(), angle.sin()
    turn = torch.stack(
        [torch.stack([cos * mirror, -sin], 1), torch.stack([sin * mirror, cos], 1)], 1
    )
    samples, shape, centers = samples.clone(), shape.clone(), centers.clone()
    samples[..., :2] = torch.einsum("bij,btkj->btki", turn, samples[..., :2])
    # Rougher than it was seen: a few scenes are by much.
    rough = ROUGHEST * uniform(batch, 1, 1, 1) ** 3
    samples[..., :3] = samples[..., :3] + rough * normal(*samples.shape[:3], 3)
    centers[..., :2] = torch.einsum("bij,btj->bti", turn, centers[..., :2])
    seen = (uniform(batch, 1, 1) > 0.05).float()
    tint, shift = _recolouring(batch, generator)
    tint, shift = (tint * seen)[:, None], (shift * seen)[:, None]
    if names is not None:
        tint, shift = _after(_recoloured_names(names, count, generator), (tint, shift))
    samples[..., COLOR] = samples[..., COLOR] @ tint + shift
    mean, spread = shape[..., None, MEAN_COLOR], shape[..., None, COLOR_SPREAD]
    shape[..., MEAN_COLOR] = (mean @ tint + shift)[:, :, 0]
    # As if channels varied by themselves; what a turned hue does to their spread is not known here.
    shape[..., COLOR_SPREAD] = (spread**2 @ tint**2).sqrt()[:, :, 0]
    shape[..., COLOURED] = shape[..., COLOURED] * seen[..., 0]
    return samples, shape, centers


Recolouring = tuple[Tensor, Tensor]
"""A matrix (..., 3, 3) and a shift (..., 1, 3): what is done to colours, ``x @ matrix + shift``."""


def _after(first: Recolouring, then: Recolouring) -> Recolouring:
    return first[0] @ then[0], first[1] @ then[0] + then[1]


def _recoloured_names(names: Tensor, count: int, generator: torch.Generator) -> Recolouring:
    """Draw a recolouring for every token, (B, T, 3, 3) and (B, T, 1, 3): one per scene and name."""
    batch = len(names)
    uniform, _ = random_on(generator)
    tint, shift = _recolouring(batch * count, generator)
    still = (uniform(batch * count, 1, 1) > REPAINTED).float()
    tint = torch.lerp(tint, torch.eye(3, device=tint.device), still)
    shift = shift * (1 - still)
    row = torch.arange(batch, device=names.device)[:, None] * count + names
    return tint[row], shift[row]


def _recolouring(batch: int, generator: torch.Generator) -> Recolouring:
    """Draw what is done to the colours of each of a batch, (B, 3, 3) and (B, 1, 3).

    Another exposure, light (gain and shift by channel), hue (a turn about the grey axis) and
    saturation.
    """
    uniform, normal = random_on(generator)
    angle, saturation = 0.3 * normal(batch, 1, 1), torch.exp(0.3 * normal(batch, 1, 1)).clamp(max=2)
    saturation = saturation * (uniform(batch, 1, 1) > 0.05)
    grey = _constant((1 / 3,) * 9, angle.device).view(3, 3)
    still = _constant((1.0, 0, 0, 0, 1, 0, 0, 0, 1), angle.device).view(3, 3)
    cross = _constant((0.0, -1, 1, 1, 0, -1, -1, 1, 0), angle.device).view(3, 3) / 3**0.5
    turned = angle.cos() * (still - grey) + angle.sin() * cross
    gain = torch.exp(0.15 * normal(batch, 1, 3))
    # Black is -1: that, not mid grey, is what stays as it is under another exposure.
    exposure = torch.exp(EXPOSURES * normal(batch, 1, 1))
    shift = 0.1 * normal(batch, 1, 3) * exposure + exposure - 1
    return (saturation * turned + grey) * gain * exposure, shift

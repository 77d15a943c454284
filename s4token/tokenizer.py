"""From groups of points to tokens of the frozen transformer's width.

``describe`` measures each group in NumPy, once per cloud; ``Tokenizer`` is the learned part. With
``normalise="token"`` every length is a ratio (to the token's own radius, to the token pitch, to
the cloud's height), so that the same cloud in other units gives the same numbers. With
``normalise="none"``, the field's habit, lengths stay in the cloud's unit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from s4token.geometry import knn, pca_normals, rotation_to_z
from s4token.types import Groups, PointCloud

Normalise = Literal["token", "none"]
SAMPLES = 32
SAMPLE_CHANNELS = 7
SHAPE_CHANNELS = 22
HIDDEN = 256
EQUAL = 0.002
"""Difference of eigenvalue shares at which two directions count as nearly equal."""
NEIGHBOURS = 16
"""Tokens that a token looks at before the transformer does, itself among them."""
PART = 256
"""Tokens whose samples a CPU reads at a time."""
FARTHEST = 20.0
"""Where offsets to neighbours end, in token pitches (or the unit)."""
NOMINAL = 0.1
"""Length in the scan's unit by which ``normalise="none"`` divides token-relative coordinates; a
constant that only conditions the first layer."""


@dataclass(frozen=True, eq=False)
class TokenInputs:
    """Hold what the tokenizer sees of M groups.

    samples: (M, 32, 7) float32: position in the token, colour, height of 32 points of the group.
    shape: (M, 22) float32: eigenvalues, orientation, extent, height, colour statistics, size.
    centers: (M, 3) float32: token centres about their mean, in token pitches (or the unit).
    """

    samples: Float[np.ndarray, "M K C"]
    shape: Float[np.ndarray, "M S"]
    centers: Float[np.ndarray, "M 3"]


def token_centers(points: Float[np.ndarray, "N 3"], groups: Groups) -> Float[np.ndarray, "M 3"]:
    """Return the mean point of every group, float64, in the cloud's unit."""
    members = np.asarray(points, np.float64)[groups.index]
    return np.add.reduceat(members, groups.offsets[:-1]) / groups.sizes[:, None]


def token_pitch(centers: Float[np.ndarray, "M 3"]) -> float:
    """Return the median distance from a token's centre to its nearest other; 1 if there is none."""
    if len(centers) < 2:
        return 1.0
    distance = knn(centers, 2)[1][:, 1]
    distance = distance[distance > 0]
    return float(np.median(distance)) if len(distance) else 1.0


def _sample_columns(groups: Groups, spread: np.ndarray) -> np.ndarray:
    """Pick 32 members of every group, evenly through its members sorted by ``spread``.

    Sorting by a property of the points keeps the choice independent of their order in the file.
    Groups of fewer points repeat theirs.
    """
    group = np.repeat(np.arange(len(groups)), groups.sizes)
    order = np.lexsort((spread, group))
    steps = (np.arange(SAMPLES) + 0.5) / SAMPLES
    position = groups.offsets[:-1, None] + np.floor(steps * groups.sizes[:, None]).astype(np.int64)
    return order[position]


def _group_mean(values: np.ndarray, groups: Groups) -> np.ndarray:
    return np.add.reduceat(values, groups.offsets[:-1]) / groups.sizes[:, None]


def _eigen(relative: np.ndarray, groups: Groups) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return eigenvalue shares (ascending), |normal| and |axis| of every group's covariance.

    Both along +z, and both fading into the mean over directions as eigenvalues become equal: the
    normal of a line would hang on rounding.
    """
    outer = np.einsum("li,lj->lij", relative, relative).reshape(-1, 9)
    covariance = _group_mean(outer, groups).reshape(-1, 3, 3)
    trace = np.trace(covariance, axis1=1, axis2=2)
    safe = np.where(trace > 0, trace, 1.0)
    values, vectors = np.linalg.eigh(covariance / safe[:, None, None])
    square = vectors[:, 2, :] ** 2
    along = []
    for distance in (values - values[:, :1], values[:, 2:] - values):
        weight = np.exp(-distance / EQUAL)
        along.append(np.sqrt((weight * square).sum(axis=1) / weight.sum(axis=1)))
    return np.clip(values, 0, 1), along[0], along[1]


def _radii(relative: np.ndarray, groups: Groups) -> tuple[np.ndarray, float]:
    """Return every group's radius, sqrt(2) times its points' spread, and the median.

    Groups without extent take the median of the others, 1 if there is none.
    """
    square = (relative**2).sum(axis=1, keepdims=True)
    radius = np.sqrt(2 * _group_mean(square, groups)[:, 0])
    median = float(np.median(radius[radius > 0])) if (radius > 0).any() else 1.0
    return np.where(radius > 0, radius, median), median


def _member_colors(cloud: PointCloud, groups: Groups) -> np.ndarray:
    """Return the colours of all members in [-1, 1]; mid grey where the cloud has none."""
    if cloud.colors is None:
        return np.zeros((len(groups.index), 3))
    return cloud.colors[groups.index].astype(np.float64) * 2 - 1


def describe(cloud: PointCloud, groups: Groups, *, normalise: Normalise = "token") -> TokenInputs:
    """Measure every group of a cloud, with the cloud's ``up`` turned to +z.

    Clouds without colours read as mid grey with a flag that says so.
    """
    points = np.asarray(cloud.points, dtype=np.float64) - cloud.points.min(axis=0)
    points = points @ rotation_to_z(cloud.up).T
    low, high = np.quantile(points[:, 2], (0.01, 0.99))
    height = float(high - low) or 1.0
    members = points[groups.index]
    centers = token_centers(points, groups)
    owner = np.repeat(np.arange(len(groups)), groups.sizes)
    relative = members - centers[owner]
    own, median = _radii(relative, groups)
    pitch = token_pitch(centers)
    if normalise == "token":
        unit, center_unit, height_unit, size_unit = own, pitch, height, median
    else:
        unit, center_unit, height_unit, size_unit = np.full_like(own, NOMINAL), 1.0, 1.0, NOMINAL
    level = (members[:, 2] - low) / height_unit
    color = _member_colors(cloud, groups)

    columns = _sample_columns(groups, relative @ np.array([0.577, 0.211, 0.789]))
    samples = np.concatenate(
        [
            (relative / unit[owner, None])[columns],
            color[columns],
            np.clip(level, -3, 3)[columns][..., None],
        ],
        axis=2,
    )
    values, normal_up, axis_up = _eigen(relative / unit[owner, None], groups)
    lower = np.minimum.reduceat(relative, groups.offsets[:-1])
    upper = np.maximum.reduceat(relative, groups.offsets[:-1])
    mean_color = _group_mean(color, groups)
    spread = np.sqrt(np.maximum(_group_mean(color**2, groups) - mean_color**2, 0))
    levels = [f.reduceat(level, groups.offsets[:-1])[:, None] for f in (np.minimum, np.maximum)]
    shape = np.concatenate(
        [
            values,
            normal_up[:, None],
            axis_up[:, None],
            (np.hypot(*(upper - lower)[:, :2].T) / unit)[:, None],
            ((upper - lower)[:, 2] / unit)[:, None],
            np.log(own / size_unit)[:, None],
            *levels,
            _group_mean(level[:, None], groups),
            mean_color,
            spread,
            np.log(groups.sizes / np.median(groups.sizes))[:, None],
            np.full((len(groups), 1), float(cloud.colors is not None)),
            np.full((len(groups), 1), np.log(height / pitch) if normalise == "token" else height),
            _surroundings(centers, normal_up),
        ],
        axis=1,
    )
    centered = (centers - centers.mean(axis=0)) / center_unit
    return TokenInputs(
        *(np.clip(a, -1e4, 1e4).astype(np.float32) for a in (samples, shape, centered))
    )


def quarter_turns(inputs: TokenInputs) -> list[TokenInputs]:
    """Return the inputs of the cloud turned about the vertical by 0, 90, 180 and 270 degrees."""
    out = [inputs]
    for _ in range(3):
        last = out[-1]
        samples, centers = last.samples.copy(), last.centers.copy()
        for turned, source in ((samples, last.samples), (centers, last.centers)):
            turned[..., 0], turned[..., 1] = -source[..., 1], source[..., 0]
        out.append(TokenInputs(samples, inputs.shape, centers))
    return out


def _surroundings(centers: np.ndarray, normal_up: np.ndarray) -> np.ndarray:
    """Return how planar the neighbouring centres lie and how level they are, (M, 2)."""
    index, _ = knn(centers, 9)
    _, values = pca_normals(centers, index)
    return np.stack([values[:, 0], normal_up[index].mean(axis=1)], axis=1)


@dataclass(frozen=True, eq=False)
class Tokens:
    """Hold tokens ready for the transformer; ``valid`` is False on padding."""

    embeddings: Float[Tensor, "B T D"]
    centers: Float[Tensor, "B T 3"]
    valid: Bool[Tensor, "B T"]


def collate(
    inputs: Sequence[TokenInputs], device: torch.device | str = "cpu"
) -> tuple[Tensor, ...]:
    """Pad clouds of different token counts; return samples, shape, centers and valid."""
    longest = max(len(i.shape) for i in inputs)
    valid = torch.zeros(len(inputs), longest, dtype=torch.bool)
    out = []
    for name in ("samples", "shape", "centers"):
        first = getattr(inputs[0], name)
        batch = np.zeros((len(inputs), longest, *first.shape[1:]), np.float32)
        for row, item in enumerate(inputs):
            batch[row, : len(item.shape)] = getattr(item, name)
            valid[row, : len(item.shape)] = True
        out.append(torch.from_numpy(batch).to(device))
    return (*out, valid.to(device))


class _Residual(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.mlp(self.norm(x))


@dataclass(frozen=True, eq=False)
class _Nearest:
    """Hold the ``NEIGHBOURS`` nearest tokens of every token, itself among them, in (B, T, K).

    index: into the flattened (B * T) tokens; offset: to their centres and the distance, (B, T, K,
    4); weight: fades to 0 at the farthest, so that it does not matter which one that is.
    """

    index: Tensor
    offset: Tensor
    weight: Tensor


@torch.no_grad()
def _nearest(centers: Tensor, valid: Tensor | None) -> _Nearest:
    batch, tokens, _ = centers.shape
    # Not by the matrix product, whose rounding would depend on where the scan lies.
    distance = torch.cdist(centers, centers, compute_mode="donot_use_mm_for_euclid_dist")
    if valid is not None:
        distance = distance.masked_fill(~valid[:, None, :], torch.inf)
    distance, index = distance.topk(min(NEIGHBOURS, tokens), dim=2, largest=False)
    real = distance.isfinite()
    distance = distance.masked_fill(~real, 0)
    farthest = distance.amax(dim=2, keepdim=True).clamp(min=1e-6)
    weight = (1 - (distance / farthest) ** 2) * real
    index = index + torch.arange(batch, device=index.device)[:, None, None] * tokens
    offset = centers.reshape(-1, 3)[index] - centers[:, :, None]
    offset = torch.cat([offset, distance[..., None]], dim=-1).clamp(-FARTHEST, FARTHEST)
    return _Nearest(index, offset, weight)


class _Largest(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        out = x.amax(dim=-2)
        ctx.save_for_backward(x, out)
        return out

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> Tensor:
        x, out = ctx.saved_tensors
        largest = (x == out.unsqueeze(-2)).to(x.dtype)
        return largest * (grads[0] / largest.sum(dim=-2)).unsqueeze(-2)


def _largest(x: Float[Tensor, "*T K C"]) -> Float[Tensor, "*T C"]:
    """Return ``x.amax(dim=-2)``, whose own gradient would count the largest in int64: slow."""
    out = _Largest.apply(x)
    assert isinstance(out, Tensor)
    return out


class _Neighbours(nn.Module):
    """Let every token look at those around it: an edge convolution (EdgeConv, arXiv 1801.07829)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width)
        self.near = nn.Linear(width, width // 2)
        self.offset = nn.Linear(4, width // 2)
        self.out = nn.Linear(width, width)
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, x: Tensor, nearest: _Nearest) -> Tensor:
        near = self.near(self.norm(x)).flatten(0, 1)
        edge = near.index_select(0, nearest.index.flatten()).view(*nearest.index.shape, -1)
        weight = nearest.weight[..., None].to(edge.dtype)
        edge = F.gelu(edge + self.offset(nearest.offset)) * weight
        mean = edge.sum(dim=2) / weight.sum(dim=2).clamp(min=1e-3)
        return x + self.out(torch.cat([_largest(edge), mean], dim=-1))


class Tokenizer(nn.Module):
    """Turn described groups into embeddings of the transformer's width.

    A shared point network with max and mean pooling (PointNet, arXiv 1612.00593) reads the samples,
    a second one the shape; Fourier features of the centres give the position. Then every token
    looks at those around it: the transformer would first have to learn what is near.
    """

    frequencies: Tensor

    def __init__(self, width: int, hidden: int = HIDDEN, octaves: int = 7) -> None:
        super().__init__()
        self.points = nn.Sequential(
            nn.Linear(SAMPLE_CHANNELS + SHAPE_CHANNELS, hidden // 2),
            nn.GELU(),
            nn.Linear(hidden // 2, hidden),
            nn.GELU(),
        )
        self.shape = nn.Sequential(nn.Linear(SHAPE_CHANNELS, hidden), nn.GELU())
        self.position = nn.Linear(6 * octaves, hidden)
        self.merge = nn.Linear(3 * hidden, hidden)
        self.neighbours = nn.ModuleList(_Neighbours(hidden) for _ in range(2))
        self.blocks = nn.ModuleList(_Residual(hidden) for _ in range(2))
        self.out = nn.Linear(hidden, width)
        self.register_buffer("frequencies", 2 * torch.pi * 0.5 ** torch.arange(octaves), False)

    def forward(
        self, samples: Tensor, shape: Tensor, centers: Tensor, valid: Tensor | None = None
    ) -> Float[Tensor, "B T D"]:
        """Embed (B, T, 32, 7) samples, (B, T, 22) shapes and (B, T, 3) centres.

        valid: False on padding, which no token looks at; all are valid without it.
        """
        return self.finish(self.content(samples, shape), centers, valid)

    def content(self, samples: Tensor, shape: Tensor) -> Float[Tensor, "B T H"]:
        """Say what a token looks like."""
        flat = samples.flatten(0, 1), shape.flatten(0, 1)
        # Parts that fit into a cache: on a CPU large blocks cost more than what is done with them.
        parts = (
            zip(*(x.split(PART) for x in flat), strict=True)
            if samples.device.type == "cpu"
            else [flat]
        )
        pooled = torch.cat([self._pooled(*part) for part in parts]).unflatten(0, shape.shape[:2])
        return self.merge(torch.cat([pooled, self.shape(shape)], dim=-1))

    def _pooled(self, samples: Tensor, shape: Tensor) -> Float[Tensor, "T H2"]:
        # The first layer reads each sample beside its token's shape, which is the same for all.
        first: Any = self.points[0]
        weight, context = first.weight.split([SAMPLE_CHANNELS, SHAPE_CHANNELS], dim=1)
        context = F.linear(shape, context, first.bias)[:, None]
        points = self.points[1:](F.linear(samples, weight) + context)
        # The mean of a bfloat16 tensor goes through float32, its sum does not.
        return torch.cat([_largest(points), points.sum(dim=1) / points.shape[1]], dim=-1)

    def place(self, centers: Tensor) -> Float[Tensor, "B T H"]:
        """Say where a token lies."""
        angle = (centers[..., None] * self.frequencies).flatten(2)
        return self.position(torch.cat([angle.sin(), angle.cos()], dim=-1))

    def finish(
        self, content: Float[Tensor, "B T H"], centers: Tensor, valid: Tensor | None = None
    ) -> Float[Tensor, "B T D"]:
        """Turn what tokens look like and where they lie into embeddings."""
        x = content + self.place(centers)
        nearest = _nearest(centers, valid)
        for neighbours, block in zip(self.neighbours, self.blocks, strict=True):
            x = block(neighbours(x, nearest))
        return self.out(x)

"""How the image tower of the small CLIP was trained: rendered views against a frozen text tower.

The class token learns the names of single objects and the mix of names in a room, every patch
the mix of names of its own pixels. Text vectors are fixed, so the picture comes to the words.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from s4token import checkpoint
from s4token.backbone import SMALL_CLIP, SMALL_NAME, FrozenCLIP, build, small_tokenizer
from s4token.datasets import Named, objects
from s4token.multiview import draw, splats
from s4token.segment import text_features
from s4token.training import Loop, parameter_groups, processes
from s4token.types import Camera, PointCloud

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ClipPretrainConfig:
    """Hold the recipe of the image tower.

    bank: folder of training scenes; pack: named objects; text: trained text tower.
    object_share: share of a batch that shows one object alone; held_out: share of objects and of
    scenes kept for measuring; scale: inverse temperature of cosines.
    """

    bank: str
    pack: str
    text: str
    steps: int = 3000
    batch: int = 64
    object_share: float = 0.3
    lr: float = 1e-3
    weight_decay: float = 0.05
    scale: float = 20.0
    smoothing: float = 0.1
    cosine_weight: float = 0.5
    rarity: float = 0.25
    held_out: float = 0.05
    seed: int = 0


class _Views:
    """All pictures of a bank in memory, with global class ids (0 = none) per second pixel."""

    def __init__(self, paths: Sequence[Path], names: list[str]) -> None:
        ids = {n: i + 1 for i, n in enumerate(names)}
        images, labels = [], []
        for path in paths:
            with np.load(path) as scene:
                images.append(scene["images"])
                table = np.array([0] + [ids[c] for c in scene["classes"].tolist()], np.int16)
                labels.append(table[scene["pixel_labels"]])
        self.images = np.concatenate(images)
        self.labels = np.concatenate(labels)


class _Objects:
    """Single objects, drawn anew for every batch."""

    def __init__(self, named: Sequence[Named], names: list[str], size: int) -> None:
        ids = {n: i + 1 for i, n in enumerate(names)}
        self.size = size
        self.clouds = [PointCloud(o.points, np.clip(o.colors, 0, 1)) for o in named]
        self.splats = [splats(c) for c in self.clouds]
        self.ids = np.array([ids[o.category] for o in named])
        # Every category counts alike, damped: categories of one object do not dominate.
        count = np.bincount(self.ids)[self.ids]
        self.weight = count**-0.5 / (count**-0.5).sum()

    def draw(self, number: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Render one object before a plain background; return picture and class ids."""
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
        return view.images[0], np.where(view.point_index[0, 1::2, 1::2] >= 0, self.ids[number], 0)


def augment(images: Tensor, labels: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Flip, zoom and recolour a batch: uint8 (B, H, W, 3) and ids (B, H/2, W/2)."""
    batch = len(images)
    uniform = lambda *shape: torch.rand(*shape, generator=generator)  # noqa: E731
    flip = torch.where(uniform(batch) < 0.5, -1.0, 1.0)
    zoom = 1 - 0.35 * uniform(batch) * (uniform(batch) < 0.6)
    shift = (2 * uniform(batch, 2) - 1) * (1 - zoom)[:, None]
    theta = torch.zeros(batch, 2, 3)
    theta[:, 0, 0], theta[:, 1, 1] = zoom * flip, zoom
    theta[:, :, 2] = shift
    grid = lambda n: F.affine_grid(theta, [batch, 1, n, n], align_corners=False)  # noqa: E731
    x = images.permute(0, 3, 1, 2).float()
    x = F.grid_sample(x, grid(x.shape[-1]), align_corners=False, padding_mode="border")
    ids = F.grid_sample(
        labels[:, None].float(), grid(labels.shape[-1]), mode="nearest", align_corners=False
    )
    normal = lambda *shape: torch.randn(*shape, generator=generator)  # noqa: E731
    mean = x.mean(dim=(2, 3), keepdim=True)
    contrast = torch.exp(0.12 * normal(batch, 3, 1, 1))
    # Brightness and warmth vary with the light; height only with how much was scanned.
    gain = torch.exp(torch.tensor([0.2, 0.05, 0.03]).view(1, 3, 1, 1) * normal(batch, 3, 1, 1))
    x = ((x - mean) * contrast + mean) * gain
    grey = (uniform(batch) < 0.05)[:, None, None]
    x[:, 2] = torch.where(grey, 127.5, x[:, 2])
    x = x + 4 * normal(*x.shape)
    return x.clamp(0, 255).byte().permute(0, 2, 3, 1), ids[:, 0].long()


def patch_targets(labels: Tensor, grid: int, classes: int) -> tuple[Tensor, Tensor]:
    """Return per patch the share of each class (B, P, C) and of labelled pixels (B, P)."""
    batch, size = labels.shape[0], labels.shape[1] // grid
    cells = labels[:, : grid * size, : grid * size].unflatten(2, (grid, size))
    cells = cells.unflatten(1, (grid, size)).permute(0, 1, 3, 2, 4).reshape(batch * grid**2, -1)
    share = torch.zeros(len(cells), classes + 1)
    share.scatter_add_(1, cells, torch.full(cells.shape, 1 / cells.shape[1]))
    share = share.view(batch, grid**2, -1)
    known = share[..., 1:].sum(dim=-1)
    return share[..., 1:] / known.clamp(min=1e-6)[..., None], known


class _Trainer:
    """What one step needs: tower, words, weights."""

    def __init__(self, config: ClipPretrainConfig, clip: FrozenCLIP, names: list[str]) -> None:
        self.config, self.clip, self.names = config, clip, names
        adapter: Any = _Words(clip)
        self.words = torch.from_numpy(text_features(adapter, names))
        similar = (self.words @ self.words.T / 0.07).softmax(dim=1)
        self.blur = (1 - config.smoothing) * torch.eye(len(names)) + config.smoothing * similar
        self.weight = torch.ones(len(names))

    def loss(self, features: Tensor, target: Tensor, weight: Tensor) -> Tensor:
        """Weighted cross-entropy to blurred shares, plus the distance to their mean word."""
        logits = self.config.scale * features @ self.words.T
        entropy = -((target @ self.blur) * logits.log_softmax(dim=-1)).sum(dim=-1)
        word = F.normalize(target @ self.words, dim=-1)
        distance = 1 - (features * word).sum(dim=-1)
        total = entropy + self.config.cosine_weight * distance
        return (total * weight).sum() / weight.sum().clamp(min=1e-6)

    def step(self, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
        with torch.autocast("cpu", torch.bfloat16):
            pooled, dense = self.clip.encode_image(images)
        share, known = patch_targets(labels, self.clip.grid, len(self.names))
        weight = (share @ self.weight) * (known > 0.25) * known
        dense_loss = self.loss(dense.float(), share, weight)
        whole = (share * (known * (share @ self.weight))[..., None]).sum(dim=1)
        shown = whole.sum(dim=1)
        whole = whole / shown.clamp(min=1e-6)[:, None]
        global_loss = self.loss(pooled.float(), whole, (shown > 0).float())
        return {"loss": dense_loss + 0.5 * global_loss, "dense": dense_loss, "global": global_loss}


class _Words:
    def __init__(self, clip: FrozenCLIP) -> None:
        self.clip, self.description = clip, {}

    def encode_text(self, prompts: Sequence[str]) -> np.ndarray:
        return self.clip.encode_text(list(prompts)).numpy()


def split(count: int, share: float, seed: int) -> np.ndarray:
    """Return a mask of what is held out: the same for the same arguments."""
    held = np.zeros(count, dtype=bool)
    held[np.random.default_rng(seed).permutation(count)[: max(1, int(share * count))]] = True
    return held


def with_text_tower(path: str | Path) -> FrozenCLIP:
    """Return the small CLIP with a trained text tower and a fresh image tower."""
    clip: Any = build(SMALL_CLIP)
    state, _ = checkpoint.load(path, kind="text")
    for name, weight in clip.visual.named_parameters():
        # The usual ViT initialisation; open_clip leaves its towers at PyTorch's defaults.
        if "resblocks" in name and weight.ndim == 2:
            nn.init.trunc_normal_(weight, std=0.02)
    own = clip.state_dict()
    checkpoint.load_into(clip, own | state, source=str(path))
    return FrozenCLIP(clip, small_tokenizer(), name=SMALL_NAME, tag="training", dense="tokens")


def _text_recipe(path: str) -> dict[str, Any]:
    header = checkpoint.read_header(path)
    return {k: header[k] for k in ("recipe", "metrics") if k in header}


def pretrain_clip(
    config: ClipPretrainConfig,
    out: Path,
    *,
    folder: Path,
    progress: Callable[[Iterable[int]], Iterable[int]] = lambda steps: steps,
) -> dict[str, float]:
    """Train the image tower, write the small CLIP to ``out`` and return its metrics."""
    torch.manual_seed(config.seed)
    clip = with_text_tower(config.text)
    paths = sorted(Path(config.bank).glob("scene-*.npz"))
    named = objects(config.pack)
    if not paths:
        raise ValueError(f"{config.bank}: no scene-*.npz; build the bank first")
    names = sorted({o.category for o in named} | _bank_classes(paths))
    held_scenes, held_objects = (
        split(len(paths), config.held_out, 1),
        split(len(named), config.held_out, 2),
    )
    pick = lambda items, mask: [i for i, m in zip(items, mask, strict=True) if m]  # noqa: E731
    views = _Views(pick(paths, ~held_scenes), names)
    things = _Objects(pick(named, ~held_objects), names, clip.image_size)
    trainer = _Trainer(config, clip, names)
    frequency = np.bincount(views.labels[::7].ravel(), minlength=len(names) + 1)[1:] + 50.0
    weight = torch.from_numpy((frequency / frequency.max()) ** -config.rarity).float()
    trainer.weight = weight.clamp(max=20.0)
    clip.clip.visual.requires_grad_(True)
    optimizer = torch.optim.AdamW(
        parameter_groups(clip.clip.visual, config.weight_decay), lr=config.lr, betas=(0.9, 0.98)
    )

    def step(number: int) -> dict[str, Tensor]:
        rng = np.random.default_rng([config.seed, number])
        images, labels = _batch(config, views, things, rng)
        generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
        return trainer.step(*augment(images, labels, generator))

    loop = Loop(folder, config.steps, config.lr)
    loop.run(clip.clip.visual, optimizer, step, progress)
    if processes()[0] > 0:
        return {}
    clip.clip.visual.requires_grad_(False)
    metrics = _evaluate(trainer, _Views(pick(paths, held_scenes), names))
    metrics |= _evaluate_objects(
        trainer, _Objects(pick(named, held_objects), names, clip.image_size)
    )
    (folder / "metrics.json").write_text(json.dumps(metrics))
    checkpoint.save(
        out,
        clip.clip.state_dict(),
        kind="clip",
        header={
            "open_clip": SMALL_CLIP,
            "recipe": {k: v for k, v in asdict(config).items() if k not in _PATHS},
            "metrics": metrics,
            "text_tower": _text_recipe(config.text),
        },
    )
    return metrics


_PATHS = ("bank", "pack", "text")


def _bank_classes(paths: Sequence[Path]) -> set[str]:
    out: set[str] = set()
    for path in paths:
        with np.load(path) as scene:
            out |= set(scene["classes"].tolist())
    return out


def _batch(
    config: ClipPretrainConfig, views: _Views, things: _Objects, rng: np.random.Generator
) -> tuple[Tensor, Tensor]:
    alone = int(config.object_share * config.batch)
    index = rng.integers(len(views.images), size=config.batch - alone)
    drawn = [
        things.draw(i, rng) for i in rng.choice(len(things.clouds), size=alone, p=things.weight)
    ]
    images = np.concatenate([views.images[index], np.stack([d[0] for d in drawn])])
    labels = np.concatenate([views.labels[index], np.stack([d[1] for d in drawn])])
    return torch.from_numpy(images), torch.from_numpy(labels.astype(np.int64))


@torch.no_grad()
def _evaluate(trainer: _Trainer, views: _Views) -> dict[str, float]:
    """Score patches of held-out scenes: accuracy and mean class accuracy over all names."""
    hit, total = np.zeros(len(trainer.names)), np.zeros(len(trainer.names))
    for start in range(0, len(views.images), 64):
        labels = torch.from_numpy(views.labels[start : start + 64].astype(np.int64))
        images = torch.from_numpy(views.images[start : start + 64])
        with torch.autocast("cpu", torch.bfloat16):
            _, dense = trainer.clip.encode_image(images)
        share, known = patch_targets(labels, trainer.clip.grid, len(trainer.names))
        guess = (dense.float() @ trainer.words.T).argmax(dim=-1)
        truth = share.argmax(dim=-1)
        clear = known > 0.5
        np.add.at(total, truth[clear].numpy(), 1)
        np.add.at(hit, truth[clear].numpy(), (guess == truth)[clear].numpy())
    present = total > 20
    return {
        "patch_accuracy": 100 * float(hit.sum() / total.sum()),
        "patch_class_accuracy": 100 * float((hit[present] / total[present]).mean()),
    }


@torch.no_grad()
def _evaluate_objects(trainer: _Trainer, things: _Objects) -> dict[str, float]:
    """Score held-out objects: top-1 and top-5 of the mean of four views among all names."""
    rng = np.random.default_rng(0)
    ranks = []
    for number, truth in enumerate(things.ids):
        images = np.stack([things.draw(number, rng)[0] for _ in range(4)])
        pooled = trainer.clip.encode_image(torch.from_numpy(images))[0].mean(dim=0)
        score = trainer.words @ pooled
        ranks.append(int((score > score[truth - 1]).sum()))
    rank = np.array(ranks)
    return {
        "object_top1": 100 * float((rank < 1).mean()),
        "object_top5": 100 * float((rank < 5).mean()),
        "names": float(len(trainer.names)),
    }

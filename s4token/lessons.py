"""What the multi-view teacher knows of every scene of a bank, kept on disk."""

from __future__ import annotations

import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from s4token.backbone import FrozenCLIP
from s4token.bank import scene_groups, tokens_path
from s4token.bank_files import opened, write_arrays
from s4token.clip_batches import NamedTokens, named_tokens
from s4token.model import TOKENIZATIONS
from s4token.multiview import cameras_for, draw, lift, pool, strided
from s4token.training import processes, wait_for_all
from s4token.types import PointCloud


@dataclass(frozen=True, eq=False)
class Lesson:
    """Hold one scene for one tokenizer: tokens, teacher features, weights, global feature."""

    scene: NamedTokens
    teacher: np.ndarray
    weight: np.ndarray
    whole: np.ndarray


def teach(
    clip: FrozenCLIP,
    paths: Sequence[Path],
    folder: Path,
    progress: Callable[[Iterable[Path]], Iterable[Path]] = lambda paths: paths,
) -> list[Path]:
    """Write what the multi-view teacher knows of every scene; skip what is there already.

    What is there of another scene of that name, or of other tokens of it, is written anew.
    Processes of ``torchrun`` share the scenes.
    """
    rank, world = processes()
    folder = folder / clip.identity.sha256[:12]
    folder.mkdir(parents=True, exist_ok=True)
    for path in progress([p for p in paths[rank::world] if not _taught(folder / p.name, p)]):
        with opened(path) as scene:
            total, shown = lift(clip, *_views(clip, scene))
            points = len(scene["points"])
        out: dict[str, Any] = {"of": _checksums(path)}
        for name in TOKENIZATIONS:
            with opened(tokens_path(path, name)) as tokens:
                features, seen = pool(total, shown, scene_groups(tokens, points))
            out[f"{name}.features"] = features.astype(np.float16)
            out[f"{name}.seen"] = seen
        write_arrays(folder / path.name, out)
    wait_for_all()
    return [folder / p.name for p in paths]


def _taught(answer: Path, path: Path) -> bool:
    """Return whether an answer is of a scene and its tokens as they are now."""
    wanted = _checksums(path)
    try:
        with np.load(answer) as found:
            return np.array_equal(found.get("of", ()), wanted)
    except (FileNotFoundError, zipfile.BadZipFile, EOFError, ValueError):
        return False


def _checksums(path: Path) -> np.ndarray:
    """Return those that a scene's archive and its tokens' hold; ValueError for a damaged one."""
    found = []
    for file in (path, *(tokens_path(path, name) for name in TOKENIZATIONS)):
        try:
            with zipfile.ZipFile(file) as archive:
                found += [member.CRC for member in archive.infolist()]
        except (zipfile.BadZipFile, FileNotFoundError) as error:
            raise ValueError(
                f"{file}: is missing or damaged; delete what is there and run `bank` again"
            ) from error
    return np.array(found, np.uint32)


def _views(clip: FrozenCLIP, scene: np.lib.npyio.NpzFile) -> tuple[np.ndarray, np.ndarray]:
    """Return a scene's pictures as this CLIP wants them, and the points that they show."""
    images = scene["images"]
    if clip.pictures == "relief" and images.shape[1] == clip.image_size:
        return images, scene["pixel_points"]
    cloud = PointCloud(scene["points"], scene["colors"].astype(np.float32) / 255)
    cameras = cameras_for(cloud, len(images), size=clip.image_size)
    pictures = draw(cloud, cameras, style=clip.pictures)
    return pictures.images, strided(pictures)


def lesson(path: Path, answer: Path, tokenizer: str, ids: Mapping[str, int]) -> Lesson:
    """Read a scene with its teacher features; without ``ids`` no label is read."""
    with np.load(answer) as teacher:
        features = teacher[f"{tokenizer}.features"].astype(np.float32)
        seen = teacher[f"{tokenizer}.seen"]
    unit = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-6)
    whole = unit[seen > 0].mean(axis=0)
    weight = np.minimum(seen / 8, 1).astype(np.float32)
    scene = named_tokens(path, tokenizer, ids)
    return Lesson(scene, unit, weight, whole / np.linalg.norm(whole))

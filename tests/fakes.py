"""A model without weights: its tokens mean their mean colour, so tests know the right answer."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from s4token import KNN, Encoding, Groups, PointCloud, Radius
from s4token.clip_batches import NamedTokens
from s4token.describe import TokenInputs

COLORS = {"red": 0, "green": 1, "blue": 2}
WIDTH = 16
CAMERA = {
    "eye": {"x": 1.0, "y": -2.0, "z": 0.5},
    "center": {"x": 0.0, "y": 0.1, "z": 0.0},
    "up": {"x": 0.0, "y": 0.0, "z": 1.0},
}


class FakeModel:
    """Implement what the viewer uses of S4Token; ``fail`` makes the next encode raise it.

    guess: metres per unit that it takes a scan of unknown unit for.
    """

    tokenizers = ("superpoint", "knn", "radius")

    def __init__(self) -> None:
        self.encoded: list[str] = []
        self.fail: Exception | None = None
        self.guess: float | None = None

    @property
    def description(self) -> dict[str, Any]:
        return {
            "checkpoint": "fake.safetensors",
            "clip": "fake-clip",
            "clip_is_small": True,
            "trained": True,
            "sha256": "0" * 64,
            "parameters": 1234,
        }

    def encode(
        self,
        cloud: PointCloud,
        *,
        tokenizer: str = "superpoint",
        progress: Callable[[float, str], object] | None = None,
    ) -> Encoding:
        if self.fail is not None:
            raise self.fail
        self.encoded.append(tokenizer)
        if progress is not None:
            progress(0.5, "grouping")
        groups = {
            "superpoint": voxel_partition,
            "knn": KNN(count=24, size=8),
            "radius": Radius(count=24, radius=0.2, size=8),
        }[tokenizer](cloud)
        rgb = np.full((len(cloud), 3), 0.5) if cloud.colors is None else cloud.colors
        features = np.zeros((len(groups), WIDTH), dtype=np.float32)
        for m, members in enumerate(groups):
            features[m, :3] = rgb[members].mean(axis=0) + 1e-3
        features /= np.linalg.norm(features, axis=1, keepdims=True)
        unit = self.guess if cloud.metres_per_unit is None else cloud.metres_per_unit
        return Encoding(
            cloud,
            groups,
            features,
            features[0],
            tokenizer=tokenizer,
            seconds={"grouping": 0.25},
            metres_per_unit=unit,
        )

    def encode_text(self, prompts: Sequence[str]) -> np.ndarray:
        rows = np.zeros((len(prompts), WIDTH), dtype=np.float32)
        for row, prompt in zip(rows, prompts, strict=True):
            found = [axis for word, axis in COLORS.items() if word in prompt.split()]
            # Any other word points away from all colours, each to a place of its own.
            row[found[0] if found else 3 + zlib.crc32(prompt.encode()) % (WIDTH - 3)] = 1
        return rows


def voxel_partition(cloud: PointCloud, cells: int = 5) -> Groups:
    """Cut the bounding box into cells; every cell with points is a token."""
    points = cloud.points.astype(np.float64)
    size = points.max(axis=0) - points.min(axis=0)
    unit = (points - points.min(axis=0)) / np.where(size > 0, size, 1)
    cell = np.minimum((unit * cells).astype(int), cells - 1) @ [cells * cells, cells, 1]
    return Groups.from_labels(np.unique(cell, return_inverse=True)[1])


def striped_cloud(n: int = 3000, seed: int = 0) -> PointCloud:
    """Return a box of points whose thirds along x are red, green and blue."""
    rng = np.random.default_rng(seed)
    points = rng.uniform([0, 0, 0], [3, 2, 1], (n, 3)).astype(np.float32)
    colors = np.eye(3, dtype=np.float32)[np.minimum(points[:, 0].astype(int), 2)]
    return PointCloud(points, colors)


def marker_values(figure) -> np.ndarray:
    """Decode what is sent to the browser for the first trace."""
    value = json.loads(figure.to_json())["data"][0]["marker"]["color"]
    assert isinstance(value, dict), "numbers must travel as a binary array"
    return np.frombuffer(base64.b64decode(value["bdata"]), value["dtype"])


def torchrun(folder: Path, code: str, *arguments: str) -> str:
    """Run a script in two processes that find each other; return what they printed."""
    script = folder / "script.py"
    script.write_text(code)
    here = Path(__file__).parent
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(here), str(here.parent)]),
        "OMP_NUM_THREADS": "1",
    }
    run = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    done = subprocess.run(
        [*run, str(script), *arguments],
        env=environment, capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    return done.stdout


def scene_of(count: int, names: int, seed: int = 0) -> NamedTokens:
    """Return random tokens of random names."""
    rng = np.random.default_rng(seed)
    inputs = TokenInputs(
        rng.normal(size=(count, 32, 7)).astype(np.float32),
        rng.normal(size=(count, 27)).astype(np.float32),
        rng.normal(size=(count, 3)).astype(np.float32),
    )
    share = rng.dirichlet(np.ones(names), count).astype(np.float32)
    return NamedTokens(inputs, share, rng.integers(1, 50, count))

"""Shared fixtures; shape annotations of inner modules are checked while testing."""

from __future__ import annotations

import numpy as np
import pytest
from beartype import BeartypeConf, beartype
from jaxtyping import install_import_hook

# By name, and before their first import. Not types.py, whose own ValueErrors must come first, nor
# segment.py, whose protocol cannot be checked at run time, nor modules with compiled functions,
# which a wrapper would break.
CHECKED = (
    "augment",
    "baselines",
    "benchmark",
    "few_shot",
    "grouping",
    "metrics",
    "model",
    "multiview",
    "objectives.distillation",
    "photographs",
    "probes",
    "scatter",
    "settings",
    "superpoints",
    "tallies",
    "describe",
    "size",
    "tokenizer",
    "zero_shot",
)
# An int where a float is expected is no mistake.
checked = beartype(conf=BeartypeConf(is_pep484_tower=True))
install_import_hook([f"s4token.{name}" for name in CHECKED], f"{__name__}.checked")

ROOM_CLASSES = ("floor", "wall", "sofa", "table", "ball")


def _room_parts(rng: np.random.Generator):
    """Yield (label, colour, points) of the surfaces of a small furnished room, in metres."""

    def sheet(label, color, origin, first, second, density=340):
        origin, first, second = (np.array(v, float) for v in (origin, first, second))
        area = float(np.linalg.norm(first) * np.linalg.norm(second))
        share = rng.random((round(density * area), 2))
        return label, color, origin + share[:, :1] * first + share[:, 1:] * second

    def box(label, color, low, size):
        x, y, z = np.diag(size)
        low = np.array(low, float)
        yield sheet(label, color, low + z, x, y)
        for start, side in ((low, x), (low + y, x), (low, y), (low + x, y)):
            yield sheet(label, color, start, side, z)

    yield sheet(1, (0.5, 0.35, 0.2), (0, 0, 0), (4, 0, 0), (0, 3, 0))
    yield sheet(2, (0.85, 0.85, 0.8), (0, 0, 0), (4, 0, 0), (0, 0, 2.5))
    yield sheet(2, (0.85, 0.85, 0.8), (0, 0, 0), (0, 3, 0), (0, 0, 2.5))
    yield from box(3, (0.2, 0.3, 0.6), (0.05, 0.8, 0.02), (0.8, 1.6, 0.4))
    yield from box(3, (0.2, 0.3, 0.6), (0.05, 0.8, 0.42), (0.2, 1.6, 0.4))
    yield from box(4, (0.6, 0.3, 0.1), (1.8, 1.0, 0.7), (1.2, 0.8, 0.05))
    for x, y in ((1.85, 1.05), (2.9, 1.05), (1.85, 1.7), (2.9, 1.7)):
        yield from box(4, (0.6, 0.3, 0.1), (x, y, 0.02), (0.06, 0.06, 0.68))
    ball = rng.normal(size=(500, 3))
    ball /= np.linalg.norm(ball, axis=1, keepdims=True)
    yield 5, (0.9, 0.2, 0.2), ball * 0.25 + (3.2, 0.6, 0.27)


@pytest.fixture(scope="session")
def room_scan():
    """A furnished corner of a room: about 12,000 float64 points with colours, noise and labels."""
    from s4token.types import PointCloud, Scan

    rng = np.random.default_rng(7)
    parts = list(_room_parts(rng))
    labels = np.concatenate([np.full(len(p), label) for label, _, p in parts])
    points = np.concatenate([p for _, _, p in parts])
    points += rng.normal(0, 0.003, points.shape)
    colors = np.concatenate([np.tile(color, (len(p), 1)) for _, color, p in parts])
    colors = np.clip(colors + rng.normal(0, 0.03, colors.shape), 0, 1)
    order = rng.permutation(len(points))
    return Scan("corner", PointCloud(points[order], colors[order]), labels[order], ROOM_CLASSES)


@pytest.fixture(scope="session")
def room_cloud(room_scan):
    """The cloud of ``room_scan``."""
    return room_scan.cloud


@pytest.fixture
def model():
    """The viewer's model of known answers; ``app`` encodes with it."""
    from tests.fakes import FakeModel

    return FakeModel()


@pytest.fixture
def app(model, tmp_path):
    """The viewer without a page, its state on disk in a folder of this test."""
    from viewer.corrections import Desk
    from viewer.session import Store
    from viewer.shared import App

    return App(lambda: model, Store(4 << 30), desk=Desk(tmp_path / "state"))


@pytest.fixture
def path(tmp_path):
    """A file of red, green and blue stripes."""
    from s4token import write
    from tests.fakes import striped_cloud

    write(tmp_path / "stripes.ply", striped_cloud())
    return tmp_path / "stripes.ply"


TINY_CLIP = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 32, "patch_size": 8, "width": 64, "layers": 2, "head_width": 32},
    "text_cfg": {"context_length": 16, "vocab_size": 1024, "width": 64, "heads": 2, "layers": 1},
}


@pytest.fixture(scope="session")
def tiny_config():
    """The open_clip configuration of ``tiny_clip``."""
    return TINY_CLIP


@pytest.fixture(scope="session")
def tiny_clip():
    """A CLIP of random weights with open_clip's architecture, for 32 x 32 pictures."""
    import torch

    from s4token.backbone import FrozenCLIP, build, byte_pairs

    torch.manual_seed(0)
    return FrozenCLIP(
        build(TINY_CLIP), byte_pairs(1024, 16), name="tiny", tag="random", dense="tokens"
    )


@pytest.fixture(scope="session")
def tiny_model(tiny_clip):
    """An untrained S4Token on ``tiny_clip`` with 96 tokens, the same in every run."""
    import torch

    from s4token.grouping import KNN, Radius
    from s4token.model import S4Token, Tokenization
    from s4token.superpoints import Superpoints

    torch.manual_seed(1)
    tokenizations = {
        "superpoint": Tokenization(Superpoints(96), "token"),
        "knn": Tokenization(KNN(96, 32), "none"),
        "radius": Tokenization(Radius(96, 0.2, 32), "none"),
    }
    return S4Token(tiny_clip, tokenizations).eval()

"""What is compared: settings that validate themselves, densities, and weights for coordinates."""

from __future__ import annotations

from dataclasses import astuple
from pathlib import Path

import numpy as np
import pytest
import trees
from scipy.spatial import KDTree

from s4token.datasets import Scans, open_data
from s4token.datasets.modelnet40 import modelnet40_resampled
from s4token.model import S4Token, Tokenization
from s4token.settings import Setting, Settings, resampled, variant
from s4token.superpoints import Superpoints
from s4token.types import PointCloud, Scan


def test_every_combination_once_and_in_order(tiny_model):
    """The tokenizer's own normalisation (None) is one of the two that are named."""
    how = Settings(["knn", "multiview"], [None, "none", "token"], [1.0, 8.0, 1.0], [2.0, 1.0])
    assert hash(how) == hash(Settings(*(list(v) if v else v for v in astuple(how))))
    kinds = [("knn", "none"), ("knn", "token"), ("multiview", "token")]
    expected = [Setting(t, n, s, d) for d in (2.0, 1.0) for s in (1.0, 8.0) for t, n in kinds]
    assert how.of(tiny_model) == expected
    with pytest.raises(ValueError, match="no 'octree'"):
        Settings(["octree"]).of(tiny_model)


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ({"normalise": ["token", "metric"]}, "normalise: expected none or token, got 'metric'"),
        ({"scales": [1.0, 0.0]}, r"scales: expected positive numbers, got 0\.0"),
        ({"scales": [float("inf")]}, "scales: expected positive numbers, got inf"),
        ({"scales": [float("nan")]}, "scales: expected positive numbers, got nan"),
        ({"densities": [1.0, 17.0]}, r"densities: expected numbers in \(0, 16\], got 17"),
        ({"limit": 0}, "limit: expected at least 1 scan, got 0"),
        ({"images": Path("photos")}, "images: for the 2D teacher; add multiview"),
    ],
)
def test_bad_settings(how, message):
    with pytest.raises(ValueError, match=message):
        Settings(**how)


def test_resampled_below_one_keeps_a_share_and_the_nearest_answers(room_cloud):
    (first, answer), (second, _) = (resampled(room_cloud, 0.25) for _ in range(2))
    assert len(first) == round(0.25 * len(room_cloud))
    assert (first.points == second.points).all() and answer.shape == (len(room_cloud),)
    distance = np.linalg.norm(first.points[answer[:200]] - room_cloud.points[:200], axis=1)
    every = np.linalg.norm(first.points[None] - room_cloud.points[:200, None], axis=2)
    np.testing.assert_allclose(distance, every.min(axis=1))
    assert resampled(room_cloud, 1)[0] is room_cloud
    assert len(resampled(room_cloud, 1e-9)[0]) == 1


def test_resampled_above_one_adds_points_on_the_surface(room_cloud):
    dense, answer = resampled(room_cloud, 2.5)
    count = len(room_cloud)
    assert len(dense) == round(2.5 * count) and (answer == np.arange(count)).all()
    assert (dense.points[:count] == room_cloud.points).all()
    apart, source = KDTree(room_cloud.points).query(dense.points[count:])
    spacing = np.median(KDTree(room_cloud.points).query(room_cloud.points, k=7)[0][:, 6])
    assert 0 < np.median(apart) < 0.5 * spacing and np.quantile(apart, 0.99) < 2 * spacing
    same = (dense.colors[count:] == room_cloud.colors[source]).all(axis=1)
    assert same.mean() > 0.6  # most still lie nearest to the point that they came from
    assert len(resampled(PointCloud(np.zeros((1, 3))), 4)[0]) == 4


def looking(folder, **how):
    return Settings(["superpoint", "multiview"], images=folder, **how)


class Shown(Scans):
    """One that the checks of types can look into though its files are missing."""

    def __getitem__(self, index):
        return Scan("shown", PointCloud(np.zeros((1, 3))), category="airplane")


def test_files_are_looked_for_before_anything_is_encoded(tmp_path):
    """Those of the scans that are to be seen; an empty one is no file."""
    scans = Shown(**vars(modelnet40_resampled(trees.modelnet40_resampled(tmp_path))))
    Settings().check([scans])
    scans.items[1].write_bytes(b"")
    Settings(limit=1).check([scans])
    with pytest.raises(FileNotFoundError, match=r"stand_0002\.txt: missing or empty; .*check"):
        Settings().check([scans])


def test_photographs_of_one_scan_or_of_each(tmp_path):
    how, teacher = looking(tmp_path), Setting("multiview", "token", 8.0)
    for name in ("color", "Area_5/hall/color"):
        (tmp_path / name).mkdir(parents=True)
    assert how.pictures("room", teacher) == {"images": tmp_path, "pose_scale": 8.0}
    assert how.pictures("room", Setting("knn", "none")) == {}
    (tmp_path / "color").rmdir()
    assert how.pictures("Area_5/hall", teacher)["images"] == tmp_path / "Area_5" / "hall"
    with pytest.raises(FileNotFoundError, match=r"room/color: no such folder .* name \(room\)"):
        how.pictures("room", teacher)
    assert how.stated(teacher) == {"images": str(tmp_path)}
    assert how.stated(Setting("knn", "none")) == Settings(["multiview"]).stated(teacher) == {}


def test_photographs_are_looked_for_before_anything_is_encoded(tmp_path, room_scan):
    scans = open_data(f"scannet:{trees.scannet(tmp_path / 'scannet')}")
    photos = tmp_path / "scannet" / "scans"
    (photos / "scene0011_00" / "color").mkdir()
    with pytest.raises(FileNotFoundError, match="scene0011_01/color: no such folder"):
        looking(photos).check([scans])
    looking(photos, limit=1).check([scans])  # the first alone
    with pytest.raises(FileNotFoundError, match="corner/color: no such folder"):
        looking(photos).check([room_scan])
    one = photos / "scene0011_00"
    with pytest.raises(ValueError, match=r"scene0011_00 holds photographs of one scan, but 2 are"):
        looking(one).check([scans])
    looking(one).check([room_scan])
    with pytest.raises(FileNotFoundError, match="nowhere: no such folder of posed photographs"):
        looking(tmp_path / "nowhere").check([room_scan])
    meshes = open_data(f"meshes:{trees.meshes(tmp_path / 'meshes')}")
    with pytest.raises(ValueError, match=r"images: meshes:.* is no set of scans"):
        looking(photos).check([meshes])


@pytest.mark.parametrize("density", [0, -0.5, 17, float("nan")])
def test_bad_density(room_cloud, density):
    with pytest.raises(ValueError, match="densities: expected numbers"):
        resampled(room_cloud, density)


def test_trained_weights_for_a_combination_are_found(tiny_clip):
    tokenizations = {
        "superpoint": Tokenization(Superpoints(20), "token"),
        "superpoint-metric": Tokenization(Superpoints(20), "none"),
    }
    model = S4Token(tiny_clip, tokenizations, source="a.safetensors")
    used, name, _, weights = variant(model, "superpoint", "none")
    assert used is model and (name, weights) == ("superpoint-metric", "trained for this")


def test_weights_are_fed_the_other_coordinates_where_none_were_trained(tiny_model, room_cloud):
    cloud = room_cloud.select(np.arange(0, len(room_cloud), 4))
    changed, name, kind, _ = variant(tiny_model, "superpoint", "none")
    assert (name, kind) == ("superpoint", "none") and changed.learned is tiny_model.learned
    assert changed.tokenizations["superpoint"].normalise == "none"
    assert tiny_model.tokenizations["superpoint"].normalise == "token"
    features = [m.encode(cloud).features for m in (tiny_model, changed)]
    assert np.abs(features[0] - features[1]).max() > 1e-4

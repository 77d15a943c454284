"""The Open3D window's edges; the pictures themselves where a graphics driver is present."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import s4token
from tests.fakes import striped_cloud
from viewer import desktop

ROOT = Path(__file__).resolve().parent.parent


def test_a_missing_open3d_is_explained(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "open3d", None)
    with pytest.raises(ImportError, match=r"pip install open3d.*apt-get install libusb-1\.0-0"):
        desktop.snapshot(striped_cloud(10), tmp_path / "a.png")
    with pytest.raises(ImportError, match="libgl1"):
        desktop.show(striped_cloud(10))
    assert not list(tmp_path.iterdir())


def test_a_picture_needs_a_picture_suffix(tmp_path):
    with pytest.raises(ValueError, match=r"a\.gif: pictures are \.png or \.jpg"):
        desktop.snapshot(striped_cloud(10), tmp_path / "a.gif")


@pytest.mark.slow
def test_a_snapshot_shows_the_scan(tmp_path):
    scan, picture = tmp_path / "stripes.ply", tmp_path / "out.png"
    cloud = striped_cloud(20_000)
    s4token.write(scan, s4token.PointCloud(cloud.points.astype(float) + 4e6, cloud.colors))
    # In a process of its own: the renderer prints, and may abort without a driver.
    done = subprocess.run(
        [sys.executable, "-m", "viewer", str(scan), "--snapshot", str(picture)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    if done.returncode == 2 and "apt-get install" in done.stderr:
        pytest.skip(done.stderr.strip().splitlines()[-1])
    assert done.returncode == 0, done.stderr
    image = np.asarray(Image.open(picture)).reshape(-1, 3).astype(int)
    for axis in range(3):
        ink = (image[:, axis] > 200) & (np.delete(image, axis, axis=1) < 60).all(axis=1)
        assert ink.mean() > 0.01, "each stripe is visible"
    assert [p.name for p in tmp_path.iterdir() if "part" in p.name] == []

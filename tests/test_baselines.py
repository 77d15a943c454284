"""Random labels, and the rule of height and normals, in any unit and with any up."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from s4token.baselines import geometric_labels, random_labels


def test_random_labels_are_uniform():
    labels = random_labels(30_000, 3, np.random.default_rng(0))
    share = np.bincount(labels, minlength=4) / 30_000
    assert share[0] == 0 and share[1:] == pytest.approx(1 / 3, abs=0.02)


def test_rule_finds_floor_wall_and_table(room_scan):
    labels = geometric_labels(room_scan.cloud, room_scan.classes)
    right = labels == room_scan.labels
    name = np.array(room_scan.classes)[room_scan.labels - 1]
    assert right[name == "floor"].mean() > 0.9 and right[name == "wall"].mean() > 0.9
    assert right[name == "table"].mean() > 0.3 and right[name == "ball"].mean() == 0


@pytest.mark.parametrize("factor", [1e-3, 1e4])
def test_rule_has_no_unit(room_scan, factor):
    labels = geometric_labels(room_scan.cloud, room_scan.classes)
    scaled = geometric_labels(room_scan.cloud.scaled(factor), room_scan.classes)
    assert (labels == scaled).mean() > 0.999


def test_rule_follows_up(room_scan):
    cloud = room_scan.cloud
    turned = replace(cloud, points=cloud.points[:, [1, 2, 0]], up=np.array([0.0, 1.0, 0.0]))
    labels = geometric_labels(cloud, room_scan.classes)
    assert (geometric_labels(turned, room_scan.classes) == labels).mean() > 0.999


def test_names_that_no_rule_knows(room_scan):
    labels = geometric_labels(room_scan.cloud, ("sky", "Wall", "ceiling"))
    assert set(np.unique(labels)) <= {2, 3}
    assert set(np.unique(geometric_labels(room_scan.cloud, ("sky",)))) == {1}

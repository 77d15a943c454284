"""Every value of the library: what it accepts, what it refuses, and with which words."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from s4token.types import (
    Camera,
    Encoding,
    Groups,
    PointCloud,
    Scan,
    Segmentation,
    Views,
)

XYZ = np.arange(12, dtype=np.float32).reshape(4, 3)
RGB = np.linspace(0, 1, 12).reshape(4, 3)
NAN = np.where(np.arange(12).reshape(4, 3) == 5, np.nan, 1.0)
CLOUD = PointCloud(XYZ)
GROUPS = Groups(np.array([2, 0, 1, 3]), np.array([0, 3, 4]), 4)


def _segmentation(**changes):
    good = {
        "classes": ("chair", "table"),
        "labels": np.array([0, 1, 2, 1]),
        "confidence": np.zeros(4, np.float32),
        "superpoints": np.array([0, 0, 1, 1]),
        "scores": np.zeros((2, 2), np.float32),
    }
    return Segmentation(**{**good, **changes})


BAD = {
    "points: one row": (lambda: PointCloud(np.zeros(3)), r"points: expected shape \(N, 3\)"),
    "points: two columns": (lambda: PointCloud(np.zeros((4, 2))), r"points: .*\(4, 2\)"),
    "points: none": (lambda: PointCloud(np.zeros((0, 3))), "points: expected at least one"),
    "points: text": (lambda: PointCloud(np.full((2, 3), "a")), "points: expected real numbers"),
    "points: complex": (lambda: PointCloud(np.ones((2, 3), complex)), "points: .*real numbers"),
    "points: NaN": (lambda: PointCloud(NAN), "points: .*NaN or infinity in 1 of 4 rows"),
    "points: infinity": (lambda: PointCloud(XYZ / np.float32(0.0)), "points: .*of 4 rows"),
    "colors: rows": (lambda: PointCloud(XYZ, RGB[:3]), "colors: expected 4 rows.*got 3"),
    "colors: range": (lambda: PointCloud(XYZ, RGB * 255), r"colors: .*\[0, 1\].*0 \.\. 255"),
    "colors: negative": (lambda: PointCloud(XYZ, RGB - 0.5), "colors: .*-0.5"),
    "colors: columns": (lambda: PointCloud(XYZ, np.zeros((4, 4))), r"colors: .*\(N, 3\)"),
    "colors: NaN": (lambda: PointCloud(XYZ, NAN), "colors: .*NaN"),
    "normals: rows": (lambda: PointCloud(XYZ, normals=RGB[:2]), "normals: expected 4 rows"),
    "normals: NaN": (lambda: PointCloud(XYZ, normals=NAN), "normals: .*NaN"),
    "offset: shape": (lambda: PointCloud(XYZ, offset=np.zeros(2)), "offset: expected 3 finite"),
    "offset: NaN": (lambda: PointCloud(XYZ, offset=np.array([0, 0, np.nan])), "offset: .*finite"),
    "up: zero": (lambda: PointCloud(XYZ, up=np.zeros(3)), "up: expected a direction"),
    "up: infinite": (lambda: PointCloud(XYZ, up=np.array([0, 0, np.inf])), "up: expected 3"),
    "attributes: rows": (
        lambda: PointCloud(XYZ, attributes={"label": np.zeros(5)}),
        r"attributes\['label'\]: expected 4 rows, got 5",
    ),
    "scaled: zero": (lambda: CLOUD.scaled(0), "factor: expected a positive"),
    "scaled: negative": (lambda: CLOUD.scaled(-2), "factor"),
    "scaled: NaN": (lambda: CLOUD.scaled(float("nan")), "factor"),
    "groups: first offset": (lambda: Groups(np.arange(4), np.array([1, 4]), 4), "offsets"),
    "groups: last offset": (lambda: Groups(np.arange(4), np.array([0, 3]), 4), "offsets"),
    "groups: none": (lambda: Groups(np.arange(0), np.array([0]), 4), "offsets"),
    "groups: empty one": (lambda: Groups(np.arange(4), np.array([0, 2, 2, 4]), 4), "1 empty"),
    "groups: backwards": (lambda: Groups(np.arange(4), np.array([0, 3, 2, 4]), 4), "no empty"),
    "groups: matrix": (lambda: Groups(np.arange(4), np.array([[0, 4]]), 4), "offsets"),
    "groups: index too large": (lambda: Groups(np.array([4]), np.array([0, 1]), 4), r"\[0, 4\)"),
    "groups: index negative": (lambda: Groups(np.array([-1]), np.array([0, 1]), 4), "index"),
    "groups: centers": (
        lambda: Groups(np.arange(4), np.array([0, 4]), 4, np.array([0, 1])),
        r"centers: expected shape \(1,\)",
    ),
    "groups: no labels": (
        lambda: Groups(np.array([0, 0, 1, 2]), np.array([0, 2, 4]), 4).labels,
        "not a partition",
    ),
    "groups: gap in ids": (lambda: Groups.from_labels(np.array([0, 2])), "1 empty"),
    "scan: labels rows": (lambda: Scan("a", CLOUD, np.zeros(3, int)), "a: labels: expected 4"),
    "scan: labels type": (lambda: Scan("a", CLOUD, np.zeros(4)), "a: labels: .*float64"),
    "scan: label too large": (
        lambda: Scan("a", CLOUD, np.array([0, 1, 2, 3]), ("chair", "table")),
        r"a: labels: expected 0 \.\. 2, one per class, got 0 \.\. 3",
    ),
    "scan: label negative": (
        lambda: Scan("a", CLOUD, np.array([0, -1, 0, 0]), ("chair",)),
        "a: labels",
    ),
    "scan: instances": (lambda: Scan("a", CLOUD, instances=np.zeros(5, int)), "a: instances"),
    "encoding: groups": (
        lambda: Encoding(CLOUD, Groups.from_labels(np.zeros(3, int)), XYZ[:1], XYZ[0]),
        "groups: expected groups of 4 points, got 3",
    ),
    "encoding: features": (lambda: Encoding(CLOUD, GROUPS, XYZ, XYZ[0]), r"features: .*\(2, E\)"),
    "encoding: vector": (lambda: Encoding(CLOUD, GROUPS, XYZ[0], XYZ[0]), "features"),
    "encoding: global": (lambda: Encoding(CLOUD, GROUPS, XYZ[:2], XYZ[0, :2]), "global_feature"),
    "segmentation: confidence": (
        lambda: _segmentation(confidence=np.zeros(3)),
        "confidence, superpoints: expected 4 rows",
    ),
    "segmentation: superpoints": (lambda: _segmentation(superpoints=np.zeros(5)), "4 rows"),
    "segmentation: labels": (lambda: _segmentation(labels=np.array([0, 1, 2, 3])), "up to 3"),
    "segmentation: negative": (lambda: _segmentation(labels=np.array([0, 1, 2, -1])), "labels"),
    "camera: position": (lambda: Camera(np.zeros(2), np.ones(3)), "position: expected 3"),
    "camera: NaN": (lambda: Camera(np.zeros(3), np.full(3, np.nan)), "target: expected 3"),
    "camera: same": (lambda: Camera(np.ones(3), np.ones(3)), "target: expected a point other"),
    "camera: fov 0": (lambda: Camera(np.zeros(3), np.ones(3), fov=0), "fov"),
    "camera: fov 180": (lambda: Camera(np.zeros(3), np.ones(3), fov=180), "fov"),
    "camera: width": (lambda: Camera(np.zeros(3), np.ones(3), width=0), "width, height"),
    "camera: height": (lambda: Camera(np.zeros(3), np.ones(3), height=-1), "width, height"),
    "views: type": (lambda: Views(np.zeros((1, 2, 2, 3)), np.zeros((1, 2, 2))), "images: .*uint8"),
    "views: channels": (
        lambda: Views(np.zeros((1, 2, 2, 4), np.uint8), np.zeros((1, 2, 2))),
        "images",
    ),
    "views: map": (
        lambda: Views(np.zeros((1, 2, 2, 3), np.uint8), np.zeros((1, 2, 3))),
        "point_index",
    ),
}

GOOD = {
    "float32": lambda: PointCloud(XYZ),
    "float64": lambda: PointCloud(XYZ.astype(np.float64)),
    "integers": lambda: PointCloud(XYZ.astype(int)),
    "float16": lambda: PointCloud(XYZ.astype(np.float16)),
    "one point": lambda: PointCloud(np.zeros((1, 3))),
    "equal points": lambda: PointCloud(np.ones((5, 3)), np.ones((5, 3)), np.ones((5, 3))),
    "all fields": lambda: PointCloud(
        XYZ, RGB, RGB, np.ones(3), np.array([0, 2.0, 0]), {"a": np.arange(4)}
    ),
    "overlapping groups": lambda: Groups(np.array([0, 0, 1]), np.array([0, 1, 3]), 2),
    "groups with centers": lambda: Groups(
        np.arange(4), np.array([0, 2, 4]), 4, centers=np.array([0, 3])
    ),
    "scan without truth": lambda: Scan("a", CLOUD),
    "scan": lambda: Scan("a", CLOUD, np.array([0, 1, 2, 2]), ("x", "y"), np.arange(4), "room"),
    "encoding": lambda: Encoding(CLOUD, GROUPS, XYZ[:2], XYZ[0]),
    "segmentation": _segmentation,
    "nothing found": lambda: _segmentation(classes=(), labels=np.zeros(4, int)),
    "camera": lambda: Camera(np.zeros(3), np.ones(3)),
    "views": lambda: Views(np.zeros((2, 4, 3, 3), np.uint8), np.zeros((2, 4, 3), np.int32)),
}


@pytest.mark.parametrize("case", BAD)
@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
def test_refuses(case):
    build, words = BAD[case]
    with pytest.raises(ValueError, match=words):
        build()


@pytest.mark.parametrize("case", GOOD)
def test_accepts_and_cannot_be_changed(case):
    value = GOOD[case]()
    field = dataclasses.fields(value)[0].name
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(value, field, None)
    for item in dataclasses.fields(value):
        array = getattr(value, item.name)
        if isinstance(array, np.ndarray) and array.ndim and not isinstance(value, Views):
            with pytest.raises(ValueError, match="read-only"):
                array[...] = 0


def test_types_of_the_fields():
    assert PointCloud(XYZ).points.dtype == np.float32
    assert PointCloud(XYZ.astype(np.float64)).points.dtype == np.float64
    assert PointCloud(XYZ.astype(np.int16)).points.dtype == np.float64
    cloud = PointCloud(XYZ, RGB, RGB, up=np.array([0, 3.0, 4.0]))
    assert cloud.colors is not None and cloud.colors.dtype == np.float32
    assert cloud.normals is not None and cloud.normals.dtype == np.float32
    np.testing.assert_allclose(cloud.up, [0, 0.6, 0.8])
    assert Scan("a", CLOUD, np.zeros(4, np.uint8), ("1",)).labels is not None


def test_the_callers_array_stays_writable():
    mine = XYZ.copy()
    cloud = PointCloud(mine)
    mine[0] = 7  # a view, since copies of large clouds cost
    assert cloud.points[0, 0] == 7
    with pytest.raises(ValueError):
        cloud.points[0] = 1


@pytest.mark.parametrize("index", [np.array([2, 0]), np.array([True, False, True, False])])
def test_select_takes_every_column_along(index):
    cloud = PointCloud(XYZ, RGB, RGB[::-1], np.ones(3), attributes={"a": np.arange(4)})
    part = cloud.select(index)
    np.testing.assert_array_equal(part.points, XYZ[index])
    assert part.colors is not None and part.normals is not None
    np.testing.assert_array_equal(part.colors, RGB[index].astype(np.float32))
    np.testing.assert_array_equal(part.normals, RGB[::-1][index].astype(np.float32))
    np.testing.assert_array_equal(part.attributes["a"], np.arange(4)[index])
    np.testing.assert_array_equal(part.offset, np.ones(3))


@given(st.integers(-20, 20))
def test_scaling_by_a_power_of_two_is_exact_and_can_be_undone(power):
    cloud = PointCloud(XYZ + np.float32(0.1), offset=np.array([1.5, 2, 3]))
    scaled = cloud.scaled(2.0**power)
    assert scaled.points.dtype == np.float32
    np.testing.assert_array_equal(scaled.scaled(2.0**-power).points, cloud.points)
    np.testing.assert_array_equal(scaled.offset, cloud.offset * 2.0**power)


@given(st.lists(st.integers(0, 5), min_size=1, max_size=40))
def test_a_partition_and_its_labels_say_the_same(raw):
    labels = np.unique(raw, return_inverse=True)[1].ravel()
    groups = Groups.from_labels(labels)
    assert groups.is_partition
    np.testing.assert_array_equal(groups.labels, labels)
    np.testing.assert_array_equal(groups.sizes, np.bincount(labels))
    for m, members in enumerate(groups):
        np.testing.assert_array_equal(members, np.flatnonzero(labels == m))
    np.testing.assert_array_equal(groups[0], np.flatnonzero(labels == 0))
    assert len(groups) == labels.max() + 1


@pytest.mark.parametrize(
    ("index", "offsets", "n", "partition"),
    [
        ([1, 0, 2], [0, 2, 3], 3, True),
        ([0, 1, 1], [0, 2, 3], 3, False),  # 1 twice, 2 never
        ([0, 1], [0, 1, 2], 3, False),  # 2 never
        ([0, 1, 2, 0], [0, 2, 4], 3, False),  # 0 twice
    ],
)
def test_is_partition(index, offsets, n, partition):
    assert Groups(np.array(index), np.array(offsets), n).is_partition is partition


def test_three_words_that_name_next_to_nothing_are_noticed():
    few = np.zeros(100, int)
    few[:4] = 1
    columns = {"confidence": np.zeros(100), "superpoints": np.zeros(100, int)}
    three = {"classes": ("a", "b", "c"), "scores": np.zeros((1, 3))}
    assert _segmentation(labels=few, **columns, **three).hardly_labelled
    assert not _segmentation(labels=few, **columns).hardly_labelled
    few[:5] = 1
    assert not _segmentation(labels=few, **columns, **three).hardly_labelled

"""Label files: what is written comes back, on the same scan only, and other tools read it."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import zipfile
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from plyfile import PlyData

from s4token import PointCloud, Segmentation, read, read_labels, read_scan, write, write_labels
from s4token.cli import main
from s4token.datasets.scannet import segment_groups
from s4token.labelling import Labelling

FORMATS = {
    "ply": ("a.ply", "plain"),
    "cloudcompare": ("a.ply", "cloudcompare"),
    "npz": ("a.npz", "plain"),
    "las": ("a.las", "plain"),
    "laz": ("a.laz", "plain"),
    "csv": ("a.csv", "plain"),
    "json": ("a.json", "plain"),
    "scannet": ("a.zip", "plain"),
    "semantickitti": ("a.label", "plain"),
}
WITHOUT = {"superpoints": ("semantickitti",), "confidence": ("semantickitti", "scannet")}
NEEDS_JSON = ("csv", "semantickitti")

names = st.text(min_size=1, max_size=90).filter(lambda t: t.strip() == t)
plain = st.one_of(st.none(), st.booleans(), st.integers(-9, 9), st.text(max_size=9))


@st.composite
def labellings(draw) -> tuple[PointCloud, Labelling]:
    """A cloud, far away or not, with any labels that every format can hold."""
    n = draw(st.integers(1, 40))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    points = rng.normal(size=(n, 3)) * draw(st.sampled_from([1e-3, 1.0, 500.0]))
    offset = np.array(draw(st.sampled_from([(0, 0, 0), (4.5e5, 5.4e6, 100)])), dtype=float)
    hard = st.sampled_from(["unlabelled", "car", "other vehicle", "stül\ne", "椅子 😀", 'a"b{}$'])
    classes = draw(st.lists(st.one_of(names, hard), max_size=6, unique=True))
    labels = rng.integers(0, len(classes) + 1, n)
    some = lambda most: draw(st.one_of(st.none(), st.just(rng.integers(0, most, n))))  # noqa: E731
    confidence = draw(st.sampled_from([None, rng.random(n).astype(np.float32)]))
    said = draw(st.dictionaries(st.text(max_size=5), plain, max_size=3))
    said |= {"prompts": classes, "negatives": ["x" * 2000], "threshold": 0.25}
    cloud = PointCloud(points.astype(np.float32), rng.random((n, 3)), offset=offset)
    return cloud, Labelling(labels, tuple(classes), some(9), some(4), confidence, said)


def equal(found: Labelling, given: Labelling, case: str) -> None:
    assert found.classes == given.classes
    np.testing.assert_array_equal(found.labels, given.labels)
    assert dict(found.provenance) == dict(given.provenance)
    for name in ("superpoints", "instances", "confidence"):
        want, got = getattr(given, name), getattr(found, name)
        if case in WITHOUT.get(name, ()):
            assert got is None
        elif name == "instances" and want is None and case == "semantickitti":
            assert not got.any(), "its 16 bits are there, none is 0"
        elif want is None:
            assert got is None
        else:
            np.testing.assert_array_equal(got, want)


@pytest.mark.parametrize("case", FORMATS)
@settings(max_examples=40, deadline=None)
@given(labellings())
def test_what_is_written_comes_back(tmp_path_factory, case, both):
    cloud, labelling = both
    name, preset = FORMATS[case]
    path = tmp_path_factory.mktemp("labels") / name
    write_labels(path, cloud, labelling, preset=preset)
    equal(read_labels(path, cloud), labelling, case)
    if case not in NEEDS_JSON and case != "json" and path.with_suffix(".json").exists():
        path.with_suffix(".json").unlink()
        equal(read_labels(path, cloud), labelling, case)


@pytest.fixture
def scan(room_cloud):
    """A furnished corner with labels, superpoints that labels cross, and instances."""
    cloud = room_cloud.select(np.arange(3000))
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 4, 3000)
    superpoints = rng.integers(0, 50, 3000)
    instances = np.where(labels == 2, rng.integers(0, 3, 3000), 0)
    said = {"prompts": ["floor", "chair", "<b>x</b>"], "negatives": ["wall"], "threshold": 0.4}
    confidence = rng.random(3000).astype(np.float32)
    labelling = Labelling(
        labels, ("floor", "chair", "<b>x</b>"), superpoints, instances, confidence, said
    )
    return cloud, labelling


# --- what other tools see ---------------------------------------------------------------------


def test_plyfile_sees_typed_columns(scan, tmp_path):
    cloud, labelling = scan
    write_labels(tmp_path / "a.ply", cloud, labelling)
    vertex = PlyData.read(tmp_path / "a.ply")["vertex"]
    for name in ("label", "instance", "superpoint"):
        assert vertex[name].dtype == np.int32
    assert vertex["confidence"].dtype == np.float32
    np.testing.assert_array_equal(vertex["label"], labelling.labels)
    np.testing.assert_array_equal(vertex["instance"], labelling.instances)
    write_labels(tmp_path / "c.ply", cloud, labelling, preset="cloudcompare")
    vertex = PlyData.read(tmp_path / "c.ply")["vertex"]
    for name, values in labelling.columns.items():
        assert vertex[f"scalar_{name}"].dtype == np.float32 and name not in vertex
        np.testing.assert_array_equal(vertex[f"scalar_{name}"], values.astype(np.float32))


def test_laspy_sees_extra_dimensions_and_the_classification(scan, tmp_path):
    import laspy

    cloud, labelling = scan
    source = np.full(3000, 6, np.uint8)
    write_labels(
        tmp_path / "a.las", replace(cloud, attributes={"classification": source}), labelling
    )
    las = laspy.read(tmp_path / "a.las")
    for name in ("label", "instance", "superpoint"):
        assert las[name].dtype == np.int32
    np.testing.assert_array_equal(las["label"], labelling.labels)
    np.testing.assert_array_equal(las["classification"], labelling.labels)
    np.testing.assert_array_equal(las["source_classification"], source)
    again = read(tmp_path / "a.las")
    write_labels(tmp_path / "b.las", again, labelling)
    np.testing.assert_array_equal(laspy.read(tmp_path / "b.las")["source_classification"], source)
    many = tuple(f"class {i}" for i in range(300))
    write_labels(tmp_path / "c.las", cloud, Labelling(np.full(3000, 300), many))
    assert set(np.unique(laspy.read(tmp_path / "c.las")["classification"])) == {0}
    assert (read_labels(tmp_path / "c.las", cloud).labels == 300).all()


def test_open3d_reads_labels_of_both_presets(scan, tmp_path):
    try:
        import open3d
    except (ImportError, OSError) as error:
        pytest.skip(f"open3d cannot be imported here: {error}")
    cloud, labelling = scan
    for preset, name in (("plain", "label"), ("cloudcompare", "scalar_label")):
        write_labels(tmp_path / "a.ply", cloud, labelling, preset=preset)
        found = open3d.t.io.read_point_cloud(str(tmp_path / "a.ply"))
        np.testing.assert_array_equal(found.point[name].numpy().ravel(), labelling.labels)


def test_numpy_reads_the_arrays_without_pickle(scan, tmp_path):
    cloud, labelling = scan
    write_labels(tmp_path / "a.npz", cloud, labelling)
    with np.load(tmp_path / "a.npz", allow_pickle=False) as arrays:
        np.testing.assert_array_equal(arrays["label"] + 1, labelling.labels)
        np.testing.assert_array_equal(arrays["instance"], labelling.instances)
        assert tuple(arrays["names"]) == labelling.classes
        assert json.loads(str(arrays["about"]))["provenance"]["threshold"] == 0.4


def test_scannets_reader_takes_the_pair(scan, tmp_path):
    cloud, labelling = scan
    write_labels(tmp_path / "scene0000_00.zip", cloud, labelling)
    with zipfile.ZipFile(tmp_path / "scene0000_00.zip") as archive:
        archive.extractall(tmp_path)
    segs = tmp_path / "scene0000_00_vh_clean_2.0.010000.segs.json"
    owner, raw = segment_groups(segs, tmp_path / "scene0000_00.aggregation.json", len(cloud))
    for number, name in enumerate(raw, start=1):
        label, instance = labelling.labels[owner == number], labelling.instances[owner == number]
        assert (
            len(set(label)) == len(set(instance)) == 1 and name == labelling.classes[label[0] - 1]
        )
    np.testing.assert_array_equal(owner == 0, labelling.labels == 0)
    segments = np.array(json.loads(segs.read_text())["segIndices"])
    same = segments == labelling.superpoints
    assert same.mean() > 0.25, "the largest part of a superpoint keeps its number"


def test_a_foreign_scannet_pair_has_names_and_objects(scan, tmp_path):
    cloud, _ = scan
    segments = np.arange(3000) // 500 * 7
    groups = [
        {"id": 0, "objectId": 0, "segments": [0, 7], "label": "chair"},
        {"id": 1, "objectId": 1, "segments": [14], "label": "table"},
        {"id": 2, "objectId": 2, "segments": [21], "label": "chair"},
    ]
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("s/s.segs.json", json.dumps({"segIndices": segments.tolist()}))
        archive.writestr("s/s.aggregation.json", json.dumps({"segGroups": groups}))
    found = read_labels(tmp_path / "a.zip", cloud)
    assert found.classes == ("chair", "table")
    assert found.labels[::500].tolist() == [1, 1, 2, 1, 0, 0]
    assert found.instances[::500].tolist() == [1, 1, 2, 3, 0, 0]
    np.testing.assert_array_equal(found.superpoints, segments)


def test_semantickitti_gets_its_own_ids_for_its_own_classes(scan, tmp_path):
    cloud, labelling = scan
    write_labels(tmp_path / "a.label", cloud, labelling)
    raw = np.fromfile(tmp_path / "a.label", "<u4")
    np.testing.assert_array_equal(raw & 0xFFFF, labelling.labels)
    np.testing.assert_array_equal(raw >> 16, labelling.instances)
    driven = replace(labelling, classes=("road", "car", "other vehicle"))
    write_labels(tmp_path / "a.label", cloud, driven)
    raw = np.fromfile(tmp_path / "a.label", "<u4")
    np.testing.assert_array_equal(raw & 0xFFFF, np.array([0, 40, 10, 20])[labelling.labels])
    equal(read_labels(tmp_path / "a.label", cloud), driven, "semantickitti")


def test_a_cloud_that_was_rounded_by_another_program_is_the_same_scan(scan, tmp_path):
    cloud, labelling = scan
    write_labels(tmp_path / "a.las", cloud, labelling)
    again = read(tmp_path / "a.las")
    write_labels(tmp_path / "b.ply", cloud, labelling)
    equal(read_labels(tmp_path / "b.ply", again), labelling, "ply")


@pytest.mark.parametrize("beside", ["{", '{"labels": {"chair": 1}}', '{"labels": {"1": "x"}}'])
@pytest.mark.parametrize("name", ["a.ply", "a.npz", "a.las", "a.zip"])
def test_names_inside_win_over_a_json_beside(scan, tmp_path, name, beside):
    cloud, labelling = scan
    write_labels(tmp_path / name, cloud, labelling)
    (tmp_path / "a.json").write_text(beside)
    assert read_labels(tmp_path / name, cloud).classes == labelling.classes
    if name != "a.zip":
        assert read_scan(tmp_path / name).classes == labelling.classes
        assert main(["convert", str(tmp_path / name), str(tmp_path / "b.ply")]) == 0
        assert read_scan(tmp_path / "b.ply").classes == labelling.classes


# --- what does not fit ------------------------------------------------------------------------


def edit_json(path, change) -> None:
    data = json.loads(path.read_text(encoding="utf-8"))
    change(data)
    path.write_text(json.dumps(data), encoding="utf-8")


def drop_from_zip(path, ending) -> None:
    with zipfile.ZipFile(path) as archive:
        kept = {n: archive.read(n) for n in archive.namelist() if not n.endswith(ending)}
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in kept.items():
            archive.writestr(name, data)


DAMAGE = {
    "label, no JSON": ("a.label", lambda p: p.with_suffix(".json").unlink(), "give a.json"),
    "label, cut": ("a.label", lambda p: p.write_bytes(p.read_bytes()[:-4]), "2,999 points"),
    "label, unknown id": (
        "a.label",
        lambda p: p.write_bytes(np.full(3000, 77, "<u4").tobytes()),
        "77 in 3,000 points has no name",
    ),
    "label, JSON of another": (
        "a.label",
        lambda p: edit_json(p.with_suffix(".json"), lambda d: d.update(fingerprint="0" * 32)),
        "another scan",
    ),
    "label, JSON of another count": (
        "a.label",
        lambda p: edit_json(p.with_suffix(".json"), lambda d: d.update(points=7)),
        "made for 7 points",
    ),
    "csv, no JSON": ("a.csv", lambda p: p.with_suffix(".json").unlink(), "names of its labels"),
    "csv, names in a list": (
        "a.csv",
        lambda p: edit_json(p.with_suffix(".json"), lambda d: d.update(labels=["a"])),
        'which says {"labels": {"1": "name"',
    ),
    "csv, fewer names": (
        "a.csv",
        lambda p: edit_json(p.with_suffix(".json"), lambda d: d["labels"].pop("2")),
        "label: 2 in [0-9]+ points has no name; names are there for 1, 3",
    ),
    "json, legend only": (
        "a.json",
        lambda p: edit_json(p, lambda d: d.pop("columns")),
        "no labels",
    ),
    "json, short": (
        "a.json",
        lambda p: edit_json(p, lambda d: d["columns"]["label"].pop()),
        "label: expected 3,000 whole numbers",
    ),
    "json, fractions": (
        "a.json",
        lambda p: edit_json(p, lambda d: d["columns"].update(label=[0.5] * 3000)),
        "whole numbers",
    ),
    "json, negative": (
        "a.json",
        lambda p: edit_json(p, lambda d: d["columns"].update(label=[-1] * 3000)),
        "-1 in 3,000 points",
    ),
    "json, huge": (
        "a.json",
        lambda p: edit_json(p, lambda d: d["columns"].update(superpoint=[10**30] * 3000)),
        "superpoint: expected",
    ),
    "json, confidence": (
        "a.json",
        lambda p: edit_json(p, lambda d: d["columns"].update(confidence=[7] * 3000)),
        "confidence: expected values in",
    ),
    "json, NaN": (
        "a.json",
        lambda p: p.write_text(p.read_text().replace('"confidence": [', '"confidence": [NaN, ')),
        "confidence: expected",
    ),
    "json, same names": (
        "a.json",
        lambda p: edit_json(p, lambda d: d.update(labels={"1": "a", "2": "a", "3": "b"})),
        "stands twice",
    ),
    "json, deep": ("a.json", lambda p: p.write_text("[" * 100_000), "cannot be read as JSON"),
    "json, list": ("a.json", lambda p: p.write_text("[1]"), "no labels"),
    "zip, half": ("a.zip", lambda p: drop_from_zip(p, "aggregation.json"), "no \\*.aggregation"),
    "zip, other half": ("a.zip", lambda p: drop_from_zip(p, "segs.json"), "no \\*.segs.json"),
    "zip, none": ("a.zip", lambda p: p.write_bytes(b"PK"), "a.zip: cannot be read"),
    "ply, no labels": ("a.ply", lambda p: None, "holds no labels"),
    "npz, cut": ("a.npz", lambda p: p.write_bytes(p.read_bytes()[:2000]), "a.npz: "),
    "unknown": ("a.docx", lambda p: p.write_bytes(b"x"), "unknown suffix"),
}


@pytest.mark.parametrize("case", DAMAGE)
def test_what_is_damaged_is_refused_in_one_line(scan, tmp_path, case):
    cloud, labelling = scan
    name, damage, words = DAMAGE[case]
    path = tmp_path / name
    if case == "ply, no labels":
        write(path, cloud)
    elif name != "a.docx":
        write_labels(path, cloud, labelling)
    damage(path)
    with pytest.raises(ValueError, match=words) as caught:
        read_labels(path, cloud)
    said = str(caught.value)
    assert said.startswith(f"{name}: ") and said.count(f"{name}: ") == 1
    assert "\n" not in said and len(said) < 500


@pytest.mark.parametrize("case", FORMATS)
@pytest.mark.parametrize("change", ["fewer", "order", "moved", "units"])
def test_labels_of_another_scan_are_refused(scan, tmp_path, case, change):
    cloud, labelling = scan
    name, preset = FORMATS[case]
    write_labels(tmp_path / name, cloud, labelling, preset=preset)
    points = cloud.points.copy()
    points[7, 0] += 0.1
    other = {
        "fewer": cloud.select(np.arange(2999)),
        "order": cloud.select(np.roll(np.arange(3000), 1)),
        "moved": replace(cloud, points=points),
        "units": cloud.scaled(1000),
    }[change]
    words = "points" if change == "fewer" else "another scan"
    with pytest.raises(ValueError, match=words) as caught:
        read_labels(tmp_path / name, other)
    assert str(caught.value).startswith(name)


def test_a_zip_that_unpacks_to_too_much_is_refused(tmp_path):
    cloud = PointCloud(np.zeros((1, 3)))
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.segs.json", b" " * (1 << 25))
    with pytest.raises(ValueError, match="33,554,432 bytes for 1 points"):
        read_labels(tmp_path / "a.zip", cloud)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"labels": np.array([0, 4])}, "labels: 4 in 1 points has no name; there are 2 classes"),
        ({"labels": np.array([0, -1])}, "labels: expected 0"),
        ({"labels": np.array([0.0, 1.0])}, "labels: expected one whole number"),
        ({"superpoints": np.zeros(3, int)}, "superpoints: expected 2 values"),
        ({"instances": np.array([0, -2])}, "instances: expected 0"),
        ({"confidence": np.array([0, np.nan])}, "confidence: expected values in"),
        ({"confidence": np.zeros(5)}, "confidence: expected 2 values"),
        ({"classes": ("a", "a")}, "classes: 'a' stands twice"),
        ({"classes": ("a", "")}, "classes: expected a name"),
    ],
)
def test_a_labelling_checks_itself(changes, words):
    good = {"labels": np.array([0, 1]), "classes": ("a", "b")}
    with pytest.raises(ValueError, match=words):
        Labelling(**{**good, **changes})


@pytest.mark.parametrize(
    ("classes", "none"),
    [
        (("chair", "a"), "unlabelled"),
        (("unlabelled", "a"), "unlabelled points"),
        (("unlabelled points", "unlabelled"), "unlabelled points points"),
    ],
)
def test_counts_of_a_class_called_unlabelled(classes, none):
    counts = Labelling(np.array([0, 1, 2, 1, 2, 2]), classes).legend["counts"]
    assert counts == {classes[0]: 2, classes[1]: 3, none: 1}


def test_numbers_that_a_format_cannot_hold_are_refused(tmp_path):
    cloud = PointCloud(np.zeros((2, 3)))
    big = Labelling(np.array([0, 1]), ("a",), instances=np.array([0, 70_000]))
    with pytest.raises(ValueError, match=r"a\.label: SemanticKITTI has 16 bits.*70,000"):
        write_labels(tmp_path / "a.label", cloud, big)
    with pytest.raises(ValueError, match="preset 'cloudcompare' is for"):
        write_labels(tmp_path / "a.zip", cloud, big, preset="cloudcompare")
    for name in ("a.json", "a.zip", "a.label", "a.ply"):
        with pytest.raises(ValueError, match=r"2 labels for 3|expected 3"):
            write_labels(tmp_path / name, PointCloud(np.zeros((3, 3))), big)
    assert list(tmp_path.iterdir()) == []


FULL_DISK = """
import resource, signal, sys
import numpy as np
from s4token import PointCloud, write_labels
from s4token.labelling import Labelling
rng = np.random.default_rng(0)
cloud = PointCloud(rng.random((30_000, 3)))
labels = rng.integers(0, 2, 30_000)
found = Labelling(labels, ("x",), rng.integers(0, 9999, 30_000), labels, rng.random(30_000))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, resource.RLIM_INFINITY))
for path in sys.argv[1:]:
    try:
        write_labels(path, cloud, found)
    except ValueError as error:
        print(error)
"""


def test_a_full_disk_leaves_the_old_files(tmp_path):
    paths = [tmp_path / f"a.{suffix}" for suffix in ("ply", "npz", "las", "json", "zip", "label")]
    for path in paths:
        path.write_bytes(b"old")
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, *map(str, paths)],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    lines = done.stdout.splitlines()
    for path, line in zip(paths, lines, strict=True):
        assert line.startswith(f"{path}: cannot be written (") and "unchanged" in line
        assert path.read_bytes() == b"old"
    assert sorted(tmp_path.iterdir()) == sorted(paths)


# --- convert ----------------------------------------------------------------------------------


def test_convert_keeps_labels_through_every_format(scan, tmp_path, capsys):
    cloud, labelling = scan
    write_labels(tmp_path / "0.ply", cloud, labelling)
    chain = ["0.ply", "1.las", "2.npz", "3.csv", "4.laz", "5.pcd", "6.ply"]
    for source, out in itertools.pairwise(chain):
        assert main(["convert", str(tmp_path / source), str(tmp_path / out)]) == 0
        assert "labels of 3 classes" in capsys.readouterr().out
        equal(read_labels(tmp_path / out, cloud), labelling, "ply")
        assert read_scan(tmp_path / out).classes == labelling.classes
    for out in ("7.label", "7.zip", "8.json"):
        assert main(["convert", str(tmp_path / "6.ply"), str(tmp_path / out)]) == 0
        again = tmp_path / f"{out}.ply"
        bare = tmp_path / "bare.ply"
        write(bare, read(tmp_path / "6.ply").select(np.arange(3000)), superpoints=None)
        verb = ["convert", str(tmp_path / "6.ply"), str(again), "--labels", str(tmp_path / out)]
        assert main(verb) == 0
        np.testing.assert_array_equal(read_labels(again, cloud).labels, labelling.labels)


def test_convert_in_other_units_keeps_labels(scan, tmp_path):
    cloud, labelling = scan
    write_labels(tmp_path / "a.ply", cloud, labelling)
    verb = ["convert", str(tmp_path / "a.ply"), str(tmp_path / "b.label"), "--scale", "1000"]
    assert main(verb) == 0
    found = read_labels(tmp_path / "b.label", read(tmp_path / "a.ply").scaled(1000))
    equal(found, labelling, "semantickitti")


def test_convert_keeps_numbers_whose_names_are_not_known(tmp_path):
    numbers = np.array([0, 4, 9, 9, 2])
    cloud = PointCloud(np.random.default_rng(0).random((5, 3)), attributes={"label": numbers})
    write(tmp_path / "a.ply", cloud)
    for legend, named in (('{"labels": {"4": "desk"}}', True), ("{}", False)):
        (tmp_path / "a.json").write_text(legend)
        assert main(["convert", str(tmp_path / "a.ply"), str(tmp_path / "b.las")]) == 0
        found = read_scan(tmp_path / "b.las")
        np.testing.assert_array_equal(found.labels, numbers)
        assert (found.classes[3] == "desk") == named == (tmp_path / "b.json").exists()
        (tmp_path / "b.json").unlink(missing_ok=True)


def test_convert_of_nothing_to_label_is_refused(scan, tmp_path, capsys):
    cloud, labelling = scan
    write(tmp_path / "a.ply", cloud)
    assert main(["convert", str(tmp_path / "a.ply"), str(tmp_path / "b.label")]) == 2
    assert "no labels with names" in capsys.readouterr().err
    write_labels(
        tmp_path / "c.label", cloud.select(np.arange(9)), Labelling(np.ones(9, int), ("a",))
    )
    verb = ["convert", str(tmp_path / "a.ply"), str(tmp_path / "b.ply")]
    assert main([*verb, "--labels", str(tmp_path / "c.label")]) == 2
    assert "c.label: 36 bytes" in capsys.readouterr().err
    assert not (tmp_path / "b.ply").exists() and labelling is not None


def test_an_answer_says_which_version_gave_it(tiny_model, room_cloud):
    import s4token

    encoding = tiny_model.encode(room_cloud.select(np.arange(2000)))
    found = s4token.segment(tiny_model, encoding, ["chair"])
    assert isinstance(found, Segmentation) and found.provenance["version"] == s4token.__version__

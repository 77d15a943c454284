"""The readers of official layouts: values, laziness, and every way a tree can be wrong."""

from __future__ import annotations

import json
import logging
import shutil
import sys
import time
import weakref

import numpy as np
import pytest
import trees

from s4token.datasets import joined, open_data
from s4token.datasets.hdf5 import shapes
from s4token.datasets.modelnet40 import CATEGORIES, modelnet40, modelnet40_resampled
from s4token.datasets.named_meshes import named_meshes
from s4token.datasets.s3dis import s3dis
from s4token.datasets.scannet import NYU40, SCANNET20, scannet, scannet200
from s4token.datasets.scannet200 import SCANNET200
from s4token.datasets.scanobjectnn import scanobjectnn
from s4token.datasets.semantickitti import semantickitti
from s4token.datasets.shapenetpart import PARTS, shapenetpart, shapenetpart_h5

NAME = "scene0011_00"
MESH, LABELS, SEGS = "_vh_clean_2.ply", "_vh_clean_2.labels.ply", "_vh_clean_2.0.010000.segs.json"
GROUPS = ".aggregation.json"


def names_of(scan):
    """Return the class name of every point, "" where it has none."""
    return np.array(["", *scan.classes])[scan.labels]


# Names that count as one


def test_joined_names_are_one_class_of_their_points(tmp_path):
    whole = scannet(trees.scannet(tmp_path))
    (scans,) = joined([whole], ["chair|sofa", " wall | floor"])
    assert len(scans) == 2 and len(scans.classes) == 18 == len(set(scans.classes))
    assert scans.classes[0] == "wall | floor" and scans.classes[3] == "chair | sofa"
    table = {"wall": "wall | floor", "floor": "wall | floor", "chair": "chair | sofa", "": ""}
    expected = [table[n] for n in names_of(whole[0])]
    assert names_of(scans[0]).tolist() == expected and scans[0].classes == scans.classes
    assert scans.background[0] == "wall | floor" and "floor" not in scans.background
    assert joined([whole], []) == [whole]


def test_a_joined_name_that_a_data_set_lacks_is_left_out_of_its_class(tmp_path):
    one, other = scannet(trees.scannet(tmp_path / "a")), s3dis(trees.s3dis(tmp_path / "b"))
    first, second = joined([one, other], ["sofa|column|chair", "desk|board"])
    assert "chair | sofa" not in first.classes and "sofa | chair" in first.classes
    assert "sofa | column | chair" in second.classes and "desk" in first.classes
    with pytest.raises(ValueError, match="no class is called 'spaceship'; there are "):
        joined([one], ["sofa|spaceship"])
    with pytest.raises(ValueError, match="'sofa' is named twice"):
        joined([one], ["sofa|chair", "desk|sofa"])
    with pytest.raises(ValueError, match=r"between bars, as 'table \| desk', got 'sofa'"):
        joined([one], ["sofa"])
    with pytest.raises(ValueError, match="no set of labelled scans"):
        joined([modelnet40_resampled(trees.modelnet40_resampled(tmp_path / "c"))], ["bed|sofa"])


# ScanNet


def test_scannet_labels_are_the_benchmarks(tmp_path):
    scans = scannet(trees.scannet(tmp_path))
    assert len(scans) == 2 and scans.split == "val" and len(scans.classes) == 20
    scan = scans[0]
    points, part = trees.room_points(np.random.default_rng(0))
    assert scan.name == NAME and scan.cloud.points.dtype == np.float32
    np.testing.assert_array_equal(scan.cloud.points, points.astype(np.float32))
    expected = np.array(["floor", "wall", "chair"], dtype=object)[part]
    expected[:6] = ""
    assert (names_of(scan) == expected).all()
    assert (scan.instances[6:] == part[6:] + 1).all() and not scan.instances[:6].any()
    assert scan.cloud.colors[0] == pytest.approx(np.array([120, 80, 40]) / 255)


def test_scannet200_goes_by_raw_categories(tmp_path, caplog):
    scan = scannet200(trees.scannet(tmp_path))[1]
    _, part = trees.room_points(np.random.default_rng(1))
    expected = np.array(["floor", "wall", "chair"], dtype=object)[part]
    expected[:6] = ""
    assert (names_of(scan) == expected).all() and len(scan.classes) == 200
    assert not caplog.records
    path = tmp_path / "scans" / NAME / f"{NAME}.aggregation.json"
    path.write_text(path.read_text().replace("chairs", "hovercraft"))
    with caplog.at_level(logging.WARNING):
        scan = scannet200(tmp_path)[0]
    assert "hovercraft" in caplog.text and set(names_of(scan)) == {"", "floor", "wall"}


def test_class_tables():
    assert len(NYU40) == len(set(NYU40)) == 40 and len(SCANNET20) == 20
    assert SCANNET20[39] == "otherfurniture" and SCANNET20[33] == "toilet"
    assert SCANNET20[28] == "shower curtain" and SCANNET20[36] == "bathtub"
    assert len(SCANNET200) == len(set(SCANNET200.values())) == 200
    assert (SCANNET200[2], SCANNET200[10], SCANNET200[1191]) == (
        "chair",
        "office chair",
        "mattress",
    )
    used = [n for first, names in PARTS.values() for n in range(first, first + len(names))]
    assert used == list(range(50)) and len(CATEGORIES) == 40


def test_scannet_splits(tmp_path):
    root = trees.scannet(tmp_path)
    assert len(scannet(root, "train")) == 1 and len(scannet(root, "all")) == 2
    mesh = root / "scans_test" / "scene0707_00"
    mesh.mkdir(parents=True)
    source = root / "scans" / NAME / f"{NAME}_vh_clean_2.ply"
    shutil.copy(source, mesh / "scene0707_00_vh_clean_2.ply")
    assert scannet(root, "test")[0].labels is None
    with pytest.raises(ValueError, match="split: expected one of train, val, test, all"):
        scannet(root, "dev")
    for place in ("splits", "Tasks/Benchmark"):
        (root / place).mkdir(parents=True)
        (root / "scannetv2_train.txt").rename(root / place / "scannetv2_train.txt")
        assert len(scannet(root, "train")) == 1
        (root / place / "scannetv2_train.txt").rename(root / "scannetv2_train.txt")


@pytest.mark.parametrize("tail", [MESH, LABELS, SEGS, GROUPS])
def test_scannet_names_the_missing_file_and_the_check(tmp_path, tail):
    scans = scannet(trees.scannet(tmp_path))
    (tmp_path / "scans" / NAME / f"{NAME}{tail}").unlink()
    with pytest.raises(FileNotFoundError, match=rf"{NAME}{tail}: missing.*check scannet:"):
        scans[0]
    assert [p.name for p in scans.missing()] == [f"{NAME}{tail}"]
    assert scans[1].name == "scene0011_01"


def _edit(path, change):
    data = json.loads(path.read_text())
    change(data)
    path.write_text(json.dumps(data))


def _labels(values):
    return lambda path: trees.ply(path, {"label": ("ushort", values)})


SCANNET_WRONG = {
    "short labels": (LABELS, _labels(np.ones(5)), "5 labels for 600"),
    "no label": (LABELS, lambda p: trees.ply(p, {"x": ("float", np.ones(600))}), "no property"),
    "ids beyond NYU40": (LABELS, _labels(np.full(600, 77)), "NYU40 ids"),
    "cut off mesh": (MESH, lambda p: p.write_bytes(p.read_bytes()[:900]), "truncated"),
    "empty mesh": (MESH, lambda p: p.write_bytes(b""), "empty"),
    "short segments": (SEGS, lambda p: _edit(p, lambda d: d["segIndices"].pop()), "599 segment"),
    "no segments": (SEGS, lambda p: p.write_text("{}"), "segIndices"),
    "cut off json": (GROUPS, lambda p: p.write_text(p.read_text()[:40]), "JSONDecodeError"),
    "unknown segment": (
        GROUPS,
        lambda p: _edit(p, lambda d: d["segGroups"][1]["segments"].append(777)),
        "object 1 has segments",
    ),
}


@pytest.mark.parametrize("case", SCANNET_WRONG)
def test_corrupt_scannet_files_are_named(tmp_path, case):
    tail, spoil, words = SCANNET_WRONG[case]
    path = trees.scannet(tmp_path) / "scans" / NAME / f"{NAME}{tail}"
    spoil(path)
    with pytest.raises(ValueError, match=words) as raised:
        scannet(tmp_path)[0]
    assert str(raised.value).split(":")[0].endswith(path.name)


def test_scannet_without_lists_or_table(tmp_path):
    trees.scannet(tmp_path)
    (tmp_path / "scannetv2_val.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"scannetv2_val\.txt: missing.*docs/datasets\.md"):
        scannet(tmp_path)
    scans = scannet200(tmp_path, "all")
    (tmp_path / "scannetv2-labels.combined.tsv").write_text("a\tb\n1\t2\n")
    with pytest.raises(ValueError, match=r"combined\.tsv: no column id, raw_category"):
        scans[0]
    with pytest.raises(FileNotFoundError, match="no such folder"):
        scannet(tmp_path / "absent")


def test_a_full_size_listing_reads_nothing_and_takes_no_time(tmp_path):
    """1,513 scenes: listed in well under five seconds, from empty folders."""
    names = [f"scene{i // 3:04}_{i % 3:02}" for i in range(1513)]
    for name in names:
        (tmp_path / "scans" / name).mkdir(parents=True)
    (tmp_path / "scannetv2_val.txt").write_text("\n".join(names))
    for split in ("val", "all"):
        start = time.perf_counter()
        scans = scannet(tmp_path, split)
        assert len(scans) == 1513 and time.perf_counter() - start < 5
    assert len(list(scans.missing())) == 4 * 1513
    few = scans.subset(4)
    assert [few.items[i] for i in (0, -1)] == [names[0], names[-1]] and len(few) == 4
    assert scans[5:9].items == tuple(sorted(names)[5:9]) and scans.subset(None) is scans
    with pytest.raises(ValueError, match="limit"):
        scans.subset(0)
    with pytest.raises(IndexError):
        scans[1513]


def test_going_through_a_data_set_keeps_no_scan(tmp_path):
    names = tuple(f"scene0000_{i:02}" for i in range(4))
    scans = scannet(trees.scannet(tmp_path, names))
    alive: list[weakref.ref] = []
    for scan in scans:
        alive.append(weakref.ref(scan.cloud))
        assert sum(ref() is not None for ref in alive) <= 2  # this one, and the one before it
    assert len(alive) == 4


# S3DIS


def test_s3dis_rooms(tmp_path):
    scans = s3dis(trees.s3dis(tmp_path))
    assert [p.name for p in scans.items] == ["hallway_6"]
    scan = scans[0]
    assert scan.name == "Area_5/hallway_6" and len(scan.cloud) == 95
    counts = dict(zip(*np.unique(names_of(scan), return_counts=True), strict=True))
    assert counts == {"floor": 30, "wall": 30, "chair": 30, "clutter": 5}  # stairs are clutter
    assert len(set(scan.instances)) == 4 and scan.cloud.colors.max() <= 1
    chair = scan.cloud.points[names_of(scan) == "chair"]
    assert chair[:, 2] == pytest.approx(0.5) and len(s3dis(tmp_path, "6fold")) == 6
    assert s3dis(tmp_path, "area2")[0].name == "Area_2/office_2"


def test_the_known_flipped_bit_of_s3dis_is_repaired_and_said(tmp_path, caplog):
    trees.s3dis(tmp_path)
    place = tmp_path / "Area_5" / "hallway_6" / "Annotations"
    (place / "ceiling_1.txt").write_bytes(trees.CEILING)
    with caplog.at_level(logging.WARNING):
        scan = s3dis(tmp_path)[0]
    ceiling = names_of(scan) == "ceiling"
    expected = np.array([[185, 187, 185], [103, 104, 102]]) / 255
    np.testing.assert_allclose(scan.cloud.colors[ceiling], expected, atol=1e-6)
    assert "Area_5/hallway_6/Annotations/ceiling_1.txt, line 2" in caplog.text
    assert r"103.0\x100000" in caplog.text and len(caplog.records) == 1


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("chair_9.txt", b"1 2 3 4 5\n", r"chair_9\.txt: expected 6 numbers"),
        ("chair_9.txt", b"1 2 3 4 5 6\n1 2 3 4 5\n", r"chair_9\.txt"),
        ("chair_9.txt", b"1 2 x 4 5 6\n", r"chair_9\.txt"),
        ("chair_9.txt", b"1 2 3 4 5 6\n1 2 \xff 4 5 6\n", r"chair_9\.txt: line 2 holds bytes"),
        ("chair_9.txt", b"", r"chair_9\.txt"),
        ("chair_9.txt", b"1 2 3 4 5 999\n", r"hallway_6: colours outside"),
        ("unicorn_1.txt", b"1 2 3 4 5 6\n", r"unicorn_1\.txt: 'unicorn' is none of the classes"),
    ],
)
@pytest.mark.filterwarnings("ignore:loadtxt")
def test_corrupt_s3dis_objects_are_named(tmp_path, name, content, words):
    place = trees.s3dis(tmp_path) / "Area_5" / "hallway_6" / "Annotations"
    (place / name).write_bytes(content)
    with pytest.raises(ValueError, match=words):
        s3dis(tmp_path)[0]


def test_missing_s3dis_parts(tmp_path):
    trees.s3dis(tmp_path, areas=[5])
    with pytest.raises(FileNotFoundError, match="Area_1"):
        s3dis(tmp_path, "6fold")
    shutil.rmtree(tmp_path / "Area_5" / "hallway_6" / "Annotations")
    with pytest.raises(FileNotFoundError, match=r"Annotations.*missing.*check s3dis:"):
        s3dis(tmp_path)[0]
    shutil.rmtree(tmp_path / "Area_5" / "hallway_6")
    with pytest.raises(ValueError, match="Area_5: no room"):
        s3dis(tmp_path)


# Objects


def test_modelnet40_reads_test_meshes_with_glued_headers(tmp_path):
    scans = modelnet40(trees.modelnet40(tmp_path))
    assert len(scans) == 40 and all(p.parent.name == "test" for p in scans.items)
    for i in (15, 16):  # plain and glued
        scan = scans[i]
        assert scan.category == CATEGORIES[i].replace("_", " ") and len(scan.cloud) == 8192
        assert scan.cloud.points.min() >= 0 and scan.cloud.points.sum(axis=1).max() < 1 + 1e-5
    assert scans.classes[15] == "flower pot"
    seen = open_data(f"modelnet40:{tmp_path}@train")
    assert len(seen) == 40 and all(p.parent.name == "train" for p in seen.items)
    with pytest.raises(ValueError, match="split: expected one of test, train, got 'val'"):
        modelnet40(tmp_path, "val")
    bad = tmp_path / "cone" / "test" / "cone_0002.off"
    for content in (b"", b"OFF\n", b"OFF4 4 6\n0 0 0\n", b"\x00\x01"):
        bad.write_bytes(content)
        with pytest.raises(ValueError, match=r"cone_0002\.off"):
            scans[CATEGORIES.index("cone")]
    bad.write_text("OFF4 4 6\n" + trees.TETRAHEDRON[: -len("3 1 2 3\n")])
    with pytest.raises(ValueError, match=r"4 vertices and 4 faces of its header .* truncated"):
        scans[CATEGORIES.index("cone")]
    bad.write_text("OFF # made by hand\n# 9 9 9\n4 4 6\n" + trees.TETRAHEDRON)
    assert len(scans[CATEGORIES.index("cone")].cloud) == 8192
    shutil.rmtree(tmp_path / "xbox")
    with pytest.raises(FileNotFoundError, match=r"xbox_\*\.off: missing"):
        modelnet40(tmp_path)


def test_modelnet40_resampled(tmp_path):
    scans = modelnet40_resampled(trees.modelnet40_resampled(tmp_path))
    assert len(scans) == 2 and scans.classes == ("airplane", "night stand")
    scan = scans[1]
    assert scan.category == "night stand" and scan.name == "night_stand_0002"
    assert scan.cloud.up.tolist() == [0, 1, 0] and len(scan.cloud) == 50
    assert np.linalg.norm(scan.cloud.normals, axis=1) == pytest.approx(1, abs=1e-5)
    assert [s.name for s in modelnet40_resampled(tmp_path, "train")] == [
        "airplane_0001",
        "night_stand_0001",
    ]
    scans.items[1].write_text("1,2,3,0,0\n")
    with pytest.raises(ValueError, match=r"night_stand_0002\.txt: expected 6 numbers"):
        scans[1]
    (tmp_path / "modelnet40_test.txt").write_text("zeppelin_0001")
    with pytest.raises(ValueError, match=r"modelnet40_test\.txt: 'zeppelin_0001'"):
        modelnet40_resampled(tmp_path)


def test_shapenetpart(tmp_path):
    scans = shapenetpart(trees.shapenetpart(tmp_path))
    assert len(scans) == 2
    plane, mug = scans
    assert plane.category == "airplane" and plane.classes == ("body", "wing", "tail", "engine")
    assert mug.category == "mug" and mug.classes == ("handle", "body")
    assert (mug.labels == 1 + np.arange(60) % 2).all() and mug.cloud.up.tolist() == [0, 1, 0]
    assert shapenetpart(tmp_path, "val")[0].name == "val1"
    rows = np.loadtxt(scans.items[1])
    rows[3, 6] = 5
    np.savetxt(scans.items[1], rows)
    with pytest.raises(ValueError, match=r"test1\.txt: part numbers 5 .. 37; a mug has 36 .. 37"):
        scans[1]
    listing = tmp_path / "train_test_split" / "shuffled_test_file_list.json"
    listing.write_text('["shape_data/99999999/a"]')
    with pytest.raises(ValueError, match=r"shuffled_test_file_list\.json: '99999999/a'"):
        shapenetpart(tmp_path)
    (tmp_path / "synsetoffset2category.txt").unlink()
    with pytest.raises(FileNotFoundError, match=r"synsetoffset2category\.txt: missing"):
        shapenetpart(tmp_path)


def test_semantickitti(tmp_path):
    scans = semantickitti(trees.semantickitti(tmp_path))
    scan = scans[1]
    assert len(scans) == 2 and scan.name == "08/000001" and scan.cloud.colors is None
    names, kinds = names_of(scan), np.array(["road", "building", "car"])
    part = trees.room_points(np.random.default_rng(1), 300)[1]
    assert (names[3:] == kinds[part][3:]).all() and set(names[:3]) == {""}
    assert (scan.instances[3:] == np.where(part == 2, 7, 0)[3:]).all()
    assert scan.cloud.attributes["intensity"].dtype == np.float32
    label = tmp_path / "sequences" / "08" / "labels" / "000000.label"
    raw = label.read_bytes()
    label.write_bytes(raw[:-4])
    with pytest.raises(ValueError, match=r"000000\.label: 1,196 bytes for 300 points"):
        scans[0]
    label.write_bytes(np.full(300, 77, "<u4").tobytes())
    with pytest.raises(ValueError, match=r"000000\.label: the class id 77"):
        scans[0]
    label.unlink()
    with pytest.raises(FileNotFoundError, match=r"000000\.label: missing"):
        scans[0]
    label.write_bytes(raw)
    scans.items[0].unlink()  # a label whose sweep is missing is no sweep less
    assert list(semantickitti(tmp_path).missing()) == [scans.items[0]]
    scans.items[1].write_bytes(b"123")
    with pytest.raises(ValueError, match=r"000001\.bin: 3 bytes"):
        scans[1]
    with pytest.raises(FileNotFoundError, match=r"velodyne.000000\.bin: missing"):
        semantickitti(tmp_path, "train")


def test_named_meshes(tmp_path, caplog):
    trees.meshes(tmp_path)
    (tmp_path / "cup" / "notes.docx").write_bytes(b"")
    (tmp_path / "cup" / "c.mtl").write_bytes(b"")
    with caplog.at_level(logging.WARNING):
        scans = named_meshes(tmp_path)
    assert "notes.docx" in caplog.text and len(caplog.records) == 1
    assert scans.classes == ("arm chair", "cup") and len(scans) == 3
    assert [(s.category, s.name, len(s.cloud)) for s in scans] == [
        ("arm chair", "a", 8192),
        ("arm chair", "b", 8192),
        ("cup", "c", 30),
    ]
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="empty: no mesh in it"):
        named_meshes(tmp_path)


def test_without_h5py_the_command_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ImportError, match="pip install h5py"):
        shapes(tmp_path / "a.h5", "data")


def test_scanobjectnn_variants(tmp_path):
    pytest.importorskip("h5py", reason="h5py is not installed (pip install h5py)")
    trees.scanobjectnn(tmp_path)
    for number, variant in enumerate(("OBJ_ONLY", "OBJ_BG", "PB_T50_RS")):
        scans = scanobjectnn(tmp_path, variant)
        assert len(scans) == 3 and scans.split == f"test {variant}" and len(scans.classes) == 15
        got = [scans.classes.index(s.category) for s in scans]
        assert got == [number, 4 + number, 8 + number] and len(scans[0].cloud) == 64
    train = scanobjectnn(tmp_path, "PB_T50_RS-train")
    assert train.split == "train PB_T50_RS" and "training_" in train.files_of(0)[0].name
    with pytest.raises(ValueError, match="variant: expected one of OBJ_ONLY"):
        scanobjectnn(tmp_path, "hardest")
    path = tmp_path / "main_split_nobg" / "test_objectdataset.h5"
    path.write_bytes(path.read_bytes()[:500])
    with pytest.raises(ValueError, match=r"test_objectdataset\.h5"):
        scanobjectnn(tmp_path, "OBJ_ONLY")
    path.unlink()
    with pytest.raises(FileNotFoundError, match=r"test_objectdataset\.h5: missing"):
        scanobjectnn(tmp_path, "OBJ_ONLY")


def test_shapenetpart_h5(tmp_path):
    h5py = pytest.importorskip("h5py", reason="h5py is not installed (pip install h5py)")
    scans = shapenetpart_h5(trees.shapenetpart_h5(tmp_path))
    assert [s.category for s in scans] == ["airplane", "airplane", "mug", "mug"]
    assert (scans[3].labels == 1 + np.arange(64) % 2).all()
    with h5py.File(tmp_path / "ply_data_test1.h5", "a") as file:
        del file["pid"]
    with pytest.raises(ValueError, match=r"ply_data_test1\.h5: no array pid"):
        shapenetpart_h5(tmp_path)


# By name


def test_open_data_knows_names_splits_and_files(tmp_path):
    trees.scannet(tmp_path / "scannet")
    assert open_data(f"scannet:{tmp_path / 'scannet'}").split == "val"
    assert open_data(f"scannet:{tmp_path / 'scannet'}@train").split == "train"
    at = tmp_path / "a@b"
    at.mkdir()
    trees.semantickitti(at)
    assert len(open_data(f"semantickitti:{at}")) == 2
    mesh = tmp_path / "scannet" / "scans" / NAME / f"{NAME}_vh_clean_2.labels.ply"
    assert len(open_data(str(mesh))[0].cloud) == 600
    with pytest.raises(ValueError, match="no reader for 'matterport:'; known are scannet"):
        open_data("matterport:/x")
    with pytest.raises(ValueError, match=r"name the variant.*PB_T50_RS"):
        open_data("scanobjectnn:/x")
    with pytest.raises(ValueError, match="one split only"):
        open_data("meshes:/x@test")
    with pytest.raises(FileNotFoundError, match=r"room\.npz: no such file"):
        open_data("room.npz")

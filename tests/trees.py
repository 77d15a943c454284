"""Miniature data sets, byte-true to the official layouts, each written by one function."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from PIL import Image

TSV_HEAD = (
    "id\traw_category\tcategory\tcount\tnyu40id\teigen13id\tnyuClass\tnyu40class\teigen13class\t"
    "ModelNet40\tModelNet10\tShapeNetCore55\tsynsetoffset\twnsynsetid\twnsynsetkey\tmpcat40\t"
    "mpcat40index\n"
)
TSV_ROWS = [(1, "wall", 1), (3, "floor", 2), (2, "chair", 5), (2, "chairs", 5), (10, "Chair5", 5)]


def ply(path: Path, columns: dict[str, tuple[str, np.ndarray]], faces: int = 1) -> None:
    """Write a binary PLY with typed vertex properties and triangles, as ScanNet's are."""
    kinds = {"float": "<f4", "uchar": "u1", "ushort": "<u2"}
    count = len(next(iter(columns.values()))[1])
    head = ["ply", "format binary_little_endian 1.0", "comment MLIB generated"]
    head += [f"element vertex {count}", *(f"property {k} {n}" for n, (k, _) in columns.items())]
    head += [f"element face {faces}", "property list uchar int vertex_indices", "end_header", ""]
    rows = np.empty(count, dtype=[(n, kinds[k]) for n, (k, _) in columns.items()])
    for name, (_, values) in columns.items():
        rows[name] = values
    face = b"\x03" + np.array([0, 1, 2], "<i4").tobytes()
    path.write_bytes("\n".join(head).encode() + rows.tobytes() + face * faces)


def room_points(rng: np.random.Generator, count: int = 600) -> tuple[np.ndarray, np.ndarray]:
    """Return points of a floor, a wall and a box, and their part 0, 1, 2."""
    part = np.arange(count) % 3
    u, v = rng.random((2, count))
    zero = np.zeros(count)
    spots = np.stack(
        [
            np.stack([4 * u, 3 * v, zero], 1),
            np.stack([4 * u, zero, 2.5 * v], 1),
            np.stack([1 + u / 2, 1 + v / 2, zero + 0.5], 1),
        ]
    )
    return spots[part, np.arange(count)], part


def scannet(
    root: Path, names=("scene0011_00", "scene0011_01"), count: int = 600, faces: int = 1
) -> Path:
    """Write ScanNet v2: scans/, the three split lists and the label table."""
    nyu, raw = np.array([2, 1, 5]), ["floor", "wall", "chairs"]
    for seed, name in enumerate(names):
        place = root / "scans" / name
        place.mkdir(parents=True)
        points, part = room_points(np.random.default_rng(seed), count)
        rgb = np.array([[120, 80, 40], [200, 200, 200], [20, 30, 160]])[part]
        xyz = {a: ("float", points[:, i]) for i, a in enumerate("xyz")}
        color = {c: ("uchar", rgb[:, i]) for i, c in enumerate(("red", "green", "blue"))}
        alpha = {"alpha": ("uchar", np.full(count, 255))}
        ply(place / f"{name}_vh_clean_2.ply", xyz | color | alpha, faces)
        label = np.where(np.arange(count) < 6, 0, nyu[part])  # a few unannotated
        ply(
            place / f"{name}_vh_clean_2.labels.ply",
            xyz | color | alpha | {"label": ("ushort", label)},
            faces,
        )
        # Two segments per part, with ids far apart; segment 90 belongs to no object.
        segment = 10 * part + 3 + (np.arange(count) % 2)
        segment[:6] = 90
        (place / f"{name}_vh_clean_2.0.010000.segs.json").write_text(
            json.dumps({"params": {}, "sceneId": name, "segIndices": segment.tolist()})
        )
        groups = [
            {"id": k, "objectId": k, "segments": [10 * k + 3, 10 * k + 4], "label": raw[k]}
            for k in range(3)
        ]
        (place / f"{name}.aggregation.json").write_text(
            json.dumps({"sceneId": f"scannet.{name}", "segGroups": groups})
        )
    lists = {"train": names[:1], "val": names, "test": ("scene0707_00",)}
    for split, listed in lists.items():
        (root / f"scannetv2_{split}.txt").write_text("\n".join(listed) + "\n")
    rows = [f"{i}\t{r}\t{r}\t1\t{n}" + "\t" * 12 + "\n" for i, r, n in TSV_ROWS]
    (root / "scannetv2-labels.combined.tsv").write_text(TSV_HEAD + "".join(rows))
    return root


def s3dis(root: Path, areas=range(1, 7), count: int = 90) -> Path:
    """Write S3DIS: one room per area with floor, wall, chair and stairs; Area 5 has hallway_6."""
    for area in areas:
        room = root / f"Area_{area}" / ("hallway_6" if area == 5 else f"office_{area}")
        (room / "Annotations").mkdir(parents=True)
        rng = np.random.default_rng(area)
        points, part = room_points(rng, count)
        names = ["floor_1", "wall_1", "chair_1"]
        lines = []
        for k, name in enumerate([*names, "stairs_1"]):
            own = points[part == k] if k < 3 else points[:5] + 9
            text = [f"{x:.3f} {y:.3f} {z:.3f} {40 * k} 100 200" for x, y, z in own]
            (room / "Annotations" / f"{name}.txt").write_text("\n".join(text) + "\n")
            lines += text
        (room / f"{room.name}.txt").write_text("\n".join(lines) + "\n")
        (room / "Annotations" / "Icon\r").write_bytes(b"")
    return root


CEILING = b"22.350 6.692 3.048 185 187 185\n22.340 6.700 3.048 103.0\x100000 104 102\n"
"""Two lines as they stand in Area_5/hallway_6/Annotations/ceiling_1.txt around the flipped bit."""

TETRAHEDRON = "0 0 0\n1 0 0\n0 1 0\n0 0 1\n3 0 2 1\n3 0 1 3\n3 1 2 3\n3 0 3 2\n"


def modelnet40(root: Path) -> Path:
    """Write one test shape and one training shape per category; every second header is glued."""
    from s4token.datasets.modelnet40 import CATEGORIES

    for i, category in enumerate(CATEGORIES):
        for split in ("train", "test"):
            place = root / category / split
            place.mkdir(parents=True)
            head = "OFF4 4 6\n" if i % 2 else "OFF\n4 4 6\n"
            (place / f"{category}_000{1 + (split == 'test')}.off").write_text(head + TETRAHEDRON)
    return root


def modelnet40_resampled(root: Path, categories=("airplane", "night_stand"), count=50) -> Path:
    """Write shapes of comma-separated x y z nx ny nz with the lists of names and of the test."""
    rng = np.random.default_rng(0)
    for category in categories:
        (root / category).mkdir(parents=True)
        for number in (1, 2):
            normals = rng.normal(size=(count, 3))
            normals /= np.linalg.norm(normals, axis=1, keepdims=True)
            rows = np.concatenate([rng.uniform(-1, 1, (count, 3)), normals], axis=1)
            text = "\n".join(",".join(f"{v:.6f}" for v in row) for row in rows)
            (root / category / f"{category}_000{number}.txt").write_text(text + "\n")
    (root / "modelnet40_shape_names.txt").write_text("\n".join(categories) + "\n")
    for number, split in enumerate(("train", "test"), start=1):
        listed = [f"{category}_000{number}" for category in categories]
        (root / f"modelnet40_{split}.txt").write_text("\n".join(listed))
    return root


def shapenetpart(root: Path, count: int = 60) -> Path:
    """Write two categories of ShapeNetPart with their lists."""
    root.mkdir(parents=True, exist_ok=True)
    (root / "synsetoffset2category.txt").write_text("Airplane\t02691156\nMug\t03797390\n")
    (root / "train_test_split").mkdir()
    rng = np.random.default_rng(0)
    listed = {"train": [], "val": [], "test": []}
    for offset, first, parts in (("02691156", 0, 4), ("03797390", 36, 2)):
        (root / offset).mkdir()
        for split, entries in listed.items():
            part = first + np.arange(count) % parts
            points = rng.uniform(-0.4, 0.4, (count, 3))
            points[:, 1] += part
            normal = np.tile([0.0, 1.0, 0.0], (count, 1))
            rows = np.concatenate([points, normal, part[:, None]], axis=1)
            np.savetxt(root / offset / f"{split}1.txt", rows, fmt="%.6f")
            entries.append(f"shape_data/{offset}/{split}1")
    for split, entries in listed.items():
        path = root / "train_test_split" / f"shuffled_{split}_file_list.json"
        path.write_text(json.dumps(entries))
    return root


def semantickitti(root: Path, sequences=("08",), sweeps: int = 2, count: int = 300) -> Path:
    """Write sweeps of float32 x y z remission and uint32 labels, instance in the upper half."""
    for sequence in sequences:
        for kind in ("velodyne", "labels"):
            (root / "sequences" / sequence / kind).mkdir(parents=True)
        for sweep in range(sweeps):
            rng = np.random.default_rng(sweep)
            points, part = room_points(rng, count)
            rows = np.concatenate([points, rng.random((count, 1))], axis=1).astype("<f4")
            raw = np.array([40, 50, 252])[part] | np.where(part == 2, 7, 0) << 16
            raw[:3] = 0
            place = root / "sequences" / sequence
            (place / "velodyne" / f"{sweep:06}.bin").write_bytes(rows.tobytes())
            (place / "labels" / f"{sweep:06}.label").write_bytes(raw.astype("<u4").tobytes())
    return root


def meshes(root: Path) -> Path:
    """Write <category>/<model> in four formats."""
    (root / "arm_chair").mkdir(parents=True)
    (root / "cup").mkdir()
    (root / "arm_chair" / "a.off").write_text("OFF\n4 4 6\n" + TETRAHEDRON)
    text = "v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 1\nf 1 3 2\nf 1 2 4\nf 2 3 4\nf 1 4 3\n"
    (root / "arm_chair" / "b.obj").write_text(text)
    corners = np.random.default_rng(0).random((30, 3))
    ply(root / "cup" / "c.ply", {a: ("float", corners[:, i]) for i, a in enumerate("xyz")})
    return root


def scanobjectnn(root: Path, count: int = 3, points: int = 64) -> Path:
    """Write the test and training files of ScanObjectNN (needs h5py)."""
    import h5py

    from s4token.datasets.scanobjectnn import VARIANTS

    for number, name in enumerate(VARIANTS.values()):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        with h5py.File(root / name, "w") as file:
            rng = np.random.default_rng(number)
            file["data"] = rng.uniform(-1, 1, (count, points, 3)).astype(np.float32)
            file["label"] = (np.arange(count) * 4 + number) % 15
            file["mask"] = np.zeros((count, points), np.float32)
    return root


def shapenetpart_h5(root: Path, points: int = 64) -> Path:
    """Write two test files of the release with equal point counts (needs h5py)."""
    import h5py

    root.mkdir(parents=True, exist_ok=True)
    for number, (category, first, parts) in enumerate(((0, 0, 4), (11, 36, 2))):
        with h5py.File(root / f"ply_data_test{number}.h5", "w") as file:
            rng = np.random.default_rng(number)
            file["data"] = rng.uniform(-1, 1, (2, points, 3)).astype(np.float32)
            file["label"] = np.full((2, 1), category, np.uint8)
            file["pid"] = np.tile(first + np.arange(points) % parts, (2, 1)).astype(np.uint8)
    listed = "\n".join(f"hdf5_data/ply_data_test{i}.h5" for i in (0, 1))
    (root / "test_hdf5_file_list.txt").write_text(listed + "\n")
    return root


def matrix(path: Path, rows) -> None:
    """Write a matrix as text."""
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savetxt(path, rows)


def posed(root: Path, cameras, images, *, suffix="png", depths=None, unit=1.0) -> Path:
    """Write posed photographs of one lens as ScanNet's export does; lengths times ``unit``."""
    assert len({camera.fov for camera in cameras}) == 1
    from s4token.render import _pose

    focal = _pose(cameras[0])[1]
    height, width = images[0].shape[:2]
    intrinsic = np.diag([focal, focal, 1.0, 1.0])
    intrinsic[:2, 2] = width / 2, height / 2
    for name in ("color", "depth") if depths is not None else ("color",):
        matrix(root / "intrinsic" / f"intrinsic_{name}.txt", intrinsic)
        (root / name).mkdir(exist_ok=True)
    for number, (camera, image) in enumerate(zip(cameras, images, strict=True)):
        rows, _ = _pose(camera)
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = rows[:3].T, unit * rows[3]
        matrix(root / "pose" / f"{number}.txt", pose)
        how = {"quality": 95, "subsampling": 0} if suffix == "jpg" else {}
        Image.fromarray(image).save(root / "color" / f"{number}.{suffix}", **how)
        if depths is not None:
            Image.fromarray(depths[number].astype(np.uint16)).save(root / "depth" / f"{number}.png")
    return root

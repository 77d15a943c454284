"""ScanObjectNN: objects cut out of real scans, in 15 categories.

Source: Uy et al., ICCV 2019 (arXiv 1908.04616). Three variants that must not be mixed up:
OBJ_ONLY (the object alone), OBJ_BG (with what stands around it), PB_T50_RS (with background,
moved by up to half the box, turned and scaled: the hardest).
"""

from __future__ import annotations

from pathlib import Path

from s4token.datasets.hdf5 import row, shapes
from s4token.datasets.scans import UP_Y, Scans, choice, explained, folder, named_object, needed
from s4token.types import Scan

CATEGORIES = (
    *("bag", "bin", "box", "cabinet", "chair", "desk", "display", "door", "shelf", "table", "bed"),
    *("pillow", "sink", "sofa", "toilet"),
)
VARIANTS = {
    "OBJ_ONLY": "main_split_nobg/test_objectdataset.h5",
    "OBJ_BG": "main_split/test_objectdataset.h5",
    "PB_T50_RS": "main_split/test_objectdataset_augmentedrot_scale75.h5",
}
VARIANTS |= {f"{k}-train": v.replace("test_", "training_") for k, v in VARIANTS.items()}


def scanobjectnn(root: str | Path, variant: str) -> Scans:
    """List the test split of one variant: ``OBJ_ONLY``, ``OBJ_BG`` or ``PB_T50_RS``; y up.

    root: the folder ``h5_files``; variant: with ``-train`` at its end, the training split, to
    learn a probe from. Raises FileNotFoundError, ValueError naming file and array, or ImportError
    with the command that installs h5py.
    """
    spec = f"scanobjectnn:{root}@{choice('variant', variant, tuple(VARIANTS))}"
    path = needed(folder(root, spec) / VARIANTS[variant], spec)
    (data, labels) = shapes(path, "data", "label")
    if len(data) != 3 or data[2] != 3 or labels[0] != data[0]:
        raise ValueError(f"{path}: expected data (n, points, 3) and n labels, got {data}, {labels}")

    def read_one(index: int) -> Scan:
        points, label = row(path, index, "data", "label")
        with explained(path):
            number = int(label.ravel()[0])
            if not 0 <= number < len(CATEGORIES):
                raise ValueError(f"label {number} of shape {index} is none of 0 .. 14")
            return named_object(f"{variant} {index}", CATEGORIES[number], points, up=UP_Y)

    items = tuple(range(data[0]))
    name, _, train = variant.partition("-")
    split = f"{train or 'test'} {name}"
    return Scans(spec, split, "classify", CATEGORIES, items, read_one, lambda i: [path])

"""Reading the object pack: normalised objects, one clear line for a bad file."""

import numpy as np
import pytest

from s4token.datasets import objects, open_data
from s4token.datasets.packs import HELD_OUT, HELD_SEED, split, training_objects

GOOD = {
    "points": np.array([[0, 0, 0], [65535, 0, 0], [0, 65535, 0], [65535, 65535, 65535]], np.uint16),
    "colors": np.array([[255, 0, 0], [0, 255, 0], [128, 128, 128], [128, 128, 128]], np.uint8),
    "offsets": np.array([0, 2, 4]),
    "category": np.array(["chair", "cup"]),
    "scale": np.array([0.8, 0], np.float32),
    "coloured": np.array([True, False]),
}


def write(path, **changes):
    arrays = {k: v for k, v in {**GOOD, **changes}.items() if v is not None}
    np.savez(path, **arrays)
    return path


def test_good_pack(tmp_path):
    chair, cup = objects(write(tmp_path / "o.npz"))
    assert chair.category == "chair" and chair.scale == pytest.approx(0.8)
    assert chair.points.max() == 1 and (chair.colors == [[1, 0, 0], [0, 1, 0]]).all()
    # An uncoloured object gets a colour, the same every time.
    assert not np.allclose(cup.colors, 128 / 255)
    assert (cup.colors == objects(tmp_path / "o.npz")[1].colors).all()


@pytest.mark.parametrize("missing", sorted(GOOD))
def test_missing_array_is_named(tmp_path, missing):
    with pytest.raises(ValueError, match=rf"o\.npz.*{missing}"):
        objects(write(tmp_path / "o.npz", **{missing: None}))


def test_bad_files(tmp_path):
    with pytest.raises(FileNotFoundError, match="absent"):
        objects(tmp_path / "absent.npz")
    with pytest.raises(ValueError, match=r"o\.npz.*offsets"):
        objects(write(tmp_path / "o.npz", offsets=np.array([0, 2, 9])))
    for content in (b"", b"not a zip", (tmp_path / "o.npz").read_bytes()[:200]):
        (tmp_path / "bad.npz").write_bytes(content)
        with pytest.raises(ValueError, match=r"bad\.npz"):
            objects(tmp_path / "bad.npz")


def test_splits_of_a_pack_are_those_of_training(tmp_path):
    count = 90
    many = {"points": np.tile(GOOD["points"][:2], (count, 1)), "offsets": 2 * np.arange(count + 1)}
    many |= {"colors": np.tile(GOOD["colors"][:2], (count, 1)), "scale": np.zeros(count)}
    many |= {"category": np.array([f"thing {i}" for i in range(count)])}
    many |= {"coloured": np.ones(count, bool)}
    path = write(tmp_path / "o.npz", **many)
    held, seen = (open_data(f"objects:{path}@{part}") for part in ("held-out", "seen"))
    out = split(count, HELD_OUT, HELD_SEED)
    assert [list(held.items), list(seen.items)] == [list(np.flatnonzero(m)) for m in (out, ~out)]
    assert 0 < len(held) < 15 and len(seen) + len(held) == count == len(held.classes)
    assert held[0].category == f"thing {held.items[0]}" and "held out" in held.split
    assert len(open_data(f"objects:{path}")) == count
    furniture = [thing.category for thing in training_objects(path)]
    assert furniture == [seen[i].category for i in range(len(seen))]
    with pytest.raises(ValueError, match="split: expected one of all, held-out, seen, got 'val'"):
        open_data(f"objects:{path}@val")

"""Text vectors on disk: found for the same model and words only, and never half-written."""

from __future__ import annotations

import numpy as np
import pytest

from s4token.text_store import TextStore

MODEL = {"name": "ViT-B-32", "tag": "openai", "sha256": "0" * 64}
ROWS = np.arange(6, dtype=np.float32).reshape(2, 3)


def test_only_the_same_model_and_texts_find_it(tmp_path):
    store = TextStore(tmp_path / "new" / "folder")
    assert store.get(MODEL, ["a", "b"]) is None
    store.put(MODEL, ["a", "b"], ROWS)
    assert (store.get(MODEL, ["a", "b"]) == ROWS).all()
    assert (store.get(dict(reversed(MODEL.items())), ["a", "b"]) == ROWS).all()
    for texts in (["b", "a"], ["a"], ["a", "b", "c"], ["a b"], ["ab", ""]):
        assert store.get(MODEL, texts) is None
    for field in MODEL:
        assert store.get(MODEL | {field: "other"}, ["a", "b"]) is None


@pytest.mark.parametrize("content", [b"", b"no array", "cut", "rows", "nan"])
def test_a_bad_file_counts_as_none_and_is_replaced(tmp_path, content):
    store = TextStore(tmp_path)
    store.put(MODEL, ["a", "b"], ROWS)
    (path,) = tmp_path.iterdir()
    if content == "cut":
        path.write_bytes(path.read_bytes()[:-4])
    elif isinstance(content, str):
        np.save(path, ROWS[:1] if content == "rows" else np.full((2, 3), np.nan))
    else:
        path.write_bytes(content)
    assert store.get(MODEL, ["a", "b"]) is None
    store.put(MODEL, ["a", "b"], ROWS)
    assert (store.get(MODEL, ["a", "b"]) == ROWS).all() and len(list(tmp_path.iterdir())) == 1

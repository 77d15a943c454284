"""Weights on disk: what is written comes back, what is damaged is named, nothing is half."""

from __future__ import annotations

import re
import struct

import pytest
import safetensors.torch
import torch

from s4token import checkpoint
from s4token.checkpoint import (
    Saving,
    load,
    load_into,
    read_header,
    save,
    save_all,
    weights_sha256,
)


def state():
    generator = torch.Generator().manual_seed(0)
    return {
        "a.weight": torch.randn(3, 4, generator=generator),
        "a.bias": torch.randn(3, generator=generator),
        "count": torch.tensor(7),
    }


@pytest.fixture
def path(tmp_path):
    save(tmp_path / "good.safetensors", state(), kind="text", header={"colour": "blue"})
    return tmp_path / "good.safetensors"


def test_round_trip(path):
    weights, header = load(path, kind="text")
    assert header == {"format": checkpoint.FORMATS["text"], "kind": "text", "colour": "blue"}
    assert header == read_header(path)
    assert weights["a.weight"].dtype == torch.float32 and weights["count"] == 7
    for name, tensor in state().items():
        torch.testing.assert_close(weights[name], tensor, atol=2e-3, rtol=1e-3)
        assert (
            weights[name] == (tensor.half().float() if tensor.is_floating_point() else tensor)
        ).all()


def test_full_precision(tmp_path):
    save(tmp_path / "f.safetensors", state(), kind="training", header={}, half=False)
    weights, _ = load(tmp_path / "f.safetensors", kind="training")
    assert all((weights[k] == v).all() for k, v in state().items())


def test_shared_strided_and_trainable_tensors(tmp_path):
    base = torch.arange(12.0).reshape(3, 4)
    shared = {"a": base, "b": base, "t": base.T, "p": torch.nn.Parameter(base)}
    save(tmp_path / "s.safetensors", shared, kind="text", header={})
    weights, _ = load(tmp_path / "s.safetensors", kind="text")
    assert (weights["t"] == base.T).all() and (weights["a"] == weights["b"]).all()


def test_makes_its_folder_and_a_readable_file(tmp_path):
    save(tmp_path / "new" / "deep" / "x.safetensors", state(), kind="clip", header={})
    file = tmp_path / "new" / "deep" / "x.safetensors"
    assert file.stat().st_mode & 0o777 == 0o644


def test_wrong_kind(path):
    with pytest.raises(
        ValueError, match=f"{re.escape(str(path))}: holds 'text' weights, expected 'clip'"
    ):
        load(path, kind="clip")


def _foreign(path):
    safetensors.torch.save_file({"a": torch.zeros(2)}, path)


def _metadata(text):
    return lambda path: safetensors.torch.save_file(
        {"a": torch.zeros(2)}, path, metadata={"s4token": text}
    )


def _cut(share):
    def damage(path):
        save(path, state(), kind="clip", header={})
        whole = path.read_bytes()
        path.write_bytes(whole[: int(share * len(whole))])

    return damage


BAD_FILES = {
    "empty": lambda p: p.write_bytes(b""),
    "short": lambda p: p.write_bytes(b"abc"),
    "another format": lambda p: p.write_bytes(b"ply\nformat ascii 1.0\n" * 20),
    "huge header": lambda p: p.write_bytes(struct.pack("<Q", 2**60) + b"{}" * 20),
    "no json": lambda p: p.write_bytes(struct.pack("<Q", 8) + b"\xff" * 40),
    "cut in the header": _cut(0.3),
    "cut in the weights": _cut(0.95),
    "foreign safetensors": _foreign,
    "entry is no json": _metadata("{"),
    "entry is a list": _metadata("[1, 2]"),
    "entry is empty": _metadata("{}"),
    "entry is a number": _metadata("3"),
    "kind is a list": _metadata('{"kind": ["clip"]}'),
}


@pytest.mark.parametrize("kind", BAD_FILES)
def test_bad_files_are_named(tmp_path, kind):
    path = tmp_path / "bad.safetensors"
    BAD_FILES[kind](path)
    with pytest.raises(ValueError, match=re.escape(f"{path}: not a")) as caught:
        load(path, kind="clip")
    assert "\n" not in str(caught.value)


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing\.safetensors: no such checkpoint"):
        load(tmp_path / "nothing.safetensors", kind="clip")
    with pytest.raises(FileNotFoundError, match="no such checkpoint"):
        load(tmp_path, kind="clip")


def test_another_format(tmp_path, monkeypatch):
    monkeypatch.setitem(checkpoint.FORMATS, "clip", 99)
    save(tmp_path / "new.safetensors", state(), kind="clip", header={})
    monkeypatch.undo()
    with pytest.raises(ValueError, match=r"new\.safetensors: checkpoint format 99, .* reads 1"):
        load(tmp_path / "new.safetensors", kind="clip")


@pytest.mark.parametrize("moment", ["before", "halfway"])
@pytest.mark.parametrize("kind", [OSError, safetensors.SafetensorError])
def test_failing_save_leaves_the_old_files(path, monkeypatch, moment, kind):
    before, whole, beside = path.read_bytes(), safetensors.torch.save_file, path.with_name("new")

    def fail(tensors, file, metadata):
        if ".good" not in str(file):
            return whole(tensors, file, metadata)
        if moment == "halfway":
            with open(file, "wb") as out:
                out.write(before[:50])
        raise kind("No space left on device")

    monkeypatch.setattr(safetensors.torch, "save_file", fail)
    files = [Saving(p, {"a": torch.zeros(5)}, "text", {}) for p in (beside, path)]
    with pytest.raises(ValueError, match=f"^{path}: cannot be written .No space"):
        save_all(*files)
    assert path.read_bytes() == before
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    monkeypatch.undo()
    save_all(*files)
    assert sorted(p.name for p in path.parent.iterdir()) == [path.name, beside.name]


@pytest.mark.parametrize(
    ("value", "half", "said"),
    [
        (float("nan"), True, "finite$"),
        (float("inf"), False, "finite$"),
        (7e4, True, "finite as fp16"),
    ],
)
def test_weights_that_are_not_finite_are_not_saved(path, value, half, said):
    before = path.read_bytes()
    with pytest.raises(ValueError, match=f"^{path}: not saved: a.bias is not {said}"):
        save(path, state() | {"a.bias": torch.tensor([value])}, kind="text", header={}, half=half)
    assert path.read_bytes() == before and len(list(path.parent.iterdir())) == 1
    save(path, {"a": torch.tensor([7e4])}, kind="text", header={}, half=False)


@pytest.mark.parametrize(
    ("kind", "header", "lacks"),
    [
        ("clip", {}, "open_clip"),
        ("clip", {"open_clip": {"embed_dim": 3}}, "open_clip"),
        ("tokenizers", {"tokenizers": {}}, "clip"),
        ("tokenizers", {"tokenizers": {}, "clip": {"name": "x"}}, "clip"),
        ("tokenizers", {"clip": dict.fromkeys(("name", "tag", "sha256"), "x")}, "tokenizers"),
    ],
)
def test_a_header_says_what_its_weights_need(path, kind, header, lacks):
    save(path, state(), kind=kind, header=header)
    with pytest.raises(ValueError, match=f"^{path}: its header has no complete '{lacks}' entry"):
        load(path, kind=kind)
    assert read_header(path)["kind"] == kind


def test_unwritable_header_leaves_the_old_file(path):
    before = path.read_bytes()
    with pytest.raises(TypeError):
        save(path, state(), kind="clip", header={"what": object()})
    assert path.read_bytes() == before and len(list(path.parent.iterdir())) == 1


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda s: s.pop("bias"), "missing bias"),
        (lambda s: s.update(extra=torch.zeros(1)), "unexpected extra"),
        (
            lambda s: s.update(weight=torch.zeros(2, 4)),
            r"weight: file has \(2, 4\), model needs \(3, 4\)",
        ),
    ],
)
def test_weights_that_do_not_fit_are_named_by_leaf(change, words):
    module = torch.nn.Linear(4, 3)
    before = module.weight.detach().clone()
    weights = {k: v + 1 for k, v in module.state_dict().items()}
    change(weights)
    with pytest.raises(ValueError, match=f"some.file: .*{words}"):
        load_into(module, weights, source="some.file")
    assert (module.weight == before).all()


def test_weights_that_fit_are_copied():
    module = torch.nn.Linear(4, 3)
    load_into(module, {"weight": torch.ones(3, 4), "bias": torch.ones(3)}, source="x")
    assert (module.weight == 1).all()


def test_hash_is_of_what_is_shipped(path):
    weights, _ = load(path, kind="text")
    assert weights_sha256(weights) == weights_sha256(state()), "half precision keeps the hash"
    assert weights_sha256(dict(reversed(state().items()))) == weights_sha256(state())
    renamed = {k.replace("a.", "b."): v for k, v in state().items()}
    changed = state() | {"a.bias": state()["a.bias"] + 0.01}
    reshaped = state() | {"a.weight": state()["a.weight"].reshape(4, 3)}
    hashes = {weights_sha256(s) for s in (state(), renamed, changed, reshaped)}
    assert len(hashes) == 4

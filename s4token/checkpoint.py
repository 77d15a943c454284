"""Weights on disk: fp16 safetensors whose header says what they are.

The header holds one JSON object under the key ``s4token``: the format version, the kind of the
file, its configuration and, for tokenizers, the CLIP they were trained against.
"""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import torch

Kind = Literal["clip", "text", "tokenizers", "training"]
FORMATS: dict[Kind, int] = {"clip": 1, "text": 1, "tokenizers": 2, "training": 1}
"""Version of what is inside; tokenizers of format 1 knew no sizes."""
CHECKPOINTS = Path(__file__).resolve().parent.parent / "checkpoints"
"""Where the shipped weights lie."""


def save(
    path: str | Path,
    state: Mapping[str, torch.Tensor],
    *,
    kind: Kind,
    header: Mapping[str, Any],
    half: bool = True,
) -> None:
    """Write weights and header to ``path``, through a temporary file and a rename.

    state: tensors by dotted name; floating ones are stored as fp16 unless ``half`` is False.
    header: JSON-ready description, stored beside ``format`` and ``kind``.
    """
    from safetensors.torch import save_file

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors = {}
    for name, tensor in state.items():
        dtype = torch.float16 if half and tensor.is_floating_point() else tensor.dtype
        # A copy, because safetensors refuses tensors that share memory.
        tensors[name] = tensor.detach().to("cpu", dtype, copy=True).contiguous()
    metadata = {"s4token": json.dumps({"format": FORMATS[kind], "kind": kind, **header})}
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.close(handle)
    try:
        save_file(tensors, temporary, metadata=metadata)
        os.chmod(temporary, 0o644)
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def read_header(path: str | Path) -> dict[str, Any]:
    """Return the header of a checkpoint without reading its weights.

    Raises FileNotFoundError, or ValueError when the file is no checkpoint of this project.
    """
    from safetensors import SafetensorError, safe_open

    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such checkpoint")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
    except (SafetensorError, OSError) as error:
        raise ValueError(
            f"{path}: not a readable safetensors file ({error}); copy it again"
        ) from None
    try:
        header = json.loads(metadata["s4token"])
        header["kind"]
    except (KeyError, TypeError, ValueError):
        raise ValueError(
            f"{path}: not an S4Token checkpoint: its header has no 's4token' entry"
        ) from None
    known = FORMATS.get(header["kind"], header.get("format"))
    if header.get("format") != known:
        raise ValueError(
            f"{path}: checkpoint format {header.get('format')}, this version reads {known}; "
            "train it again or use the version that wrote it"
        )
    return header


def load(path: str | Path, *, kind: Kind) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Return the float32 weights and the header of a checkpoint of the given kind."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    header = read_header(path)
    if header["kind"] != kind:
        raise ValueError(f"{path}: holds '{header['kind']}' weights, expected '{kind}'")
    try:
        state = load_file(path)
    except (SafetensorError, OSError) as error:
        raise ValueError(f"{path}: weights cannot be read ({error}); copy it again") from None
    return {k: v.float() if v.is_floating_point() else v for k, v in state.items()}, header


def load_into(module: torch.nn.Module, state: Mapping[str, torch.Tensor], *, source: str) -> None:
    """Copy weights into a module, or raise ValueError naming every leaf that does not fit."""
    own = module.state_dict()
    wrong = [f"missing {k}" for k in own.keys() - state.keys()]
    wrong += [f"unexpected {k}" for k in state.keys() - own.keys()]
    wrong += [
        f"{k}: file has {tuple(state[k].shape)}, model needs {tuple(own[k].shape)}"
        for k in own.keys() & state.keys()
        if state[k].shape != own[k].shape
    ]
    if wrong:
        raise ValueError(f"{source}: weights do not fit the model: " + "; ".join(sorted(wrong)[:5]))
    module.load_state_dict(dict(state))


def weights_sha256(state: Mapping[str, torch.Tensor]) -> str:
    """Return the SHA-256 of weights as fp16, the precision they are shipped in."""
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu()
        tensor = tensor.half() if tensor.is_floating_point() else tensor
        digest.update(f"{name}{tuple(tensor.shape)}".encode())
        digest.update(tensor.contiguous().numpy().tobytes())
    return digest.hexdigest()

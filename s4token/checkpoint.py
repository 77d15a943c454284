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
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch

Kind = Literal["clip", "text", "tokenizers", "training"]
FORMATS: dict[Kind, int] = {"clip": 1, "text": 1, "tokenizers": 2, "training": 1}
"""Version of what is inside; tokenizers of format 1 knew no sizes."""
_NEEDED: dict[Kind, dict[str, tuple[str, ...]]] = {
    "clip": {"open_clip": ("embed_dim", "vision_cfg", "text_cfg")},
    "tokenizers": {"clip": ("name", "tag", "sha256"), "tokenizers": ()},
}
"""What headers must say for their weights to be of use."""
CHECKPOINTS = Path(__file__).resolve().parent.parent / "checkpoints"
"""Where the shipped weights lie."""


@dataclass(frozen=True, eq=False)
class Saving:
    """Say what goes into one checkpoint.

    state: tensors by dotted name; floating ones are stored as fp16 unless ``half`` is False.
    header: JSON-ready description, stored beside ``format`` and ``kind``.
    """

    path: Path
    state: Mapping[str, torch.Tensor]
    kind: Kind
    header: Mapping[str, Any]
    half: bool = True

    def tensors(self) -> dict[str, torch.Tensor]:
        """Return what is stored, or raise ValueError naming a tensor that is not finite."""
        out = {}
        for name, tensor in self.state.items():
            dtype = torch.float16 if self.half and tensor.is_floating_point() else tensor.dtype
            # A copy, because safetensors refuses tensors that share memory.
            out[name] = tensor.detach().to("cpu", dtype, copy=True).contiguous()
            if not out[name].isfinite().all():
                large = " as fp16, which ends at 65,504" if tensor.isfinite().all() else ""
                raise ValueError(f"{self.path}: not saved: {name} is not finite{large}")
        return out


def save_all(*files: Saving) -> None:
    """Write checkpoints that belong together: all are written before the first is renamed.

    Raises ValueError naming a file that cannot be written, or whose weights are not finite; what
    was there before is then unchanged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    drafts: list[Path] = []
    path = None
    try:
        for one in files:
            path, tensors = one.path, one.tensors()
            about = {"format": FORMATS[one.kind], "kind": one.kind, **one.header}
            path.parent.mkdir(parents=True, exist_ok=True)
            handle, draft = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
            os.close(handle)
            drafts.append(Path(draft))
            save_file(tensors, draft, metadata={"s4token": json.dumps(about)})
            os.chmod(draft, 0o644)
        for draft, one in zip(drafts, files, strict=True):
            path = one.path
            os.replace(draft, path)
    except (SafetensorError, OSError) as error:  # safetensors reports a full disk as its own
        reason = getattr(error, "strerror", None) or " ".join(str(error).split())
        raise ValueError(f"{path}: cannot be written ({reason})") from error
    finally:
        for draft in drafts:
            draft.unlink(missing_ok=True)


def save(
    path: str | Path,
    state: Mapping[str, torch.Tensor],
    *,
    kind: Kind,
    header: Mapping[str, Any],
    half: bool = True,
) -> None:
    """Write one checkpoint, as ``Saving`` says, through a rename; raises as ``save_all``."""
    save_all(Saving(Path(path), state, kind, header, half))


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
        if not isinstance(header["kind"], str):
            raise ValueError
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
    """Return the float32 weights and the header of a checkpoint of the given kind.

    Raises as ``read_header``, and ValueError when the header or the weights are of no use.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    header = read_header(path)
    if header["kind"] != kind:
        raise ValueError(f"{path}: holds '{header['kind']}' weights, expected '{kind}'")
    for name, inside in _NEEDED.get(kind, {}).items():
        found = header.get(name)
        if not isinstance(found, dict) or not found.keys() >= set(inside):
            raise ValueError(
                f"{path}: its header has no complete '{name}' entry; train or copy it again"
            )
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

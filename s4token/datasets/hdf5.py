"""HDF5 files, through h5py, which is not among the requirements."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from s4token.datasets.scans import explained


def _h5py() -> Any:
    try:
        import h5py  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ImportError("reading .h5 files needs h5py: pip install h5py") from error
    return h5py


def shapes(path: Path, *names: str) -> list[tuple[int, ...]]:
    """Return the shapes of arrays without reading them.

    Raises ImportError with the command that installs h5py; ValueError naming file and array.
    """
    h5py = _h5py()
    with explained(path), h5py.File(path, "r") as file:
        if missing := [n for n in names if n not in file]:
            raise ValueError(f"no array {', '.join(missing)}; it has {', '.join(file)}")
        return [tuple(file[n].shape) for n in names]


def row(path: Path, index: int, *names: str) -> list[np.ndarray]:
    """Return row ``index`` of every named array; nothing else is read."""
    h5py = _h5py()
    with explained(path), h5py.File(path, "r") as file:
        return [np.asarray(file[n][index]) for n in names]

"""The files of a bank: written whole or not at all, opened by name, and what they were made of."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import numpy as np

SETTINGS = "bank.json"
"""The file of a bank that says what its scenes were made of."""

_log = logging.getLogger(__name__)


@contextmanager
def opened(path: Path) -> Iterator[np.lib.npyio.NpzFile]:
    """Open a file of a bank.

    Raises ValueError naming it when it is missing, damaged, or lacks what is read from it.
    """
    try:
        # Opened first: of a cut-off file np.load leaves its own handle open.
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            yield arrays
    except FileNotFoundError:
        raise ValueError(f"{path}: no such file; run `bank` again, it makes what lacks") from None
    except Exception as error:  # damaged bytes raise anything
        reason = " ".join(str(error).split())[:200] or type(error).__name__
        raise ValueError(
            f"{path}: cannot be used ({reason}); run `bank` again, or delete the file first"
        ) from error


def kept(path: Path, needed: str) -> bool:
    """Return whether a file that can be used is there, with an array of this name.

    A damaged one is deleted, with a warning, so that it is made anew.
    """
    try:
        with ZipFile(path) as file:
            if f"{needed}.npy" in file.namelist():
                return True
    except FileNotFoundError:
        return False
    except BadZipFile:
        pass
    _log.warning("%s: damaged or of an earlier version; it is made anew", path)
    path.unlink(missing_ok=True)
    return False


def write_arrays(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write an npz file through a rename, and its folder if there is none."""
    path.parent.mkdir(exist_ok=True)
    temporary = path.with_name(f".{os.getpid()}.npz")
    try:
        np.savez(temporary, allow_pickle=False, **arrays)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def settings_of(folder: Path) -> Mapping[str, Any]:
    """Return what a bank was made of, {} where it does not say, as old ones do not."""
    path = folder / SETTINGS
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: not readable ({error}); delete it and run `bank`") from None
    if not isinstance(found, dict):
        raise ValueError(f"{path}: says nothing about a bank; delete it and run `bank`")
    return found


def settle(folder: Path, settings: Mapping[str, Any]) -> None:
    """Note what a bank without scenes will be made of, or compare it with what its scenes are of.

    A bank with scenes that does not say is taken as it is. Raises ValueError when settings differ.
    """
    if any(folder.glob("scene-*.npz")):
        known = settings_of(folder)
        other = [f"{k} {known[k]}, not {v}" for k, v in settings.items() if known.get(k, v) != v]
        if other:
            raise ValueError(
                f"{folder}: its scenes were made with other settings ({'; '.join(other)}); "
                "name another folder, or what they were made with"
            )
        return
    temporary = folder / f".{os.getpid()}.json"
    try:
        temporary.write_text(json.dumps(settings, indent=1) + "\n", encoding="utf-8")
        os.replace(temporary, folder / SETTINGS)
    finally:
        temporary.unlink(missing_ok=True)

"""Text vectors kept on disk between runs, under a hash of everything that they depend on."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True)
class TextStore:
    """Keep the vectors of lists of texts in a folder, one ``.npy`` file per list.

    The file name is the hash of the model's identity (name, tag, sha256 of the weights) and of the
    texts, that is of prompts already put into their templates, in order.
    """

    folder: Path

    def _path(self, model: Mapping[str, str], texts: Sequence[str]) -> Path:
        key = json.dumps([dict(sorted(model.items())), list(texts)], ensure_ascii=False)
        return self.folder / f"{hashlib.sha256(key.encode()).hexdigest()}.npy"

    def get(
        self, model: Mapping[str, str], texts: Sequence[str]
    ) -> Float[np.ndarray, "C E"] | None:
        """Return the vectors of exactly these texts of exactly this model, or None.

        A file that cannot be read, or holds another number of rows, counts as none.
        """
        path = self._path(model, texts)
        if not path.is_file():
            return None
        try:
            rows = np.load(path, allow_pickle=False)
        except (ValueError, OSError, EOFError):
            return None
        fits = rows.ndim == 2 and len(rows) == len(texts) and np.isfinite(rows).all()
        return rows if fits else None

    def put(
        self, model: Mapping[str, str], texts: Sequence[str], rows: Float[np.ndarray, "C E"]
    ) -> None:
        """Keep the vectors; the file appears whole or not at all."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self._path(model, texts)
        draft = path.with_suffix(f".{os.getpid()}.tmp")
        with draft.open("wb") as stream:
            np.save(stream, rows)
        os.replace(draft, path)

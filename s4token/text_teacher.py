"""Where words belong in the space of the small CLIP: real CLIP name vectors, and what follows.

The space is a fixed linear map of CLIP ViT-B/32's text space: the mean of the name vectors is
subtracted (it holds most of a raw cosine), then PCA without whitening. Words that have no vector
get one by kernel ridge regression on sentence features and spelling, fitted to those that have.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy import sparse

from s4token.text_corpus import (
    COMPOSED,
    INSTALL_TEACHER,
    Corpus,
    bare,
    composed,
    fragments,
    unit_rows,
)
from s4token.vocabulary import Thing, normalised, things

HASHED_GRAMS = 1 << 18


def name_space(vectors: Float[np.ndarray, "n d"], size: int) -> Float[np.ndarray, "n size"]:
    """Return the vectors without their mean, on their ``size`` main axes, as unit rows."""
    centred = unit_rows(vectors - vectors.mean(0))
    _, _, axes = np.linalg.svd(centred, full_matrices=False)
    # The sign of a singular vector is arbitrary: fix it, so that runs agree.
    axes = axes[:size] * np.sign(axes[np.arange(size), np.abs(axes[:size]).argmax(1)])[:, None]
    return unit_rows(centred @ axes.T)


def _grams(phrase: str) -> list[tuple[str, float]]:
    """Return the words of a phrase and their runs of 3 to 5 letters, with weights."""
    grams = []
    for word in phrase.split():
        edged = f"^{word}$"
        grams.append((f"w:{word}", 3.0))
        for n in (3, 4, 5):
            grams += [(edged[i : i + n], 1.0) for i in range(len(edged) - n + 1)]
    return grams


def _spelling(
    phrases: Sequence[str], rarity: np.ndarray | None = None
) -> tuple[sparse.csr_matrix, np.ndarray]:
    """Return hashed tf-idf unit rows of the phrases' letters, and the idf that was used."""
    rows, columns, values = [], [], []
    for row, phrase in enumerate(phrases):
        for gram, weight in _grams(phrase):
            rows.append(row)
            columns.append(zlib.crc32(gram.encode("utf-8")) % HASHED_GRAMS)
            values.append(weight)
    shape = (len(phrases), HASHED_GRAMS)
    matrix = sparse.csr_matrix((np.asarray(values), (rows, columns)), shape=shape)
    if rarity is None:
        counts = np.bincount(matrix.indices, minlength=HASHED_GRAMS)
        rarity = np.log((1 + len(phrases)) / (1 + counts))
    matrix = sparse.csr_matrix(matrix @ sparse.diags(rarity))
    norms = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=1)).ravel())
    return sparse.csr_matrix(sparse.diags(1 / np.maximum(norms, 1e-9)) @ matrix), rarity


@dataclass(frozen=True)
class KernelTeacher:
    """Predict the vector of any phrase from phrases with vectors, by kernel ridge regression.

    The kernel is ``(1 - share) exp(sharpness (cos - 1))`` of sentence features plus ``share``
    times the cosine of letter n-grams; without sentence features it is spelling alone. The
    constants were chosen on LVIS synonyms that are no names (top-1 of 1,612 names: 0.43).
    """

    sentences: Mapping[str, np.ndarray]
    sharpness: float = 4.0
    share: float = 0.1
    ridge: float = 0.1
    _fit: dict[str, Any] = field(default_factory=dict, repr=False)

    def fit(self, phrases: Sequence[str], targets: Float[np.ndarray, "n e"]) -> KernelTeacher:
        """Return a teacher fitted to phrases and their vectors."""
        phrases = [normalised(p) for p in phrases]
        letters, rarity = _spelling(phrases)
        anchors = {"letters": letters, "rarity": rarity, "sentences": self._features(phrases)}
        kernel = self._kernel(anchors["sentences"], letters, anchors)
        kernel[np.diag_indices(len(kernel))] += self.ridge
        anchors["weights"] = np.linalg.solve(kernel, targets.astype(np.float32))
        # What resembles no anchor at all is the average thing, not the zero vector.
        anchors["average"] = 1e-4 * unit_rows(targets.astype(np.float32).sum(0))
        return KernelTeacher(self.sentences, self.sharpness, self.share, self.ridge, anchors)

    def _features(self, phrases: Sequence[str]) -> np.ndarray | None:
        if not self.sentences:
            return None
        missing = [p for p in phrases if p not in self.sentences]
        if missing:
            raise ValueError(
                f"sentences: no features for {len(missing):,} phrases, e.g. '{missing[0]}'; "
                f"compute them ({INSTALL_TEACHER})"
            )
        return unit_rows(np.stack([self.sentences[p] for p in phrases]).astype(np.float32))

    def _kernel(
        self, features: np.ndarray | None, letters: sparse.csr_matrix, anchors: Mapping[str, Any]
    ) -> np.ndarray:
        spelling = np.asarray((letters @ anchors["letters"].T).todense(), dtype=np.float32)
        if features is None:
            return spelling
        meaning = np.exp(self.sharpness * (features @ anchors["sentences"].T - 1))
        return (1 - self.share) * meaning + self.share * spelling

    def __call__(self, phrases: Sequence[str]) -> Float[np.ndarray, "n e"]:
        """Return unit vectors of the phrases."""
        parts = []
        for start in range(0, len(phrases), 4096):
            chunk = [normalised(p) for p in phrases[start : start + 4096]]
            letters, _ = _spelling(chunk, self._fit["rarity"])
            kernel = self._kernel(self._features(chunk), letters, self._fit)
            parts.append(unit_rows(kernel @ self._fit["weights"] + self._fit["average"]))
        return np.concatenate(parts).astype(np.float32)


def separate(
    vectors: Float[np.ndarray, "n e"],
    stiffness: Float[np.ndarray, "n"],
    *,
    limit: float = 0.5,
    steps: int = 400,
) -> Float[np.ndarray, "n e"]:
    """Push unit rows apart until hardly a pair exceeds the cosine ``limit``.

    stiffness: how strongly each row is held where it is; real CLIP vectors more than predictions.
    """
    start = unit_rows(vectors.astype(np.float64))
    rows = start.copy()
    for _ in range(steps):
        excess = np.maximum(rows @ rows.T - limit, 0)
        np.fill_diagonal(excess, 0)
        rows = unit_rows(rows - 0.2 * excess @ rows + 0.02 * stiffness[:, None] * (start - rows))
    return rows.astype(np.float32)


@dataclass(frozen=True)
class Lexicon:
    """Hold phrases with the vectors they should have.

    nouns: things a scan can hold, with their other names; descriptions: what is said of them;
    sayings: what is put together and WordNet's artifacts, not to be put into templates; rare: the
    rest of WordNet; core: the hand-written things, well separated, in the order of ``things()``.
    """

    nouns: Mapping[str, np.ndarray]
    descriptions: Mapping[str, np.ndarray]
    sayings: Mapping[str, np.ndarray]
    rare: Mapping[str, np.ndarray]
    core: Mapping[str, np.ndarray]
    teacher: KernelTeacher


def blend(*parts: tuple[float, np.ndarray]) -> np.ndarray:
    """Return the unit vector of a weighted sum."""
    return unit_rows(sum((weight * vector for weight, vector in parts), np.zeros(1)))


def _table(corpus: Corpus, size: int) -> dict[str, np.ndarray]:
    """Return the vector of every name; a plain name wins over one that needs an explanation."""
    space = name_space(corpus.vectors, size).astype(np.float32)
    table = dict(zip(map(normalised, corpus.names), space, strict=True))
    for name, vector in list(table.items()):
        table.setdefault(bare(name), vector)
    return table


def _category_vector(
    name: str, entry: Mapping[str, str | None], table: Mapping[str, np.ndarray], guess: np.ndarray
) -> np.ndarray:
    kind, source = entry["kind"], entry["name"]
    if kind in ("exact", "synonym"):
        return table[normalised(str(source))]
    if kind == "approx":
        # A related word's vector alone would make two categories one.
        return blend((0.55, table[normalised(str(source))]), (0.45, guess))
    return table.get(normalised(name), guess)


def _columns(
    anchors: Mapping[str, np.ndarray], hidden: set[str], sentences: Mapping[str, np.ndarray]
) -> tuple[list[str], np.ndarray]:
    phrases = [p for p in anchors if p not in hidden and (not sentences or p in sentences)]
    return phrases, np.stack([anchors[p] for p in phrases])


def _lvis_anchors(corpus: Corpus, table: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    anchors: dict[str, np.ndarray] = {}
    for name, entry in corpus.lvis.items():
        if name in table:
            anchors[normalised(entry["definition"])] = table[name]
            for synonym in entry["synonyms"]:
                anchors.setdefault(bare(synonym), table[name])
    return anchors


def _core(
    known: Sequence[Thing],
    corpus: Corpus,
    table: Mapping[str, np.ndarray],
    teacher: KernelTeacher,
) -> dict[str, np.ndarray]:
    """Return the vectors of the hand-written things, pushed apart.

    A thing without a name vector is what the teacher makes of its synonyms and descriptions.
    """
    rows, stiffness = [], []
    for thing in known:
        entry = corpus.categories.get(thing.name, {"name": None, "kind": "none"})
        guess = blend((1.0, teacher([thing.name, *thing.synonyms, *thing.descriptions]).mean(0)))
        exact = thing.name in table or entry["kind"] in ("exact", "synonym")
        source = table.get(thing.name)
        rows.append(
            source if source is not None else _category_vector(thing.name, entry, table, guess)
        )
        stiffness.append(1.0 if exact else 0.1)
    apart = separate(np.stack(rows), np.array(stiffness))
    return {thing.name: row for thing, row in zip(known, apart, strict=True)}


def _senses(corpus: Corpus, table: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return name vectors by WordNet synset: the one with LVIS's definition, or the only one."""
    meant = {normalised(e["definition"]): normalised(n) for n, e in corpus.lvis.items()}
    by_lemma: dict[str, list[str]] = {}
    for synset in corpus.wordnet:
        for lemma in synset["lemmas"]:
            by_lemma.setdefault(normalised(lemma), []).append(synset["id"])
    senses = {ids[0]: table[p] for p, ids in by_lemma.items() if p in table and len(ids) == 1}
    for synset in corpus.wordnet:
        name = meant.get(normalised(synset["definition"]))
        if name is not None and name in table:
            senses[synset["id"]] = table[name]
    return senses


def _wordnet_sayings(
    corpus: Corpus, nouns: Mapping[str, np.ndarray], teacher: KernelTeacher
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Return vectors of WordNet's lemmas and definitions: of all, and of artifacts with clauses.

    A vector is the teacher's guess, pulled to the nearest broader word that has one. Proper names
    are left out.
    """
    senses = _senses(corpus, nouns)
    parents = {s["id"]: s["hypernyms"] for s in corpus.wordnet}
    synsets = [s for s in corpus.wordnet if s["lemmas"][0].islower()]
    lemmas = teacher([s["lemmas"][0] for s in synsets])
    definitions = teacher([s["definition"] for s in synsets])
    everything: dict[str, np.ndarray] = {}
    artifacts: dict[str, np.ndarray] = {}
    said: dict[str, np.ndarray] = {}
    for synset, lemma, definition in zip(synsets, lemmas, definitions, strict=True):
        broader, steps = _broader(synset["id"], parents, senses)
        parts = [(0.6, lemma), (0.4, definition)]
        if broader is not None:
            parts.append((1.5 if steps == 0 else 0.7 / steps, broader))
        vector = blend(*parts)
        rows = dict.fromkeys(map(normalised, synset["lemmas"]), vector)
        rows[normalised(synset["definition"])] = blend((0.5, vector), (0.5, definition))
        everything |= rows
        if synset["lexfile"] == "noun.artifact":
            artifacts |= rows
            said |= dict.fromkeys(fragments(synset["definition"]), vector)
    # A clause alone fits many things: the teacher decides, the thing it is from has a say.
    if said:
        mixed = blend((0.8, teacher(list(said))), (0.25, np.stack(list(said.values()))))
        artifacts = dict(zip(said, mixed, strict=True)) | artifacts
    # An ambiguous word means the artifact.
    return {p: v for p, v in everything.items() if p not in artifacts}, artifacts


def _broader(
    synset: str, parents: Mapping[str, Sequence[str]], senses: Mapping[str, np.ndarray]
) -> tuple[np.ndarray | None, int]:
    """Return the vector of the synset or its nearest ancestor within three steps, and the steps."""
    level = [synset]
    for steps in range(4):
        for name in level:
            if name in senses:
                return senses[name], steps
        level = [p for name in level for p in parents.get(name, ())]
    return None, 0


def build_lexicon(
    corpus: Corpus,
    sentences: Mapping[str, np.ndarray],
    *,
    size: int = 256,
    held_out: Iterable[str] = (),
    composed_sayings: int = COMPOSED,
) -> Lexicon:
    """Give every word of the corpus and of the hand list a vector.

    held_out: phrases that are left out everywhere, to be tested on. Order of trust: tables, hand
    list, LVIS synonyms and definitions, WordNet.
    """
    hidden = {normalised(p) for p in held_out}
    table = _table(corpus, size)
    anchors = _lvis_anchors(corpus, table) | table
    teacher = KernelTeacher(sentences).fit(*_columns(anchors, hidden, sentences))
    core = _core(things(), corpus, table, teacher)
    for thing in things():
        anchors |= dict.fromkeys((*thing.synonyms, *thing.descriptions), core[thing.name])
    anchors |= table | core
    teacher = KernelTeacher(sentences).fit(*_columns(anchors, hidden, sentences))
    names = [normalised(n) for n in corpus.categories]
    guesses = teacher(names)
    categories = {
        name: _category_vector(name, entry, table, guess)
        for (name, entry), guess in zip(corpus.categories.items(), guesses, strict=True)
    }
    own = {s: core[t.name] for t in things() for s in t.synonyms}
    nouns = own | categories | table | core
    told = {d: core[t.name] for t in things() for d in t.descriptions}
    told = _lvis_anchors(corpus, table) | told
    rare, sayings = _wordnet_sayings(corpus, nouns, teacher)
    made = composed(composed_sayings, np.random.default_rng(0))
    sayings |= dict(zip(made, teacher(made), strict=True))
    keep = lambda rows: {p: v for p, v in rows.items() if p not in hidden}  # noqa: E731
    return Lexicon(keep(nouns), keep(told), keep(sayings), keep(rare), core, teacher)

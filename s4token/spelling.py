"""Words that are probably misspelt: a text model makes something of them as well."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import takewhile

from s4token.backbone import byte_pairs
from s4token.vocabulary import plural, things

SHORTEST = 4
"""Letters of the shortest word that is doubted."""


def misspelt(prompts: Sequence[str]) -> dict[str, str]:
    """Return what words of prompts were probably meant to be, by the word as it stands there.

    Doubted is a word that CLIP's vocabulary has in pieces only and that is no word of indoor
    things, but a single edit from one: a letter is too much, lacks or is another, or two have
    changed places (Damerau, 1964).
    """
    found: dict[str, str] = {}
    for word in re.findall(r"[^\W_]+", " ".join(prompts)):
        near = next(_meant(word.lower()), None)
        if near is not None:
            found[word] = near
    return found


def _meant(word: str) -> Iterator[str]:
    if len(word) < SHORTEST or not (word.isascii() and word.isalpha()):
        return
    indoor = _indoor_words()
    if word not in indoor and _pieces(word) > 1:
        yield from (other for other in indoor if _one_edit(word, other))


@cache
def _pieces(word: str) -> int:
    """Return into how many pieces CLIP cuts a word."""
    return int((_byte_pairs()([word]) != 0).sum()) - 2  # without begin and end


_byte_pairs = cache(byte_pairs)


@cache
def _indoor_words() -> dict[str, None]:
    """Return the words of names of indoor things, the most usual things first."""
    names = [name for thing in things() for name in (thing.name, *thing.synonyms)]
    words = re.findall(r"[a-z]+", " ".join(name for n in names for name in (n, plural(n))))
    return dict.fromkeys(w for w in words if len(w) >= SHORTEST - 1)


def _one_edit(a: str, b: str) -> bool:
    """Return whether two different words are one edit apart."""
    start = _common(a, b)
    end = _common(a[start:][::-1], b[start:][::-1])
    a, b = a[start : len(a) - end], b[start : len(b) - end]
    return max(len(a), len(b)) == 1 or (len(a) == 2 and a == b[::-1])


def _common(a: str, b: str) -> int:
    """Return with how many letters both words begin."""
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], zip(a, b, strict=False)))

"""Misspelt words are noticed, and words that are right are left alone."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from s4token import misspelt
from s4token.spelling import _one_edit
from s4token.vocabulary import plural, things

TYPOS = {
    "chiar": "chair",
    "tabel": "table",
    "sfoa": "sofa",
    "celing": "ceiling",
    "wndow": "window",
    "refridgerator": "refrigerator",
    "bookshlef": "bookshelf",
    "curtins": "curtains",
    "Toilett": "toilet",
    "monitr": "monitor",
}


@pytest.mark.parametrize("typo", TYPOS)
def test_a_word_with_one_wrong_letter_is_noticed(typo):
    assert misspelt([typo]) == {typo: TYPOS[typo]}


def test_all_words_of_all_prompts_are_looked_at():
    found = misspelt(["chair | tabel", "the old sfoa", "coffee_tabel", "wall"])
    assert found == {"tabel": "table", "sfoa": "sofa"}


def test_words_that_are_right_are_left_alone():
    names = [name for thing in things() for name in (thing.name, *thing.synonyms)]
    right = ["credenza", "escritoire", "kettlebell", "scaffold", "excavator", "pear", "boiled"]
    foreign = ["Stühle", "椅子", "fauteuil", "Tisch", "кресло"]
    odd = ["", "a", "tv", "x1y2z3", "12345", "...", "🪑", "ABCDEFGHIJ" * 20]
    assert misspelt([*names, *map(plural, names), *right, *foreign, *odd]) == {}


def distance(a: str, b: str) -> int:
    """The textbook's table: edits, with neighbours that change places as one."""
    table = np.add.outer(np.arange(len(a) + 1), np.arange(len(b) + 1))
    for i, j in itertools.product(range(1, len(a) + 1), range(1, len(b) + 1)):
        swap = i > 1 and j > 1 and a[i - 1] == b[j - 2] and a[i - 2] == b[j - 1]
        table[i, j] = min(
            table[i - 1, j] + 1,
            table[i, j - 1] + 1,
            table[i - 1, j - 1] + (a[i - 1] != b[j - 1]),
            table[i - 2, j - 2] + 1 if swap else 99,
        )
    return int(table[-1, -1])


def test_one_edit_is_what_the_textbook_says():
    words = ["".join(w) for n in range(6) for w in itertools.product("ab", repeat=n)]
    words += ["".join(w) for w in itertools.product("abc", repeat=4)]
    pairs = [(a, b) for a, b in itertools.product(words[::3], words) if a != b]
    assert len(pairs) > 5000
    for a, b in pairs:
        assert _one_edit(a, b) == (distance(a, b) == 1), (a, b)

"""Words for many things at once: what they stand for, and how scenes are called by them."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from s4token import hypernyms as module
from s4token.hypernyms import Hypernyms, hypernyms

OWN = {"wall", "chair", "table", "cup", "teddy bear", "plant"}
CPU = torch.device("cpu")


def test_what_words_stand_for():
    found = hypernyms(OWN)
    assert found["seat"] == {"chair"} and found["furniture"] == {"chair", "table"}
    assert found["toy"] == {"teddy bear"} and found["kitchenware"] == {"cup"}
    for word in ("clutter", "object", "thing"):
        assert found[word] == {"cup", "teddy bear", "plant"}
    assert "plant" not in found and "vehicle" not in found, "they stand for nothing here"
    assert hypernyms({"wall", "floor"}) == {}


def test_no_line_of_the_table_runs_into_the_next():
    lines = module._WORDS.strip().replace("\n    ", " ").split("\n")
    assert all(line.count(":") == 1 for line in lines)
    listed = [module._listed(line.split(":")[1]) for line in lines]
    for names in (*listed, module._listed(module._FURNITURE), module._listed(module._HULL)):
        assert all(0 < len(name) < 20 for name in names)


def test_a_name_that_is_a_word_as_well_competes_as_any_other():
    taught = Hypernyms(OWN, CPU)
    assert taught.names == sorted(OWN | set(hypernyms(OWN)))
    alone = {name for name, yes in zip(taught.names, taught.alone, strict=True) if yes}
    assert alone == set(taught.names) - OWN and "plant" not in alone


@pytest.mark.parametrize(
    ("word", "members", "tokens"),
    [
        ("furniture", {"chair", "table"}, [0, 2]),
        ("clutter", {"cup", "teddy bear", "plant"}, [1]),
    ],
)
def test_members_are_called_by_the_word_in_some_scenes(word, members, tokens):
    taught = Hypernyms(OWN, CPU)
    number = {name: at for at, name in enumerate(taught.names)}
    taught.odds = (np.array(taught.words) == number[word]).astype(float)
    share = torch.zeros(2000, 3, len(number))
    share[:, 0, number["chair"]] = share[:, 1, number["cup"]] = share[:, 2, number["table"]] = 0.75
    share[:, :, number["wall"]] = 0.25
    called, silent = taught.called(
        share, np.random.default_rng(0), torch.Generator().manual_seed(0)
    )
    torch.testing.assert_close(called.sum(dim=-1), torch.ones(2000, 3))
    renamed = (called != share).flatten(1).any(dim=1)
    assert abs(renamed.float().mean() - module.RENAMED) < 0.04
    assert (called[renamed][:, tokens, number[word]] == 0.75).all()
    rest = [i for i in range(3) if i not in tokens]
    assert (called[renamed][:, rest] == share[renamed][:, rest]).all()
    # A word competes where it was drawn, and then what it stands for does not.
    other = {name for name in taught.names if name not in OWN}
    for some, quiet in ((renamed, (other - {word}) | members), (~renamed, other)):
        expected = torch.tensor([name in quiet for name in taught.names])
        assert (silent[some] == expected).all()
    assert (share[..., number["wall"]] == 0.25).all(), "what was given is left as it was"


def test_frequencies_by_hand():
    taught = Hypernyms({"wall", "chair", "table"}, CPU)
    assert [taught.names[i] for i in taught.words] == ["seat", "furniture"]
    each = {"wall": 8.0, "chair": 3.0, "table": 1.0}
    of_names = torch.tensor([each.get(name, 0.0) for name in taught.names])
    met = dict(zip(taught.names, taught.frequency(of_names).tolist(), strict=True))
    assert met == pytest.approx(
        {"wall": 8, "chair": 3, "table": 1, "seat": 0.3 * 3 / 4, "furniture": 0.3 * 4 * 3 / 4}
    )


def test_without_words_nothing_changes():
    taught, share = Hypernyms({"wall"}, CPU), torch.ones(2, 3, 1)
    generator = torch.Generator().manual_seed(0)
    called, silent = taught.called(share, np.random.default_rng(0), generator)
    assert (called == share).all() and silent.shape == (2, 1) and not silent.any()
    assert taught.frequency(torch.ones(1)).tolist() == [1.0]

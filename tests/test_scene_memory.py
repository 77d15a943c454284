"""Scenes in a device's memory: batches by hand, nothing lost, banks that grow."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from s4token.bank import Bank, held_scenes, tokens_path
from s4token.clip_batches import NamedTokens, bank_names
from s4token.datasets.packs import split
from s4token.model import TOKENIZATIONS
from s4token.scene_memory import BankMemory, SceneMemory, draw_scenes, drawn
from tests.fakes import scene_of


def filled(*scenes: NamedTokens, **kwargs) -> SceneMemory:
    memory = SceneMemory(scenes[0].share.shape[1], "cpu")
    memory.add(scenes, **kwargs)
    return memory


def draw(memory: SceneMemory, numbers: list[int], keep: float = 1.0):
    rng, generator = np.random.default_rng(0), torch.Generator().manual_seed(0)
    return memory.batch(numbers, keep, rng, generator)


def test_a_batch_pads_and_weighs():
    scenes = [scene_of(9, 4), scene_of(5, 4, 1)]
    scenes[0].share[2] = 0
    scenes[0].share[3] = [0.5, 0, 0, 0]
    batch = draw(filled(*scenes), [0, 1])
    assert batch.valid is not None
    share, weight = batch.share, batch.weight
    assert [tuple(i.shape[:2]) for i in batch.inputs] == [(2, 9)] * 3
    assert batch.pitch.isnan().all() and batch.told[:, 0].isnan().all()
    assert batch.valid.sum(dim=1).tolist() == [9, 5] and (share[1, 5:] == 0).all()
    assert weight[0, 2] == 0 and weight[0, 3] == 0.5 and (weight[1, 5:] == 0).all()
    torch.testing.assert_close(share[0, 3], torch.tensor([1.0, 0, 0, 0]))
    torch.testing.assert_close(share[batch.real & (weight > 0)].sum(dim=-1), torch.ones(13))
    expected = torch.from_numpy(scenes[1].share)
    torch.testing.assert_close(share[1, :5], expected, atol=2e-3, rtol=0)
    torch.testing.assert_close(batch.centers[1, :5].norm(dim=1), norms(scenes[1].inputs.centers))


def norms(rows: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(rows).norm(dim=1)


def test_scenes_added_later_keep_their_own_tokens():
    scenes = [scene_of(count, 12, count) for count in (9, 20, 14)]
    features = [
        np.random.default_rng(n).normal(size=(len(s.points), 3)) for n, s in enumerate(scenes)
    ]
    memory = SceneMemory(12, "cpu")
    for number, (scene, teacher) in enumerate(zip(scenes, features, strict=True)):
        whole = np.full(2, number, np.float32)
        memory.add([scene], of_tokens={"teacher": [teacher]}, of_scenes={"whole": [whole]})
    assert len(memory) == 3 and memory.sizes.tolist() == [9, 20, 14]
    batch = draw(memory, [2, 1], 0.6)
    assert batch.real.sum(dim=1).tolist() == [8, 12]
    assert batch.more["whole"][:, 0].tolist() == [2, 1]
    for row, number in enumerate([2, 1]):
        found = batch.more["teacher"][row, batch.real[row]]
        apart = torch.cdist(found, torch.from_numpy(features[number]).float())
        assert len(apart.argmin(dim=1).unique()) == len(found) and apart.amin(dim=1).max() < 1e-5
        kept = apart.argmin(dim=1).numpy()
        torch.testing.assert_close(
            batch.centers[row, batch.real[row]].norm(dim=1),
            norms(scenes[number].inputs.centers[kept]),
        )
        # Of twelve names the eight most frequent are kept, and make up the whole.
        own = np.sort(scenes[number].share[kept], axis=1)[:, -8:]
        share = batch.share[row, batch.real[row]].sort(dim=1).values[:, -8:]
        expected = torch.from_numpy(own / own.sum(axis=1, keepdims=True))
        torch.testing.assert_close(share, expected, atol=3e-3, rtol=0)


def test_without_names_there_is_no_weight_and_without_padding_no_mask():
    batch = draw(filled(scene_of(6, 0), scene_of(6, 0, 1)), [0, 1])
    assert batch.share.shape == (2, 6, 0) and not batch.weight.any()
    assert batch.valid is None and batch.real.all()


def test_a_drawn_share_is_sorted_and_never_too_small():
    keep = drawn(100, 0.3, np.random.default_rng(0))
    assert len(keep) == 30 and (np.diff(keep) > 0).all()
    assert len(drawn(100, 0.01, np.random.default_rng(0))) == 8
    assert drawn(5, 0.5, np.random.default_rng(0)).tolist() == [0, 1, 2, 3, 4]


def test_a_batch_has_scenes_of_one_count_and_as_many_tokens_whatever_it_is():
    counts = np.array([256, 512, 1024] * 5)
    rng = np.random.default_rng(0)
    seen = set()
    for _ in range(50):
        chosen = draw_scenes(counts, 4, rng)
        (count,) = set(counts[chosen].tolist())
        assert count * len(chosen) == 512 * 4
        seen.add(count)
    assert seen == {256, 512, 1024}


def test_a_batch_has_none_but_those_that_may_be_drawn():
    counts, among = np.array([256, 512, 1024, 512] * 5), np.arange(20) % 4 == 1
    rng = np.random.default_rng(0)
    seen = [draw_scenes(counts, 4, rng, among) for _ in range(20)]
    assert all(len(chosen) == 4 for chosen in seen)
    assert set(np.concatenate(seen).tolist()) == set(np.flatnonzero(among).tolist())
    assert len(draw_scenes(counts, 4, rng, np.zeros(20, bool))) in (2, 4, 8)


@pytest.fixture(scope="module")
def bank(tmp_path_factory):
    bank = Bank(tmp_path_factory.mktemp("bank"), points=(3_000, 4_000), views=2)
    bank.build(range(4))
    return bank


def test_a_bank_that_grows_is_read_on(bank):
    last = bank.path(3)
    hidden = tokens_path(last, "radius")
    away = hidden.rename(hidden.with_suffix(".away"))
    names = sorted(bank_names([bank.path(n) for n in range(3)]))
    memory = BankMemory(bank.folder, names, torch.device("cpu"), held_out=0.0)
    memory.add([bank.path(0), bank.path(1)])
    # Of a list without a held-out scene the first is; see ``split``.
    assert held_scenes([bank.path(n) for n in range(4)], 0.0).tolist() == [
        True,
        False,
        False,
        False,
    ]
    assert memory.counts.tolist() == [512]

    def take():
        memory.take_in_new()
        memory._reader.submit(int).result()

    take(), take()
    assert memory.counts.tolist() == [512, 1024]
    away.rename(hidden)
    take(), take()
    assert memory.counts.tolist() == [512, 1024, 256] and memory.mixed.all()
    assert all(len(tokens) == 3 for tokens in memory.tokens.values())
    assert len(memory.pictures.images) == 6
    take(), take()
    assert len(memory.counts) == 3
    assert len(memory.frequency()) == len(names) and memory.frequency().sum() > 0


def test_what_is_held_out_depends_on_a_scenes_number_alone(bank):
    numbers = [17, 400, 33, 2]
    paths = [bank.path(number) for number in numbers]
    np.testing.assert_array_equal(held_scenes(paths, 0.4), split(1000, 0.4, 1)[numbers])


def test_scenes_of_one_name_are_told_from_the_others():
    memory = BankMemory(Path(), ["a", "b"], torch.device("cpu"), held_out=0.0)
    picture = np.zeros((1, 4, 4, 3), np.uint8), np.zeros((1, 2, 2), np.int16)
    shares = [[1, 0]], [[0, 1], [1, 0]], [[0, 1], [0, 1]], [[0.5, 0.5]], [[0, 0]]
    scenes = [
        (
            picture,
            {t: replace(scene_of(len(s), 0), share=np.array(s, np.float32)) for t in TOKENIZATIONS},
        )
        for s in shares
    ]
    memory._take([Path(f"scene-{n:06}.npz") for n in range(5)], scenes)
    assert memory.mixed.tolist() == [False, True, False, True, False]

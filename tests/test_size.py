"""Sizes in metres: told or estimated, and never a matter of the file's unit."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

import s4token
from s4token.cli import main
from s4token.describe import LENGTHS, describe
from s4token.settings import Setting, Settings
from s4token.size import MetricSize, size_distance, told_in_training
from s4token.superpoints import Superpoints
from s4token.types import PointCloud

NAN = float("nan")


def learnt(size: MetricSize) -> MetricSize:
    torch.manual_seed(1)
    for last in (size.vote[2], size.tell[2]):
        torch.nn.init.normal_(last.weight, std=0.5)
    return size


def scenes(batch=3, tokens=20, hidden=16):
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(batch, tokens, hidden, generator=generator)
    return x, torch.rand(batch, tokens, LENGTHS, generator=generator)


def test_what_is_told_takes_the_place_of_the_estimate():
    size, (x, lengths) = learnt(MetricSize(16)), scenes()
    plain, estimate = size(x, lengths)
    told = torch.stack([estimate.detach(), torch.zeros(3)], dim=1)
    told[1] = NAN
    same, again = size(x, lengths, told)
    torch.testing.assert_close(same, plain)
    torch.testing.assert_close(again, estimate)
    told[2, 0] += 1
    other, again = size(x, lengths, told)
    torch.testing.assert_close(other[:2], plain[:2])
    torch.testing.assert_close(again, estimate)
    assert (other[2] - plain[2]).abs().amax(dim=-1).min() > 1e-3
    told[0, 1] = 1  # sure of the same size: another thing to know
    assert not torch.allclose(size(x, lengths, told)[0][0], plain[0])


def test_twice_the_pitch_is_half_the_lengths():
    size, (x, lengths) = learnt(MetricSize(16)), scenes()
    told = torch.tensor([[-1.0, 1.0]]).repeat(3, 1)
    first, _ = size(x, lengths, told)
    second, _ = size(x, lengths / 2, told + torch.tensor([np.log(2), 0]))
    torch.testing.assert_close(first, second.to(first.dtype), atol=1e-5, rtol=1e-5)


def test_padding_has_no_vote_and_no_gradient_reaches_it_through_the_estimate():
    size, (x, lengths) = learnt(MetricSize(16)), scenes()
    valid = torch.ones(3, 20, dtype=torch.bool)
    valid[0, 12:] = False
    _, estimate = size(x, lengths, None, valid)
    torch.testing.assert_close(estimate[:1], size.estimate(x[:1, :12]))
    out, _ = size(x, lengths)
    out.sum().backward()
    assert size.vote[2].weight.grad is None and size.tell[2].weight.grad is not None


def test_the_estimate_is_learnt_from_scenes_that_know_their_size():
    torch.manual_seed(0)
    size = MetricSize(16)
    optimizer = torch.optim.Adam(size.parameters(), lr=1e-2)
    for _ in range(300):
        x, lengths = torch.randn(16, 12, 16), torch.rand(16, 12, LENGTHS)
        pitch = torch.randn(16)
        x[:, ::3, 0] = pitch[:, None]  # every third token shows it
        x[:, ::3, 1] = 3.0
        known = pitch.masked_fill(torch.rand(16) < 0.3, NAN)
        loss = size_distance(size(x, lengths)[1], known)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert (size(x, lengths)[1] - pitch).abs().mean() < 0.2


def test_distance_leaves_out_what_nobody_knows():
    estimate = torch.tensor([0.0, 1.0, 5.0], requires_grad=True)
    distance = size_distance(estimate, torch.tensor([0.0, 0.0, NAN]))
    torch.testing.assert_close(distance, torch.tensor(0.475))
    distance.backward()
    assert estimate.grad is not None and estimate.grad[2] == 0
    assert size_distance(estimate, torch.full((3,), NAN)) == 0


def test_half_of_the_scenes_are_told_exactly():
    pitch = torch.linspace(-2, 1, 2000)
    pitch[0] = NAN
    told = told_in_training(pitch, torch.Generator().manual_seed(0), error=0.3)
    assert told[0, 0].isnan()
    sure = told[:, 1] == 1
    assert 0.45 < sure.float().mean() < 0.55
    sure[0] = False
    torch.testing.assert_close(told[sure, 0], pitch[sure])
    off = (told[:, 0] - pitch)[told[:, 1] == 0]
    assert 0.27 < off[off.isfinite()].std() < 0.33


def test_a_cloud_in_other_units_knows_its_new_unit(room_cloud):
    told = replace(room_cloud, metres_per_unit=0.01)
    assert told.scaled(10).metres_per_unit == pytest.approx(0.001)
    assert room_cloud.scaled(10).metres_per_unit is None
    assert told.fingerprint == room_cloud.fingerprint
    for wrong in (0.0, -1.0, NAN, float("inf")):
        with pytest.raises(ValueError, match="metres_per_unit"):
            replace(room_cloud, metres_per_unit=wrong)


@pytest.fixture
def sized(tiny_model):
    """Return a model that has learnt sizes, somehow."""
    before = tiny_model.recipe
    tiny_model.recipe = {"knows_metres": True}
    size = tiny_model.learned["superpoint"].size
    state = {k: v.clone() for k, v in size.state_dict().items()}
    learnt(size)
    yield tiny_model
    size.load_state_dict(state)
    tiny_model.recipe = before


@pytest.mark.parametrize("factor", [0.001, 0.3048, 1000.0])
def test_units_do_not_matter_told_or_not(sized, room_cloud, factor):
    told = replace(room_cloud, metres_per_unit=1.0)
    plain, sure = sized.encode(room_cloud), sized.encode(told)
    assert sure.metres_per_unit == 1.0 and plain.metres_per_unit > 0
    assert np.abs(plain.features - sure.features).max() > 1e-3
    other, known = sized.encode(room_cloud.scaled(factor)), sized.encode(told.scaled(factor))
    assert other.metres_per_unit == pytest.approx(plain.metres_per_unit / factor, rel=1e-3)
    assert known.metres_per_unit == pytest.approx(1 / factor)
    np.testing.assert_allclose(known.features, sure.features, atol=2e-3)
    np.testing.assert_allclose(other.features, plain.features, atol=2e-3)
    # The control: told another unit, the same points are another size.
    wrong = sized.encode(replace(room_cloud, metres_per_unit=0.1))
    assert np.abs(wrong.features - sure.features).max() > 1e-3


def test_tokenizers_that_trust_the_unit_estimate_none(sized, room_cloud):
    assert sized.encode(room_cloud, tokenizer="knn").metres_per_unit is None
    sized.recipe = {}
    assert sized.encode(room_cloud).metres_per_unit is None


def test_settings_tell_the_unit_and_rows_state_it(room_cloud):
    settings = Settings(("superpoint",), unit="cm")
    setting = Setting("superpoint", "token", scale=100.0)
    assert settings.scaled(room_cloud, setting).metres_per_unit == pytest.approx(1e-4)
    assert settings.stated(setting) == {"unit": "cm"}
    assert settings.stated(Setting("knn", "none")) == {}
    assert Settings().scaled(room_cloud, setting).metres_per_unit is None
    with pytest.raises(ValueError, match="unit: expected one of m, cm"):
        Settings(unit="furlong")


def test_the_command_line_says_which_size_it_took(tmp_path, capsys):
    scan = s4token.room("bathroom", 3, points=4000).cloud
    s4token.write(tmp_path / "scan.ply", scan)
    run = ["segment", str(tmp_path / "scan.ply"), "--prompts", "wall", "floor", "--out"]
    out = tmp_path / "out.ply"
    assert main([*run, str(out)]) == 0
    guessed = json.loads(out.with_suffix(".json").read_text())["provenance"]
    assert guessed["unit_told"] is False
    assert "the scan is about" in capsys.readouterr().err
    assert main([*run, str(out), "--unit", "ft"]) == 0
    told = json.loads(out.with_suffix(".json").read_text())["provenance"]
    assert told["unit_told"] is True and told["metres_per_unit"] == 0.3048
    assert "the scan is" not in capsys.readouterr().err
    assert (s4token.read(out).points == s4token.read(tmp_path / "scan.ply").points).all()


def test_lengths_are_in_token_pitches():
    rng = np.random.default_rng(0)
    cloud = PointCloud(rng.random((2000, 3)) * [4, 3, 2])
    groups = Superpoints(30)(cloud)
    first, second = (describe(c, groups) for c in (cloud, cloud.scaled(7.0)))
    assert second.pitch == pytest.approx(7 * first.pitch, rel=1e-5)
    np.testing.assert_allclose(first.shape, second.shape, atol=1e-4)

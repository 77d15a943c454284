"""The Train tab in a real browser: scans of one's own in, tokenizers that answer out."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from test_browser import CHROMIUM, FLAGS, started, visit

import s4token

pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("training")


@pytest.fixture(scope="module")
def server(folder):
    if not CHROMIUM.exists() and os.environ.get("S4TOKEN_REQUIRE_BROWSER") != "1":
        pytest.skip("needs chromium: apt-get install chromium")
    with started(folder / "log.txt", folder) as (server, _):
        yield server


@pytest.fixture
def page(server):
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=FLAGS.split())
        yield visit(browser, server)
        browser.close()


def write_scans(folder: Path) -> None:
    folder.mkdir()
    for number in range(2):
        cloud = s4token.room("office", number, points=3_000).cloud
        s4token.write(folder / f"room-{number}.ply", s4token.PointCloud(cloud.points, cloud.colors))
    (folder / "broken.ply").write_bytes(b"ply\nnonsense")


def test_train_on_own_scans_pause_resume_and_use(page, folder, tmp_path):
    write_scans(tmp_path / "scans")
    page.page.set_default_timeout(300_000)  # processes of low priority on a busy machine
    find = page.page.locator
    line = "#s4-train-status"
    page.page.get_by_role("tab", name="Train").click()
    page.status("Nothing is being trained", line)
    assert find("#s4-train-pause").is_disabled() and find("#s4-train-start").is_enabled()
    assert find("#s4-train-unit").is_hidden(), "the bundled rooms are in metres"
    find("#s4-train-source").get_by_text("My scans").click()
    find("#s4-train-unit input").click()
    page.page.get_by_role("option", name="cm", exact=True).click()
    find("#s4-train-start").click()
    page.status("choose a folder", line)
    find("#s4-train-scans input[type=file]").set_input_files(tmp_path / "scans")
    find("#s4-train-scans").get_by_text("room-1").first.wait_for()
    find("#s4-train-name input").fill("<b>Büro</b>")
    find("#s4-train-scenes input").fill("3")
    find("#s4-train-steps input").fill("100000")
    find("#s4-train-start").click()
    page.status("is learning: superpoint tokens, step", line)
    find("#s4-train-plot .js-plotly-plot").wait_for()
    find(".s4-notes").get_by_text("broken.ply").wait_for()
    (plan,) = folder.glob("training/*/plan.json")
    assert json.loads(plan.read_text())["unit"] == "cm"
    find("#s4-train-pause").click()
    page.status(r"is paused \(superpoint tokens", line)
    assert find("#s4-train-start").is_disabled() and find("#s4-train-resume").is_enabled()
    find("#s4-train-resume").click()
    page.status("is learning: superpoint tokens, step", line)
    find("#s4-train-stop").click()
    page.status("<b>Büro</b> is ready: choose it below. It was stopped early", line)
    find("#s4-train-choice input").click()
    page.page.get_by_role("option", name="<b>Büro</b> (superpoint").click()
    find("#s4-badge").get_by_text("b_Büro_b.safetensors").wait_for()
    page.page.get_by_role("tab", name="Explore").click()
    page.redrawn(page.page.get_by_role("button", name="Office", exact=True).click)
    page.status("^Office: .* points in .* tokens")
    assert find("#s4-tokenizer").get_by_role("radio").count() == 1, "only what was trained"
    assert not page.errors and not page.foreign

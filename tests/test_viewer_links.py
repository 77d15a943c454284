"""Links: what a page shows comes back, and nothing that a link says is trusted."""

from __future__ import annotations

import pytest

from viewer import events, links
from viewer.controls import Controls
from viewer.figures import Look
from viewer.session import Query

ROOMS, TOKENIZERS = ("office", "kitchen"), ("superpoint", "knn")


def parse(text):
    return links.parse(text, ROOMS, TOKENIZERS)


def test_what_is_written_is_read():
    query = Query(
        ("Stühle | 椅子", "a & b = c#?+%", "<b>"), ("not this",), 0.45, {"<b>": 0.07}, best=True
    )
    c = Controls(view="Heatmap", heat="<b>", scale="raw", cut=0.75)
    text = links.write("kitchen", query, "knn", c)
    assert text.isascii() and "#" not in text and " " not in text
    link = parse(f"#{text}&camera=1,-2.5,3e-3,0.1,-0.2,9")
    found = link.controls
    asked = found.query()
    assert (asked.prompts, asked.negatives, asked.threshold) == (
        query.prompts, query.negatives, query.threshold,
    )  # fmt: skip
    assert (found.view, found.heat, found.scale, found.cut) == ("Heatmap", "<b>", "raw", 0.75)
    assert (link.scan, found.tokenizer, link.best) == ("kitchen", "knn", True)
    assert link.own == (None, None, 7) and link.camera == (1, -2.5, 0.003, 0.1, -0.2, 9)


@pytest.mark.parametrize("text", [None, "", "#", "#top", 5, "view=settings"])
def test_an_address_without_a_scan_is_no_link(text):
    assert parse(text) is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("scan=attic", "no bundled scan 'attic'; links open office, kitchen only"),
        ("scan=/etc/passwd", "no bundled scan"),
        ("scan=..%2F..%2Froom.ply", "no bundled scan"),
        ("scan=", "no bundled scan ''"),
        ("scan=office&file=/etc/passwd", "'file' is no part of a link"),
        ("scan=office&camera=1,2,3", "camera: expected x, y, z, yaw, pitch, distance"),
        ("scan=office&camera=1,2,3,4,5,nan", "camera: expected a number"),
        ("scan=office&camera=1,2,3,4,5,1e99", "camera: expected a number"),
        ("scan=office&camera=1,2,3,4,5,0", "the distance above 0"),
        ("scan=office&threshold=high", "threshold: expected a number, got 'high'"),
        ("scan=office&cut=inf", "cut: expected a number"),
        ("scan=office&view=Secrets", "view: expected one of"),
        ("scan=office&tokenizer=bytes", "tokenizer: expected one of superpoint, knn"),
        ("scan=office&own=1,x", "own: expected percentages"),
        ("scan=office&own=101", "own: expected percentages"),
        ("scan=office&words=" + "a" * 20_000, "characters"),
    ],
)
def test_a_bad_link_is_named(text, words):
    with pytest.raises(ValueError, match=words):
        parse(text)


def test_a_link_opens_what_it_was_made_from(app):
    first = app.store.open()
    c = Controls(prompts="red | chair\nblue", negatives="green", threshold=0.1, cut=0.8)
    events.open_room(app, first, "kitchen", c)
    events.tune(app, first, "threshold", 2, 55, c)
    shown = events.redraw(app, first, Controls(view="Heatmap", heat="blue", cut=0.8))
    link = events.parse_link(app, f"#{shown.scene['link']}&camera=0,1,2,0.5,0.25,7")
    second = app.store.open()
    screen = events.open_link(app, second, link, Look())
    assert app.store.get(second).query == app.store.get(first).query
    assert screen.view == "Heatmap" and screen.heat == "blue"
    assert screen.prompts == "red | chair\nblue"
    assert screen.scene["camera"] == {
        "target": [0, 1, 2], "yaw": 0.5, "pitch": 0.25, "distance": 7,
    }  # fmt: skip
    ours, theirs = (app.store.get(h).answer.labels for h in (first, second))
    assert (ours == theirs).all() and screen.scene["link"] == shown.scene["link"]


def test_an_uploaded_scan_has_no_link(app, tmp_path):
    import s4token
    from tests.fakes import striped_cloud

    s4token.write(tmp_path / "Kitchen.ply", striped_cloud())
    handle = app.store.open()
    screen = events.open_file(app, handle, tmp_path / "Kitchen.ply", Controls(prompts="red"))
    assert "link" not in screen.scene

"""Several people: who may come in, what each one has to himself, what is refused."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import numpy as np
import pytest

import s4token
from benchmarks.sessions import Page, counts
from tests.fakes import FakeModel, striped_cloud
from viewer.access import accounts, is_loopback
from viewer.corrections import Desk
from viewer.session import Layer, Session, Store

ROOT = Path(__file__).resolve().parent.parent
PEOPLE = {"ann": "first:word", "bob": "second"}


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("127.0.0.1", True), ("127.0.0.9", True), ("localhost", True), ("::1", True),
        ("[::1]", True), ("0.0.0.0", False), ("::", False), ("192.168.1.5", False),
        ("example.org", False), ("", False),
    ],
)  # fmt: skip
def test_what_only_this_machine_reaches(host, local, monkeypatch):
    monkeypatch.delenv("S4TOKEN_AUTH", raising=False)
    assert is_loopback(host) == local
    if local:
        assert accounts(host, None) is None
    else:
        with pytest.raises(ValueError, match="add --auth USER:PASSWORD"):
            accounts(host, None)
    assert accounts(host, "ann:x:y") == [("ann", "x:y")]


def test_accounts_from_a_file_or_the_environment(tmp_path, monkeypatch):
    path = tmp_path / "people"
    path.write_text("# who may come in\nann:first:word\n\nbob:second\n")
    assert accounts("0.0.0.0", str(path)) == list(PEOPLE.items())
    monkeypatch.setenv("S4TOKEN_AUTH", str(path))
    assert accounts("127.0.0.1", None) == list(PEOPLE.items())
    monkeypatch.setenv("S4TOKEN_AUTH", "eve:x")
    assert accounts("127.0.0.1", None) == [("eve", "x")]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "USER:PASSWORD"),
        ("ann", "neither a file nor an account"),
        ("ann:", "neither a file nor an account"),
        ("../x:y", "letters, digits"),
        ("ann:x\nAnn:y", "line 2 names Ann again"),
        ("# nobody", "no line USER:PASSWORD"),
        ("ann:x\nbroken", "line 2: expected USER:PASSWORD"),
    ],
)
def test_what_is_no_account_is_refused_without_telling_the_password(tmp_path, text, said):
    if "\n" in text or text.startswith("#"):
        path = tmp_path / "people"
        path.write_text(text)
        text = str(path)
    with pytest.raises(ValueError, match=said) as caught:
        accounts("0.0.0.0", text)
    assert "broken" not in str(caught.value)


def test_the_program_refuses_a_public_address_in_one_line():
    env = {k: v for k, v in os.environ.items() if k != "S4TOKEN_AUTH"}
    done = subprocess.run(
        [sys.executable, "app.py", "--host", "0.0.0.0"],
        cwd=ROOT, capture_output=True, text=True, timeout=60, check=False, env=env,
    )  # fmt: skip
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "0.0.0.0" in line and "--auth" in line


def test_a_session_is_for_its_visitor_alone():
    visitor = ["ann"]
    store = Store(1 << 30, visitor=lambda: visitor[0])
    handle, cloud = store.open(), striped_cloud(100)
    store.update(handle, lambda s: Session("hers", cloud))
    visitor[0] = "bob"
    for attempt in (
        lambda: store.get(handle),
        lambda: store.has_scan(handle),
        lambda: store.update(handle, lambda s: Session("his", cloud)),
    ):
        with pytest.raises(ValueError, match="another person's"):
            attempt()
    visitor[0] = "ann"
    assert store.get(handle).name == "hers"


def test_one_page_cannot_take_the_memory_of_all():
    small, large = (
        Session(name, cloud).with_layers({("superpoint", 1.0): Layer(FakeModel().encode(cloud))})
        for name, cloud in (("small", striped_cloud(1000)), ("large", striped_cloud(1900)))
    )
    store = Store(3 * small.nbytes, small.nbytes)
    first, second = store.open(), store.open()
    store.update(first, lambda s: small)
    with pytest.raises(ValueError, match="a page may use"):
        store.update(second, lambda s: large)
    assert store.get(first).name == "small" and not store.has_scan(second)


def test_corrections_of_the_same_scan_are_kept_apart(tmp_path):
    visitor, cloud = ["ann"], striped_cloud(50)
    desk = Desk(tmp_path, visitor=lambda: visitor[0])
    hers = desk.open("a", cloud)
    hers.set(np.arange(5), "red")
    visitor[0] = "bob"
    his = desk.open("b", cloud)
    assert his is not hers and his.count == 0 and desk.owns("b") and desk.owns("a")
    his.set(np.arange(9), "blue")
    desk.close("a"), desk.close("b")
    visitor[0] = "ann"
    assert Desk(tmp_path, visitor=lambda: "ann").open("c", cloud).count == 5
    assert Desk(tmp_path).open("d", cloud).count == 0, "and apart from those without an account"
    assert sorted(p.parent.name for p in tmp_path.rglob("*.journal")) == ["ann", "bob"]


SERVE = """
import sys, viewer
from tests.fakes import FakeModel
model = FakeModel()
auth = viewer.accounts("0.0.0.0", sys.argv[2])
demo = viewer.build(lambda: model)
demo.launch(server_port=int(sys.argv[1]), auth=auth, **viewer.launch_options())
"""


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    """The app with two accounts, on a model without weights."""
    folder = tmp_path_factory.mktemp("served")
    (folder / "people").write_text("".join(f"{u}:{p}\n" for u, p in PEOPLE.items()))
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    env = {**os.environ, "S4TOKEN_STATE": str(folder), "PYTHONPATH": str(ROOT)}
    with (folder / "log.txt").open("w") as log:
        command = [sys.executable, "-c", SERVE, str(port), str(folder / "people")]
        process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log, env=env)
    try:
        until = time.monotonic() + 180
        while True:
            assert process.poll() is None and time.monotonic() < until
            try:
                httpx.get(f"http://127.0.0.1:{port}/")
                break
            except httpx.TransportError:
                time.sleep(0.2)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(30)


def opened(url: str, user: str, folder: Path, points: int) -> Page:
    page = Page(url, (user, PEOPLE[user]))
    page.load()
    path = folder / f"{user}.ply"
    s4token.write(path, striped_cloud(points))
    page.set("s4-upload", page.upload(path))
    assert f"{points:,} points" in page.send("s4-upload", "upload")["s4-status"]
    return page


def test_nothing_is_served_without_an_account(url, tmp_path):
    with opened(url, "ann", tmp_path, 700) as page, httpx.Client(base_url=url) as stranger:
        page.set("s4-prompts", "red")
        address = file_of(page.send("s4-find", "click")["s4-canvas"])
        assert page.http.get(address).status_code == 200
        assert stranger.get(address).status_code == 401
        check_stranger(stranger)


def check_stranger(stranger: httpx.Client) -> None:
    for path in ("/config", "/gradio_api/info", "/gradio_api/file=app.py"):
        assert stranger.get(path).status_code in (401, 404), path
    asked = {"data": [], "fn_index": 0, "session_hash": "x"}
    assert stranger.post("/gradio_api/queue/join", json=asked).status_code == 401
    assert stranger.post("/gradio_api/upload", files={"files": b"x"}).status_code == 401
    wrong = stranger.post("/login", data={"username": "ann", "password": "second"})
    assert wrong.status_code == 400


def file_of(scene: object) -> str:
    """Return the address of the first file of a scene."""
    if isinstance(scene, dict):
        if isinstance(scene.get("path"), str):
            return f"/gradio_api/file={scene['path']}"
        scene = list(scene.values())
    for part in scene if isinstance(scene, list) else ():
        if found := file_of(part):
            return found
    return ""


def test_another_persons_session_is_refused_and_unchanged(url, tmp_path):
    with (
        opened(url, "ann", tmp_path, 900) as ann,
        opened(url, "bob", tmp_path, 1100) as bob,
    ):
        check_apart(ann, bob)


def check_apart(ann: Page, bob: Page) -> None:
    ann.set("s4-prompts", "red\nblue")
    before = counts(ann.send("s4-find", "click")["s4-legend"])
    assert sum(before.values()) == 900
    # A handle in the message counts for nothing: the server has it from its own memory.
    bob.set("s4-prompts", "green")
    dep = bob.events[bob.ids["s4-find"], "click"]
    (state,) = set(dep["inputs"]) - bob.names.keys()
    bob.values[state] = ann.session
    assert sum(counts(bob.run(dep)["s4-legend"]).values()) == 1100
    # Neither does the key of the other page's connection, should it become known.
    bob.session = ann.session
    for name, event, told in (
        ("s4-find", "click", None),
        ("s4-view", "input", None),
        ("s4-canvas", "pick", {"token": 0}),
        ("s4-canvas", "edit", {"op": "undo", "number": 1}),
        ("s4-export", "click", None),
        ("s4-legend", "click", {"action": "hide", "label": 1}),
    ):
        said = bob.send(name, event, told)["s4-status"]
        assert "another person" in said, name
    assert "another person" in bob.send("s4-compare", "click")["s4-compare-status"]
    after = ann.send("s4-find", "click")["s4-legend"]
    assert counts(after) == before and "s4-off" not in after

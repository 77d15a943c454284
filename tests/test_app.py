"""The program app.py, and that what it serves stays on this machine."""

from __future__ import annotations

import ast
import asyncio
import json
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

ROOT = Path(__file__).resolve().parent.parent


def run(*args: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *args], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False
    )


def test_the_program_is_short():
    assert len((ROOT / "app.py").read_text().splitlines()) < 52


def test_help_is_quick_and_names_every_option():
    done = run("app.py", "--help")
    assert done.returncode == 0
    assert all(f"--{name}" in done.stdout for name in ("port", "host", "checkpoint", "device"))
    assert "127.0.0.1" in (ROOT / "app.py").read_text()


@pytest.mark.parametrize("args", [("--port", "many"), ("--port", "99999"), ("--nonsense",)])
def test_a_bad_argument_is_exit_code_2(args):
    assert run("app.py", *args).returncode == 2


@pytest.mark.parametrize("content", [None, b"", b"not safetensors"])
def test_a_bad_checkpoint_is_one_line_and_exit_code_2(tmp_path, content):
    path = tmp_path / "bad.safetensors"
    if content is not None:
        path.write_bytes(content)
    done = run("app.py", "--checkpoint", str(path))
    assert done.returncode == 2, done.stderr
    (line,) = [x for x in done.stderr.splitlines() if x.strip()]
    assert "bad.safetensors" in line and "Traceback" not in done.stderr


def test_a_port_in_use_is_one_line_and_exit_code_2():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        done = run("app.py", "--port", str(taken.getsockname()[1]))
    assert done.returncode == 2 and "port" in done.stderr, done.stderr
    assert "Traceback" not in done.stderr


def test_stopped_as_services_are_it_leaves_no_scan_behind(tmp_path):
    env = os.environ | {"TMPDIR": str(tmp_path), "S4TOKEN_STATE": str(tmp_path / "state")}
    command, log = [sys.executable, "app.py"], tmp_path / "log.txt"
    with log.open("w") as out:
        process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=out, stderr=out)
    try:
        until = time.monotonic() + 180
        while not (address := re.search(r"S4Token is at (\S+)", log.read_text())):
            assert process.poll() is None and time.monotonic() < until, log.read_text()
            time.sleep(0.2)
        scan = {"files": ("scan.ply", b"ply")}
        assert httpx.post(address[1] + "gradio_api/upload", files=scan).status_code == 200
        assert list(tmp_path.glob("gradio/*/scan.ply")) and list(tmp_path.glob("s4token-*"))
        process.terminate()
        assert process.wait(60) == 0, log.read_text()
    finally:
        process.kill()
        process.wait(30)
    assert not list(tmp_path.glob("s4token-*")) and not list(tmp_path.rglob("scan.ply"))


def test_a_missing_scan_is_exit_code_2_for_the_desktop_window():
    done = run("-m", "viewer", "nowhere.ply")
    assert done.returncode == 2 and "nowhere.ply" in done.stderr
    assert "Traceback" not in done.stderr


def test_importing_the_viewer_is_light():
    code = "import sys, viewer; print(sorted({'gradio', 'torch', 'open3d'} & set(sys.modules)))"
    assert run("-c", code).stdout.strip() == "[]"


def imported(path: Path) -> set[str]:
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
    return names


@pytest.mark.parametrize("path", sorted((ROOT / "viewer").glob("*.py")), ids=lambda p: p.name)
def test_the_viewer_knows_only_public_names(path):
    names = imported(path)
    assert not {n for n in names if n.split(".")[0] in ("torch", "open_clip", "trimesh")}
    assert not {n for n in names if n.startswith("s4token.")}
    assert "open3d" not in names or path.name == "desktop.py"
    assert not {n for n in names if n.split(".")[0] == "gradio"} or path.name in (
        "api_layout.py",
        "compare_layout.py",
        "exchange_layout.py",
        "layout.py",
        "link_layout.py",
        "page.py",
        "serving.py",
        "train_layout.py",
    )


SAFE = """
import json, viewer
from tests.fakes import FakeModel
options = viewer.launch_options()
theme = options["theme"]
demo = viewer.build(FakeModel)
print(json.dumps({
    **{name: options[name] for name in ("share", "allowed_paths", "max_file_size", "run_history")},
    "text": options["css"] + options["head"],
    "fonts": sorted({type(f).__name__ for f in [*theme._font, *theme._font_mono]}),
    "delete_cache": demo.delete_cache,
    "open": sorted(f.api_name for f in demo.fns.values() if f.api_visibility != "private"),
}))
"""


def test_the_app_is_built_safe():
    # In a process of its own: Gradio leaves an event loop behind, and here warnings are errors.
    done = run("-c", SAFE)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout.splitlines()[-1])
    assert found["share"] is False and found["allowed_paths"] == []
    assert found["max_file_size"] == "1gb" and found["run_history"] is False
    assert "//" not in found.pop("text").replace("/*", "").replace("// ", "")
    assert set(found["fonts"]) <= {"str", "Font"}, "only fonts of the system"
    assert found["delete_cache"] == [3600, 86400]
    assert found["open"] == ["model", "segment"], "no event of the page is an open endpoint"


EARLY = """
from types import SimpleNamespace
import viewer
def model():
    raise SystemExit("asked for the model")
demo = viewer.build(model)
(load,) = [f.fn for f in demo.fns.values() if any(name == "load" for _, name in f.targets)]
print(load(SimpleNamespace(session_hash="page")))
"""


def test_a_page_has_its_session_before_there_is_a_model():
    done = run("-c", EARLY)
    assert done.returncode == 0 and len(done.stdout.strip()) > 10, done.stderr


def test_the_browser_is_told_to_stay_here():
    from viewer.serving import SecurityHeaders

    sent = []

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": [(b"a", b"b")]})

    async def receive():
        return {}

    async def send(message):
        sent.append(message)

    asyncio.run(SecurityHeaders(app)({"type": "http"}, receive, send))
    headers = dict(sent[0]["headers"])
    assert headers[b"a"] == b"b"
    policy = headers[b"content-security-policy"].decode()
    assert "default-src 'self'" in policy and "http" not in policy and "*" not in policy


def test_analytics_are_off():
    code = "import viewer, os; print(os.environ['GRADIO_ANALYTICS_ENABLED'])"
    assert run("-c", code).stdout.strip() == "False"


def test_every_key_does_one_thing():
    text = (ROOT / "viewer" / "static" / "keys.js").read_text(encoding="utf-8")
    keys = re.findall(r'^    \["\w+", "([^"]+)", "', text, flags=re.MULTILINE)
    assert len(keys) > 20 and len(set(keys)) == len(keys)
    assert not {"W", "A", "S", "D", "Q", "E"} & set(keys), "these fly"

"""The endpoints, called as docs/api.md shows, against a server of their own."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest

import s4token
from tests.fakes import striped_cloud

pytest.importorskip("gradio_client", reason="needs gradio_client")

ROOT = Path(__file__).resolve().parent.parent
SERVE = """
import sys, viewer
from tests.fakes import FakeModel
demo = viewer.build(FakeModel)
demo.launch(server_port=int(sys.argv[1]), **viewer.launch_options())
"""
CALL = """
import json, sys
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError
client = Client(sys.argv[1], verbose=False, httpx_kwargs={"timeout": 120})
print(json.dumps(sorted(client.view_api(return_format="dict")["named_endpoints"])))
print(client.predict(api_name="/model")["checkpoint"])
def refused(**asked):
    try:
        client.predict(api_name="/segment", **asked)
    except Exception as error:
        print(" ".join(str(error).split()) or type(error).__name__)
    else:
        print("accepted")
scan = handle_file(sys.argv[2])
refused(scan=scan, words="")
refused(scan=scan, words="red", threshold=-7, tokenizer="nonsense")
refused(scan=handle_file(sys.argv[3]), words="red")
refused(scan={"path": "/etc/passwd", "meta": {"_type": "gradio.FileData"}}, words="red")
refused(scan="/etc/passwd", words="red")
refused(scan=scan, words="red", up="sideways")
print(client.predict(api_name="/segment", scan=scan, words="red", up="-y")[1]["provenance"]["up"])
"""


def run(code: str, *args: str, cwd: Path = ROOT) -> str:
    """Run code in a process of its own: Gradio's client leaves threads and warnings behind."""
    done = subprocess.run(
        [sys.executable, "-c", code, *args],
        cwd=cwd, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    log = tmp_path_factory.mktemp("api") / "log.txt"
    with log.open("w") as out:
        process = subprocess.Popen(
            [sys.executable, "-c", SERVE, str(port)], cwd=ROOT, stdout=out, stderr=out
        )
    url = f"http://127.0.0.1:{port}"
    try:
        start = time.monotonic()
        while True:
            assert process.poll() is None, log.read_text()
            assert time.monotonic() - start < 400, log.read_text()
            try:
                urllib.request.urlopen(url, timeout=5).close()
                break
            except OSError:
                time.sleep(0.1)
        yield url
    finally:
        process.terminate()
        process.wait(30)


def example(name: str) -> str:
    """Return the code of a page, or of all cells of a notebook."""
    text = (ROOT / "docs" / name).read_text(encoding="utf-8")
    if name.endswith(".ipynb"):
        cells = [c["source"] for c in json.loads(text)["cells"] if c["cell_type"] == "code"]
        return "\n".join("".join(lines) for lines in cells)
    (code,) = re.findall(r"```python\n(.*?)```", text, re.S)
    return code


@pytest.mark.parametrize("name", ["api.md", "api.ipynb"])
def test_the_example_of_the_documentation_runs(url, tmp_path, name):
    code = example(name)
    assert code.count("http://127.0.0.1:7860") == code.count('"room.ply"') == 1
    cloud = striped_cloud()
    s4token.write(tmp_path / "room.ply", cloud)
    patient = f'"{url}", httpx_kwargs={{"timeout": 120}}'  # a busy machine is slow, not wrong
    code = code.replace('"http://127.0.0.1:7860"', patient)
    code = code.replace("chair | seat\\ntable\\nfloor", "red | seat\\nblue\\n椅子")
    path, *rows = [x for x in run(code, cwd=tmp_path).splitlines() if not x.startswith("Loaded")]
    back = s4token.read_scan(path)
    assert np.array_equal(back.cloud.points, cloud.points)
    assert [r.rsplit(" ", 1)[0] for r in rows] == [
        "0 unlabelled", "1 red | seat", "2 blue", "3 椅子",
    ]  # fmt: skip
    counts = [int(r.rsplit(" ", 1)[1]) for r in rows]
    assert counts == np.bincount(back.labels, minlength=4).tolist()
    stripe = np.minimum(cloud.points[:, 0].astype(int), 2)
    assert (back.labels[stripe == 0] == 1).mean() > 0.8


def test_only_named_endpoints_are_open_and_refuse_what_is_wrong(url, tmp_path):
    s4token.write(tmp_path / "Küche_北京.ply", striped_cloud())
    (tmp_path / "broken.ply").write_bytes(b"not a ply")
    found = run(CALL, url, str(tmp_path / "Küche_北京.ply"), str(tmp_path / "broken.ply"))
    names, model, empty, odd, broken, stolen, text, sideways, up = found.splitlines()[-9:]
    assert names == '["/model", "/segment"]' and model == "fake.safetensors"
    assert "Words: type at least one" in empty
    assert "accepted" not in (odd, broken, stolen, text, sideways)
    assert json.loads(up) == [0, -1, 0]
    assert "broken.ply" in broken and str(tmp_path) not in broken
    assert "root:" not in stolen + text

"""Several people at once: pages that each upload a scan of their own and ask for words.

    python -m benchmarks.sessions [--sessions 8] [--points 200000] [--prompts 200] [--json FILE]

Starts the app and talks to it as browsers do, one thread per page. Each page uploads another
synthetic room and asks 200 lists of words in a row; every answer's legend is compared with what
``segment`` says of that page's own scan in this process. The number of points, which every
legend adds up to, differs from page to page, so an answer for another page cannot pass.
"""

from __future__ import annotations

import argparse
import html
import json
import math
import os
import re
import secrets
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np

ROOT = Path(__file__).resolve().parent.parent
ROUNDING = 3
"""Points of an answer that may be in another class without it being another page's."""
KINDS = ("living", "bedroom", "kitchen", "office", "bathroom", "corridor", "meeting", "shop")
NAMES = (
    "chair table desk sofa bed wardrobe lamp window door floor wall ceiling shelf book plant "
    "mirror curtain rug cup bottle screen keyboard bin radiator sink stove fridge stool picture"
)
WORDS = NAMES.split()
ROW = re.compile(r'<th scope="row" title="([^"]*)">.*?<td class="s4-number">([\d,]+)</td>', re.S)


class Page:
    """Speak to the app as a page in a browser does: one session, events by component and name.

    Raises RuntimeError when the app answers an event with an error of its own.
    """

    def __init__(self, url: str, account: tuple[str, str] | None = None) -> None:
        self.http = httpx.Client(base_url=url, timeout=900, follow_redirects=True)
        if account is not None:
            login = {"username": account[0], "password": account[1]}
            self.http.post("/login", data=login).raise_for_status()
        answer = self.http.get("/config")
        answer.raise_for_status()
        config = answer.json()
        self.events = {
            (target, event): dep
            for dep in config["dependencies"]
            if dep["backend_fn"]
            for target, event in dep["targets"]
        }
        found = {c["id"]: c["props"] for c in config["components"]}
        self.ids = {p["elem_id"]: i for i, p in found.items() if p.get("elem_id")}
        self.names = {i: name for name, i in self.ids.items()}
        self.values = {i: p.get("value") for i, p in found.items()}
        self.session = secrets.token_hex(8)

    def __enter__(self) -> Page:
        return self

    def __exit__(self, *error: object) -> None:
        self.http.close()

    def load(self) -> None:
        """Open the page: the app gives it a session of its own."""
        (dep,) = [d for (_, event), d in self.events.items() if event == "load"]
        self.run(dep)

    def set(self, name: str, value: Any) -> None:
        """Fill in a component by the id of its element."""
        self.values[self.ids[name]] = value

    def send(self, name: str, event: str, told: Any = None) -> dict[str, Any]:
        """Send an event of a component and return what it fills, by the ids of elements."""
        return self.run(self.events[self.ids[name], event], told)

    def run(self, dep: Mapping[str, Any], told: Any = None) -> dict[str, Any]:
        """Send an event and wait for the end of its answer."""
        body = {
            "data": [self.values.get(i) for i in dep["inputs"]],
            "fn_index": dep["id"],
            "event_data": told,
            "session_hash": self.session,
            "trigger_id": dep["targets"][0][0],
        }
        self.http.post("/gradio_api/queue/join", json=body).raise_for_status()
        asked = {"session_hash": self.session}
        with self.http.stream("GET", "/gradio_api/queue/data", params=asked) as lines:
            lines.raise_for_status()
            for line in lines.iter_lines():
                said = json.loads(line[6:]) if line.startswith("data: ") else {}
                if said.get("msg") == "process_completed":
                    if not said["success"]:
                        raise RuntimeError(str(said["output"])[:400])
                    pairs = zip(dep["outputs"], said["output"]["data"], strict=True)
                    return {self.names[i]: value for i, value in pairs if i in self.names}
        raise RuntimeError("the answer ended early")

    def upload(self, path: Path) -> dict[str, Any]:
        """Upload a file and return it as components take it."""
        with path.open("rb") as file:
            answer = self.http.post("/gradio_api/upload", files={"files": (path.name, file)})
        answer.raise_for_status()
        meta = {"_type": "gradio.FileData"}
        return {"path": answer.json()[0], "orig_name": path.name, "meta": meta}


def counts(legend: str) -> dict[str, int]:
    """Return how many points each class has, read from the legend."""
    rows = ROW.findall(legend)
    return {html.unescape(name): int(number.replace(",", "")) for name, number in rows}


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return probe.getsockname()[1]


@contextmanager
def app(folder: Path) -> Iterator[tuple[str, subprocess.Popen, Path]]:
    """Start the app with its state in a folder; yields its address, process and output."""
    port, log = free_port(), folder / "log.txt"
    env = {**os.environ, "S4TOKEN_STATE": str(folder), "GRADIO_TEMP_DIR": str(folder / "uploads")}
    with log.open("w") as out:
        command = [sys.executable, "app.py", "--port", str(port)]
        process = subprocess.Popen(command, cwd=ROOT, stdout=out, stderr=out, env=env)
    try:
        yield f"http://127.0.0.1:{port}", process, log
    finally:
        process.terminate()
        process.wait(60)


def ready(process: subprocess.Popen, log: Path) -> None:
    """Wait until the app answers; RuntimeError with what it said when it ends instead."""
    while "S4Token is at" not in log.read_text():
        if process.poll() is not None:
            raise RuntimeError(log.read_text())
        time.sleep(0.2)


def resident(pid: int) -> float:
    """Return the resident memory of a process in MB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.findall(r"VmRSS:\s+(\d+)", status)[0]) / 1000


def lists(number: int, prompts: int) -> list[list[str]]:
    """Return different lists of two to eight words for a page."""
    rng = np.random.default_rng(number)
    return [
        rng.choice(WORDS, int(rng.integers(2, 9)), replace=False).tolist() for _ in range(prompts)
    ]


class Visitor(threading.Thread):
    """Use one page and note how long each answer took and what it said."""

    def __init__(
        self,
        url: str,
        path: Path,
        asked: list[list[str]],
        start: threading.Barrier,
        minutes: float,
    ) -> None:
        super().__init__(daemon=True)
        self.url, self.path, self.asked, self.begin = url, path, asked, start
        self.longest = 60 * minutes
        self.opened, self.seconds, self.answers = 0.0, [], []
        self.failure: BaseException | None = None

    def run(self) -> None:
        """Upload, wait for the others, ask."""
        try:
            with Page(self.url) as page:
                self.use(page)
        except BaseException as error:
            self.failure = error
            self.begin.abort()

    def use(self, page: Page) -> None:
        page.load()
        page.set("s4-upload", page.upload(self.path))
        began = time.perf_counter()
        opened = page.send("s4-upload", "upload")
        self.opened = time.perf_counter() - began
        if self.path.name not in str(opened["s4-status"]):
            raise RuntimeError(opened["s4-status"])
        self.begin.wait(1800)
        until = time.monotonic() + self.longest
        for words in self.asked:
            if time.monotonic() > until:
                return
            page.set("s4-prompts", "\n".join(words))
            began = time.perf_counter()
            answer = page.send("s4-find", "click")
            self.seconds.append(time.perf_counter() - began)
            self.answers.append(counts(str(answer["s4-legend"])))


def scans(folder: Path, count: int, points: int) -> list[Path]:
    """Write a room per page, each with a number of points of its own."""
    import s4token

    out = []
    for number in range(count):
        scan = s4token.room(KINDS[number % len(KINDS)], 500 + number, points=points + 4000)
        keep = np.random.default_rng(number).permutation(len(scan.cloud))[: points + number]
        out.append(folder / f"room-{number}.ply")
        s4token.write(out[-1], scan.cloud.select(np.sort(keep)))
    return out


class Judge:
    """Know what every page should be told: the library's own answer for its scan and words."""

    def __init__(self, paths: list[Path]) -> None:
        import s4token

        self.model = s4token.load()
        self.encodings = [self.model.encode(s4token.read(path)) for path in paths]

    def differences(self, page: int, visitor: Visitor) -> list[float]:
        """Return how many points every answer has in other classes than it should have.

        Infinite when the words or the number of points are another page's. A single point may
        change sides where the same sums were added up in another order.
        """
        import s4token

        out = []
        for words, said in zip(visitor.asked, visitor.answers, strict=False):
            answer = s4token.segment(self.model, self.encodings[page], words, threshold=0.3)
            number = np.bincount(answer.labels, minlength=len(words) + 1).tolist()
            right = dict(zip(("unlabelled", *words), number, strict=True))
            alike = said.keys() == right.keys() and sum(said.values()) == sum(number)
            out.append(sum(abs(said[k] - right[k]) for k in right) / 2 if alike else math.inf)
        return out


class Memory(threading.Thread):
    """Note the resident memory of a process twice a second, in MB, until it ends."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.pid, self.seen = pid, [resident(pid)]

    def run(self) -> None:
        """Look."""
        while True:
            time.sleep(0.5)
            try:
                self.seen.append(resident(self.pid))
            except (OSError, IndexError):
                return


def measure(sessions: int, points: int, prompts: int, minutes: float) -> dict[str, Any]:
    """Run the test and return what it found."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with app(folder) as (url, process, log):
            paths = scans(folder, sessions, points)
            ready(process, log)
            memory = Memory(process.pid)
            start = threading.Barrier(sessions)
            people = [
                Visitor(url, path, lists(i, prompts), start, minutes)
                for i, path in enumerate(paths)
            ]
            for thread in (memory, *people):
                thread.start()
            judge = Judge(paths)  # while they ask
            for person in people:
                person.join()
            load = os.getloadavg()
            memory.seen.append(resident(process.pid))
        failures = [repr(person.failure) for person in people if person.failure]
        off = [d for i, person in enumerate(people) for d in judge.differences(i, person)]
    seconds = sorted(s for person in people for s in person.seconds)
    ms = lambda share: round(1000 * seconds[int(share * (len(seconds) - 1))])  # noqa: E731
    return {
        "sessions": sessions,
        "points": points,
        "prompts_asked": [len(person.seconds) for person in people],
        "failures": failures,
        "answers_that_are_not_for_the_page": sum(d > ROUNDING for d in off),
        "answers_off_by_rounding": [d for d in off if 0 < d <= ROUNDING],
        "prompt_ms": {"median": ms(0.5), "p95": ms(0.95), "most": ms(1.0)} if seconds else {},
        "open_seconds": round(statistics.median(person.opened for person in people), 1),
        "rss_mb": {
            "before": round(memory.seen[0]),
            "peak": round(max(memory.seen)),
            "end": round(memory.seen[-1]),
        },
        "cores": os.cpu_count(),
        "nice": os.nice(0),
        "load_average": [round(x, 1) for x in load],
    }


def main() -> int:
    """Measure and write; exit code 1 when an answer was wrong or an event failed."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--sessions", type=int, default=8)
    parser.add_argument("--points", type=int, default=200_000)
    parser.add_argument("--prompts", type=int, default=200)
    parser.add_argument("--minutes", type=float, default=60, help="ask no longer than this")
    parser.add_argument("--json", type=Path, help="write the result here")
    options = parser.parse_args()
    found = measure(options.sessions, options.points, options.prompts, options.minutes)
    print(json.dumps(found, indent=1))
    if options.json:
        part = options.json.with_suffix(".part")
        part.write_text(json.dumps(found, indent=1) + "\n")
        os.replace(part, options.json)
    return 1 if found["failures"] or found["answers_that_are_not_for_the_page"] else 0


if __name__ == "__main__":
    sys.exit(main())

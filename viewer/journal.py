"""An append-only journal on disk: an entry is safe before anybody is told that it is."""

from __future__ import annotations

import json
import os
import weakref
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

try:
    import fcntl
except ImportError:  # not on Windows: there two servers on one scan are not noticed
    fcntl = None

VERSION = 1

Entry = Mapping[str, Any]


def folder() -> Path:
    """Return where corrections are kept: $S4TOKEN_STATE, else the user's state folder."""
    named = os.environ.get("S4TOKEN_STATE")
    if named:
        return Path(named)
    base = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(base) / "s4token" / "corrections"


def encode(entry: Entry) -> bytes:
    """Write an entry as one line with its checksum."""
    body = json.dumps(entry, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    return b"%08x %s\n" % (zlib.crc32(body), body)


def decode(line: bytes) -> Entry | None:
    """Read a line; None when it is torn or damaged."""
    head, _, body = line.rstrip(b"\n").partition(b" ")
    if not line.endswith(b"\n") or head != b"%08x" % zlib.crc32(body):
        return None
    try:
        entry = json.loads(body)
    except ValueError:
        return None
    return entry if isinstance(entry, dict) else None


class Journal:
    """Keep entries in a file that only grows.

    The file comes into being with the first entry. A torn last line, as a crash leaves it, is
    dropped; if a line in the middle is damaged, what stands before it is used and the whole file
    is kept beside it as ``.damaged``. ``note`` says so.
    """

    def __init__(self, path: Path, header: Entry) -> None:
        self.path = path
        self.header = {"journal": VERSION, **header}
        self.entries: list[Entry] = []
        self.note = ""
        self._file: BinaryIO | None = None
        if path.exists():
            self._read()

    def _read(self) -> None:
        data = self.path.read_bytes()
        good = 0
        for line in data.splitlines(keepends=True):
            entry = decode(line)
            if entry is None:
                break
            self.entries.append(entry)
            good += len(line)
        first = self.entries[0] if self.entries else None
        if first is not None and any(first.get(k) != v for k, v in self.header.items()):
            raise ValueError(
                f"{self.path}: written by another version or for another scan; move it"
            )
        if b"\n" in data[good:].rstrip(b"\n") or (self.entries == [] and data):
            aside = self.path.with_suffix(".damaged")
            aside.write_bytes(data)
            self.note = f"The journal was damaged; it is kept as {aside.name}."
        elif good < len(data):
            self.note = "The last edit had not been finished and was dropped."
        self.entries = self.entries[1:]
        if good < len(data):
            os.truncate(self.path, good)

    def _open(self) -> BinaryIO:
        if self._file is not None:
            return self._file
        self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = self.path.open("ab", buffering=0)
        try:
            if fcntl is not None:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            file.close()
            raise ValueError(
                "Corrections: another S4Token app is correcting this scan. Close it first."
            ) from error
        weakref.finalize(self, file.close)
        self._file = file
        return file

    def append(self, entry: Entry) -> None:
        """Put an entry on disk; OSError leaves the file as it was."""
        file = self._open()
        end = os.fstat(file.fileno()).st_size
        data = encode(entry) if end else encode(self.header) + encode(entry)
        try:
            written = 0
            while written < len(data):
                written += file.write(data[written:]) or 0
            os.fsync(file.fileno())
        except OSError:
            os.ftruncate(file.fileno(), end)
            raise
        self.entries.append(entry)

    def close(self) -> None:
        """Let go of the file."""
        if self._file is not None:
            self._file.close()
            self._file = None

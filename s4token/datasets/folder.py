"""Any folder of scans in formats that ``read_scan`` reads, labelled or not."""

from __future__ import annotations

import logging
from pathlib import Path

from s4token.datasets.scans import Scans
from s4token.io import READERS, read_scan

_log = logging.getLogger(__name__)


def folder(root: str | Path) -> Scans:
    """List the scans in a folder and the folders below it, sorted by path.

    Files of other formats are named in a warning, but for hidden ones and for a JSON beside a scan
    of its name. Raises FileNotFoundError when there is no such folder, ValueError when it holds
    no scan.
    """
    root = Path(root)
    if not root.is_dir():
        raise FileNotFoundError(f"{root}: no such folder")
    files = sorted(p for p in root.rglob("[!.]*") if p.is_file())
    scans = tuple(p for p in files if p.suffix.lstrip(".").lower() in READERS)
    beside = {p.with_suffix(".json") for p in scans}
    for path in files:
        if path not in beside and path not in scans:
            _log.warning("%s: left out, it is no scan", path.relative_to(root))
    if not scans:
        raise ValueError(f"{root}: no scan in this folder; known formats are {', '.join(READERS)}")
    return Scans(f"folder:{root}", "all", "segment", (), scans, read_scan, lambda p: [p])

"""What a step costs: seconds, and the most memory it held."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch

_STATM = Path("/proc/self/statm")
_PAGE = 4096


@dataclass
class Cost:
    """Hold seconds in all and the peak in MB: of the process, or of the GPU where one is used.

    A process's peak includes what was there before the step: interpreter, weights, the scan.
    """

    seconds: float = 0.0
    peak_mb: float = 0.0

    def add(self, other: Cost) -> None:
        """Add a further step: seconds add up, the larger peak counts."""
        self.seconds += other.seconds
        self.peak_mb = max(self.peak_mb, other.peak_mb)


def _resident_mb() -> float:
    if not _STATM.is_file():  # another system than Linux
        return float("nan")
    return int(_STATM.read_text().split()[1]) * _PAGE / 2**20


@contextmanager
def measured(device: torch.device, *, every: float = 0.01) -> Iterator[Cost]:
    """Fill in a ``Cost`` when the block ends; resident memory is looked at every 10 ms."""
    cost, done = Cost(peak_mb=_resident_mb()), threading.Event()

    def watch() -> None:
        while not done.wait(every):
            cost.peak_mb = max(cost.peak_mb, _resident_mb())

    on_gpu = device.type == "cuda"
    if on_gpu:
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)
    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    start = time.perf_counter()
    try:
        yield cost
    finally:
        if on_gpu:
            torch.cuda.synchronize(device)
        cost.seconds = time.perf_counter() - start
        done.set()
        watcher.join()
        cost.peak_mb = max(cost.peak_mb, _resident_mb())
        if on_gpu:
            cost.peak_mb = torch.cuda.max_memory_allocated(device) / 2**20

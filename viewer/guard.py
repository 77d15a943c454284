"""What stands between an event and a page: errors become one line, long work shows its stages."""

from __future__ import annotations

import contextvars
import logging
import queue
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TypeVar

from viewer.events import Report, Screen

log = logging.getLogger(__name__)
T = TypeVar("T")


def guarded(work: Callable[[], T]) -> T | Screen:
    """Run ``work``; an exception becomes a Screen with one error line and nothing else changed."""
    try:
        return work()
    except (ValueError, OSError, ImportError) as error:
        return Screen(status=_one_line(error), kind="error")
    except MemoryError:
        said = "Memory: this scan does not fit. Downsample it, or close other pages, and try again."
        return Screen(status=said, kind="error")
    except Exception as error:
        log.exception("an event failed")
        said = f"The app failed inside ({type(error).__name__}). Your scan and words are kept; "
        return Screen(status=f"{said}the terminal has the details.", kind="error")


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:400] or type(error).__name__


def staged(work: Callable[[Report], T], every: float = 0.15) -> Iterator[T | Screen]:
    """Run ``work(report)`` in a thread; yield a busy Screen per news, then the guarded result."""
    news: queue.SimpleQueue[tuple[float, str]] = queue.SimpleQueue()
    with ThreadPoolExecutor(1) as pool:
        # In the context of the event, which knows whose it is.
        run = contextvars.copy_context().run
        future = pool.submit(run, guarded, lambda: work(lambda f, s: news.put((f, s))))
        while not future.done():
            wait([future], timeout=every)
            latest = None
            while not news.empty():
                latest = news.get()
            if latest is not None and not future.done():
                fraction, stage = latest
                said = f"{stage[:1].upper()}{stage[1:]} …"
                yield Screen(status=said, kind="busy", fraction=fraction)
        yield future.result()

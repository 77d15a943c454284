"""What a person said of points: class, instance, piece of a superpoint; with undo to the start."""

from __future__ import annotations

import base64
import threading
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from s4token import PointCloud, Segmentation
from viewer.journal import Journal

NONE, UNLABELLED, FIRST = 0, 1, 2
"""Values per point: not corrected, corrected to unlabelled, from here on a class."""
MOST = 125
"""Classes that fit into the seven bits that the browser has for them."""


def pack(index: np.ndarray) -> str:
    """Write sorted point indices as text: differences, compressed."""
    steps = np.diff(index, prepend=0).astype("<u4")
    return base64.b64encode(zlib.compress(steps.tobytes(), 1)).decode("ascii")


def unpack(text: str) -> np.ndarray:
    """Read what ``pack`` wrote, (K,) int64."""
    return np.cumsum(np.frombuffer(zlib.decompress(base64.b64decode(text)), "<u4"), dtype=np.int64)


def pack_values(values: np.ndarray) -> str:
    """Write whole numbers as text, compressed."""
    data = zlib.compress(np.asarray(values).astype("<i4").tobytes(), 1)
    return base64.b64encode(data).decode("ascii")


def unpack_values(text: str) -> np.ndarray:
    """Read what ``pack_values`` wrote, (K,) int32."""
    return np.frombuffer(zlib.decompress(base64.b64decode(text)), "<i4").astype(np.int32)


@dataclass(frozen=True, eq=False)
class Part:
    """Hold what an edit did to one kind of value: points (K,), and values before and after.

    kind: the name of the array in ``Corrections``: own, instance or piece.
    """

    kind: str
    index: np.ndarray
    before: np.ndarray
    after: np.ndarray


class UnchangedError(ValueError):
    """Nothing to do: the points are as they should be."""


Change = tuple[Part, ...]
"""What an edit did, undone and redone as one; parts that change nothing are left out."""


def points_of(change: Change, *kinds: str) -> np.ndarray:
    """Return the points that a change touches, (K,) sorted; of these kinds, or of all."""
    index = [p.index for p in change if not kinds or p.kind in kinds]
    return np.unique(np.concatenate([np.zeros(0, dtype=np.int64), *index]))


def _made(*parts: Part) -> Change:
    return tuple(part for part in parts if len(part.index))


class Corrections:
    """Hold the corrections of one scan and keep them on disk.

    own: (N,) uint8 values, one per point; names: classes, ``own`` value FIRST + i is names[i].
    instance: (N,) int32, 0 = none. piece: (N,) int32, which piece of its superpoint a point belongs
    to since that was split, 0 = of a whole one; cuts: how often that has changed.
    Every method that changes something writes the journal first; when that fails (OSError),
    nothing has changed.
    """

    def __init__(self, points: int, path: Path) -> None:
        self.own = np.zeros(points, dtype=np.uint8)
        self.instance = np.zeros(points, dtype=np.int32)
        self.piece = np.zeros(points, dtype=np.int32)
        self.pieces = 0
        self.cuts = 0
        self.names: list[str] = []
        self.done: list[Change] = []
        self.undone: list[Change] = []
        self.revision = 0
        self.journal = Journal(path, {"points": points})
        for number, entry in enumerate(self.journal.entries, 2):
            try:
                self._replay(entry)
            except (ValueError, KeyError, TypeError, IndexError, zlib.error) as error:
                raise ValueError(
                    f"{path}: line {number} makes no sense ({error}); move it"
                ) from error

    def _replay(self, entry: Mapping[str, Any]) -> None:
        if entry["op"] == "set":
            if entry["value"] >= FIRST:
                self._know(entry["label"])
            index = unpack(entry["points"])
            self._apply(self._labelled(index, entry["value"], entry.get("instance")))
        elif entry["op"] == "import":
            table = self._table([self._know(name) for name in entry["labels"]])
            values = np.frombuffer(zlib.decompress(base64.b64decode(entry["values"])), np.uint8)
            instances = unpack_values(entry["instances"]) if "instances" in entry else None
            self._apply(self._labelled(unpack(entry["points"]), table[values], instances))
        elif entry["op"] == "split":
            self._apply(self._split(unpack(entry["points"]), unpack_values(entry["pieces"])))
        elif entry["op"] == "class":
            self._know(entry["label"])
        elif entry["op"] in ("undo", "redo"):
            self._step(entry["op"])
        else:
            raise ValueError(f"unknown entry {entry['op']!r:.40}")

    @staticmethod
    def _table(values: Sequence[int]) -> np.ndarray:
        """Return what turns an imported value (NONE, UNLABELLED, classes) into one here."""
        return np.array([NONE, UNLABELLED, *values], dtype=np.uint8)

    def _part(self, kind: str, index: np.ndarray, values: np.ndarray | int) -> Part:
        now = getattr(self, kind)
        if len(index) and (index.min() < 0 or index.max() >= len(now)):
            raise ValueError(f"points go from 0 to {len(now) - 1:,}")
        after = np.broadcast_to(np.asarray(values, dtype=now.dtype), index.shape)
        differs = now[index] != after
        return Part(kind, index[differs], now[index[differs]], after[differs])

    def _labelled(
        self,
        index: np.ndarray,
        values: np.ndarray | int,
        instances: np.ndarray | int | None = None,
    ) -> Change:
        """Give points classes; without instances, points of another class leave theirs."""
        own = self._part("own", index, values)
        if instances is None:
            index = own.index[self.instance[own.index] > 0]
            return _made(own, self._part("instance", index, 0))
        if np.min(instances, initial=0) < 0:
            raise ValueError(f"instances go from 0, not {np.min(instances)}")
        return _made(own, self._part("instance", index, instances))

    def _split(self, index: np.ndarray, pieces: np.ndarray) -> Change:
        if pieces.shape != index.shape or (len(pieces) and pieces.min() < 1):
            raise ValueError("a split needs a piece, 1 or more, for each of its points")
        return _made(self._part("piece", index, pieces))

    def _apply(self, change: Change) -> None:
        self._write(change, back=False)
        self.done.append(change)
        self.undone.clear()

    def _step(self, op: str) -> Change:
        back = op == "undo"
        change = (self.done if back else self.undone).pop()
        self._write(change, back)
        (self.undone if back else self.done).append(change)
        return change

    def _write(self, change: Change, back: bool) -> None:
        for part in change:
            getattr(self, part.kind)[part.index] = part.before if back else part.after
            if part.kind == "piece":
                self.pieces = int(self.piece.max())
                self.cuts += 1
        self.revision += 1

    def _know(self, name: str) -> int:
        if name not in self.names:
            self.names.append(name)
        return FIRST + self.names.index(name)

    def add_class(self, name: str) -> None:
        """Remember a class that no point has yet; ValueError when there are too many."""
        if name in self.names:
            return
        if len(self.names) >= MOST:
            raise ValueError(f"Corrections: at most {MOST} classes are possible.")
        self.journal.append({"op": "class", "label": name})
        self._know(name)
        self.revision += 1

    def set(
        self,
        index: np.ndarray,
        label: str | None,
        *,
        erase: bool = False,
        instance: int | None = None,
    ) -> Change:
        """Give sorted point indices a class (None: unlabelled), or erase their corrections.

        instance: also makes them this instance, 1 or more; without it, points of another class
        leave theirs.
        """
        value = NONE if erase else UNLABELLED
        if label is not None:
            known = label in self.names
            if not known and len(self.names) >= MOST:
                raise ValueError(f"Corrections: at most {MOST} classes are possible.")
            value = FIRST + (self.names.index(label) if known else len(self.names))
        change = self._labelled(np.asarray(index, dtype=np.int64), value, instance)
        if not change:
            raise UnchangedError("Corrections: these points are so already; nothing changed.")
        entry = {"op": "set", "label": label, "value": value, "points": pack(points_of(change))}
        self.journal.append(entry if instance is None else {**entry, "instance": instance})
        if label is not None:
            self._know(label)
        self._apply(change)
        return change

    def take(
        self, values: np.ndarray, names: Sequence[str], instances: np.ndarray | None = None
    ) -> Change:
        """Give every point the value of an import, as one edit; ``names`` are its classes.

        values: (N,), NONE, UNLABELLED, or FIRST + i for ``names[i]``; instances: (N,), 0 = none. A
        change without points was not written: nothing differs. ValueError when there are too many
        classes.
        """
        new = [name for name in names if name not in self.names]
        if len(self.names) + len(new) > MOST:
            raise ValueError(
                f"Corrections: at most {MOST} classes are possible; with those of the file there "
                f"would be {len(self.names) + len(new)}."
            )
        known = [*self.names, *new]
        table = self._table([FIRST + known.index(name) for name in names])
        change = self._labelled(np.arange(len(self.own)), table[values], instances)
        if not change:
            return change
        index = points_of(change)
        data = zlib.compress(values[index].astype(np.uint8).tobytes(), 1)
        entry = {"op": "import", "labels": list(names), "points": pack(index)}
        entry["values"] = base64.b64encode(data).decode("ascii")
        if instances is not None:
            entry["instances"] = pack_values(instances[index])
        self.journal.append(entry)
        for name in names:
            self._know(name)
        self._apply(change)
        return change

    def split(self, index: np.ndarray, pieces: np.ndarray) -> Change:
        """Make sorted points belong to pieces of their superpoints; (K,) each, pieces 1 or more."""
        index = np.asarray(index, dtype=np.int64)
        change = self._split(index, np.asarray(pieces, dtype=np.int32))
        if not change:
            raise ValueError("Corrections: these superpoints are split so already.")
        entry = {"op": "split", "points": pack(index), "pieces": pack_values(pieces)}
        self.journal.append(entry)
        self._apply(change)
        return change

    def step(self, op: str) -> Change:
        """Undo or redo one edit; ValueError when there is none."""
        if not (self.done if op == "undo" else self.undone):
            raise ValueError(f"Corrections: there is nothing to {op}.")
        self.journal.append({"op": op})
        return self._step(op)

    @property
    def count(self) -> int:
        """How many points are corrected."""
        return int(np.count_nonzero(self.own))

    @property
    def about(self) -> dict[str, int]:
        """What was done by hand, as exported files say: undone edits do not count."""
        splits = sum(any(part.kind == "piece" for part in change) for change in self.done)
        return {
            "points": self.count,
            "edits": len(self.done),
            "splits": splits,
            "instances": len(np.unique(self.instance[self.instance > 0])),
        }

    def over(self, answer: Segmentation | None) -> Segmentation | None:
        """Return the answer with corrections in it; classes that it lacks are added at its end."""
        if answer is not None and (self.count or self.pieces):
            answer = replace(answer, provenance={**answer.provenance, "corrections": self.about})
        if not self.count:
            return answer
        have = answer.classes if answer is not None else ()
        classes = (*have, *(n for n in self.names if n not in have))
        table = np.array([0] * FIRST + [1 + classes.index(n) for n in self.names], dtype=np.int32)
        if answer is None:
            n = len(self.own)
            blank = np.zeros(n, dtype=np.int32)
            scores = np.zeros((1, 0), dtype=np.float32)
            said = {"corrections": self.about}
            answer = Segmentation(
                (), blank, np.zeros(n, np.float32), blank, scores, provenance=said
            )
        own = self.own > NONE
        extra = np.full((len(answer.scores), len(classes) - len(have)), np.nan, dtype=np.float32)
        return replace(
            answer,
            classes=classes,
            labels=np.where(own, table[self.own], answer.labels).astype(np.int32),
            confidence=np.where(own, np.float32(1), answer.confidence),
            scores=np.concatenate([answer.scores, extra], axis=1),
        )


class Desk:
    """Hand out corrections by scan; one page at a time may change those of a scan.

    visitor: returns who sends the event that runs; everybody with an account has corrections of
    their own, in a folder of their own.
    """

    def __init__(self, folder: Path, visitor: Callable[[], str] = lambda: "") -> None:
        self.folder = folder
        self.visitor = visitor
        self.lock = threading.RLock()
        self._open: dict[str, Corrections] = {}
        self._owner: dict[str, str] = {}
        self._of: dict[str, str] = {}
        self._left: set[str] = set()

    def open(self, handle: str, cloud: PointCloud) -> Corrections:
        """Return the corrections of a scan that a page opened, as they are on disk."""
        user = self.visitor()
        # Named after the points alone, wherever the file lies.
        name = f"{cloud.fingerprint}.journal"
        path = self.folder / "users" / user / name if user else self.folder / name
        key = str(path)
        with self.lock:
            if self._of.get(handle) != key:
                self._let_go(handle)
            if key not in self._open:
                self._open[key] = Corrections(len(cloud), path)
            self._of[handle] = key
            if self._owner.get(key) in (None, *self._left):
                self._owner[key] = handle
            return self._open[key]

    def get(self, handle: str) -> Corrections | None:
        """Return the corrections of the scan that a page has open, if any."""
        with self.lock:
            return self._open.get(self._of.get(handle, ""))

    def claim(self, handle: str) -> bool:
        """Let this page change the corrections; True when another one could until now."""
        with self.lock:
            key = self._of.get(handle, "")
            before = self._owner.get(key)
            self._owner[key] = handle
            return before not in (None, handle, *self._left)

    def owns(self, handle: str) -> bool:
        """Whether this page may change the corrections of its scan."""
        with self.lock:
            return self._owner.get(self._of.get(handle, "")) == handle

    def leave(self, handle: str) -> None:
        """Note that a page was closed or loaded again: the next one to open its scan may change it.

        Its scan stays, as a connection that broke looks the same; ``hear`` tells the two apart.
        """
        with self.lock:
            self._left.add(handle)

    def hear(self, handle: str) -> None:
        """Note that a page asks for something: it has not left, whatever became of a connection."""
        with self.lock:
            self._left.discard(handle)

    def close(self, handle: str) -> None:
        """Forget a page; the last one on a scan closes the journal."""
        with self.lock:
            self._left.discard(handle)
            self._let_go(handle)

    def _let_go(self, handle: str) -> None:
        key = self._of.pop(handle, None)
        if key is None:
            return
        if self._owner.get(key) == handle:
            del self._owner[key]
        if key not in self._of.values():
            self._open.pop(key).journal.close()

"""What the server remembers of every open page, within a byte budget."""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from types import MappingProxyType

import numpy as np
from scipy.spatial import KDTree

from s4token import Encoding, PointCloud, Scan, Segmentation, point_tokens
from viewer.colors import PALETTES, label_color, neighbour_colors

BYTES_PER_POINT = 8
"""Bytes of a layer per point: in which token it is, and the token's list of its points."""

TOUCHING = 200_000
"""Most points from which it is found which tokens touch."""

Key = tuple[str, float]
"""Tokenizer and the factor the units were multiplied by."""


@dataclass(frozen=True, eq=False)
class Layer:
    """Hold an encoding with what a picture needs of it."""

    encoding: Encoding

    @cached_property
    def nearest(self) -> np.ndarray:
        """Token whose features each point has, (N,) int32."""
        return point_tokens(self.encoding.cloud, self.encoding.groups)

    @cached_property
    def token(self) -> np.ndarray:
        """The same, (N,) int32, but -1 for points that no token holds."""
        groups = self.encoding.groups
        if groups.is_partition:
            return self.nearest
        token = np.full_like(self.nearest, -1)
        token[groups.index] = self.nearest[groups.index]
        return token

    @cached_property
    def centers(self) -> np.ndarray:
        """Mean of every token's points, (M, 3) float64."""
        return self.encoding.groups.means(self.encoding.cloud.points)

    @cached_property
    def extent(self) -> np.ndarray:
        """Root mean square distance of every token's points from its centre, (M,) float64."""
        groups, points = self.encoding.groups, self.encoding.cloud.points
        center = np.repeat(self.centers, groups.sizes, axis=0)
        square = ((points[groups.index] - center) ** 2).sum(axis=1)
        return np.sqrt(np.add.reduceat(square, groups.offsets[:-1]) / groups.sizes)

    @cached_property
    def sides(self) -> np.ndarray:
        """Sides of the box about all points, (3,) float64, in the scan's unit."""
        points = self.encoding.cloud.points
        return points.max(axis=0).astype(np.float64) - points.min(axis=0)

    @cached_property
    def shade(self) -> np.ndarray:
        """Palette index per token, different from its neighbours', (M,) int16."""
        return neighbour_colors(self.centers)

    @cached_property
    def held(self) -> np.ndarray:
        """Points that have every token's features, (M,) int64."""
        return np.bincount(self.nearest, minlength=len(self.encoding.groups))

    @cached_property
    def neighbours(self) -> list[list[int]]:
        """Tokens that touch each token: more than a stray pair of near points lies across."""
        rng = np.random.default_rng(0)
        some = np.sort(rng.permutation(len(self.nearest))[:TOUCHING])
        points, token = self.encoding.cloud.points[some], self.nearest[some].astype(np.int64)
        near = KDTree(points).query(points, k=min(7, len(some)))[1].reshape(len(some), -1)
        a, b = np.repeat(token, near.shape[1]), token[near.ravel()]
        count = len(self.encoding.groups)
        pairs, often = np.unique((a * count + b)[a != b], return_counts=True)
        pairs = pairs[often > 1]
        out: list[list[int]] = [[] for _ in range(count)]
        for m, n in zip(pairs // count, pairs % count, strict=True):
            out[m].append(int(n))
            out[n].append(int(m))
        out = [sorted(set(row)) for row in out]
        return out

    @property
    def coverage(self) -> float:
        """Share of points that some token holds, in [0, 1]."""
        return float((self.token >= 0).mean())


@dataclass(frozen=True)
class Query:
    """Hold what is asked of a scan.

    threshold: least probability of a label; own: that of single prompts, where it differs; best:
    whether every point gets its best prompt instead, whatever the thresholds.
    """

    prompts: tuple[str, ...] = ()
    negatives: tuple[str, ...] = ()
    threshold: float = 0.3
    own: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    best: bool = False

    @property
    def thresholds(self) -> tuple[float, ...]:
        """Least probability of each prompt."""
        if self.best:
            return (0.0,) * len(self.prompts)
        return tuple(self.own.get(prompt, self.threshold) for prompt in self.prompts)


@dataclass(frozen=True, eq=False)
class Session:
    """Hold one page's scan, its encodings and the last answer; cloud None: nothing is open.

    suggestions: what the scan is known to hold; truth: the scan with its own labels, if it has any;
    hidden: labels that are not drawn; locked: names of classes that no edit changes; paint:
    colours that were chosen, by prompt; palette: of ``colors.PALETTES``, for all others; factor:
    by what the units of the scan were multiplied before its layers were made; picked: the
    superpoint that was asked about last.
    """

    name: str = ""
    cloud: PointCloud | None = None
    suggestions: tuple[str, ...] = ()
    truth: Scan | None = None
    tokenizer: str = "superpoint"
    layers: Mapping[Key, Layer] = field(default_factory=lambda: MappingProxyType({}))
    query: Query = Query()
    answer: Segmentation | None = None
    hidden: frozenset[int] = frozenset()
    locked: frozenset[str] = frozenset()
    paint: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    palette: str = next(iter(PALETTES))
    factor: float = 1.0
    picked: int | None = None

    def color(self, label: int) -> str:
        """Return the colour of a label of the answer: the chosen one, else the palette's."""
        if label > 0 and self.answer is not None:
            chosen = self.paint.get(self.answer.classes[label - 1])
            if chosen is not None:
                return chosen
        return label_color(label, self.palette)

    @property
    def layer(self) -> Layer:
        """Return the layer on screen."""
        return self.layers[self.tokenizer, 1.0]

    def with_layers(self, layers: Mapping[Key, Layer]) -> Session:
        """Return the session with further layers."""
        return replace(self, layers=MappingProxyType({**self.layers, **layers}))

    @cached_property
    def nbytes(self) -> int:
        """Memory of all arrays, each counted once."""
        clouds = [self.cloud, *(layer.encoding.cloud for layer in self.layers.values())]
        arrays: list[np.ndarray | None] = []
        for cloud in clouds:
            if cloud is not None:
                arrays += [cloud.points, cloud.colors, cloud.normals, *cloud.attributes.values()]
        for layer in self.layers.values():
            groups = layer.encoding.groups
            arrays += [layer.token, layer.nearest, layer.encoding.features]
            arrays += [groups.index, groups.offsets]
        if self.truth is not None:
            arrays += [self.truth.labels, self.truth.instances]
        if self.answer is not None:
            a = self.answer
            arrays += [a.labels, a.confidence, a.superpoints, a.scores]
        found = {_address(a): a.nbytes for a in arrays if a is not None}
        return sum(found.values())


def _address(array: np.ndarray) -> int:
    return array.__array_interface__["data"][0]


class Store:
    """Keep sessions by handle; the least recently used give way when the budget is full.

    byte_budget: of all sessions together; session_budget: of a single one, by default the same;
    visitor: returns who sends the event that runs; nobody else gets at a session.
    """

    def __init__(
        self,
        byte_budget: int,
        session_budget: int | None = None,
        visitor: Callable[[], str] = lambda: "",
    ) -> None:
        self.byte_budget = byte_budget
        self.session_budget = byte_budget if session_budget is None else session_budget
        self.visitor = visitor
        self._owner: dict[str, str] = {}
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        self._evicted: set[str] = set()
        self._lock = threading.RLock()

    def open(self) -> str:
        """Return the handle of a new, empty session."""
        handle = secrets.token_urlsafe(16)
        with self._lock:
            self._sessions[handle] = Session()
            self._owner[handle] = self.visitor()
        return handle

    def _check(self, handle: str | None) -> None:
        """Raise ValueError when a session belongs to another visitor."""
        visitor = self.visitor()
        if self._owner.get(handle or "", visitor) != visitor:
            raise ValueError("Page: this session is another person's. Reload the page.")

    def get(self, handle: str | None) -> Session:
        """Return a session and mark it as used; ValueError when it has no scan (any more)."""
        with self._lock:
            self._check(handle)
            session = self._sessions.get(handle or "")
            if session is None or session.cloud is None:
                if handle in self._evicted:
                    raise ValueError(
                        f"Scan: it was unloaded because all open pages together exceeded "
                        f"{size_text(self.byte_budget)}. Open it again; your prompts are kept."
                    )
                raise ValueError("Scan: none is open yet. Choose a room or open a file first.")
            self._sessions.move_to_end(handle or "")
            return session

    def has_scan(self, handle: str | None) -> bool:
        """Whether a session has a scan open."""
        with self._lock:
            self._check(handle)
            session = self._sessions.get(handle or "")
            return session is not None and session.cloud is not None

    def update(
        self, handle: str | None, change: Callable[[Session], Session]
    ) -> tuple[Session, str]:
        """Replace a session by ``change(session)`` and make room for it.

        Returns the session and one line that says what was unloaded, or "". Raises ValueError,
        with the old session kept, when the new one alone exceeds the session budget.
        """
        if not handle:
            raise ValueError("Page: it lost its session. Reload the page.")
        with self._lock:
            self._check(handle)
            session = change(self._sessions.get(handle, Session()))
            note = ""
            if session.nbytes > self.session_budget and session.cloud is not None:
                session = replace(
                    session, layers=MappingProxyType({(session.tokenizer, 1.0): session.layer})
                )
                note = "Other tokenizations of this scan were unloaded to save memory."
            self._fits(session.name, session.nbytes)
            self._sessions[handle] = session
            self._owner.setdefault(handle, self.visitor())
            self._sessions.move_to_end(handle)
            self._evicted.discard(handle)
            return session, self._evict(handle) or note

    def check(self, session: Session) -> None:
        """Raise ValueError when a scan is too large for a page, before anything is made of it."""
        points = 0 if session.cloud is None else len(session.cloud)
        self._fits(session.name, session.nbytes + BYTES_PER_POINT * points)

    def _fits(self, name: str, needed: int) -> None:
        if needed > self.session_budget:
            raise ValueError(
                f"{name}: needs {size_text(needed)} of memory but a page may use "
                f"{size_text(self.session_budget)}. Downsample the scan and open it again."
            )

    def _evict(self, keep: str) -> str:
        gone = 0
        while sum(s.nbytes for s in self._sessions.values()) > self.byte_budget:
            oldest = next((h for h, s in self._sessions.items() if h != keep and s.nbytes), None)
            if oldest is None:
                break
            self._sessions[oldest] = Session()
            self._evicted.add(oldest)
            gone += 1
        return f"Unloaded {gone} scan(s) of idle pages to make room." if gone else ""

    def close(self, handle: str | None) -> None:
        """Forget a session."""
        with self._lock:
            self._sessions.pop(handle or "", None)
            self._owner.pop(handle or "", None)
            self._evicted.discard(handle or "")


def size_text(count: float) -> str:
    """Write a number of bytes for people."""
    for unit in ("bytes", "KB", "MB"):
        if count < 1000:
            return f"{count:.0f} {unit}"
        count /= 1000
    return f"{count:.1f} GB"

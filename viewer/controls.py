"""From what a page sends to checked values: nothing that a browser says is trusted."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from s4token import AXES, UNITS, PointCloud, synonyms
from viewer.colors import PALETTES
from viewer.figures import Look
from viewer.session import Query

VIEWS = ("Colours", "Superpoints", "Tokens", "Heatmap", "Labels", "Annotate")
SCALES = ("normalised", "raw")
MAX_PROMPTS = 64
MAX_PROMPT_LENGTH = 200


@dataclass(frozen=True)
class Controls:
    """Hold the state of a page's controls.

    prompts, negatives: text, one per line; threshold: least probability of a label, in [0, 1);
    heat: prompt of the heatmap; scale: of its colours; cut: share of the height that is shown, in
    (0, 1]; unit: of the scan's coordinates, "" to estimate it; up: the axis against gravity.
    """

    prompts: str = ""
    negatives: str = ""
    threshold: float = 0.3
    tokenizer: str = "superpoint"
    view: str = "Colours"
    heat: str | None = None
    scale: str = "normalised"
    cut: float = 1.0
    unit: str = ""
    up: str = "z"
    look: Look = field(default_factory=Look)

    @classmethod
    def of(cls, *values: Any) -> Controls:
        """Check raw component values, the look last and as JSON text."""
        prompts, negatives, threshold, tokenizer, view, heat, scale, cut, unit, up, look = values
        return cls(
            str(prompts or ""),
            str(negatives or ""),
            number("Threshold", threshold, 0.0, 0.99),
            str(tokenizer or "superpoint"),
            view if view in VIEWS else "Colours",
            heat if isinstance(heat, str) else None,
            scale if scale in SCALES else SCALES[0],
            number("Cut", cut, 5, 100) / 100,
            unit if unit in UNITS else "",
            up if up in AXES else "z",
            parse_look(look),
        )

    def told(self, cloud: PointCloud) -> PointCloud:
        """Return a cloud that knows the unit and the direction up that were chosen."""
        unit = UNITS[self.unit] if self.unit else None
        return cloud.told(up=AXES[self.up], metres_per_unit=unit)

    def query(self) -> Query:
        """Return what is asked; ValueError naming the field and the line."""
        prompts = parse_prompts("Words", self.prompts)
        if not prompts:
            raise ValueError("Words: type at least one, one per line, for example: chair")
        return Query(prompts, parse_prompts("Not these", self.negatives), self.threshold)


def number(name: str, value: Any, low: float, high: float) -> float:
    """Return a finite number within [low, high]; ValueError naming the field."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"{name}: expected a number from {low:g} to {high:g}, got {value!r:.40}")
    return min(max(float(value), low), high)


def parse_prompts(name: str, text: str) -> tuple[str, ...]:
    """Split text into prompts, one per line, without blanks and repetitions; bars part synonyms.

    Raises ValueError naming the field, the line and the limit when there is too much.
    """
    found: dict[str, str] = {}
    for row, line in enumerate(text.splitlines(), 1):
        prompt = " ".join("".join(c if c.isprintable() else " " for c in line).split())
        prompt = " | ".join(synonyms(prompt))
        if len(prompt) > MAX_PROMPT_LENGTH:
            raise ValueError(
                f"{name}: line {row} has {len(prompt):,} characters; "
                f"shorten it to {MAX_PROMPT_LENGTH} or fewer."
            )
        if prompt:
            found.setdefault(prompt.casefold(), prompt)
    if len(found) > MAX_PROMPTS:
        raise ValueError(
            f"{name}: {len(found)} lines, but at most {MAX_PROMPTS} are compared at once; "
            f"remove {len(found) - MAX_PROMPTS}."
        )
    return tuple(found.values())


def parse_look(text: Any) -> Look:
    """Read {"camera", "dark", "plotly", "palette"}; anything odd gives the default."""
    try:
        raw = json.loads(text) if isinstance(text, str) and len(text) < 4000 else None
    except ValueError:
        raw = None
    if not isinstance(raw, dict):
        return Look()
    palette = raw.get("palette")
    if not isinstance(palette, str) or palette not in PALETTES:
        palette = None
    dark, plotly = (raw.get(name) is True for name in ("dark", "plotly"))
    return Look(_camera(raw.get("camera")), dark, plotly, palette)


def _camera(raw: Any) -> dict[str, Any] | None:
    if not isinstance(raw, Mapping):
        return None
    camera: dict[str, Any] = {}
    for name in ("eye", "center", "up"):
        vector = raw.get(name)
        if not isinstance(vector, Mapping) or not all(_coordinate(vector.get(c)) for c in "xyz"):
            return None
        camera[name] = {c: float(vector[c]) for c in "xyz"}
    projection = raw.get("projection")
    if isinstance(projection, Mapping) and projection.get("type") == "orthographic":
        camera["projection"] = {"type": "orthographic"}
    return camera


def _coordinate(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value) and abs(value) < 1e4


def parse_toggle(action: Any, label: Any, classes: int) -> tuple[str, int]:
    """Check a click on the legend; ValueError when it names no row."""
    if action not in ("hide", "solo", "all", "lock") or type(label) is not int:
        raise ValueError("Legend: that click was not understood. Reload the page.")
    if not 0 <= label <= classes:
        raise ValueError(f"Legend: there is no row {label}; rows go from 0 to {classes}.")
    return action, label


def parse_color(label: Any, color: Any, classes: int) -> tuple[int, str]:
    """Check a colour for a row of the legend; ValueError when it is none."""
    if type(label) is not int or not 1 <= label <= classes:
        raise ValueError("Legend: that row has no colour to choose. Reload the page.")
    if not isinstance(color, str) or not re.fullmatch("#[0-9A-Fa-f]{6}", color):
        raise ValueError("Legend: that is no colour; expected one like #0072B2.")
    return label, color.upper()


def parse_pick(data: Any, tokens: int) -> int:
    """Return the superpoint that was clicked; ValueError when there is no such one."""
    token = data.get("token") if isinstance(data, Mapping) else None
    if type(token) is not int or not 0 <= token < tokens:
        raise ValueError(f"Click: there is no such superpoint; they go from 0 to {tokens - 1}.")
    return token

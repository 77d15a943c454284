"""The curves of a training as a Plotly figure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import plotly.graph_objects as go
from plotly.subplots import make_subplots

from viewer import colors
from viewer.figures import ink

PARTS = ("distance", "contrast", "relation", "global", "masked", "clustering", "alignment")
"""What the loss is made of, as far as an objective has a weight."""
HUES = tuple(c for i, c in enumerate(colors.CLASSES) if i % len(colors.OKABE_ITO) != 3)
"""Without yellow, of which a thin line cannot be seen on white."""
WATCH = {"token_cosine": "between tokens", "prototype_entropy": "prototypes used"}
MOST = 2000
"""Points of a curve that are drawn."""

Rows = Sequence[Mapping[str, float]]


def curves(logs: Mapping[str, Rows], steps: int, *, dark: bool = False) -> go.Figure:
    """Draw the loss of every tokenizer, the parts of the last one's, and what shows a collapse.

    logs: rows of ``log.jsonl`` by tokenizer, sorted by step; steps: how many there will be.
    """
    figure = make_subplots(
        rows=1, cols=2, subplot_titles=("Loss", "Collapse watch"), horizontal_spacing=0.09
    )
    last = list(logs)[-1] if logs else ""
    for number, (tokenizer, rows) in enumerate(logs.items()):
        color = HUES[number]
        _line(figure, rows, "loss", f"loss, {tokenizer}", 1, color, "solid", 2.5)
        for key, text in WATCH.items():
            dash = "solid" if key == "token_cosine" else "dash"
            _line(figure, rows, key, f"{text}, {tokenizer}", 2, color, dash, 2.0)
        if tokenizer == last:
            for place, key in enumerate(PARTS, len(logs)):
                _line(figure, rows, key, key, 1, HUES[place], "dot", 1.5)
    grid = "rgba(128, 138, 150, 0.25)"
    figure.update_layout(
        autosize=True,
        height=330,
        margin={"l": 44, "r": 12, "t": 30, "b": 40},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        font={"family": "system-ui, sans-serif", "color": ink(dark)},
        legend={"orientation": "h", "y": -0.22, "x": 0},
        hovermode="x unified",
        hoverlabel={"font": {"color": "#1F2937"}, "bgcolor": "#FFFFFF"},
    )
    figure.update_xaxes(title="step", range=[0, steps], gridcolor=grid, zeroline=False)
    figure.update_yaxes(gridcolor=grid, zeroline=False, rangemode="tozero")
    return figure


def _line(
    figure: go.Figure,
    rows: Rows,
    key: str,
    name: str,
    col: int,
    color: str,
    dash: str,
    width: float,
) -> None:
    found = [(row["step"] + 1, row[key]) for row in rows if key in row]
    found = found[:: -(-len(found) // MOST) or 1]
    if not found:
        return
    x, y = zip(*found, strict=True)
    line = {"color": color, "dash": dash, "width": width}
    mode = "lines" if len(found) > 1 else "markers"
    trace = go.Scatter(x=list(x), y=list(y), name=name, mode=mode, line=line)
    figure.add_trace(trace, row=1, col=col)

"""The text parts of a page as HTML: everything that comes from a user or a file is escaped."""

from __future__ import annotations

import html
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from viewer import colors

if TYPE_CHECKING:
    from viewer.controls import Controls
    from viewer.session import Session

WHY = 5
"""Prompts that are listed for a superpoint."""


def escape(text: object) -> str:
    """Escape text for HTML and for the two template languages that Gradio runs over it."""
    safe = html.escape(str(text))
    return safe.translate({ord("{"): "&#123;", ord("}"): "&#125;", ord("$"): "&#36;"})


def status(text: str, kind: str = "info", fraction: float | None = None) -> str:
    """Write the status line; kind: info, busy or error; fraction in [0, 1] adds a progress bar."""
    bar = ""
    if fraction is not None:
        percent = round(100 * min(max(fraction, 0.0), 1.0))
        bar = (
            f'<span class="s4-bar" role="progressbar" aria-label="progress" aria-valuemin="0" '
            f'aria-valuemax="100" aria-valuenow="{percent}">'
            f'<span style="width:{percent}%"></span></span>'
        )
    sign = {"error": "⚠", "busy": "●"}.get(kind, "")
    mark = f'<span class="s4-sign" aria-hidden="true">{sign}</span>' if sign else ""
    return f'<div class="s4-status s4-{kind}">{mark}<span>{escape(text)}</span>{bar}</div>'


def chip(color: str) -> str:
    """Write a square of a class's colour."""
    return f'<span class="s4-chip" style="background:{color}" aria-hidden="true"></span>'


def legend(session: Session) -> str:
    """Write the table of classes: counts, percent, hide, solo, lock; "" without an answer."""
    answer = session.answer
    if answer is None:
        return ""
    counts = np.bincount(answer.labels, minlength=len(answer.classes) + 1)
    order = sorted(range(1, len(counts)), key=lambda i: -counts[i])
    rows = [_legend_row(session, i, int(counts[i]), len(answer.labels)) for i in [*order, 0]]
    show_all = (
        '<button type="button" class="s4-link" data-action="all" data-label="0">show all</button>'
        if session.hidden
        else ""
    )
    most = len(colors.PALETTES[session.palette])
    repeated = len(answer.classes) > most
    hint = f'<p class="s4-caption">Colours repeat after {most} words; other palettes have more.</p>'
    return (
        '<div class="s4-scroll"><table class="s4-legend"><thead><tr><th scope="col">Class</th>'
        '<th scope="col" class="s4-number">Points</th><th scope="col" class="s4-number">Share</th>'
        f'<th scope="col">{show_all}</th></tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
        f"{hint if repeated else ''}"
    )


def key(session: Session, *, holes: bool = False) -> str:
    """Write the classes with their colours in one line; "" without an answer.

    holes: whether some points are drawn that no token holds.
    """
    if session.answer is None:
        return ""
    names = [*enumerate(session.answer.classes, 1), (0, "unlabelled")]
    spans = "".join(f"<span>{chip(session.color(i))}{escape(n)}</span>" for i, n in names)
    if holes:
        spans += f"<span>{chip('var(--s4-hole)')}in no token</span>"
    return f'<div class="s4-key">{spans}</div>'


def _legend_row(session: Session, label: int, count: int, total: int) -> str:
    assert session.answer is not None
    name = session.answer.classes[label - 1] if label else "unlabelled"
    off = label in session.hidden
    text, share = escape(name), count / total
    others = set(range(len(session.answer.classes) + 1)) - {label}
    alone = session.hidden == others
    return (
        f'<tr class="{"s4-off" if off else ""}">'
        f'<th scope="row" title="{text}">{_swatch(session, label, text)}{text}</th>'
        f'<td class="s4-number">{count:,}</td>'
        f'<td class="s4-number"><span class="s4-share" style="--share:{share:.4f}">'
        f"{share:.1%}</span></td><td>"
        f"{_button('hide', label, text, off)}{_button('solo', label, text, alone)}"
        f"{_button('lock', label, text, name in session.locked)}</td></tr>"
    )


ICONS = {
    "hide": ("hide", "M3 12c4-6 14-6 18 0-4 6-14 6-18 0zM12 9.5a2.5 2.5 0 1 0 .01 0"),
    "solo": ("only", "M12 4a8 8 0 1 0 .01 0M12 1v6M12 17v6M1 12h6M17 12h6"),
    "lock": ("lock", "M6 11h12v9H6zM8.5 11V8a3.5 3.5 0 0 1 7 0v3"),
}
HELP = {
    "hide": "Hide or show this class",
    "solo": "Show this class alone, or all again",
    "lock": "No edit changes the points of a locked class",
}


def _button(action: str, label: int, text: str, on: bool) -> str:
    """Write a switch of a class; text: its name, escaped."""
    name, path = ICONS[action]
    if action == "hide" and on:
        path += "M4 21L20 3"
    return (
        f'<button type="button" data-action="{action}" data-label="{label}" '
        f'aria-label="{name} {text}" aria-pressed="{_bool(on)}" title="{HELP[action]}">'
        f'<svg viewBox="0 0 24 24" aria-hidden="true"><path d="{path}"/></svg></button>'
    )


def _swatch(session: Session, label: int, text: str) -> str:
    """Write a class's colour: one that can be changed, but for what has no label."""
    if not label:
        return chip(session.color(label))
    return (
        f'<input type="color" class="s4-chip" value="{session.color(label)}" data-label="{label}" '
        f'aria-label="colour of {text}" title="Change this colour">'
    )


def _bool(value: bool) -> str:
    return "true" if value else "false"


def caption(session: Session, c: Controls, shown: int, visible: int) -> str:
    """Write what the picture shows of how much."""
    assert session.cloud is not None
    parts = [f"{c.view}: showing {shown:,} of {visible:,} points"]
    if c.look.plotly:
        parts.append("a sample, drawn by Plotly: this browser has no WebGL2")
    total = len(session.cloud)
    if visible < total:
        parts.append(f"{total - visible:,} hidden by legend or cut")
    if c.view == "Tokens":
        parts = [f"Tokens: {len(session.layer.encoding.groups):,} centres, sized by extent"]
    elif c.view == "Superpoints" and session.layer.coverage < 1:
        parts.append(f"grey: the {1 - session.layer.coverage:.1%} of points that no token holds")
    elif c.view == "Heatmap" and c.heat:
        parts.append(f"similarity to “{c.heat}”, {c.scale} colours")
    elif c.view == "Colours" and session.cloud.colors is None:
        parts.append("the file has no colours: shaded by height")
    return f'<p class="s4-caption">{escape(" · ".join(parts))}</p>'


def stats(session: Session) -> str:
    """Write the facts about the open scan."""
    assert session.cloud is not None
    encoding = session.layer.encoding
    facts = {
        "Scan": session.name,
        "Points": f"{len(session.cloud):,}",
        "Extent": f"{' × '.join(f'{v:.4g}' for v in session.layer.sides)} units",
        **({"Size": encoding.size_text} if encoding.size_text else {}),
        "Tokens": f"{len(encoding.groups):,} ({encoding.tokenizer}), "
        f"median {np.median(encoding.groups.sizes):,.0f} points",
        "Coverage": f"{session.layer.coverage:.1%} of the points are in a token",
        **{f"Time: {stage}": f"{s:.2f} s" for stage, s in encoding.seconds.items()},
    }
    notes = "".join(f"<li>{escape(note)}</li>" for note in encoding.notes)
    return table(facts) + (f'<ul class="s4-notes">{notes}</ul>' if notes else "")


def why(session: Session, token: int) -> str:
    """Write why a superpoint got its label: its best prompts with their cosines."""
    sizes = session.layer.encoding.groups.sizes
    head = f"<h4>Superpoint {token}: {sizes[token]:,} points</h4>"
    answer = session.answer
    if answer is None:
        return f'<div class="s4-why">{head}<p>Type words to see which fit it best.</p></div>'
    label = int(token_labels(session)[token])
    name = answer.classes[label - 1] if label else "unlabelled"
    scores = answer.scores[token]
    best = np.argsort(-scores, kind="stable")[:WHY]
    low = min(float(scores.min()), 0.0)
    span = (float(scores.max()) - low) or 1.0
    rows = "".join(
        f'<tr><th scope="row">{chip(session.color(int(i) + 1))}{escape(answer.classes[i])}</th>'
        f'<td class="s4-number"><span class="s4-share" style="--share:'
        f'{(float(scores[i]) - low) / span:.3f}">{scores[i]:.3f}</span></td></tr>'
        for i in best
    )
    note = "Labels also weigh background words, what lies around, and the threshold."
    return (
        f'<div class="s4-why">{head}<p>The model says <b>{escape(name)}</b>. '
        "Cosine with your words:</p>"
        f'<table class="s4-facts"><tbody>{rows}</tbody></table>'
        f'<p class="s4-caption">{escape(note)}</p></div>'
    )


def table(facts: Mapping[str, object]) -> str:
    """Write name-value rows."""
    rows = "".join(
        f'<tr><th scope="row">{escape(k)}</th><td>{escape(v)}</td></tr>' for k, v in facts.items()
    )
    return f'<table class="s4-facts"><tbody>{rows}</tbody></table>'


def token_labels(session: Session) -> np.ndarray:
    """Return the most frequent label among each token's points, (M,), 0 without an answer."""
    count = len(session.layer.encoding.groups)
    answer = session.answer
    if answer is None:
        return np.zeros(count, dtype=np.int64)
    width = len(answer.classes) + 1
    votes = np.bincount(
        answer.superpoints.astype(np.int64) * width + answer.labels, minlength=count * width
    )
    return votes.reshape(count, width).argmax(axis=1)


def token_paint(session: Session) -> tuple[list[str], list[str]]:
    """Return a colour and a hover text for every token."""
    sizes = session.layer.encoding.groups.sizes
    if session.answer is None:
        paint = [colors.CLASSES[i] for i in session.layer.shade]
        return paint, [f"token {m}: {n:,} points" for m, n in enumerate(sizes)]
    labels = token_labels(session).tolist()
    name = ["unlabelled", *session.answer.classes]
    paint = [session.color(label) for label in labels]
    texts = [
        f"token {m}: {name[i]}, {n:,} points"
        for m, (i, n) in enumerate(zip(labels, sizes, strict=True))
    ]
    return paint, texts


def shown_tokens(session: Session, cut: float) -> np.ndarray:
    """Return the tokens that neither the legend nor the height cut hides."""
    assert session.cloud is not None
    keep = ~np.isin(token_labels(session), list(session.hidden))
    if session.answer is None:
        keep[:] = True
    height = session.cloud.points @ session.cloud.up.astype(session.cloud.points.dtype)
    top = height.min() + cut * (height.max() - height.min())
    return np.flatnonzero(keep & (session.layer.centers @ session.cloud.up <= top))


def badge(description: Mapping[str, Any]) -> str:
    """Write which checkpoint and which CLIP answer."""
    text = f"{description.get('checkpoint', '?')} · {description.get('clip', '?')}"
    warn = ""
    if description.get("clip_is_small"):
        warn = '<span class="s4-warn">small CLIP-text-aligned model, not CLIP</span>'
    if not description.get("trained", True):
        warn += '<span class="s4-warn">untrained weights: answers are noise</span>'
    return f'<div class="s4-badge"><span>{escape(text)}</span>{warn}</div>'


LIMITS = (
    "The small model that ships is aligned to CLIP's text space, but it is not CLIP: it saw little "
    "data and few words. Expect it to confuse look-alikes and to miss rare words.",
    "Words are compared with whole tokens, whose answers blend at their borders: nothing much "
    "smaller than a token can get its own label.",
    "A label means “the best of your words”, not “certainly this”. Raise the threshold, or add "
    "words for what else is in the scan, to make it stricter.",
    "The bundled rooms are synthetic and come from the generator that also made rooms for "
    "training, though not these ones; real scans are noisier and harder.",
    "kNN and radius tokens depend on the scan's units and density; superpoints do not. The "
    "Compare page shows it.",
)


def about(description: Mapping[str, Any], device: str = "") -> str:
    """Write the model card of what is loaded."""
    small = description.get("clip_is_small")
    facts = {
        "Checkpoint": description.get("checkpoint", "?"),
        "CLIP": f"{description.get('clip', '?')}"
        + (" (small, CLIP-text-aligned, not CLIP)" if small else ""),
        "Trained": "yes" if description.get("trained") else "no: answers are noise",
        "Parameters": _count(description.get("parameters")),
        "SHA-256": description.get("sha256", "?"),
        **({"Device": device} if device else {}),
    }
    limits = "".join(f"<li>{escape(line)}</li>" for line in LIMITS[0 if small else 1 :])
    return (
        f'<section class="s4-about"><h2>What answers here</h2>{table(facts)}'
        f"<h2>What to know before you trust it</h2><ul>{limits}</ul>"
        "<h2>Your data</h2><p>Scans stay on the machine that runs this app. The page loads nothing "
        "from the internet, uploads are deleted after a day, and an idle scan is unloaded when "
        "memory gets short.</p></section>"
    )


def _count(value: Any) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value or "?")

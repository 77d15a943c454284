"""Write docs/results.md and docs/scale.svg from the JSON files that ``evaluate`` left here.

    python -m benchmarks.results            # every benchmarks/*.json with rows
    python -m benchmarks.results --check    # say whether the document is up to date

Nothing in the document is typed by hand: figures come from those files, those of reading from
``readers.json``, of a GPU from ``gpu.json``, other people's from ``published.json``.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import os
import sys
from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
DOCS = HERE.parent / "docs"
BASELINES = ("random", "majority", "geometry")
COLORS = {"superpoint": "#d1495b", "knn": "#00798c", "radius": "#edae49", "multiview": "#3d5a80"}
Row = dict[str, Any]


def machine(device: str = "cpu") -> Row:
    """Say what a benchmark runs on, and how busy that is; call it at the end."""
    load = round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None
    return {"device": device, "cores": os.cpu_count(), "load_average": load}


def keep_study(name: str, model: Any, stated: str, parts: dict[str, list[Row]]) -> int:
    """Write a study of one run to benchmarks/``name``, and the document anew.

    model: the S4Token that was studied; stated: what stands over its tables; parts: a table each.
    """
    found = {
        "model": model.description,
        "stated": {"text": stated},
        "machine": machine(),
        "ablation": parts,
    }
    (HERE / name).write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    return main([])


def load(folder: Path = HERE) -> dict[str, dict[str, Any]]:
    """Return the results in a folder by file name; others are left out."""
    found = {}
    for path in sorted(folder.glob("*.json")):
        content = json.loads(path.read_text(encoding="utf-8"))
        if "model" in content:
            found[path.name] = content
    return found


def _number(value: Any, digits: int = 1) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> list[str]:
    out = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    return [*out, *("| " + " | ".join(line) + " |" for line in lines), ""]


def _interval(row: Row, name: str) -> str:
    low, high = row.get(f"{name}_low"), row.get(f"{name}_high")
    return "" if low is None else f" [{low:.1f}, {high:.1f}]"


def _name(row: Row) -> str:
    """Return tokenizer and coordinates, with a star where no weights were trained for them."""
    star = "*" if "not this" in str(row.get("weights", "")) else ""
    coords = {"token": "normalised", "none": "metric"}.get(row["normalise"], "")
    coords += " on photographs" if "images" in row else ""
    coords += f", unit told ({row['unit']})" if "unit" in row else ""
    clip = f" ({row['clip']}, {row['dense']})" if "clip" in row else ""
    return f"{row['tokenizer']}{' ' + coords if coords else ''}{star}{clip}"


def _dear(row: Row) -> list[str]:
    return [_number(row.get("seconds"), 2), _number(row.get("peak_mb"), 0)]


def segmentation(rows: Sequence[Row]) -> list[str]:
    """Return the tables of one data set: everything at scale 1, then mIoU over scales."""
    plain = [r for r in rows if r["scale"] == 1]
    extras = ("foreground_mIoU", "instance_mIoU")
    extra = next((k for k in extras if any(r.get(k) is not None for r in plain)), None)
    head = ["tokens", "density", "mIoU", *([extra] if extra else []), "mAcc", "OA", "s", "MB"]
    lines = [
        [
            _name(r),
            f"{r['density']:g}",
            _number(r["mIoU"]) + _interval(r, "mIoU"),
            *([_number(r.get(extra))] if extra else []),
            *(_number(r[k]) for k in ("mAcc", "OA")),
            *_dear(r),
        ]
        for r in plain
    ]
    out = _table(head, lines)
    scales = sorted({r["scale"] for r in rows})
    if len(scales) > 1:
        keys = dict.fromkeys(
            (_name(r), r["density"]) for r in rows if r["tokenizer"] not in BASELINES
        )
        cell = {(_name(r), r["density"], r["scale"]): _number(r["mIoU"]) for r in rows}
        lines = [[n, f"{d:g}", *(cell.get((n, d, s), "") for s in scales)] for n, d in keys]
        out += ["mIoU over the unit:", ""]
        out += _table(["tokens", "density", *(f"x {s:g}" for s in scales)], lines)
    return out


def shapes(rows: Sequence[Row]) -> list[str]:
    """Return the table of zero-shot classification and retrieval of one data set."""
    head = ["tokens", "scale", "density", "top-1", "top-5", "mAcc", "mAP", "s", "MB"]
    return _table(
        head,
        [
            [
                _name(r),
                f"{r['scale']:g}",
                f"{r['density']:g}",
                *(_number(r[k]) + _interval(r, k) for k in ("top1", "top5", "mAcc", "mAP")),
                *_dear(r),
            ]
            for r in rows
        ],
    )


def probed(rows: Sequence[Row]) -> list[str]:
    """Return the table of probes of one data set: top-1 or mIoU over examples per class."""
    metric = "top1" if "top1" in rows[0] else "mIoU"
    columns = list(dict.fromkeys(r["shots"] for r in rows))
    cells: dict[tuple, dict[Any, str]] = {}
    for r in rows:
        key = (_name(r), r["probe"], f"{r['scale']:g}", f"{r['density']:g}")
        cells.setdefault(key, {})[r["shots"]] = _number(r[metric]) + _interval(r, metric)
    row = rows[0]
    unit = "shapes" if metric == "top1" else "scans"
    how = f"{metric} of {row[unit]} {unit} of the split {row['split']}, by a classifier of frozen "
    how += (
        f"features learnt from {', '.join(row['train'])} ({row[f'train_{unit}']} {unit}): linear "
    )
    how += "(logistic regression, fixed penalty) or the nearest prototype. Columns: examples per "
    how += "class, or as many as it has; mean over "
    how += f"{max(r['seeds'] for r in rows)} draws of them, {row['interval']}. Of "
    how += f"{len(row['classes'])} classes {row['classes_learnt']} have an example to learn from."
    head = ["tokens", "probe", "scale", "density", *(f"{k} shots" for k in columns)]
    head = [h.replace("1 shots", "1 shot") if h == "1 shots" else h for h in head]
    lines = [[*key, *(line.get(k, "") for k in columns)] for key, line in cells.items()]
    return [how, "", *_table(head, lines)]


def _stated(row: Row) -> list[str]:
    """Return one paragraph of what the figures depend on."""
    if "protocol" not in row:
        return ["(Made before rows stated their protocol.)", ""]
    unit = "shapes" if "shapes" in row else "scans"
    classes = row["classes"]
    names = ", ".join(classes) if len(classes) <= 50 else f"{', '.join(classes[:12])}, ..."
    templates = ", ".join(f"`{t}`" for t in row["templates"])
    words = (
        f"{row['protocol']}; split {row['split']}, {row[unit]} of {row[unit + '_listed']} {unit}"
    )
    words += f", {row['points']:,} points; seed {row['seed']}; templates {templates}"
    asked = "the class names" if row["prompts"] == classes else ", ".join(row["prompts"])
    words += f"; prompts: {asked}; {len(classes)} classes: {names}."
    if row.get("foreground_leaves_out"):
        words += f" Foreground leaves out {', '.join(row['foreground_leaves_out'])}."
    return [words, ""]


def _by_data(rows: Sequence[Row]) -> dict[str, list[Row]]:
    return {d: [r for r in rows if r["data"] == d] for d in dict.fromkeys(r["data"] for r in rows)}


def beside_others(results: dict[str, dict[str, Any]], published: Sequence[Row]) -> list[str]:
    """Return published figures with ours below them, one table per benchmark."""
    ours = [r | {"file": f} for f, c in results.items() for k in ("rows", "objects")
            for r in c.get(k, []) if r["scale"] == r["density"] == 1 and "probe" not in r
            and r["tokenizer"] not in BASELINES]  # fmt: skip
    out = []
    for data, metric in dict.fromkeys((p["data"], p["metric"]) for p in published):
        lines = [
            [p["method"], str(p["value"]), p["differs"]]
            for p in published
            if (p["data"], p["metric"]) == (data, metric)
        ]
        own = [r for r in ours if r["data"].split("-")[0] == data and r.get(metric) is not None]
        lines += [[f"**{_name(r)}**", _number(r[metric]), f"`{r['file']}`"] for r in own]
        if not own:
            lines.append(["**ours**", "not measured", "the data set was not at hand"])
        out += [f"### {data}, {metric}", "", *_table(["method", metric, "protocol"], lines)]
    return out


def curves(results: dict[str, dict[str, Any]]) -> dict[str, dict[str, list[tuple[float, float]]]]:
    """Return mIoU over scale at density 1, by data set and tokens, where two scales were run."""
    out: dict[str, dict[str, list[tuple[float, float]]]] = {}
    for content in results.values():
        for row in content.get("rows", []):
            if "probe" not in row and row["tokenizer"] not in BASELINES and row["density"] == 1:
                line = out.setdefault(row["data"], {}).setdefault(_name(row), [])
                if all(scale != row["scale"] for scale, _ in line):
                    line.append((row["scale"], row["mIoU"]))
    lines = {d: {n: sorted(p) for n, p in c.items() if len(p) > 1} for d, c in out.items()}
    return {data: found for data, found in lines.items() if found}


def plot(found: dict[str, dict[str, list[tuple[float, float]]]]) -> str:
    """Return an SVG with one panel per data set: mIoU over the unit, logarithmic."""
    wide, high, left, top = 360, 220, 46, 30
    total = (wide + 170) * max(1, len(found))
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {total} {high + 80}" '
        'font-family="sans-serif" font-size="12">',
        f'<rect width="{total}" height="{high + 80}" fill="white"/>',
    ]
    for number, (data, lines) in enumerate(found.items()):
        x0 = number * (wide + 170) + left
        scales = sorted({s for points in lines.values() for s, _ in points})
        first, last = math.log10(scales[0]), math.log10(scales[-1])
        most = 4 * math.ceil(0.27 * max(1.0, *(v for p in lines.values() for _, v in p)))

        def place(s: float, v: float, x0=x0, first=first, last=last, most=most) -> str:
            x = x0 + (math.log10(s) - first) / (last - first) * (wide - left)
            return f"{x:.1f},{top + high * (1 - v / most):.1f}"

        out.append(f'<text x="{x0}" y="18" font-weight="bold">{escape(data)}: mIoU, %</text>')
        for k in range(5):
            y = top + high * (1 - k / 4)
            out.append(f'<path d="M{x0},{y:.1f}h{wide - left}" stroke="#ddd"/>')
            out.append(
                f'<text x="{x0 - 6}" y="{y + 4:.1f}" text-anchor="end">{most * k / 4:.0f}</text>'
            )
        for s in scales:
            x = place(s, 0).split(",")[0]
            out.append(f'<text x="{x}" y="{top + high + 18}" text-anchor="middle">x {s:g}</text>')
        for row, (name, points) in enumerate(lines.items()):
            color = COLORS.get(name.split()[0], "#666")
            dash = ' stroke-dasharray="5 4"' if "*" in name else ""
            path = " ".join(place(s, v) for s, v in points)
            style = f'fill="none" stroke="{color}" stroke-width="2"{dash}'
            out.append(f'<polyline points="{path}" {style}/>')
            for s, v in points:
                x, y = place(s, v).split(",")
                out.append(f'<circle cx="{x}" cy="{y}" r="3" fill="{color}"/>')
            y, x = top + 16 + 18 * row, x0 + wide - left + 12
            out.append(f'<path d="M{x},{y - 4}h18" stroke="{color}" stroke-width="2"{dash}/>')
            out.append(f'<text x="{x + 24}" y="{y}">{escape(name)}</text>')
    return "\n".join([*out, "</svg>", ""])


def ablation(parts: dict[str, list[Row]], stated: Row) -> list[str]:
    """Return a table per part of the study, a line per variant."""
    out = [_trained(stated) if "steps" in stated else stated["text"], ""]
    for part, rows in parts.items():
        columns = [c for c in dict.fromkeys(itertools.chain(*rows)) if c not in _NO_SCORES]
        lines = [[row["variant"], *(_scored(row, c) for c in columns)] for row in rows]
        out += [f"### {part}", "", *_table([part, *columns], lines)]
    return out


def _trained(stated: Row) -> str:
    return (
        f"{stated['steps']} steps on {stated['scenes']} scenes, of which {stated['held_out']} were "
        f"kept apart; seeds {', '.join(map(str, stated['seeds']))}; scales "
        f"{', '.join(f'{scale:g}' for scale in stated['scales'])}."
        + " Of several seeds: mean ± standard deviation."
        * (len(stated["seeds"]) > 1)
    )


_NO_SCORES = ("variant", "spread")


def _scored(row: Row, column: str) -> str:
    """Return a score of the ablation, with its spread over seeds where there are several."""
    if column not in row:
        return ""
    digits, spread = _digits(column), row.get("spread", {})
    beside = f" ± {_number(spread[column], digits)}" if column in spread else ""
    return _number(row[column], digits) + beside


def _digits(column: str) -> int:
    return 3 if column.endswith("cosine") else 0 if column.endswith("_s") else 1


def _machine(content: dict[str, Any]) -> str:
    """Say what ran it and how busy that was: times of a busy machine are no measure of speed."""
    machine = content.get("machine")
    if not machine:
        return ""
    busy = f"{machine['cores']} cores, load average {machine['load_average']} at the end"
    return f" Run on {machine['device']}, {busy} (times mean something where that is near 1)."


def reading(found: dict[str, Any]) -> list[str]:
    """Return what listing, checking and reading a data set of full size takes."""
    machine = found["machine"]
    how = f"A synthetic tree in ScanNet's layout, {found['scans']:,} scans, each of "
    how += f"{round(found['points'] / found['read']):,} vertices and in the page cache "
    how += f"(`python -m benchmarks.readers`; {machine['cores']} cores, load average "
    how += f"{machine['load_average']} at the end). A scan is read when its turn comes and dropped "
    how += "after it."
    lines = [
        [f"listing {found['scans']:,} scans", f"{found['list_s']:.3f} s"],
        [f"checking for missing files ({found['missing']:,} found)", f"{found['check_s']:.2f} s"],
        [f"reading one scan, mean of {found['read']:,}", f"{found['read_s_per_scan']:.2f} s"],
    ]
    for count, memory in found["resident_mb"].items():
        lines.append([f"resident memory, scans read: {int(count):,}", f"{memory:,} MB"])
    out = ["## Reading a data set of full size", "", how, ""]
    return out + _table(["step", "takes"], lines)


def on_gpu(found: dict[str, Any]) -> list[str]:
    """Return what encoding, the 2D teacher and the shipped model take on a GPU and beside it."""
    machine, tokens = found["machine"], found["grouped"][0]["tokens"]
    how = f"{machine['device']}, {machine['cores']} cores, torch {machine['torch']}"
    if machine["load_average"] is not None:
        how += f", load average {machine['load_average']} at the end"
    how += f" (`python -m benchmarks.gpu`). Weights: {found['weights']}. An encoding reads "
    how += f"{', '.join(map(str, tokens))} tokens"
    # As encodings did that were measured before each level was read once.
    how += f" in {found['turns']} turns each" if "turns" in found else ""
    how += f". Seconds; transformer and teacher the median of {found['repeats']} runs. MB: the "
    how += "GPU's (on a CPU the process's) most, with weights."
    seconds = lambda row, *keys: [_number(row[f"{k}_s"], 3) for k in keys]  # noqa: E731
    cpu = {row["tokenizer"]: row for row in found["grouped"]}
    before = ("grouping", "describing", "averaging")
    encoded = [
        [
            row["clip"], row["tokenizer"], f"{row['points']:,}", row["precision"],
            *seconds(row, *before, "transformer"),
            _number(sum(row[f"{k}_s"] for k in (*before, "transformer")), 2),
            f"{row['peak_mb']:,}", f"{row['weights_mb']:,}", _number(row["least_cosine"], 6),
        ]
        for row in (cpu[r["tokenizer"]] | r for r in found["transformed"])
    ]  # fmt: skip
    seen = [
        [r["clip"], f"{r['points']:,}", str(r["views"]),
         *seconds(r, "grouping", "rendering", "views", "total"), f"{r['peak_mb']:,}"]
        for r in found["multiview"]
    ]  # fmt: skip
    first = {r["points"]: r for r in reversed(found["shipped"])}
    line = [
        [f"{r['points']:,}", r["device"],
         *seconds(r, "read", "grouping", "describing", "transformer", "total"),
         *(f"{first[r['points']][k] / r[k]:.2f}" for k in ("transformer_s", "total_s")),
         f"{r['peak_mb']:,}", _number(r["least_cosine"], 6)]
        for r in found["shipped"]
    ]  # fmt: skip
    head = ["grouping", "describing", "averaging", "transformer", "in all", "MB", "of it weights"]
    out = ["## On a GPU", "", how, "", "Encoding, all but the transformer on the CPU:", ""]
    out += _table(["CLIP", "tokens", "points", "precision", *head, "cosine to float32"], encoded)
    out += ["The 2D teacher (`--engine multiview`):", ""]
    head = ["CLIP", "points", "views", "grouping", "rendering", "encoding views", "in all", "MB"]
    out += _table(head, seen)
    if not line:
        return [
            *out,
            "This run ended before the shipped model's turn.",
            "",
        ]
    out += ["The shipped model, from a PLY file to features:", ""]
    head = ["points", "device", "reading", "grouping", "describing", "transformer", "in all"]
    head += ["transformer faster", "all faster", "MB", "cosine to the CPU's"]
    return out + _table(head, line)


def document(
    results: dict[str, dict[str, Any]],
    published: Sequence[Row],
    readers: dict[str, Any] | None = None,
    gpu: dict[str, Any] | None = None,
) -> str:
    """Return the whole of docs/results.md."""
    out = [
        "# Results",
        "",
        "Generated by `python -m benchmarks.results` from `benchmarks/*.json`; not to be edited. "
        "Scores in percent, over the classes in the truth; intervals are 95 %, bootstrapped over "
        "scans or shapes. `s`: seconds in all, from grouping to labels; `MB`: most memory of the "
        "process, or of the GPU, at that. *: no weights were trained for these coordinates, the "
        "tokenizer's own were fed them.",
        "",
    ]
    if curves(results):
        out += ["![mIoU over the unit](scale.svg)", ""]
    for file, content in results.items():
        model = content.get("model", {})
        about = f"`{model.get('checkpoint', '-')}`, CLIP `{model.get('clip', '-')}`"
        about += f" ({str(model.get('sha256', ''))[:12]})" if model.get("sha256") else ""
        out += [f"## `{file}`", "", f"Model: {about}.{_machine(content)}", ""]
        for key, draw in (("rows", segmentation), ("objects", shapes)):
            for data, rows in _by_data(content.get(key, [])).items():
                words = [r for r in rows if "probe" not in r]
                learnt = [r for r in rows if "probe" in r]
                out += [f"### {data}", "", *([*_stated(words[0]), *draw(words)] if words else [])]
                out += probed(learnt) if learnt else []
        if "ablation" in content:
            out += ablation(content["ablation"], content["stated"])
    out += reading(readers) if readers else []
    out += on_gpu(gpu) if gpu else []
    out += [
        "## Beside others",
        "",
        "Published figures for orientation. Each was had under another protocol, which the last "
        "column says; none is a figure of this project.",
        "",
        *beside_others(results, published),
    ]
    return "\n".join(out).rstrip() + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the document and the plot; with --check compare instead and return 1 if they differ."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--check", action="store_true")
    options = parser.parse_args(arguments)
    results = load()
    published = json.loads((HERE / "published.json").read_text(encoding="utf-8"))
    readers = json.loads((HERE / "readers.json").read_text(encoding="utf-8"))
    gpu = json.loads(path.read_text()) if (path := HERE / "gpu.json").is_file() else None
    files = {
        "results.md": document(results, published, readers, gpu),
        "scale.svg": plot(curves(results)),
    }
    for name, text in files.items():
        path = DOCS / name
        if not options.check:
            path.write_text(text, encoding="utf-8")
        elif not path.is_file() or path.read_text(encoding="utf-8") != text:
            print(f"{path}: out of date; run python -m benchmarks.results", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

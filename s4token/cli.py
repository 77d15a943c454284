"""The command line: one verb per step of the data flow."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from s4token.cli_evaluate import data_verbs
from s4token.cli_options import (
    TOKENIZERS,
    loaded_model,
    model_options,
    unit_option,
    writable,
)
from s4token.cli_training import training_verbs


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Say what is wrong in one line, without the usage in front of it."""
        self.exit(2, f"{self.prog}: {message}; see {self.prog} --help\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one verb; return 0, or 2 after one clear line on stderr for bad usage or input."""
    options = _parser().parse_args(_joined(sys.argv[1:] if arguments is None else arguments))
    logging.basicConfig(format="%(message)s", level=logging.WARNING, stream=sys.stderr)
    try:
        options.run(options)
        sys.stdout.flush()
    except BrokenPipeError:
        # Whoever reads has enough, as `head` does; Python would complain once more at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    except (ValueError, OSError, ImportError, FloatingPointError) as error:
        text = " ".join(str(error).split()) or type(error).__name__
        print(f"s4token: {text}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("s4token: interrupted; nothing half-written was left behind", file=sys.stderr)
        return 130
    return 0


def _parser() -> _Parser:
    parser = _Parser(prog="s4token", description="Type words, get a segmented point cloud.")
    verbs = parser.add_subparsers(required=True, metavar="VERB", parser_class=_Parser)

    def verb(name: str, run: Any, summary: str) -> argparse.ArgumentParser:
        sub = verbs.add_parser(name, help=summary, description=summary)
        sub.set_defaults(run=run)
        return sub

    sub = verb("segment", _segment, "label a scan by words")
    sub.add_argument("scan", type=Path)
    sub.add_argument("--prompts", nargs="+", required=True, metavar="WORDS")
    sub.add_argument("--negatives", nargs="*", default=(), metavar="WORDS")
    sub.add_argument("--out", type=Path, required=True, help="PLY; a JSON is put beside it")
    sub.add_argument("--tokenizer", choices=TOKENIZERS, default="superpoint")
    sub.add_argument("--engine", choices=("s4token", "multiview"), default="s4token")
    sub.add_argument("--images", type=Path, help="folder of posed photographs for the 2D teacher")
    sub.add_argument("--views", type=int, help="pictures that the 2D teacher looks at")
    sub.add_argument("--threshold", type=float, help="least confidence; 0 labels every point")
    sub.add_argument("--count", type=int, help="number of tokens")
    sub.add_argument("--levels", type=int, help="token counts to average: 1 (quickest) to 4")
    _up_option(sub)
    unit_option(sub)
    model_options(sub)

    sub = verb("partition", _partition, "cut a scan into superpoints")
    sub.add_argument("scan", type=Path)
    sub.add_argument("--count", type=int, default=512)
    sub.add_argument("--out", type=Path, required=True)

    sub = verb("render", _render, "draw a scan, or its labels, to a PNG")
    sub.add_argument("scan", type=Path)
    sub.add_argument("--out", type=Path, required=True, help="PNG")
    sub.add_argument("--views", type=int, default=4)
    sub.add_argument("--size", type=int, default=480, help="pixels per view")
    sub.add_argument("--labels", action="store_true", help="colour by label instead")
    _up_option(sub)

    sub = verb("convert", _convert, "rewrite a scan, with its labels, in another format")
    sub.add_argument("scan", type=Path)
    sub.add_argument("out", type=Path, help="a .label, .zip (ScanNet) or .json has labels alone")
    sub.add_argument("--labels", type=Path, metavar="FILE", help="labels to put on the scan")
    sub.add_argument("--drop-invalid", action="store_true", help="leave out NaN and infinite rows")
    sub.add_argument("--scale", type=float, default=1.0, help="multiply every coordinate")

    sub = verb("info", _info, "say what a checkpoint holds")
    sub.add_argument("path", type=Path, nargs="?")
    data_verbs(verb)
    training_verbs(verb)
    return parser


def _up_option(sub: argparse.ArgumentParser) -> None:
    from s4token.types import AXES

    sub.add_argument("--up", choices=AXES, default="z", help="axis against gravity (default: z)")


def _joined(arguments: Sequence[str]) -> list[str]:
    """Return arguments with ``--up -y`` as one: argparse would take -y for an option."""
    out: list[str] = []
    for word in arguments:
        if out and out[-1] == "--up":
            out[-1] = f"--up={word}"
        else:
            out.append(word)
    return out


def _read(path: Path, up: str, unit: str | None = None) -> Any:
    from s4token.io import read
    from s4token.types import AXES, UNITS

    return read(path).told(up=AXES[up], metres_per_unit=UNITS[unit] if unit else None)


def _check_out(scan: Path, out: Path) -> None:
    """Refuse folders, and the names of the scan's own labels, in place of OUT and its JSON."""
    beside = out.with_suffix(".json")
    for path in (out, beside):
        if path.is_dir():
            raise ValueError(f"--out: {path} is a folder; give another file name")
    own = (
        beside.resolve() == scan.with_suffix(".json").resolve() and out.resolve() != scan.resolve()
    )
    if not (own and beside.exists()):
        return
    try:
        known = json.loads(beside.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        known = None
    if not (isinstance(known, dict) and "provenance" in known):
        raise ValueError(
            f"--out: {beside} belongs to {scan.name} and would be replaced; give another file name"
        )


def _segment(options: argparse.Namespace) -> None:
    from s4token.io import write
    from s4token.multiview import VIEWS, encode_views
    from s4token.segment import THRESHOLD, check_question, segment
    from s4token.spelling import misspelt

    writable(options.out, ".ply")
    _check_out(options.scan, options.out)
    threshold = THRESHOLD if options.threshold is None else options.threshold
    check_question(options.prompts, options.negatives, threshold)
    for word, near in misspelt([*options.prompts, *options.negatives]).items():
        print(f"note: {word}: did you mean {near}? It is asked as it stands", file=sys.stderr)
    cloud = _read(options.scan, options.up, options.unit)
    if options.clip and options.engine != "multiview":
        raise ValueError("--clip: no tokenizer is trained for it; add --engine multiview")
    if options.engine != "multiview" and (options.images or options.views):
        raise ValueError("--images, --views: for the 2D teacher; add --engine multiview")
    if options.engine == "multiview" and options.levels is not None:
        raise ValueError("--levels: the 2D teacher has none; leave it out")
    if options.views is not None and options.views < 1:
        raise ValueError(f"--views: expected at least 1, got {options.views}")
    model = loaded_model(options)
    say = lambda fraction, stage: print(f"{100 * fraction:3.0f} % {stage}", file=sys.stderr)  # noqa: E731
    if options.engine == "multiview":
        grouping = model.grouping(options.tokenizer, options.count)
        encoding = encode_views(
            model.clip,
            cloud,
            grouping=grouping,
            tokenizer=options.tokenizer,
            progress=say,
            views=options.views or VIEWS,
            images=options.images,
        )
    else:
        how = {} if options.levels is None else {"levels": options.levels}
        encoding = model.encode(
            cloud, tokenizer=options.tokenizer, count=options.count, progress=say, **how
        )
    for note in encoding.notes:
        print(f"note: {note}", file=sys.stderr)
    if encoding.size_text and not options.unit:
        said = f"{encoding.size_text}; --unit says the file's unit"
        print(f"note: the scan is {said}", file=sys.stderr)
    result = segment(
        model, encoding, options.prompts, negatives=options.negatives, threshold=threshold
    )
    write(options.out, cloud, result)
    _print_counts(result)
    if result.hardly_labelled:
        print(f"note: hardly a point got a label; is {options.up} up? See --up", file=sys.stderr)


def _print_counts(result: Any) -> None:
    import numpy as np

    counts = np.bincount(result.labels, minlength=len(result.classes) + 1)
    for name, count in zip(("unlabelled", *result.classes), counts, strict=True):
        print(f"{count:10,} {100 * count / len(result.labels):5.1f} %  {name}")


def _partition(options: argparse.Namespace) -> None:
    from s4token.compiling import COMPILING, compiling
    from s4token.io import read, write
    from s4token.superpoints import Superpoints

    writable(options.out, ".ply")
    grouping = Superpoints(options.count)
    cloud = read(options.scan)
    with compiling(lambda: print(COMPILING, file=sys.stderr)):
        groups = grouping(cloud)
    write(options.out, cloud, superpoints=groups.labels)
    print(f"{len(cloud):,} points in {len(groups):,} superpoints: {options.out}")


def _render(options: argparse.Namespace) -> None:
    from s4token.picture import contact_sheet, label_sheet

    writable(options.out, ".png")
    if options.labels:
        label_sheet(options.scan, options.out, views=options.views, size=options.size)
    else:
        cloud = _read(options.scan, options.up)
        contact_sheet(cloud, options.out, views=options.views, size=options.size)
    print(options.out)


def _convert(options: argparse.Namespace) -> None:
    from s4token.label_files import convert

    writable(options.out)
    how = {name: getattr(options, name) for name in ("labels", "drop_invalid", "scale")}
    print(convert(options.scan, options.out, **how))


def _info(options: argparse.Namespace) -> None:
    from s4token.checkpoint import read_header
    from s4token.model import DEFAULT_CHECKPOINT

    print(json.dumps(read_header(options.path or DEFAULT_CHECKPOINT), indent=1))

"""Objects by words and by a few examples, on those that training held out.

    python -m benchmarks.objects PACK [--checkpoint FILE] [--probed superpoint ...]

PACK is an ``objects.npz`` as ``pretrain-clip`` takes it, with the same share held out. Writes
benchmarks/objects.json, and docs/results.md anew.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks import results

TOKENIZERS = ("superpoint", "knn", "radius")


def measure(model: Any, pack: Path, learning: Sequence[str]) -> list[dict[str, Any]]:
    """Return rows of zero-shot classification, then of probes that learn from the seen objects."""
    from s4token.datasets import open_data
    from s4token.few_shot import probed
    from s4token.probes import Probing
    from s4token.settings import Settings
    from s4token.zero_shot import named, object_rows_json, shape_features

    held, seen = (
        shape_features(model, open_data(f"objects:{pack}@{part}"), Settings(tokenizers).of(model))
        for part, tokenizers in (("held-out", (*TOKENIZERS, "multiview")), ("seen", learning))
    )
    probing, rows = Probing(("linear", "prototype")), []
    for row in itertools.chain(named(model, held), probed(model, held, [seen], probing)):
        probe = f"{row.stated['probe']} {row.stated['shots']}" if "probe" in row.stated else "words"
        print(f"{row.tokenizer:<12}{probe:<16}top-1 {row.top1:5.1f}  top-5 {row.top5:5.1f}")
        rows.append(row)
    return object_rows_json(rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, write the JSON and the document."""
    from s4token.model import load

    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("pack", type=Path)
    parser.add_argument("--checkpoint", type=Path, help="trained tokenizers (default: shipped)")
    parser.add_argument("--probed", nargs="*", choices=TOKENIZERS, default=TOKENIZERS)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--json", type=Path, default=results.HERE / "objects.json")
    options = parser.parse_args(arguments)
    model = load(options.checkpoint, options.device)
    found: dict[str, Any] = {"rows": [], "objects": measure(model, options.pack, options.probed)}
    found["model"] = model.description
    found["machine"] = results.machine(options.device)
    draft = options.json.with_name(f".{options.json.name}.{os.getpid()}")
    draft.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    os.replace(draft, options.json)
    return results.main([]) if options.json.parent == results.HERE else 0


if __name__ == "__main__":
    sys.path.insert(0, str(results.HERE.parent))
    raise SystemExit(main())

"""Measure how well words that were never trained on find their category.

200 phrases of five kinds against 40 indoor categories (text_phrases.json), top-1:

    python benchmarks/text.py                       # the shipped model
    python benchmarks/text.py --tower text.safetensors   # a text tower alone
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from s4token.text_pretrain import read_phrases
from s4token.vocabulary import plural

PHRASES = Path(__file__).with_name("text_phrases.json")
WORDINGS = ("a {}", "the {}", "a photo of a {}", "a 3d scan of a {}", "point cloud of a {}")
Encode = Callable[[Sequence[str]], np.ndarray]


def encoder(tower: Path | None, checkpoint: Path | None) -> Encode:
    """Return the text encoder of a tower, of a checkpoint or of the shipped model."""
    if tower is not None:
        from s4token.clip_pretrain import with_text_tower

        clip = with_text_tower(tower)
        return lambda texts: clip.encode_text(list(texts)).numpy()
    import s4token

    return s4token.load(checkpoint).encode_text


def table(encode: Encode, *, misses: bool = False) -> list[str]:
    """Return the lines of the report."""
    categories, phrases = read_phrases(PHRASES)
    bank = encode(categories)
    lines, hits = [f"{'kind':<14}{'phrases':>8}{'top-1':>8}{'top-3':>8}"], []
    for kind, rows in phrases.items():
        order = np.argsort(-(encode([text for text, _ in rows]) @ bank.T), axis=1)
        truth = np.array([categories.index(category) for _, category in rows])
        found = order[:, :3] == truth[:, None]
        hits.append(found)
        lines.append(_row(kind, found))
        if misses:
            lines += [
                f"    {text!r}: {categories[first]}, not {category}"
                for (text, category), first, hit in zip(rows, order[:, 0], found[:, 0], strict=True)
                if not hit
            ]
    lines.append(_row("all", np.concatenate(hits)))
    cosines = bank @ bank.T - 2 * np.eye(len(bank))
    one, other = np.unravel_index(cosines.argmax(), cosines.shape)
    lines.append(
        f"nearest categories: {categories[one]} / {categories[other]} at {cosines.max():.2f}"
    )
    others = [[w.format(c) for c in categories] for w in WORDINGS]
    others += [[c.upper() for c in categories], [plural(c) for c in categories]]
    agreement = np.stack([(encode(texts) * bank).sum(axis=-1) for texts in others])
    lines.append(
        f"same word, other wording: cosine {agreement.mean():.3f} (min {agreement.min():.2f})"
    )
    return lines


def _row(name: str, found: np.ndarray) -> str:
    first, three = found[:, 0].mean(), found.any(axis=1).mean()
    return f"{name:<14}{len(found):>8}{100 * first:>8.1f}{100 * three:>8.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description="Measure the text tower on phrases it never saw.")
    parser.add_argument("--tower", type=Path, help="a text tower alone")
    parser.add_argument("--checkpoint", type=Path, help="instead of the shipped one")
    parser.add_argument("--misses", action="store_true", help="list the phrases that went wrong")
    options = parser.parse_args()
    sys.stdout.write(
        "\n".join(table(encoder(options.tower, options.checkpoint), misses=options.misses)) + "\n"
    )


if __name__ == "__main__":
    main()

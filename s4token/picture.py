"""Pictures of scans and of their labels, for the command line and the documentation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from s4token.io import read_scan, replacing, target
from s4token.multiview import cameras_for, draw
from s4token.types import PointCloud

OKABE_ITO = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
)
"""Colour-blind-safe palette (Okabe and Ito, 2008) without black, which marks nothing here."""
UNLABELLED_GREY = (200, 200, 200)


def label_colors(labels: np.ndarray) -> np.ndarray:
    """Return (N, 3) float32 colours of labels; more than seven repeat the palette darker."""
    table: list[tuple[int, ...]] = [UNLABELLED_GREY]
    for number in range(int(labels.max(initial=0))):
        fade = 0.75 ** (number // len(OKABE_ITO))
        table.append(tuple(int(fade * c) for c in OKABE_ITO[number % len(OKABE_ITO)]))
    return (np.array(table)[labels] / 255).astype(np.float32)


def contact_sheet(
    cloud: PointCloud,
    out: Path,
    *,
    views: int = 4,
    size: int = 480,
    columns: int = 2,
    legend: Sequence[tuple[str, tuple[int, int, int]]] = (),
) -> None:
    """Draw a cloud from the ``views`` cameras that show most of it, side by side, to a PNG."""
    from PIL import Image, ImageDraw

    if views < 1 or not 16 <= size <= 4096:
        raise ValueError(f"views, size: expected >= 1 and 16 .. 4096, got {views}, {size}")
    pictures = draw(cloud, cameras_for(cloud, views, size=size))
    rows = -(-len(pictures) // columns)
    strip = 28 * -(-len(legend) // (columns * 3)) if legend else 0
    sheet = Image.new("RGB", (size * min(columns, len(pictures)), size * rows + strip), "white")
    for number, picture in enumerate(pictures.images):
        at = (number % columns * size, number // columns * size)
        sheet.paste(Image.fromarray(picture), at)
    pen = ImageDraw.Draw(sheet)
    step = sheet.width // (columns * 3)
    for number, (name, color) in enumerate(legend):
        x, y = number % (columns * 3) * step + 8, size * rows + 28 * (number // (columns * 3)) + 6
        pen.rectangle((x, y, x + 16, y + 16), fill=color)
        pen.text((x + 24, y + 2), name, fill="black")
    with replacing(target(out)) as drafts:
        sheet.save(drafts[0], format="PNG")


def label_sheet(path: Path, out: Path, *, views: int = 4, size: int = 480) -> None:
    """Draw a labelled scan in the colours of its labels, with a legend."""
    scan = read_scan(path)
    if scan.labels is None:
        raise ValueError(f"{path}: has no labels to draw; leave out --labels")
    colors = label_colors(scan.labels)
    cloud = PointCloud(scan.cloud.points, colors, up=scan.cloud.up)
    present = np.unique(scan.labels)
    sample = {int(i): colors[np.argmax(scan.labels == i)] for i in present}
    legend = [
        (
            "unlabelled" if i == 0 else scan.classes[i - 1],
            (int(255 * c[0]), int(255 * c[1]), int(255 * c[2])),
        )
        for i, c in sample.items()
    ]
    contact_sheet(cloud, out, views=views, size=size, legend=legend)

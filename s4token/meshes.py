"""Meshes (OBJ, glTF, STL, OFF) as points: samples of their surface, with its colours."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from s4token.tables import Columns

SAMPLES = 200_000
"""Points drawn on the surface of a mesh."""

_OFF = re.compile(rb"\s*\w*OFF\s*(\d+)\s+(\d+)\s+\d+")
"""Head of an ASCII OFF file: vertices, faces, edges, on the first line or the second."""
_GREY = 0.8  # a part without a colour among coloured ones
_log = logging.getLogger("s4token.io")


def _linear(srgb: np.ndarray) -> np.ndarray:
    """Decode sRGB (IEC 61966-2-1)."""
    return np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)


def _srgb(linear: np.ndarray) -> np.ndarray:
    """Encode sRGB (IEC 61966-2-1)."""
    linear = np.clip(linear, 0, 1)
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)


def _unit(colors: Any) -> np.ndarray:
    """Return the first three channels as floats in [0, 1]."""
    colors = np.asarray(colors)[..., :3]
    most = 1 if colors.dtype.kind == "f" else np.iinfo(colors.dtype).max
    return colors.astype(np.float64) / most


def _texture(image: Any, uv: Float[np.ndarray, "n 2"]) -> Float[np.ndarray, "n 3"]:
    """Look up the nearest texel; coordinates outside [0, 1) repeat, v points up."""
    texels = np.asarray(image.convert("RGB"))
    height, width = texels.shape[:2]
    uv = np.nan_to_num(uv) % 1.0
    column = np.minimum((uv[:, 0] * width).astype(int), width - 1)
    row = np.minimum(((1.0 - uv[:, 1]) * height).astype(int), height - 1)
    return texels[row, column] / 255.0


def _textured(
    visual: Any, mix: Any, count: int, linear: bool
) -> tuple[Float[np.ndarray, "n 3"], bool]:
    """Return the colours of a material, and whether they are linear light."""
    material = visual.material
    image = getattr(material, "baseColorTexture", None)
    image = getattr(material, "image", None) if image is None else image
    found = None
    if image is not None and visual.uv is not None:
        found = _texture(image, mix(np.asarray(visual.uv, dtype=np.float64)))
    if not linear:  # OBJ: exporters fill in Kd at random when there is a texture
        flat = np.broadcast_to(_unit(material.main_color), (count, 3))
        return (flat if found is None else found), False
    factor = getattr(material, "baseColorFactor", None)
    result = np.ones((count, 3)) if found is None else _linear(found)
    result = result if factor is None else result * _unit(factor)
    extra = visual.vertex_attributes.get("color")
    return (result if extra is None else result * mix(_unit(extra))), True


def _colors(
    mesh: Any, face: Int[np.ndarray, "n"], weight: Float[np.ndarray, "n 3"], linear: bool
) -> Float[np.ndarray, "n 3"] | None:
    """Colour samples, given by face and barycentric weights; None when the mesh has no colour.

    ``linear``: material factors and vertex colours are linear light, as glTF defines.
    """
    corners = mesh.faces[face]

    def mix(values: np.ndarray) -> np.ndarray:
        return (values[corners] * weight[:, :, None]).sum(axis=1)

    kind = mesh.visual.kind
    if kind == "vertex":
        colors = mix(_unit(mesh.visual.vertex_colors))
    elif kind == "texture":
        colors, linear = _textured(mesh.visual, mix, len(face), linear)
    else:
        return None
    return _srgb(colors) if linear else colors


def _sample(
    parts: list[tuple[Any, np.ndarray]], count: int, linear: bool
) -> tuple[np.ndarray, np.ndarray | None]:
    """Draw ``count`` points, as many per part and triangle as its share of the area.

    One draw in each of ``count`` equal shares of the area: evener than independent draws, and
    with a fixed seed the same for every read.
    """
    triangles = [vertices[mesh.faces] for mesh, vertices in parts]
    edges = np.concatenate([t[:, 1:] - t[:, :1] for t in triangles])
    area = np.linalg.norm(np.cross(edges[:, 0], edges[:, 1]), axis=1)
    total = area.sum()
    if not np.isfinite(total):
        raise ValueError("the mesh has vertices that are NaN or infinite; repair it and try again")
    if total == 0:
        raise ValueError("the triangles have no area, so there is no surface to sample")
    rng = np.random.default_rng(0)
    share = (np.arange(count) + rng.random(count)) / count
    picked = np.minimum(np.searchsorted(np.cumsum(area) / total, share), len(area) - 1)
    root, v = np.sqrt(rng.random(count)), rng.random(count)
    weight = np.stack([1 - root, root * (1 - v), root * v], axis=1)
    corner = np.concatenate([t[:, 0] for t in triangles])
    points = corner[picked] + (edges[picked] * weight[:, 1:, None]).sum(axis=1)
    first = np.cumsum([0] + [len(t) for t in triangles])
    ends = np.searchsorted(picked, first)
    colors = np.full((count, 3), np.nan)
    for i, (mesh, _) in enumerate(parts):
        rows = slice(ends[i], ends[i + 1])
        if ends[i] < ends[i + 1]:
            found = _colors(mesh, picked[rows] - first[i], weight[rows], linear)
            colors[rows] = np.nan if found is None else found
    bare = np.isnan(colors).any(axis=1)
    colors[bare] = _GREY
    return points, None if bare.all() else colors


def _vertices(parts: list[tuple[Any, np.ndarray]]) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the vertices of geometry without faces, with their colours if all have them."""
    colors = [getattr(part, "colors", None) for part, _ in parts]
    whole = [c for c, (_, v) in zip(colors, parts, strict=True) if c is not None and len(c)]
    points = np.concatenate([vertices for _, vertices in parts])
    tinted = np.concatenate([_unit(c) for c in whole]) if len(whole) == len(parts) else None
    return points, tinted if tinted is not None and len(tinted) == len(points) else None


def read_mesh(path: Path, *, samples: int = SAMPLES) -> Columns:
    """Sample the surface of a mesh as ``sample_mesh`` does; the logger ``s4token.io`` says so."""
    columns, faces = sample_mesh(path, samples)
    if faces:
        count = f"{len(columns['x']):,}"
        _log.warning("%s: mesh: %s points sampled on %s triangles", path.name, count, f"{faces:,}")
    return columns


def _check_length(path: Path) -> None:
    """Raise ValueError where an OFF file is shorter than its header says, as half a download is."""
    data = re.sub(rb"#[^\n]*", b"", path.read_bytes())
    if head := _OFF.match(data):
        vertices, faces = map(int, head.groups())
        if len(data[head.end() :].split()) < 3 * vertices + 4 * faces:
            told = f"{vertices:,} vertices and {faces:,} faces"
            raise ValueError(f"fewer numbers than the {told} of its header take: truncated file")


def sample_mesh(path: Path, samples: int = SAMPLES) -> tuple[Columns, int]:
    """Sample the surface of an OBJ, glTF, STL or OFF file, or take its points if it has no faces.

    Returns the columns and the number of triangles. glTF is turned from y-up to z-up. ValueError
    says what is wrong with the file.
    """
    import trimesh

    suffix = path.suffix.lstrip(".").lower()
    if suffix == "off":
        _check_length(path)
    try:
        scene: Any = trimesh.load_scene(path, process=False)
        parts = []
        for node in scene.graph.nodes_geometry:
            pose, name = scene.graph[node]
            part = scene.geometry[name]
            vertices = np.asarray(getattr(part, "vertices", np.empty((0, 3))), dtype=np.float64)
            parts.append((part, vertices @ pose[:3, :3].T + pose[:3, 3]))
    except Exception as error:  # parsers of foreign bytes raise anything
        reason = f"{type(error).__name__}: {error}"
        raise ValueError(f"not a readable {suffix.upper()} mesh ({reason})") from error
    parts = [(part, vertices) for part, vertices in parts if len(vertices)]
    surfaces = [(p, v) for p, v in parts if len(getattr(p, "faces", ()))]
    if not parts:
        raise ValueError(f"no triangles and no points found: truncated, or not {suffix.upper()}")
    gltf = suffix in ("glb", "gltf")
    faces = sum(len(part.faces) for part, _ in surfaces)
    if surfaces:
        points, colors = _sample(surfaces, samples, gltf)
    else:
        points, colors = _vertices(parts)
        colors = _srgb(colors) if gltf and colors is not None else colors
    if gltf:
        points = np.stack([points[:, 0], -points[:, 2], points[:, 1]], axis=1)
    columns = dict(zip("xyz", points.T, strict=True))
    if colors is not None:
        columns |= dict(zip(("red", "green", "blue"), np.clip(colors, 0, 1).T, strict=True))
    return columns, faces

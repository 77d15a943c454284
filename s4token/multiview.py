"""The 2D teacher as an engine of its own: render, encode views, lift features to superpoints."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, UInt8
from scipy.sparse import csr_matrix
from scipy.spatial import KDTree

from s4token.backbone import FrozenCLIP, PictureStyle
from s4token.compiling import stage
from s4token.geometry import (
    farthest_point_sample,
    knn,
    pca_normals,
    point_spacing,
    rotation_to_z,
)
from s4token.grouping import KNN, Radius
from s4token.model import Progress
from s4token.photographs import Photograph, depth_intrinsics, photographs
from s4token.render import each_view, render
from s4token.scatter import scatter_sum
from s4token.superpoints import Superpoints
from s4token.types import Camera, Encoding, Groups, PointCloud, Views

VIEWS = 32
SCOUT_POINTS, SCOUT_PIXELS = 30_000, 48
SPLAT, SPLAT_NEIGHBOUR, SPLAT_LARGEST = 0.8, 6, 4.0
"""Splat radius in distances to the sixth neighbour, at most four times the median."""
SHADE_DARK = 0.4
"""Brightness of a surface that faces straight down, of 1 for one that faces up."""
STRIDE = 2
"""Features are lifted from every second pixel of a view's rows and columns."""
BATCH = 16
SCOUTED = 600
"""Photographs that are tried for what they see, evenly taken from more."""
DEPTH_SPACINGS, DEPTH_SHARE = 4.0, 0.05
"""A measured depth may differ from the z-buffer's by so many point spacings, or this share."""


def _box(points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    low, high = np.quantile(points, (0.01, 0.99), axis=0)
    return low, high


def _inside(points: np.ndarray, fov: float) -> list[tuple[np.ndarray, np.ndarray, float]]:
    """Return (position, target, fov) of cameras that stand in the scan's free space."""
    low, high = _box(points)
    size = high - low
    steps = np.array([0.15, 0.325, 0.5, 0.675, 0.85])
    grid = np.stack(np.meshgrid(steps, steps, [0.5, 0.75], indexing="ij"), axis=-1).reshape(-1, 3)
    spots = low + grid * size
    free = KDTree(points).query(spots)[0] > 0.05 * np.linalg.norm(size)
    spots = spots[free]
    if len(spots) > 10:
        spots = spots[farthest_point_sample(spots, 10)]
    reach = float(np.linalg.norm(size)) or 1.0
    out = []
    for number, spot in enumerate(spots):
        for turn in range(8):
            yaw = 2 * np.pi * (turn + 0.5 * (number % 2)) / 8
            pitch = np.radians(-12 if turn % 2 else -35)
            gaze = np.array([np.cos(yaw), np.sin(yaw), np.tan(pitch)])
            out.append((spot, spot + reach * gaze, fov))
    return out


def _around(points: np.ndarray, fov: float) -> list[tuple[np.ndarray, np.ndarray, float]]:
    """Return (position, target, fov) of cameras that look from outside at the scan and at parts."""
    low, high = _box(points)
    reach = float(np.linalg.norm(high - low)) / 2 or 1.0
    targets = [((low + high) / 2, reach)]
    inner = points[((points >= low) & (points <= high)).all(axis=1)]
    if len(inner) > 8:
        targets += [(inner[i], 0.4 * reach) for i in farthest_point_sample(inner, 8)]
    out = []
    for number, (target, radius) in enumerate(targets):
        distance = radius / np.tan(np.radians(fov) / 2)
        for turn in range(6):
            yaw = 2 * np.pi * (turn + 0.5 * (number % 2)) / 6
            rise = np.radians(50 if turn % 2 else 25)
            gaze = np.array([np.cos(yaw) * np.cos(rise), np.sin(yaw) * np.cos(rise), np.sin(rise)])
            out.append((target + distance * gaze, target, fov))
    return out


def _scout(cloud: PointCloud) -> PointCloud:
    """Return so few of the points that all cameras can be tried."""
    return cloud.select(np.arange(0, len(cloud), -(-len(cloud) // SCOUT_POINTS)))


def cameras_for(
    cloud: PointCloud, count: int = VIEWS, *, size: int = 128, fov: float = 70.0
) -> list[Camera]:
    """Choose ``count`` cameras by coverage: each sees what those before it saw least of.

    Candidates stand inside the scan's free space and around it; every length is a share of the
    scan's extent. Deterministic.
    """
    turn, scout = rotation_to_z(cloud.up), _scout(cloud)
    points = np.asarray(scout.points, np.float64) @ turn.T
    poses = _inside(points, fov) + _around(points, 50.0)
    make = lambda pose, pixels: Camera(  # noqa: E731
        turn.T @ pose[0], turn.T @ pose[1], cloud.up, pose[2], pixels, pixels
    )
    chosen = _covering(scout, [make(p, SCOUT_PIXELS) for p in poses], count)
    return [make(poses[i], size) for i in chosen]


def _covering(scout: PointCloud, cameras: Sequence[Camera], count: int) -> list[int]:
    """Return the ``count`` cameras that each see what those before it saw least of."""
    views = render(scout, cameras)
    points = np.asarray(scout.points, np.float64) @ rotation_to_z(scout.up).T
    seeds = points[farthest_point_sample(points, 256)]
    cell = np.append(KDTree(seeds).query(points)[1], 256)
    seen = np.stack([np.bincount(cell[i.ravel()], minlength=257)[:256] for i in views.point_index])
    chosen, total = [], np.zeros(256)
    for _ in range(min(count, len(cameras))):
        gain = np.log1p((total + seen) / 8).sum(axis=1)
        gain[chosen] = -1
        chosen.append(int(gain.argmax()))
        total = total + seen[chosen[-1]]
    return chosen


def strided(views: Views) -> Int[np.ndarray, "V H2 W2"]:
    """Return the points in every second pixel of every second row: what ``lift`` reads."""
    half = slice(STRIDE // 2, None, STRIDE)
    return np.ascontiguousarray(views.point_index[:, half, half])


@dataclass(frozen=True, eq=False)
class Splats:
    """Hold what drawing needs of a cloud, made once.

    radii: (N,) splat radii; normals: (N, 3) unit; heights: (N,) in [0, 1] between the robust
    bottom and top of the scan.
    """

    radii: Float[np.ndarray, "N"]
    normals: Float[np.ndarray, "N 3"]
    heights: Float[np.ndarray, "N"]


def splats(cloud: PointCloud) -> Splats:
    """Measure splat radii, which follow the local density, normals and relative heights."""
    index, distance = knn(cloud.points, 16)
    radii = SPLAT * distance[:, min(SPLAT_NEIGHBOUR, distance.shape[1] - 1)]
    radii = np.minimum(radii, SPLAT_LARGEST * np.median(radii))
    level = np.asarray(cloud.points, np.float64) @ cloud.up
    low, high = np.quantile(level, (0.01, 0.99))
    heights = np.clip((level - low) / (float(high - low) or 1.0), 0, 1)
    return Splats(radii, pca_normals(cloud.points, index)[0], heights)


def draw(
    cloud: PointCloud,
    cameras: Sequence[Camera],
    prepared: Splats | None = None,
    *,
    style: PictureStyle = "photo",
    background: tuple[int, int, int] = (255, 255, 255),
    point_size: float = 1.0,
) -> Views:
    """Render views under a sky light: what faces up is bright, what faces down dark.

    The side of a surface that a camera sees decides where it faces, so a floor, a wall and a
    ceiling of one colour look different. ``photo`` keeps the colours, as a CLIP trained on
    photographs needs them. ``relief`` draws for the small CLIP, which never saw a photograph: red
    is the shaded brightness, green the relative height, blue the warmth of the colour.
    """
    prepared = prepared or splats(cloud)
    views = render(
        cloud, cameras, radii=prepared.radii, background=background, point_size=point_size
    )
    return Views(_lit(cloud, prepared, cameras, views, style), views.point_index)


def _lit(
    cloud: PointCloud, prepared: Splats, cameras: Sequence[Camera], views: Views,
    style: PictureStyle,
) -> UInt8[np.ndarray, "V H W 3"]:  # fmt: skip
    """Light the colours of pictures by the surfaces of the points that their pixels show."""
    images = np.empty_like(views.images)

    def light(v: int) -> None:
        seen = views.point_index[v]
        images[v] = _lit_view(cloud, prepared, cameras[v], views.images[v], seen, style)

    each_view(len(cameras), light)
    return images


def _lit_view(
    cloud: PointCloud, prepared: Splats, camera: Camera, image: np.ndarray, seen: np.ndarray,
    style: PictureStyle,
) -> np.ndarray:  # fmt: skip
    shown = seen >= 0
    point = seen[shown]
    normal = prepared.normals[point]
    ray = np.asarray(cloud.points[point], np.float64) - camera.position
    facing = np.where((normal * ray).sum(axis=1) > 0, -1.0, 1.0)
    rise = facing * (normal @ cloud.up)
    shade = SHADE_DARK + (1 - SHADE_DARK) * (0.5 + 0.5 * rise)
    color, out = image[shown], image.copy()
    if style == "relief":
        warmth = np.clip(127.5 + 0.8 * color @ (1.0, -0.7, -0.3), 0, 255)
        bright = color @ (0.3, 0.59, 0.11) * shade
        out[shown] = np.stack([bright, 255 * prepared.heights[point], warmth], axis=1)
    else:
        out[shown] = color * shade[:, None]
    return out


def _as_measured(
    cloud: PointCloud, taken: Sequence[Photograph], seen: Int[np.ndarray, "V H W"]
) -> Int[np.ndarray, "V H W"]:
    """Return what pictures show, less pixels whose measured depth is not that of their point.

    Depths may be in any unit: the median ratio to the z-buffer says which. The slack is a few
    point spacings, or a share of the depth where that is more.
    """
    intrinsic = depth_intrinsics(taken[0])
    depth = np.stack([p.read_depth(intrinsic) for p in taken])
    ahead = np.zeros(seen.shape)
    for number, photograph in enumerate(taken):
        camera, shown = photograph.camera, seen[number] >= 0
        ray = np.asarray(cloud.points[seen[number][shown]], np.float64) - camera.position
        way = camera.target - camera.position
        ahead[number][shown] = ray @ (way / np.linalg.norm(way))
    known = (depth > 0) & (seen >= 0)
    if not known.any():
        return seen
    measured = depth * np.median(ahead[known] / depth[known])
    slack = np.maximum(DEPTH_SPACINGS * point_spacing(cloud.points), DEPTH_SHARE * ahead)
    return np.where(known & (np.abs(measured - ahead) > slack), -1, seen)


def picture_views(
    cloud: PointCloud, folder: str | Path, count: int, *, size: int, style: PictureStyle,
    pose_scale: float = 1.0,
) -> tuple[Views, int]:  # fmt: skip
    """Bring posed photographs of a scan to square views; return also how many poses were lost.

    The ``count`` pictures that cover the scan best are taken; one that is not square becomes
    overlapping squares. What a pixel shows is decided by a z-buffer of the cloud, whose splats
    follow its spacing, and by measured depths where there are any. ``photo`` leaves pictures as
    they are; ``relief`` takes their colours, and heights and shading from the cloud. pose_scale and
    errors as of ``photographs``.
    """
    taken, lost = photographs(folder, size, offset=cloud.offset, pose_scale=pose_scale)
    if len(taken) > count:
        even = np.linspace(0, len(taken) - 1, min(len(taken), SCOUTED)).round().astype(int)
        taken = [taken[i] for i in even]
        step = min(taken[0].camera.height, taken[0].camera.width) / SCOUT_PIXELS
        small = lambda c: replace(c, width=round(c.width / step), height=round(c.height / step))  # noqa: E731
        chosen = _covering(_scout(cloud), [small(p.camera) for p in taken], count)
        taken = [taken[i] for i in sorted(chosen)]
    prepared, cameras = splats(cloud), [p.camera for p in taken]
    seen = render(cloud, cameras, radii=prepared.radii).point_index
    if taken[0].depth is not None:
        seen = _as_measured(cloud, taken, seen)
    images = np.stack([p.read() for p in taken])
    if style == "relief":
        shown = np.where((seen >= 0)[..., None], images, np.uint8(255))
        images = _lit(cloud, prepared, cameras, Views(shown, seen), style)
    return Views(_squares(images, size), _squares(seen, size)), lost


def _squares(pictures: np.ndarray, size: int) -> np.ndarray:
    """Cut (V, H, W, ...) into squares of the shorter side, overlapping where need be."""
    height, width = pictures.shape[1:3]
    longer = max(height, width)
    starts = np.linspace(0, longer - size, -(-longer // size)).round().astype(int).tolist()
    cut = lambda s: pictures[:, :, s : s + size] if width >= height else pictures[:, s : s + size]  # noqa: E731
    return np.concatenate([cut(s) for s in starts])


@torch.no_grad()
def lift(
    clip: FrozenCLIP, images: UInt8[np.ndarray, "V H W 3"], seen: Int[np.ndarray, "V H2 W2"]
) -> tuple[Float[np.ndarray, "S E"], Int[np.ndarray, "S"]]:
    """Sum the dense features of views over the points that they show.

    seen: ``strided`` point indices, -1 = none. Returns the sums, one row per shown point, and
    the indices of those points.
    """
    device = clip.device
    shown, row = np.unique(seen, return_inverse=True)
    rows = torch.from_numpy(row.reshape(seen.shape)).to(device)
    total = torch.zeros(len(shown), clip.embed_dim, device=device)
    for start in range(0, len(images), BATCH):
        batch = slice(start, start + BATCH)
        with torch.autocast(device.type, torch.bfloat16):
            _, dense = clip.encode_image(torch.from_numpy(images[batch].copy()).to(device))
        maps = dense.float().transpose(1, 2).unflatten(2, (clip.grid, clip.grid))
        maps = F.interpolate(maps, seen.shape[1:], mode="bilinear", align_corners=False)
        total += scatter_sum(
            maps.permute(0, 2, 3, 1).flatten(0, 2), rows[batch].flatten(), len(shown)
        )
    first = int(shown[0] < 0)
    return total[first:].cpu().numpy(), shown[first:].astype(np.int32)


def pool(
    total: Float[np.ndarray, "S E"], shown: Int[np.ndarray, "S"], groups: Groups
) -> tuple[Float[np.ndarray, "M E"], Int[np.ndarray, "M"]]:
    """Add up point features over groups, overlapping or not; return also seen points per group."""
    column = np.full(groups.n_points, -1)
    column[shown] = np.arange(len(shown))
    member = column[groups.index]
    owner = np.repeat(np.arange(len(groups)), groups.sizes)[member >= 0]
    member = member[member >= 0]
    matrix = csr_matrix(
        (np.ones(len(member), np.float32), (owner, member)), shape=(len(groups), len(shown))
    )
    return matrix @ total, np.bincount(owner, minlength=len(groups))


def fill_unseen(
    features: Float[np.ndarray, "M E"], seen: np.ndarray, centers: Float[np.ndarray, "M 3"]
) -> Float[np.ndarray, "M E"]:
    """Return unit rows; rows that are not ``seen`` take the feature of the nearest seen centre."""
    features = features / np.maximum(np.linalg.norm(features, axis=1, keepdims=True), 1e-12)
    if seen.any() and not seen.all():
        nearest = KDTree(centers[seen]).query(centers[~seen])[1]
        features[~seen] = features[seen][nearest]
    return features


def encode_views(
    clip: FrozenCLIP,
    cloud: PointCloud,
    *,
    grouping: Superpoints | KNN | Radius | None = None,
    tokenizer: str = "superpoint",
    views: int = VIEWS,
    images: str | Path | None = None,
    pose_scale: float = 1.0,
    progress: Progress | None = None,
) -> Encoding:
    """Encode a cloud by what a CLIP sees in views of it; needs no trained tokenizer.

    images: folder of posed photographs (``photographs``, of which pose_scale is too) to look at
    instead of rendered views.
    Raises ValueError when no view shows any point, and as ``photographs`` does.
    """
    say = progress or (lambda fraction, stage: None)
    clock = [time.perf_counter()]
    with stage(say, f"grouping {len(cloud):,} points ({tokenizer})"):
        groups = (grouping or Superpoints())(cloud)
    clock.append(time.perf_counter())
    notes: list[str] = []
    if images is None:
        say(0.3, f"rendering {views} views")
        cameras = cameras_for(cloud, views, size=clip.image_size)
        pictures = draw(cloud, cameras, style=clip.pictures)
    else:
        say(0.3, f"reading photographs of {images}")
        how = {"size": clip.image_size, "style": clip.pictures, "pose_scale": pose_scale}
        pictures, lost = picture_views(cloud, images, views, **how)
        if lost:
            notes.append(f"{lost:,} photographs without a finite pose were left out")
    clock.append(time.perf_counter())
    say(0.6, f"encoding {len(pictures)} views ({clip.name})")
    features, points_seen = pool(*lift(clip, pictures.images, strided(pictures)), groups)
    seen = points_seen > 0
    if not seen.any():
        why = "is the scan more than a few points?"
        if images is not None:
            why = f"are the poses in {images} in the scan's unit and frame?"
        raise ValueError(f"views: no view shows a point; {why}")
    filled = fill_unseen(features, seen, groups.means(cloud.points))
    clock.append(time.perf_counter())
    say(1.0, "encoded")
    mean = filled.mean(axis=0)
    if hidden := int((~seen).sum()):
        notes.append(f"{hidden:,} tokens seen by no view took their neighbour's feature")
    return Encoding(
        cloud,
        groups,
        filled,
        mean / np.linalg.norm(mean),
        tokenizer=tokenizer,
        engine="multiview",
        seconds=dict(zip(("grouping", "rendering", "views"), np.diff(clock).tolist(), strict=True)),
        notes=tuple(notes),
    )

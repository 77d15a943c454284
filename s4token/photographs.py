"""Posed photographs of a scan: pictures, camera poses and intrinsics in one folder.

The layout is that of ScanNet's ``.sens`` export: ``color/*.jpg``, ``pose/*.txt`` (4 x 4, camera to
world, x right, y down, z ahead), ``intrinsic/intrinsic_color.txt`` and optionally ``depth/*.png``
with ``intrinsic/intrinsic_depth.txt``; or that of its ``frames_25k``, which has
``intrinsics_color.txt`` and ``intrinsics_depth.txt`` in the folder itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Int, UInt8
from PIL import Image, UnidentifiedImageError

from s4token.types import Camera

SUFFIXES = (".jpg", ".jpeg", ".png")
CENTRED = 0.25
"""Most that the principal point may lie off the middle, in picture sizes."""


@dataclass(frozen=True, eq=False)
class Photograph:
    """Hold one picture and where it was taken.

    camera: pinhole of square pixels with its principal point in the middle, to whose size the
    picture is brought; box: (left, top, right, bottom), what the camera sees of the picture, in
    pixels; size: (width, height) of the picture.
    """

    camera: Camera
    image: Path
    box: tuple[float, float, float, float]
    size: tuple[int, int]
    depth: Path | None = None

    def read(self) -> UInt8[np.ndarray, "H W 3"]:
        """Return what the camera sees. Raises ValueError naming a file that cannot be read."""
        picture = _opened(self.image)
        if picture.size != self.size:
            raise ValueError(
                f"{self.image}: {picture.size[0]} x {picture.size[1]} pixels, the first picture "
                f"has {self.size[0]} x {self.size[1]}; one intrinsic matrix fits one size"
            )
        wanted = (self.camera.width, self.camera.height)
        shown = picture.convert("RGB").resize(wanted, Image.Resampling.BILINEAR, box=self.box)
        return np.asarray(shown)

    def read_depth(self, intrinsic: Float[np.ndarray, "3 3"]) -> Int[np.ndarray, "H W"]:
        """Return measured depths in the sensor's unit as the camera sees them, 0 = none."""
        assert self.depth is not None
        depth = np.asarray(_opened(self.depth)).astype(np.int64)
        if depth.ndim != 2:
            raise ValueError(f"{self.depth}: expected one channel of depths, got {depth.shape}")
        camera = self.camera
        focal = 0.5 * camera.height / np.tan(np.radians(camera.fov) / 2)
        place = lambda n, f, c: np.floor(  # noqa: E731
            c + f * (np.arange(n) + 0.5 - n / 2) / focal
        ).astype(int)
        column = place(camera.width, intrinsic[0, 0], intrinsic[0, 2])
        row = place(camera.height, intrinsic[1, 1], intrinsic[1, 2])
        out = np.zeros((camera.height, camera.width), np.int64)
        rows = np.flatnonzero((row >= 0) & (row < depth.shape[0]))
        columns = np.flatnonzero((column >= 0) & (column < depth.shape[1]))
        out[np.ix_(rows, columns)] = depth[np.ix_(row[rows], column[columns])]
        return out


def _opened(path: Path) -> Image.Image:
    """Return a decoded picture; whatever is wrong with it becomes a ValueError with its name."""
    try:
        with Image.open(path) as picture:
            picture.load()
            return picture
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        raise ValueError(f"{path}: not a readable picture ({error})") from error


def _matrix(path: Path, sizes: Sequence[int]) -> Float[np.ndarray, "n n"]:
    """Read a square matrix of numbers, infinite ones too."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: missing; see docs/datasets.md, posed photographs")
    try:
        found = np.loadtxt(path, ndmin=2)
    except ValueError as error:
        raise ValueError(f"{path}: not a matrix of numbers ({error})") from error
    if found.shape not in [(n, n) for n in sizes]:
        shapes = " or ".join(f"{n} x {n}" for n in sizes)
        raise ValueError(f"{path}: expected {shapes} numbers, got {found.shape}")
    return found


def intrinsics(path: Path, size: tuple[int, int]) -> Float[np.ndarray, "3 3"]:
    """Read focal lengths and principal point of pictures of ``size`` (width, height).

    Raises FileNotFoundError, or ValueError naming the file when it is for pictures of another size.
    """
    found = _matrix(path, (3, 4))[:3, :3]
    (fx, skew, cx), (_, fy, cy) = found[:2]
    if not np.isfinite(found).all() or fx <= 0 or fy <= 0 or abs(skew) > 1e-3 * fx:
        raise ValueError(f"{path}: expected positive focal lengths without skew, got {found[:2]}")
    for center, length in ((cx, size[0]), (cy, size[1])):
        if abs(center - length / 2) > CENTRED * length:
            raise ValueError(
                f"{path}: principal point ({cx:g}, {cy:g}) is far from the middle of a picture of "
                f"{size[0]} x {size[1]} pixels; are these the intrinsics of another size?"
            )
    return found


def _intrinsic_file(place: Path, pictures: str) -> Path:
    """Return where a folder says how its ``color`` or ``depth`` pictures were taken."""
    frames = place / f"intrinsics_{pictures}.txt"
    return frames if frames.is_file() else place / "intrinsic" / f"intrinsic_{pictures}.txt"


def _pose(path: Path) -> Float[np.ndarray, "4 4"] | None:
    """Read a camera-to-world matrix; None where tracking was lost and it is not finite."""
    pose = _matrix(path, (4,))
    if not np.isfinite(pose).all():
        return None
    turn = pose[:3, :3]
    rigid = np.allclose(turn @ turn.T, np.eye(3), atol=1e-2) and np.linalg.det(turn) > 0
    if not rigid or not np.allclose(pose[3], (0, 0, 0, 1)):
        raise ValueError(f"{path}: not a camera-to-world matrix (a rotation and a position)")
    return pose


def _framing(
    intrinsic: np.ndarray, size: tuple[int, int], pixels: int
) -> tuple[tuple[float, float, float, float], float, int, int]:
    """Return box, vertical field of view in degrees, width and height of the ideal camera.

    The box is centred on the principal point; its shorter side becomes ``pixels``.
    """
    (fx, _, cx), (_, fy, cy) = intrinsic[:2]
    across = min(cx, size[0] - cx) / fx
    down = min(cy, size[1] - cy) / fy
    unit = 2 * min(across, down) / pixels  # of one pixel, at distance 1
    width, height = (int(2 * extent / unit + 1e-6) for extent in (across, down))
    across, down = width * unit / 2, height * unit / 2
    box = (cx - fx * across, cy - fy * down, cx + fx * across, cy + fy * down)
    inside = np.clip(box, 0, (*size, *size))  # rounding alone can lie outside
    left, top, right, bottom = (float(v) for v in inside)
    return (left, top, right, bottom), 2 * float(np.degrees(np.arctan(down))), width, height


def photographs(
    folder: str | Path,
    pixels: int,
    *,
    offset: Float[np.ndarray, "3"] | None = None,
    pose_scale: float = 1.0,
) -> tuple[list[Photograph], int]:
    """List the posed photographs of a folder by name, and how many had no finite pose.

    pixels: size of the shorter side that pictures are brought to; offset: what was subtracted from
    the scan's points; pose_scale: what brings the poses' positions to the scan's unit. Beside that
    they are in its frame.
    Raises FileNotFoundError naming the file or folder that is missing, or ValueError naming the
    file that is wrong.
    """
    place = Path(folder)
    if not (place / "color").is_dir():
        raise FileNotFoundError(f"{place / 'color'}: no such folder of pictures")
    images = [p for p in (place / "color").iterdir() if p.suffix.lower() in SUFFIXES]
    images.sort(key=lambda p: (len(p.stem), p.stem))  # 9 before 10, as the frames were taken
    if not images:
        raise ValueError(f"{place / 'color'}: no picture in it ({', '.join(SUFFIXES)})")
    size = _opened(images[0]).size
    intrinsic = intrinsics(_intrinsic_file(place, "color"), size)
    box, fov, width, height = _framing(intrinsic, size, pixels)
    origin = np.zeros(3) if offset is None else offset
    found, lost = [], 0
    for image in images:
        pose = _pose(place / "pose" / f"{image.stem}.txt")
        if pose is None:
            lost += 1
            continue
        depth = place / "depth" / f"{image.stem}.png" if (place / "depth").is_dir() else None
        if depth is not None and not depth.is_file():
            raise FileNotFoundError(f"{depth}: missing; {image} has no depths")
        position = pose_scale * pose[:3, 3] - origin
        camera = Camera(position, position + pose[:3, 2], -pose[:3, 1], fov, width, height)
        found.append(Photograph(camera, image, box, size, depth))
    if not found:
        raise ValueError(f"{place / 'pose'}: none of {lost:,} poses is finite")
    return found, lost


def depth_intrinsics(photograph: Photograph) -> Float[np.ndarray, "3 3"]:
    """Return the intrinsics of the depths that lie beside a photograph."""
    assert photograph.depth is not None
    size = _opened(photograph.depth).size
    return intrinsics(_intrinsic_file(photograph.depth.parents[1], "depth"), size)

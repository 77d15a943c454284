"""A desktop window and off-screen pictures of a scan, through Open3D."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from s4token import PointCloud

PACKAGES = "libusb-1.0-0 libgl1 libegl1 libgomp1 libx11-6"
OFFSCREEN_PACKAGES = "libvulkan1 mesa-vulkan-drivers"


def _open3d() -> Any:
    """Import Open3D late: it takes seconds and needs system libraries."""
    try:
        import open3d
    except (ImportError, OSError) as error:
        raise ImportError(
            f"the desktop window needs Open3D and system libraries ({error}); "
            f"pip install open3d && apt-get install {PACKAGES}"
        ) from error
    return open3d


def _geometry(o3d: Any, cloud: PointCloud) -> Any:
    """Turn a cloud into Open3D's, moved to the origin: its windows lose precision far away."""
    points = cloud.points.astype(np.float64)
    points -= (points.min(axis=0) + points.max(axis=0)) / 2
    shape = o3d.geometry.PointCloud(o3d.utility.Vector3dVector(points))
    shade = np.full((len(points), 3), 0.6) if cloud.colors is None else cloud.colors
    shape.colors = o3d.utility.Vector3dVector(shade.astype(np.float64))
    return shape


def show(cloud: PointCloud, title: str = "S4Token") -> None:
    """Open a window and wait until it is closed.

    Raises ImportError naming what to install, RuntimeError where there is no display.
    """
    o3d = _open3d()
    viewer = o3d.visualization.Visualizer()
    if not viewer.create_window(window_name=title, width=1280, height=800):
        raise RuntimeError("no window could be opened: is there a display? Try --snapshot out.png")
    viewer.add_geometry(_geometry(o3d, cloud))
    viewer.run()
    viewer.destroy_window()


def snapshot(cloud: PointCloud, path: str | Path, *, width: int = 1280, height: int = 800) -> None:
    """Write a picture of the scan, seen from above a corner, without a display.

    Raises ImportError naming what to install, ValueError for a suffix other than png or jpg.
    """
    path = Path(path)
    if path.suffix.lower() not in (".png", ".jpg", ".jpeg"):
        raise ValueError(f"{path}: pictures are .png or .jpg")
    o3d = _open3d()
    try:
        renderer = o3d.visualization.rendering.OffscreenRenderer(width, height)
    except RuntimeError as error:
        raise ImportError(
            f"off-screen pictures need a graphics driver ({error}); "
            f"apt-get install {OFFSCREEN_PACKAGES}"
        ) from error
    shape = _geometry(o3d, cloud)
    material = o3d.visualization.rendering.MaterialRecord()
    material.shader, material.point_size = "defaultUnlit", 3.0
    renderer.scene.view.set_post_processing(False)  # its tone mapping would change the colours
    renderer.scene.set_background([1.0, 1.0, 1.0, 1.0])
    renderer.scene.add_geometry("scan", shape, material)
    size = float(np.linalg.norm(shape.get_axis_aligned_bounding_box().get_extent())) or 1.0
    up = cloud.up
    across = np.cross(up, np.eye(3)[int(np.argmin(np.abs(up)))])
    across /= np.linalg.norm(across)
    eye = size * (0.75 * up - 0.6 * across + 0.5 * np.cross(across, up))
    renderer.setup_camera(50.0, np.zeros(3), eye, up)
    image = np.asarray(renderer.render_to_image())
    from PIL import Image

    part = path.with_name(f".{path.name}.part{path.suffix}")
    Image.fromarray(image[..., :3]).save(part)
    part.replace(path)

"""S4Token: type words, get a segmented point cloud, in whatever units it comes."""

from importlib.metadata import PackageNotFoundError, version

from s4token.grouping import KNN, Radius
from s4token.io import read, read_scan, write
from s4token.model import S4Token, load
from s4token.multiview import encode_views
from s4token.render import render
from s4token.segment import point_scores, point_tokens, segment
from s4token.superpoints import Superpoints
from s4token.synthetic import ROOM_KINDS, room
from s4token.types import (
    Camera,
    Encoding,
    Groups,
    PointCloud,
    Scan,
    Segmentation,
    Views,
)

try:
    __version__ = version("s4token")
except PackageNotFoundError:  # run from a checkout, as `make run` does
    __version__ = "0.1.0"

__all__ = [
    "KNN",
    "ROOM_KINDS",
    "Camera",
    "Encoding",
    "Groups",
    "PointCloud",
    "Radius",
    "S4Token",
    "Scan",
    "Segmentation",
    "Superpoints",
    "Views",
    "__version__",
    "encode_views",
    "load",
    "point_scores",
    "point_tokens",
    "read",
    "read_scan",
    "render",
    "room",
    "segment",
    "write",
]

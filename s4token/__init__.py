"""S4Token: type words, get a segmented point cloud, in whatever units it comes."""

from s4token.grouping import KNN, Radius
from s4token.io import read, read_scan, write
from s4token.label_files import read_labels, write_labels
from s4token.labelling import Labelling
from s4token.metrics import partition_score, segmentation_score
from s4token.model import S4Token, load
from s4token.multiview import encode_views
from s4token.propagation import point_tokens
from s4token.render import render
from s4token.segment import best_prompt, segment, synonyms
from s4token.spelling import misspelt
from s4token.superpoints import Superpoints
from s4token.synthetic import ROOM_KINDS, room
from s4token.types import (
    AXES,
    UNITS,
    Camera,
    Encoding,
    Groups,
    PointCloud,
    Scan,
    Segmentation,
    Views,
)
from s4token.version import __version__

__all__ = [
    "AXES",
    "KNN",
    "ROOM_KINDS",
    "UNITS",
    "Camera",
    "Encoding",
    "Groups",
    "Labelling",
    "PointCloud",
    "Radius",
    "S4Token",
    "Scan",
    "Segmentation",
    "Superpoints",
    "Views",
    "__version__",
    "best_prompt",
    "encode_views",
    "load",
    "misspelt",
    "partition_score",
    "point_tokens",
    "read",
    "read_labels",
    "read_scan",
    "render",
    "room",
    "segment",
    "segmentation_score",
    "synonyms",
    "write",
    "write_labels",
]

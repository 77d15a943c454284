"""Show a scan in a desktop window: python -m viewer SCAN [--snapshot PICTURE]."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path


def main(argv: Sequence[str] | None = None) -> int:
    """Open a window or write a picture; exit code 2 for bad input."""
    parser = argparse.ArgumentParser(prog="python -m viewer", description=main.__doc__)
    parser.add_argument("scan", help="PLY, PCD, LAS, OBJ, GLB, ... as `s4token convert` reads them")
    parser.add_argument("--snapshot", metavar="PICTURE", help="write a .png or .jpg, open nothing")
    args = parser.parse_args(argv)

    import s4token
    from viewer import desktop

    try:
        cloud = s4token.read(args.scan)
        if args.snapshot:
            desktop.snapshot(cloud, args.snapshot)
        else:
            desktop.show(cloud, Path(args.scan).name)
    except (ValueError, OSError, ImportError, RuntimeError) as error:
        print(f"viewer: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

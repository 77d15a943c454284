"""Start the S4Token app: python app.py, see --help."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any


def main(argv: Sequence[str] | None = None) -> int:
    """Serve the app until it is stopped; exit code 2 for a bad argument or checkpoint."""
    parser = argparse.ArgumentParser(description="Type words, get a segmented point cloud.")
    parser.add_argument("--port", type=int, help="default: the first free one from 7860 on")
    parser.add_argument("--host", default="127.0.0.1", help="another address needs --auth")
    parser.add_argument("--auth", help="USER:PASSWORD or a file of such lines (or S4TOKEN_AUTH)")
    parser.add_argument("--checkpoint", help="a .safetensors file (default: the shipped one)")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N (default cpu)")
    args = parser.parse_args(argv)
    if args.port is not None and not 1 <= args.port <= 65535:
        parser.error(f"--port: expected 1 to 65535, got {args.port}")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # tidy up, as after Ctrl+C

    def load() -> Any:
        import s4token

        return s4token.load(args.checkpoint, device=args.device)

    try:
        import viewer

        auth = viewer.accounts(args.host, args.auth)
        with ThreadPoolExecutor(1) as pool:
            model = pool.submit(load)  # gradio and torch import side by side
            pool.submit(lambda: model.result().warm_up())
            demo = viewer.build(model.result, checkpoint=args.checkpoint)
            options = {"auth": auth, "prevent_thread_lock": True, **viewer.launch_options()}
            _, url, _ = demo.launch(server_name=args.host, server_port=args.port, **options)
            model.result()
            print(f"S4Token is at {url} (stop with Ctrl+C)", flush=True)
            demo.block_thread()
    except (ValueError, OSError, ImportError, RuntimeError) as error:
        print(f"app.py: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

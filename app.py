"""Start the S4Token app: python app.py [--port P] [--host H] [--checkpoint PATH] [--device D]."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor


def main(argv: Sequence[str] | None = None) -> int:
    """Serve the app until it is stopped; exit code 2 for a bad argument or checkpoint."""
    parser = argparse.ArgumentParser(description="Type words, get a segmented point cloud.")
    parser.add_argument("--port", type=int, default=7860, help="0 to 65535 (default 7860)")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (this machine)")
    parser.add_argument("--checkpoint", help="a .safetensors file (default: the shipped one)")
    parser.add_argument("--device", default="cpu", help="cpu, cuda or cuda:N (default cpu)")
    args = parser.parse_args(argv)

    def load() -> object:
        import s4token

        return s4token.load(args.checkpoint, device=args.device)

    with ThreadPoolExecutor(1) as pool:
        model = pool.submit(load)  # gradio and torch import side by side
        try:
            import viewer

            demo = viewer.build(model.result)
            options = viewer.launch_options()
            _, url, _ = demo.launch(
                server_name=args.host, server_port=args.port, prevent_thread_lock=True, **options
            )
            print(f"S4Token is at {url} (stop with Ctrl+C)", flush=True)
            model.result()
            demo.block_thread()
        except (ValueError, OSError, ImportError, RuntimeError) as error:
            print(f"app.py: {error}", file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())

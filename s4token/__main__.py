import signal
import sys

from s4token.cli import main

# Whoever ends a run wants what Ctrl+C does: a saved state, nothing half-written.
signal.signal(signal.SIGTERM, signal.default_int_handler)
sys.exit(main())

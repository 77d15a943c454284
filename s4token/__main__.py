import sys

from s4token.cli import main

sys.exit(main())

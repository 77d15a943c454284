"""Which version of S4Token this is."""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("s4token")
except PackageNotFoundError:  # run from a checkout, as `make run` does
    __version__ = "0.1.0"

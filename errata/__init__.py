"""What every package of Errata stands on: files that survive a crash, journals, the clock, adapters on disk.

It imports nothing of the other packages, and knows no HTTP and no environment. Begin with ``files``.
"""

from importlib.metadata import PackageNotFoundError, version

try:
    __version__ = version("errata")
except PackageNotFoundError:  # a checkout that was never installed
    __version__ = "0"

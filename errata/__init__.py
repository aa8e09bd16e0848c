"""What every package of Errata stands on, and the entrance for those who import it.

``files``, ``journal``, ``clock``, ``text`` and ``lora`` import nothing of the other packages, and know no HTTP and no
environment. ``create_app``, ``Settings`` and ``Client`` are the service's, loaded when they are asked for.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from service.app import create_app
    from service.client.http import Client
    from service.settings import Settings

__all__ = ["Client", "Settings", "create_app"]

try:
    __version__ = version("errata")
except PackageNotFoundError:  # a checkout that was never installed
    __version__ = "0"


def __getattr__(name: str) -> Any:
    """The public names, each from its module (PEP 562)."""
    if name == "create_app":
        from service.app import create_app

        return create_app
    if name == "Settings":
        from service.settings import Settings

        return Settings
    if name == "Client":
        from service.client.http import Client

        return Client
    raise AttributeError(f"module 'errata' has no attribute {name!r}")

"""The command line: ``errata``, or ``python -m errata``."""

from __future__ import annotations


def main() -> None:
    """Run a command."""
    from service.cli.main import app

    app()


if __name__ == "__main__":
    main()

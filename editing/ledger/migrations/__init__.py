"""The ledger's schema, version by version. The ledger calls ``upgrade`` when it opens a database.

A new version: ``alembic -c <ini with script_location = editing.ledger:migrations> revision -m "what changes"``.
"""

from __future__ import annotations

from threading import Lock

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text

_upgrading = Lock()  # alembic keeps its context in module globals


def upgrade(engine: Engine) -> None:
    """Brings the schema to the newest version, in one transaction; a database that has it is only read.

    Raises:
        alembic.util.CommandError: the database has a version that this code does not know.
        sqlalchemy.exc.SQLAlchemyError: the database cannot be read, or has to be upgraded and cannot be written.
    """
    config = Config()
    config.set_main_option("script_location", f"{__name__.rpartition('.')[0]}:migrations")
    newest = ScriptDirectory.from_config(config).get_current_head()
    with _upgrading:
        with engine.connect() as connection:
            if _version(connection) == newest:
                return
        with engine.connect().execution_options(writes=True) as connection, connection.begin():
            if connection.dialect.name == "postgresql":  # SQLite's write lock is taken by BEGIN IMMEDIATE
                connection.execute(text("SELECT pg_advisory_xact_lock(4177121)"))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")


def _version(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()

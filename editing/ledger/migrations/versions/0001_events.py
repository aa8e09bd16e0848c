"""The events, and triggers that keep them as they were written.

Revision: 0001, the first.
"""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

# INSERT OR REPLACE deletes rows without asking the delete trigger, hence the third one
SQLITE = (
    """
    CREATE TRIGGER events_no_update BEFORE UPDATE ON events
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only: no event is updated'); END
    """,
    """
    CREATE TRIGGER events_no_delete BEFORE DELETE ON events
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only: no event is deleted'); END
    """,
    """
    CREATE TRIGGER events_append BEFORE INSERT ON events
    WHEN NEW.seq <> (SELECT coalesce(max(seq), 0) + 1 FROM events)
      OR EXISTS (SELECT 1 FROM events WHERE idempotency_key = NEW.idempotency_key)
      OR (NEW.kind = 'apply' AND EXISTS (SELECT 1 FROM events WHERE kind = 'apply' AND edit_id = NEW.edit_id))
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only: a new event has the next number, and its own key'); END
    """,
)
POSTGRESQL = (
    """
    CREATE FUNCTION errata_append_only() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RAISE EXCEPTION USING MESSAGE = 'the ledger is append-only: no ' || lower(TG_OP) || ' of events'; END $$
    """,
    """
    CREATE TRIGGER events_no_change BEFORE UPDATE OR DELETE ON events
    FOR EACH ROW EXECUTE FUNCTION errata_append_only()
    """,
    """
    CREATE TRIGGER events_no_truncate BEFORE TRUNCATE ON events
    FOR EACH STATEMENT EXECUTE FUNCTION errata_append_only()
    """,
)


def upgrade() -> None:
    op.create_table(
        "events",
        sa.Column("seq", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("edit_id", sa.Text),
        sa.Column("to", sa.Integer),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("reason", sa.Text),
        sa.Column("request", sa.Text),
        sa.Column("report", sa.Text),
        sa.Column("factors", sa.Text),
        sa.Column("supersedes", sa.Text, nullable=False),
        sa.Column("model", sa.Text),
        sa.Column("editor", sa.Text),
        sa.Column("base_revision", sa.Integer),
        sa.Column("idempotency_key", sa.Text),
        sa.Column("fingerprint", sa.Text),
        sa.Column("at", sa.Text, nullable=False),
        sa.Column("prev_hash", sa.Text, nullable=False),
        sa.Column("hash", sa.Text, nullable=False),
    )
    apply = sa.text("kind = 'apply'")
    op.create_index("events_edit", "events", ["edit_id"])
    op.create_index("events_key", "events", ["idempotency_key"], unique=True)
    op.create_index("events_apply", "events", ["edit_id"], unique=True, sqlite_where=apply, postgresql_where=apply)
    triggers = {"sqlite": SQLITE, "postgresql": POSTGRESQL}
    for statement in triggers.get(op.get_context().dialect.name, ()):
        op.execute(statement)

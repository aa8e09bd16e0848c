"""Texts that can be erased: commitments in the hash, and one column that may be emptied once its edit is redacted.

Events that are there already keep their texts and their hashes as they are.

Revision: 0002, after 0001.
"""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

COLUMNS = (
    "seq",
    "kind",
    "edit_id",
    "to",
    "actor",
    "reason",
    "request",
    "report",
    "factors",
    "supersedes",
    "model",
    "editor",
    "base_revision",
    "idempotency_key",
    "fingerprint",
    "at",
    "prev_hash",
    "hash",
    "commitments",
)
REDACTED = "EXISTS (SELECT 1 FROM events WHERE kind = 'redact' AND edit_id = OLD.edit_id AND seq > OLD.seq)"


def unchanged(same: str) -> str:
    return " AND ".join(f'NEW."{name}" {same} OLD."{name}"' for name in COLUMNS)


SQLITE = (
    "DROP TRIGGER events_no_update",
    f"""
    CREATE TRIGGER events_no_update BEFORE UPDATE ON events
    WHEN NOT (OLD.texts IS NOT NULL AND NEW.texts IS NULL AND {unchanged("IS")} AND {REDACTED})
    BEGIN SELECT RAISE(ABORT, 'the ledger is append-only: no event is updated, but for erasing redacted texts'); END
    """,
)
POSTGRESQL = (
    "DROP TRIGGER events_no_change ON events",
    """
    CREATE TRIGGER events_no_delete BEFORE DELETE ON events
    FOR EACH ROW EXECUTE FUNCTION errata_append_only()
    """,
    f"""
    CREATE FUNCTION errata_only_erases() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN
      IF OLD.texts IS NOT NULL AND NEW.texts IS NULL AND {unchanged("IS NOT DISTINCT FROM")} AND {REDACTED} THEN
        RETURN NEW;
      END IF;
      RAISE EXCEPTION 'the ledger is append-only: no event is updated, but for erasing redacted texts';
    END $$
    """,
    """
    CREATE TRIGGER events_no_update BEFORE UPDATE ON events
    FOR EACH ROW EXECUTE FUNCTION errata_only_erases()
    """,
)


def upgrade() -> None:
    op.add_column("events", sa.Column("commitments", sa.Text))
    op.add_column("events", sa.Column("texts", sa.Text))
    triggers = {"sqlite": SQLITE, "postgresql": POSTGRESQL}
    for statement in triggers.get(op.get_context().dialect.name, ()):
        op.execute(statement)

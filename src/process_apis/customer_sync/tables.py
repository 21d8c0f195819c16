"""The tables, beside the cross-references and in their database."""

from __future__ import annotations

import sqlalchemy as sa

METADATA = sa.MetaData()

CUSTOMERS = sa.Table(
    "customer_sync_customer",
    METADATA,
    sa.Column("customer_id", sa.String(64), primary_key=True),
    # Fields by name, and by system what it said last and what it was told.
    sa.Column("agreed", sa.JSON, nullable=False),
    sa.Column("sides", sa.JSON, nullable=False),
    # The system that something is still to be done in, and why; empty where nothing is.
    sa.Column("waiting_for", sa.String(32), nullable=False),
    sa.Column("cause", sa.Text, nullable=False),
    sa.Column("synced_at", sa.String(40), nullable=False),
    sa.Index("customer_sync_customer_waiting", "waiting_for"),
)

RECORDS = sa.Table(
    "customer_sync_record",
    METADATA,
    sa.Column("system", sa.String(32), primary_key=True),
    sa.Column("instance", sa.String(100), primary_key=True),
    sa.Column("external_id", sa.String(200), primary_key=True),
    sa.Column("identity", sa.JSON, nullable=False),
    sa.Column("state", sa.String(10), nullable=False),
    sa.Index("customer_sync_record_state", "system", "state"),
)
"""What is there in the systems: `new` until it is matched, then `matched`, `unclear` or `gone`."""

TOKENS = sa.Table(
    "customer_sync_token",
    METADATA,
    sa.Column("system", sa.String(32), primary_key=True),
    sa.Column("instance", sa.String(100), primary_key=True),
    sa.Column("external_id", sa.String(200), primary_key=True),
    sa.Column("token", sa.String(400), primary_key=True),
    sa.Index("customer_sync_token_token", "token"),
)
"""What records are found by that may be one customer."""

CONFLICTS = sa.Table(
    "customer_sync_conflict",
    METADATA,
    sa.Column("conflict_id", sa.String(64), primary_key=True),
    sa.Column("customer_id", sa.String(64), nullable=False),
    sa.Column("kind", sa.String(10), nullable=False),
    # The field, the system, or the record that it is about: one is open at a time.
    sa.Column("subject", sa.String(400), nullable=False),
    sa.Column("detail", sa.JSON, nullable=False),
    sa.Column("state", sa.String(10), nullable=False),
    sa.Column("opened_at", sa.String(40), nullable=False),
    sa.Column("resolved_at", sa.String(40), nullable=False),
    sa.Column("resolved_by", sa.String(255), nullable=False),
    sa.Column("resolution", sa.JSON, nullable=False),
    sa.Index("customer_sync_conflict_state", "state", "conflict_id"),
    sa.Index("customer_sync_conflict_customer", "customer_id", "state"),
    sa.Index("customer_sync_conflict_resolved", "state", "resolved_at"),
)

NOTES = sa.Table(
    "customer_sync_note",
    METADATA,
    sa.Column("note_id", sa.String(64), primary_key=True),
    sa.Column("customer_id", sa.String(64), nullable=False),
    sa.Column("at", sa.String(40), nullable=False),
    sa.Column("kind", sa.String(20), nullable=False),
    sa.Column("detail", sa.JSON, nullable=False),
    sa.Column("actor", sa.String(255), nullable=False),
    sa.Index("customer_sync_note_customer", "customer_id", "at"),
    sa.Index("customer_sync_note_at", "at"),
)
"""What was put back, deleted, merged and decided, and by whom."""

LOOKS = sa.Table(
    "customer_sync_look",
    METADATA,
    sa.Column("system", sa.String(32), primary_key=True),
    sa.Column("instance", sa.String(100), nullable=False),
    # Whether everything was seen once: before that, nobody knows what is not there.
    sa.Column("complete", sa.Boolean, nullable=False),
    sa.Column("last", sa.JSON, nullable=False),
)
"""The last look at the changes of each system."""

_LOCK = 0x43535953  # any number that is ours: it names the lock that creators of tables take


def create_tables(engine: sa.Engine) -> None:
    """Create the tables and indexes that are missing.

    Processes that start together wait for one another. An index that a later version wants is made
    here too: creating a table makes only those it has at that moment.
    """
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(sa.text(f"select pg_advisory_xact_lock({_LOCK})"))
        METADATA.create_all(connection)
        for table in METADATA.sorted_tables:
            for index in table.indexes:
                index.create(connection, checkfirst=True)

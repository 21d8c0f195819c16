"""Portico's own tables beside the journal, made on first use."""

from __future__ import annotations

import sqlalchemy as sa
from sqlalchemy.ext.asyncio import AsyncEngine

from portico.workflow.database import writing

METADATA = sa.MetaData()
# Longer than any identifier that is made here or by a vendor.
NAME = sa.String(255)

EXECUTOR_LEASES = sa.Table(
    "portico_executor_lease",
    METADATA,
    sa.Column("executor_id", NAME, primary_key=True),
    sa.Column("until", sa.Double, nullable=False),
)
"""Which processes live; `until` is by the database's clock."""

OUTBOX = sa.Table(
    "portico_outbox",
    METADATA,
    sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    sa.Column("identity", NAME, nullable=False, unique=True),
    sa.Column("event", sa.Text, nullable=False),
    sa.Column("claimed_until", sa.Double, nullable=False),
)
"""Events that are not on the bus yet, in their order."""

WATERMARKS = sa.Table(
    "portico_watermark",
    METADATA,
    sa.Column("name", NAME, primary_key=True),
    sa.Column("value", sa.String(64), nullable=False),
)
"""How far something was read. Values are ordered as text: times are written in one form."""

STEPS = sa.Table(
    "portico_step",
    METADATA,
    sa.Column("workflow_id", NAME, primary_key=True),
    sa.Column("step", sa.Integer, primary_key=True),
    sa.Column("result", sa.Text, nullable=False),
)
"""Results of steps that write here, committed with what they wrote; see `Transactions`."""

NOTES = sa.Table(
    "portico_note",
    METADATA,
    sa.Column("name", NAME, primary_key=True),
    sa.Column("value", sa.Text, nullable=False),
    sa.Column("touched_at", sa.Double, nullable=False),
)
"""What one run found out and others go by; `touched_at` is when it was last asked for."""

PROJECTIONS = sa.Table(
    "portico_projection",
    METADATA,
    sa.Column("name", sa.String(64), primary_key=True),
    sa.Column("subject", sa.String(64), primary_key=True),
    sa.Column("key", NAME, primary_key=True),
    sa.Column("position", NAME, nullable=False),
    sa.Column("value", sa.Text, nullable=False),
)
"""What events made known. Positions are ordered as text, like the values of watermarks."""

DISABLED_SUBSCRIBERS = sa.Table(
    "portico_disabled_subscriber",
    METADATA,
    sa.Column("name", NAME, primary_key=True),
    sa.Column("reason", sa.Text, nullable=False),
    sa.Column("since", sa.String(40), nullable=False),
)
"""Receivers of webhooks that get nothing until somebody enables them."""

AUDIT = sa.Table(
    "portico_audit",
    METADATA,
    sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    sa.Column("at", sa.String(40), nullable=False),
    sa.Column("actor", NAME, nullable=False),
    sa.Column("action", sa.String(40), nullable=False),
    sa.Column("letter_id", sa.String(512), nullable=False, index=True),
    sa.Column("detail", sa.Text, nullable=False),
)
"""What people did to dead letters."""

INCIDENTS = sa.Table(
    "portico_incident",
    METADATA,
    sa.Column("incident_id", sa.String(64), primary_key=True),
    sa.Column("opened_at", sa.String(40), nullable=False),
    sa.Column("told", sa.Text, nullable=False),
    sa.Column("claimed_until", sa.Double, nullable=False),
)
"""Troubles that people were told of, or are to be."""

_LOCK = 0x506F7274  # any number that is ours: it names the lock that creators of tables take


async def create_tables(engine: AsyncEngine, tables: sa.MetaData = METADATA) -> None:
    """Create the tables that are missing; processes that start together wait for one another."""
    async with writing(engine) as connection:
        if engine.dialect.name == "postgresql":
            await connection.execute(sa.text(f"select pg_advisory_xact_lock({_LOCK})"))
        await connection.run_sync(tables.create_all)

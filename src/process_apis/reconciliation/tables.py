"""The tables of this API in the workflow database. Times are text in one form, ordered as text."""

from __future__ import annotations

import sqlalchemy as sa

from portico.workflow.tables import NAME

METADATA = sa.MetaData()
_TIME = sa.String(20)
_WORD = sa.String(40)
# The key of a customer and a purchase order number, as long as contracts allow them.
_KEY = sa.String(300)

RUNS = sa.Table(
    "reconciliation_run",
    METADATA,
    sa.Column("run_id", NAME, primary_key=True),
    sa.Column("started_by", NAME, nullable=False),
    sa.Column("subjects", NAME, nullable=False),
    sa.Column("since", _TIME, nullable=False),
    sa.Column("until", _TIME, nullable=False),
    sa.Column("requested_at", _TIME, nullable=False, index=True),
    sa.Column("begun_at", _TIME, nullable=False),
    sa.Column("ended_at", _TIME, nullable=False),
    sa.Column("phase", _WORD, nullable=False),
    sa.Column("next_try_at", _TIME, nullable=False),
    sa.Column("cause", sa.Text, nullable=False),
)
"""Runs; a time that has not come is empty."""

PLACES = sa.Table(
    "reconciliation_place",
    METADATA,
    sa.Column("run_id", NAME, primary_key=True),
    sa.Column("work", sa.String(100), primary_key=True),
    sa.Column("position", sa.Integer, nullable=False),
    sa.Column("state", _WORD, nullable=False),
    sa.Column("pages", sa.Integer, nullable=False),
    sa.Column("records", sa.Integer, nullable=False),
    sa.Column("unmatched", sa.Integer, nullable=False),
    sa.Column("cursor", _KEY, nullable=False),
)
"""How far each part of a run came: the cursor of a list, or the last key that was compared."""

ROWS = sa.Table(
    "reconciliation_row",
    METADATA,
    sa.Column("run_id", NAME, primary_key=True),
    sa.Column("subject", _WORD, primary_key=True),
    sa.Column("system", _WORD, primary_key=True),
    sa.Column("record_id", sa.String(64), primary_key=True),
    sa.Column("key", _KEY, nullable=False),
    sa.Column("status", _WORD, nullable=False),
    sa.Column("quiet", sa.Integer, nullable=False),
    sa.Column("currency", sa.String(3), nullable=False),
    sa.Column("amount", sa.String(24), nullable=False),
    sa.Column("name", NAME, nullable=False),
    sa.Column("alias", NAME, nullable=False),
    sa.Column("subscription", sa.String(64), nullable=False),
    sa.Column("created_at", _TIME, nullable=False),
    sa.Column("changed_at", _TIME, nullable=False),
    sa.Index("reconciliation_row_key", "run_id", "subject", "key"),
    sa.Index("reconciliation_row_alias", "run_id", "subject", "system", "alias"),
)
"""What was read, until the run that read it is over."""

FINDINGS = sa.Table(
    "reconciliation_finding",
    METADATA,
    sa.Column("finding_id", sa.String(40), primary_key=True),
    sa.Column("subject", _WORD, nullable=False),
    sa.Column("kind", _WORD, nullable=False),
    sa.Column("system", _WORD, nullable=False),
    sa.Column("key", _KEY, nullable=False),
    sa.Column("records", sa.Text, nullable=False),
    sa.Column("expected", sa.Text, nullable=False),
    sa.Column("found", sa.Text, nullable=False),
    sa.Column("fingerprint", sa.String(40), nullable=False),
    sa.Column("fix", _WORD, nullable=False),
    sa.Column("at", _TIME, nullable=False),
    sa.Column("state", _WORD, nullable=False, index=True),
    sa.Column("first_seen_at", _TIME, nullable=False),
    sa.Column("last_seen_at", _TIME, nullable=False),
    sa.Column("last_run_id", NAME, nullable=False),
    sa.Column("fixed_at", _TIME, nullable=False),
)
"""Differences over all runs; `at` is when the record was made that it is about."""

REPORTED = sa.Table(
    "reconciliation_reported",
    METADATA,
    sa.Column("run_id", NAME, primary_key=True),
    sa.Column("finding_id", sa.String(40), primary_key=True),
    sa.Column("subject", _WORD, nullable=False),
    sa.Column("kind", _WORD, nullable=False),
    sa.Column("system", _WORD, nullable=False),
    sa.Column("key", _KEY, nullable=False),
    sa.Column("records", sa.Text, nullable=False),
    sa.Column("expected", sa.Text, nullable=False),
    sa.Column("found", sa.Text, nullable=False),
    sa.Column("fix", _WORD, nullable=False),
)
"""The findings of each run as they were then."""

DEEDS = sa.Table(
    "reconciliation_deed",
    METADATA,
    sa.Column("number", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True),
    sa.Column("finding_id", sa.String(40), nullable=False, index=True),
    sa.Column("at", _TIME, nullable=False),
    sa.Column("actor", sa.String(512), nullable=False),
    sa.Column("action", _WORD, nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
)
"""What people did about findings."""

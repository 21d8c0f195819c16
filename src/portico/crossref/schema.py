"""The tables, and the migrations that make them; one code path for SQLite and PostgreSQL."""

from __future__ import annotations

from collections.abc import Sequence

import sqlalchemy as sa

metadata = sa.MetaData()

LINKS = sa.Table(
    "crossref_link",
    metadata,
    sa.Column("entity", sa.Text, primary_key=True),
    sa.Column("canonical_id", sa.Text, primary_key=True),
    sa.Column("system", sa.Text, primary_key=True),
    sa.Column("instance", sa.Text, primary_key=True),
    sa.Column("external_id", sa.Text),
    sa.Column("external_key", sa.Text, nullable=False),
    sa.Column("state", sa.Text, nullable=False),
    # Each refusal of the system begins a new generation, with another operation id.
    sa.Column("generation", sa.Integer, nullable=False),
    sa.Column("owner", sa.Text, nullable=False),
    sa.Column("claimed_until_ms", sa.BigInteger, nullable=False),
    sa.Column("version", sa.Text, nullable=False),
    sa.Column("written_hash", sa.Text, nullable=False),
    sa.Column("updated_ms", sa.BigInteger, nullable=False),
    sa.UniqueConstraint("entity", "system", "instance", "external_id"),
    sa.UniqueConstraint("entity", "system", "instance", "external_key"),
    sa.CheckConstraint("state IN ('pending', 'linked', 'conflict', 'tombstone')"),
)

ALIASES = sa.Table(
    "crossref_alias",
    metadata,
    sa.Column("entity", sa.Text, primary_key=True),
    sa.Column("canonical_id", sa.Text, primary_key=True),
    sa.Column("survivor_id", sa.Text, nullable=False),
)

WATERMARKS = sa.Table(
    "crossref_watermark",
    metadata,
    sa.Column("system", sa.Text, primary_key=True),
    sa.Column("instance", sa.Text, primary_key=True),
    sa.Column("entity", sa.Text, primary_key=True),
    sa.Column("at", sa.Text, nullable=False),
    sa.Column("seen", sa.Text, nullable=False),
)

VERSIONS = sa.Table(
    "crossref_schema",
    metadata,
    sa.Column("version", sa.Integer, primary_key=True),
)

# What each version adds to the one before. A published entry is never changed: add another.
MIGRATIONS: Sequence[Sequence[sa.schema.ExecutableDDLElement]] = (
    (
        sa.schema.CreateTable(LINKS),
        sa.schema.CreateTable(ALIASES),
        sa.schema.CreateTable(WATERMARKS),
    ),
)


class NewerSchemaError(Exception):
    """The database was written by a newer version of Portico."""


def migrate(engine: sa.Engine) -> None:
    """Bring a database to the newest version; of several processes one does it.

    Raises NewerSchemaError.
    """
    with engine.begin() as connection:
        connection.execute(sa.schema.CreateTable(VERSIONS, if_not_exists=True))
    with engine.begin() as connection:
        if connection.dialect.name == "postgresql":
            # SQLite's write transactions exclude one another by themselves.
            connection.execute(sa.text("LOCK TABLE crossref_schema IN EXCLUSIVE MODE"))
        found = connection.execute(sa.select(sa.func.max(VERSIONS.c.version))).scalar() or 0
        if found > len(MIGRATIONS):
            raise NewerSchemaError(f"its schema is version {found}, known is {len(MIGRATIONS)}")
        for version in range(found + 1, len(MIGRATIONS) + 1):
            for statement in MIGRATIONS[version - 1]:
                connection.execute(statement)
            connection.execute(sa.insert(VERSIONS).values(version=version))

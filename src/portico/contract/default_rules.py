"""Defaults that their own schema does not allow: they would be filled in, and then refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from portico.contract.bundle import Bundle
from portico.contract.findings import Finding
from portico.contract.schemas import SchemaSet
from portico.contract.walk import all_objects


def default_findings(
    bundle: Bundle, document: Mapping[str, Any], schemas: SchemaSet
) -> Iterator[Finding]:
    """Yield a finding for each wrong default of the document in the 3.1 form.

    Raises ValueError for a schema that cannot be compiled.
    """
    for schema, pointer, kind in all_objects(document):
        if kind != "schema" or "default" not in schema:
            continue
        if not schemas.validator(schemas.view(schema)).is_valid(schema["default"]):
            yield bundle.finding(
                (*pointer, "default"),
                "invalid-default",
                f"the default {str(schema['default'])[:100]!r} does not match its schema",
                "correct the default or the schema",
            )

"""The report of a run, written while it is read: it has no length that memory would notice."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import AsyncIterator, Mapping

import orjson

from process_apis.reconciliation import mapping
from process_apis.reconciliation.findings import Findings, Found

JSON, CSV = "application/json", "text/csv"
COLUMNS = ("id", "subject", "kind", "system", "key", "records", "expected", "found", "fix")
# What is sent at a time; single lines would each be a packet.
_CHUNK_CHARACTERS = 32_768
# A spreadsheet takes a text that begins like this for a formula.
_FORMULA = re.compile(r"[=+\-@\t\r\n]")
_NUMBER = re.compile(r"-?\d+(\.\d+)?\Z")


async def as_json(findings: Findings, run: Mapping[str, str]) -> AsyncIterator[bytes]:
    """Yield a report as one JSON document."""
    yield b'{"run":' + orjson.dumps(mapping.run(run)) + b',"items":['
    separator = b""
    async for found in findings.reported(run["run_id"]):
        yield separator + orjson.dumps(mapping.reported(found))
        separator = b","
    yield b"]}"


async def as_csv(findings: Findings, run: Mapping[str, str]) -> AsyncIterator[bytes]:
    """Yield a report as CSV (RFC 4180)."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(COLUMNS)
    async for found in findings.reported(run["run_id"]):
        writer.writerow(_cells(found))
        if text.tell() >= _CHUNK_CHARACTERS:
            yield _taken(text)
    yield _taken(text)


def _taken(text: io.StringIO) -> bytes:
    content = text.getvalue().encode()
    text.seek(0)
    text.truncate()
    return content


def _cells(found: Found) -> list[str]:
    shown = mapping.reported(found)
    records = [f"{each['system']} {' '.join(each['ids'])}" for each in shown["records"]]
    values = {**shown, "records": "; ".join(records)}
    return [harmless(str(values.get(name, ""))) for name in COLUMNS]


def harmless(text: str) -> str:
    """Return a cell that no spreadsheet takes for a formula.

    >>> harmless("=1+1"), harmless("-5.00"), harmless("PO-1")
    ("'=1+1", '-5.00', 'PO-1')
    """
    if _FORMULA.match(text) and not _NUMBER.match(text):
        return f"'{text}"
    return text

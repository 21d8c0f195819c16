"""A record as it is stored: the same line of fields that the scripts read and write."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Any
from urllib.parse import quote, unquote

import orjson

Field = tuple[bytes, bytes]

# Below this, zlib costs more time than the memory is worth; see bench/idempotency.py.
COMPRESS_FROM_BYTES = 4096
_COMPRESSION_LEVEL = 1
# What a stored body may grow to; the cap on stored bodies is far below.
_MAX_BODY_BYTES = 64 * 1024 * 1024


class State(StrEnum):
    """Where an operation stands."""

    IN_PROGRESS = "P"
    IN_DOUBT = "D"
    COMPLETED = "C"
    TOMBSTONE = "T"
    FREE = "F"


class UnreadableRecordError(ValueError):
    """What is stored is not a record, or was damaged. It is never treated as absent."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredResponse:
    """A response as it is replayed: header lines in their order, body without content coding."""

    status: int
    headers: tuple[Field, ...]
    body: bytes = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Record:
    """A record of the store."""

    state: State
    epoch: int
    lease_until_ms: int
    sent: str
    fingerprint: bytes
    token: bytes
    created_ms: int
    request_id: str
    operation: str
    upstream_key: str
    points: Mapping[str, Any] = field(default_factory=dict)
    response: StoredResponse | None = None


def parse(raw: bytes) -> Record:
    """Return the record that a stored string means; raises UnreadableRecordError."""
    line, newline, rest = raw.partition(b"\n")
    fields = line.split(b" ")
    if not newline or len(fields) != 12 or fields[0] != b"1":
        raise UnreadableRecordError("it does not begin as a record does")
    try:
        state = State(fields[1].decode())
        settled = state in {State.COMPLETED, State.TOMBSTONE}
        return Record(
            state=state,
            epoch=int(fields[2]),
            lease_until_ms=int(fields[3]),
            sent=fields[4].decode(),
            fingerprint=fields[5],
            token=fields[6],
            created_ms=int(fields[8]),
            request_id=unquote(fields[9].decode()),
            operation=unquote(fields[10].decode()),
            upstream_key=fields[11].decode(),
            points=_points(rest[: int(fields[7])]),
            response=read_response(rest) if settled else None,
        )
    except (ValueError, KeyError) as error:
        raise UnreadableRecordError(str(error)) from None


def facts(request_id: str, operation: str, upstream_key: str) -> bytes:
    """Return what a record says of its request besides what the scripts decide by."""
    if not request_id.isalnum():
        request_id = quote(request_id, safe="") or "-"
    return f"{request_id} {_word(operation)} {upstream_key}".encode()


def write_points(points: Mapping[str, Any]) -> bytes:
    """Return recovery points as they are stored; raises TypeError for what is not JSON data."""
    return orjson.dumps(points) if points else b""


def write_response(
    status: int,
    headers: Iterable[Field] = (),
    body: bytes = b"",
    *,
    compress_from: int = COMPRESS_FROM_BYTES,
) -> bytes:
    """Return a response as it is stored: status, coding, checksum and sizes, then header and body.

    The checksum tells a damaged record from an old one.
    """
    coding = b"-"
    if len(body) >= compress_from:
        smaller = zlib.compress(body, _COMPRESSION_LEVEL)
        if len(smaller) < len(body):
            body, coding = smaller, b"z"
    lines = b"".join([b"%b: %b\r\n" % line for line in headers])
    content = lines + body
    return b"%d %b %d %d\n%b" % (status, coding, zlib.crc32(content), len(lines), content)


def read_response(raw: bytes) -> StoredResponse:
    """Return a stored response; raises UnreadableRecordError."""
    line, newline, content = raw.partition(b"\n")
    fields = line.split(b" ")
    if not newline or len(fields) != 4:
        raise UnreadableRecordError("the response does not begin as one does")
    size = int(fields[3])
    if zlib.crc32(content) != int(fields[2]):
        raise UnreadableRecordError("the response does not match its checksum")
    body = content[size:]
    return StoredResponse(
        status=int(fields[0]),
        headers=tuple(_lines(content[:size])),
        body=_inflate(body) if fields[1] == b"z" else body,
    )


def _lines(raw: bytes) -> list[Field]:
    headers = []
    for line in raw.split(b"\r\n")[:-1]:
        name, colon, value = line.partition(b": ")
        if not colon:
            raise UnreadableRecordError("a header line has no name")
        headers.append((name, value))
    return headers


def _inflate(raw: bytes) -> bytes:
    inflater = zlib.decompressobj()
    try:
        body = inflater.decompress(raw, _MAX_BODY_BYTES)
    except zlib.error as error:
        raise UnreadableRecordError(f"the body cannot be decompressed: {error}") from None
    if not inflater.eof:
        raise UnreadableRecordError("the body is cut off")
    return body


def _points(raw: bytes) -> dict[str, Any]:
    points = orjson.loads(raw) if raw else {}
    if not isinstance(points, dict):
        raise UnreadableRecordError("the recovery points are not an object")
    return points


@lru_cache(maxsize=4096)
def _word(text: str) -> str:
    """Return a text without spaces; operations have few, so each is written once."""
    return quote(text, safe="/:.{}") or "-"

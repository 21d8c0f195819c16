"""What makes two requests the same: SHA-256 over parts that each are preceded by their length.

Not among the parts is what may differ between attempts of one request: Accept and its relatives,
User-Agent, trace context, Date, and the access token.
"""

from __future__ import annotations

import re
from binascii import b2a_base64
from collections.abc import Iterable, Mapping
from enum import Enum
from functools import lru_cache
from hashlib import sha256
from operator import itemgetter
from typing import Any
from urllib.parse import unquote_to_bytes

import orjson

from portico.contract.media import is_json
from portico.idempotency.canonical_json import NotCanonicalError, canonicalize
from portico.idempotency.multipart_parts import UnreadablePartsError, read_parts
from portico.problems import MALFORMED_REQUEST, Problem

_NOT_OF_THE_CALL = frozenset({"idempotency-key", "prefer", "repeatability-first-sent"})
_SORTED = orjson.OPT_SORT_KEYS | orjson.OPT_NON_STR_KEYS
_PARAMETER = re.compile(r';\s*([^\s=;]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^;]*)')


class BodyMode(bytes, Enum):
    """How a body enters the fingerprint. The value names the algorithm in stored records."""

    RAW = b"1"
    CANONICAL_JSON = b"1j"


class Fingerprinter:
    """Takes the fingerprints of the requests of one operation; made at start-up."""

    __slots__ = ("_head", "_mode")

    def __init__(
        self, *, method: str, operation: str, template: str, mode: BodyMode = BodyMode.RAW
    ) -> None:
        self._head = join([method.encode(), operation.encode(), template.encode()])
        self._mode = mode

    def take(
        self,
        raw_path: bytes,
        *,
        query: bytes = b"",
        content_type: str = "",
        if_match: bytes = b"",
        api_version: bytes = b"",
        body: bytes = b"",
    ) -> bytes:
        """Return `version:digest` of a request, without spaces.

        `if_match` and `api_version` are the values of those header fields, empty without one;
        `body` is without content coding. Raises Problem 400 for a JSON body that CANONICAL_JSON
        finds ambiguous.
        """
        media_type, essence = _media_type(content_type)
        content = _content(body, content_type, essence, self._mode) if body else b""
        pairs = _canonical_query(query) if query else b""
        # What `join` does, written out: this is done for every request.
        head = b"%b%d:%b%d:%b%d:%b%d:%b%d:%b%d:" % (
            self._head,
            len(raw_path),
            raw_path,
            len(pairs),
            pairs,
            len(media_type),
            media_type,
            len(if_match),
            if_match,
            len(api_version),
            api_version,
            len(content),
        )
        digest = sha256(head)
        digest.update(content)
        return b"%b:%b" % (self._mode, _text(digest.digest()))


def document_fingerprint(operation: str, document: Mapping[str, Any]) -> bytes:
    """Return the fingerprint of a call between tiers: of what it means, as no bytes need exist.

    `document` is a checked request, `{"path": …, "query": …, "header": …, "body": …}`. The call is
    the same whether it came over HTTP or within the process.
    """
    headers = {
        name: value
        for name, value in document.get("header", {}).items()
        if name.lower() not in _NOT_OF_THE_CALL
    }
    parts = {name: document.get(name, {}) for name in ("path", "query")}
    parts |= {"header": headers, "body": document.get("body")}
    content = orjson.dumps(parts, option=_SORTED)
    return b"1d:" + _text(sha256(join([operation.encode(), content])).digest())


def join(parts: Iterable[bytes]) -> bytes:
    """Return the parts as one, each preceded by its length, so that none can run into the next."""
    return b"".join([b"%d:%b" % (len(part), part) for part in parts])


def _text(digest: bytes) -> bytes:
    return b2a_base64(digest, newline=False).rstrip(b"=")


def _content(body: bytes, content_type: str, essence: str, mode: BodyMode) -> bytes:
    if essence.startswith("multipart/"):
        return _multipart(body, content_type)
    if mode is BodyMode.CANONICAL_JSON and is_json(essence):
        try:
            return canonicalize(body)
        except NotCanonicalError as error:
            raise Problem(MALFORMED_REQUEST, f"the body is ambiguous: {error}") from None
    return body


def _multipart(body: bytes, content_type: str) -> bytes:
    try:
        parts = read_parts(body, content_type)
    except UnreadablePartsError:
        return body  # not ours to judge; another attempt with the same bytes is the same
    return join(
        value
        for part in parts
        for value in (part.name, part.filename, part.media_type, part.content)
    )


def _canonical_query(raw: bytes) -> bytes:
    """Return the pairs of a query sorted by name; those of one name stay in their order."""
    raw = raw.replace(b"+", b" ")
    decode = unquote_to_bytes if b"%" in raw else bytes  # most queries are as they are meant
    pairs = []
    for pair in raw.split(b"&"):
        if pair:
            name, equals, value = pair.partition(b"=")
            pairs.append((decode(name), equals + decode(value)))
    pairs.sort(key=itemgetter(0))
    return join([part for pair in pairs for part in pair])


@lru_cache(maxsize=1024)
def _media_type(content_type: str) -> tuple[bytes, str]:
    """Return a media type with its parameters in order but without a boundary, and its essence."""
    essence, semicolon, _ = content_type.partition(";")
    essence = essence.strip().lower()
    parameters = []
    if semicolon:
        for name, value in _PARAMETER.findall(content_type):
            if name.lower() != "boundary":
                parameters.append(f"{name.lower()}={_unquoted(name, value)}")
    return ";".join([essence, *sorted(parameters)]).encode(), essence


def _unquoted(name: str, value: str) -> str:
    value = value.strip()
    if value.startswith('"') and value.endswith('"') and len(value) > 1:
        value = re.sub(r"\\(.)", r"\1", value[1:-1])
    return value.lower() if name.lower() == "charset" else value

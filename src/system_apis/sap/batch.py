"""$batch of OData V2: changes that take effect together, as one change set in multipart/mixed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from email.message import Message
from email.parser import BytesParser
from secrets import token_hex

import httpx

from portico.connectors import exact_json
from portico.connectors.failures import BrokenError
from portico.connectors.messages import Answer
from system_apis.sap.s4 import SYSTEM

_END = b"\r\n"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One change of an entity, only if it has the ETag where one is given."""

    path: str
    values: Mapping[str, object]
    etag: str = ""


def written(changes: Sequence[Change]) -> tuple[bytes, str]:
    """Return the body of a batch with one change set, and its media type."""
    outer, inner = f"batch_{token_hex(8)}", f"changeset_{token_hex(8)}"
    lines: list[bytes] = []
    for number, change in enumerate(changes, start=1):
        lines += [f"--{inner}".encode(), *_part(change, number)]
    changeset = _END.join([*lines, f"--{inner}--".encode(), b""])
    head = f"--{outer}\r\nContent-Type: multipart/mixed; boundary={inner}\r\n".encode()
    body = _END.join([head, changeset, f"--{outer}--".encode(), b""])
    return body, f"multipart/mixed; boundary={outer}"


def _part(change: Change, number: int) -> list[bytes]:
    content = exact_json.encode(change.values)
    lines = ["Content-Type: application/http", "Content-Transfer-Encoding: binary"]
    lines += [f"Content-ID: {number}", "", f"PATCH {change.path} HTTP/1.1"]
    lines += ["Content-Type: application/json", "Accept: application/json"]
    lines += [f"If-Match: {change.etag}"] if change.etag else []
    lines += [f"Content-Length: {len(content)}", "", ""]
    return ["\r\n".join(lines).encode() + content]


def answers(answer: Answer) -> list[Answer]:
    """Return the answers in an answer to a batch; raises BrokenError."""
    media_type = answer.headers.get("content-type", "")
    head = f"Content-Type: {media_type}\r\n\r\n".encode("latin-1", "replace")
    whole = BytesParser().parsebytes(head + answer.body)
    return [_inner(part) for part in whole.walk() if part.get_content_maintype() != "multipart"]


def _inner(part: Message) -> Answer:
    payload = part.get_payload(decode=True)
    head, _, body = (payload if isinstance(payload, bytes) else b"").partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    words = first.split(" ")
    if len(words) < 2 or not words[1].isdigit():
        raise BrokenError(f"{SYSTEM} answered a batch that cannot be read", system=SYSTEM)
    fields = [line.split(":", 1) for line in lines if ":" in line]
    headers = httpx.Headers([(name.strip(), value.strip()) for name, value in fields])
    return Answer(status=int(words[1]), headers=headers, body=body)

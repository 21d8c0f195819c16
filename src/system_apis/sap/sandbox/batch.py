"""$batch of OData V2: requests in multipart/mixed, and change sets that happen as one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from email.message import Message
from email.parser import BytesParser
from http import HTTPStatus
from secrets import token_hex
from urllib.parse import parse_qsl, urlsplit

from system_apis.sap.sandbox.errors import malformed
from system_apis.sap.sandbox.messages import Answer, Request
from system_apis.sap.sandbox.store import Store

MAX_REQUESTS = 1000
_END = b"\r\n"

Handle = Callable[[Request], Answer]


def answer(request: Request, root: str, store: Store, handle: Handle) -> Answer:
    """Answer a batch; `handle` answers what is in it, below the path `root`, and never raises."""
    boundary = token_hex(16)
    lines: list[bytes] = []
    for part in _parts(request.headers.get("content-type", ""), request.body):
        lines.append(f"--{boundary}".encode())
        if part.get_content_maintype() == "multipart":
            lines += _set_of(_changes(part, root, store, handle))
        else:
            lines += _single(handle(_request(part, root)))
    lines += [f"--{boundary}--".encode(), b""]
    media_type = f"multipart/mixed; boundary={boundary}"
    return Answer(status=202, content=_END.join(lines), media_type=media_type)


def _changes(part: Message, root: str, store: Store, handle: Handle) -> list[Answer]:
    """Return the answers to a change set, or the failure of the one for which none took effect."""
    snapshot = store.snapshot()
    answers = []
    for inner in _payload(part):
        found = handle(_request(inner, root))
        if found.status >= 400:
            store.restore(snapshot)
            return [found]
        answers.append(found)
    return answers


def _parts(content_type: str, body: bytes) -> list[Message]:
    head = f"Content-Type: {content_type}\r\n\r\n".encode("latin-1", "replace")
    whole = BytesParser().parsebytes(head + body)
    if whole.get_content_type() != "multipart/mixed":
        raise malformed("A batch must be multipart/mixed")
    return _payload(whole)


def _payload(whole: Message) -> list[Message]:
    found = whole.get_payload()
    if not isinstance(found, list) or len(found) > MAX_REQUESTS:
        raise malformed("The batch has no parts, or too many")
    return [part for part in found if isinstance(part, Message)]


def _request(part: Message, root: str) -> Request:
    payload = part.get_payload(decode=True)
    text = payload if isinstance(payload, bytes) else b""
    head, _, body = text.lstrip().partition(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").split("\r\n")
    words = first.split(" ")
    if len(words) != 3:
        raise malformed("A request of the batch cannot be read")
    pairs = (line.partition(":") for line in lines if ":" in line)
    target = urlsplit(words[1])
    return Request(
        method=words[0],
        path=target.path.removeprefix(root).lstrip("/"),
        query=dict(parse_qsl(target.query)),
        headers={name.strip().lower(): value.strip() for name, _, value in pairs},
        body=body.strip(),
    )


def _set_of(answers: Sequence[Answer]) -> list[bytes]:
    """Return a part for a change set: its answers, or only the error."""
    if answers and answers[0].status >= 400:
        return _single(answers[0])
    boundary = token_hex(16)
    lines: list[bytes] = []
    for each in answers:
        lines += [f"--{boundary}".encode(), *_single(each)]
    content = _END.join([*lines, f"--{boundary}--".encode(), b""])
    head = f"Content-Type: multipart/mixed; boundary={boundary}\r\n"
    return [f"{head}Content-Length: {len(content)}\r\n".encode(), content]


def _single(answered: Answer) -> list[bytes]:
    """Return a part for one answer."""
    phrase = HTTPStatus(answered.status).phrase
    head = [f"HTTP/1.1 {answered.status} {phrase}"]
    head += [f"Content-Type: {answered.media_type}"] if answered.content else []
    head += [f"{name}: {value}" for name, value in answered.headers]
    head.append(f"Content-Length: {len(answered.content)}")
    content = "\r\n".join([*head, "", ""]).encode() + answered.content
    around = f"Content-Type: application/http\r\nContent-Length: {len(content)}\r\n"
    return [f"{around}content-transfer-encoding: binary\r\n".encode(), content]

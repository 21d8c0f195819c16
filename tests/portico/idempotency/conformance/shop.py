"""A small API with this library behind it, and with the mistakes that others make."""

from __future__ import annotations

import asyncio
import itertools
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from portico.idempotency.attempt import Attempt
from portico.idempotency.fingerprint import Fingerprinter
from portico.idempotency.key import missing_key, read_key, read_wait_seconds
from portico.idempotency.policy import Policy
from portico.idempotency.replay import Answer
from portico.idempotency.runner import run
from portico.idempotency.scope import Scope
from portico.problems import (
    INVALID_CONTENT,
    INVALID_PARAMETER,
    MEDIA_TYPE,
    METHOD_NOT_ALLOWED,
    UNAUTHENTICATED,
    UNSUPPORTED_MEDIA_TYPE,
    Problem,
)

if TYPE_CHECKING:
    from portico.idempotency.claim import Claim
    from portico.idempotency.store import IdempotencyStore

TOKENS = {b"Bearer ann": "ann", b"Bearer bob": "bob"}
POLICY = Policy(lease_seconds=5)


@dataclass(slots=True)
class Seen:
    """A request, read."""

    method: str
    path: str
    query: bytes
    headers: list[tuple[bytes, bytes]]
    body: bytes

    def header(self, name: bytes) -> bytes:
        return next((value for key, value in self.headers if key == name), b"")


class Shop:
    """An ASGI application: POST /orders and /refunds create, GET /orders counts."""

    def __init__(self, store: IdempotencyStore, *, seconds: float = 0.02) -> None:
        self.store = store
        self.seconds = seconds
        self.created: list[str] = []
        self._numbers = itertools.count(1)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        path, query = scope["path"], scope["query_string"]
        seen = Seen(scope["method"], path, query, list(scope["headers"]), body)
        try:
            answer = await self.answer(seen)
        except Problem as problem:
            answer = render(problem)
        headers = [*answer.headers, (b"content-length", b"%d" % len(answer.body))]  # type: ignore[arg-type]  # no streams here
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})

    async def answer(self, seen: Seen) -> Answer:
        caller = self.caller(seen)
        if seen.method == "GET":
            return as_json(200, {"total": len(self.created)})
        if seen.method != "POST":
            raise Problem(METHOD_NOT_ALLOWED)
        self.check(seen)
        return await self.keyed(seen, caller)

    def caller(self, seen: Seen) -> str:
        caller = TOKENS.get(seen.header(b"authorization"))
        if caller is None:
            raise Problem(UNAUTHENTICATED)
        return caller

    def check(self, seen: Seen) -> None:
        """Check the request against its contract, before anything is claimed."""
        if seen.query:
            raise Problem(INVALID_PARAMETER)
        if seen.header(b"content-type") != b"application/json":
            raise Problem(UNSUPPORTED_MEDIA_TYPE)
        try:
            json.loads(seen.body)
        except ValueError:
            raise Problem(INVALID_CONTENT) from None

    async def keyed(self, seen: Seen, caller: str) -> Answer:
        lines = [value for name, value in seen.headers if name == b"idempotency-key"]
        if not lines:
            raise missing_key()
        attempt = Attempt(
            scope=Scope(client_id=caller),
            key=read_key(b", ".join(lines)),
            fingerprint=Fingerprinter(
                method=seen.method, operation=seen.path, template=seen.path
            ).take(
                seen.path.encode(),
                query=seen.query,
                content_type=seen.header(b"content-type").decode(),
                body=seen.body,
            ),
            operation=seen.path,
            accept=seen.header(b"accept").decode(),
            wait_seconds=read_wait_seconds(seen.header(b"prefer")),
        )

        async def execute(claim: Claim) -> Answer:
            del claim
            return await self.create(seen)

        return await run(self.store, attempt, POLICY, execute, render=render)

    async def create(self, seen: Seen) -> Answer:
        await asyncio.sleep(self.seconds)
        number = str(next(self._numbers))
        self.created.append(number)
        answer = as_json(201, {"id": number, "echo": seen.body.decode()})
        answer.headers.append((b"location", f"{seen.path}/{number}".encode()))
        return answer


class Careless(Shop):
    """Reads no key at all."""

    async def keyed(self, seen: Seen, caller: str) -> Answer:
        del caller
        return await self.create(seen)


class Remembering(Shop):
    """Remembers responses by key in a dictionary: what most home-made solutions do."""

    def __init__(self, store: IdempotencyStore, *, seconds: float = 0.02) -> None:
        super().__init__(store, seconds=seconds)
        self.known: dict[bytes, Answer] = {}

    async def keyed(self, seen: Seen, caller: str) -> Answer:
        del caller
        key = seen.header(b"idempotency-key")
        if key not in self.known:
            created = await self.create(seen)
            self.known[key] = Answer(200, [(b"content-type", b"application/json")], created.body)
            return created
        return self.known[key]


class Late(Shop):
    """Claims a key before it looks at credentials and contents."""

    async def answer(self, seen: Seen) -> Answer:
        if seen.method == "GET":
            return await super().answer(seen)
        return await self.keyed(seen, "everybody")

    async def create(self, seen: Seen) -> Answer:
        self.caller(seen)
        self.check(seen)
        return await super().create(seen)


def as_json(status: int, data: object) -> Answer:
    return Answer(status, [(b"content-type", b"application/json")], json.dumps(data).encode())


def render(problem: Problem) -> Answer:
    headers = [(b"content-type", MEDIA_TYPE.encode())]
    headers += [(name.lower().encode(), value.encode()) for name, value in problem.headers]
    body = problem.body(type_base="/portal/problems/", request_id="")
    return Answer(problem.status, headers, body)

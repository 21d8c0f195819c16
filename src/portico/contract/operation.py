"""One compiled operation: everything a request and a response are checked against."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from portico.contract import errors
from portico.contract.bodies import Decode, MalformedBody
from portico.contract.media import MediaTable, acceptable
from portico.contract.parameters import ABSENT, Parameter, Reader
from portico.contract.schemas import Validator
from portico.contract.security import Requirement
from portico.contract.shape import Shaper
from portico.contract.styles import Query, StyleError
from portico.problems import (
    INVALID_PARAMETER,
    MALFORMED_REQUEST,
    MISSING_CONTENT,
    NOT_ACCEPTABLE,
    UNSUPPORTED_MEDIA_TYPE,
    Problem,
)

Document = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """A request body of one media type: how it is read, shaped and checked.

    `opaque` content is octets that a schema says nothing about.
    """

    media_type: str
    opaque: bool
    decode: Decode
    shaper: Shaper | None
    validator: Validator


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A declared response: its headers and its content by media type."""

    status: str
    media: MediaTable[Validator | None]
    headers: Mapping[str, tuple[Reader, Validator | None, bool]]
    shapers: Mapping[str, Shaper]


@dataclass(slots=True, kw_only=True)
class Operation:
    """A compiled operation. Its methods are called once a request, so they do little.

    `document` in the methods is `{"path": {…}, "query": {…}, "header": {…}, "cookie": {…},
    "body": …}` with the members that the operation declares.
    """

    operation_id: str
    method: str
    template: str
    pointer: tuple[str, ...]
    summary: str
    parameters: tuple[Parameter, ...]
    security: Requirement
    deprecated: bool
    notices: tuple[tuple[str, str], ...]
    idempotency: str  # "", "optional" or "required"
    contents: MediaTable[Content]
    body_required: bool
    answers: Mapping[str, Answer]
    success: tuple[int, ...]
    produces: tuple[str, ...]
    validator: Validator  # of a request without a body
    path_readers: tuple[Reader, ...]
    query_readers: tuple[Reader, ...]
    header_readers: tuple[tuple[bytes, Reader], ...]
    cookie_readers: tuple[Reader, ...]
    reject_unknown_query: bool

    @property
    def reads_body(self) -> bool:
        return bool(self.contents)

    def check_accept(self, headers: Mapping[bytes, bytes]) -> None:
        """Raise 406 when the operation produces nothing that `Accept` takes."""
        accept = headers.get(b"accept")
        if accept is None or accept == b"*/*" or not self.produces:
            return
        if acceptable(accept.decode("latin-1"), self.produces) is None:
            offered = ", ".join(self.produces)
            raise Problem(
                NOT_ACCEPTABLE,
                f"the operation produces {offered}",
                extensions={"produces": list(self.produces)},
            )

    def find_content(self, headers: Mapping[bytes, bytes]) -> Content:
        """Return how to read the request's body; raises 415 for a type not declared."""
        coding = headers.get(b"content-encoding")
        if coding is not None and coding.strip().lower() not in {b"", b"identity"}:
            raise _unsupported(f"the content coding {coding.decode('latin-1')!r} is not read", self)
        media_type = headers.get(b"content-type", b"").decode("latin-1")
        content = self.contents.find(media_type)
        if content is None:
            named = media_type or "a body without Content-Type"
            raise _unsupported(f"the operation does not read {named[:100]}", self)
        return content

    def check_request(
        self,
        path_values: Sequence[str],
        query: bytes,
        headers: Mapping[bytes, bytes],
        body: bytes | None,
    ) -> Document:
        """Return the request as one document of typed values, checked against the contract.

        `headers` are lower-case names with the lines of one name joined. Raises Problem: 400 for
        parameters and unreadable bodies, 415 and 422 for bodies.
        """
        document = self._read_parameters(path_values, query, headers)
        validator = self.validator
        if body:
            # Content sent to an operation that declares none has no meaning (RFC 9110, 9.3.1).
            if self.contents:
                validator = self._read_body(document, headers, body)
        elif self.body_required:
            raise Problem(MISSING_CONTENT)
        if not validator.is_valid(document):
            raise errors.problem(errors.explain(validator, document))
        return document

    def check_document(self, document: Document) -> Document:
        """Check a request that never was bytes: the call of one tier by another in one process.

        Has all four places. Fills in defaults as `check_request` does, in a copy of the body.
        Raises Problem like `check_request`.
        """
        for name, readers in (
            ("query", self.query_readers),
            ("header", [reader for _, reader in self.header_readers]),
        ):
            members = document[name]
            for reader in readers:
                if reader.name not in members:
                    reader.fill(members)
        validator = self.validator
        if "body" in document:
            content = self.contents.find("application/json")
            if content is not None:
                validator = content.validator
                if content.shaper is not None:
                    document["body"] = copy.deepcopy(document["body"])
                    content.shaper.apply(document["body"])
        elif self.body_required:
            raise Problem(MISSING_CONTENT)
        if not validator.is_valid(document):
            raise errors.problem(errors.explain(validator, document))
        return document

    def find_answer(self, status: int) -> Answer | None:
        """Return the declared response for a status: exact, then `2XX`, then `default`."""
        answers = self.answers
        found = answers.get(str(status))
        if found is None:
            found = answers.get(f"{status // 100}XX") or answers.get("default")
        return found

    def check_response(
        self, status: int, media_type: str, body: Any, headers: Sequence[tuple[str, str]] = ()
    ) -> list[dict[str, object]]:
        """Return what is wrong with a response; an empty list means nothing.

        `body` is JSON data, or ABSENT for content that is not looked into.
        """
        answer = self.find_answer(status)
        if answer is None:
            return [{"detail": f"the contract declares no answer with status {status}"}]
        if answer.headers:
            wrong = _check_headers(answer, headers)
            if wrong:
                return wrong
        if not answer.media:
            empty = body is ABSENT or body is None
            return [] if empty and not media_type else [_undeclared(status, media_type)]
        return _check_content(answer, status, media_type, body)

    def _read_parameters(
        self, path_values: Sequence[str], query: bytes, headers: Mapping[bytes, bytes]
    ) -> Document:
        document: Document = {}
        try:
            if self.path_readers:
                document["path"] = {
                    reader.name: reader.read(raw)
                    for reader, raw in zip(self.path_readers, path_values, strict=True)
                }
            document["query"] = self._read_query(query)
            if self.header_readers:
                document["header"] = _read_headers(self.header_readers, headers)
            if self.cookie_readers:
                document["cookie"] = _read_cookies(self.cookie_readers, headers)
        except StyleError as error:
            raise Problem(INVALID_PARAMETER, str(error)) from None
        return document

    def _read_query(self, raw: bytes) -> Document:
        if not raw and not self.query_readers:
            return {}
        query = Query(raw)
        read: Document = {}
        for reader in self.query_readers:
            value = reader.read(query)
            if value is not ABSENT:
                read[reader.name] = value
        if query.values and self.reject_unknown_query:
            raise _unknown_query(list(query.values))
        return read

    def _read_body(
        self, document: Document, headers: Mapping[bytes, bytes], body: bytes
    ) -> Validator:
        content = self.find_content(headers)
        try:
            read = content.decode(body, headers.get(b"content-type", b"").decode("latin-1"))
        except MalformedBody as error:
            raise Problem(MALFORMED_REQUEST, str(error)) from None
        if content.shaper is not None:
            content.shaper.apply(read)
        document["body"] = read
        return content.validator

    def __repr__(self) -> str:
        return f"<Operation {self.operation_id} {self.method} {self.template}>"


def _read_headers(
    readers: Sequence[tuple[bytes, Reader]], headers: Mapping[bytes, bytes]
) -> Document:
    read: Document = {}
    for key, reader in readers:
        raw = headers.get(key)
        value = reader.read(None if raw is None else raw.decode("latin-1"))
        if value is not ABSENT:
            read[reader.name] = value
    return read


def _read_cookies(readers: Sequence[Reader], headers: Mapping[bytes, bytes]) -> Document:
    cookies: dict[str, str] = {}
    for part in headers.get(b"cookie", b"").decode("latin-1").split(";"):
        name, equals, value = part.strip().partition("=")
        if equals:
            cookies.setdefault(name, value)
    read: Document = {}
    for reader in readers:
        value = reader.read(cookies)
        if value is not ABSENT:
            read[reader.name] = value
    return read


def _unknown_query(names: list[str]) -> Problem:
    entries = [
        errors.parameter_entry(name[:64], "query", "the operation has no such parameter")
        for name in names[: errors.MAX_ERRORS]
    ]
    return errors.problem(entries)


def _unsupported(detail: str, operation: Operation) -> Problem:
    names = operation.contents.names()
    accept = ", ".join(names)
    header = "Accept-Post" if operation.method == "POST" else "Accept"
    return Problem(
        UNSUPPORTED_MEDIA_TYPE, detail, headers=[(header, accept)], extensions={"reads": names}
    )


def _undeclared(status: int, media_type: str) -> dict[str, object]:
    named = media_type or "content without a media type"
    return {"detail": f"the contract does not declare {named} for status {status}"}


def _check_content(
    answer: Answer, status: int, media_type: str, body: Any
) -> list[dict[str, object]]:
    validator = answer.media.find(media_type)
    if validator is None:
        return _check_unvalidated(answer, status, media_type, body)
    # Only JSON content has a validator.
    if body is ABSENT or validator.is_valid(body):
        return []
    return errors.explain_value(validator, body)


def _check_unvalidated(
    answer: Answer, status: int, media_type: str, body: Any
) -> list[dict[str, object]]:
    """Check content that is declared without a schema, or not at all."""
    if not media_type and (body is None or body is ABSENT):
        return [{"detail": f"the contract declares content for status {status}, there is none"}]
    if any(acceptable(media_type, [name]) for name in answer.media.names()):
        return []
    return [_undeclared(status, media_type)]


def _check_headers(answer: Answer, headers: Sequence[tuple[str, str]]) -> list[dict[str, object]]:
    given: dict[str, str] = {}
    for name, value in headers:
        key = name.lower()
        given[key] = f"{given[key]}, {value}" if key in given else value
    wrong: list[dict[str, object]] = []
    for name, (reader, validator, required) in answer.headers.items():
        raw = given.get(name)
        if raw is None:
            if required:
                wrong.append({"detail": f"the header {reader.name} is missing"})
            continue
        try:
            value = reader.read(raw)
        except StyleError as error:
            wrong.append({"detail": f"the header {reader.name}: {error}"})
            continue
        if validator is not None and not validator.is_valid(value):
            wrong.append({"detail": f"the header {reader.name} does not match its schema"})
    return wrong

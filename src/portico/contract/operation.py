"""One compiled operation: everything a request and a response are checked against."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from portico.contract import answers, errors
from portico.contract.answers import Answer
from portico.contract.bodies import Decode
from portico.contract.decoding import MalformedBodyError
from portico.contract.errors import Entry
from portico.contract.media import MediaTable, acceptable
from portico.contract.parameters import Parameter, Reader
from portico.contract.schemas import Validator
from portico.contract.security import Requirement
from portico.contract.shape import Shaper
from portico.contract.styles import ABSENT, Query, StyleError
from portico.problems import (
    INVALID_PARAMETER,
    MALFORMED_REQUEST,
    MISSING_CONTENT,
    NOT_ACCEPTABLE,
    UNSUPPORTED_MEDIA_TYPE,
    Problem,
)

Document = dict[str, Any]
_IDENTITY = frozenset({b"", b"identity"})


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
        return bool(self.contents.declared)

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

    def preferred(self, headers: Mapping[bytes, bytes]) -> str:
        """Return what `Accept` prefers of what the operation produces: of equals the first."""
        accept = headers.get(b"accept", b"*/*").decode("latin-1")
        return acceptable(accept, self.produces) or ""

    def find_content(self, headers: Mapping[bytes, bytes]) -> Content:
        """Return how to read the request's body; raises 415 for a type not declared."""
        coding = headers.get(b"content-encoding")
        if coding is not None and coding.strip().lower() not in _IDENTITY:
            named = coding.decode("latin-1")[:100]
            raise _unsupported(f"the content coding {named!r} is not read", self)
        media_type = headers.get(b"content-type", b"").decode("latin-1")
        content = self.contents.find(media_type)
        if content is None:
            named = media_type[:100] or "a body without Content-Type"
            raise _unsupported(f"the operation does not read {named}", self)
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
        wrong: list[Entry] = []
        document = self._read_parameters(path_values, query, headers, wrong)
        validator = self.validator
        if body:
            # Content sent to an operation that declares none has no meaning (RFC 9110, 9.3.1).
            if self.contents.declared:
                validator = self._read_body(document, headers, body)
        elif self.body_required:
            raise Problem(MISSING_CONTENT)
        if wrong or not validator.is_valid(document):
            raise errors.problem(errors.explain(validator, document, wrong))
        return document

    def check_document(self, document: Document) -> Document:
        """Check a request that never was bytes: the call of one tier by another in one process.

        Has all four places. Fills in defaults as `check_request` does, in a copy of the body.
        Raises Problem like `check_request`.
        """
        for reader in (*self.query_readers, *self.cookie_readers):
            if reader.name not in document[reader.where]:
                reader.fill(document[reader.where])
        for _, reader in self.header_readers:
            if reader.name not in document["header"]:
                reader.fill(document["header"])
        validator = self.validator
        if "body" in document:
            content = self.contents.find("application/json")
            if content is not None:
                validator = content.validator
                if content.shaper is not None:
                    document["body"] = content.shaper.copied(document["body"])
                    content.shaper.apply(document["body"])
        elif self.body_required:
            raise Problem(MISSING_CONTENT)
        if not errors.is_valid(validator, document):
            raise errors.problem(errors.explain(validator, document))
        return document

    def find_answer(self, status: int) -> Answer | None:
        """Return the declared response for a status: exact, then `2XX`, then `default`."""
        return answers.find_answer(self.answers, status)

    def check_response(
        self, status: int, media_type: str, body: Any, headers: Sequence[tuple[str, str]] = ()
    ) -> list[Entry]:
        """Return what is wrong with a response; an empty list means nothing.

        `body` is JSON data, None where there is none, or ABSENT for content that is not looked
        into.
        """
        return answers.check(self.answers, status, media_type, body, headers)

    def _read_parameters(
        self,
        path_values: Sequence[str],
        query: bytes,
        headers: Mapping[bytes, bytes],
        wrong: list[Entry],
    ) -> Document:
        document: Document = {}
        if self.path_readers:
            found = document["path"] = {}
            for reader, raw in zip(self.path_readers, path_values, strict=True):
                _read(reader, raw, found, wrong)
        document["query"] = self._read_query(query, wrong) if query or self.query_readers else {}
        if self.header_readers:
            found = document["header"] = {}
            for key, reader in self.header_readers:
                field = headers.get(key)
                _read(reader, None if field is None else field.decode("latin-1"), found, wrong)
        if self.cookie_readers:
            document["cookie"] = found = {}
            cookies = _cookies(headers)
            for reader in self.cookie_readers:
                _read(reader, cookies, found, wrong)
        return document

    def _read_query(self, raw: bytes, wrong: list[Entry]) -> Document:
        found: Document = {}
        try:
            query = Query(raw)
        except StyleError as error:
            raise Problem(INVALID_PARAMETER, f"the query cannot be read: {error}") from None
        for reader in self.query_readers:
            _read(reader, query, found, wrong)
        if query.values and self.reject_unknown_query:
            wrong.extend(
                errors.parameter_entry(name[:64], "query", "the operation has no such parameter")
                for name in list(query.values)[: errors.MAX_ERRORS]
            )
        return found

    def _read_body(
        self, document: Document, headers: Mapping[bytes, bytes], body: bytes
    ) -> Validator:
        content = self.find_content(headers)
        try:
            read = content.decode(body, headers.get(b"content-type", b"").decode("latin-1"))
        except MalformedBodyError as error:
            raise Problem(MALFORMED_REQUEST, str(error)) from None
        if content.shaper is not None:
            content.shaper.apply(read)
        document["body"] = read
        return content.validator

    def __repr__(self) -> str:
        return f"<Operation {self.operation_id} {self.method} {self.template}>"


def _read(reader: Reader, source: Any, found: Document, wrong: list[Entry]) -> None:
    """Put the value of a parameter in place; one that cannot be read is wrong."""
    try:
        value = reader.read(source)
    except StyleError as error:
        wrong.append(errors.parameter_entry(reader.name, reader.where, str(error)))
        return
    if value is not ABSENT:
        found[reader.name] = value


def _cookies(headers: Mapping[bytes, bytes]) -> dict[str, str | list[str]]:
    """Return the raw values of cookies; a name that comes more than once has a list."""
    cookies: dict[str, str | list[str]] = {}
    for part in headers.get(b"cookie", b"").decode("latin-1").split(";"):
        name, equals, value = part.strip().partition("=")
        if not equals:
            continue
        known = cookies.get(name)
        if known is None:
            cookies[name] = value
        else:
            cookies[name] = [*known, value] if isinstance(known, list) else [known, value]
    return cookies


def _unsupported(detail: str, operation: Operation) -> Problem:
    names = operation.contents.names()
    accept = ", ".join(names)
    header = "Accept-Post" if operation.method == "POST" else "Accept"
    return Problem(
        UNSUPPORTED_MEDIA_TYPE, detail, headers=[(header, accept)], extensions={"reads": names}
    )

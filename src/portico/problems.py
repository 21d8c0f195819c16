"""RFC 9457 problems: the catalogue of types, the exception, and the one place bodies are made."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import orjson

from portico.idempotency.problems import IDEMPOTENCY_PROBLEM_TYPES
from portico.limits.problems import LIMIT_PROBLEM_TYPES
from portico.problem_type import ProblemType as ProblemType  # noqa: PLC0414 for whoever makes a Problem

MEDIA_TYPE = "application/problem+json"
_STANDARD = frozenset({"type", "title", "status", "detail", "instance"})


class Problem(Exception):  # noqa: N818  # RFC 9457 calls it a problem
    """A failure that leaves as an RFC 9457 body.

    `detail` is for the caller of this request; `extensions` become top-level members.
    """

    def __init__(
        self,
        kind: ProblemType,
        detail: str = "",
        *,
        headers: Sequence[tuple[str, str]] = (),
        extensions: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(detail or kind.title)
        self.kind = kind
        self.detail = detail
        self.headers = tuple(headers)
        self.extensions = dict(extensions or {})

    @property
    def status(self) -> int:
        return self.kind.status

    @property
    def says_when(self) -> bool:
        """Tell whether it says when to come again, which is a promise that this makes sense."""
        return any(name.lower() == "retry-after" for name, _ in self.headers)

    def document(self, *, type_base: str, request_id: str) -> dict[str, object]:
        """Return the problem document; `type_base` is what the slugs of our own types end."""
        document: dict[str, object] = {
            "type": self.kind.uri or f"{type_base}{self.kind.slug}",
            "title": self.kind.title,
            "status": self.kind.status,
        }
        if self.detail:
            document["detail"] = self.detail
        if request_id:
            document["instance"] = f"urn:portico:request:{request_id}"
        extensions = self.extensions.items()
        document.update({name: value for name, value in extensions if name not in _STANDARD})
        return document

    def body(self, *, type_base: str, request_id: str) -> bytes:
        return orjson.dumps(self.document(type_base=type_base, request_id=request_id))


def _types(*types: ProblemType) -> Mapping[str, ProblemType]:
    return {kind.slug: kind for kind in types}


MALFORMED_REQUEST = ProblemType(
    slug="malformed-request",
    status=400,
    title="The request cannot be read",
    meaning="The request breaks HTTP framing or its body or a parameter cannot be decoded.",
    remedy="Correct the syntax named in the detail and send the request again.",
)
MISSING_CONTENT = ProblemType(
    slug="missing-content",
    status=400,
    title="The request body is missing",
    meaning="The operation requires a body and the request has none.",
    remedy="Send a body in one of the media types of the operation.",
)
INVALID_PARAMETER = ProblemType(
    slug="invalid-parameter",
    status=400,
    title="A parameter does not match the contract",
    meaning="A path, query, header or cookie parameter is missing, unknown or out of range.",
    remedy="Correct each entry of errors; the reference page of the API lists every parameter.",
)
INVALID_CONTENT = ProblemType(
    slug="invalid-content",
    status=422,
    title="The request body does not match the contract",
    meaning="The body was read but breaks the schema of the operation.",
    remedy="Correct each entry of errors; pointer names the place in the body.",
)
UNAUTHENTICATED = ProblemType(
    slug="unauthenticated",
    status=401,
    title="Credentials are missing or not accepted",
    meaning="The operation needs credentials and the request carries none that are valid.",
    remedy="Get a token at /oauth2/token and send it as Authorization: Bearer.",
)
FORBIDDEN = ProblemType(
    slug="insufficient-scope",
    status=403,
    title="The credentials do not allow this operation",
    meaning="The token is valid but lacks a scope that the contract requires.",
    remedy="Ask for a token with the scopes named in the problem.",
)
CALLER_NOT_ALLOWED = ProblemType(
    slug="caller-not-allowed",
    status=403,
    title="This caller may not call this API",
    meaning="The credentials are good, but they are of an API or client outside the layer above.",
    remedy="Call along the layers: a process API for what a system does, and not the system.",
)
IDENTITY_UNAVAILABLE = ProblemType(
    slug="identity-unavailable",
    status=503,
    title="The credentials cannot be checked now",
    meaning="Whoever issued the token, or the store that knows of its use, does not answer.",
    remedy="Wait for the seconds in Retry-After and send the request again.",
)
STEP_UP = ProblemType(
    slug="insufficient-user-authentication",
    status=401,
    title="The user has to authenticate again",
    meaning="The token is valid, but its user signed in too long ago or not strongly enough.",
    remedy="Ask for a token with the acr_values and max_age of the WWW-Authenticate header.",
)
NOT_FOUND = ProblemType(
    slug="not-found",
    status=404,
    title="There is nothing at this address",
    meaning="No operation or no resource matches the request target.",
    remedy="Compare the path with the reference page of the API.",
)
METHOD_NOT_ALLOWED = ProblemType(
    slug="method-not-allowed",
    status=405,
    title="The method is not offered here",
    meaning="The path exists but does not offer this method.",
    remedy="Use one of the methods in the Allow header.",
)
NOT_ACCEPTABLE = ProblemType(
    slug="not-acceptable",
    status=406,
    title="No representation is acceptable",
    meaning="The operation produces none of the media types in the Accept header.",
    remedy="Accept one of the media types named in the problem.",
)
REQUEST_TIMEOUT = ProblemType(
    slug="request-timeout",
    status=408,
    title="The request arrived too slowly",
    meaning="The whole request did not arrive within the time allowed.",
    remedy="Send the request again over a faster connection.",
)
CONFLICT = ProblemType(
    slug="conflict",
    status=409,
    title="The request conflicts with the state of the resource",
    meaning="The resource is in a state that does not allow the request, or it changed meanwhile.",
    remedy="Read the resource, decide again, and repeat the request if it still applies.",
)
RECORD_CHANGED = ProblemType(
    slug="record-changed",
    status=409,
    title="The record was changed by others at the same moment",
    meaning="Each time the record was read and was to be written, somebody else was faster.",
    remedy="Wait for the seconds in Retry-After and send the request again.",
)
CONTENT_TOO_LARGE = ProblemType(
    slug="content-too-large",
    status=413,
    title="The request body is too large",
    meaning="The body is larger than this gateway or operation accepts.",
    remedy="Send a smaller body; the problem states the limit in bytes.",
)
URI_TOO_LONG = ProblemType(
    slug="uri-too-long",
    status=414,
    title="The request target is too long",
    meaning="The path and query are longer than this gateway accepts.",
    remedy="Move data from the query into a body, or ask for less at once.",
)
UNSUPPORTED_MEDIA_TYPE = ProblemType(
    slug="unsupported-media-type",
    status=415,
    title="The media type is not supported",
    meaning="The operation reads none of the media type or content coding that was sent.",
    remedy="Send one of the media types named in the problem, without a content coding.",
)
UNPROCESSABLE = ProblemType(
    slug="unprocessable",
    status=422,
    title="The request cannot be carried out",
    meaning="The request matches the contract but breaks a business rule.",
    remedy="Read the detail, correct the request and send it again.",
)
TOO_MANY_REQUESTS = ProblemType(
    slug="too-many-requests",
    status=429,
    title="Too many requests",
    meaning="The caller or its address sent more requests than allowed.",
    remedy="Wait for the seconds in Retry-After before the next request.",
)
HEADERS_TOO_LARGE = ProblemType(
    slug="headers-too-large",
    status=431,
    title="The request header fields are too large",
    meaning="The header section has more fields or bytes than this gateway accepts.",
    remedy="Send fewer or shorter header fields.",
)
INTERNAL_ERROR = ProblemType(
    slug="internal-error",
    status=500,
    title="Something failed inside",
    meaning="An unexpected error happened while the request was handled.",
    remedy="Try again later; give the operator the instance of this problem.",
)
CONTRACT_VIOLATION = ProblemType(
    slug="response-contract-violation",
    status=500,
    title="The answer broke its contract",
    meaning="The implementation produced an answer that the contract does not allow.",
    remedy="Give the operator the instance of this problem; the request may have taken effect.",
)
CALL_NOT_DECLARED = ProblemType(
    slug="call-not-declared",
    status=500,
    title="An API called what its contract does not list",
    meaning="A tier called an operation that is missing from its contract's x-calls.",
    remedy="Add the operation to x-calls of the calling contract, along the allowed layers.",
)
NOT_IMPLEMENTED = ProblemType(
    slug="method-not-implemented",
    status=501,
    title="The method is not known",
    meaning="The request uses a method that this gateway does not know.",
    remedy="Use one of the methods of the contract.",
)
BAD_UPSTREAM = ProblemType(
    slug="bad-upstream-answer",
    status=502,
    title="The upstream answered wrongly",
    meaning="The upstream closed the connection or sent something that is not valid HTTP.",
    remedy="Try again later; if it persists, tell the operator of the upstream.",
)
UNAVAILABLE = ProblemType(
    slug="unavailable",
    status=503,
    title="The service cannot take the request now",
    meaning="The gateway is starting, draining or over its limits.",
    remedy="Wait for the seconds in Retry-After and send the request again.",
)
SYSTEM_UNAVAILABLE = ProblemType(
    slug="system-unavailable",
    status=503,
    title="A system behind this API cannot be reached",
    meaning="The system named in the problem does not answer; nothing was changed in it.",
    remedy="Wait for the seconds in Retry-After and send the request again.",
)
DEADLINE_EXCEEDED = ProblemType(
    slug="deadline-exceeded",
    status=504,
    title="The answer did not arrive in time",
    meaning="The time for the whole request ran out before an answer was ready.",
    remedy="Try again; a write may have taken effect, so repeat it with the same Idempotency-Key.",
)
LOOP_DETECTED = ProblemType(
    slug="loop-detected",
    status=508,
    title="The request came back to this gateway",
    meaning="The Via header shows that this gateway forwarded the request before.",
    remedy="Correct the upstream address so that it does not point back at the gateway.",
)

PROBLEM_TYPES = _types(
    MALFORMED_REQUEST,
    MISSING_CONTENT,
    INVALID_PARAMETER,
    INVALID_CONTENT,
    UNAUTHENTICATED,
    STEP_UP,
    FORBIDDEN,
    CALLER_NOT_ALLOWED,
    NOT_FOUND,
    METHOD_NOT_ALLOWED,
    NOT_ACCEPTABLE,
    REQUEST_TIMEOUT,
    CONFLICT,
    RECORD_CHANGED,
    CONTENT_TOO_LARGE,
    URI_TOO_LONG,
    UNSUPPORTED_MEDIA_TYPE,
    UNPROCESSABLE,
    TOO_MANY_REQUESTS,
    HEADERS_TOO_LARGE,
    INTERNAL_ERROR,
    CONTRACT_VIOLATION,
    CALL_NOT_DECLARED,
    NOT_IMPLEMENTED,
    BAD_UPSTREAM,
    UNAVAILABLE,
    IDENTITY_UNAVAILABLE,
    SYSTEM_UNAVAILABLE,
    DEADLINE_EXCEEDED,
    LOOP_DETECTED,
    *IDEMPOTENCY_PROBLEM_TYPES,
    *LIMIT_PROBLEM_TYPES,
)


_BLANK = "about:blank"  # RFC 9457, 4.2.1: no more than the status says
_SLUGS = {kind.uri: kind.slug for kind in PROBLEM_TYPES.values() if kind.uri}
_FIRST = {kind.status: kind for kind in reversed(list(PROBLEM_TYPES.values()))}
_NAMES = frozenset({"api", "system", "upstream"})  # extensions that say what failed
# A challenge is not among them: it is for the API that called, not for whoever called that one.
_KEPT_HEADERS = frozenset({"retry-after"})


def problem_from(
    status: int, document: Mapping[str, object], headers: Iterable[tuple[str, str]] = ()
) -> Problem:
    """Return the problem that another API answered with, as one of this process.

    A type of the catalogue is recognized by its slug, and an answer without a type gets the
    first of its status. Any other type keeps its own slug and title.
    """
    uri = str(document.get("type") or _BLANK)
    slug = _SLUGS.get(uri) or uri.rpartition("/")[2]
    kind = _FIRST.get(status) if slug == _BLANK else PROBLEM_TYPES.get(slug)
    if kind is None or kind.status != status:
        title = str(document.get("title") or "The callee answered with an error")
        kind = ProblemType(slug=slug, status=status, title=title, meaning=title, remedy="")
    return Problem(
        kind,
        str(document.get("detail", "")),
        headers=_kept(headers),
        extensions={name: value for name, value in document.items() if name not in _STANDARD},
    )


def passed_on(problem: Problem, api: str) -> Problem:
    """Return a callee's problem as its caller gives it on; a failure names what failed."""
    headers = tuple(_kept(problem.headers))
    named = problem.status < 500 or not _NAMES.isdisjoint(problem.extensions)
    if named and headers == problem.headers:
        return problem
    extensions = problem.extensions if named else {**problem.extensions, "api": api}
    return Problem(problem.kind, problem.detail, headers=headers, extensions=extensions)


def _kept(headers: Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    fields = [(name.lower(), value) for name, value in headers]
    return [field for field in fields if field[0] in _KEPT_HEADERS]

"""The problems of the Idempotency-Key header field. They import nothing but their type."""

from __future__ import annotations

from portico.problem_type import ProblemType

KEY_MISSING = ProblemType(
    slug="idempotency-key-missing",
    status=400,
    title="The operation needs an Idempotency-Key",
    meaning="The contract requires the header Idempotency-Key and the request has none.",
    remedy="Make a new UUID for each write, send it as Idempotency-Key, and keep it for retries.",
)
KEY_MALFORMED = ProblemType(
    slug="idempotency-key-malformed",
    status=400,
    title="The Idempotency-Key cannot be read",
    meaning="The header is empty, too long, not one string, or there more than once.",
    remedy="Send one string of 1 to 255 printable ASCII characters, such as a new UUID.",
)
KEY_MISMATCH = ProblemType(
    slug="idempotency-key-mismatch",
    status=422,
    title="The Idempotency-Key belongs to another request",
    meaning="The key was used before with another operation, address, header or body.",
    remedy="Use a new key for a new request; repeat a request exactly to retry it.",
)
KEY_EXPIRED = ProblemType(
    slug="idempotency-key-expired",
    status=412,
    title="The Idempotency-Key is older than what is remembered",
    meaning="The request was first sent longer ago than results are kept, so it may have happened.",
    remedy="Look up whether the first attempt took effect, then use a new key.",
)
IN_FLIGHT = ProblemType(
    slug="idempotency-in-flight",
    status=409,
    title="A request with this Idempotency-Key is running",
    meaning="The first request with this key has not ended; it is not started a second time.",
    remedy="Wait for the seconds in Retry-After and repeat the request, or send Prefer: wait=10.",
)
IN_DOUBT = ProblemType(
    slug="idempotency-in-doubt",
    status=409,
    title="It is not known whether the request took effect",
    meaning="An attempt with this key was interrupted after it had begun to act.",
    remedy="Look the result up before a new key is used; an operator can settle the named record.",
)
NOT_REPLAYABLE = ProblemType(
    slug="response-not-replayable",
    status=409,
    title="The request took effect, its response was not kept",
    meaning="The first response was a stream, too large, or must not be stored.",
    remedy="Read the resource, at Location where that header is there; do not send a new key.",
)
STORE_UNAVAILABLE = ProblemType(
    slug="idempotency-store-unavailable",
    status=503,
    title="Repeated requests cannot be recognized now",
    meaning="The store of idempotency records does not answer; the request was not carried out.",
    remedy="Wait for the seconds in Retry-After and repeat the request with the same key.",
)
RECORD_UNREADABLE = ProblemType(
    slug="idempotency-record-unreadable",
    status=500,
    title="The record of this Idempotency-Key cannot be read",
    meaning="What is stored for the key is damaged; the request was not carried out again.",
    remedy="Give the operator the record named in the problem.",
)
KEY_QUOTA = ProblemType(
    slug="idempotency-key-quota",
    status=429,
    title="Too many different Idempotency-Keys",
    meaning="The caller has as many keys in memory as it may; retries of known keys still work.",
    remedy="Wait for the seconds in Retry-After; use one key for each write, not for each attempt.",
)

IDEMPOTENCY_PROBLEM_TYPES = (
    KEY_MISSING,
    KEY_MALFORMED,
    KEY_MISMATCH,
    KEY_EXPIRED,
    IN_FLIGHT,
    IN_DOUBT,
    NOT_REPLAYABLE,
    STORE_UNAVAILABLE,
    RECORD_UNREADABLE,
    KEY_QUOTA,
)

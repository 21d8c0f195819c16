"""The problems of limits. They import nothing but their type.

Three are those of draft-ietf-httpapi-ratelimit-headers, which has registered them with IANA under
URIs of their own.
"""

from __future__ import annotations

from portico.problem_type import ProblemType

_REGISTRY = "https://iana.org/assignments/http-problem-types"

QUOTA_EXCEEDED = ProblemType(
    slug="quota-exceeded",
    uri=f"{_REGISTRY}#quota-exceeded",
    status=429,
    title="A quota is used up",
    meaning="The caller has sent more than one or more of its limits allow.",
    remedy="Wait for the seconds in Retry-After; violated-policies names the limits.",
)
ABNORMAL_USAGE = ProblemType(
    slug="abnormal-usage-detected",
    uri=f"{_REGISTRY}#abnormal-usage-detected",
    status=429,
    title="Requests arrive faster than anyone needs",
    meaning="The address sends requests at a rate that suggests a fault or an attack.",
    remedy="Wait for the seconds in Retry-After and look for a loop in the client.",
)
REDUCED_CAPACITY = ProblemType(
    slug="temporary-reduced-capacity",
    uri=f"{_REGISTRY}#temporary-reduced-capacity",
    status=503,
    title="A limit cannot be checked at the moment",
    meaning="The operation is refused while its limits cannot be counted across all processes.",
    remedy="Wait for the seconds in Retry-After and send the request again.",
)
EXCEEDS_QUOTA = ProblemType(
    slug="request-exceeds-quota",
    status=403,
    title="The request costs more than the quota can hold",
    meaning="No waiting helps: the request alone costs more than a limit ever allows at once.",
    remedy="Split the request into smaller ones, or ask for a larger plan.",
)

LIMIT_PROBLEM_TYPES = (QUOTA_EXCEEDED, ABNORMAL_USAGE, REDUCED_CAPACITY, EXCEEDS_QUOTA)

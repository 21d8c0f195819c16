"""`x-sources`: which APIs an answer is put together from, and what becomes of it if one fails."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic.alias_generators import to_camel

from portico.contract.bundle import Bundle
from portico.contract.findings import Finding

MEMBER = "x-sources"
# No answer is waited for longer than this; most are given up sooner, by the gateway's deadline.
MAX_BUDGET_SECONDS = 60
# A piece that was kept for more than a day tells little of today.
MAX_KEEP_SECONDS = 86_400
_HINT = (
    "write x-sources like `crm: {api: system/salesforce.v1, onFailure: optional, budgetSeconds: 2}`"
)


class Source(BaseModel):
    """One API that is asked for a piece of the answer, for `budget_seconds` at most.

    If it fails: `required` fails the answer, `optional` leaves the piece out, and `fallback` gives
    the last good piece that is not older than `keep_seconds`, or leaves it out as well.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, alias_generator=to_camel)

    api: str
    on_failure: Literal["required", "optional", "fallback"]
    budget_seconds: float = Field(gt=0, le=MAX_BUDGET_SECONDS)
    keep_seconds: float = Field(default=0, gt=0, le=MAX_KEEP_SECONDS)

    @model_validator(mode="after")
    def _keeps_what_it_falls_back_to(self) -> Self:
        if (self.on_failure == "fallback") != (self.keep_seconds > 0):
            raise ValueError("keepSeconds goes with `onFailure: fallback`, and with nothing else")
        return self


def sources_of(document: Mapping[str, Any]) -> dict[str, Source]:
    """Return the sources of a contract in which `source_findings` found nothing wrong."""
    entries = document.get(MEMBER, {})
    return {name: Source.model_validate(entry) for name, entry in entries.items()}


def source_findings(bundle: Bundle) -> Iterator[Finding]:
    """Yield what is not understood in the sources of a contract."""
    entries = bundle.document.get(MEMBER, {})
    if not isinstance(entries, dict):
        yield _malformed(bundle, (), "x-sources is not a mapping")
        return
    calls = bundle.document.get("x-calls")
    for name, entry in entries.items():
        try:
            source = Source.model_validate(entry)
        except ValidationError as error:
            first = error.errors()[0]
            at = (name, *map(str, first["loc"]))
            yield _malformed(bundle, at, f"the source {name!r}: {first['msg']}")
            continue
        if not isinstance(calls, dict) or source.api not in calls:
            message = f"the source {name!r} is {source.api}, which x-calls does not list"
            yield _malformed(bundle, (name, "api"), message)


def _malformed(bundle: Bundle, at: tuple[str, ...], message: str) -> Finding:
    return bundle.finding((MEMBER, *at), "malformed-source", message, _HINT)

"""One request for a resource of the org, and its answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from system_apis.salesforce.sandbox.errors import RefusalError
from system_apis.salesforce.sandbox.store import Saving, Store


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A request below /services/data/{version}; header names are lower-case, `body` is JSON."""

    method: str
    path: Sequence[str]
    version: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: object = None

    def saving(self) -> Saving:
        """Return how records of this request are saved."""
        rule = self.headers.get("sforce-duplicate-rule-header", "").replace(" ", "").lower()
        return Saving(version=self.version, allow_duplicates="allowsave=true" in rule)

    def values(self) -> Mapping[str, object]:
        """Return the body as the fields of a record; raises RefusalError."""
        if isinstance(self.body, Mapping):
            return self.body
        message = "The HTTP entity body is required, and must be a JSON object"
        raise RefusalError(400, "JSON_PARSER_ERROR", message)


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: int = 200
    body: object = None
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Data:
    """What the resources of an org work on.

    `locks` is how many of the next writes find their row locked, as happens when others write.
    """

    store: Store
    cursors: dict[str, tuple[str, Sequence[str], bool]] = field(default_factory=dict)
    locks: int = 0

    def lock(self) -> None:
        """Raise RefusalError while rows are locked."""
        if self.locks > 0:
            self.locks -= 1
            message = "unable to obtain exclusive access to this record"
            raise RefusalError(400, "UNABLE_TO_LOCK_ROW", message, [])


def not_allowed(request: Request) -> RefusalError:
    message = f"HTTP Method '{request.method}' not allowed."
    return RefusalError(405, "METHOD_NOT_ALLOWED", message)

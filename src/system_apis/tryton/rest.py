"""One request of Tryton's REST protocol (8.x), and what each answer means.

How Tryton behaves, as tried against 8.2:
- A search takes its domain and order as base64 in the query, its page as a Range header, and the
  context (company, stock locations) in X-Tryton-Context. An empty page past the first is 416.
- A validation, a business rule or a warning is 400 with a JSON message; the warning is 409 on
  other ways into Tryton. An unknown field or model is 500 with HTML: a mistake of ours, never
  worth a retry.
- 423 says that the record is held or changed by somebody else, 429 that we ask too much, 503
  that the database was busy and nothing was changed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from portico.connectors import exact_json, messages
from portico.connectors.classification import Dialect, Reason, Rule
from portico.connectors.failures import RefusedError, UnavailableError
from portico.connectors.messages import Answer
from system_apis.tryton.wire import SYSTEM, decode, encode

GOOD = frozenset({200, 204, 416})
_SENTENCES = {
    401: "tryton does not accept the key of this API",
    403: "tryton does not let the user of this API do so",
    404: "tryton has no such record",
    423: "somebody else is changing the record",
    429: "tryton asks to wait",
    502: "a proxy before tryton gets no answer",
    503: "tryton is too busy",
    504: "a proxy before tryton gets no answer",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One request, before it has a deadline."""

    method: str
    path: str
    fields: Sequence[str] = ()
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: object = None

    def message(self) -> messages.Request:
        """Return the request as it is sent."""
        headers, content = dict(self.headers), None
        if self.body is not None:
            headers["content-type"] = "application/json"
            content = encode(self.body).encode()
        return messages.Request(
            operation=f"{self.method} {self.path.partition('/')[0]}",
            method=self.method,
            path=f"rest/model/{self.path}",
            query=[*(("f", name) for name in self.fields), *self.query.items()],
            headers=headers,
            content=content,
            repeatable=self.method == "GET",
        )


def data_of(answer: Answer) -> object:
    """Return what a good answer stands for; raises WireError."""
    if answer.status == 416:
        return []
    return decode(answer.body) if answer.body else None


def read_reason(answer: Answer) -> Reason | None:
    """Return what Tryton says about its refusal, or what the status says about it."""
    if answer.status in GOOD:
        return None
    if answer.status in {400, 409}:
        return Reason(message=_message(answer) or "tryton refused without a reason")
    otherwise = f"tryton failed with {answer.status}; its own log says why"
    return Reason(message=_SENTENCES.get(answer.status, otherwise))


def _message(answer: Answer) -> str:
    try:
        document = exact_json.decode(answer.body)
    except ValueError:
        return ""
    if not isinstance(document, dict):
        return ""
    parts = [str(document.get(name) or "") for name in ("message", "description")]
    return ": ".join(part for part in parts if part)


DIALECT = Dialect(
    system=SYSTEM,
    read_reason=read_reason,
    accepted=frozenset({416}),
    rules=[
        Rule(status=409, failure=RefusedError),
        # Tryton gives up on a busy database only after it rolled the transaction back.
        Rule(status=503, failure=UnavailableError),
    ],
)

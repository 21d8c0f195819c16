"""An org as HTTP shows it: sessions, versions, limits, and the resources of each version.

How a real org behaves is from Salesforce's REST API Developer Guide (v68.0) and from what its
clients expect. Known from neither, and so unverified: the error codes of a failed activation and
of a locked order, and the body of a 412.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from urllib.parse import parse_qsl, unquote

from portico.sandbox.state import State
from system_apis.salesforce.sandbox import composite, queries, rows
from system_apis.salesforce.sandbox.errors import RefusalError, not_found
from system_apis.salesforce.sandbox.ids import make
from system_apis.salesforce.sandbox.messages import Answer, Data, Request
from system_apis.salesforce.sandbox.session import App, GrantError, Sessions
from system_apis.salesforce.sandbox.store import Store

TOKEN_PATH = "/services/oauth2/token"  # noqa: S105  # a path, not a secret
LATEST_VERSION = 68
OLDEST_VERSION = 31
RETIRED_VERSION = 21  # from here to the oldest an org answers that the version is gone
# As a large org has them: 100,000 and a thousand for each licence.
DAILY_CALLS = 1_000_000
DAY_SECONDS = 86_400.0
_VERSION = re.compile(r"/services/data/v(\d{1,3})\.0(?:/(.*))?")


class Org:
    """One org: its records, its sessions and what is left of its calls for the day."""

    def __init__(
        self,
        state: State,
        app: App,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        daily_calls: int = DAILY_CALLS,
    ) -> None:
        self.id = make("00D", 1)
        self.data = Data(Store(state, clock))
        self.sessions = Sessions(self.id, app, lambda: clock().timestamp())
        self.daily_calls = daily_calls
        self.calls = 0
        self._clock = clock
        self._day_began = clock().timestamp()

    def handle(
        self, method: str, target: str, headers: Mapping[str, str], body: bytes, base_url: str
    ) -> Answer:
        """Answer a request; `target` is path and query, header names are lower-case."""
        path, _, query = target.partition("?")
        if path == TOKEN_PATH:
            return self._token(headers, body, base_url)
        if path.rstrip("/") == "/services/data":
            return Answer(body=_versions())
        try:
            return self._resource(method, path, query, headers, body)
        except RefusalError as error:
            limits = self._limit_info()
            return Answer(status=error.status, body=error.document(), headers=limits)

    def _token(self, headers: Mapping[str, str], body: bytes, base_url: str) -> Answer:
        form = dict(parse_qsl(body.decode("latin-1")))
        try:
            granted = self.sessions.grant(form, headers.get("authorization", ""))
        except GrantError as error:
            problem = {"error": error.code, "error_description": error.description}
            return Answer(status=error.status, body=problem)
        return Answer(body={**granted, "instance_url": base_url})

    def _resource(
        self, method: str, path: str, query: str, headers: Mapping[str, str], body: bytes
    ) -> Answer:
        match = _VERSION.fullmatch(path)
        if match is None:
            raise not_found()
        _check_version(int(match[1]))
        self._check_token(headers)
        self._count()
        request = Request(
            method=method,
            path=[unquote(segment) for segment in (match[2] or "").split("/") if segment],
            version=f"v{match[1]}.0",
            query=dict(parse_qsl(query, keep_blank_values=True)),
            headers=headers,
            body=_json(body),
        )
        answer = self._dispatch(self.data, request)
        return Answer(
            status=answer.status,
            body=answer.body,
            headers={**answer.headers, **self._limit_info()},
        )

    def _dispatch(self, data: Data, request: Request) -> Answer:
        match list(request.path[:1]):
            case []:
                names = ("composite", "limits", "query", "queryAll", "sobjects")
                base = f"/services/data/{request.version}/"
                return Answer(body={name: base + name for name in names})
            case ["sobjects"]:
                return rows.answer(data, request)
            case ["query" | "queryAll"]:
                return queries.answer(data, request)
            case ["composite"]:
                return composite.answer(data, request, self._dispatch)
            case ["limits"]:
                left = max(0, self.daily_calls - self.calls)
                return Answer(
                    body={"DailyApiRequests": {"Max": self.daily_calls, "Remaining": left}}
                )
            case _:
                raise not_found()

    def _check_token(self, headers: Mapping[str, str]) -> None:
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if scheme.lower() not in ("bearer", "oauth") or not self.sessions.accepts(token):
            raise RefusalError(401, "INVALID_SESSION_ID", "Session expired or invalid")

    def _count(self) -> None:
        now = self._clock().timestamp()
        if now - self._day_began >= DAY_SECONDS:
            self._day_began, self.calls = now, 0
        if self.calls >= self.daily_calls:
            message = "TotalRequests Limit exceeded."
            raise RefusalError(403, "REQUEST_LIMIT_EXCEEDED", message)
        self.calls += 1

    def _limit_info(self) -> dict[str, str]:
        return {"Sforce-Limit-Info": f"api-usage={self.calls}/{self.daily_calls}"}

    def __repr__(self) -> str:
        return f"<Org {self.calls}/{self.daily_calls} calls {self.data.store!r}>"


def _check_version(number: int) -> None:
    if OLDEST_VERSION <= number <= LATEST_VERSION:
        return
    if RETIRED_VERSION <= number < OLDEST_VERSION:
        message = "The requested API version is retired"
        raise RefusalError(500, "UNSUPPORTED_API_VERSION", message)
    raise not_found()


def _versions() -> list[dict[str, str]]:
    return [
        {"label": f"v{number}", "url": f"/services/data/v{number}.0", "version": f"{number}.0"}
        for number in range(OLDEST_VERSION, LATEST_VERSION + 1)
    ]


def _json(body: bytes) -> object:
    if not body.strip():
        return None
    try:
        return json.loads(body)
    except ValueError as error:
        raise RefusalError(400, "JSON_PARSER_ERROR", f"The body is not JSON: {error}") from None

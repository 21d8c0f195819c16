"""The S/4HANA as one of the sandboxes that are served together."""

from __future__ import annotations

from collections.abc import Mapping

import orjson
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from portico.sandbox.company import Company
from portico.sandbox.state import State
from portico.sandbox.system import Secret
from portico.sandbox.webhooks import Webhooks
from system_apis.sap.sandbox.errors import RefusalError
from system_apis.sap.sandbox.messages import Answer
from system_apis.sap.sandbox.s4 import S4
from system_apis.sap.sandbox.seed import seed

USER = "PORTICO_COM_USER"
SECRET_NAME = "sap-sandbox"  # noqa: S105  # what the secret is called, not what it is


class SAPSandbox:
    """An S/4HANA, served over HTTP."""

    webhooks: Webhooks | None = None
    unlimited_paths: frozenset[str] = frozenset()

    def __init__(self, state: State, password: str) -> None:
        self.state = state
        self.s4 = S4(state, user=USER, password=password)
        self.permissions = self.s4.permissions

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        try:
            body = await request.body()
        except ClientDisconnect:
            return
        path, query = scope["raw_path"].decode("latin-1"), scope["query_string"].decode("latin-1")
        answer = self.s4.handle(
            request.method,
            f"{path}?{query}" if query else path,
            dict(request.headers),
            body,
            str(request.base_url).rstrip("/"),
        )
        await _response(answer)(scope, receive, send)

    def seed(self, company: Company) -> None:
        seed(self.s4.store, company)

    def throttled(self, retry_after_seconds: float | None) -> Response:
        """Return the answer to a request over the limit of a cloud tenant."""
        error = RefusalError(429, "429", "Too many requests")
        response = _refusal(error)
        if retry_after_seconds is not None:
            response.headers["retry-after"] = f"{retry_after_seconds:g}"
        return response

    def unavailable(self) -> Response:
        return _refusal(RefusalError(503, "503", "Service Unavailable"))

    def revoke_tokens(self) -> None:
        self.s4.end_sessions()

    def __repr__(self) -> str:
        return f"<SAPSandbox {self.s4!r}>"


class SAPKind:
    """How the S/4HANA is made, and how its API reaches it."""

    api = "system/sap.v1"

    def build(self, state: State, secret: Secret) -> SAPSandbox:
        return SAPSandbox(state, secret(SECRET_NAME))

    def settings(self, base_url: str) -> Mapping[str, object]:
        return {"base_url": base_url, "user": USER, "password": f"generated:{SECRET_NAME}"}


def _refusal(error: RefusalError) -> Response:
    document = error.document(v4=False)
    return _response(Answer(status=error.status, content=orjson.dumps(document)))


def _response(answer: Answer) -> Response:
    media_type = answer.media_type if answer.content else None
    response = Response(answer.content, status_code=answer.status, media_type=media_type)
    for name, value in answer.headers:
        response.headers.append(name, value)
    return response

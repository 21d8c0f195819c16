"""The org as one of the sandboxes that are served together."""

from __future__ import annotations

from collections.abc import Mapping

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from portico.connectors import exact_json
from portico.sandbox.company import Company
from portico.sandbox.state import State
from portico.sandbox.system import Secret
from portico.sandbox.webhooks import Webhooks
from system_apis.salesforce.sandbox.errors import RefusalError
from system_apis.salesforce.sandbox.messages import Answer
from system_apis.salesforce.sandbox.org import TOKEN_PATH, Org
from system_apis.salesforce.sandbox.seed import seed
from system_apis.salesforce.sandbox.session import App

CLIENT_ID = "portico-sandbox-app"
SECRET_NAME = "salesforce-sandbox"  # noqa: S105  # what the secret is called, not what it is
USERNAME = "integration@quayside-coffee.example"
_JSON = "application/json;charset=UTF-8"


class SalesforceSandbox:
    """An org, served over HTTP."""

    webhooks: Webhooks | None = None
    # The limits of an org are on its APIs; sessions are opened outside of them.
    unlimited_paths = frozenset({TOKEN_PATH})

    def __init__(self, state: State, app: App) -> None:
        self.state = state
        self.org = Org(state, app)
        self.permissions = self.org.data.store.schema.permissions

    async def app(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        request = Request(scope, receive)
        try:
            body = await request.body()
        except ClientDisconnect:
            return
        path, query = scope["raw_path"].decode("latin-1"), scope["query_string"].decode("latin-1")
        answer = self.org.handle(
            request.method,
            f"{path}?{query}" if query else path,
            dict(request.headers),
            body,
            str(request.base_url).rstrip("/"),
        )
        await _response(answer)(scope, receive, send)

    def seed(self, company: Company) -> None:
        seed(self.org.data.store, company)

    def throttled(self, retry_after_seconds: float | None) -> Response:
        """Return the answer to one request too many at a time; an org never says how long."""
        del retry_after_seconds
        message = "ConcurrentRequests (Concurrent API Requests) Limit exceeded."
        return _refusal(RefusalError(403, "REQUEST_LIMIT_EXCEEDED", message))

    def unavailable(self) -> Response:
        message = "The server is unavailable"
        return _refusal(RefusalError(503, "SERVER_UNAVAILABLE", message))

    def revoke_tokens(self) -> None:
        self.org.sessions.revoke_all()

    def __repr__(self) -> str:
        return f"<SalesforceSandbox {self.org!r}>"


class SalesforceKind:
    """How the org is made, and how its API reaches it."""

    api = "system/salesforce.v1"

    def build(self, state: State, secret: Secret) -> SalesforceSandbox:
        app = App(client_id=CLIENT_ID, client_secret=secret(SECRET_NAME), username=USERNAME)
        return SalesforceSandbox(state, app)

    def settings(self, base_url: str) -> Mapping[str, object]:
        return {
            "base_url": base_url,
            "client_id": CLIENT_ID,
            "client_secret": f"generated:{SECRET_NAME}",
        }


def _refusal(error: RefusalError) -> Response:
    return _response(Answer(status=error.status, body=error.document()))


def _response(answer: Answer) -> Response:
    if answer.body is None:
        return Response(status_code=answer.status, headers=dict(answer.headers))
    return Response(
        exact_json.encode(answer.body),
        status_code=answer.status,
        headers=dict(answer.headers),
        media_type=_JSON,
    )

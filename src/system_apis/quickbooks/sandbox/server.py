"""The sandbox as an application: tokens, limits, records, queries, changes, batches."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from portico.connectors import exact_json
from portico.sandbox.company import Address, Company, Customer, Product
from portico.sandbox.permissions import Permissions
from portico.sandbox.signatures import base64_hmac_sha256
from portico.sandbox.state import Record, State
from portico.sandbox.webhooks import Webhooks
from system_apis.quickbooks.sandbox.books import ENTITIES, Books
from system_apis.quickbooks.sandbox.errors import (
    FaultError,
    ScopeError,
    missing,
    not_permitted,
    parse_error,
    required,
)
from system_apis.quickbooks.sandbox.query import Query
from system_apis.quickbooks.sandbox.tokens import TokenRefusal, Tokens

REALM_ID = "4620816365"
CLIENT_ID = "portico-sandbox"
SCOPE = "com.intuit.quickbooks.accounting"
REQUESTS_PER_MINUTE, REQUESTS_PER_SECOND = 500, 10
CHANGES_DAYS, MAX_BATCH = 30, 30
_BY_PATH = {entity.lower(): entity for entity in ENTITIES}
# What the sandbox keeps for itself.
_HIDDEN = frozenset({"paid"})


class QuickBooksSandbox:
    """One company and its API."""

    unlimited_paths: frozenset[str] = frozenset()

    def __init__(
        self,
        state: State,
        *,
        client_secret: str,
        refresh_token: str,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.state = state
        self.webhooks = Webhooks(
            lambda secret, body: {"intuit-signature": base64_hmac_sha256(secret, body)}
        )
        # What an app may use is one scope; what of it, is up to the user who authorized it.
        self.permissions = Permissions([SCOPE, *ENTITIES])
        self.books = Books(state, self.webhooks, realm_id=REALM_ID, currency="EUR", clock=clock)
        self.tokens = Tokens(
            state,
            client_id=CLIENT_ID,
            client_secret=client_secret,
            refresh_token=refresh_token,
            clock=clock,
        )
        self.requests_per_second = REQUESTS_PER_SECOND
        self.requests_per_minute = REQUESTS_PER_MINUTE
        self._recent: deque[float] = deque()
        company = f"/v3/company/{REALM_ID}"
        self.app = Starlette(
            routes=[
                Route("/.well-known/openid_configuration", self._discovery),
                Route("/oauth2/v1/tokens/bearer", self._token, methods=["POST"]),
                Route(company + "/{path:path}", self._answer, methods=["GET", "POST"]),
            ]
        )

    def seed(self, company: Company) -> None:
        self.books.open_accounts()
        for customer in company.customers:
            self.books.post("Customer", _customer(customer), "")
        for product in company.products:
            self.books.post("Item", _item(product), "")

    def throttled(self, retry_after_seconds: float | None) -> Response:
        # The real one says nothing of when to come again; a test may.
        found = FaultError("3001", "ThrottleExceeded", "Too many requests", status=429)
        headers = {}
        if retry_after_seconds is not None:
            headers["retry-after"] = f"{retry_after_seconds:g}"
        return self._response(429, found.document, headers)

    def unavailable(self) -> Response:
        return Response("<html>Service Unavailable</html>", 503, media_type="text/html")

    def revoke_tokens(self) -> None:
        self.tokens.revoke()

    async def _discovery(self, request: Request) -> Response:
        base = str(request.base_url).rstrip("/")
        names = ("authorization", "revocation", "userinfo")
        endpoints = {f"{name}_endpoint": f"{base}/oauth2/v1/{name}" for name in names}
        return JSONResponse(
            {
                "issuer": base,
                "token_endpoint": f"{base}/oauth2/v1/tokens/bearer",
                "jwks_uri": f"{base}/oauth2/v1/jwks",
                **endpoints,
            }
        )

    async def _token(self, request: Request) -> Response:
        authorization = request.headers.get("authorization", "")
        try:
            return JSONResponse(self.tokens.exchange(authorization, await request.body()))
        except TokenRefusal as refusal:
            return JSONResponse({"error": refusal.error}, status_code=refusal.status)

    async def _answer(self, request: Request) -> Response:
        if not self.tokens.accepts(request.headers.get("authorization", "")):
            detail = "message=AuthenticationFailed; errorCode=003200; statusCode=401"
            refused = FaultError("3200", f"{detail}", "Token expired", status=401)
            return self._response(401, refused.document)
        if self._is_over_limit():
            return self.throttled(None)
        body = await request.body()
        try:
            if not self.permissions.may_read(SCOPE):
                raise ScopeError
            return self._response(200, self._once(request, body))
        except FaultError as error:
            return self._response(error.status, error.document)

    def _once(self, request: Request, body: bytes) -> Record:
        """Carry out a request, and answer one with a known request id as before."""
        request_id = request.query_params.get("requestid", "")
        kept = self.state.table("request")
        if request.method == "POST" and request_id in kept:
            found: Record = kept[request_id]
            return found
        answer: Record = _plain(self._carry_out(request, body))
        if request.method == "POST" and request_id:
            kept[request_id] = answer
        return answer

    def _carry_out(self, request: Request, body: bytes) -> Record:
        parts = request.path_params["path"].split("/")
        match request.method, parts:
            case "GET", ["query"]:
                return self._query(request.query_params.get("query", ""))
            case "POST", ["query"]:
                return self._query(body.decode(errors="replace"))
            case "GET", ["cdc"]:
                return self._changes(request)
            case "POST", ["batch"]:
                return self._batch(_document(body))
            case "GET", [name, record_id] if name in _BY_PATH:
                entity = _BY_PATH[name]
                self._check_readable(entity)
                return {entity: self.books.find(entity, record_id), "time": self.books.now()}
            case "POST", [name] if name in _BY_PATH:
                entity = _BY_PATH[name]
                operation = _operation(request)
                found = self._post(entity, _document(body), operation)
                return {entity: found, "time": self.books.now()}
            case _, ["companyinfo", _]:
                info = {"CompanyName": "Quayside Coffee Supply", "Country": "NL", "Id": "1"}
                return {"CompanyInfo": info, "time": self.books.now()}
        raise FaultError("500", "Unsupported Operation", "Operation is not supported.")

    def _query(self, text: str) -> Record:
        query = Query(text)
        if query.entity not in ENTITIES:
            raise parse_error(f"there is no entity {query.entity}")
        self._check_readable(query.entity)
        kept = self.state.table(query.entity).values()
        found = query.run([record for record in kept if record.get("status") != "Deleted"])
        if query.counts:
            return {"QueryResponse": {"totalCount": len(found)}, "time": self.books.now()}
        page = found[query.start - 1 : query.start - 1 + query.limit]
        response: Record = {}
        if page:
            response = {
                query.entity: page,
                "startPosition": query.start,
                "maxResults": len(page),
            }
        return {"QueryResponse": response, "time": self.books.now()}

    def _changes(self, request: Request) -> Record:
        try:
            since = datetime.fromisoformat(request.query_params.get("changedSince", ""))
        except ValueError as error:
            raise required("changedSince") from error
        since = since if since.tzinfo else since.replace(tzinfo=UTC)
        if since < datetime.now(UTC) - timedelta(days=CHANGES_DAYS):
            raise FaultError("2030", "Invalid date", "changedSince is more than 30 days ago")
        parts = []
        for entity in request.query_params.get("entities", "").split(","):
            if entity not in ENTITIES:
                raise required("entities")
            self._check_readable(entity)
            found = self.books.changed_since(entity, since)
            part: Record = {"startPosition": 1, "maxResults": len(found)}
            parts.append({entity: found, **part} if found else {})
        return {"CDCResponse": [{"QueryResponse": parts}], "time": self.books.now()}

    def _batch(self, document: Record) -> Record:
        """Carry out items one after the other; none of them sees another's failure."""
        items = document.get("BatchItemRequest", [])
        if len(items) > MAX_BATCH:
            raise FaultError("1040", "Batch limit exceeded", "A batch has at most 30 items")
        return {
            "BatchItemResponse": [self._batch_item(item) for item in items],
            "time": self.books.now(),
        }

    def _batch_item(self, item: Record) -> Record:
        named = {"bId": item.get("bId", "")}
        try:
            if "Query" in item:
                return {**named, **self._query(item["Query"])}
            entity = next((name for name in ENTITIES if name in item), None)
            if entity is None:
                raise missing()
            operation = item.get("operation", "create")
            found = self._post(
                entity, item[entity], "" if operation in {"create", "update"} else operation
            )
        except FaultError as error:
            return {**named, "Fault": error.document["Fault"]}
        return {**named, entity: found}

    def _post(self, entity: str, document: Record, operation: str) -> Record:
        if not (self.permissions.may_write(entity) and self.permissions.may_write(SCOPE)):
            raise not_permitted(entity)
        return self.books.post(entity, document, operation)

    def _check_readable(self, entity: str) -> None:
        if not self.permissions.may_read(entity):
            raise not_permitted(entity)

    def _is_over_limit(self) -> bool:
        now = time.monotonic()
        while self._recent and now - self._recent[0] >= 60.0:
            self._recent.popleft()
        in_second = 0
        for at in reversed(self._recent):
            if now - at >= 1.0:
                break
            in_second += 1
        if len(self._recent) >= self.requests_per_minute or in_second >= self.requests_per_second:
            return True
        self._recent.append(now)
        return False

    def _response(
        self, status: int, document: Mapping[str, object], headers: Mapping[str, str] | None = None
    ) -> Response:
        number = self.state.next_number("tid")
        fields = {"intuit_tid": f"1-sandbox-{number:08d}", **(headers or {})}
        return Response(
            exact_json.encode(document), status, fields, "application/json;charset=UTF-8"
        )


def _operation(request: Request) -> str:
    """Return what is to be done; some entities are voided by `include` of an update."""
    operation = request.query_params.get("operation", "")
    if request.query_params.get("include") == "void":
        return "void"
    return "" if operation == "update" else operation


def _document(body: bytes) -> Record:
    try:
        document = exact_json.decode(body)
    except ValueError as error:
        raise FaultError("2010", "Request has invalid or unsupported property", "") from error
    if not isinstance(document, dict):
        raise FaultError("2010", "Request has invalid or unsupported property", "")
    return document


def _plain(value: Any) -> Any:
    """Return a record as it is answered and kept: numbers as JSON has them, nothing of ours."""
    if isinstance(value, dict):
        return {name: _plain(member) for name, member in value.items() if name not in _HIDDEN}
    if isinstance(value, list):
        return [_plain(entry) for entry in value]
    return value


def _customer(customer: Customer) -> Record:
    values: Record = {
        "DisplayName": customer.name,
        "CompanyName": customer.name,
        "PrimaryEmailAddr": {"Address": customer.email},
        "PrimaryPhone": {"FreeFormNumber": customer.phone},
    }
    for address in customer.addresses:
        for use, name in (("invoice", "BillAddr"), ("delivery", "ShipAddr")):
            if use in address.uses:
                values[name] = _address(address)
    return values


def _address(address: Address) -> Record:
    return {
        "Line1": address.street,
        "PostalCode": address.postal_code,
        "City": address.city,
        "Country": address.country,
    }


def _item(product: Product) -> Record:
    values: Record = {
        "Name": product.name,
        "Sku": product.code,
        "Description": product.description,
        "Type": "Service" if product.type == "service" else "NonInventory",
        "UnitPrice": product.list_price,
    }
    if product.on_hand is not None:
        values.update(Type="Inventory", TrackQtyOnHand=True, QtyOnHand=Decimal(product.on_hand))
    return values

"""The sandbox as an application: keys, idempotency, routes, answers."""

from __future__ import annotations

import hmac
import time
from base64 import b64decode
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import orjson
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from portico.sandbox.company import Company
from portico.sandbox.permissions import Permissions
from portico.sandbox.signatures import hex_hmac_sha256
from portico.sandbox.state import Record, State
from portico.sandbox.webhooks import Webhooks
from system_apis.stripe.sandbox import (
    billing,
    catalogue,
    customers,
    invoice_payments,
    payments,
)
from system_apis.stripe.sandbox.account import API_VERSION, Account
from system_apis.stripe.sandbox.errors import StripeError, not_permitted
from system_apis.stripe.sandbox.idempotency import Keys
from system_apis.stripe.sandbox.lists import PAGING, expand, list_page, search
from system_apis.stripe.sandbox.parameters import Parameters, decode
from system_apis.stripe.sandbox.seed import seed

# What Stripe allows a live account; a test account has a quarter of it.
REQUESTS_PER_SECOND = 100

Creates = Callable[[Account, Parameters], Record]
Acts = Callable[[Account, str, Parameters], Record]

CREATE: Mapping[str, tuple[str, Creates]] = {
    "customers": ("customer", customers.create_customer),
    "payment_methods": ("payment_method", customers.create_method),
    "products": ("product", catalogue.create_product),
    "prices": ("price", catalogue.create_price),
    "payment_intents": ("payment_intent", payments.create_intent),
    "refunds": ("refund", payments.create_refund),
    "invoices": ("invoice", billing.create_invoice),
    "invoiceitems": ("invoiceitem", billing.create_item),
    "subscriptions": ("subscription", billing.create_subscription),
}
UPDATE: Mapping[str, Acts] = {
    "customers": customers.update_customer,
    "products": catalogue.update_product,
    "prices": catalogue.update_price,
    "payment_intents": payments.update_intent,
    "invoices": billing.update_invoice,
}
ACT: Mapping[tuple[str, str], Acts] = {
    ("payment_methods", "attach"): customers.attach_method,
    ("payment_intents", "confirm"): payments.confirm_intent,
    ("payment_intents", "capture"): payments.capture_intent,
    ("payment_intents", "cancel"): payments.cancel_intent,
    ("invoices", "finalize"): billing.finalize_invoice,
    ("invoices", "pay"): billing.pay_invoice,
    ("invoices", "attach_payment"): invoice_payments.attach_payment,
    ("invoices", "void"): billing.void_invoice,
}
END: Mapping[str, Acts] = {
    "customers": customers.delete_customer,
    "subscriptions": billing.cancel_subscription,
}
# By which members a list can be narrowed, and which kind it is of.
LISTS: Mapping[str, tuple[str, Sequence[str]]] = {
    "customers": ("customer", ("email",)),
    "products": ("product", ("active",)),
    "prices": ("price", ("active", "product", "currency", "type")),
    "payment_intents": ("payment_intent", ("customer",)),
    "refunds": ("refund", ("payment_intent", "charge")),
    "charges": ("charge", ("customer", "payment_intent")),
    "invoices": ("invoice", ("customer", "status", "collection_method")),
    "invoice_payments": ("invoice_payment", ("invoice", "status")),
    "subscriptions": ("subscription", ("customer", "collection_method")),
    "events": ("event", ("type",)),
}

# What a restricted key can be allowed, by the resource of a URL: stripe-cli and what Stripe's
# errors name confirm customer, charge, subscription, payment_method and plan. Unverified: that
# refunds go with charges, as the dashboard has it, and parts of invoices with invoices.
PERMISSIONS: Mapping[str, str] = {
    "customers": "customer",
    "payment_methods": "payment_method",
    "products": "product",
    "prices": "plan",
    "payment_intents": "payment_intent",
    "charges": "charge",
    "refunds": "charge",
    "invoices": "invoice",
    "invoiceitems": "invoice",
    "invoice_payments": "invoice",
    "subscriptions": "subscription",
    "events": "event",
}


class StripeSandbox:
    """One account and its API."""

    unlimited_paths: frozenset[str] = frozenset()

    def __init__(self, state: State, api_key: str, clock: Callable[[], float] = time.time) -> None:
        self.state = state
        self.webhooks = Webhooks(self._sign)
        self.permissions = Permissions(PERMISSIONS.values())
        self._account = Account(state, self.webhooks, clock)
        self._keys = Keys(state)
        self._api_keys = [api_key]
        self._recent: deque[float] = deque(maxlen=REQUESTS_PER_SECOND)
        self.app = Starlette(
            routes=[Route("/v1/{path:path}", self._answer, methods=["GET", "POST", "DELETE"])]
        )

    def seed(self, company: Company) -> None:
        seed(self._account, company)

    def throttled(self, retry_after_seconds: float | None) -> Response:
        # Stripe does not say how long; a test may make it.
        headers = {"stripe-rate-limited-reason": "global-rate"}
        if retry_after_seconds is not None:
            headers["retry-after"] = f"{retry_after_seconds:g}"
        error = StripeError(
            429, "invalid_request_error", "Request rate limit exceeded.", code="rate_limit"
        )
        return self._refusal(error, headers)

    def unavailable(self) -> Response:
        error = StripeError(503, "api_error", "Stripe is temporarily unavailable.")
        return self._refusal(error, {"stripe-should-retry": "true"})

    def revoke_tokens(self) -> None:
        # Keys do not end in Stripe; a rolled one is refused.
        self._api_keys.clear()

    def _sign(self, secret: str, body: bytes) -> Mapping[str, str]:
        now = self._account.now()
        signature = hex_hmac_sha256(secret, f"{now}.".encode() + body)
        return {"stripe-signature": f"t={now},v1={signature}"}

    async def _answer(self, request: Request) -> Response:
        body = await request.body()
        try:
            self._check_key(request)
            if self._is_over_limit():
                return self.throttled(None)
            self._check_permission(request)
            return self._once(request, body)
        except StripeError as error:
            return self._refusal(error)

    def _once(self, request: Request, body: bytes) -> Response:
        """Answer a request, a repeated one as before."""
        key, method = request.headers.get("idempotency-key", ""), request.method
        if not key or method != "POST":
            return self._response(*self._carry_out(request, body))
        target, now = request.url.path, self._account.now()
        kept = self._keys.find(key, method, target, body, now)
        if kept is not None:
            return self._response(kept["status"], kept["body"], {"idempotent-replayed": "true"})
        status, text = self._carry_out(request, body)
        self._keys.keep(key, method, target, body, now, status, text)
        return self._response(status, text)

    def _carry_out(self, request: Request, body: bytes) -> tuple[int, str]:
        try:
            query = body.decode() if request.method == "POST" else request.url.query
            parameters = Parameters(decode(query))
            parts = request.path_params["path"].strip("/").split("/")
            found = self._dispatch(request.method, parts, parameters)
            answer = expand(self._account, found, parameters)
        except StripeError as error:
            return error.status, orjson.dumps({"error": error.error}).decode()
        return 200, orjson.dumps(_shown(answer)).decode()

    def _dispatch(self, method: str, parts: list[str], parameters: Parameters) -> Any:
        found = None
        if method == "POST":
            found = self._write(parts, parameters)
        elif method == "GET":
            found = self._read(parts, parameters)
        elif len(parts) == 2 and parts[0] in END:
            found = END[parts[0]](self._account, parts[1], parameters)
        if found is None:
            message = f"Unrecognized request URL ({method}: /v1/{'/'.join(parts)})."
            raise StripeError(404, "invalid_request_error", message)
        return found

    def _write(self, parts: list[str], parameters: Parameters) -> Record | None:
        match parts:
            case [name] if name in CREATE:
                return CREATE[name][1](self._account, parameters)
            case [name, record_id] if name in UPDATE:
                return UPDATE[name](self._account, record_id, parameters)
            case [name, record_id, action] if (name, action) in ACT:
                return ACT[name, action](self._account, record_id, parameters)
        return None

    def _read(self, parts: list[str], parameters: Parameters) -> Record | None:
        match parts:
            case ["balance"]:
                return {"object": "balance", "livemode": False, "available": [], "pending": []}
            case [name] if name in LISTS:
                return self._list(name, parameters)
            case [name, "search"] if name in LISTS:
                return search(f"/v1/{name}/search", self._newest_first(name), parameters)
            case ["invoices", record_id, "lines"]:
                lines = self._account.find("invoice", record_id)["all_lines"]
                return list_page(f"/v1/invoices/{record_id}/lines", lines, parameters)
            case [name, record_id] if name in LISTS or name in CREATE:
                kind = LISTS[name][0] if name in LISTS else CREATE[name][0]
                return self._account.find(kind, record_id)
        return None

    def _newest_first(self, name: str) -> list[Record]:
        kept = self._account.table(LISTS[name][0]).values()
        return [record for record in reversed(kept) if not record.get("deleted")]

    def _list(self, name: str, parameters: Parameters) -> dict[str, Any]:
        narrowing = LISTS[name][1]
        parameters.only((*PAGING, *narrowing, "lookup_keys", "status", "types", "ids", "payment"))
        records = self._newest_first(name)
        if name == "invoice_payments" and parameters.has("payment"):
            records = invoice_payments.of_payment(records, parameters.group("payment"))
        for member in narrowing:
            if parameters.has(member):
                wanted = parameters.text(member)
                records = [record for record in records if _text(record.get(member)) == wanted]
        if name == "subscriptions" and parameters.text("status") != "all":
            wanted = parameters.text("status")
            records = [
                record
                for record in records
                if (record["status"] == wanted if wanted else record["status"] != "canceled")
            ]
        for parameter, member in (("lookup_keys", "lookup_key"), ("types", "type"), ("ids", "id")):
            if texts := parameters.texts(parameter):
                records = [record for record in records if record.get(member) in texts]
        return list_page(f"/v1/{name}", records, parameters)

    def _check_key(self, request: Request) -> None:
        """Let in who has the key, as a bearer token or as the user of HTTP Basic."""
        scheme, _, value = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() == "basic":
            try:
                value = b64decode(value).decode().partition(":")[0]
            except ValueError:
                value = ""
        if not any(hmac.compare_digest(value.encode(), key.encode()) for key in self._api_keys):
            hint = f"Invalid API Key provided: {value[:8]}***" if value else "No API key provided."
            raise StripeError(401, "invalid_request_error", hint)

    def _check_permission(self, request: Request) -> None:
        """Let a restricted key do what it is allowed; who may write may also read."""
        name = PERMISSIONS.get(request.path_params["path"].partition("/")[0], "")
        if request.method == "GET" and not self.permissions.may_read(name):
            raise not_permitted(f"{name}_read")
        if request.method != "GET" and not self.permissions.may_write(name):
            raise not_permitted(f"{name}_write")

    def _is_over_limit(self) -> bool:
        now = time.monotonic()
        full = len(self._recent) == REQUESTS_PER_SECOND
        if full and now - self._recent[0] < 1.0:
            return True
        self._recent.append(now)
        return False

    def _refusal(self, error: StripeError, headers: Mapping[str, str] | None = None) -> Response:
        body = orjson.dumps({"error": error.error}).decode()
        return self._response(error.status, body, headers or {})

    def _response(
        self, status: int, body: str, headers: Mapping[str, str] | None = None
    ) -> Response:
        number = self.state.next_number("request")
        fields = {
            "request-id": f"req_Sandbox{number:08d}",
            "stripe-version": API_VERSION,
            **(headers or {}),
        }
        return Response(body, status, fields, "application/json")


def _shown(answer: Any) -> Any:
    """Return an answer without what the sandbox keeps for itself."""
    if isinstance(answer, list):
        return [_shown(entry) for entry in answer]
    if not isinstance(answer, dict):
        return answer
    hidden = {"all_lines", "behaviour", "due_days"}
    return {name: _shown(value) for name, value in answer.items() if name not in hidden}


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)

"""The second story of `portico demo`: a subscription is billed although the books were down."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from time import monotonic
from typing import Any, TypeVar
from urllib.parse import quote
from uuid import uuid4

import httpx

from gateway.cli.telling import Teller
from gateway.config import API, Client, Config
from gateway.config.durable import Door
from gateway.embedded import Embedded
from portico.sandbox.faults import Faults
from portico.sandbox.webhooks import Endpoint

T = TypeVar("T")

CLIENT, DOOR = "demo", "demo"
PROCESS = "process/order-to-cash.v1"
SYSTEMS = ("stripe", "quickbooks", "salesforce")
RETRY_SECONDS = 1.5
WEBHOOK_SECRET = "generated:demo-webhooks"  # noqa: S105  # a reference
_SCOPES = ["order-to-cash:read", "operations:read", "operations:write"]
_SCOPES += [f"{name}:{verb}" for name in SYSTEMS for verb in ("read", "write")]
_RUNS = "/process/order-to-cash/v1/runs"
_LETTERS = "/experience/operations/v1/dead-letters"
_CUSTOMER, _SKU = "C-1001", "BEANS-ETH-1KG"
_PATIENCE_SECONDS = 60.0


def is_possible(config: Config) -> bool:
    """Tell whether the three systems are sandboxes of this process, free to be broken."""
    names = [PROCESS, *(f"system/{name}.v1" for name in SYSTEMS)]
    return config.embedded.sandboxes and not any(name in config.apis for name in names)


def prepared(config: Config) -> Config:
    """Return the configuration with what only this story needs; nothing of it is written."""
    apis = {f"system/{name}.v1": API(exposed=True) for name in SYSTEMS}
    process = {PROCESS: API(settings={"retry_seconds": RETRY_SECONDS, "poll": ""})}
    client = Client(secret=f"generated:{CLIENT}", scopes=_SCOPES)
    door = Door(vendor="stripe", secrets=[WEBHOOK_SECRET], workflow="order-to-cash.v1")
    doors = {**config.webhooks.doors, DOOR: door}
    return config.model_copy(
        update={
            "apis": {**config.apis, **apis, **process},
            "clients": {**config.clients, CLIENT: client},
            "webhooks": config.webhooks.model_copy(update={"doors": doors}),
            "alerts": config.alerts.model_copy(update={"look_seconds": 0.5}),
        }
    )


async def _eventually(attempt: Callable[[], Awaitable[T | None]], failure: str) -> T:
    """Return the first thing an attempt finds; raises RuntimeError where it takes too long."""
    until = monotonic() + _PATIENCE_SECONDS
    while monotonic() < until:
        if found := await attempt():
            return found
        await asyncio.sleep(0.2)
    raise RuntimeError(failure)


class OutageStory:
    """QuickBooks is down when a customer subscribes."""

    def __init__(
        self, http: httpx.AsyncClient, teller: Teller, embedded: Embedded, webhook_secret: str
    ) -> None:
        self._http = http
        self._teller = teller
        self._systems = embedded.sandboxes
        self._webhook_secret = webhook_secret

    async def tell(self, client_secret: str) -> None:
        """Raises RuntimeError where it does not go as told."""
        await self._sign_in(client_secret)
        await self._prepare()
        books = self._systems["quickbooks"].faulty
        books.set(Faults(unavailable_seconds=3600))
        self._teller.say("QuickBooks goes down: its sandbox answers 503 from now on.")
        subscription = await self._subscribe()
        path = await self._run_of(subscription["id"])
        await self._dies(path)
        letter = await self._letter(path)
        books.set(Faults())
        self._teller.say("QuickBooks is repaired.")
        await self._replay(letter)
        await self._is_billed_once(path)

    async def _sign_in(self, secret: str) -> None:
        answer = await self._http.post(
            "/oauth2/token", auth=(CLIENT, secret), data={"grant_type": "client_credentials"}
        )
        token = answer.raise_for_status().json()["access_token"]
        self._http.headers["authorization"] = f"Bearer {token}"

    async def _prepare(self) -> None:
        """Have a product to subscribe to, an opportunity to win, and Stripe's webhooks come."""
        webhooks = self._systems["stripe"].sandbox.webhooks
        if webhooks is None:
            raise RuntimeError("the sandbox of Stripe sends no webhooks")
        url = f"{str(self._http.base_url).rstrip('/')}/webhooks/{DOOR}"
        webhooks.endpoints.append(Endpoint(url=url, secret=self._webhook_secret))
        price = {"amount": "27.40", "currency": "EUR"}
        product = {"name": "Ethiopia washed", "unitPrice": price, "billedEvery": "month"}
        await self._put(f"/system/stripe/v1/products/{_SKU}", product)
        account = await self._first("/system/salesforce/v1/customers", externalKey=_CUSTOMER)
        for other in await self._items("/system/salesforce/v1/opportunities"):
            if other.get("customerId") == account["id"] and other["status"] == "open":
                return
        opportunity = {
            "name": "Beans every month",
            "customerId": account["id"],
            "stage": "Qualification",
            "closeDate": datetime.now(UTC).date().isoformat(),
        }
        await self._put(
            f"/system/salesforce/v1/opportunities/by-key/demo-{uuid4().hex[:8]}", opportunity
        )

    async def _subscribe(self) -> Mapping[str, Any]:
        customer = await self._first("/system/stripe/v1/customers", externalKey=_CUSTOMER)
        body = {
            "customerId": customer["id"],
            "items": [{"sku": _SKU, "quantity": 2}],
            "daysUntilDue": 30,
        }
        answer = await self._put(f"/system/stripe/v1/subscriptions/by-key/{uuid4().hex}", body)
        self._teller.show(
            "A customer subscribes to two bags of beans a month, in Stripe. Stripe's signed "
            "webhook starts order-to-cash.",
            answer,
            201,
            brief=True,
        )
        found: Mapping[str, Any] = answer.json()
        return found

    async def _run_of(self, subscription_id: str) -> str:
        """Return the path of the run that the webhook of a subscription started."""

        async def find() -> str:
            for event in await self._items("/system/stripe/v1/events"):
                path = f"{_RUNS}/webhook:{DOOR}:{event['id']}"
                answer = await self._http.get(path)
                if answer.is_success and answer.json().get("subscriptionId") == subscription_id:
                    return path
            return ""

        return await _eventually(find, "the webhook of the subscription started no run")

    async def _dies(self, path: str) -> None:
        self._teller.say(
            f"The opportunity is won at the same time as the books are tried: once and three "
            f"times more, {RETRY_SECONDS:g} seconds apart here and five minutes by default. The "
            f"waits are in the journal and would survive a crash. This takes a moment …"
        )
        await self._until(path, "dead")
        self._teller.show(
            "It gave up, and says at what. The CRM did not wait for the books.",
            await self._http.get(path),
            200,
            lines=40,
        )

    async def _letter(self, path: str) -> str:
        run_id = path.rpartition("/")[2]

        async def find() -> str:
            letters = await self._items(_LETTERS, kind="workflow", limit=100)
            known = {letter["id"] for letter in letters}
            return f"workflow:{run_id}" if f"workflow:{run_id}" in known else ""

        letter = await _eventually(find, "the run is no dead letter")
        # An alert is an incident's, which is looked for twice a second here.
        await asyncio.sleep(1.5)
        self._teller.show(
            "It is a dead letter now. The alert went to the log, once for the incident, with "
            "the command that replays it: `portico dlq replay --incident …`. Slack, e-mail and "
            "a signed webhook are settings.",
            await self._http.get(f"{_LETTERS}/{quote(letter, safe='')}"),
            200,
            brief=True,
        )
        return letter

    async def _replay(self, letter: str) -> None:
        answer = await self._http.post(
            f"{_LETTERS}/{quote(letter, safe='')}/replay",
            headers={"idempotency-key": uuid4().hex},
        )
        self._teller.show("An operator has it done again, which is on record.", answer, 202)

    async def _is_billed_once(self, path: str) -> None:
        run = await self._until(path, "done")
        number = run["invoice"]["number"]
        self._teller.show(
            "The run goes on where it ended.", await self._http.get(path), 200, lines=5
        )
        invoices = await self._items("/system/quickbooks/v1/invoices", limit=100)
        count = sum(invoice.get("number") == number for invoice in invoices)
        if count != 1:
            raise RuntimeError(f"there are {count} invoices {number}")
        answer = await self._http.get(f"/system/quickbooks/v1/invoices/{run['invoice']['id']}")
        self._teller.show("There is one invoice in QuickBooks, and only one.", answer, 200)

    async def _until(self, path: str, phase: str) -> Mapping[str, Any]:
        async def find() -> Mapping[str, Any] | None:
            run: Mapping[str, Any] = (await self._http.get(path)).raise_for_status().json()
            return run if run["phase"] == phase else None

        return await _eventually(find, f"the run is not {phase}")

    async def _put(self, path: str, body: Mapping[str, Any]) -> httpx.Response:
        headers = {"idempotency-key": uuid4().hex}
        answer = await self._http.put(path, json=body, headers=headers)
        if not answer.is_success:
            raise RuntimeError(f"PUT {path} answered {answer.status_code}: {answer.text}")
        return answer

    async def _items(self, path: str, **query: Any) -> list[dict[str, Any]]:
        answer = await self._http.get(path, params=query)
        if not answer.is_success:
            raise RuntimeError(f"GET {path} answered {answer.status_code}: {answer.text}")
        found: list[dict[str, Any]] = answer.json()["items"]
        return found

    async def _first(self, path: str, **query: Any) -> Mapping[str, Any]:
        found = await self._items(path, **query)
        if not found:
            raise RuntimeError(f"{path} has no customer {_CUSTOMER}")
        return found[0]

"""`portico demo`: two stories, told with the answers they got."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from gateway.cli.announce import ORDER, SHOP
from gateway.cli.configuration import read_config
from gateway.cli.outage_story import CLIENT, WEBHOOK_SECRET, OutageStory, is_possible, prepared
from gateway.cli.output import FINDINGS, CannotRunError
from gateway.cli.serve import Server, with_address
from gateway.cli.telling import Teller
from gateway.config import Config
from gateway.embedded import TRYTON, Embedded

_TIMEOUT_SECONDS = 30.0


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--port", type=int, help="the port to listen on (default: a free one)")


def run(options: argparse.Namespace) -> int:
    config = with_address(read_config(options.config), None, options.port or 0)
    if SHOP not in config.clients:
        raise CannotRunError(
            f"the demo needs the client {SHOP}",
            "the configuration in use does not have it",
            "run the demo where there is no portico.yaml, or add the client",
        )
    breakable = is_possible(config)
    config = config.model_copy(update={"access_log": "off"})
    return _Demo(prepared(config) if breakable else config, breakable=breakable).run()


class _Demo(Server):
    """A server that plays a shop against itself, and stops."""

    def __init__(self, config: Config, *, breakable: bool) -> None:
        super().__init__(config, [])
        self._breakable = breakable
        self._embedded = Embedded(settings={}, sandboxes={})
        self._story: asyncio.Task[None] | None = None

    def run(self) -> int:
        code = super().run()
        if code == 0 and self._story is not None and self._story.done():
            failure = None if self._story.cancelled() else self._story.exception()
            if failure is None:
                return 0
            raise CannotRunError("the demo did not go as told", str(failure), "look at the answer")
        return code or FINDINGS

    def started(self, embedded: Embedded) -> None:
        self._embedded = embedded

    def ready(self) -> None:
        print(f"\nPortico runs at {self.url}, its portal at {self.url}/portal/\n", flush=True)
        self._story = asyncio.get_running_loop().create_task(self._tell())
        self._story.add_done_callback(lambda _: os.kill(os.getpid(), signal.SIGTERM))

    async def _tell(self) -> None:
        secrets, clients, teller = self.gateway.secrets, self.config.clients, Teller()
        async with httpx.AsyncClient(
            base_url=self.url, timeout=_TIMEOUT_SECONDS, trust_env=False
        ) as http:
            erp = self._embedded.settings.get(TRYTON, {})
            secret = secrets.resolve(clients[SHOP].secret, SHOP)
            await _OrderStory(http, teller, secret, erp).tell()
            if self._breakable:
                story = OutageStory(
                    http, teller, self._embedded, secrets.resolve(WEBHOOK_SECRET, CLIENT)
                )
                await story.tell(secrets.resolve(clients[CLIENT].secret, CLIENT))
        print("That is all. `make run` starts the same network for you to try.", flush=True)


class _OrderStory:
    def __init__(
        self, http: httpx.AsyncClient, teller: Teller, secret: str, erp: Mapping[str, Any]
    ) -> None:
        self._http = http
        self._teller = teller
        self._secret = secret
        self._erp = erp

    async def tell(self) -> None:
        """Place an order as a web shop would, and look at what became of it."""
        await self._without_a_token()
        await self._get_token()
        await self._browse()
        await self._wrong_order()
        order = await self._order()
        await self._order_again(order)
        await self._follow(order)
        if self._erp:
            await self._look_into_the_erp(order)

    async def _without_a_token(self) -> None:
        answer = await self._http.get("/experience/storefront/v1/products")
        self._teller.show(
            "Nobody gets in without credentials: every operation's contract says which scopes it "
            "needs, and the answer is a problem (RFC 9457) whose type is a page.",
            answer,
            401,
        )

    async def _get_token(self) -> None:
        answer = await self._http.post(
            "/oauth2/token", auth=(SHOP, self._secret), data={"grant_type": "client_credentials"}
        )
        token = answer.json().get("access_token", "")
        self._http.headers["authorization"] = f"Bearer {token}"
        self._teller.show(
            f"The client {SHOP} gets an access token for ten minutes.", answer, 200, hide=token
        )

    async def _browse(self) -> None:
        answer = await self._http.get("/experience/storefront/v1/products", params={"limit": 2})
        self._teller.show(
            "Products with availability. The storefront asked the catalog and the inventory API, "
            "and those asked the ERP: three tiers, no network in between.",
            answer,
            200,
        )

    async def _wrong_order(self) -> None:
        answer = await self._http.post(
            "/experience/storefront/v1/orders",
            json={"customerId": "C-1001", "items": [{"sku": "GRINDER-M1", "quantity": 0}]},
            headers={"idempotency-key": "demo-wrong"},
        )
        self._teller.show("What the contract does not allow never reaches a handler.", answer, 422)

    async def _order(self) -> httpx.Response:
        answer = await self._place()
        self._teller.show(
            "An order. The process API resolved customer and prices, created the sale in the ERP "
            "and confirmed it.",
            answer,
            201,
        )
        return answer

    async def _order_again(self, first: httpx.Response) -> None:
        answer = await self._place()
        same = answer.json().get("id") == first.json().get("id")
        self._teller.show(
            "The same request again, as after a lost answer: its Idempotency-Key leads to the "
            "same sale, all the way down.",
            answer,
            201,
            brief=True,
        )
        if not same:
            raise RuntimeError("the repeated order made a second sale")

    async def _place(self) -> httpx.Response:
        return await self._http.post(
            "/experience/storefront/v1/orders",
            content=ORDER,
            headers={"content-type": "application/json", "idempotency-key": "demo-order"},
        )

    async def _follow(self, order: httpx.Response) -> None:
        answer = await self._http.get(order.headers["location"])
        self._teller.show("Its Location follows the order.", answer, 200, brief=True)

    async def _look_into_the_erp(self, order: httpx.Response) -> None:
        key = self._key()
        answer = await self._http.get(
            f"{self._erp['base_url']}/rest/model/sale.sale/{order.json()['id']}",
            params=[("f", "number"), ("f", "state"), ("f", "reference"), ("f", "party.name")],
            headers={"authorization": f"bearer {key}"},
        )
        self._teller.show("The sale as Tryton itself shows it, over its own protocol.", answer, 200)

    def _key(self) -> str:
        return Path(str(self._erp["key"]).removeprefix("file:")).read_text().strip()

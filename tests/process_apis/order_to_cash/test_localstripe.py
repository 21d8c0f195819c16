"""Webhooks that localstripe signs and sends, which others wrote: through the door, into a run.

What localstripe says of a subscription is of the time before prices: its items have a plan. One
with tiers has no price of a piece, so it is billed by the lines of the invoice.
"""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from gateway.config import Config
from tests.process_apis.order_to_cash.conftest import (
    APIS,
    BOOKS,
    RUNS,
    SCOPES,
    SECRET,
    settings,
    systems,
)
from tests.support.serving import Served, eventually, free_port, serving
from tests.system_apis.stripe.test_localstripe import PROGRAM

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEY = "sk_test_12345"  # localstripe wants keys to look like one
# It waits for a second before it sends.
SENT_SECONDS = 15.0
SKU = "BEANS-ETH-1KG"
# What is said of a plan, and what a line of the invoice then costs. In tiers, a bag
# costs less where there are more than two of them.
PLANS = {
    "by the piece": ({"amount": "2740"}, "27.40"),
    "in tiers": (
        {
            "billing_scheme": "tiered",
            "tiers_mode": "volume",
            "tiers[0][up_to]": "2",
            "tiers[0][unit_amount]": "3000",
            "tiers[0][flat_amount]": "0",
            "tiers[1][up_to]": "inf",
            "tiers[1][unit_amount]": "2740",
            "tiers[1][flat_amount]": "0",
        },
        "82.20",
    ),
}


@pytest.fixture(scope="module")
def localstripe() -> Iterator[httpx.Client]:
    url = f"http://127.0.0.1:{free_port()}"
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", PROGRAM, url.rpartition(":")[2]],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        with httpx.Client(
            base_url=url, auth=(KEY, ""), transport=httpx.HTTPTransport(retries=8)
        ) as http:
            http.get("/v1/customers")
            yield http
        process.terminate()


@pytest.fixture(scope="module")
def served(localstripe: httpx.Client, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder: Path = tmp_path_factory.mktemp("localstripe")
    with systems() as running:
        chosen = settings(folder, running)
        (folder / "key").write_text(KEY)
        stripe = chosen["apis"]["system/stripe.v1"]["settings"]
        stripe.update(base_url=str(localstripe.base_url), api_key=f"file:{folder / 'key'}")
        with serving(Config.model_validate(chosen), only=APIS, port=free_port()) as gateway:
            yield gateway


def register(localstripe: httpx.Client, served: Served, secret: str) -> None:
    made = localstripe.post(
        "/_config/webhooks/door", json={"url": f"{served.url}/webhooks/stripe", "secret": secret}
    )
    assert made.is_success, made.text


def subscribe(localstripe: httpx.Client, **plan: str) -> str:
    """Subscribe a customer that the other systems know to three bags of beans a month."""

    def post(path: str, **values: Any) -> Any:
        made = localstripe.post(path, data=values)
        assert made.is_success, made.text
        return made.json()

    if localstripe.get(f"/v1/products/{SKU}").status_code == 404:
        post("/v1/products", id=SKU, name="Ethiopia washed")
    made = post("/v1/plans", product=SKU, currency="eur", interval="month", **plan)
    method = post(
        "/v1/payment_methods",
        type="card",
        **{
            "card[number]": "4242424242424242",
            "card[exp_month]": "12",
            "card[exp_year]": "34",
            "card[cvc]": "123",
        },
    )
    known = {"metadata[external_key]": "C-1001"}
    customer = post("/v1/customers", name="Harbour Street Coffee", **known)
    post(f"/v1/payment_methods/{method['id']}/attach", customer=customer["id"])
    default = {"invoice_settings[default_payment_method]": method["id"]}
    post(f"/v1/customers/{customer['id']}", **default)
    wanted = {"items[0][plan]": made["id"], "items[0][quantity]": "3"}
    return str(post("/v1/subscriptions", customer=customer["id"], **wanted)["id"])


def ask(served: Served, path: str) -> Any:
    answer = served.request("GET", path, token=served.token(*SCOPES))
    assert answer.is_success, answer.text
    return answer.json()


def runs(localstripe: httpx.Client, served: Served) -> dict[str, Any]:
    """Return the runs that localstripe's events started, by their subscriptions."""
    asked = {"type": "customer.subscription.created", "limit": "100"}
    events = localstripe.get("/v1/events", params=asked).json()["data"]
    found = {}
    for event in events:
        path = f"{RUNS}/webhook:stripe:{event['id']}"
        answer = served.request("GET", path, token=served.token(*SCOPES))
        if answer.is_success:
            found[event["data"]["object"]["id"]] = answer.json()
    return found


@pytest.mark.parametrize("plan", PLANS)
def test_a_subscription_that_localstripe_sends_signed_is_billed(
    plan: str, localstripe: httpx.Client, served: Served
) -> None:
    register(localstripe, served, SECRET)
    values, price = PLANS[plan]
    subscription_id = subscribe(localstripe, **values)

    def is_over() -> bool:
        run = runs(localstripe, served).get(subscription_id, {})
        return bool(run.get("phase", "running") != "running")

    assert eventually(is_over, SENT_SECONDS), runs(localstripe, served)
    run = runs(localstripe, served)[subscription_id]
    assert run["phase"] == "done", run
    (invoice,) = [
        each for each in ask(served, BOOKS)["items"] if each["number"] == run["invoice"]["number"]
    ]
    (line,) = invoice["lines"]
    assert line["sku"] == SKU
    assert line["unitPrice"]["amount"] == price
    assert invoice["totals"]["net"]["amount"] == "82.20"


def test_what_localstripe_signs_with_another_secret_becomes_nothing(
    localstripe: httpx.Client, served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    before = len(runs(localstripe, served))
    register(localstripe, served, "another-secret-of-the-tests")
    subscribe(localstripe, **PLANS["by the piece"][0])

    assert eventually(lambda: "was refused" in caplog.text, SENT_SECONDS)
    assert len(runs(localstripe, served)) == before

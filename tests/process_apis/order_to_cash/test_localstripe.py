"""Webhooks that localstripe signs and sends, which others wrote: through the door, into a run.

What localstripe says of a subscription is of the time before prices: its items have a plan and no
price. So a run reads subscription and customer back, enters the customer in the books, and finds
nothing to bill: a dead letter. That a whole run works is shown with the sandbox.
"""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import httpx
import pytest

from gateway.config import Config
from tests.process_apis.order_to_cash.conftest import APIS, RUNS, SCOPES, SECRET, settings, systems
from tests.support.serving import Served, eventually, free_port, serving
from tests.system_apis.stripe.test_localstripe import PROGRAM

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

KEY = "sk_test_12345"  # localstripe wants keys to look like one
# It waits for a second before it sends.
SENT_SECONDS = 15.0


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


def subscribe(localstripe: httpx.Client) -> str:
    def post(path: str, **values: Any) -> Any:
        made = localstripe.post(path, data=values)
        assert made.is_success, made.text
        return made.json()

    plan = post(
        "/v1/plans",
        id=f"BEANS-{uuid4().hex[:8]}",
        amount="2740",
        currency="eur",
        interval="month",
        **{"product[name]": "Ethiopia washed"},
    )
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
    customer = post("/v1/customers", name="Harbour Street Coffee")
    post(f"/v1/payment_methods/{method['id']}/attach", customer=customer["id"])
    default = {"invoice_settings[default_payment_method]": method["id"]}
    post(f"/v1/customers/{customer['id']}", **default)
    made = post("/v1/subscriptions", customer=customer["id"], **{"items[0][plan]": plan["id"]})
    return str(made["id"])


def letters(served: Served) -> list[dict[str, Any]]:
    path = "/experience/operations/v1/dead-letters"
    found: list[dict[str, Any]] = served.request("GET", path, token=served.token(*SCOPES)).json()[
        "items"
    ]
    return found


def test_a_subscription_that_localstripe_sends_signed_becomes_a_run(
    localstripe: httpx.Client, served: Served
) -> None:
    register(localstripe, served, SECRET)
    subscription_id = subscribe(localstripe)

    def runs() -> list[Any]:
        return [letter for letter in letters(served) if letter["name"] == "order-to-cash.v1"]

    assert eventually(runs, SENT_SECONDS)
    (letter,) = runs()
    run_id = letter["id"].removeprefix("workflow:")
    answer = served.request("GET", f"{RUNS}/{run_id}", token=served.token(*SCOPES))

    assert run_id.startswith("webhook:stripe:evt_"), "named after the event of localstripe"
    run = answer.json()
    assert run["subscriptionId"] == subscription_id
    assert [(step["step"], step["failed"]) for step in run["steps"]] == [
        ("read the subscription", False),
        ("read the customer", False),
        ("find the account", False),
        ("enter the customer in the books", False),
    ]


def test_what_localstripe_signs_with_another_secret_becomes_nothing(
    localstripe: httpx.Client, served: Served, caplog: pytest.LogCaptureFixture
) -> None:
    before = len(letters(served))
    register(localstripe, served, "another-secret-of-the-tests")
    subscribe(localstripe)

    assert eventually(lambda: "was refused" in caplog.text, SENT_SECONDS)
    assert len(letters(served)) == before

"""The connector on localstripe, a stand-in for Stripe that others wrote, for what it has.

It has customers and payment intents. It ignores idempotency keys, has no search, and answers some
errors as plain text.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from portico.connectors.failures import MissingError
from portico.connectors.messages import Job
from portico.deadline import Deadline
from system_apis.stripe import billing_mapping, mapping
from system_apis.stripe.connector import Stripe
from tests.support.serving import free_port
from tests.system_apis.stripe.conftest import open_stripe

pytestmark = pytest.mark.anyio

# Its own command listens on every network.
PROGRAM = """
import sys
from aiohttp import web
from localstripe.server import app
web.run_app(app, host="127.0.0.1", port=int(sys.argv[1]), print=None)
"""


@pytest.fixture(scope="module")
def localstripe() -> Iterator[str]:
    url = f"http://127.0.0.1:{free_port()}"
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", PROGRAM, url.rpartition(":")[2]],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as process:
        with httpx.Client(transport=httpx.HTTPTransport(retries=8)) as http:
            http.get(f"{url}/v1/customers")
        yield url
        process.terminate()


@pytest.fixture
async def stripe(localstripe: str, tmp_path: Path, anyio_backend: str) -> AsyncIterator[Stripe]:
    del anyio_backend
    async with open_stripe(localstripe, tmp_path / "references.sqlite") as (opened, _):
        yield opened


def job() -> Job:
    return Job(deadline=Deadline.after(10))


async def test_customers_are_written_read_and_listed(stripe: Stripe) -> None:
    values = mapping.customer_values(
        {"name": "Harbour Street Coffee", "email": "orders@harbour-street.example"}
    )
    made = await stripe.post("customers", {**values, "metadata": {"external_key": "C-1"}}, job())
    read = await stripe.get(f"customers/{made.text('id')}", job())
    page = await stripe.page("customers", job(), limit=1, after=None)

    customer = mapping.customer(read, "acct_local")
    assert customer["name"] == "Harbour Street Coffee"
    assert customer["extensions"]["stripe"]["externalKey"] == "C-1"
    assert page.records[0].text("id") == made.text("id")


async def test_a_payment_intent_is_charged(stripe: Stripe) -> None:
    customer = await stripe.post("customers", {"name": "A"}, job())
    method = await stripe.post(
        "payment_methods",
        {
            "type": "card",
            "card": {"number": "4242424242424242", "exp_month": 12, "exp_year": 34, "cvc": 123},
        },
        job(),
    )
    attach = f"payment_methods/{method.text('id')}/attach"
    await stripe.post(attach, {"customer": customer.text("id")}, job())
    intent = await stripe.post(
        "payment_intents",
        {
            "amount": 5000,
            "currency": "eur",
            "customer": customer.text("id"),
            "payment_method": method.text("id"),
            "confirm": True,
        },
        job(),
    )
    payment = billing_mapping.payment(intent, "acct_local")

    assert payment["customerId"] == customer.text("id")
    assert payment["amount"] == {"amount": "50.00", "currency": "EUR"}


async def test_what_is_not_there_is_missing(stripe: Stripe) -> None:
    with pytest.raises(MissingError):
        await stripe.get("customers/cus_none", job())

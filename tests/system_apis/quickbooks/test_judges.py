"""The libraries that others wrote for QuickBooks take the sandbox for QuickBooks."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from portico.sandbox.faults import Faults
from portico.sandbox.running import Running, serve_on_loopback
from portico.sandbox.webhooks import Endpoint
from portico.webhooks.received import WebhookRefusedError
from portico.webhooks.vendors import VENDORS
from system_apis.quickbooks.sandbox.server import CLIENT_ID, REALM_ID, SCOPE
from tests.system_apis.quickbooks.conftest import secret

if TYPE_CHECKING:
    from quickbooks import QuickBooks

T = TypeVar("T")

pytestmark = [
    pytest.mark.anyio,
    # The libraries' own sessions are closed by nobody.
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.fixture(autouse=True)
def plain_http() -> Iterator[None]:
    # The OAuth library refuses http, also on loopback, unless it is told.
    os.environ["OAUTHLIB_INSECURE_TRANSPORT"] = "1"
    yield
    del os.environ["OAUTHLIB_INSECURE_TRANSPORT"]


def connect(url: str) -> QuickBooks:
    from intuitlib.client import AuthClient
    from quickbooks import QuickBooks

    class Local(QuickBooks):  # type: ignore[misc]  # it has no types
        api_url_v3 = f"{url}/v3"

    auth = AuthClient(
        client_id=CLIENT_ID,
        client_secret=secret("sandbox-quickbooks"),
        redirect_uri="http://127.0.0.1/callback",
        environment=f"{url}/.well-known/openid_configuration",
    )
    return Local(
        auth_client=auth,
        refresh_token=secret("sandbox-quickbooks-refresh"),
        company_id=REALM_ID,
        minorversion=75,
        use_decimal=True,
    )


async def judged(sandbox: Running, work: Callable[[QuickBooks], T]) -> T:
    """Let a library that blocks do its work on a thread."""
    return await asyncio.to_thread(lambda: work(connect(sandbox.url)))


async def test_records_are_created_changed_and_queried(sandbox: Running) -> None:
    from quickbooks.objects.customer import Customer

    def work(client: QuickBooks) -> list[Any]:
        made = Customer()
        made.DisplayName = "Judge's Court"
        made.save(qb=client)
        again = Customer.get(made.Id, qb=client)
        again.CompanyName = "Court"
        again.save(qb=client)
        found = Customer.filter(DisplayName="Judge's Court", qb=client)
        every = Customer.all(max_results=100, qb=client)
        count = Customer.count(qb=client)
        return [made, Customer.get(made.Id, qb=client), found, every, count]

    made, again, found, every, count = await judged(sandbox, work)

    assert again.SyncToken == "1"
    assert [customer.Id for customer in found] == [made.Id]
    assert len(every) == count == 6


async def test_an_invoice_is_billed_paid_and_voided(sandbox: Running) -> None:
    from quickbooks.objects.base import LinkedTxn, Ref
    from quickbooks.objects.detailline import SalesItemLine, SalesItemLineDetail
    from quickbooks.objects.invoice import Invoice
    from quickbooks.objects.payment import Payment, PaymentLine

    def work(client: QuickBooks) -> list[Any]:
        detail = SalesItemLineDetail()
        detail.ItemRef = Ref()
        detail.ItemRef.value, detail.Qty, detail.UnitPrice = "1", 2, 149
        line = SalesItemLine()
        line.SalesItemLineDetail, line.Amount = detail, 298
        invoice = Invoice()
        invoice.CustomerRef = Ref()
        invoice.CustomerRef.value = "1"
        invoice.Line.append(line)
        invoice.save(qb=client)
        link = LinkedTxn()
        link.TxnId, link.TxnType = invoice.Id, "Invoice"
        part = PaymentLine()
        part.Amount = 100
        part.LinkedTxn.append(link)
        payment = Payment()
        payment.CustomerRef, payment.TotalAmt = invoice.CustomerRef, 100
        payment.Line.append(part)
        payment.save(qb=client)
        owed = Invoice.get(invoice.Id, qb=client)
        balance = owed.Balance
        owed.void(qb=client)
        return [balance, Invoice.get(invoice.Id, qb=client), Payment.get(payment.Id, qb=client)]

    balance, void, payment = await judged(sandbox, work)

    assert balance == 198
    assert (void.TotalAmt, void.Balance) == (0, 0)
    assert "Voided" in void.PrivateNote
    assert (payment.UnappliedAmt, payment.Line) == (100, []), "the customer has it as a credit"


async def test_a_payment_that_is_voided_or_changed_leaves_the_invoice_due(
    sandbox: Running,
) -> None:
    from quickbooks.objects.base import LinkedTxn, Ref
    from quickbooks.objects.invoice import Invoice
    from quickbooks.objects.payment import Payment, PaymentLine

    def work(client: QuickBooks) -> list[Any]:
        invoice = Invoice.get(_billed(client), qb=client)
        balances = []
        payment = Payment()
        payment.CustomerRef = Ref()
        payment.CustomerRef.value = "1"
        for amount in (100, 298):
            link = LinkedTxn()
            link.TxnId, link.TxnType = invoice.Id, "Invoice"
            part = PaymentLine()
            part.Amount = payment.TotalAmt = amount
            part.LinkedTxn, payment.Line = [link], [part]
            payment.save(qb=client)
            payment = Payment.get(payment.Id, qb=client)
            balances.append(Invoice.get(invoice.Id, qb=client).Balance)
        payment.void(qb=client)
        return [*balances, Invoice.get(invoice.Id, qb=client).Balance]

    assert await judged(sandbox, work) == [198, 0, 298]


async def test_a_credit_memo_and_a_refund_receipt_are_made(sandbox: Running) -> None:
    from quickbooks.objects.account import Account
    from quickbooks.objects.base import Ref
    from quickbooks.objects.creditmemo import CreditMemo
    from quickbooks.objects.refundreceipt import RefundReceipt

    def work(client: QuickBooks) -> list[Any]:
        made = []
        for document in (CreditMemo(), RefundReceipt()):
            document.CustomerRef = Ref()
            document.CustomerRef.value = "1"
            document.Line.append(_line())
            if isinstance(document, RefundReceipt):
                (account,) = Account.filter(AccountSubType="UndepositedFunds", qb=client)
                document.DepositToAccountRef = account.to_ref()
            document.save(qb=client)
            made.append(type(document).get(document.Id, qb=client))
        return made

    credit, refund = await judged(sandbox, work)

    assert (credit.TotalAmt, credit.RemainingCredit) == (298, 298)
    assert (refund.TotalAmt, refund.Balance) == (298, 0)


def _line() -> Any:
    from quickbooks.objects.base import Ref
    from quickbooks.objects.detailline import SalesItemLine, SalesItemLineDetail

    detail = SalesItemLineDetail()
    detail.ItemRef = Ref()
    detail.ItemRef.value, detail.Qty, detail.UnitPrice = "1", 2, 149
    line = SalesItemLine()
    line.SalesItemLineDetail, line.Amount = detail, 298
    return line


def _billed(client: QuickBooks) -> str:
    from quickbooks.objects.base import Ref
    from quickbooks.objects.invoice import Invoice

    invoice = Invoice()
    invoice.CustomerRef = Ref()
    invoice.CustomerRef.value = "1"
    invoice.Line.append(_line())
    invoice.save(qb=client)
    return str(invoice.Id)


async def test_faults_become_exceptions_of_the_library(sandbox: Running) -> None:
    from quickbooks import exceptions
    from quickbooks.objects.customer import Customer

    def work(client: QuickBooks) -> None:
        with pytest.raises(exceptions.ObjectNotFoundException):
            Customer.get("99", qb=client)
        twin = Customer()
        twin.DisplayName = "Old Mill Bakery"
        with pytest.raises(exceptions.QuickbooksException) as duplicate:
            twin.save(qb=client)
        assert duplicate.value.error_code == 6240
        first, second = (Customer.get("1", qb=client) for _ in range(2))
        first.Notes = "first"
        first.save(qb=client)
        with pytest.raises(exceptions.QuickbooksException) as stale:
            second.save(qb=client)
        assert stale.value.error_code == 5010
        sandbox.sandbox.revoke_tokens()
        with pytest.raises(exceptions.AuthorizationException):
            Customer.get("1", qb=client)

    await judged(sandbox, work)


async def test_a_lacking_permission_is_an_authorization_exception_of_the_library(
    sandbox: Running,
) -> None:
    from quickbooks import exceptions
    from quickbooks.objects.customer import Customer

    def work(client: QuickBooks) -> None:
        with pytest.raises(exceptions.AuthorizationException) as unread:
            Customer.get("1", qb=client)
        assert unread.value.error_code == 120
        with pytest.raises(exceptions.AuthorizationException):
            Customer.all(qb=client)
        sandbox.faulty.set(Faults(read_only=("Customer",)))
        customer = Customer.get("1", qb=client)
        with pytest.raises(exceptions.AuthorizationException):
            customer.save(qb=client)
        # The library does not look for a fault in lower case, and shows what it got.
        sandbox.faulty.set(Faults(no_access=(SCOPE,)))
        with pytest.raises(exceptions.QuickbooksException, match="'403'.*errorCode=003100"):
            Customer.get("1", qb=client)

    sandbox.faulty.set(Faults(no_access=("Customer",)))
    await judged(sandbox, work)


async def test_a_request_id_makes_one_record(sandbox: Running) -> None:
    from quickbooks.objects.customer import Customer

    def work(client: QuickBooks) -> list[str]:
        made = []
        for _ in range(2):
            customer = Customer()
            customer.DisplayName = "Once"
            customer.save(qb=client, request_id="once-1")
            made.append(customer.Id)
        return made

    first, second = await judged(sandbox, work)
    assert first == second


async def test_batches_and_changes(sandbox: Running) -> None:
    from quickbooks.batch import batch_create
    from quickbooks.cdc import change_data_capture
    from quickbooks.objects.customer import Customer
    from quickbooks.objects.invoice import Invoice

    def work(client: QuickBooks) -> list[Any]:
        customers = []
        for number in range(3):
            customer = Customer()
            customer.DisplayName = f"Batch {number % 2}"
            customers.append(customer)
        results = batch_create(customers, qb=client)
        since = (datetime.now(UTC) - timedelta(minutes=1)).isoformat()
        changes = change_data_capture([Customer, Invoice], since, qb=client)
        return [results, changes]

    results, changes = await judged(sandbox, work)

    assert len(results.successes) == 2
    assert results.faults[0].Error[0].code == "6240"
    assert len(changes.Customer._object_list) == 7


async def test_a_webhook_is_believed_by_the_library_and_by_us(sandbox: Running) -> None:
    from quickbooks.objects.customer import Customer

    messages: asyncio.Queue[tuple[bytes, str]] = asyncio.Queue()

    async def receive(request: Request) -> Response:
        await messages.put((await request.body(), request.headers["intuit-signature"]))
        return Response()

    def work(client: QuickBooks) -> QuickBooks:
        customer = Customer()
        customer.DisplayName = "Judge"
        customer.save(qb=client)
        return client

    app = Starlette(routes=[Route("/", receive, methods=["POST"])])
    async with serve_on_loopback(app) as url:
        assert sandbox.sandbox.webhooks is not None
        sandbox.sandbox.webhooks.endpoints.append(Endpoint(url=url, secret="verifier"))
        client = await judged(sandbox, work)
        async with asyncio.timeout(5):
            body, signature = await messages.get()

    verify = VENDORS["intuit"].verify
    keys = [b"older", b"verifier"]
    assert verify({"intuit-signature": signature}, body, keys, 0.0).delivery_id
    assert client.validate_webhook_signature(body.decode(), signature, "verifier")
    assert not client.validate_webhook_signature(body.decode(), signature, "older")
    (event,) = json.loads(body)
    assert (event["type"], event["intuitaccountid"]) == ("qbo.customer.created.v1", REALM_ID)
    for wrong in (signature[:-2], "", "é"):
        with pytest.raises(WebhookRefusedError):
            verify({"intuit-signature": wrong}, body, keys, 0.0)
    with pytest.raises(WebhookRefusedError):
        verify({"intuit-signature": signature}, body + b" ", keys, 0.0)

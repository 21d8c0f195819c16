"""Gateways that are killed and come back, and customers of Stripe's who do not mind."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import httpx
import yaml

from system_apis.quickbooks.sandbox.server import QuickBooksSandbox
from tests.process_apis.order_to_cash.conftest import APIS, SECRET
from tests.process_apis.order_to_cash.kills.stories import Stripe
from tests.support.serving import eventually, free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from portico.sandbox.running import Running

PROCESSES = 3
# What becomes of subscriptions: one stays unpaid, one is paid, one gets money back, one ends
# unpaid, and one after it was paid.
FATES: tuple[list[Callable[[Stripe], None]], ...] = (
    [],
    [Stripe.pay],
    [Stripe.pay, Stripe.refund],
    [Stripe.cancel],
    [Stripe.pay, Stripe.cancel],
)


def expected(rounds: int) -> dict[str, int]:
    """Return what the books have to hold after so many rounds of all fates."""
    return {
        "open": rounds,
        "paid": 3 * rounds,
        "payments": 3 * rounds,
        "unapplied": 0,
        "refunds": rounds,
        "credits": rounds,
    }


def in_the_end(books: QuickBooksSandbox) -> dict[str, int]:
    """Return how many documents there are; those that are void count for nothing."""
    invoices = [
        record
        for record in books.state.table("Invoice").values()
        if "Voided" not in record.get("PrivateNote", "")
    ]
    payments = books.state.table("Payment").values()
    return {
        "open": sum(record["Balance"] > 0 for record in invoices),
        "paid": sum(record["Balance"] == 0 for record in invoices),
        "payments": len(payments),
        "unapplied": sum(record["UnappliedAmt"] > 0 for record in payments),
        "refunds": len(books.state.table("RefundReceipt")),
        "credits": len(books.state.table("CreditMemo")),
    }


class Processes:
    """Gateways that share a workflow database, on ports of their own."""

    def __init__(self, folder: Path, config: Mapping[str, Any]) -> None:
        self._file = folder / "portico.yaml"
        self._file.write_text(yaml.safe_dump(_plain(config)))
        self.ports = [free_port() for _ in range(PROCESSES)]
        self._running: dict[int, subprocess.Popen[bytes]] = {}
        for port in self.ports:
            self._start(port)

    def _start(self, port: int) -> None:
        words = ["serve", "--config", str(self._file), "--port", str(port)]
        only = [word for name in APIS for word in ("--only", name)]
        with (self._file.parent / f"log-{port}").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "gateway.cli", *words, *only],
                stdout=subprocess.DEVNULL,
                stderr=log,
                cwd=self._file.parent,
            )
        self._running[port] = process
        assert eventually(lambda: self._is_ready(port, process), 60.0), "it does not start"

    def _is_ready(self, port: int, process: subprocess.Popen[bytes]) -> bool:
        assert process.poll() is None, (self._file.parent / f"log-{port}").read_text()[-2000:]
        with contextlib.suppress(httpx.HTTPError):
            return httpx.get(f"http://127.0.0.1:{port}/readyz").status_code == 200
        return False

    def kill(self, index: int) -> None:
        """Kill one, and start it again."""
        port = self.ports[index]
        self._running[port].send_signal(signal.SIGKILL)
        self._running[port].wait()
        self._start(port)

    def close(self) -> None:
        for process in self._running.values():
            process.kill()
            process.wait()


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return str(value) if isinstance(value, Path) else value


class Subscribing:
    """A customer of Stripe's who subscribes again and again."""

    def __init__(self, running: Mapping[str, Running]) -> None:
        self._http = httpx.Client(
            base_url=running["stripe"].url, headers={"authorization": f"Bearer {SECRET}"}
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def live(self, fate: Sequence[Callable[[Stripe], None]]) -> None:
        """Subscribe, and have this become of the subscription."""
        stripe = Stripe(self._http)
        stripe.subscribe()
        for act in fate:
            act(stripe)

"""What a newcomer does first: start it, paste the printed lines, stop it."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.e2e.conftest import Network, running

SHOP = "/experience/storefront/v1"
ORDER = {"customerId": "C-1001", "items": [{"sku": "FILTER-V60-100", "quantity": 2}]}


def _order(network: Network, token: str, key: str, **changes: Any) -> httpx.Response:
    return network.http.post(
        f"{network.url}{SHOP}/orders",
        json={**ORDER, **changes},
        headers={"authorization": f"Bearer {token}", "idempotency-key": key},
    )


def _erp_process(network: Network) -> int:
    """Return the process of the ERP among the children of the gateway."""
    children = Path(f"/proc/{network.process.pid}/task/{network.process.pid}/children")
    (pid,) = (
        int(pid)
        for pid in children.read_text().split()
        if b"trytond" in Path(f"/proc/{pid}/cmdline").read_bytes()
    )
    return pid


def test_the_three_printed_lines_work_when_pasted(network: Network) -> None:
    lines = [line.strip() for line in network.printed if line.startswith("  ")]
    pasted = [line for line in lines if line.startswith(("TOKEN=", "curl "))]
    assert len(pasted) == 3

    script = "set -eu\n" + "\necho\n".join(pasted) + "\necho\n" + pasted[2]
    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, check=True, timeout=60
    )

    products, order, again = (json.loads(line) for line in done.stdout.split("\n") if line)
    assert len(products["products"]) == 3
    assert order["status"] == "confirmed"
    assert again["id"] == order["id"]


def test_the_sale_is_visible_in_the_erp(network: Network) -> None:
    token = network.token()
    order = _order(network, token, "visible").json()

    sale = network.http.get(
        f"{network.url}/system/tryton/v1/sales/{order['id']}",
        headers={"authorization": f"Bearer {token}"},
    ).json()

    assert sale["status"] == "confirmed"
    assert sale["customerId"] == "C-1001"
    assert sale["lines"][0]["sku"] == "FILTER-V60-100"


def test_two_clients_with_the_same_key_do_not_meet(network: Network) -> None:
    first = _order(network, network.token(), "same-key")
    second = _order(network, network.token("web-shop"), "same-key")

    assert (first.status_code, second.status_code) == (201, 201)
    assert first.json()["id"] != second.json()["id"]


def test_the_reference_page_and_every_problem_type_are_there(network: Network) -> None:
    refused = network.http.get(f"{network.url}{SHOP}/products")
    page = network.http.get(refused.json()["type"], headers={"accept": "text/html"})

    assert refused.status_code == 401
    assert page.status_code == 200
    assert "text/html" in page.headers["content-type"]


@pytest.mark.timeout(120)
def test_a_dead_erp_is_a_503_that_names_it_and_recovery_needs_no_restart(network: Network) -> None:
    token = network.token()
    os.kill(_erp_process(network), signal.SIGKILL)
    began = time.monotonic()
    down = network.http.get(
        f"{network.url}{SHOP}/products", headers={"authorization": f"Bearer {token}"}
    )
    took = time.monotonic() - began

    assert down.status_code == 503
    assert down.headers["content-type"] == "application/problem+json"
    assert down.json()["system"] == "tryton"
    assert int(down.headers["retry-after"]) >= 1
    assert took < 30  # the deadline of a request
    assert _answers_again(network, token)


def _answers_again(network: Network, token: str) -> bool:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        answer = network.http.get(
            f"{network.url}{SHOP}/products", headers={"authorization": f"Bearer {token}"}
        )
        if answer.status_code == 200:
            return True
        time.sleep(0.2)
    return False


def test_the_access_log_names_operations_and_nobody(network: Network) -> None:
    _order(network, network.token(), "logged")
    until = time.monotonic() + 10
    entry: dict[str, Any] = {}
    wanted = ("everything", "placeOrder")
    while time.monotonic() < until and (entry.get("client"), entry.get("operation")) != wanted:
        line = network.process.stdout.readline() if network.process.stdout else ""
        entry = json.loads(line) if line.startswith("{") else {}

    assert entry["path"] == f"{SHOP}/orders"
    assert "C-1001" not in json.dumps(entry)


def test_ctrl_c_stops_everything(tryton_data: Path, tmp_path: Path) -> None:
    del tryton_data
    config = "listen: {port: 0}\ndata: data\nembedded: {tryton: false}\n"
    config += "apis: {system/tryton.v1: {url: 'http://127.0.0.1:9'}}\n"
    with running(tmp_path, config=config) as found:
        found.process.send_signal(signal.SIGINT)

        assert found.process.wait(timeout=15) == 0


def test_a_taken_port_says_what_to_do(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = subprocess.run(
            [sys.executable, "-m", "gateway.cli", "serve", "--port", str(port)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    assert done.returncode == 3
    assert f"error: cannot listen on 127.0.0.1:{port}" in done.stderr
    assert f"PORT={port + 1} make run" in done.stderr
    assert "Traceback" not in done.stderr

"""`portico serve` as processes: a network split over three, one of them killed, a stuck log."""

from __future__ import annotations

import contextlib
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.commands import environment
from tests.support.serving import BASKET, CONTRACTS, KIOSK, NETWORK, SHELF, eventually, free_port

RELAY = "/experience/kiosk/v1/relay"
SECONDS = 40


def start(config: Path, *words: str, stderr: int = subprocess.PIPE) -> subprocess.Popen[str]:
    variables = environment()
    variables["PYTHONPATH"] += f":{NETWORK}"
    return subprocess.Popen(
        [sys.executable, "-m", "gateway.cli", "serve", "--config", str(config), *words],
        env=variables,
        cwd=config.parent,
        text=True,
        stdout=subprocess.PIPE,
        stderr=stderr,
    )


def ready(process: subprocess.Popen[str]) -> str:
    """Return the address of a process once it says that it is ready."""
    line = process.stdout.readline() if process.stdout else ""
    if " at " not in line:
        raise RuntimeError(process.stderr.read() if process.stderr else "it did not start")
    return line.split(" at ")[1].split(" ")[0].strip()


@contextlib.contextmanager
def stopping(*processes: subprocess.Popen[str]) -> Iterator[None]:
    """Stop the processes at the end, whatever happened."""
    try:
        yield
    finally:
        for process in processes:
            if process.poll() is None:
                process.send_signal(signal.SIGINT)
        for process in processes:
            process.communicate(timeout=SECONDS)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Return one file that all three services read: only `--only` and the port differ."""
    path = tmp_path / "portico.yaml"
    ports = {SHELF: free_port(), BASKET: free_port(), "process/absent.v1": free_port()}
    urls = "\n".join(
        f"  {name}: {{url: 'http://127.0.0.1:{port}'}}" for name, port in ports.items()
    )
    path.write_text(
        f"contracts: {CONTRACTS}\npublic_url: https://portico.test\naccess_log: 'off'\n"
        f"clients:\n  shop: {{secret: 'generated:shop', scopes: ['kiosk:use']}}\napis:\n{urls}\n"
    )
    return path


def port_of(config: Path, name: str) -> str:
    line = next(line for line in config.read_text().splitlines() if line.startswith(f"  {name}:"))
    return line.rpartition(":")[2].rstrip("'}")


@pytest.mark.timeout(120)
def test_three_processes_are_one_network(config: Path) -> None:
    def serve(name: str) -> subprocess.Popen[str]:
        return start(config, "--only", name.partition(".v")[0], "--port", port_of(config, name))

    port = str(free_port())
    kiosk = start(config, "--only", KIOSK, "--port", port)
    basket, shelf = serve(BASKET), serve(SHELF)
    with contextlib.ExitStack() as stack:
        stack.enter_context(stopping(kiosk, basket, shelf))
        for process in (kiosk, basket, shelf):
            assert ready(process) == "https://portico.test"
        kiosk_url = f"http://127.0.0.1:{port}"
        token = httpx.post(
            f"{kiosk_url}/oauth2/token",
            auth=("shop", (config.parent / "data" / "secrets" / "shop").read_text().strip()),
            data={"grant_type": "client_credentials"},
        ).json()["access_token"]

        def ask(thing: str) -> httpx.Response:
            return httpx.post(
                kiosk_url + RELAY,
                json={"operation": "getThing", "arguments": {"thingId": thing}},
                headers={"Authorization": f"Bearer {token}"},
                timeout=SECONDS,
            )

        assert ask("a/b").json()["replies"][0]["body"]["id"] == "a/b"
        assert ask("missing").status_code == 404

        shelf.kill()
        shelf.communicate(timeout=SECONDS)
        down = ask("a")
        assert down.status_code == 503
        assert down.json()["detail"] == "system/shelf.v1 cannot be reached"
        assert down.json()["type"] == "https://portico.test/portal/problems/unavailable"

        again = serve(SHELF)
        stack.enter_context(stopping(again))
        ready(again)
        assert ask("a").status_code == 200  # nothing else was started again

    assert [process.returncode for process in (kiosk, basket, again)] == [0, 0, 0]


@pytest.mark.timeout(120)
def test_a_log_that_nobody_reads_stops_neither_requests_nor_the_end(tmp_path: Path) -> None:
    config = tmp_path / "portico.yaml"
    config.write_text(
        f"listen: {{port: 0}}\ncontracts: {CONTRACTS}\n"
        "apis:\n  process/absent.v1: {url: 'http://127.0.0.1:9'}\n"
    )
    process = start(config)
    with stopping(process):
        url = ready(process)
        with httpx.Client(base_url=url) as http:
            # Half a megabyte of lines; a pipe holds 64 KiB, and nobody reads this one.
            for _ in range(2500):
                assert http.get("/experience/kiosk/v1/public").status_code == 200
        process.send_signal(signal.SIGINT)

        assert eventually(lambda: process.poll() is not None, seconds=10)

    assert process.returncode == 0

"""`portico sandbox` runs the systems, and `portico serve` reaches them by what it prints."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

from gateway.cli import sandbox_actions
from portico.sandbox.faults import Faults
from tests.support.commands import Done, Run
from tests.support.serving import free_port


@contextlib.contextmanager
def sandbox(folder: Path, *words: str) -> Iterator[tuple[subprocess.Popen[str], list[str]]]:
    """Run the command until the end of the block; yield the process and what it printed."""
    with subprocess.Popen(
        [sys.executable, "-m", "gateway.cli", "sandbox", *words],
        cwd=folder,
        env=dict(os.environ),
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            printed = []
            for line in process.stdout or ():
                printed.append(line)
                if "Ctrl-C" in line:
                    break
            yield process, printed
        finally:
            process.send_signal(signal.SIGINT)


def test_what_is_printed_is_configuration_that_works(tmp_path: Path, portico: Run) -> None:
    with sandbox(tmp_path, "--port", "0", "--only", "stripe") as (process, printed):
        config = tmp_path / "portico.yaml"
        config.write_text("data: data\n")
        shown = json.loads(portico("sandbox", "--config", config, "show", "--json").out)
        settings = yaml.safe_load("".join(printed[2:-2]))["apis"]["system/stripe.v1"]["settings"]
        name = settings["api_key"].removeprefix("generated:")
        key = (tmp_path / "data" / "secrets" / name).read_text().strip()
        with httpx.Client() as http:
            headers = {"authorization": f"Bearer {key}"}
            customers = http.get(f"{settings['base_url']}/v1/customers", headers=headers).json()
        process.send_signal(signal.SIGINT)

        assert process.wait(timeout=10) == 0
    assert shown["stripe"]["url"] == settings["base_url"]
    assert len(customers["data"]) == 5


def test_what_is_printed_keeps_its_types(tmp_path: Path) -> None:
    with sandbox(tmp_path, "--port", "0", "--only", "quickbooks") as (_, printed):
        apis = yaml.safe_load("".join(printed[2:-2]))["apis"]

    assert apis["system/quickbooks.v1"]["settings"]["realm_id"] == "4620816365"


@contextlib.contextmanager
def serving(folder: Path) -> Iterator[None]:
    """Run `portico serve` with the sandbox of Stripe in it."""
    with subprocess.Popen(
        [sys.executable, "-m", "gateway.cli", "serve", "--only", "system/stripe", "--port", "0"],
        cwd=folder,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            assert "ready" in (process.stdout.readline() if process.stdout else "")
            yield
        finally:
            process.send_signal(signal.SIGINT)


@pytest.mark.timeout(180)
def test_the_sandboxes_of_a_gateway_are_steered_by_who_owns_its_data(
    tmp_path: Path, portico: Run
) -> None:
    config = tmp_path / "portico.yaml"
    config.write_text("data: data\nembedded: {redis: false}\n")

    def steer(action: str, *words: str) -> Done:
        return portico("sandbox", "--config", config, action, *words)

    with serving(tmp_path), httpx.Client() as http:
        file = tmp_path / "data" / "sandboxes" / "stripe.admin"
        mode = stat.S_IMODE(file.stat().st_mode)
        admin = json.loads(file.read_text())["url"]
        shown = json.loads(steer("show", "--json").out)["stripe"]
        taken = steer("fault", "stripe", "no-access=invoice,charge")
        unknown = steer("fault", "stripe", "no-access=invoices")
        fault = steer("fault", "stripe", "unavailable", "--for", "60s")
        answer = http.get(f"{shown['url']}/v1/customers")
        checked = portico("doctor", "--config", config, "stripe")
        calm = steer("calm", "stripe")
        after = http.get(f"{shown['url']}/v1/customers")
        stranger = http.put(f"{admin}/stripe/faults", json={"resets": 9})
    gone = steer("calm", "stripe")

    assert (mode, file.exists()) == (0o600, False)
    assert taken.out == "stripe: no-access invoice,charge\n"
    assert "invoices is not one of charge, customer, " in unknown.err
    assert fault.out == "stripe: unavailable 60.0, for seconds 60.0\n"
    assert (answer.status_code, after.status_code) == (503, 401)
    # The doctor examines the sandbox that runs, not another one.
    assert "FAIL  reachable" in checked.out
    assert calm.out == "stripe: nothing goes wrong\n"
    assert stranger.status_code == 401
    assert gone.code == 3
    assert "no sandbox of stripe runs" in gone.err


@pytest.mark.parametrize(
    ("words", "document"),
    [
        (["throttled=3", "retry-after=2s"], {"throttled": 3, "retry_after_seconds": 2.0}),
        (["latency"], {"latency_seconds": 1.0}),
        (["resets", "--for", "1m"], {"resets": 1_000_000_000, "for_seconds": 60.0}),
        (["unavailable", "--for", "5s"], {"unavailable_seconds": 5.0, "for_seconds": 5.0}),
        (["no-access=invoice,charge"], {"no_access": ("invoice", "charge")}),
        (["webhooks-twice", "lost-responses"], {"webhooks_twice": True, "lost_responses": 1}),
    ],
)
def test_faults_are_what_the_words_say(words: list[str], document: dict[str, object]) -> None:
    parser = argparse.ArgumentParser()
    sandbox_actions.arguments(parser)
    options = parser.parse_args(["fault", "stripe", *words])

    found = sandbox_actions.faults(dict(options.kinds), options.seconds)
    assert found == document
    assert Faults.model_validate(found)


@pytest.mark.parametrize(
    "word", ["fire", "throttled=many", "webhooks-twice=2", "latency=-1", "no-access"]
)
def test_a_fault_that_is_none_is_a_usage_error(portico: Run, word: str) -> None:
    done = portico("sandbox", "fault", "stripe", word)

    assert done.code == 2
    assert word.partition("=")[0] in done.err


def test_a_taken_port_says_what_to_do(tmp_path: Path) -> None:
    port = free_port()
    with sandbox(tmp_path, "--port", str(port), "--only", "stripe"):
        done = subprocess.run(
            [sys.executable, "-m", "gateway.cli", "sandbox", "--port", str(port)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=30,
        )

    assert done.returncode == 3
    assert f"cause: port {port + 1} of 127.0.0.1 is taken" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("words", [["--only", "nothing"]])
def test_an_unknown_system_is_a_usage_error(tmp_path: Path, words: list[str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gateway.cli", "sandbox", *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )

    assert done.returncode == 2
    assert "stripe" in done.stderr

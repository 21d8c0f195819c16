"""`portico sandbox` runs the systems, and `portico serve` reaches them by what it prints."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
import yaml

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


def test_what_is_printed_is_configuration_that_works(tmp_path: Path) -> None:
    with sandbox(tmp_path, "--port", "0", "--only", "stripe") as (process, printed):
        admin = printed[0].split("; ")[1].split(" ")[0]
        settings = yaml.safe_load("".join(printed[2:-2]))["apis"]["system/stripe.v1"]["settings"]
        name = settings["api_key"].removeprefix("generated:")
        key = (tmp_path / "data" / "secrets" / name).read_text().strip()
        with httpx.Client() as http:
            shown = http.get(admin).json()
            headers = {"authorization": f"Bearer {key}"}
            customers = http.get(f"{settings['base_url']}/v1/customers", headers=headers).json()
        process.send_signal(signal.SIGINT)

        assert process.wait(timeout=10) == 0
    assert shown["stripe"]["url"] == settings["base_url"]
    assert len(customers["data"]) == 5


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

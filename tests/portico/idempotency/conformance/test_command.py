"""`portico conformance idempotency`, against a server on loopback."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import threading
import time
from typing import TYPE_CHECKING, Any, Self

import pytest
import uvicorn

from gateway.cli import conformance
from gateway.cli.output import CANNOT_RUN, FINDINGS, FINE, fail
from portico.idempotency.scope import Locator
from portico.idempotency.store import IdempotencyStore
from tests.portico.idempotency.conformance.shop import Careless, Shop
from tests.portico.redis.servers import Server, free_port, opened

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class Served:
    """An application behind uvicorn, in a thread with a loop of its own."""

    def __init__(self, kind: type[Shop], redis_url: str) -> None:
        self.port = free_port()
        self._kind = kind
        self._redis_url = redis_url
        self._server: uvicorn.Server | None = None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    async def _serve(self) -> None:
        async with opened(self._redis_url) as client:
            store = IdempotencyStore(client, Locator(os.urandom(32)))
            app = self._kind(store)
            config = uvicorn.Config(
                app, host="127.0.0.1", port=self.port, log_level="error", lifespan="off"
            )
            self._server = uvicorn.Server(config)
            await self._server.serve()
            await store.close()

    def __enter__(self) -> Self:
        self._thread.start()
        give_up_at = time.monotonic() + 10
        while self._server is None or not self._server.started:
            assert time.monotonic() < give_up_at
            time.sleep(0.01)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.should_exit = True
        self._thread.join(10)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/orders"


@pytest.fixture(scope="module", params=[Shop, Careless])
def served(request: pytest.FixtureRequest, shared_server: Server) -> Iterator[Served]:
    with Served(request.param, shared_server.url) as served:
        yield served


def run(*words: str) -> int:
    parser = argparse.ArgumentParser()
    conformance.arguments(parser)
    options = parser.parse_args(["idempotency", *words])
    return fail(lambda: conformance.run(options))


GIVEN = (
    "--header", "Authorization: Bearer ann",
    "--as", "Authorization: Bearer bob",
    "--body", '{"reference": "{{unique}}"}',
    "--invalid-body", "{",
    "--rounds", "2",
)  # fmt: skip


def test_the_exit_code_says_whether_an_api_conforms(
    served: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    code = run(served.url, *GIVEN)

    printed = capsys.readouterr().out
    if served._kind is Shop:
        assert code == FINE, printed
        assert "\nconforms: " in printed
        assert "ok   parallel.one-execution" in printed
    else:
        assert code == FINDINGS
        assert "FAIL replay.equal" in printed


def test_the_report_can_be_read_by_programs(
    served: Served, capsys: pytest.CaptureFixture[str]
) -> None:
    code = run(served.url, *GIVEN, "--json", "--strict")

    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert document["conforms"] is (code == FINE) is (served._kind is Shop)
    assert {check["result"] for check in document["checks"]} <= {"passed", "failed", "skipped"}


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["ftp://a"], "not an address"),
        (["http://127.0.0.1:1/"], "does not answer"),
        (["http://127.0.0.1:1/", "--header", "nothing"], "Name: value"),
        (["http://127.0.0.1:1/", "--header", "A: b\r\nC: d"], "Name: value"),
        (["http://127.0.0.1:1/", "--body", "@/nowhere"], "cannot be read"),
    ],
)
def test_what_cannot_be_tested_is_said(
    words: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(*words) == CANNOT_RUN

    assert says in capsys.readouterr().err


def test_a_body_may_be_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "body.json"
    file.write_text("{}")

    assert conformance._text(f"@{file}") == "{}"


@pytest.mark.parametrize("words", [["--parallel", "0"], ["--timeout", "never"], ["--rounds", "x"]])
def test_wrong_numbers_are_wrong_usage(
    words: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        run("http://127.0.0.1:1/", *words)

    assert caught.value.code == 2
    assert "expected" in capsys.readouterr().err

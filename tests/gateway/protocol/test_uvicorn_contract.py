"""What is used of uvicorn's internals. A failure here means: read its diff before upgrading."""

from __future__ import annotations

import hashlib
import inspect
from typing import TYPE_CHECKING

import httptools
import pytest
import uvicorn
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT, FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import Server, ServerState

from gateway.protocol.connection import GuardedConnection
from gateway.protocol.cycle import Cycle, OldCycle
from gateway.protocol.http import GuardedProtocol
from gateway.protocol.serve import DrainingServer
from tests.gateway.protocol.memory import MemoryConnection
from tests.gateway.protocol.wire import App

if TYPE_CHECKING:
    from collections.abc import Callable

# The methods that ours replace or rely on, and the digest of the text that was read for it.
READ = {
    "HttpToolsProtocol.__init__": "4f08999410347141",
    "HttpToolsProtocol.connection_made": "6efb565ff3d36b91",
    "HttpToolsProtocol.connection_lost": "c91a4c9bf2e29c55",
    "HttpToolsProtocol.data_received": "010a7ae59a5d3b1a",
    "HttpToolsProtocol.on_message_begin": "96d377fdc7c2baef",
    "HttpToolsProtocol.on_url": "37be44e962b04ca8",
    "HttpToolsProtocol.on_header": "65d62c044f61fdbd",
    "HttpToolsProtocol.on_headers_complete": "1ea8589acfad92d8",
    "HttpToolsProtocol._start_asgi_task": "9c08c2571ae9b038",
    "HttpToolsProtocol.on_body": "dba9c32aeba35b6a",
    "HttpToolsProtocol.on_message_complete": "1fbad42dc31fc01f",
    "HttpToolsProtocol.on_response_complete": "64e254f28e389e76",
    "HttpToolsProtocol.shutdown": "d7351fa33f00d430",
    "HttpToolsProtocol.pause_writing": "17a8fd215d96a13c",
    "RequestResponseCycle.__init__": "4d2f220910c33c12",
    "RequestResponseCycle.run_asgi": "0f33f2449a444bc2",
    "RequestResponseCycle.send": "abdd8601b326a8da",
    "RequestResponseCycle.receive": "8124ae006be71184",
    "FlowControl.pause_reading": "7c27388bb984e9ed",
    "FlowControl.resume_reading": "a0429d30857e8488",
    "Server.serve": "112ef41af52167e3",
    "Server._serve": "4575b7a50adfede8",
    "Server.startup": "2aa1d70a244bfcf2",
    "Server.main_loop": "afccb353a119333f",
    "Server.on_tick": "60ea49b06ccf68c1",
    "Server.shutdown": "9b33c50562992b1e",
    "Server._wait_tasks_to_complete": "17209be1e991445d",
    "Server.capture_signals": "e1bbcd4770d1c887",
}
CLASSES = (HttpToolsProtocol, RequestResponseCycle, FlowControl, Server)


def test_the_version_is_the_one_that_was_read() -> None:
    assert uvicorn.__version__.startswith("0.54."), "run this file's other tests, then raise this"
    assert httptools.__version__.startswith("0.9."), (
        "run the probes and the fuzz test, then raise this"
    )


@pytest.mark.parametrize("name", READ)
def test_the_text_of_what_is_replaced_or_used_has_not_changed(name: str) -> None:
    digest = hashlib.sha256(inspect.getsource(_find(name)).encode()).hexdigest()[:16]

    assert digest == READ[name], f"uvicorn changed {name}: compare it with ours, then pin {digest}"


def _find(name: str) -> Callable[..., object]:
    owner, method = name.split(".")
    found: Callable[..., object] = getattr({cls.__name__: cls for cls in CLASSES}[owner], method)
    return found


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (GuardedConnection, HttpToolsProtocol),
        (GuardedProtocol, HttpToolsProtocol),
        (Cycle, RequestResponseCycle),
        (OldCycle, RequestResponseCycle),
        (DrainingServer, Server),
    ],
)
def test_what_is_overridden_exists_and_takes_the_same_arguments(ours: type, theirs: type) -> None:
    own = {"sweep", "send_problem", "answer_busy", "stop", "abandon", "whole_body", "respond"}
    for name, method in vars(ours).items():
        if not inspect.isfunction(method) or name in own or name.startswith("_"):
            continue
        assert hasattr(theirs, name), f"{theirs.__name__}.{name} is gone: ours is never called"
        expected = list(inspect.signature(getattr(theirs, name)).parameters)
        assert list(inspect.signature(method).parameters) == expected, name


def test_no_new_name_hides_one_of_uvicorns() -> None:
    """A private method of ours that uvicorn also has would be called by it."""
    for ours, theirs in ((GuardedConnection, HttpToolsProtocol), (Cycle, RequestResponseCycle)):
        hidden = {n for n in vars(ours) if n.startswith("_") and not n.startswith("__")}
        assert hidden & set(dir(theirs)) == set()


@pytest.mark.anyio
async def test_the_attributes_that_are_used_are_there() -> None:
    connection = MemoryConnection(App())
    protocol = connection.protocol
    for name in (
        "parser", "headers", "expect_100_continue", "app", "app_state", "server", "client",
        "scheme", "root_path", "asgi_version", "pipeline", "tasks", "server_state", "transport",
        "flow", "logger", "access_logger",
    ):  # fmt: skip
        assert name in vars(protocol), f"HttpToolsProtocol.{name} is gone"
    assert set(vars(ServerState())) >= {"total_requests", "connections", "tasks", "default_headers"}
    assert {"read_paused", "write_paused"} <= set(vars(protocol.flow))
    assert HIGH_WATER_LIMIT == 65_536
    await connection.lose()

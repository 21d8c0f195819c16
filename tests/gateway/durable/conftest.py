"""A gateway with the operations API, a door, a subscriber, and a workflow that can fail."""

from __future__ import annotations

import base64
import shutil
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any

import pytest

from gateway.config import Config
from tests.support.serving import PUBLIC_URL, Served, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent / "network"
SPECS = Path(__file__).parents[3] / "specs"
SECRET = "whsec_" + base64.b64encode(bytes(range(32))).decode()
OPERATIONS = "/experience/operations/v1"
if str(HERE) not in sys.path:
    sys.path.append(str(HERE))


class Receiver:
    """A subscriber's server: it notes the bodies it gets, and can be told to refuse."""

    def __init__(self) -> None:
        self.got: list[tuple[dict[str, str], bytes]] = []
        self.status = 204
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/hook"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _handler(receiver: Receiver) -> type[BaseHTTPRequestHandler]:  # noqa: N805  # `self` is the handler's
        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                fields = {name.lower(): value for name, value in self.headers.items()}
                receiver.got.append((fields, body))
                self.send_response(receiver.status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        return Handler


def contracts(folder: Path) -> Path:
    """Return a folder of contracts: the operations API, and the process API of these tests."""
    root = folder / "specs" / "openapi"
    for part in ("shared", "canonical"):
        shutil.copytree(SPECS / "openapi" / part, root / part)
    shutil.copytree(SPECS / "events", folder / "specs" / "events")
    (root / "experience").mkdir()
    shutil.copy(SPECS / "openapi/experience/operations.v1.yaml", root / "experience")
    shutil.copytree(HERE / "contracts", root / "process")
    return root


def settings(folder: Path, **changes: Any) -> dict[str, Any]:
    """Return the configuration as a mapping."""
    (folder / "secret").write_text(SECRET)
    return {
        "data": folder / "data",
        "contracts": contracts(folder),
        "access_log": "off",
        "public_url": PUBLIC_URL,
        "embedded": {"tryton": False, "redis": False},
        "clients": {"tests": {"secret": "generated:tests", "scopes": ["operations:read"]}},
        "webhooks": {
            "doors": {
                "shop": {
                    "vendor": "standard",
                    "secrets": [f"file:{folder / 'secret'}"],
                    "workflow": "tally.v1",
                }
            },
            "allowed_networks": ["127.0.0.0/8"],
        },
        "alerts": {"look_seconds": 0.2},
        **changes,
    }


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    opened = Receiver()
    yield opened
    opened.close()


@pytest.fixture
def served(tmp_path: Path, receiver: Receiver) -> Iterator[Served]:
    chosen = settings(tmp_path)
    chosen["webhooks"]["subscribers"] = {
        "pager": {
            "url": receiver.url,
            "types": ["portico.incident.opened"],
            "secrets": ["generated:pager"],
        }
    }
    with serving(Config.model_validate(chosen)) as gateway:
        yield gateway

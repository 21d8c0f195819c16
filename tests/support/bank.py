"""An upstream that counts its payments by the key that was sent on, and fails as a test asks."""

from __future__ import annotations

import contextlib
import http.server
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, urlsplit


@dataclass(slots=True)
class Bank:
    """Payments by the key that was sent on; `trouble` is what happens to the next request."""

    url: str = ""
    paid: dict[str, int] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    trouble: str = ""


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    bank: Bank

    def do_POST(self) -> None:  # as http.server calls it
        bank, key = self.bank, self.headers["idempotency-key"]
        self.rfile.read(int(self.headers["content-length"]))
        bank.keys.append(key)
        trouble, bank.trouble = bank.trouble, ""
        if trouble == "before":
            self._hang_up()
            return
        # A system that does not know keys: every request that arrives is a payment.
        bank.paid[key] = bank.paid.get(key, 0) + 1
        if trouble == "after":
            self._hang_up()
            return
        self._answer(500 if trouble == "error" else 201, {"paid": key})

    def do_GET(self) -> None:
        key = parse_qs(urlsplit(self.path).query)["idempotencyKey"][0]
        self.bank.asked.append(key)
        if self.bank.trouble == "status":
            self._answer(500, {})
        elif key in self.bank.paid:
            self._answer(200, {"paid": key})
        else:
            self._answer(404, {})

    def _hang_up(self) -> None:
        self.connection.shutdown(socket.SHUT_RDWR)
        self.close_connection = True

    def _answer(self, status: int, body: Any) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def handle_one_request(self) -> None:
        with suppress(OSError, ValueError):  # the connection was cut on purpose
            super().handle_one_request()

    def log_message(self, *_: object) -> None:
        pass


@contextlib.contextmanager
def serving() -> Iterator[Bank]:
    """Serve a bank on a free port."""
    found = Bank()
    handler = type("Handler", (_Handler,), {"bank": found})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        found.url = f"http://127.0.0.1:{server.server_address[1]}"
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield found
        server.shutdown()

"""The system behind the killed processes. It outlives them and counts what took effect.

How it behaves is in the id of the sale:

ok      takes the invoice
flaky   refuses the first time with 503, then takes it
unsure  takes it and answers 504 the first time, as a proxy does when it lost the answer
down    refuses with 503 until it is repaired
bad     refuses with 422 for ever
"""

from __future__ import annotations

import threading
from collections import Counter, defaultdict
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import orjson


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """Take no offence at clients that were killed."""


class Ledger:
    """What is kept, and the server in front of it."""

    def __init__(self) -> None:
        self.invoices: Counter[str] = Counter()
        self.stages: dict[str, list[str]] = defaultdict(list)
        self.repeats = 0
        self.repaired = False
        self._by_key: dict[str, str] = {}
        self._asked: Counter[str] = Counter()
        self._lock = threading.Lock()
        self._server = _Server(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def invoice(self, sale: str, key: str) -> int:
        """Take an invoice and return the status of the answer."""
        kind = sale.partition("-")[0]
        with self._lock:
            self._asked[sale] += 1
            first = self._asked[sale] == 1
            if kind == "bad":
                return 422
            if (kind == "flaky" and first) or (kind == "down" and not self.repaired):
                return 503
            if key in self._by_key:
                self.repeats += 1
                return 200
            self._by_key[key] = sale
            self.invoices[sale] += 1
            return 504 if kind == "unsure" and first else 200

    def stage(self, sale: str, stage: str) -> int:
        with self._lock:
            self.stages[sale].append(stage)
        return 200

    def _handler(ledger: Ledger) -> type[BaseHTTPRequestHandler]:  # noqa: N805  # `self` is the handler's
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body: dict[str, Any] = orjson.loads(
                    self.rfile.read(int(self.headers["content-length"]))
                )
                if self.path == "/invoices":
                    status = ledger.invoice(body["id"], self.headers["idempotency-key"])
                else:
                    status = ledger.stage(self.path.rpartition("/")[2], body["stage"])
                self.send_response(status)
                self.send_header("content-length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *_: object) -> None:
                pass

        return Handler

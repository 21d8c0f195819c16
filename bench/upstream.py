"""The proxy hop: which transport carries it, and what the whole hop costs.

`python -m bench.upstream` serves each candidate behind the same bare ASGI server, loads one after
the other with wrk, and prints the CPU time of the server process per request. It needs two cores,
taskset and wrk. Three rows are libraries behind their own httpx transport, two are thin transports
of our own over a library, `chosen` is portico.transport.pool (with the objects of httpx, and
with those of portico.transport.wire), and `forward` is Upstream.forward with all its header policy.
pyreqwest and httpx-aiohttp are measured if they are installed; the gateway does not need them.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import re
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Iterator
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import aiohttp
import httpx
import uvicorn
import uvloop
from yarl import URL

from gateway.protocol.serve import quiet_collector
from gateway.upstream.messages import ForwardRequest
from gateway.upstream.options import UpstreamOptions
from gateway.upstream.upstream import Upstream
from portico.deadline import Deadline
from portico.trace import Trace
from portico.transport.pool import PooledTransport
from portico.transport.wire import Outgoing

CONNECTIONS = 32
TARGET = b"/v1/orders/42?expand=lines"
BODY = b'{"id": "42", "note": "' + b"x" * 682 + b'"}'
FIELDS = [
    (b"server", b"upstream"),
    (b"date", b"Tue, 03 Nov 2026 10:00:00 GMT"),
    (b"content-type", b"application/json"),
    (b"last-modified", b"Tue, 03 Nov 2026 10:00:00 GMT"),
    (b"etag", b'"65a1"'),
    (b"content-length", b"%d" % len(BODY)),
]
ANSWER = b"HTTP/1.1 200 OK\r\n" + b"".join(b"%b: %b\r\n" % f for f in FIELDS) + b"\r\n" + BODY
CLIENT_HEADERS = {
    "accept": "application/json",
    "user-agent": "wrk/4",
    "authorization": "Bearer abc.def.ghi",
    "x-request-id": "0123456789abcdef",
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-00f067aa0ba902b7-01",
}
TIMEOUT = {"connect": 3.0, "read": 30.0, "write": 30.0, "pool": 1.0}
TRACE = Trace.start()  # the trace of a request belongs to the pipeline, not to the hop

Field = tuple[bytes, bytes]
Hop = Callable[[Any], Awaitable[tuple[int, Any, bytes]]]


def sent_fields(scope: Any) -> list[Field]:
    """Return what even the simplest proxy must change in a header section."""
    fields = [field for field in scope["headers"] if field[0] not in {b"host", b"connection"}]
    return [*fields, (b"host", b"upstream.test"), (b"via", b"1.1 portico")]


def over_httpx(transport: httpx.AsyncBaseTransport, base: str, *, targets: bool = True) -> Hop:
    """Return the hop over an httpx transport; `targets` if it knows the extension `target`."""
    url, nothing = httpx.URL(base), httpx.ByteStream(b"")

    async def hop(scope: Any) -> tuple[int, Any, bytes]:
        request = httpx.Request(
            scope["method"],
            url if targets else url.join(TARGET.decode()),
            headers=sent_fields(scope),
            **({"stream": nothing} if targets else {"content": b""}),
            extensions={"target": TARGET, "timeout": TIMEOUT},
        )
        response = await transport.handle_async_request(request)
        stream = response.stream
        assert isinstance(stream, httpx.AsyncByteStream)
        body = b"".join([part async for part in stream])
        await stream.aclose()
        return response.status_code, response.headers.raw, body

    return hop


class SessionTransport(httpx.AsyncBaseTransport):
    """The thinnest transport over aiohttp's session."""

    def __init__(self, base: str) -> None:
        self._base = base
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=100),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            skip_auto_headers=("user-agent", "accept", "accept-encoding", "content-type"),
            timeout=aiohttp.ClientTimeout(total=30, sock_connect=3, sock_read=30),
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = URL(self._base + request.extensions["target"].decode(), encoded=True)
        fields = request.headers.multi_items()
        context = self._session.request(request.method, url, headers=fields, allow_redirects=False)
        response = await context
        body = await response.read()
        return httpx.Response(
            response.status, headers=response.raw_headers, stream=httpx.ByteStream(body)
        )


class RustTransport(httpx.AsyncBaseTransport):
    """The thinnest transport over pyreqwest that does not hold back parts of a stream."""

    def __init__(self, base: str) -> None:
        self._base = base
        self._client = rust_client()
        self._seconds = timedelta(seconds=30)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        url = self._base + request.extensions["target"].decode()
        builder = self._client.request(request.method, url).headers(request.headers.multi_items())
        builder = builder.timeout(self._seconds).streamed_read_buffer_limit(0)
        response = await builder.build_streamed().__aenter__()
        body = (await response.bytes()).to_bytes()
        return httpx.Response(
            response.status, headers=list(response.headers.items()), stream=httpx.ByteStream(body)
        )


def rust_client() -> Any:
    """Return a client of pyreqwest that leaves everything as it is."""
    from pyreqwest.client import ClientBuilder  # noqa: PLC0415  # an optional package

    plain = ClientBuilder().gzip(False).brotli(False).zstd(False).deflate(False).no_proxy()
    limited = plain.max_connections(100).connect_timeout(timedelta(seconds=3))
    return limited.read_timeout(timedelta(seconds=30)).follow_redirects(False).build()


def bare(base: str) -> Hop:
    del base

    async def hop(scope: Any) -> tuple[int, Any, bytes]:
        del scope
        return 200, FIELDS, BODY

    return hop


def httpx_own(base: str) -> Hop:
    limits = httpx.Limits(max_connections=100, max_keepalive_connections=100)
    return over_httpx(httpx.AsyncHTTPTransport(trust_env=False, limits=limits), base)


def httpx_aiohttp(base: str) -> Hop:
    from httpx_aiohttp import AiohttpTransport  # noqa: PLC0415  # an optional package

    return over_httpx(AiohttpTransport(trust_env=False), base, targets=False)


def pyreqwest_httpx(base: str) -> Hop:
    from pyreqwest.compatibility.httpx import HttpxTransport  # noqa: PLC0415  # optional

    return over_httpx(HttpxTransport(rust_client()), base, targets=False)


def pyreqwest_thin(base: str) -> Hop:
    return over_httpx(RustTransport(base), base)


def aiohttp_thin(base: str) -> Hop:
    return over_httpx(SessionTransport(base), base)


def pool() -> PooledTransport:
    return PooledTransport(max_connections=100, max_waiting=200, idle_seconds=4.0)


def chosen_as_httpx(base: str) -> Hop:
    return over_httpx(pool(), base)


def chosen(base: str) -> Hop:
    transport, url = pool(), httpx.URL(base)

    async def hop(scope: Any) -> tuple[int, Any, bytes]:
        extensions = {"target": TARGET, "timeout": TIMEOUT, "deadline": Deadline.after(30)}
        request = Outgoing(scope["method"], url, sent_fields(scope), b"", extensions)
        response: Any = await transport.handle_async_request(request)
        return response.status_code, response.fields, response.body

    return hop


def forward(base: str) -> Hop:
    upstream = Upstream(UpstreamOptions(name="bench", urls=(base,)))

    async def hop(scope: Any) -> tuple[int, Any, bytes]:
        response = await upstream.forward(
            ForwardRequest(
                method=scope["method"],
                path=scope["raw_path"],
                query=scope["query_string"],
                headers=scope["headers"],
                body=b"",
                deadline=Deadline.after(30),
                trace=TRACE,
                peer=scope["client"][0],
                scheme=scope["scheme"],
                host=b"api.example.com",
            )
        )
        await response.aclose()
        assert isinstance(response.body, bytes)
        return response.status, response.headers, response.body

    return hop


CANDIDATES: dict[str, tuple[Callable[[str], Hop], str]] = {
    "bare": (bare, "no hop: what the server itself costs"),
    "httpx": (httpx_own, "httpx.AsyncHTTPTransport"),
    "httpx-aiohttp": (httpx_aiohttp, "httpx_aiohttp.AiohttpTransport"),
    "pyreqwest-httpx": (pyreqwest_httpx, "pyreqwest.compatibility.httpx.HttpxTransport"),
    "pyreqwest-thin": (pyreqwest_thin, "own transport over pyreqwest"),
    "aiohttp-thin": (aiohttp_thin, "own transport over aiohttp.ClientSession"),
    "chosen-httpx": (chosen_as_httpx, "PooledTransport, with httpx.Request and Response"),
    "chosen": (chosen, "PooledTransport, with Outgoing and Incoming"),
    "forward": (forward, "Upstream.forward: the whole hop"),
}
PACKAGES = {"httpx-aiohttp": "httpx_aiohttp", "pyreqwest-httpx": "pyreqwest"} | {
    "pyreqwest-thin": "pyreqwest"
}


def application(name: str, base: str) -> Any:
    """Return the ASGI application around a candidate."""
    hops: list[Hop] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            await lifespan(receive, send)
            return
        status, headers, body = await hops[0](scope)
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def lifespan(receive: Any, send: Any) -> None:
        await receive()
        hops.append(CANDIDATES[name][0](base))
        with quiet_collector():
            await send({"type": "lifespan.startup.complete"})
            await receive()
        await send({"type": "lifespan.shutdown.complete"})

    return app


class Origin(asyncio.Protocol):
    """The upstream: one answer for every request that has no body."""

    def __init__(self) -> None:
        self._unread = b""

    def connection_made(self, transport: Any) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        data = self._unread + data
        *requests, self._unread = data.split(b"\r\n\r\n")
        self._transport.write(ANSWER * len(requests))


async def serve_origin(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Origin, "127.0.0.1", port)
    await server.serve_forever()


def serve(name: str, port: int, base: str) -> None:
    """Be one of the processes that are measured."""
    if name == "origin":
        uvloop.run(serve_origin(port))
        return
    uvicorn.run(
        application(name, base),
        port=port,
        loop="uvloop",
        http="httptools",
        log_level="critical",
        access_log=False,
        proxy_headers=False,
        server_header=False,
        date_header=False,
    )


@contextlib.contextmanager
def started(name: str, core: int, base: str = "") -> Iterator[tuple[int, int]]:
    """Run a process on a core; yield its id and port."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    words = [sys.executable, "-m", "bench.upstream", "--serve", name, str(port), base]
    process = subprocess.Popen(["taskset", "-c", str(core), *words])
    try:
        for _ in range(200):
            with contextlib.suppress(OSError):
                socket.create_connection(("127.0.0.1", port), 0.2).close()
                break
            time.sleep(0.05)
        yield process.pid, port
    finally:
        process.terminate()
        process.wait(timeout=15)


def on_cpu(pid: int) -> int:
    """Return the nanoseconds all threads of a process have run."""
    tasks = Path(f"/proc/{pid}/task")
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks.iterdir())


def loaded(pid: int, port: int, seconds: int) -> tuple[float, float]:
    """Return the microseconds of CPU per request, and the 99th percentile in milliseconds."""
    words = ["taskset", "-c", "1", "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{seconds}", "--latency"]
    for name, value in CLIENT_HEADERS.items():
        words += ["-H", f"{name}: {value}"]
    before = on_cpu(pid)
    done = subprocess.run(
        [*words, f"http://127.0.0.1:{port}{TARGET.decode()}"],
        capture_output=True,
        text=True,
        check=True,
        timeout=seconds + 30,
    )
    spent = on_cpu(pid) - before
    if "Non-2xx" in done.stdout or "Socket errors" in done.stdout:
        raise RuntimeError(done.stdout)
    requests = re.search(r"(\d+) requests in", done.stdout)
    p99 = re.search(r"99%\s+([\d.]+)(us|ms|s)", done.stdout)
    assert requests is not None
    assert p99 is not None
    scale = {"us": 0.001, "ms": 1.0, "s": 1000.0}[p99[2]]
    return spent / 1000 / int(requests[1]), float(p99[1]) * scale


def measure(names: list[str], rounds: int, seconds: int) -> dict[str, list[tuple[float, float]]]:
    """Load the candidates in turn, so that a slow minute is shared by all."""
    results: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    with contextlib.ExitStack() as stack:
        _, port = stack.enter_context(started("origin", 1))
        base = f"http://127.0.0.1:{port}"
        servers = {name: stack.enter_context(started(name, 0, base)) for name in names}
        for pid, at in servers.values():
            loaded(pid, at, 1)
        for _ in range(rounds):
            for name, (pid, at) in servers.items():
                results[name].append(loaded(pid, at, seconds))
    return results


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--serve", nargs=3, metavar=("NAME", "PORT", "BASE"), help="internal")
    parser.add_argument("--only", nargs="+", choices=CANDIDATES, default=list(CANDIDATES))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=int, default=3)
    options = parser.parse_args()
    if options.serve:
        serve(options.serve[0], int(options.serve[1]), options.serve[2])
        return
    missing = {name for name, package in PACKAGES.items() if find_spec(package) is None}
    names = ["bare", *(name for name in options.only if name not in {"bare", *missing})]
    results = measure(names, options.rounds, options.seconds)
    median = {name: statistics.median(cpu for cpu, _ in all_) for name, all_ in results.items()}
    print(f"{'':16} {'CPU us':>8} {'hop us':>8} {'x bare':>7} {'p99 ms':>8}")
    for name, cpu in median.items():
        hop = cpu - median["bare"]
        p99 = statistics.median(one for _, one in results[name])
        figures = f"{cpu:8.1f} {hop:8.1f} {hop / median['bare']:7.2f} {p99:8.2f}"
        print(f"{name:16} {figures}  {CANDIDATES[name][1]}")
    for name in sorted(missing):
        print(f"{name:16} not measured: {PACKAGES[name]} is not installed")


if __name__ == "__main__":
    main()

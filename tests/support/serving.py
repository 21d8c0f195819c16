"""Gateways on threads of their own, over real HTTP on loopback, and the network they serve."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import socket
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import uvloop

from gateway.app import Gateway
from gateway.config import Config
from gateway.identity.tokens import TokenIssuer
from gateway.issuing import AUDIENCE, key_ring
from gateway.protocol.gate import Gate
from gateway.protocol.limits import ProtocolLimits
from gateway.protocol.refusal import ProblemWriter, log_refusal
from gateway.protocol.serve import DrainingServer, ServeEvents, server_config

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

NETWORK = Path(__file__).parent / "network"
CONTRACTS = NETWORK / "specs" / "openapi"
# The APIs of the network are packages under the real names, beside those of the checkout.
if str(NETWORK) not in sys.path:
    sys.path.append(str(NETWORK))

KIOSK, BASKET, SHELF = "experience/kiosk.v1", "process/basket.v1", "system/shelf.v1"
SCOPES = ["kiosk:use", "basket:use", "shelf:read", "shelf:write"]
PUBLIC_URL = "https://portico.test"
_SECONDS = 20.0
_LONGEST_PAUSE_SECONDS = 0.15


def free_port() -> int:
    """Return a port that nothing listens on at the moment."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


def network_config(data: Path, **settings: Any) -> Config:
    """Return the configuration of the network; `settings` come over its own."""
    apis = {
        "process/absent.v1": {"url": f"http://127.0.0.1:{free_port()}"},
        **settings.pop("apis", {}),
    }
    return Config.model_validate(
        {
            "data": data,
            "contracts": CONTRACTS,
            "access_log": "off",
            "public_url": PUBLIC_URL,
            "embedded": {"tryton": False, "redis": False},
            "apis": apis,
            "clients": {"tests": {"secret": "generated:tests", "scopes": ["kiosk:use"]}},
            **settings,
        }
    )


@dataclass(frozen=True, slots=True)
class Raw:
    """An answer to bytes."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass(slots=True)
class Served:
    """A gateway that answers at `url`."""

    url: str
    gateway: Gateway
    stop: Any = None
    client: httpx.Client = field(default_factory=httpx.Client)
    elsewhere: dict[str, str] = field(default_factory=dict)
    _issuer: TokenIssuer | None = None

    def raw(self, data: bytes) -> Raw:
        """Send bytes on a connection of their own and return the answer."""
        port = int(self.url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port), timeout=_SECONDS) as sock:
            sock.sendall(data)
            response = http.client.HTTPResponse(sock, method=data.split(b" ", 1)[0].decode())
            response.begin()
            return Raw(response.status, dict(response.headers), response.read())

    def close(self) -> None:
        self.client.close()

    def token(
        self,
        *scopes: str,
        audience: str = AUDIENCE,
        subject: str = "ada",
        client_id: str = "tests",
    ) -> str:
        """Return a token of the gateway's own issuer; without scopes all of the network's."""
        return self.issuer.mint(subject, client_id, audience, scopes or SCOPES, 300)

    @property
    def issuer(self) -> TokenIssuer:
        """Return an issuer with the keys of the gateway."""
        if self._issuer is None:
            keys = key_ring(self.gateway.config)
            self._issuer = TokenIssuer(keys, issuer=PUBLIC_URL, audience=AUDIENCE)
        return self._issuer

    def as_tier(
        self, caller: str, callee: str, path: str, *, subject: str = "ada", **options: Any
    ) -> httpx.Response:
        """Send a POST to an API as another API would, wherever the callee runs."""
        token = self.issuer.mint(subject, caller, callee, SCOPES, 300, actor={"sub": caller})
        headers = {"authorization": f"Bearer {token}", **options.pop("headers", {})}
        url = self.elsewhere.get(callee, self.url)
        return self.client.post(url + path, headers=headers, **options)

    def request(
        self, method: str, path: str, *, token: str | None = None, **options: Any
    ) -> httpx.Response:
        """Send a request with a token that has all scopes, another token, or none (empty)."""
        bearer = self.token() if token is None else token
        headers = httpx.Headers(options.pop("headers", {}))
        if bearer:
            headers["authorization"] = f"Bearer {bearer}"
        return self.client.request(method, self.url + path, headers=headers, **options)


@contextlib.contextmanager
def serving(
    config: Config,
    *,
    only: Sequence[str] = (),
    port: int = 0,
    limits: ProtocolLimits | None = None,
) -> Iterator[Served]:
    """Run a gateway on a thread until the end of the block."""
    runner = _Runner(config, only, port, limits or ProtocolLimits(grace_seconds=0.2))
    thread = threading.Thread(target=runner.run, daemon=True)
    thread.start()
    try:
        with contextlib.closing(runner.wait()) as served:
            yield served
    finally:
        runner.stop()
        thread.join(_SECONDS)


class _Runner:
    def __init__(
        self, config: Config, only: Sequence[str], port: int, limits: ProtocolLimits
    ) -> None:
        self._gateway = Gateway(config, only=only)
        self._limits = limits
        self._sock = socket.create_server(("127.0.0.1", port))
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._server: DrainingServer | None = None

    def run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
                runner.run(self._serve())
        except BaseException as error:  # it is raised where the test waits
            self._failure = error
            self._ready.set()
        finally:
            self._sock.close()

    def wait(self) -> Served:
        self._ready.wait(_SECONDS)
        if self._failure is not None:
            raise self._failure
        port = self._sock.getsockname()[1]
        return Served(url=f"http://127.0.0.1:{port}", gateway=self._gateway, stop=self.stop)

    def stop(self) -> None:
        if self._loop is not None and self._server is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._server.stop)

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        gate = Gate(self._limits, ProblemWriter(), log_refusal)
        events = ServeEvents(ready=self._ready.set, draining=self._drain)
        self._server = DrainingServer(server_config(self._gateway, gate), gate, events)
        async with self._gateway.run(self._gateway.config.public_url or "http://127.0.0.1"):
            await self._server.serve(sockets=[self._sock])
        self._server.abandon()
        await asyncio.sleep(0)

    def _drain(self) -> None:
        self._gateway.draining = True


@contextlib.contextmanager
def in_process(data: Path, **settings: Any) -> Iterator[Served]:
    """Run the whole network in one process."""
    with serving(network_config(data, **settings)) as served:
        yield served


@contextlib.contextmanager
def split(data: Path, **settings: Any) -> Iterator[Served]:
    """Run each tier as its own service; what is returned is the experience tier's."""
    apis = settings.pop("apis", {})
    ports = {name: free_port() for name in (BASKET, SHELF)}
    for name, port in ports.items():
        apis = {**apis, name: {**apis.get(name, {}), "url": f"http://127.0.0.1:{port}"}}
    config = network_config(data, apis=apis, **settings)
    with contextlib.ExitStack() as stack:
        for name, port in ports.items():
            stack.enter_context(serving(config, only=[name], port=port))
        served = stack.enter_context(serving(config, only=[KIOSK]))
        served.elsewhere = {name: f"http://127.0.0.1:{port}" for name, port in ports.items()}
        yield served


def eventually(condition: Any, seconds: float = 5.0, *, every: float = 0.01) -> bool:
    """Wait until a condition is true; return whether it became so.

    It is asked less and less often: what asks a gateway takes the time it needs to get there.
    """
    until, pause = time.monotonic() + seconds, every
    while time.monotonic() < until:
        if condition():
            return True
        time.sleep(pause)
        pause = min(1.5 * pause, _LONGEST_PAUSE_SECONDS)
    return bool(condition())


def plain(value: Any) -> Any:
    """Return settings as YAML and JSON have them, paths as texts."""
    if isinstance(value, dict):
        return {name: plain(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    return str(value) if isinstance(value, Path) else value

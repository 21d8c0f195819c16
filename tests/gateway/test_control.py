"""Health, and the paths that are no operation of a contract."""

from __future__ import annotations

import json
import threading
from pathlib import Path

import httpx
import pytest
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.control import control_app
from gateway.protocol.limits import ProtocolLimits
from tests.support.serving import Served, eventually, network_config, serving

BASE = "/experience/kiosk/v1"


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
def test_health_is_json_and_not_cached(gateway: Served, path: str) -> None:
    response = gateway.request("GET", path, token="")

    assert response.status_code == 200
    assert response.headers["content-type"] == "application/health+json"
    assert response.headers["cache-control"] == "no-store"
    assert response.json() == {"status": "pass"}


def test_health_needs_no_body(gateway: Served) -> None:
    answer = gateway.raw(b"HEAD /readyz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")

    assert (answer.status, answer.body) == (200, b"")


def test_a_draining_gateway_is_alive_but_not_ready(tmp_path: Path) -> None:
    limits = ProtocolLimits(drain_delay_seconds=2.0, grace_seconds=3.0)
    with serving(network_config(tmp_path), limits=limits) as served:
        token = {"Authorization": f"Bearer {served.token()}"}
        answers: list[httpx.Response] = []

        def ask() -> None:
            answers.append(httpx.get(f"{served.url}{BASE}/slow?seconds=1", headers=token))

        asking = threading.Thread(target=ask)
        asking.start()
        served.stop()
        assert eventually(lambda: served.request("GET", "/readyz").status_code == 503)
        refused = served.request("GET", "/readyz")
        assert refused.json() == {"status": "fail", "output": "draining"}
        assert refused.headers["content-type"] == "application/health+json"
        assert served.request("GET", "/livez").status_code == 200
        asking.join()

    assert [answer.status_code for answer in answers] == [200]


def test_a_slash_at_the_end_is_another_path(gateway: Served) -> None:
    """A redirect would send the client to the host that it wrote into Host itself."""
    answer = gateway.raw(b"GET /livez/ HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n")

    assert answer.status == 404
    assert b"evil.example" not in answer.body
    assert "location" not in {name.lower() for name in answer.headers}


async def _refuse(_: Request) -> Response:
    raise HTTPException(400, "the form cannot be read")


async def _fail(_: Request) -> Response:
    raise KeyError("a secret that must not leave")


@pytest.mark.anyio
@pytest.mark.parametrize(
    ("path", "status", "slug"),
    [("/refuse", 400, "malformed-request"), ("/fail", 500, "internal-error")],
)
async def test_what_goes_wrong_beside_the_operations_is_a_problem(
    path: str, status: int, slug: str
) -> None:
    routes = [Route("/refuse", _refuse), Route("/fail", _fail)]
    app = control_app(routes, ready=lambda: "", type_base="/portal/problems/")
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)

    async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
        response = await client.get(path)

    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    assert json.loads(response.content)["type"] == f"/portal/problems/{slug}"
    assert "secret" not in response.text

"""Grants: what they send, what they make of the answers, and a refresh token that is rotated."""

from __future__ import annotations

import asyncio
import json
import time
from base64 import b64decode
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import parse_qs

import pytest
from joserfc import jwt
from joserfc.jwk import RSAKey

from portico.connectors.failures import (
    CredentialsError,
    OutOfTimeError,
    ThrottledError,
    UnavailableError,
    problem_of,
)
from portico.connectors.grants import ClientCredentials, JWTBearer, RefreshToken, TokenEndpoint
from portico.connectors.messages import read
from portico.connectors.oauth import OAuthCredentials
from portico.connectors.refresh_tokens import RefreshTokenFile
from portico.connectors.wire import ConnectionSettings, Wire, open_wire
from portico.deadline import Deadline
from tests.portico.connectors.conftest import job
from tests.support.script import Script, answer

pytestmark = pytest.mark.anyio

TOKEN = {"access_token": "a", "token_type": "bearer", "expires_in": 3600}
REQUEST = read("things.get", "things")


def token(**more: object) -> bytes:
    return answer(200, json.dumps({**TOKEN, **more}).encode())


def form_of(request: bytes) -> dict[str, list[str]]:
    return parse_qs(request.partition(b"\r\n\r\n")[2].decode())


@pytest.fixture
async def wire(script: Script) -> AsyncIterator[Wire]:
    settings = ConnectionSettings.model_validate({"base_url": f"http://127.0.0.1:{script.port}"})
    async with open_wire(settings, "vendor") as opened:
        yield opened


def endpoint(script: Script, wire: Wire, *, in_form: bool = False) -> TokenEndpoint:
    url = f"http://127.0.0.1:{script.port}/token"
    return TokenEndpoint(wire, url, client_id="us", client_secret="s e", in_form=in_form)


async def test_the_client_proves_itself_in_the_header_or_in_the_form(
    script: Script, wire: Wire
) -> None:
    script.answers = [token(), token()]
    for in_form in (False, True):
        await ClientCredentials(endpoint(script, wire, in_form=in_form)).fetch(Deadline.after(5))
    header, form = script.requests

    assert b"authorization: Basic " in header
    assert b"authorization" not in form.lower().partition(b"\r\n\r\n")[0]
    assert form_of(form)["client_secret"] == ["s e"]


async def test_an_assertion_is_signed_for_the_endpoint(script: Script, wire: Wire) -> None:
    key = RSAKey.generate_key(2048)
    pem = key.as_pem(private=True).decode()
    claims = {"iss": "us", "sub": "integration@acme.example", "aud": "https://login.example"}
    script.answers = [token(instance_url="https://acme.example")]
    grant = JWTBearer(endpoint(script, wire), private_key=pem, claims=claims)
    found = await grant.fetch(Deadline.after(5))
    sent = form_of(script.requests[0])
    decoded = jwt.decode(sent["assertion"][0], key)

    assert found.base_url == "https://acme.example"
    assert sent["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
    assert decoded.header["alg"] == "RS256"
    assert claims.items() <= decoded.claims.items()
    assert 0 < decoded.claims["exp"] - time.time() <= 180


@pytest.mark.parametrize(
    ("response", "failure", "status"),
    [
        (answer(400, b'{"error": "invalid_grant"}'), CredentialsError, 502),
        (answer(401, b"<html>"), CredentialsError, 502),
        (answer(429, b"", "retry-after: 60"), ThrottledError, 503),
        (answer(503, b""), UnavailableError, 503),
    ],
)
async def test_a_refusal_says_whose_it_is(
    script: Script, wire: Wire, response: bytes, failure: type[Exception], status: int
) -> None:
    script.answers = [response]
    with pytest.raises(failure) as raised:
        await ClientCredentials(endpoint(script, wire)).fetch(Deadline.after(5))

    problem = problem_of(raised.value)  # type: ignore[arg-type]  # all of them are ConnectorError
    assert problem.status == status
    assert "s e" not in problem.detail


async def test_who_gives_up_does_not_end_the_fetch(
    script: Script, wire: Wire, tmp_path: Path
) -> None:
    store = RefreshTokenFile(tmp_path / "token.json", "first")
    credentials = OAuthCredentials(RefreshToken(endpoint(script, wire), store))
    blocker = await asyncio.create_subprocess_exec(
        "flock", str(tmp_path / "token.json.lock"), "sleep", "0.5"
    )
    await asyncio.sleep(0.2)
    script.answers = [token(refresh_token="second")]

    with pytest.raises(OutOfTimeError):
        await credentials.authorize(REQUEST, job(0.05))
    await blocker.wait()
    await credentials.aclose()

    async with store.hold(Deadline.after(1)) as held:
        assert held.value == "second"
    assert len(script.requests) == 1


async def test_each_refresh_token_is_used_once_and_the_newest_is_kept(
    script: Script, wire: Wire, tmp_path: Path
) -> None:
    store = RefreshTokenFile(tmp_path / "token.json", "first")
    grant = RefreshToken(endpoint(script, wire), store)
    script.answers = [token(refresh_token="second"), token(refresh_token="third"), token()]
    for _ in range(3):
        await grant.fetch(Deadline.after(5))
    sent = [form_of(request)["refresh_token"][0] for request in script.requests]

    assert sent == ["first", "second", "third"]


async def test_a_new_authorization_takes_the_place_of_what_was_kept(
    script: Script, wire: Wire, tmp_path: Path
) -> None:
    script.answers = [token(refresh_token="second"), token()]
    for initial in ("first", "another"):
        store = RefreshTokenFile(tmp_path / "token.json", initial)
        await RefreshToken(endpoint(script, wire), store).fetch(Deadline.after(5))

    assert form_of(script.requests[1])["refresh_token"] == ["another"]


async def test_a_kept_token_of_another_time_gives_way_to_the_configured_one(
    script: Script, wire: Wire, tmp_path: Path
) -> None:
    store = RefreshTokenFile(tmp_path / "token.json", "first")
    grant = RefreshToken(endpoint(script, wire), store)
    script.answers = [
        token(refresh_token="second"),
        answer(400, b'{"error": "invalid_grant"}'),
        token(refresh_token="third"),
    ]
    for _ in range(2):
        await grant.fetch(Deadline.after(5))
    sent = [form_of(request)["refresh_token"][0] for request in script.requests]

    assert sent == ["first", "second", "first"]


async def test_a_file_that_is_not_ours_is_named(script: Script, wire: Wire, tmp_path: Path) -> None:
    (tmp_path / "token.json").write_text("{")
    store = RefreshTokenFile(tmp_path / "token.json", "first")

    with pytest.raises(CredentialsError, match=r"token\.json"):
        await RefreshToken(endpoint(script, wire), store).fetch(Deadline.after(5))


async def test_basic_is_as_rfc_7617_has_it(script: Script, wire: Wire) -> None:
    script.answers = [token()]
    await ClientCredentials(endpoint(script, wire)).fetch(Deadline.after(5))
    line = next(
        line for line in script.requests[0].split(b"\r\n") if line.startswith(b"authorization")
    )

    assert b64decode(line.split()[-1]) == b"us:s e"

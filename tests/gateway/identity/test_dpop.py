"""DP-01, DP-04 and DP-05 of a proof itself; test_bound_tokens has what the gateway answers."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey

from gateway.identity.dpop import (
    NONCE_SECONDS,
    PROOF_SECONDS,
    SKEW_SECONDS,
    InvalidProofError,
    NonceRequiredError,
    Nonces,
    Proof,
    ProofChecker,
    ReplayUnknownError,
)
from tests.gateway.identity.forging import NOW, Clock
from tests.gateway.identity.proofs import Prover, ath

if TYPE_CHECKING:
    from collections.abc import Sequence

    from portico.redis.client import RedisClient

URL = "https://gateway.example/process/orders/v1/orders"
TOKEN = "Kz~8mXK1EalYznwH-LC-1fBAo.4Ljp~zsPE_NeO.gxU"  # of RFC 9449, section 7.1

pytestmark = pytest.mark.anyio


async def check(checker: ProofChecker, values: Sequence[bytes], **about: Any) -> Proof:
    """Check a proof and use it up, as the gateway does."""
    proof = checker.check_proof(values, **about)
    await checker.use(proof.use)
    return proof


@pytest.fixture
def prover() -> Prover:
    return Prover()


@pytest.fixture
def checker(redis: RedisClient, clock: Clock) -> ProofChecker:
    return ProofChecker(redis, clock=clock)


async def refused(checker: ProofChecker, *values: bytes, token: str = TOKEN) -> str:
    with pytest.raises(InvalidProofError) as caught:
        await check(checker, values, method="POST", url=URL, token=token.encode())
    return str(caught.value)


async def test_dp_01_a_proof_names_the_key_that_made_it(
    checker: ProofChecker, prover: Prover
) -> None:
    proof = await check(
        checker, [prover.proof("POST", URL, TOKEN)], method="POST", url=URL, token=TOKEN.encode()
    )

    assert proof.thumbprint == prover.thumbprint
    assert proof.nonce == ""


def test_dp_01_the_hash_of_the_token_is_that_of_the_specification() -> None:
    assert ath(TOKEN) == "fUHyO2r2Z3DZ53EsNrWBb0xWXoaNy59IiKCAqksmQEo"


async def test_dp_01_there_is_exactly_one_proof(checker: ProofChecker, prover: Prover) -> None:
    assert "exactly one" in await refused(checker)
    proofs = [prover.proof("POST", URL, TOKEN) for _ in range(2)]
    assert "exactly one" in await refused(checker, *proofs)
    assert "well-formed" in await refused(checker, b", ".join(proofs))


@pytest.mark.parametrize(
    "changes",
    [
        {"header": {"typ": "JWT"}},
        {"header": {"typ": "at+jwt"}},
        {"without": ("typ",)},
        {"header": {"alg": "none"}},
        {"header": {"alg": "HS256"}},
        {"header": {"alg": "ES384"}},
        {"without": ("alg",)},
        {"without": ("jwk",)},
        {"header": {"jwk": None}},
        {"header": {"jwk": "a key"}},
        {"header": {"jwk": {"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"}}},
        {"header": {"crit": ["b64"], "b64": False}},
        {"htm": "GET"},
        {"htm": "post"},
        {"without": ("htm",)},
        {"htu": "https://gateway.example/process/orders/v1/other"},
        {"htu": "http://gateway.example/process/orders/v1/orders"},
        {"htu": "https://gateway.example:8443/process/orders/v1/orders"},
        {"htu": "https://elsewhere.example/process/orders/v1/orders"},
        {"htu": "https://a@gateway.example/process/orders/v1/orders"},
        {"htu": "https://gateway.example/process/orders/v1/orders/"},
        {"htu": "/process/orders/v1/orders"},
        {"htu": ["https://gateway.example/process/orders/v1/orders"]},
        {"htu": "https://[gateway.example/"},
        {"htu": ""},
        {"without": ("htu",)},
        {"iat": int(NOW - PROOF_SECONDS - 1)},
        {"iat": int(NOW + SKEW_SECONDS + 1)},
        {"iat": True},
        {"iat": str(int(NOW))},
        {"iat": 10**400},
        {"iat": -(10**400)},
        {"without": ("iat",)},
        {"jti": ""},
        {"jti": 7},
        {"jti": "j" * 257},
        {"without": ("jti",)},
        {"ath": ath("another token")},
        {"ath": "ü"},
        {"ath": None},
        {"without": ("ath",)},
    ],
    ids=repr,
)
async def test_dp_01_a_proof_of_something_else_is_refused(
    checker: ProofChecker, prover: Prover, changes: dict[str, Any]
) -> None:
    await refused(checker, prover.proof("POST", URL, TOKEN, **changes))


@pytest.mark.parametrize(
    "url",
    [
        "HTTPS://Gateway.Example/process/orders/v1/orders",
        "https://gateway.example:443/process/orders/v1/orders",
        "https://gateway.example/process/orders/v1/orders?page=2#top",
        "https://gateway.example/process/%6Frders/v1/orders",
    ],
)
async def test_dp_01_spellings_of_one_address_are_one(
    checker: ProofChecker, prover: Prover, url: str
) -> None:
    proof = prover.proof("POST", url, TOKEN)

    assert await check(checker, [proof], method="POST", url=URL, token=TOKEN.encode())


async def test_dp_01_the_key_in_a_proof_is_public(checker: ProofChecker, prover: Prover) -> None:
    private = prover.key.as_dict(private=True)
    assert "public key" in await refused(
        checker, prover.proof("POST", URL, TOKEN, header={"jwk": private})
    )
    secret = OctKey.generate_key(256)
    claims = {"jti": "a", "htm": "POST", "htu": URL, "iat": int(NOW), "ath": ath(TOKEN)}
    header = {"typ": "dpop+jwt", "alg": "HS256", "jwk": secret.as_dict(private=True)}
    await refused(checker, jwt.encode(header, claims, secret).encode())


async def test_dp_01_the_key_in_a_proof_made_its_signature(
    checker: ProofChecker, prover: Prover
) -> None:
    stranger = Prover().key.as_dict(private=False)

    assert "own key" in await refused(
        checker, prover.proof("POST", URL, TOKEN, header={"jwk": stranger})
    )
    header, payload, _ = prover.proof("POST", URL, TOKEN).split(b".")
    for signature in (b"AA", b"A" * 86):
        await refused(checker, b".".join((header, payload, signature)))


async def test_dp_01_keys_of_other_kinds_make_proofs(checker: ProofChecker) -> None:
    for algorithm, key in (
        ("ES384", ECKey.generate_key("P-384")),
        ("Ed25519", OKPKey.generate_key("Ed25519")),
        ("RS256", RSAKey.generate_key(2048)),
        ("PS256", RSAKey.generate_key(2048)),
    ):
        header = {"typ": "dpop+jwt", "alg": algorithm, "jwk": key.as_dict(private=False)}
        claims = {"jti": algorithm, "htm": "POST", "htu": URL, "iat": int(NOW), "ath": ath(TOKEN)}
        proof = jwt.encode(header, claims, key, algorithms=[algorithm]).encode()
        found = await check(checker, [proof], method="POST", url=URL, token=TOKEN.encode())
        assert found.thumbprint == key.thumbprint()


async def test_dp_01_the_token_endpoint_asks_for_no_hash(
    checker: ProofChecker, prover: Prover
) -> None:
    proof = prover.proof("POST", URL)

    assert (await check(checker, [proof], method="POST", url=URL)).thumbprint


async def test_dp_04_a_proof_is_good_once_however_many_workers_there_are(
    redis: RedisClient, clock: Clock, prover: Prover
) -> None:
    workers = [ProofChecker(redis, clock=clock) for _ in range(3)]
    proof = prover.proof("POST", URL, TOKEN)

    async def use(checker: ProofChecker) -> bool:
        try:
            await check(checker, [proof], method="POST", url=URL, token=TOKEN.encode())
        except InvalidProofError:
            return False
        return True

    found = await asyncio.gather(*(use(worker) for worker in workers * 4))

    assert sum(found) == 1


async def test_dp_04_a_proof_is_remembered_as_long_as_it_would_be_accepted(
    checker: ProofChecker, redis: RedisClient, prover: Prover
) -> None:
    proof = prover.proof("POST", URL, TOKEN, now=NOW + SKEW_SECONDS)
    await check(checker, [proof], method="POST", url=URL, token=TOKEN.encode())

    names = await redis.execute("KEYS", "portico:dpop:*")
    assert isinstance(names, list)
    (key,) = names
    left = await redis.execute("PTTL", key)

    assert isinstance(left, int)
    assert left > (PROOF_SECONDS + SKEW_SECONDS) * 1000


async def test_dp_04_the_same_id_for_another_address_or_key_is_another_proof(
    checker: ProofChecker, prover: Prover
) -> None:
    other = URL.replace("orders/v1", "catalog/v1")
    for maker, url in ((prover, URL), (prover, other), (Prover(), URL)):
        proof = maker.proof("POST", url, TOKEN, jti="the-same")
        assert await check(checker, [proof], method="POST", url=url, token=TOKEN.encode())


async def test_dp_04_without_redis_no_proof_is_accepted(
    redis: RedisClient, clock: Clock, prover: Prover
) -> None:
    await redis.close()
    for checker in (ProofChecker(redis, clock=clock), ProofChecker(None, clock=clock)):
        with pytest.raises(ReplayUnknownError):
            await check(
                checker,
                [prover.proof("POST", URL, TOKEN)],
                method="POST",
                url=URL,
                token=TOKEN.encode(),
            )


async def test_dp_05_nonces_are_rotated_and_the_previous_one_is_accepted(
    redis: RedisClient, clock: Clock, prover: Prover
) -> None:
    nonces = Nonces(b"shared secret", clock=clock)
    checker = ProofChecker(redis, nonces=nonces, clock=clock)

    async def prove(**claims: Any) -> str:
        proof = prover.proof("POST", URL, TOKEN, now=clock(), **claims)
        found = await check(checker, [proof], method="POST", url=URL, token=TOKEN.encode())
        return found.nonce

    with pytest.raises(NonceRequiredError) as caught:
        await prove()
    first = caught.value.nonce
    assert await prove(nonce=first) == ""
    clock.advance(NONCE_SECONDS)
    second = await prove(nonce=first)
    assert second
    assert second != first
    assert await prove(nonce=second) == ""
    clock.advance(NONCE_SECONDS)
    for wrong in (first, "made-up", "", None, 7, "ü"):
        with pytest.raises(NonceRequiredError):
            await prove(nonce=wrong)


def test_dp_05_workers_know_each_others_nonces(clock: Clock) -> None:
    one, other = (Nonces(b"shared secret", clock=clock) for _ in range(2))

    assert other.accepts(one.current())
    assert not Nonces(b"another secret", clock=clock).accepts(one.current())


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
HEADER_NAMES = st.sampled_from(["typ", "alg", "jwk", "crit", "b64", "kid"])
CLAIM_NAMES = st.sampled_from(["jti", "htm", "htu", "iat", "ath", "nonce"])


@given(
    header=st.dictionaries(HEADER_NAMES, JSON, max_size=3),
    claims=st.dictionaries(CLAIM_NAMES, JSON, min_size=1, max_size=3),
)
@settings(max_examples=300, deadline=None)
def test_dp_01_any_members_end_in_a_refusal(header: dict[str, Any], claims: dict[str, Any]) -> None:
    """Without Redis a proof that nothing is wrong with cannot be accepted, so nothing is."""
    checker = ProofChecker(None, clock=lambda: NOW)
    proof = Prover().proof("POST", URL, TOKEN, header=header, **claims)

    with pytest.raises((InvalidProofError, ReplayUnknownError)):
        asyncio.run(check(checker, [proof], method="POST", url=URL, token=TOKEN.encode()))


@given(values=st.lists(st.binary(max_size=200), max_size=2))
@settings(max_examples=200, deadline=None)
def test_dp_01_any_bytes_are_refused(values: list[bytes]) -> None:
    checker = ProofChecker(None)

    with pytest.raises(InvalidProofError):
        asyncio.run(check(checker, values, method="POST", url=URL, token=TOKEN.encode()))

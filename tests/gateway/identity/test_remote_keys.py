"""JK-01 to JK-05 and JK-07: the keys of an issuer elsewhere, over real HTTP on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from joserfc.jwk import ECKey, OctKey, RSAKey

from gateway.identity.issuers.discovery import discover, metadata_urls
from gateway.identity.issuers.errors import IssuerUnavailableError
from gateway.identity.issuers.fetching import MAX_DOCUMENT_BYTES, Fetcher, is_secure
from gateway.identity.issuers.remote_keys import Freshness, RemoteKeys
from tests.gateway.identity.forging import encode
from tests.gateway.identity.provider import Provider, new_key, providing
from tests.portico.redis.test_tls import LOOPBACK, issue

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

pytestmark = pytest.mark.anyio
METADATA = "/.well-known/oauth-authorization-server"


@dataclass
class Monotonic:
    """A clock that a test moves."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def provider() -> Iterator[Provider]:
    with providing() as provider:
        yield provider


@pytest.fixture
async def fetcher() -> AsyncIterator[Fetcher]:
    fetcher = Fetcher(timeout_seconds=0.5)
    yield fetcher
    await fetcher.aclose()


@pytest.fixture
def monotonic() -> Monotonic:
    return Monotonic()


@pytest.fixture
async def keys(
    provider: Provider, fetcher: Fetcher, monotonic: Monotonic
) -> AsyncIterator[RemoteKeys]:
    keys = RemoteKeys(provider.url, fetcher, clock=monotonic)
    yield keys
    await keys.aclose()


async def failure(work: Any) -> str:
    with pytest.raises(IssuerUnavailableError) as caught:
        await work
    return str(caught.value)


# JK-01: where metadata and keys come from.


def test_jk_01_the_path_of_the_issuer_goes_after_the_well_known_part_or_before_it() -> None:
    assert metadata_urls("https://id.example/tenant/v2.0") == (
        "https://id.example/.well-known/oauth-authorization-server/tenant/v2.0",
        "https://id.example/tenant/v2.0/.well-known/openid-configuration",
    )
    assert metadata_urls("https://id.example/") == (
        "https://id.example/.well-known/oauth-authorization-server",
        "https://id.example/.well-known/openid-configuration",
    )


async def test_jk_01_keys_are_found_by_either_kind_of_discovery(
    provider: Provider, fetcher: Fetcher
) -> None:
    provider.describe(f"{provider.url}/a", f"{METADATA}/a")
    provider.describe(f"{provider.url}/b", "/b/.well-known/openid-configuration")

    for tenant in ("a", "b"):
        keys = RemoteKeys(f"{provider.url}/{tenant}", fetcher)
        assert await keys.find(provider.key.kid)


@pytest.mark.parametrize(
    "issuer", ["URL/", "URL/other", "https://elsewhere.example", "", None, ["URL"]], ids=repr
)
async def test_jk_01_metadata_of_another_issuer_is_not_used(
    provider: Provider, fetcher: Fetcher, issuer: Any
) -> None:
    named = issuer.replace("URL", provider.url) if isinstance(issuer, str) else issuer
    provider.describe(named, METADATA)

    assert "another issuer" in await failure(discover(provider.url, fetcher))


@pytest.mark.parametrize(
    ("url", "secure"),
    [
        ("https://id.example/keys", True),
        ("http://127.0.0.1:8080/keys", True),
        ("http://[::1]:8080/keys", True),
        ("http://localhost/keys", True),
        ("http://id.example/keys", False),
        ("http://127.0.0.1.nip.io/keys", False),
        ("http://localhost.example/keys", False),
        ("https://user:password@id.example/keys", False),
        ("https://", False),
        ("file:///etc/passwd", False),
        ("ftp://id.example", False),
        ("http://[", False),
        ("", False),
    ],
)
def test_jk_01_an_issuer_is_reached_by_tls_or_on_this_machine(url: str, secure: bool) -> None:
    assert is_secure(url) is secure


@pytest.mark.parametrize("url", ["http://id.example/keys", "file:///etc/passwd", 7, None])
async def test_jk_01_keys_at_an_insecure_address_are_not_fetched(
    provider: Provider, fetcher: Fetcher, url: object
) -> None:
    provider.answer(METADATA, {"issuer": provider.url, "jwks_uri": url})

    assert "names no keys" in await failure(discover(provider.url, fetcher))


async def test_jk_01_a_redirect_stays_on_its_host(provider: Provider, fetcher: Fetcher) -> None:
    provider.answer("/here", b"", status=302, headers={"location": "/keys"})
    assert (await fetcher.get(f"{provider.url}/here")).members["keys"]

    for location in (
        "https://elsewhere.example/keys",
        "//elsewhere.example/keys",
        provider.url.replace("127.0.0.1", "localhost") + "/keys",
        "http://127.0.0.1:1/keys",
    ):
        provider.answer("/away", b"", status=307, headers={"location": location})
        assert "redirects to another host" in await failure(fetcher.get(f"{provider.url}/away"))
    provider.answer("/round", b"", status=301, headers={"location": "/round"})
    assert "too many redirects" in await failure(fetcher.get(f"{provider.url}/round"))


async def test_jk_01_size_and_time_of_an_answer_are_bounded(
    provider: Provider, fetcher: Fetcher
) -> None:
    provider.answer("/large", b'{"x":"' + b"y" * MAX_DOCUMENT_BYTES + b'"}')
    assert "more than" in await failure(fetcher.get(f"{provider.url}/large"))
    provider.answer("/slow", {}, delay_seconds=2.0)
    started = time.monotonic()
    assert await failure(fetcher.get(f"{provider.url}/slow"))
    assert time.monotonic() - started < 1.5


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b'{"keys":[],"keys":[]}', b"\xff", b"{" * 2000]
)
async def test_jk_01_an_answer_is_one_json_object(
    provider: Provider, fetcher: Fetcher, body: bytes
) -> None:
    provider.answer("/odd", body)

    assert "not one JSON object" in await failure(fetcher.get(f"{provider.url}/odd"))


async def test_jk_01_tls_is_verified_by_the_authority_of_the_issuer(tmp_path: Path) -> None:
    right, other = (issue(tmp_path, name, LOOPBACK) for name in ("right", "other"))
    elsewhere = issue(tmp_path, "elsewhere", x509.DNSName("id.example"))
    for presented, trusted, accepted in (
        (right, str(right), True),
        (right, str(other), False),
        (right, "", False),
        (elsewhere, str(elsewhere), False),
    ):
        with providing(presented) as provider:
            fetcher = Fetcher(ca_file=trusted)
            keys = RemoteKeys(provider.url, fetcher)
            assert await keys.refresh() is accepted
            await keys.aclose()
            await fetcher.aclose()


# JK-02: how long keys are kept, and who waits for them.


@pytest.mark.parametrize(
    ("cache_control", "seconds"),
    [
        ("max-age=600", 600),
        ("public, max-age=1", 60),
        ("max-age=0, must-revalidate", 60),
        ("max-age=999999", 3600),
        ('max-age="120"', 120),
        ("no-store", 300),
        ("s-maxage=900", 300),
        ("max-age=nonsense", 300),
        ("", 300),
    ],
)
async def test_jk_02_keys_are_kept_as_long_as_asked_within_bounds(
    provider: Provider, keys: RemoteKeys, cache_control: str, seconds: float
) -> None:
    provider.publish(provider.key, headers={"cache-control": cache_control})

    assert await keys.refresh()

    assert keys._kept_seconds == seconds


async def test_jk_02_keys_are_fetched_again_before_they_are_needed(
    provider: Provider, fetcher: Fetcher
) -> None:
    soon = Freshness(min_seconds=0.05, usual_seconds=0.05, retry_seconds=0.02)
    keys = RemoteKeys(provider.url, fetcher, freshness=soon)
    running = asyncio.create_task(keys.run())
    try:
        await asyncio.sleep(0.3)
        assert provider.count("/keys") >= 3
    finally:
        running.cancel()
        await asyncio.wait([running])
        await keys.aclose()


async def test_jk_02_many_requests_at_once_fetch_the_keys_once(
    provider: Provider, keys: RemoteKeys
) -> None:
    provider.answers["/keys"].delay_seconds = 0.1

    found = await asyncio.gather(*(keys.find(provider.key.kid) for _ in range(50)))

    assert all(found)
    assert provider.count("/keys") == 1


async def test_jk_02_one_who_leaves_does_not_take_the_keys_of_the_others_along(
    provider: Provider, keys: RemoteKeys
) -> None:
    provider.answers["/keys"].delay_seconds = 0.1
    first, second = (asyncio.create_task(keys.find(provider.key.kid)) for _ in range(2))
    await asyncio.sleep(0.02)
    first.cancel()

    assert await second
    assert provider.count("/keys") == 1


# JK-03: keys that are not known.


async def test_jk_03_an_unknown_key_is_asked_for_once_in_a_cooldown(
    provider: Provider, keys: RemoteKeys, monotonic: Monotonic
) -> None:
    await keys.refresh()
    for number in range(20):
        assert await keys.find(f"unknown-{number}") is None
    assert provider.count("/keys") == 2
    monotonic.now += 29
    assert await keys.find("unknown-again") is None
    assert provider.count("/keys") == 2
    monotonic.now += 2
    assert await keys.find("unknown-later") is None
    assert provider.count("/keys") == 3
    # The good key was there all the time.
    assert await keys.find(provider.key.kid)
    assert provider.count("/keys") == 3


async def test_jk_03_a_new_key_is_found_by_the_requests_that_have_it(
    provider: Provider, keys: RemoteKeys
) -> None:
    await keys.refresh()
    new = new_key()
    provider.publish(provider.key, new)
    provider.answers["/keys"].delay_seconds = 0.1

    found = await asyncio.gather(*(keys.find(new.kid) for _ in range(20)))

    assert all(found)
    assert provider.count("/keys") == 2


async def test_jk_03_an_id_that_the_issuer_does_not_know_uses_up_no_other_cooldown(
    provider: Provider, keys: RemoteKeys, monotonic: Monotonic
) -> None:
    await keys.refresh()
    assert await keys.find("unknown") is None
    monotonic.now += 31
    assert await keys.find("unknown") is None
    assert provider.count("/keys") == 2
    new = new_key()
    provider.publish(provider.key, new)
    assert await keys.find(new.kid)


async def test_jk_03_unknown_ids_are_remembered_up_to_a_number(
    provider: Provider, fetcher: Fetcher, monotonic: Monotonic
) -> None:
    few = Freshness(cooldown_seconds=0, max_unknown=5)
    keys = RemoteKeys(provider.url, fetcher, freshness=few, clock=monotonic)

    for number in range(12):
        assert await keys.find(f"unknown-{number}") is None

    assert repr(keys) == f"<RemoteKeys {provider.url} 1 keys, 5 unknown>"


# JK-04: an issuer that is away.


async def test_jk_04_the_last_good_keys_count_for_a_day_and_no_longer(
    provider: Provider, keys: RemoteKeys, monotonic: Monotonic
) -> None:
    await keys.refresh()
    provider.answers.clear()
    monotonic.now += 86_399
    assert not await keys.refresh()
    assert await keys.find(provider.key.kid)
    monotonic.now += 2
    assert "too old" in await failure(keys.find(provider.key.kid))


@pytest.mark.parametrize(
    "broken",
    [
        {"keys": []},
        {"keys": "none"},
        {},
        {"keys": [{"kty": "EC"}]},
        {"keys": [OctKey.generate_key(256).as_dict(private=True, kid="secret")]},
    ],
    ids=["empty", "text", "nothing", "unreadable", "symmetric"],
)
async def test_jk_04_a_broken_key_set_does_not_replace_a_good_one(
    provider: Provider, keys: RemoteKeys, broken: dict[str, Any]
) -> None:
    await keys.refresh()
    provider.answer("/keys", broken)

    assert not await keys.refresh()
    assert await keys.find(provider.key.kid)


async def test_jk_04_keys_that_were_never_reached_are_a_503_at_once(
    provider: Provider, keys: RemoteKeys
) -> None:
    provider.answers.clear()
    assert "never reached" in await failure(keys.find("any"))
    asked = len(provider.asked)
    for _ in range(10):
        await failure(keys.find("any"))
    # Only the task that keeps them fresh tries again.
    assert len(provider.asked) == asked


async def test_jk_04_an_issuer_that_comes_back_is_noticed(
    provider: Provider, fetcher: Fetcher
) -> None:
    metadata = provider.answers.pop(METADATA)
    keys = RemoteKeys(provider.url, fetcher, freshness=Freshness(retry_seconds=0.02))
    running = asyncio.create_task(keys.run())
    try:
        await failure(keys.find(provider.key.kid))
        provider.answers[METADATA] = metadata
        async with asyncio.timeout(5):
            while True:
                with contextlib.suppress(IssuerUnavailableError):
                    assert await keys.find(provider.key.kid)
                    break
                await asyncio.sleep(0.01)
    finally:
        running.cancel()
        await asyncio.wait([running])
        await keys.aclose()


# JK-05: a key that is withdrawn.


async def test_jk_05_a_key_that_is_withdrawn_is_not_used_and_what_it_verified_is_forgotten(
    provider: Provider, keys: RemoteKeys
) -> None:
    forgotten = []
    keys.changed = lambda: forgotten.append(True)
    await keys.refresh()
    new = new_key()
    provider.publish(provider.key, new)
    await keys.refresh()
    assert not forgotten
    provider.publish(new)
    await keys.refresh()

    assert forgotten == [True]
    assert await keys.find(provider.key.kid) is None
    assert await keys.find(new.kid)


async def test_jk_05_a_withdrawn_key_ends_with_the_time_of_the_set_and_nobody_has_to_ask(
    provider: Provider, fetcher: Fetcher
) -> None:
    soon = Freshness(min_seconds=0.2, usual_seconds=0.2, retry_seconds=0.02)
    keys = RemoteKeys(provider.url, fetcher, freshness=soon)
    forgotten = asyncio.Event()
    keys.changed = forgotten.set
    running = asyncio.create_task(keys.run())
    try:
        assert await keys.find(provider.key.kid)
        assert not forgotten.is_set()
        provider.publish(new_key())
        async with asyncio.timeout(5):
            await forgotten.wait()
        assert await keys.find(provider.key.kid) is None
    finally:
        running.cancel()
        await asyncio.wait([running])
        await keys.aclose()


# JK-07: what stands in the place of a key id.


@pytest.mark.parametrize(
    "key_id", ["../../dev/null", "x' OR 1=1 --", "k" * 1_000_000, ["KID"], {"kid": 1}, 1, None, ""]
)
async def test_jk_07_a_key_id_is_looked_up_and_nothing_else(
    provider: Provider, keys: RemoteKeys, key_id: object
) -> None:
    assert await keys.find(key_id) is None
    assert set(provider.asked) == {METADATA, "/keys"}


# AT-03: what may be in a set.


def member(key: ECKey | RSAKey, **changes: Any) -> dict[str, Any]:
    found = {**key.as_dict(private=False), "kid": "a", **changes}
    return {name: value for name, value in found.items() if value is not None}


@pytest.mark.parametrize(
    ("changes", "algorithms"),
    [
        ({}, {"ES256"}),
        ({"alg": "ES256"}, {"ES256"}),
        ({"use": "sig"}, {"ES256"}),
        ({"key_ops": ["verify"]}, {"ES256"}),
        ({"alg": "ES384"}, None),
        ({"alg": "RS256"}, None),
        ({"alg": "HS256"}, None),
        ({"alg": 7}, None),
        ({"use": "enc"}, None),
        ({"key_ops": ["encrypt"]}, None),
        ({"key_ops": "verify"}, None),
        ({"kty": "RSA"}, None),
        ({"kty": ["EC"]}, None),
        ({"crv": "P-384"}, None),
        ({"crv": "secp256k1"}, None),
        ({"x": None}, None),
        ({"x": 7}, None),
        ({"y": "AA"}, None),
    ],
    ids=repr,
)
async def test_at_03_a_key_is_used_for_what_its_type_and_curve_allow(
    provider: Provider, keys: RemoteKeys, changes: dict[str, Any], algorithms: set[str] | None
) -> None:
    good = new_key().as_dict(private=False)
    provider.answer("/keys", {"keys": [member(ECKey.generate_key("P-256"), **changes), good]})

    found = await keys.find("a")

    assert (found and found.algorithms) == (algorithms and frozenset(algorithms))
    assert await keys.find(good["kid"])


async def test_at_03_weak_rsa_keys_are_left_out(provider: Provider, keys: RemoteKeys) -> None:
    good = new_key("RS256")
    document = good.as_dict(private=False)
    small = {**document, "kid": "small", "n": encode(b"\xff" * 128)}
    three = {**document, "kid": "three", "e": encode(b"\x03")}
    large = {**document, "kid": "large", "n": encode(b"\xff" * 1025)}
    provider.answer("/keys", {"keys": [small, three, large, document]})

    assert await keys.find("small") is None
    assert await keys.find("three") is None
    assert await keys.find("large") is None
    found = await keys.find(good.kid)
    assert found
    assert found.algorithms == {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}


async def test_at_03_a_set_with_a_secret_or_an_ambiguous_id_is_refused_as_a_whole(
    provider: Provider, keys: RemoteKeys
) -> None:
    one, two = (new_key().as_dict(private=False) for _ in range(2))
    private = new_key().as_dict(private=True)
    secret = OctKey.generate_key(256).as_dict(private=True, kid="s")
    for members in ([one, {**two, "kid": one["kid"]}], [one, private], [one, secret], [one, 7]):
        provider.answer("/keys", {"keys": members})
        assert not await keys.refresh()
    provider.answer("/keys", {"keys": [one, two]})
    assert await keys.refresh()

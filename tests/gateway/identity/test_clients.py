from __future__ import annotations

import hashlib
from statistics import median
from time import perf_counter

import pytest

from gateway.identity.clients import ClientRecord, ClientRegistry, hash_secret, secret_matches
from gateway.identity.errors import ClientRecordError

SECRET = "correct-horse-battery-staple"
OTHER_SECRET = "another-secret-of-some-length"


def record(**changes: object) -> ClientRecord:
    values: dict[str, object] = {
        "client_id": "warehouse",
        "secret_hashes": (hash_secret(SECRET),),
        "scopes": frozenset({"orders:read"}),
    }
    return ClientRecord(**{**values, **changes})  # type: ignore[arg-type]  # wrong ones on purpose


def test_a_secret_is_kept_as_its_hash() -> None:
    """AS-12: and is in no representation."""
    assert hash_secret(SECRET) == f"sha256:{hashlib.sha256(SECRET.encode()).hexdigest()}"
    assert SECRET not in repr(record())
    assert "sha256" not in repr(record())


def test_the_right_secret_matches_and_a_wrong_one_does_not() -> None:
    assert secret_matches(record(), SECRET)
    assert not secret_matches(record(), SECRET + " ")
    assert not secret_matches(record(), "")
    assert not secret_matches(None, SECRET)


def test_two_secrets_are_valid_at_a_time() -> None:
    client = record(secret_hashes=(hash_secret(SECRET), hash_secret(OTHER_SECRET)))

    assert secret_matches(client, SECRET)
    assert secret_matches(client, OTHER_SECRET)
    assert not secret_matches(client, "neither-one-nor-the-other")


def test_as_12_unknown_client_and_wrong_secret_cost_the_same() -> None:
    """Medians of many interleaved rounds differ by less than a quarter of the cost itself."""
    one, two = record(), record(secret_hashes=(hash_secret(SECRET), hash_secret(OTHER_SECRET)))
    costs: dict[str, list[float]] = {"unknown": [], "one": [], "two": []}
    for _ in range(400):
        for name, client in (("unknown", None), ("one", one), ("two", two)):
            start = perf_counter()
            for _ in range(10):
                secret_matches(client, "a-wrong-secret-of-some-length")
            costs[name].append(perf_counter() - start)

    medians = [median(values) for values in costs.values()]
    assert max(medians) < 1.25 * min(medians)


@pytest.mark.parametrize("secret", ["", "p4ssw0rd", "x" * 15, "tab\tin-a-long-secret", "ü" * 20])
def test_a_secret_that_can_be_guessed_or_not_be_sent_is_refused(secret: str) -> None:
    with pytest.raises(ClientRecordError, match="too short or not printable") as caught:
        hash_secret(secret)
    assert not secret or secret not in str(caught.value)


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": ""},
        {"client_id": "a\nb"},
        {"client_id": "ü"},
        {"client_id": "x" * 257},
        {"secret_hashes": ()},
        {"secret_hashes": (hash_secret(SECRET),) * 3},
        {"secret_hashes": (SECRET,)},
        {"secret_hashes": ("sha256:" + "F" * 64,)},
        {"scopes": frozenset({"two words"})},
        {"scopes": frozenset({'"'})},
        {"scopes": frozenset({""})},
    ],
)
def test_a_record_that_cannot_be_served_is_refused(changes: dict[str, object]) -> None:
    with pytest.raises(ClientRecordError) as caught:
        record(**changes)
    assert SECRET not in str(caught.value)


@pytest.mark.anyio
async def test_the_registry_finds_clients_by_their_exact_id() -> None:
    registry = ClientRegistry([record(), record(client_id="shop")])

    found = await registry.find("shop")

    assert found is not None
    assert found.client_id == "shop"
    assert await registry.find("Shop") is None
    assert repr(registry) == "<ClientRegistry [warehouse, shop]>"


def test_a_client_configured_twice_is_refused() -> None:
    with pytest.raises(ClientRecordError, match="configured twice"):
        ClientRegistry([record(), record()])

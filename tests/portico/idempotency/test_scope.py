"""Where records are, and what their names give away."""

from __future__ import annotations

import pytest
from redis.crc import key_slot

from portico.idempotency.scope import Locator, Scope, record_id

SECRET = b"a secret of 32 bytes, more or less"
LOCATOR = Locator(SECRET)
SHOP = Scope(tenant="acme", client_id="shop", subject="ann")


@pytest.mark.parametrize(
    "other",
    [
        Scope(tenant="other", client_id="shop", subject="ann"),
        Scope(tenant="acme", client_id="till", subject="ann"),
        Scope(tenant="acme", client_id="shop", subject="bob"),
        Scope(tenant="acme", client_id="shopann", subject=""),
        Scope(tenant="acmeshop", client_id="", subject="ann"),
    ],
)
def test_idm_05_the_same_key_of_another_caller_is_another_record(other: Scope) -> None:
    ours, theirs = LOCATOR.locate(SHOP, "key"), LOCATOR.locate(other, "key")

    assert ours.record != theirs.record
    assert ours.upstream_key != theirs.upstream_key


def test_idm_05_the_operation_is_not_part_of_the_name_unless_asked() -> None:
    apart = Locator(SECRET, per_operation=True)

    assert LOCATOR.locate(SHOP, "key", "a").record == LOCATOR.locate(SHOP, "key", "b").record
    assert apart.locate(SHOP, "key", "a").record != apart.locate(SHOP, "key", "b").record
    assert apart.locate(SHOP, "b", "a").record != apart.locate(SHOP, "", "ab").record


def test_idm_03_a_name_has_nothing_of_the_key_or_the_caller() -> None:
    place = LOCATOR.locate(SHOP, "4111-1111-1111-1111")

    name = place.record.decode()
    assert not any(text in name for text in ("4111", "shop", "ann", "acme"))
    assert LOCATOR.locate(SHOP, "4111-1111-1111-1111") == place
    assert Locator(b"another secret of some bytes").locate(SHOP, "key").record != place.record


def test_idm_36_the_upstream_key_is_constant_and_tells_nothing_of_the_record() -> None:
    place = LOCATOR.locate(SHOP, "key")

    assert place.upstream_key == Locator(SECRET).locate(SHOP, "key").upstream_key
    assert len(place.upstream_key) == 40
    assert "key" not in place.upstream_key
    assert place.upstream_key not in place.record.decode()


def test_f19_all_keys_of_a_caller_are_in_one_slot() -> None:
    places = [LOCATOR.locate(SHOP, str(number)) for number in range(20)]

    slots = {key_slot(name) for place in places for name in (place.record, place.quota)}
    assert len(slots) == 1
    assert places[0].record.decode().split("{")[1].startswith(LOCATOR.tag(SHOP))


def test_one_tenant_has_one_tag_whatever_its_clients() -> None:
    assert LOCATOR.tag(SHOP) == LOCATOR.tag(Scope(tenant="acme", client_id="till"))
    assert LOCATOR.tag(Scope(client_id="acme")) != LOCATOR.tag(SHOP)
    assert LOCATOR.tag(Scope(client_id="a")) != LOCATOR.tag(Scope(client_id="b"))


def test_a_record_is_found_again_by_its_id() -> None:
    name = LOCATOR.locate(SHOP, "key").record

    assert LOCATOR.record_name(record_id(name)) == name


@pytest.mark.parametrize("text", ["", "a", "a.", ".b", "a.b.c", "a}.b", "a*.b", "a.b c", "é.b"])
def test_what_is_no_record_id_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="not the id of a record"):
        LOCATOR.record_name(text)


def test_a_short_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="fewer than 16"):
        Locator(b"short")


def test_callers_are_forgotten_when_there_are_many() -> None:
    locator = Locator(SECRET)
    first = locator.locate(Scope(client_id="0"), "key")

    for number in range(10_050):
        locator.locate(Scope(client_id=str(number)), "key")

    assert len(locator._callers) <= 10_000
    assert locator.locate(Scope(client_id="0"), "key") == first


def test_no_id_of_a_record_looks_like_an_option() -> None:
    tags = [LOCATOR.tag(Scope(tenant=f"tenant-{n}", client_id="", subject="")) for n in range(500)]

    assert all(tag[0].isalnum() for tag in tags)

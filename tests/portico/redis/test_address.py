from __future__ import annotations

import pytest

from portico.redis.address import Address, Kind, RedisURLError, parse


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("redis://h", Address(kind=Kind.SERVER, hosts=(("h", 6379),))),
        ("redis://h:1/2", Address(kind=Kind.SERVER, hosts=(("h", 1),), database=2)),
        ("redis://h?db=3", Address(kind=Kind.SERVER, hosts=(("h", 6379),), database=3)),
        ("redis://[::1]:7", Address(kind=Kind.SERVER, hosts=(("::1", 7),))),
        ("rediss://h", Address(kind=Kind.SERVER, hosts=(("h", 6379),), tls=True)),
        (
            "redis://me:p%40ss@h",
            Address(kind=Kind.SERVER, hosts=(("h", 6379),), username="me", password="p@ss"),
        ),
        ("redis://:word@h", Address(kind=Kind.SERVER, hosts=(("h", 6379),), password="word")),
        ("unix:///run/r%20s", Address(kind=Kind.UNIX, path="/run/r s")),
        (
            "unix:///s?db=1&password=p",
            Address(kind=Kind.UNIX, path="/s", database=1, password="p"),
        ),
        (
            "redis+sentinel://a:1,b/orders?db=2",
            Address(
                kind=Kind.SENTINEL, hosts=(("a", 1), ("b", 26379)), service="orders", database=2
            ),
        ),
        (
            "rediss+cluster://a,b:2",
            Address(kind=Kind.CLUSTER, hosts=(("a", 6379), ("b", 2)), tls=True),
        ),
    ],
)
def test_a_url_says_where_redis_is(url: str, address: Address) -> None:
    assert parse(url) == address


@pytest.mark.parametrize(
    "url",
    [
        "",
        "h:6379",
        "http://h",
        "redis+x://h",
        "redis://",
        "redis://h:0",
        "redis://h:65536",
        "redis://h:x",
        "redis://a,b",
        "redis://h/one",
        "redis://h?ssl_cert_reqs=none",
        "unix://relative",
        "unix://",
        "redis+sentinel://h",
        "redis+sentinel://h/a/b",
        "redis+cluster://h/1",
    ],
)
def test_a_url_that_names_no_redis_is_refused(url: str) -> None:
    with pytest.raises(RedisURLError):
        parse(url)


@pytest.mark.parametrize("url", ["x://:secret@h", "redis://:secret@h:0", "redis://:secret@h/one"])
def test_a_refusal_does_not_tell_the_password(url: str) -> None:
    with pytest.raises(RedisURLError) as refused:
        parse(url)
    assert "secret" not in str(refused.value)


def test_an_address_does_not_show_its_password() -> None:
    assert "secret" not in repr(parse("redis://me:secret@h"))

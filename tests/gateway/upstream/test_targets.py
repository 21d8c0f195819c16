"""Base URLs, whose turn it is, and settings that are refused."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.upstream.options import UpstreamOptions
from gateway.upstream.targets import Rotation, Target
from gateway.upstream.upstream import Upstream


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(
    ("base", "path", "query", "joined"),
    [
        ("http://h", b"/items", b"", b"/items"),
        ("http://h/", b"/items", b"a=1", b"/items?a=1"),
        ("http://h/api/v2", b"/items", b"", b"/api/v2/items"),
        ("http://h/api/v2/", b"/", b"", b"/api/v2/"),
        ("http://h/caf%C3%A9", b"/a%2Fb", b"x=%20", b"/caf%C3%A9/a%2Fb?x=%20"),
    ],
)
def test_a_path_is_put_behind_that_of_the_base_url(
    base: str, path: bytes, query: bytes, joined: bytes
) -> None:
    assert Target.parse(base).join(path, query) == joined


@pytest.mark.parametrize(
    ("base", "authority"),
    [
        ("http://h", b"h"),
        ("http://h:80", b"h"),
        ("https://h:8443/x", b"h:8443"),
        ("http://[2001:db8::1]:8080", b"[2001:db8::1]:8080"),
    ],
)
def test_the_authority_is_what_host_says(base: str, authority: bytes) -> None:
    assert Target.parse(base).authority == authority


def rotation(count: int, clock: Clock) -> Rotation:
    targets = [Target.parse(f"http://h{number}") for number in range(count)]
    return Rotation(targets, eject_seconds=5.0, now=clock)


def hosts(rotation: Rotation) -> list[str]:
    return [target.url.host for target in rotation.order()]


def test_every_target_is_first_in_turn() -> None:
    turns = rotation(3, Clock())
    assert [hosts(turns)[0] for _ in range(6)] == ["h0", "h1", "h2", "h0", "h1", "h2"]
    assert hosts(turns) == ["h0", "h1", "h2"]


def test_an_ejected_target_comes_last_until_its_time_is_over() -> None:
    clock = Clock()
    turns = rotation(3, clock)
    turns.eject(turns.targets[1])
    assert repr(turns) == "<Rotation 3 targets, 1 ejected>"
    assert [hosts(turns) for _ in range(3)] == [
        ["h0", "h2", "h1"],
        ["h2", "h0", "h1"],
        ["h2", "h0", "h1"],
    ]
    clock.now += 5.0
    assert repr(turns) == "<Rotation 3 targets, 0 ejected>"
    assert [hosts(turns)[0] for _ in range(3)] == ["h0", "h1", "h2"]


def test_with_all_ejected_the_one_that_returns_first_is_tried_first() -> None:
    clock = Clock()
    turns = rotation(3, clock)
    for index in (2, 0, 1):
        turns.eject(turns.targets[index])
        clock.now += 1.0
    assert hosts(turns) == ["h2", "h0", "h1"]


def test_a_single_target_is_always_tried() -> None:
    turns = rotation(1, Clock())
    turns.eject(turns.targets[0])
    assert hosts(turns) == ["h0"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"name": "Billing API"}, "name must be lower-case words"),
        ({"urls": ()}, "at least one base URL"),
        ({"urls": ("ftp://h",)}, "http:// or https://"),
        ({"urls": ("h:8080",)}, "http:// or https://"),
        ({"urls": ("http://",)}, "and a host"),
        ({"urls": ("http://a..b",)}, "not a host name"),
        ({"urls": ("http://" + "a" * 64,)}, "not a host name"),
        ({"urls": ("http://h:99999",)}, "not a host name and a port"),
        ({"urls": ("http://h:x",)}, "not a URL"),
        ({"urls": ("http://user:hunter2@h",)}, "no user information"),
        ({"urls": ("http://h?a=1",)}, "no user information, query or fragment"),
        ({"urls": ("http://h/a%2fb/%2e%2e/c",)}, "dot segment"),
        ({"connect_seconds": 0}, "connect_seconds must be greater than 0"),
        ({"read_seconds": -1.0}, "read_seconds must be greater than 0"),
        ({"read_seconds": float("nan")}, "read_seconds must be greater than 0"),
        ({"total_seconds": float("inf")}, "total_seconds must be greater than 0"),
        ({"write_seconds": "3"}, "write_seconds must be a number"),
        ({"max_connections": 1.5}, "max_connections must be a number"),
        ({"max_connections": True}, "max_connections must be a number"),
        ({"preserve_host": "yes"}, "preserve_host must be like False"),
        ({"identity_headers": "x-a"}, "identity_headers must be like ()"),
        ({"identity_headers": ("x a",)}, "not a header name"),
        ({"cookies": "some"}, "cookies must be drop or pass"),
        ({"accept_encoding": "gzip"}, "accept_encoding pass or identity"),
        ({"set_headers": (("X-Key", "hunter2\r\nX-Admin: 1"),)}, "is not a header field"),
        ({"pseudonym": "a b"}, "pseudonym must be a token"),
        ({"trusted_proxies": ("10.0.0.1/8",)}, "has host bits set"),
        ({"ca_file": "/nowhere.pem"}, "ca_file /nowhere.pem"),
        ({"client_certificate": "/nowhere.pem"}, "client_certificate /nowhere.pem"),
    ],
)
def test_wrong_options_are_refused_with_a_reason(options: dict[str, Any], message: str) -> None:
    with pytest.raises((ValueError, TypeError)) as raised:
        UpstreamOptions(**{"name": "billing", "urls": ("http://h",), **options})
    assert message in str(raised.value)
    assert "hunter2" not in str(raised.value)


def test_an_upstream_shows_its_state() -> None:
    upstream = Upstream(UpstreamOptions(name="billing", urls=("http://h", "http://i")))
    assert repr(upstream) == (
        "<Upstream billing <Rotation 2 targets, 0 ejected> "
        "<PooledTransport <Slots 0 of 100, 0 waiting>>>"
    )

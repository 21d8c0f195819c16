from __future__ import annotations

import pytest

from portico.redis.routing import one_slot, routing_key


@pytest.mark.parametrize(
    ("command", "key"),
    [
        (["GET", "k"], b"k"),
        ([b"set", b"k", 1], b"k"),
        (["GET", 7], b"7"),
        (["PING"], b""),
        (["info", "memory"], b""),
        (["EVALSHA", "sha", 1, "k", "argument"], b"k"),
        (["EVAL", "return 1", 0], b""),
    ],
)
def test_the_first_key_of_a_command_is_found(command: list[bytes | str | int], key: bytes) -> None:
    assert routing_key(command) == key


def test_keys_with_one_tag_are_in_one_slot() -> None:
    assert one_slot([b"{t}:a", b"{t}:b", b"c:{t}"])


def test_keys_without_a_common_tag_are_not() -> None:
    assert not one_slot([b"t:a", b"t:b"])

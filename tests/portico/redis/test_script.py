from __future__ import annotations

from hashlib import sha1

from portico.redis.script import Script


def test_a_script_is_named_as_redis_names_it() -> None:
    assert Script("answer", "return 42").sha == sha1(b"return 42").hexdigest().encode()


def test_the_name_is_of_the_text_in_utf_8() -> None:
    assert Script("umlaut", "return 'ä'").sha == sha1("return 'ä'".encode()).hexdigest().encode()

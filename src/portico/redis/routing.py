"""Where in a command its first key is, for a cluster."""

from __future__ import annotations

from collections.abc import Sequence

from redis.crc import key_slot

from portico.redis.wire import Word

# Commands about the server; any one answers.
_KEYLESS = frozenset(
    b"ACL CLIENT CLUSTER COMMAND CONFIG DBSIZE ECHO FLUSHALL FLUSHDB FUNCTION INFO KEYS LASTSAVE"
    b" LATENCY MEMORY PING PUBLISH ROLE SCAN SCRIPT SLOWLOG TIME WAIT WAITAOF".split()
)
_KEY_AT = dict.fromkeys(b"EVAL EVALSHA EVAL_RO EVALSHA_RO FCALL FCALL_RO".split(), 3)


def routing_key(command: Sequence[Word]) -> bytes:
    """Return the first key of a command, empty for one without.

    >>> routing_key(["SET", "greeting", "hello"])
    b'greeting'
    """
    name = _bytes(command[0]).upper()
    at = _KEY_AT.get(name, 1)
    if name in _KEYLESS or len(command) <= at:
        return b""
    return _bytes(command[at])


def one_slot(keys: Sequence[bytes]) -> bool:
    """Return whether a script may have these keys in a cluster.

    >>> one_slot([b"{acme}:record", b"{acme}:bucket"])
    True
    """
    return len({key_slot(key) for key in keys}) <= 1


def _bytes(word: Word) -> bytes:
    return word if isinstance(word, bytes) else str(word).encode()

from __future__ import annotations

import pytest
from redis._parsers.base import BaseParser

from portico.redis.errors import Reason, RedisRefused, RedisUnavailable, failure_from

BEFORE_7 = (
    "ERR Error running script (call to f_9e8ca2f8c84ec1a2aff35b05f72f6a2ea2e2a7c8): @user_script:1:"
)


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("OOM command not allowed when used memory > 'maxmemory'.", Reason.OUT_OF_MEMORY),
        ("READONLY You can't write against a read only replica.", Reason.READ_ONLY),
        ("LOADING Redis is loading the dataset in memory", Reason.LOADING),
        ("BUSY Redis is busy running a script.", Reason.BUSY),
        ("CLUSTERDOWN The cluster is down", Reason.CLUSTER_DOWN),
        ("MASTERDOWN Link with MASTER is down", Reason.READ_ONLY),
        ("MISCONF Errors writing to the AOF file: No space left", Reason.WRITE_REFUSED),
        ("NOREPLICAS Not enough good replicas to write.", Reason.WRITE_REFUSED),
        ("NOAUTH Authentication required.", Reason.AUTHENTICATION),
        # Redis 6.2 tells what a command of a script met in the middle of the text.
        (
            f"{BEFORE_7} @user_script: 1: -OOM command not allowed when used memory > 'maxmemory'.",
            Reason.OUT_OF_MEMORY,
        ),
        (f"{BEFORE_7} @user_script: 1: -NOREPLICAS Not enough good.", Reason.WRITE_REFUSED),
    ],
)
def test_a_reply_that_proves_nothing_was_done_says_so(reply: str, reason: Reason) -> None:
    failure = failure_from(BaseParser.parse_error(reply))  # type: ignore[no-untyped-call]  # redis-py
    assert isinstance(failure, RedisUnavailable)
    assert (failure.reason, failure.sent) == (reason, False)


@pytest.mark.parametrize(
    "reply",
    [
        "WRONGTYPE Operation against a key holding the wrong kind of value",
        "ERR unknown command",
        "NOPERM this user has no permissions to run the 'get' command",
        "CROSSSLOT Keys in request don't hash to the same slot",
        f"{BEFORE_7} user_script:1: OOM is my word",
        f"{BEFORE_7} WRONGTYPE Operation against a key holding the wrong kind of value",
        "BUSYGROUP Consumer Group name already exists",
    ],
)
def test_any_other_error_reply_is_a_refusal(reply: str) -> None:
    failure = failure_from(BaseParser.parse_error(reply))  # type: ignore[no-untyped-call]  # redis-py
    assert isinstance(failure, RedisRefused)


def test_a_failure_tells_whether_the_command_may_have_been_executed() -> None:
    text = str(RedisUnavailable(Reason.TIMEOUT, "no reply in time", sent=True))
    assert text == "no reply in time (timeout); it may have been executed"

"""A bounded memory."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as some

from portico.limits.recent import Recent


@given(keys=some.lists(some.integers(0, 40), max_size=300))
def test_it_knows_the_latest_and_never_more_than_twice_its_capacity(keys: list[int]) -> None:
    recent: Recent[int, int] = Recent(10)
    for turn, key in enumerate(keys):
        recent[key] = turn
        assert len(recent) <= 20
        assert recent.get(key) == turn
        latest = list(dict.fromkeys(reversed(keys[: turn + 1])))[:10]
        assert all(known in dict(recent.items()) for known in latest)


def test_what_is_used_stays() -> None:
    recent: Recent[str, int] = Recent(5)
    recent["used"] = 1
    for number in range(1000):
        recent[str(number)] = number
        assert recent.get("used") == 1
    recent.clear()
    assert (len(recent), recent.get("used")) == (0, None)

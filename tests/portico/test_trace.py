"""W3C Trace Context, its own examples first."""

from __future__ import annotations

import re

import pytest

from portico.trace import Trace

ID = "0af7651916cd43dd8448eb211c80319c"
SPAN = "b7ad6b7169203331"
PARENT = f"00-{ID}-{SPAN}-01"


def parse(*parents: str, states: tuple[str, ...] = ()) -> Trace | None:
    return Trace.parse(parents, states)


def test_a_parent_is_read() -> None:
    found = parse(PARENT)

    assert found is not None
    assert (found.trace_id, found.span_id, found.flags, found.state) == (ID, SPAN, 1, "")
    assert found.headers() == [("traceparent", PARENT)]


@pytest.mark.parametrize(
    "parent",
    [
        "",
        "00",
        f"00-{ID.upper()}-{SPAN}-01",
        f"00-{ID}-{SPAN.upper()}-01",
        f"00-{'0' * 32}-{SPAN}-01",
        f"00-{ID}-{'0' * 16}-01",
        f"ff-{ID}-{SPAN}-01",
        f"00-{ID}-{SPAN}-01-more",
        f"00-{ID}-{SPAN}-01-",
        f"00-{ID}-{SPAN}-1",
        f"00-{ID}-{SPAN}-0g",
        f"00-{ID[:-1]}-{SPAN}-01",
        f"00-{ID}-{SPAN}0-01",
        f"00-{ID}{SPAN}-01",
        f"0-{ID}-{SPAN}-01",
        f"01-{ID}-{SPAN}-01more",
        f"{PARENT}\n",
        f"{PARENT}, {PARENT}",
        f"00-{ID}-{SPAN}-٠١",  # digits, but not those of ASCII
    ],
)
def test_what_is_no_parent_starts_anew(parent: str) -> None:
    found = parse(parent, states=("vendor=1",))

    assert found is None or parent.strip() == PARENT


def test_two_parents_are_none() -> None:
    assert parse(PARENT, PARENT) is None
    assert parse() is None


def test_a_later_version_is_read_as_far_as_it_is_known() -> None:
    found = parse(f"cc-{ID}-{SPAN}-01-what-the-future-adds")

    assert found is not None
    assert found.headers() == [("traceparent", PARENT)]


def test_unknown_flags_are_zeroed_and_the_random_flag_kept() -> None:
    found = parse(f"00-{ID}-{SPAN}-ff")

    assert found is not None
    assert found.flags == 0x03


def test_states_are_combined_in_order() -> None:
    found = parse(PARENT, states=("a=1, b=2", "", "c=3,"))

    assert found is not None
    assert found.headers()[1] == ("tracestate", "a=1,b=2,c=3")


def test_a_state_with_a_key_twice_is_dropped() -> None:
    found = parse(PARENT, states=("a=1", "a=2"))

    assert found is not None
    assert found.state == ""


def test_a_state_has_at_most_32_members() -> None:
    found = parse(PARENT, states=tuple(f"k{number}=1" for number in range(40)))

    assert found is not None
    members = found.state.split(",")
    assert (len(members), members[0], members[-1]) == (32, "k0=1", "k31=1")


def test_a_child_is_another_span_of_the_same_trace() -> None:
    found = Trace(ID, SPAN, 1, "a=1")

    child = found.child()

    assert (child.trace_id, child.flags, child.state) == (ID, 1, "a=1")
    assert child.span_id != SPAN
    assert re.fullmatch(r"[0-9a-f]{16}", child.span_id)


def test_a_new_trace_says_that_it_is_random() -> None:
    one, other = Trace.start(), Trace.start()

    assert one.trace_id != other.trace_id
    assert re.fullmatch(r"00-[0-9a-f]{32}-[0-9a-f]{16}-02", one.headers()[0][1])
    assert repr(one) == f"<Trace {one.trace_id} {one.span_id}>"

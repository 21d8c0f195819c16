"""Deadlines nest: what an inner call may take is a share of what is left."""

from __future__ import annotations

import doctest
from time import monotonic

import pytest

from portico import deadline
from portico.deadline import Deadline


def test_time_passes() -> None:
    found = Deadline.after(0.0)

    assert found.expired()
    assert found.remaining() <= 0


def test_what_is_left_is_less_than_what_was_given() -> None:
    found = Deadline.after(10.0)

    assert not found.expired()
    assert 9.0 < found.remaining() <= 10.0


@pytest.mark.parametrize("fraction", [1.0, 0.9, 0.1])
def test_a_share_is_of_what_is_left(fraction: float) -> None:
    outer = Deadline.after(10.0)

    inner = outer.share(fraction)

    assert inner.remaining() == pytest.approx(10.0 * fraction, abs=0.1)
    assert inner.at <= outer.at


def test_a_share_of_nothing_is_nothing() -> None:
    past = Deadline(monotonic() - 5.0)

    assert past.share(0.9).expired()
    assert past.share(0.9).remaining() > -1.0


def test_it_says_how_much_is_left() -> None:
    assert repr(Deadline.after(2.0)).startswith(("<Deadline 2.000s", "<Deadline 1.9"))


def test_the_example_is_true() -> None:
    assert doctest.testmod(deadline).failed == 0

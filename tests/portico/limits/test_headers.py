"""What callers are told, in each syntax."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as some

from portico.limits.bucket import MICROSECONDS
from portico.limits.headers import (
    Field,
    HeaderStyle,
    LimitHeaders,
    retry_after,
    without_limits,
)
from portico.limits.limit import ConcurrencyPolicy, QuotaPolicy, RatePolicy, Strategy
from portico.limits.plans import DemandMaker
from portico.limits.problems import LIMIT_PROBLEM_TYPES
from portico.limits.refusal import refusal
from portico.limits.verdict import Verdict
from portico.problems import PROBLEM_TYPES, problem_from
from tests.portico.limits.setting import READ, plans_of, rate

SECOND = MICROSECONDS
POLICIES = (
    rate("5/second", name="burst", burst=20),
    RatePolicy(name="daily", limits="1000/day", strategy=Strategy.WINDOW),
)
NOW = 1_790_000_000 * SECOND + 1
# A list of strings with integer, string, token and byte parameters (RFC 9651).
_PARAMETER = r";[a-z][a-z0-9_.*-]*(?:=(?:-?\d{1,15}|\"[ !#-\[\]-~]*\"|:[A-Za-z0-9+/=]*:|[a-z]+))?"
_ITEM = rf"\"[ !#-\[\]-~]*\"(?:{_PARAMETER})*"
SF_LIST = re.compile(rf"{_ITEM}(?:, {_ITEM})*")


def verdict_of(*policies: object, numbers: list[int], cost: int = 1, **options: object) -> Verdict:
    maker = DemandMaker(plans_of(*policies))  # type: ignore[arg-type]  # policies of any kind
    demand = maker.demand(READ, client_id="partner", tag="T")
    assert demand is not None
    demand.costs = tuple(cost for _ in demand.buckets)
    return Verdict(demand, numbers, **options)  # type: ignore[arg-type]  # keywords of Verdict


ALLOWED = [0, NOW, 0, 19, 0, 200_000, 200_000, 0, 998, 0, 3_600_000_001, 86_399_000_000]
REFUSED = [1, NOW, 1, 0, 200_001, 200_001, 4_000_000, 0, 998, 0, 3_600_000_000, 86_399_000_000]


def test_rl_02_draft_11_has_two_lists_of_strings_with_whole_seconds() -> None:
    fields = LimitHeaders().fields(verdict_of(*POLICIES, numbers=ALLOWED))
    assert fields == [
        (b"ratelimit-policy", b'"burst";q=5;w=1;portico-burst=20, "daily";q=1000;w=86400'),
        (b"ratelimit", b'"burst";r=19;t=1, "daily";r=998;t=3601'),
    ]


def test_rl_02_quota_units_and_partition_keys_are_told() -> None:
    policies = (ConcurrencyPolicy(name="at-once", at_once=3), QuotaPolicy(name="m", per_month=9))
    verdict = verdict_of(*policies, numbers=[0, NOW, 0, 2, 0, 0, 0, 0, 8, 0, 5 * SECOND, SECOND])
    policy, limit = (
        value.decode() for _, value in LimitHeaders(partition_keys=True).fields(verdict)
    )
    assert re.fullmatch(
        r'"at-once";q=3;qu="concurrent-requests";pk=:[A-Za-z0-9+/]{12}:,'
        r' "m";q=9;pk=:[A-Za-z0-9+/]{12}:',
        policy,
    )
    assert re.fullmatch(r'"at-once";r=2;pk=:.{12}:, "m";r=8;t=5;pk=:.{12}:', limit)
    assert policy.split("pk=")[1][:14] == limit.split("pk=")[1][:14]


@given(numbers=some.lists(some.integers(0, 10**12), min_size=10, max_size=10))
def test_rl_02_what_is_sent_is_always_a_structured_field(numbers: list[int]) -> None:
    for refused in (0, 1):
        states = [refused, *numbers[:4], 0, *numbers[5:9]]
        verdict = verdict_of(*POLICIES, numbers=[refused, NOW, *states])
        for keys in (False, True):
            for _, value in LimitHeaders(partition_keys=keys).fields(verdict):
                assert SF_LIST.fullmatch(value.decode("ascii")), value


def test_rl_01_a_refusal_is_429_with_retry_after_of_at_least_one_whole_second() -> None:
    problem = refusal(verdict_of(*POLICIES, numbers=REFUSED), LimitHeaders())
    assert problem.status == 429
    assert dict(problem.headers)["retry-after"] == "1"
    numbers = [*REFUSED[:4], 2 * SECOND + 1, *REFUSED[5:]]
    assert retry_after(verdict_of(*POLICIES, numbers=numbers)) == (b"retry-after", b"3")


def test_rl_03_retry_after_is_not_before_the_end_of_any_window_that_is_told() -> None:
    """The day's window is not told with a refusal it has nothing to do with."""
    problem = refusal(verdict_of(*POLICIES, numbers=REFUSED), LimitHeaders())
    fields = dict(problem.headers)
    assert fields["ratelimit"] == '"burst";r=0;t=1'
    assert fields["ratelimit-policy"].count(";q=") == 2
    assert int(fields["retry-after"]) >= 1


def test_rl_04_the_problem_is_the_registered_one_and_names_the_limits() -> None:
    problem = refusal(verdict_of(*POLICIES, numbers=REFUSED), LimitHeaders())
    document = problem.document(type_base="/portal/problems/", request_id="")
    registered = "https://iana.org/assignments/http-problem-types#"
    assert document["type"] == f"{registered}quota-exceeded"
    assert document["violated-policies"] == ["burst"]
    closed = verdict_of(*POLICIES, numbers=[1, NOW, *[0] * 10], is_local=True, closed=["burst"])
    problem = refusal(closed, LimitHeaders())
    document = problem.document(type_base="/portal/problems/", request_id="")
    assert document["type"] == f"{registered}temporary-reduced-capacity"
    assert (document["status"], document["violated-policies"]) == (503, ["burst"])
    assert int(dict(problem.headers)["retry-after"]) >= 1


def test_rl_04_the_problems_are_in_the_catalogue_and_known_again_by_their_uri() -> None:
    for kind in LIMIT_PROBLEM_TYPES:
        assert PROBLEM_TYPES[kind.slug] is kind
        uri = kind.uri or f"https://elsewhere.example/portal/problems/{kind.slug}"
        assert problem_from(kind.status, {"type": uri}).kind is kind


def test_rl_11_what_can_never_be_allowed_is_no_429_and_has_no_retry_after() -> None:
    numbers = [2, NOW, 2, 20, 0, 0, 0, 0, 998, 0, 1, 1]
    problem = refusal(verdict_of(*POLICIES, numbers=numbers, cost=21), LimitHeaders())
    assert (problem.status, problem.kind.slug) == (403, "request-exceeds-quota")
    assert "retry-after" not in dict(problem.headers)
    assert problem.extensions == {"violated-policies": ["burst"]}


@pytest.mark.parametrize("status", [200, 201, 404, 409, 429, 500, 503])
def test_rl_05_any_status_has_the_fields(status: int) -> None:
    assert len(LimitHeaders().fields(verdict_of(*POLICIES, numbers=ALLOWED), status)) == 2


@pytest.mark.parametrize("status", [301, 302, 303, 304, 307, 308])
def test_rl_05_a_redirection_has_none(status: int) -> None:
    assert LimitHeaders().fields(verdict_of(*POLICIES, numbers=ALLOWED), status) == []


def test_rl_06_the_fields_of_an_upstream_stay_and_ours_get_other_names() -> None:
    theirs: list[Field] = [
        (b"ratelimit-policy", b'"daily";q=9;w=86400'),
        (b"ratelimit", b'"daily";r=1'),
    ]
    verdict = verdict_of(*POLICIES, numbers=ALLOWED)
    assert LimitHeaders().beside(theirs, verdict) == [
        (b"ratelimit-policy", b'"burst";q=5;w=1;portico-burst=20, "gateway-daily";q=1000;w=86400'),
        (b"ratelimit", b'"burst";r=19;t=1, "gateway-daily";r=998;t=3601'),
    ]
    assert LimitHeaders().beside([(b"etag", b'"x"')], verdict) == LimitHeaders().fields(verdict)


def test_rl_06_a_field_that_can_be_there_once_is_left_to_the_upstream() -> None:
    theirs: list[Field] = [(b"x-ratelimit-remaining", b"3")]
    verdict = verdict_of(*POLICIES, numbers=ALLOWED)
    assert LimitHeaders(HeaderStyle.X).beside(theirs, verdict) == []
    assert len(LimitHeaders(HeaderStyle.DRAFT_06).beside(theirs, verdict)) == 4


def test_rl_07_no_field_about_limits_is_stored() -> None:
    verdict = verdict_of(*POLICIES, numbers=ALLOWED, is_local=True)
    for style in HeaderStyle:
        sent = LimitHeaders(style).fields(verdict)
        kept = without_limits([(b"etag", b'"x"'), *sent, (b"Retry-After", b"1")])
        assert kept == [(b"etag", b'"x"')]


def test_draft_06_has_four_fields_about_the_limit_that_is_closest() -> None:
    fields = LimitHeaders(HeaderStyle.DRAFT_06).fields(verdict_of(*POLICIES, numbers=ALLOWED))
    assert fields == [
        (b"ratelimit-limit", b"20"),
        (b"ratelimit-remaining", b"19"),
        (b"ratelimit-reset", b"1"),
        (b"ratelimit-policy", b'5;w=1;burst=20;name="burst", 1000;w=86400;name="daily"'),
    ]


def test_x_tells_the_reset_on_the_clock_that_counted() -> None:
    fields = LimitHeaders(HeaderStyle.X).fields(verdict_of(*POLICIES, numbers=REFUSED))
    assert fields == [
        (b"x-ratelimit-limit", b"20"),
        (b"x-ratelimit-remaining", b"0"),
        (b"x-ratelimit-reset", b"1790000002"),
    ]


def test_off_sends_nothing_but_retry_after() -> None:
    verdict = verdict_of(*POLICIES, numbers=REFUSED)
    assert LimitHeaders(HeaderStyle.OFF).fields(verdict) == []
    assert refusal(verdict, LimitHeaders(HeaderStyle.OFF)).headers == (("retry-after", "1"),)


@pytest.mark.parametrize("style", [HeaderStyle.DRAFT_11, HeaderStyle.DRAFT_06, HeaderStyle.X])
def test_rl_12_counting_alone_is_flagged(style: HeaderStyle) -> None:
    verdict = verdict_of(*POLICIES, numbers=ALLOWED, is_local=True)
    assert (b"portico-ratelimit-scope", b"process") in LimitHeaders(style).fields(verdict)

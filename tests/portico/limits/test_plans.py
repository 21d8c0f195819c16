"""Which limits a request meets, and whose buckets they are."""

from __future__ import annotations

from typing import Any

import pytest

from portico.limits.bucket import LimitError, Per, Unit
from portico.limits.demand import KeySpace
from portico.limits.limit import ConcurrencyPolicy, QuotaPolicy, RatePolicy, Subject
from portico.limits.plans import DemandMaker, Plans
from tests.portico.limits.setting import OPERATIONS, READ, WRITE, plans_of, rate


def test_a_plan_that_changes_holds_from_the_next_request_on() -> None:
    plan_of: dict[str, str] = {}
    plans = Plans(
        {"free": [rate("5/second")], "gold": [rate("500/second")]},
        operations=OPERATIONS,
        default="free",
        plan_of=plan_of.get,
    )
    maker = DemandMaker(plans)
    before = maker.demand(READ, client_id="partner")
    plan_of["partner"] = "gold"
    after = maker.demand(READ, client_id="partner")
    assert before is not None
    assert after is not None
    assert (before.buckets[0].amount, after.buckets[0].amount) == (5, 500)
    # The same key: what was consumed is not forgotten by a change of plan.
    assert before.keys == after.keys


def test_plans_may_be_replaced_as_a_whole() -> None:
    maker = DemandMaker(plans_of(rate("5/second")))
    maker.demand(READ, client_id="partner")
    maker.plans = plans_of(rate("7/second"))
    demand = maker.demand(READ, client_id="partner")
    assert demand is not None
    assert demand.buckets[0].amount == 7


def test_a_client_of_no_known_plan_has_the_default_and_nobody_has_the_anonymous_one() -> None:
    plans = Plans(
        {"free": [], "gold": [], "public": []},
        operations=OPERATIONS,
        default="free",
        anonymous="public",
        plan_of={"a": "gold", "b": "withdrawn"}.get,
    )
    assert [plans.plan(client) for client in ("a", "b", "c", "")] == [
        "gold",
        "free",
        "free",
        "public",
    ]


def test_what_has_no_limits_asks_nothing() -> None:
    plans = plans_of(rate("5/second", operations=frozenset({WRITE})))
    maker = DemandMaker(plans)
    assert maker.demand(READ, client_id="partner") is None
    assert maker.demand("unknown", client_id="partner") is None
    assert maker.demand(WRITE, client_id="partner") is not None


def test_rl_10_buckets_belong_to_client_operation_address_or_client_and_operation() -> None:
    def keys(per: Per, **who: Any) -> tuple[bytes, bytes]:
        maker = DemandMaker(plans_of(rate("5/second", per=per)))
        read, write = maker.demand(READ, **who), maker.demand(WRITE, **who)
        assert read is not None
        assert write is not None
        return read.keys[0], write.keys[0]

    who = {"client_id": "partner", "address": "2001:db8::9", "tag": "T"}
    start = b"portico:limit:g:{T}:default:"
    shared = b"portico:limit:g:{shared}:default:"
    assert keys(Per.CLIENT, **who) == (start + b"client/partner",) * 2
    assert keys(Per.OPERATION, **who) == (shared + b"shop:read", shared + b"shop:write")
    assert keys(Per.ADDRESS, **who) == (shared + b"2001:db8::/64",) * 2
    assert keys(Per.CLIENT_OPERATION, **who) == (
        start + b"shop:read/client/partner",
        start + b"shop:write/client/partner",
    )
    # A caller without a client is known by its address, and cannot pass for a client.
    anonymous = keys(Per.CLIENT, address="192.0.2.7", tag="T")
    assert anonymous == (start + b"address/192.0.2.7",) * 2
    assert keys(Per.CLIENT, client_id="192.0.2.7", tag="T") != anonymous


def test_all_keys_have_one_hash_tag_where_a_cluster_needs_it() -> None:
    plans = plans_of(rate("5/second"), rate("9/second", name="all", per=Per.OPERATION))
    assert plans.shares_buckets
    maker = DemandMaker(plans, KeySpace("p", tag="one"))
    demand = maker.demand(READ, client_id="partner", tag="other")
    assert demand is not None
    assert {key.split(b"{")[1].split(b"}")[0] for key in demand.keys} == {b"one"}
    assert not plans_of(rate("5/second")).shares_buckets


def test_a_subject_of_any_length_and_kind_makes_a_short_key() -> None:
    maker = DemandMaker(plans_of(rate("5/second")))
    demand = maker.demand(READ, client_id="{x}\udcff" * 5000, tag="T")
    assert demand is not None
    assert len(demand.keys[0]) < 100


def test_a_cost_may_depend_on_the_operation_and_on_the_request() -> None:
    def per_item(subject: Subject) -> int:
        return 2 if subject.operation == READ else subject.content_bytes // 100

    plans = plans_of(
        rate("100/second", cost=3, costs={WRITE: 7}),
        rate("100/day", name="items", cost=per_item),
        rate("1000/day", name="bytes", unit=Unit.CONTENT_BYTES),
    )
    maker = DemandMaker(plans)
    read = maker.demand(READ, client_id="partner")
    write = maker.demand(WRITE, client_id="partner", content_bytes=500)
    assert read is not None
    assert write is not None
    assert (read.costs, write.costs) == ((3, 2, 1), (7, 5, 500))


def test_requests_that_ask_the_same_share_one_demand() -> None:
    maker = DemandMaker(plans_of(rate("5/second")))
    one = maker.demand(READ, client_id="a", address="192.0.2.1")
    assert maker.demand(READ, client_id="a", address="192.0.2.2") is one
    assert maker.demand(READ, client_id="b") is not one


def test_each_request_asks_for_a_lease_of_its_own() -> None:
    maker = DemandMaker(plans_of(ConcurrencyPolicy(name="at-once", at_once=2)))
    demands = [maker.demand(READ, client_id="a") for _ in range(2)]
    leases = {demand.leases[0].id for demand in demands if demand is not None}
    assert len(leases) == 2


@pytest.mark.parametrize(
    ("plans", "message"),
    [
        ({"free": [rate("5/second", operations=frozenset({"shop:sell"}))]}, "shop:sell"),
        ({"free": [rate("5/second", costs={"shop:sell": 2})]}, "shop:sell"),
        ({"free": [rate("nonsense")]}, "plan free: expected limits"),
        ({"free": [rate("5/second"), QuotaPolicy(name="default", per_month=9)]}, "two limits"),
        ({"free": [rate("5/second", name="base")]}, "two limits 'base'"),
        ({"gold": [rate("5/second")]}, "no plan 'free'"),
        ({"free": [], "a b": []}, "small letters"),
    ],
)
def test_plans_that_cannot_be_enforced_are_refused_and_say_where(
    plans: dict[str, list[RatePolicy]], message: str
) -> None:
    with pytest.raises(LimitError, match=message):
        Plans(plans, operations=OPERATIONS, default="free", always=[rate("1/second", name="base")])


def test_rl_08_nothing_that_is_told_names_a_caller() -> None:
    maker = DemandMaker(plans_of(rate("5/second")))
    demand = maker.demand(READ, client_id="very-secret-partner", address="192.0.2.7")
    assert demand is not None
    assert b"secret" not in demand.policy_field + demand.limit_format
    assert "secret" not in repr(demand)

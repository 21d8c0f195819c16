"""The decision core, whatever happens in which order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from process_apis.customer_sync.decision import (
    Decision,
    Side,
    decide,
    look_back,
    postpone,
    settle,
)
from process_apis.customer_sync.fields import FIELDS, HOLDERS, SYSTEMS

OWNERS = {
    "name": "salesforce",
    "phone": "salesforce",
    "email": "quickbooks",
    "taxId": "tryton",
}
SHARED = "billingAddress"
ALL = {"name": "Quay Nine", "phone": "1", "email": "a@b.example", SHARED: {"city": "Delft"}}


def held(system: str, values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if system in HOLDERS[name]}


def in_step(system: str, **now: Any) -> Side:
    known = held(system, ALL)
    return Side(system=system, now={**known, **now}, seen=known, sent=known)


def told(decision: Decision, system: str) -> Mapping[str, Any]:
    return decision.writes.get(system, {})


def test_what_nobody_changed_is_not_written() -> None:
    decision = decide(ALL, [in_step(system) for system in SYSTEMS], OWNERS, {})

    assert decision == Decision(agreed=ALL, writes={}, disputes=[], put_back=[])


def test_what_the_owner_says_goes_to_the_others() -> None:
    sides = [in_step("salesforce", phone="2"), in_step("tryton"), in_step("quickbooks")]

    decision = decide(ALL, sides, OWNERS, {})

    assert decision.writes == {"tryton": {"phone": "2"}, "quickbooks": {"phone": "2"}}
    assert decision.put_back == []


def test_what_another_says_of_an_owned_field_is_put_back_and_recorded() -> None:
    sides = [in_step("salesforce"), in_step("tryton", phone="3"), in_step("quickbooks")]

    decision = decide(ALL, sides, OWNERS, {})

    assert decision.writes == {"tryton": {"phone": "1"}}
    assert [(each.system, each.field, each.value) for each in decision.put_back] == [
        ("tryton", "phone", "3")
    ]


def test_the_owner_wins_where_both_changed_the_field() -> None:
    sides = [in_step("salesforce", phone="2"), in_step("tryton", phone="3")]

    decision = decide(ALL, sides, OWNERS, {})

    assert decision.agreed["phone"] == "2"
    assert decision.writes == {"tryton": {"phone": "2"}}
    assert len(decision.put_back) == 1


def test_different_fields_changed_at_once_are_merged_by_their_owners() -> None:
    sides = [
        in_step("salesforce", name="Quay Ten"),
        in_step("tryton", **{SHARED: {"city": "Breda"}}),
        in_step("quickbooks", email="new@b.example"),
    ]

    decision = decide(ALL, sides, OWNERS, {})

    new = {"name": "Quay Ten", "email": "new@b.example", SHARED: {"city": "Breda"}}
    assert decision.agreed == {**ALL, **new}
    assert told(decision, "salesforce") == {SHARED: {"city": "Breda"}}
    assert told(decision, "tryton") == {"name": "Quay Ten", "email": "new@b.example"}
    assert told(decision, "quickbooks") == {"name": "Quay Ten", SHARED: {"city": "Breda"}}


def test_a_field_of_nobody_that_two_changed_is_disputed_and_not_written() -> None:
    one, other = {"city": "Breda"}, {"city": "Gouda"}
    sides = [in_step("salesforce", **{SHARED: one}), in_step("tryton", **{SHARED: other})]

    decision = decide(ALL, sides, OWNERS, {})
    (dispute,) = decision.disputes

    assert dispute.said == {"salesforce": one, "tryton": other}
    assert decision.writes == {}
    assert decision.agreed == ALL
    again = decide(ALL, [in_step("quickbooks")], OWNERS, {SHARED: dispute.said})
    assert again.disputes == []
    assert again.writes == {}


def test_one_that_changed_a_field_before_it_heard_of_another_change_disputes_it() -> None:
    agreed = {**ALL, SHARED: {"city": "Breda"}}
    behind = in_step("quickbooks", **{SHARED: {"city": "Gouda"}})

    (dispute,) = decide(agreed, [behind], OWNERS, {}).disputes

    assert dispute.field == SHARED


def test_a_system_that_is_to_get_the_customer_gets_what_it_can_hold() -> None:
    decision = decide(ALL, [in_step("salesforce")], OWNERS, {}, ["tryton", "quickbooks"])

    assert decision.writes == {system: held(system, ALL) for system in ("tryton", "quickbooks")}


def test_a_customer_whose_name_is_in_dispute_is_created_nowhere() -> None:
    sides = [
        Side(system="tryton", now={"name": "Quay Nine"}),
        Side(system="quickbooks", now={"name": "Quay 9"}),
    ]

    decision = decide({}, sides, OWNERS, {}, ["salesforce"])

    assert [each.field for each in decision.disputes] == ["name"]
    assert decision.writes == {}


def test_what_its_owner_emptied_stays_empty_there_and_is_filled_elsewhere() -> None:
    sides = [in_step("salesforce", phone=None), in_step("tryton", phone=None)]

    decision = decide(ALL, sides, OWNERS, {})

    assert decision.writes == {"tryton": {"phone": "1"}}


@dataclass
class World:
    """Three systems, what is kept of them, and how many writes there were."""

    real: dict[str, dict[str, Any]] = field(
        default_factory=lambda: {system: held(system, ALL) for system in SYSTEMS}
    )
    agreed: dict[str, Any] = field(default_factory=lambda: dict(ALL))
    kept: dict[str, tuple[dict[str, Any], dict[str, Any]]] = field(
        default_factory=lambda: {s: (held(s, ALL), held(s, ALL)) for s in SYSTEMS}
    )
    disputed: dict[str, dict[str, Any]] = field(default_factory=dict)
    writes: int = 0

    def sync(self, down: set[str], crash_after: int, meanwhile: tuple[str, str, Any]) -> None:
        """Run one sync, which may end after some writes and with nothing kept."""
        sides = [
            Side(system=s, now=None if s in down else dict(self.real[s]), seen=seen, sent=sent)
            for s, (seen, sent) in self.kept.items()
        ]
        decision = decide(self.agreed, sides, OWNERS, self.disputed)
        system, name, value = meanwhile
        if system in SYSTEMS and system in HOLDERS[name]:
            self.real[system][name] = value
        after = []
        for side in sides:
            written = decision.writes.get(side.system, {})
            if written:
                if crash_after == 0:
                    return
                crash_after -= 1
                self.real[side.system].update(written)
                self.writes += 1
            after.append(settle(look_back(side, decision, self.disputed), written, written))
        self.agreed = dict(decision.agreed)
        self.disputed |= {each.field: dict(each.said) for each in decision.disputes}
        for side in after:
            if side.now is not None:
                self.kept[side.system] = (dict(side.seen), dict(side.sent))

    def resolve(self) -> None:
        for name, said in self.disputed.items():
            self.agreed[name] = next(iter(said.values()))
        self.disputed = {}


PLACES = [(system, name) for name in FIELDS for system in HOLDERS[name]]
CHANGES = st.tuples(st.sampled_from(PLACES), st.sampled_from(["a", "b", "c"])).map(
    lambda found: (*found[0], found[1])
)
NOTHING: tuple[str, str, Any] = ("", "name", None)
SYNCS = st.tuples(
    st.sets(st.sampled_from(SYSTEMS), max_size=2),
    st.sampled_from([0, 1, 2, 9]),
    st.one_of(st.just(NOTHING), CHANGES),
)


@settings(max_examples=400, deadline=None)
@given(st.lists(st.one_of(CHANGES, SYNCS), max_size=14))
def test_systems_come_into_step_whatever_happens_meanwhile(events: list[Any]) -> None:
    world = World()
    for event in events:
        if isinstance(event[0], str):
            world.real[event[0]][event[1]] = event[2]
        else:
            world.sync(*event)
    last_of_owner = {
        name: world.real[owner][name]
        for name, owner in OWNERS.items()
        if owner in HOLDERS[name] and name in world.real[owner]
    }

    for _ in range(3):
        world.sync(set(), 9, NOTHING)
        world.resolve()
    world.sync(set(), 9, NOTHING)

    for name in FIELDS:
        said = [world.real[s][name] for s in HOLDERS[name] if name in world.real[s]]
        assert all(value == said[0] for value in said), name
        if name in last_of_owner:
            assert said[0] == last_of_owner[name]
    before = world.writes
    for _ in range(3):
        world.sync(set(), 9, NOTHING)
    assert world.writes == before


@given(st.sampled_from(["a", "b"]), st.sampled_from(["a", "b"]))
def test_what_two_systems_say_of_a_field_of_nobody_is_never_lost(one: str, other: str) -> None:
    sides = [in_step("salesforce", **{SHARED: one}), in_step("quickbooks", **{SHARED: other})]

    decision = decide(ALL, sides, OWNERS, {})

    told_or_asked = set(map(str, (decision.agreed[SHARED], *_said(decision))))
    assert {one, other} <= told_or_asked


def _said(decision: Decision) -> list[Any]:
    return [value for dispute in decision.disputes for value in dispute.said.values()]


@pytest.mark.parametrize("system", SYSTEMS)
def test_a_write_that_could_not_be_made_is_made_the_next_time(system: str) -> None:
    side = in_step(system)
    agreed = {**ALL, "name": "Quay Ten"}
    decision = decide(agreed, [side], {}, {})

    later = postpone(look_back(side, decision, ()), decision.writes[system])

    assert decide(agreed, [later], {}, {}).writes == decision.writes

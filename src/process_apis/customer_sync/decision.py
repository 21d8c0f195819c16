"""What is to be done about one customer: a pure function of what was agreed and what is there.

Each field is merged by itself, of three states: what a system said when it was last looked at
(`seen`), what it says now, and what was agreed between the systems. It makes no difference how
often, how late or in which order changes are heard of.

1. What the owner of a field says now is agreed. What another system says is put back.
2. A field without an owner, or whose owner does not hold the customer, is what the only system
   says that changed it. Several that say different things dispute it, and so does one that changed
   it before it heard what was agreed meanwhile.
3. A disputed field is not written until somebody decided.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from process_apis.customer_sync.fields import FIELDS, HOLDERS, Values


@dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """A customer in one system. `now` is None while the system cannot be asked.

    `sent` is what was agreed when the system was last told.
    """

    system: str
    now: Values | None
    seen: Values = field(default_factory=dict)
    sent: Values = field(default_factory=dict)

    def changed(self, name: str) -> bool:
        """Tell whether a field is another than when it was last seen."""
        return self.holds(name) and self.value(name) != self.seen.get(name)

    def holds(self, name: str) -> bool:
        return self.now is not None and self.system in HOLDERS[name]

    def value(self, name: str) -> Any:
        return None if self.now is None else self.now.get(name)


@dataclass(frozen=True, slots=True, kw_only=True)
class Dispute:
    """Systems that say different things, and what each says."""

    field: str
    said: Values


@dataclass(frozen=True, slots=True, kw_only=True)
class PutBack:
    """What a system said of a field that is not its own."""

    system: str
    field: str
    value: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What is agreed from now on, what each system is to be told, and what people hear of."""

    agreed: Values
    writes: Mapping[str, Values]
    disputes: Sequence[Dispute]
    put_back: Sequence[PutBack]


@dataclass(frozen=True, slots=True, kw_only=True)
class _Verdict:
    value: Any
    dispute: Dispute | None = None
    owner: str = ""


def decide(
    agreed: Values,
    sides: Sequence[Side],
    owners: Mapping[str, str],
    disputed: Mapping[str, Values],
    create_in: Sequence[str] = (),
) -> Decision:
    """Return what is to be done; `create_in` are the systems that are to get the customer.

    `disputed` are the fields somebody is to decide about, and what was said of each.
    """
    verdicts = {
        name: _still_disputed(name, agreed, sides, disputed[name])
        if name in disputed
        else _judge(name, agreed.get(name), sides, owners)
        for name in FIELDS
    }
    after = {name: each.value for name, each in verdicts.items() if each.value is not None}
    closed = {name for name, each in verdicts.items() if each.dispute is None} - disputed.keys()
    writes = {side.system: _due(side, after, closed, verdicts) for side in sides}
    # No system takes a customer without a name; it is in dispute before anything is agreed.
    for system in create_in if "name" in after else ():
        writes[system] = {name: after[name] for name in after if system in HOLDERS[name]}
    return Decision(
        agreed=after,
        writes={system: values for system, values in writes.items() if values},
        disputes=[each.dispute for each in verdicts.values() if each.dispute is not None],
        put_back=[
            entry for name in FIELDS if name in closed for entry in _rejected(name, verdicts, sides)
        ],
    )


def look_back(side: Side, decision: Decision, disputed: Collection[str]) -> Side:
    """Return a side as it is known after it was read, and before it is told anything.

    What it says already it was told. Of a field in dispute nobody was told anything yet.
    """
    if side.now is None:
        return side
    unsettled = {*disputed, *(each.field for each in decision.disputes)}
    equal = {name: value for name, value in decision.agreed.items() if side.value(name) == value}
    sent = {name: value for name, value in side.sent.items() if name not in unsettled}
    sent |= {name: value for name, value in equal.items() if name not in unsettled}
    return Side(system=side.system, now=side.now, seen=side.now, sent=sent)


def settle(side: Side, written: Values, shown: Values) -> Side:
    """Return a side that was told `written`; `shown` is how its system has that now.

    Other fields stay as they were read: a change made meanwhile is still to be seen.
    """
    seen = {name: value for name, value in side.seen.items() if name not in written}
    seen |= {name: shown[name] for name in written if name in shown}
    return Side(system=side.system, now=side.now, seen=seen, sent={**side.sent, **written})


def postpone(side: Side, written: Values) -> Side:
    """Return a side that could not be told: it is told when it is next asked."""
    sent = {name: value for name, value in side.sent.items() if name not in written}
    return Side(system=side.system, now=side.now, seen=side.seen, sent=sent)


def _judge(name: str, agreed: Any, sides: Sequence[Side], owners: Mapping[str, str]) -> _Verdict:
    changed = [side for side in sides if side.changed(name) and side.value(name) is not None]
    owner = next((side for side in sides if side.system == owners.get(name)), None)
    if owner is not None:
        if owner in changed:
            return _Verdict(value=owner.value(name), owner=owner.system)
        if agreed is not None:
            return _Verdict(value=agreed, owner=owner.system)
    if not changed:
        return _Verdict(value=agreed)
    values = [side.value(name) for side in changed]
    behind = [side for side in changed if _is_behind(side, name, agreed)]
    if behind or any(value != values[0] for value in values):
        return _Verdict(value=agreed, dispute=Dispute(field=name, said=_said(name, sides)))
    return _Verdict(value=values[0])


def _is_behind(side: Side, name: str, agreed: Any) -> bool:
    """Tell whether a system changed a field before it was told what was agreed meanwhile."""
    return agreed is not None and side.sent.get(name) != agreed and side.value(name) != agreed


def _still_disputed(name: str, agreed: Values, sides: Sequence[Side], before: Values) -> _Verdict:
    """Return the dispute again if somebody said something new."""
    value = agreed.get(name)
    if not any(side.changed(name) for side in sides):
        return _Verdict(value=value)
    return _Verdict(value=value, dispute=Dispute(field=name, said={**before, **_said(name, sides)}))


def _said(name: str, sides: Sequence[Side]) -> Values:
    return {side.system: side.value(name) for side in sides if side.value(name) is not None}


def _due(
    side: Side, agreed: Values, closed: set[str], verdicts: Mapping[str, _Verdict]
) -> dict[str, Any]:
    """Return what a system is to be told."""
    due = {}
    for name in closed & agreed.keys():
        value, own = agreed[name], verdicts[name].owner == side.system
        if not side.holds(name) or side.value(name) == value:
            continue
        # What its owner emptied stays empty there; elsewhere an empty field says nothing.
        emptied = own and side.value(name) is None
        if side.sent.get(name) != value or (side.changed(name) and not emptied):
            due[name] = value
    return due


def _rejected(name: str, verdicts: Mapping[str, _Verdict], sides: Sequence[Side]) -> list[PutBack]:
    verdict = verdicts[name]
    return [
        PutBack(system=side.system, field=name, value=side.value(name))
        for side in sides
        if side.system != verdict.owner
        and side.changed(name)
        and name in side.seen
        and side.value(name) != verdict.value
    ]

"""Named plans, and which of their limits a request meets."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence

from portico.limits.bucket import Bucket, Kind, LimitError, Per
from portico.limits.demand import Demand, KeySpace, policy_field
from portico.limits.limit import Charge, Policy, Subject, charges, check_name
from portico.limits.recent import Recent

PlanOf = Callable[[str], str | None]

# Demands that are remembered, in each of two generations; about 1.5 KB each.
_REMEMBERED = 4096


class Rule:
    """What a request of one operation costs under one plan."""

    __slots__ = ("by_address", "charges", "is_static", "policy_field")

    def __init__(self, charges: Sequence[Charge]) -> None:
        self.charges = tuple(charges)
        self.policy_field = policy_field([charge.bucket for charge in charges])
        self.by_address = any(charge.bucket.per is Per.ADDRESS for charge in charges)
        # Such a demand is the same for every request of a caller.
        self.is_static = all(
            isinstance(charge.cost, int) and charge.bucket.kind is not Kind.CONCURRENCY
            for charge in charges
        )


class Plans:
    """Plans by name, compiled for the operations there are.

    `plan_of` is asked with the client of every request, so a client's plan changes when its answer
    does; a client it knows no plan of has the default one. Callers without a client have the plan
    `anonymous`. The policies of `always` bind everyone. Raises LimitError.
    """

    def __init__(
        self,
        plans: Mapping[str, Sequence[Policy]],
        *,
        operations: Iterable[str],
        default: str,
        anonymous: str = "",
        always: Sequence[Policy] = (),
        plan_of: PlanOf = lambda _: None,
    ) -> None:
        known = frozenset(operations)
        for name in (default, anonymous or default):
            if name not in plans:
                raise LimitError(f"there is no plan {name!r}; there are {', '.join(plans)}")
        self._default = default
        self._anonymous = anonymous or default
        self._plan_of = plan_of
        shared = _compiled("", always, known)
        self._rules = {}
        for name, policies in plans.items():
            compiled = [*shared, *_compiled(name, policies, known)]
            _check_distinct(name, compiled)
            self._rules[name] = _rules(compiled, known)
        self._shares_buckets = any(
            charge.bucket.per in (Per.OPERATION, Per.ADDRESS)
            for rules in self._rules.values()
            for rule in rules.values()
            for charge in rule.charges
        )

    @property
    def shares_buckets(self) -> bool:
        """Return whether callers share buckets: a cluster needs one tag for all keys then."""
        return self._shares_buckets

    def plan(self, client_id: str) -> str:
        """Return the name of the plan that a client has now."""
        if not client_id:
            return self._anonymous
        name = self._plan_of(client_id)
        return name if name in self._rules else self._default

    def rule(self, client_id: str, operation: str, plan: str = "") -> Rule | None:
        """Return what binds a request, None where nothing does.

        `plan` is that of its credentials, which goes before the client's.
        """
        name = plan if plan in self._rules else self.plan(client_id)
        return self._rules[name].get(operation)

    def __repr__(self) -> str:
        return f"<Plans {', '.join(self._rules)}>"


class DemandMaker:
    """Makes the demands of requests, and remembers those that are always the same.

    `plans` may be replaced at any time.
    """

    __slots__ = ("_demands", "_keys", "plans")

    def __init__(self, plans: Plans, keys: KeySpace | None = None) -> None:
        self.plans = plans
        self._keys = keys or KeySpace()
        self._demands: Recent[tuple[Rule, str, str, str], Demand] = Recent(_REMEMBERED)

    def demand(
        self,
        operation: str,
        *,
        client_id: str = "",
        address: str = "",
        tag: str = "",
        content_bytes: int = 0,
        plan: str = "",
    ) -> Demand | None:
        """Return what a request asks of its buckets, None where there are none.

        `tag` is the hash tag of the caller, the one that all its other keys have.
        """
        rule = self.plans.rule(client_id, operation, plan)
        if rule is None:
            return None
        if not rule.is_static:
            subject = Subject(
                operation=operation,
                client_id=client_id,
                address=address,
                content_bytes=content_bytes,
            )
            return self._make(rule, subject, tag)
        if client_id and not rule.by_address:
            address = ""
        remembered = (rule, client_id, address, tag)
        demand = self._demands.get(remembered)
        if demand is None:
            subject = Subject(operation=operation, client_id=client_id, address=address)
            demand = self._demands[remembered] = self._make(rule, subject, tag)
        return demand

    def _make(self, rule: Rule, subject: Subject, tag: str) -> Demand:
        buckets = tuple(charge.bucket for charge in rule.charges)
        keys = tuple(
            self._keys.key(
                bucket,
                operation=subject.operation,
                client_id=subject.client_id,
                address=subject.address,
                tag=tag,
            )
            for bucket in buckets
        )
        costs = tuple(
            charge.cost if isinstance(charge.cost, int) else max(0, charge.cost(subject))
            for charge in rule.charges
        )
        return Demand(buckets, keys, costs, rule.policy_field)


_Compiled = tuple[Policy, tuple[Bucket, ...]]


def _compiled(plan: str, policies: Sequence[Policy], operations: frozenset[str]) -> list[_Compiled]:
    """Return policies with their buckets, which all operations share."""
    where = f"plan {plan}: " if plan else ""
    if plan:
        check_name(plan)
    compiled = []
    for policy in policies:
        unknown = policy.operations - operations
        unknown |= frozenset(getattr(policy, "costs", ())) - operations
        if unknown:
            raise LimitError(f"{where}{policy.name}: there is no operation {min(unknown)!r}")
        try:
            compiled.append((policy, policy.buckets()))
        except LimitError as error:
            raise LimitError(f"{where}{error}") from error
    return compiled


def _check_distinct(plan: str, compiled: Sequence[_Compiled]) -> None:
    """Raise LimitError for two limits of one name: they would be one bucket, consumed twice."""
    seen = set()
    for bucket in (bucket for _, buckets in compiled for bucket in buckets):
        if bucket.name in seen:
            raise LimitError(f"plan {plan}: there are two limits {bucket.name!r}")
        seen.add(bucket.name)


def _rules(compiled: Sequence[_Compiled], operations: frozenset[str]) -> dict[str, Rule]:
    """Return the rule of each operation that has limits."""
    rules = {}
    for operation in operations:
        found = [
            charge for policy, buckets in compiled for charge in charges(policy, operation, buckets)
        ]
        if found:
            rules[operation] = Rule(found)
    return rules

"""Rate limits of requests: the plans of the configuration, and what is told about them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

from gateway.config import ConfigError, RateLimits
from gateway.config import LimitSettings as Settings
from gateway.endpoints import Endpoint
from gateway.exchange import Exchange, Field, Response
from gateway.idempotency import scope_of
from gateway.identity.guard import KeyCaller
from portico.idempotency.scope import Locator
from portico.limits.address import AddressLimit
from portico.limits.bucket import LimitError, Outage, Per, Unit
from portico.limits.demand import Demand, KeySpace
from portico.limits.engine import LimitEngine
from portico.limits.headers import HeaderStyle, LimitHeaders
from portico.limits.limit import ConcurrencyPolicy, Policy, QuotaPolicy, RatePolicy, Strategy
from portico.limits.plans import DemandMaker, PlanOf, Plans
from portico.limits.refusal import refusal
from portico.limits.verdict import Verdict

_WHERE = "rate_limits"
_HINT = "docs/configuration.md describes every setting"
_COST_DIGITS = 12


class RequestLimits:
    """Limits of the operations at the edge. Calls of one tier by another are not counted again."""

    def __init__(
        self,
        engine: LimitEngine,
        plans: Plans,
        keys: KeySpace,
        headers: LimitHeaders,
        locator: Locator | None,
        cost_fields: Mapping[str, bytes],
    ) -> None:
        self.engine = engine
        self.plans = plans
        self._headers = headers
        self._locator = locator
        self._maker = DemandMaker(plans, keys)
        self._cost_fields = {name: field for name, field in cost_fields.items() if field}

    def demand(self, exchange: Exchange, endpoint: Endpoint, body: bytes | None) -> Demand | None:
        """Return what a request asks of its limits, None where it has none."""
        if exchange.trusted:
            return None
        caller = exchange.caller
        # The hash tag that all keys of this caller have, those of its records too.
        tag = "" if self._locator is None else self._locator.tag(scope_of(exchange))
        return self._maker.demand(
            endpoint.name,
            client_id="" if caller is None else caller.client_id,
            address=exchange.address,
            tag=tag,
            content_bytes=exchange.content_length() if body is None else len(body),
            plan=caller.plan if isinstance(caller, KeyCaller) else "",
        )

    async def check(self, exchange: Exchange, demand: Demand) -> None:
        """Consume a demand; raises Problem 429, or 503 where limits cannot be counted."""
        self.settle(exchange, await self.engine.check(demand))

    def settle(self, exchange: Exchange, verdict: Verdict) -> None:
        """Take note of a verdict; raises the problem of one that does not allow the request."""
        if not verdict.allowed:
            raise refusal(verdict, self._headers)
        exchange.verdict = verdict

    def fields(self, verdict: Verdict, response: Response) -> list[Field]:
        """Return the fields that say where the limits of a request stand."""
        return self._headers.beside(response.headers, verdict, response.status)

    def finish(self, exchange: Exchange, response: Response | None) -> None:
        """Give back what a request held, and charge what is known only now."""
        verdict, exchange.verdict = exchange.verdict, None
        if verdict is None:
            return
        verdict.release()
        if response is None:
            return
        demand = verdict.demand
        if demand.counts_content:
            self.engine.charge_bytes(demand, response.sent_bytes)
        if self._cost_fields:
            self._charge(demand, response)

    def _charge(self, demand: Demand, response: Response) -> None:
        """Charge what a response says its request cost beyond what was charged before."""
        costs = {}
        for bucket, before in zip(demand.buckets, demand.costs, strict=True):
            field = self._cost_fields.get(bucket.name)
            if field is not None:
                costs[bucket.name] = _whole(response.headers, field) - before
        self.engine.charge(demand, costs)


def _whole(fields: Sequence[Field], wanted: bytes) -> int:
    value = next((value for name, value in fields if name == wanted), b"")
    return int(value) if value.isdigit() and len(value) <= _COST_DIGITS else 0


def compile_plans(
    settings: RateLimits, operations: Iterable[str], plan_of: PlanOf
) -> tuple[Plans, dict[str, bytes]] | None:
    """Return the plans of a configuration, and by limit the response field that tells its cost.

    None where nothing is limited. Raises ConfigError.
    """
    if not settings.plans and not settings.always:
        return None
    policies = _Policies(operations)
    always = policies.compile("always", settings.always)
    plans = {name: policies.compile(f"plans.{name}", plan) for name, plan in settings.plans.items()}
    try:
        compiled = Plans(
            plans or {settings.default_plan: []},
            operations=policies.operations,
            default=settings.default_plan,
            anonymous=settings.anonymous_plan,
            always=always,
            plan_of=plan_of,
        )
    except LimitError as error:
        raise ConfigError(_WHERE, str(error), _HINT) from None
    return compiled, policies.cost_fields


class _Policies:
    """Makes policies of their settings, for the operations there are. Raises ConfigError."""

    def __init__(self, operations: Iterable[str]) -> None:
        self.operations = frozenset(operations)
        self.cost_fields: dict[str, bytes] = {}

    def compile(self, where: str, policies: Mapping[str, Settings]) -> list[Policy]:
        return [
            self._policy(f"{_WHERE}.{where}.{name}", name, settings)
            for name, settings in policies.items()
        ]

    def _policy(self, where: str, name: str, settings: Settings) -> Policy:
        make = self._maker(where, settings)
        policy = make(
            name=name,
            per=Per(settings.per),
            operations=self._expand(where, settings.operations),
            outage=Outage(settings.outage),
        )
        try:
            buckets = policy.buckets()
        except LimitError as error:
            raise ConfigError(where, str(error), _HINT) from None
        field = settings.cost_field.lower().encode("latin-1", "replace")
        for bucket in buckets:
            if self.cost_fields.setdefault(bucket.name, field) != field:
                cause = "has another cost_field than the limit of that name in another plan"
                raise ConfigError(where, cause, "give the limit another name")
        return policy

    def _maker(self, where: str, settings: Settings) -> Callable[..., Policy]:
        """Return what makes the kind of policy that the settings describe."""
        kinds = [kind for kind in ("limits", "per_month", "at_once") if getattr(settings, kind)]
        if len(kinds) != 1:
            found = " and ".join(kinds) or "none"
            cause = f"has {found} of limits, per_month and at_once, expected one"
            raise ConfigError(where, cause, "write a policy for each")
        if settings.at_once:
            return partial(
                ConcurrencyPolicy, at_once=settings.at_once, lease_seconds=settings.lease_seconds
            )
        counted: dict[str, Any] = {
            "unit": Unit(settings.unit),
            "cost": settings.cost,
            "costs": settings.costs,
        }
        if settings.per_month:
            return partial(QuotaPolicy, per_month=settings.per_month, **counted)
        return partial(
            RatePolicy,
            limits=settings.limits,
            strategy=Strategy(settings.strategy),
            burst=settings.burst,
            **counted,
        )

    def _expand(self, where: str, wanted: Sequence[str]) -> frozenset[str]:
        """Return the operations of names that may be those of whole APIs; raises ConfigError."""
        found: set[str] = set()
        for name in wanted:
            meant = {
                known for known in self.operations if known == name or known.startswith(f"{name}/")
            }
            if not meant:
                raise ConfigError(
                    f"{where}.operations",
                    f"there is no operation or API {name!r}",
                    "`portico routes` lists them; write process/orders.v1/createOrder",
                )
            found |= meant
        return frozenset(found)


def address_limit(settings: RateLimits) -> AddressLimit | None:
    """Return the limit of each address; raises ConfigError."""
    if not settings.address:
        return None
    try:
        return AddressLimit(
            settings.address, burst=settings.address_burst, workers=settings.processes
        )
    except LimitError as error:
        raise ConfigError(f"{_WHERE}.address", str(error), "write 500/second, or nothing") from None


def limit_headers(settings: RateLimits) -> LimitHeaders:
    """Return what makes the fields of responses."""
    return LimitHeaders(HeaderStyle(settings.headers))

"""slowapi's limiter for coroutines: its limits, keys and decorators, and never a blocked loop.

Authors of APIs limit handlers and endpoints with it:

    limiter = AsyncLimiter()

    @limiter.limit("5/minute")
    async def export_orders(call: Call[Orders]) -> models.Export: ...

All limits of a function are checked together and consumed together. slowapi's middleware is not for
this limiter.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import replace
from itertools import chain
from typing import Any, NamedTuple, ParamSpec, TypeVar, cast

from slowapi import Limiter
from slowapi.errors import RateLimitExceeded
from slowapi.extension import HEADERS
from slowapi.wrappers import Limit, LimitGroup
from starlette.requests import HTTPConnection
from starlette.responses import Response

from portico.limits.aio import STRATEGIES, PorticoStorage, ScriptedRateLimiter, Wanted
from portico.limits.bucket import LimitError
from portico.limits.engine import LimitEngine
from portico.limits.headers import Field, HeaderStyle, LimitHeaders
from portico.limits.limit import parse_limits
from portico.limits.network import network_of
from portico.limits.process import ProcessRateLimiter, ProcessStorage
from portico.limits.refusal import refusal
from portico.limits.verdict import Verdict
from portico.problems import MEDIA_TYPE
from portico.server.call import Call, Reply

P = ParamSpec("P")
R = TypeVar("R")
LimitText = str | Callable[..., str]
KeyFunction = Callable[..., str]
_SUBJECTS = ("call", "request", "websocket")
_MARK = "__portico_limiter__"


def caller_key(request: Call[Any] | HTTPConnection) -> str:
    """Return who is calling: the client of a call, else the network of a connection."""
    if isinstance(request, Call):
        return request.caller.client_id or "anonymous"
    return network_of(request.client.host) if request.client else "unknown"


class LimitExceeded(RateLimitExceeded):
    """slowapi's exception with the verdict that led to it."""

    def __init__(self, limit: Limit, verdict: Verdict) -> None:
        super().__init__(limit)
        self.verdict = verdict


class _Asked(NamedTuple):
    """A limit that applies to a call, and what it wants of it."""

    limit: Limit
    wanted: Wanted


class AsyncLimiter(Limiter):
    """slowapi's Limiter over an engine; the process alone until `connect` gives it a shared one.

    Options are slowapi's: `default_limits`, `key_prefix`, `enabled`, `headers_enabled` for the
    older X-RateLimit names beside those of `headers`.
    """

    def __init__(
        self,
        key_func: KeyFunction = caller_key,
        *,
        strategy: str = "gcra",
        headers: LimitHeaders | None = None,
        **options: Any,
    ) -> None:
        super().__init__(
            key_func, storage_uri="portico-process://", key_style="endpoint", **options
        )
        if strategy not in STRATEGIES:
            raise LimitError(f"expected strategy {' or '.join(STRATEGIES)}, found {strategy!r}")
        self._strategy_name = strategy
        self._fields_of = headers or LimitHeaders()
        self._takes_request: dict[Callable[..., object], bool] = {}
        self.connect(LimitEngine(None))

    def connect(self, engine: LimitEngine) -> None:
        """Count with an engine from now on, with its Redis and its memory."""
        storage = PorticoStorage(engine)
        self._aio: ScriptedRateLimiter = STRATEGIES[self._strategy_name](storage)
        # What the parent's properties show: its fallback is this memory.
        self._fallback_limiter = self._limiter = cast(
            Any, ProcessRateLimiter(ProcessStorage(), self._aio, engine)
        )
        self._in_memory_fallback_enabled = True

    # The decorators.

    def limit(
        self,
        limit_value: LimitText,
        key_func: KeyFunction | None = None,
        per_method: bool = False,
        methods: list[str] | None = None,
        error_message: str | None = None,
        exempt_when: Callable[..., bool] | None = None,
        cost: int | Callable[..., int] = 1,
        override_defaults: bool = True,
    ) -> Callable[[Callable[P, Awaitable[R]]], Callable[P, Awaitable[R]]]:
        """Limit a coroutine function whose first argument is a call, a request or a websocket."""
        group = LimitGroup(
            limit_value,
            key_func or self._key_func,
            None,
            per_method,
            methods,
            error_message,
            exempt_when,
            cost,
            override_defaults,
        )
        return self._decorator(limit_value, group)

    def shared_limit(
        self,
        limit_value: LimitText,
        scope: LimitText,
        key_func: KeyFunction | None = None,
        error_message: str | None = None,
        exempt_when: Callable[..., bool] | None = None,
        cost: int | Callable[..., int] = 1,
        override_defaults: bool = True,
    ) -> Callable[[Callable[P, Awaitable[R]]], Callable[P, Awaitable[R]]]:
        """Limit several functions together, under the name of a scope."""
        group = LimitGroup(
            limit_value,
            key_func or self._key_func,
            scope,
            False,
            None,
            error_message,
            exempt_when,
            cost,
            override_defaults,
        )
        return self._decorator(limit_value, group)

    def _decorator(
        self, limit_value: LimitText, group: LimitGroup
    ) -> Callable[[Callable[P, Awaitable[R]]], Callable[P, Awaitable[R]]]:
        if isinstance(limit_value, str):
            parse_limits(limit_value)

        def decorate(function: Callable[P, Awaitable[R]]) -> Callable[P, Awaitable[R]]:
            name = f"{function.__module__}.{function.__name__}"
            if callable(limit_value):
                self._dynamic_route_limits.setdefault(name, []).append(group)
            else:
                self._route_limits.setdefault(name, []).extend(group)
            if getattr(function, _MARK, None) is self:
                return function  # it has one of these decorators, which checks this limit too
            return self._limited(function, name)

        return decorate

    def _limited(self, function: Callable[P, Awaitable[R]], name: str) -> Callable[P, Awaitable[R]]:
        if not inspect.iscoroutinefunction(function):
            raise LimitError(f"{name} is no coroutine function")
        parameters = list(inspect.signature(function).parameters)
        known = [parameter for parameter in parameters if parameter in _SUBJECTS]
        if not known:
            raise LimitError(f"{name} takes none of {', '.join(_SUBJECTS)}")
        keyword, index = known[0], parameters.index(known[0])

        @functools.wraps(function)
        async def limited(*args: P.args, **kwargs: P.kwargs) -> R:
            if not self.enabled or name in self._exempt_routes:
                return await function(*args, **kwargs)
            subject = kwargs[keyword] if keyword in kwargs else args[index]
            verdict = await self.check(subject, name)
            return self._told(await function(*args, **kwargs), verdict)

        setattr(limited, _MARK, self)
        return limited

    # What happens at a call.

    async def check(self, subject: Any, name: str) -> Verdict | None:
        """Consume the limits of a function for a call or request; None where it has none.

        Raises LimitExceeded, and for a call the Problem that its caller gets.
        """
        asked = self._asked(subject, name)
        if not asked:
            return None
        verdict = await self._aio.decide(self._aio.demand_all([each.wanted for each in asked]))
        if verdict.allowed:
            return verdict
        standings = zip(asked, verdict.standings(), strict=True)
        exceeded = LimitExceeded(
            next((each.limit for each, standing in standings if standing.violated), asked[0].limit),
            verdict,
        )
        if isinstance(subject, Call):
            raise refusal(verdict, self._fields_of) from exceeded
        raise exceeded

    def _asked(self, subject: Any, name: str) -> list[_Asked]:
        asked: dict[tuple[Any, ...], _Asked] = {}
        for limit in self._limits(subject, name):
            wanted = self._wanted(limit, subject, name)
            if wanted is not None:
                # One limit that is there twice counts once.
                asked[(wanted.item, wanted.identifiers)] = _Asked(limit, wanted)
        return list(asked.values())

    def _limits(self, subject: Any, name: str) -> Iterable[Limit]:
        """Yield the limits of a function: slowapi's rules for which there are."""
        static = self._route_limits.get(name, ())
        limits = list(static)
        for group in self._dynamic_route_limits.get(name, ()):
            group.request = subject
            limits += group
        if all(not limit.override_defaults for limit in limits):
            limits += chain.from_iterable(self._default_limits)
        return limits

    def _wanted(self, limit: Limit, subject: Any, name: str) -> Wanted | None:
        method = getattr(subject, "method", "")
        if limit.exempt_when is not None and limit.is_exempt(subject):
            return None
        if limit.methods is not None and method.lower() not in limit.methods:
            return None
        scope = limit.scope or name
        if limit.per_method:
            scope = f"{scope}:{method}"
        key = limit.key_func(subject) if self._takes(limit.key_func) else limit.key_func()
        cost = limit.cost(subject) if callable(limit.cost) else limit.cost
        identifiers = (self._key_prefix, key, scope) if self._key_prefix else (key, scope)
        return Wanted(limit.limit, identifiers, cost)

    def _takes(self, key_func: KeyFunction) -> bool:
        """Tell whether a key function takes the request; slowapi looks at each request."""
        takes = self._takes_request.get(key_func)
        if takes is None:
            takes = "request" in inspect.signature(key_func).parameters
            self._takes_request[key_func] = takes
        return takes

    # What is told about it.

    def _told(self, result: R, verdict: Verdict | None) -> R:
        """Return the result with the fields, where it is something that has fields."""
        if verdict is None:
            return result
        if isinstance(result, Response):
            for name, value in self._fields(verdict, result.status_code):
                result.headers.append(name.decode("ascii"), value.decode("ascii"))
        if isinstance(result, Reply):
            fields = self._fields(verdict, result.status)
            told = [(name.decode("ascii"), value.decode("ascii")) for name, value in fields]
            return replace(result, headers=[*result.headers, *told])
        return result

    def _fields(self, verdict: Verdict, status: int) -> list[Field]:
        fields = self._fields_of.fields(verdict, status)
        if self._headers_enabled:
            older = LimitHeaders(HeaderStyle.X).fields(verdict, status)
            ours = (HEADERS.LIMIT, HEADERS.REMAINING, HEADERS.RESET)
            names = [self._header_mapping[each].lower().encode("ascii") for each in ours]
            fields += [(name, value) for name, (_, value) in zip(names, older, strict=False)]
        return fields

    def response(self, exceeded: RateLimitExceeded, *, type_base: str) -> Response:
        """Return the response of an exception; for a Starlette exception handler."""
        if not isinstance(exceeded, LimitExceeded):
            raise TypeError("expected an exception of this limiter") from exceeded
        problem = refusal(exceeded.verdict, self._fields_of)
        body = problem.body(type_base=type_base, request_id="")
        return Response(body, problem.status, dict(problem.headers), MEDIA_TYPE)

"""A running API: its contract, its handlers, and the check of what they answer."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from portico.contract import ABSENT, Contract, Operation
from portico.contract.media import is_json
from portico.deadline import Watch
from portico.json_text import encode
from portico.problems import CONTRACT_VIOLATION, DEADLINE_EXCEEDED, Problem
from portico.server.bind import Bound
from portico.server.call import Call, Reply
from portico.server.validation import Validation
from portico.trace import enter

if TYPE_CHECKING:
    from portico.contract.strict import StrictValidator

logger = logging.getLogger("portico.server")
_JSON = (dict, list)
_OPAQUE = (bytes, bytearray, memoryview, AsyncIterator)


class ResponseCheck:
    """Decides whether a response is looked at, and what a wrong one leads to."""

    __slots__ = ("_count", "_every", "enforces", "name", "violations")

    def __init__(self, name: str, validation: Validation) -> None:
        self.name = name
        self.enforces = validation.mode in {"enforce", "strict"}
        self._every = 0 if validation.mode == "off" else validation.one_of
        self._count = 0
        self.violations = 0

    def due(self) -> bool:
        """Tell whether this response is one to look at."""
        if self._every <= 1:
            return self._every == 1
        self._count += 1
        return self._count % self._every == 0

    def report(self, operation: Operation, status: int, wrong: Sequence[Mapping[str, Any]]) -> None:
        """Log a wrong response, and raise Problem where the API enforces its contract.

        The entries name places in the body, never their values: those may be personal.
        """
        self.violations += 1
        places = [str(entry.get("pointer") or entry.get("detail")) for entry in wrong]
        logger.error(
            "response breaks its contract: api=%s operation=%s status=%s at=%s",
            self.name,
            operation.operation_id,
            status,
            ", ".join(places),
        )
        if self.enforces:
            raise Problem(
                CONTRACT_VIOLATION,
                f"{operation.operation_id} answered with {len(wrong)} violations of its contract",
                extensions={"api": self.name, "operation": operation.operation_id},
            )


class Service:
    """An API of a tier in this process."""

    def __init__(
        self,
        contract: Contract,
        handlers: Mapping[str, Bound],
        resources: Any,
        validation: Validation,
        strict: StrictValidator | None = None,
    ) -> None:
        self.contract = contract
        self.resources = resources
        self.strict = strict
        self.check = ResponseCheck(contract.name, validation)
        self._handlers = handlers
        self._watch = Watch()

    async def invoke(
        self, operation: Operation, call: Call[Any], document: Mapping[str, Any]
    ) -> Reply:
        """Run the handler of an operation and return its reply, checked.

        `document` was checked before. Raises Problem; 504 when the call's deadline passes.
        """
        if call.deadline.expired():
            raise Problem(DEADLINE_EXCEEDED)
        limit = self._watch.until(call.deadline)
        try:
            with limit:
                enter(call.trace)
                reply = await self._handlers[operation.operation_id](call, document)
        except TimeoutError:
            if limit.cancelled:
                raise Problem(DEADLINE_EXCEEDED) from None
            raise
        except ExceptionGroup as group:
            raise _first_problem(group) from group
        self._finish(operation, reply)
        return reply

    def _finish(self, operation: Operation, reply: Reply) -> None:
        """Fill in the media type, drop what responses never carry, and check the rest."""
        answer = operation.find_answer(reply.status)
        body = reply.body
        if not reply.media_type and body is not None and answer is not None:
            declared = answer.media.declared
            if declared:
                reply.media_type = declared[0][0]
        if answer is not None and answer.shapers:
            shaper = answer.shapers.get(reply.media_type)
            if shaper is not None:
                shaper.apply(body)
        if reply.headers:
            reply.headers = [self._located(name, value) for name, value in reply.headers]
        if not self.check.due():
            return
        is_data = isinstance(body, _JSON) or not isinstance(body, _OPAQUE)
        looked_into = is_data and is_json(reply.media_type)
        seen = body if looked_into or body is None else ABSENT
        wrong = operation.check_response(reply.status, reply.media_type, seen, reply.headers)
        if self.strict is not None and not wrong and not isinstance(body, AsyncIterator):
            content = body if isinstance(body, bytes) else b"" if body is None else encode(body)
            wrong = self.strict.check_response(
                operation.method, operation.template, reply.status, reply.media_type, content
            )
        if wrong:
            self.check.report(operation, reply.status, wrong)

    def _located(self, name: str, value: str) -> tuple[str, str]:
        """Return a header field, a Location without a leading slash below the API's base path."""
        if name.lower() != "location" or value.startswith("/") or "://" in value:
            return name, value
        return name, f"{self.contract.base_path}/{value}"

    def __repr__(self) -> str:
        return f"<Service {self.contract.name} {len(self._handlers)} handlers>"


def _first_problem(group: ExceptionGroup[Exception]) -> Exception:
    """Return what a handler that made calls in parallel fails with: the first of their problems.

    A group with any other error is returned as it is.
    """
    problems, others = group.split(Problem)
    if problems is None or others is not None:
        return group
    first: Exception = problems
    while isinstance(first, ExceptionGroup):
        first = first.exceptions[0]
    return first

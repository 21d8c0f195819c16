"""Handlers are found by name: `createSale` in the contract is `create_sale` in `handlers.py`."""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass
from keyword import iskeyword
from pathlib import Path
from types import ModuleType
from typing import Any

from portico.contract import Contract, ContractError, Finding, Operation, Position
from portico.server.call import Call, Reply

Handler = Callable[..., Awaitable[object]]

_WORD_ENDS = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_NOT_WORD = re.compile(r"[^A-Za-z0-9]+")
_EITHER = inspect.Parameter.POSITIONAL_OR_KEYWORD
_BY_PLACE = frozenset({_EITHER, inspect.Parameter.POSITIONAL_ONLY})
_BY_NAME = frozenset({_EITHER, inspect.Parameter.KEYWORD_ONLY})


def snake_case(name: str) -> str:
    """Return a name of a contract as Python writes it: `Idempotency-Key` is `idempotency_key`."""
    return _NOT_WORD.sub("_", _WORD_ENDS.sub("_", name)).strip("_").lower()


def argument_name(name: str) -> str:
    """Return the keyword argument of a parameter: `from` is `from_`, as a word of Python."""
    argument = snake_case(name)
    return f"{argument}_" if iskeyword(argument) else argument


@dataclass(frozen=True, slots=True)
class Bound:
    """A handler with the places its arguments come from: (keyword, place, name)."""

    handler: Handler
    arguments: tuple[tuple[str, str, str], ...]
    takes_body: bool
    status: int

    async def __call__(self, call: Call[Any], document: Mapping[str, Any]) -> Reply:
        """Call the handler with a checked request document; absent parameters are left out."""
        arguments: dict[str, Any] = {}
        for keyword, place, name in self.arguments:
            members = document.get(place)
            if members is not None and name in members:
                arguments[keyword] = members[name]
        if self.takes_body:
            arguments["body"] = document.get("body")
        result = await self.handler(call, **arguments)
        if isinstance(result, Reply):
            return result
        return Reply(status=self.status, body=result)


def bind(contract: Contract, module: ModuleType) -> dict[str, Bound]:
    """Return the handler of every operation.

    Raises ContractError for an operation without a handler, a public coroutine without an
    operation, and a signature that does not fit.
    """
    handlers = _handlers(module)
    findings: list[Finding] = []
    bound: dict[str, Bound] = {}
    for operation in contract.operations.values():
        handler = handlers.pop(snake_case(operation.operation_id), None)
        if handler is None:
            findings.append(_unbound(contract, operation, module))
            continue
        problems = _misfits(operation, handler)
        findings.extend(problems)
        if not problems:
            bound[operation.operation_id] = _bind(operation, handler)
    findings.extend(_orphan(contract, handler) for handler in handlers.values())
    if findings:
        raise ContractError(findings)
    return bound


def _handlers(module: ModuleType) -> dict[str, Handler]:
    return {
        name: value
        for name, value in vars(module).items()
        if inspect.iscoroutinefunction(value)
        and not name.startswith("_")
        and value.__module__ == module.__name__
    }


def _keywords(handler: Handler) -> dict[str, inspect.Parameter]:
    parameters = list(inspect.signature(handler).parameters.values())
    return {parameter.name: parameter for parameter in parameters[1:]}


def _bind(operation: Operation, handler: Handler) -> Bound:
    keywords = _keywords(handler)
    arguments = tuple(
        (argument_name(parameter.name), parameter.place, parameter.name)
        for parameter in operation.parameters
        if argument_name(parameter.name) in keywords
    )
    status = operation.success[0] if len(operation.success) == 1 else 200
    return Bound(handler, arguments, "body" in keywords, status)


def _misfits(operation: Operation, handler: Handler) -> list[Finding]:
    keywords = _keywords(handler)
    known = {argument_name(parameter.name): parameter for parameter in operation.parameters}
    findings = [*_uncallable(handler)]
    findings += [
        _handler_finding(
            handler,
            f"the handler takes {name!r}, which is no parameter of {operation.operation_id}",
            "name keyword arguments like the parameters of the contract, in snake_case",
        )
        for name in keywords
        if name != "body" and name not in known
    ]
    if operation.reads_body and "body" not in keywords:
        findings.append(
            _handler_finding(
                handler,
                f"the handler of {operation.operation_id} does not take the body",
                "add a keyword argument `body`",
            )
        )
    for name, parameter in keywords.items():
        optional = name in known and not known[name].required and not known[name].has_default
        if optional and parameter.default is inspect.Parameter.empty:
            findings.append(
                _handler_finding(
                    handler,
                    f"the optional parameter {name!r} of {operation.operation_id} has no default",
                    "give the keyword argument a default, such as None",
                )
            )
    return findings


def _uncallable(handler: Handler) -> Iterator[Finding]:
    """Yield a finding unless the handler takes the call first and the rest by name."""
    parameters = list(inspect.signature(handler).parameters.values())
    if not parameters or parameters[0].kind not in _BY_PLACE:
        message = "the handler does not take the call as its first argument"
        yield _handler_finding(handler, message, "write it like `async def f(call, *, ...)`")
    unnamed = [parameter.name for parameter in parameters[1:] if parameter.kind not in _BY_NAME]
    if unnamed:
        message = f"the handler does not take {', '.join(unnamed)} by name"
        yield _handler_finding(handler, message, "put a star after the first argument")


def _handler_finding(handler: Handler, message: str, hint: str) -> Finding:
    return Finding(
        position=_position(handler), rule="handler-signature", message=message, hint=hint
    )


def _unbound(contract: Contract, operation: Operation, module: ModuleType) -> Finding:
    name = snake_case(operation.operation_id)
    return Finding(
        position=contract.position(*operation.pointer),
        rule="operation-without-handler",
        message=f"{operation.operation_id} has no handler in {module.__name__}",
        hint=f"add `async def {name}(call, ...)` there, or remove the operation",
    )


def _orphan(contract: Contract, handler: Handler) -> Finding:
    return Finding(
        position=_position(handler),
        rule="handler-without-operation",
        message=f"{handler.__name__} is the handler of no operation of {contract.name}",
        hint="add the operation to the contract, or start the function's name with an underscore",
    )


def _position(handler: Handler) -> Position:
    function = inspect.unwrap(handler)
    code = getattr(function, "__code__", None)
    if code is None:
        return Position(Path(inspect.getfile(type(handler))), 1, 1)
    return Position(Path(code.co_filename), code.co_firstlineno, 1)

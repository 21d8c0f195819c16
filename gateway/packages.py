"""The package of an API: its handlers, and what they work with."""

from __future__ import annotations

import contextlib
import importlib
import inspect
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, get_args

from pydantic import BaseModel, SecretBytes, SecretStr, ValidationError
from pydantic.fields import FieldInfo

from gateway.config import ConfigError
from gateway.config.records import unknown
from gateway.config.secrets import SecretStore
from portico.contract import Contract, ContractError, Finding, Position
from portico.durable import Durable
from portico.events.bus import Subscription
from portico.limits.async_limiter import AsyncLimiter
from portico.problems import Problem
from portico.server.bind import Bound, bind
from portico.workflow.definition import Schedule, Workflow
from portico.workflow.errors import UnsafeStepError
from portico.workflow.steps import Steps

_REFERENCES = ("env:", "file:", "generated:")
_SECRETS = frozenset({SecretStr, SecretBytes})


def bind_handlers(contract: Contract) -> dict[str, Bound]:
    """Return the handlers of a contract; raises ContractError where they do not fit it."""
    return bind(contract, _module(contract, "handlers"))


def own_limiters(contract: Contract) -> list[AsyncLimiter]:
    """Return the limiters that the author of an API decorates handlers with."""
    members = vars(_module(contract, "handlers")).values()
    return [member for member in members if isinstance(member, AsyncLimiter)]


def decode_settings(
    contract: Contract,
    settings: Mapping[str, Any],
    secrets: SecretStore,
    provided: Mapping[str, Any],
) -> BaseModel | None:
    """Return the settings of an API as its `app` module declares them, None without one.

    `provided` are settings of the whole network, for those APIs that ask for them; an API may ask
    for its own `contract` as well.
    """
    where = f"apis.{contract.name}.settings"
    if not _has(contract, "app"):
        if settings:
            raise ConfigError(where, "the API has no settings", "remove the section")
        return None
    model: type[BaseModel] = _module(contract, "app").Settings
    resolved = {
        name: _resolved(model.model_fields.get(name), value, secrets, f"{where}.{name}")
        for name, value in settings.items()
    }
    offered = {**provided, "contract": contract}
    own = {name: value for name, value in offered.items() if name in model.model_fields}
    try:
        return model.model_validate({**own, **resolved})
    except ValidationError as error:
        raise _explain(error, model, where) from None


async def open_resources(
    stack: contextlib.AsyncExitStack,
    contract: Contract,
    settings: BaseModel | None,
    durable: Durable,
) -> Any:
    """Open what the handlers of an API work with, as its `app` module says.

    Its `resources` gets what outlasts a request if it takes `durable`.
    """
    if settings is None:
        return None
    app = _module(contract, "app")
    keywords = {"durable": durable} if _takes(app.resources, "durable") else {}
    return await stack.enter_async_context(app.resources(settings, **keywords))


def workflows_of(
    contract: Contract,
    steps: Steps,
    settings: BaseModel | None,
    durable: Durable,
    resources: object,
) -> list[Workflow]:
    """Return the workflows of an API, as its `workflows` module defines them; it may have none.

    They get `settings`, `durable` and the open `resources` if they take them. Raises ContractError
    for a step that may not be one.
    """
    if not _has(contract, "workflows"):
        return []
    define = _module(contract, "workflows").workflows
    offered = {"settings": settings, "durable": durable, "resources": resources}
    keywords = {name: value for name, value in offered.items() if _takes(define, name)}
    try:
        return list(define(steps, **keywords))
    except UnsafeStepError as error:
        found = _step_finding(contract, error.api, "unsafe-step", str(error), error.hint)
    except Problem as problem:
        hint = "add the operation to x-calls, along the allowed layers"
        found = _step_finding(contract, "", "undeclared-step", str(problem), hint)
    raise ContractError([found])


def schedules_of(contract: Contract, settings: BaseModel | None) -> list[Schedule]:
    """Return when workflows of an API are started by the clock; it may say nothing of that."""
    if not _has(contract, "workflows"):
        return []
    define = getattr(_module(contract, "workflows"), "schedules", None)
    return [] if define is None else list(define(settings))


def subscriptions_of(contract: Contract, durable: Durable) -> list[Subscription]:
    """Return which events an API handles, as its `events` module says; it may have none."""
    if not _has(contract, "events"):
        return []
    return list(_module(contract, "events").subscriptions(durable))


def is_durable(contract: Contract) -> bool:
    """Tell whether an API has workflows, or works with what outlasts a request."""
    return _has(contract, "workflows") or (
        _has(contract, "app") and _takes(_module(contract, "app").resources, "durable")
    )


def _takes(function: Callable[..., Any], name: str) -> bool:
    return name in inspect.signature(function).parameters


def _step_finding(contract: Contract, api: str, rule: str, message: str, hint: str) -> Finding:
    position = contract.position("x-calls", api) if api else contract.position("x-calls")
    return Finding(position=position, rule=rule, message=message, hint=hint)


def _resolved(field: FieldInfo | None, value: Any, secrets: SecretStore, where: str) -> Any:
    """Return a setting with references resolved; a secret has to be one."""
    is_reference = isinstance(value, str) and value.startswith(_REFERENCES)
    if is_reference or (field is not None and _holds_secret(field.annotation)):
        return secrets.resolve(str(value), where)
    return value


def _holds_secret(annotation: Any) -> bool:
    return not _SECRETS.isdisjoint({annotation, *get_args(annotation)})


def _explain(error: ValidationError, model: type[BaseModel], where: str) -> ConfigError:
    """Return everything that is missing, else the first thing that is wrong.

    The value may be a secret and is not repeated.
    """
    first = error.errors()[0]
    name = ".".join(str(part) for part in first["loc"])
    known = sorted(model.model_fields)
    missing = [str(one["loc"][-1]) for one in error.errors() if one["type"] == "missing"]
    if first["type"] == "extra_forbidden":
        found = unknown((name,), known)
        return ConfigError(f"{where}.{name}", f"the setting {found.cause}", found.hint)
    if missing:
        hint = f"add `{missing[0]}:` here, or write `off` instead of the section of the API"
        return ConfigError(where, f"lacks {' and '.join(missing)}", hint)
    return ConfigError(f"{where}.{name}", first["msg"], f"its settings are {', '.join(known)}")


def _has(contract: Contract, name: str) -> bool:
    """Tell whether the package of an API has a module; a package that is missing has none."""
    try:
        package = importlib.import_module(contract.package)
    except ModuleNotFoundError:
        return False
    return any((Path(folder) / f"{name}.py").is_file() for folder in package.__path__)


def _module(contract: Contract, name: str) -> ModuleType:
    """Import a module of an API's package; raises ContractError if that is not possible."""
    full = f"{contract.package}.{name}"
    try:
        return importlib.import_module(full)
    except ModuleNotFoundError as error:
        missing = error.name or ""
        found = _broken(full, error)
        if full == missing or full.startswith(f"{missing}."):
            found = Finding(
                position=contract.position(),
                rule="contract-without-handlers",
                message=f"there is no module {full}",
                hint=f"create it, or run `portico new` for {contract.name}",
            )
    except Exception as error:  # noqa: BLE001  # code of the API runs when it is imported
        found = _broken(full, error)
    raise ContractError([found])


def _broken(module: str, error: Exception) -> Finding:
    """Return what is wrong with a module that cannot be imported, and where."""
    last = traceback.extract_tb(error.__traceback__)[-1]
    position = Position(Path(last.filename), last.lineno or 1, 1)
    message = f"{type(error).__name__}: {error}"
    if isinstance(error, SyntaxError) and error.filename:
        position = Position(Path(error.filename), error.lineno or 1, error.offset or 1)
        message = error.msg
    return Finding(
        position=position,
        rule="module-does-not-import",
        message=f"{module} cannot be imported: {message}",
        hint="correct it; `python -m " + module + "` shows the same error",
    )

"""From a YAML file and the environment to a `Config`, or to an error that says where."""

from __future__ import annotations

import copy
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from gateway.config.errors import ConfigError
from gateway.config.model import Config
from portico.contract.findings import ContractError
from portico.contract.source import SourceFile, YAMLLoader

PREFIX = "PORTICO_"
# Variables of the same prefix that are not settings of the file.
NOT_SETTINGS = frozenset({"PORTICO_CONFIG", "PORTICO_CLIENT_ID", "PORTICO_CLIENT_SECRET"})
_PATHS = ("data", "contracts")


def load_config(path: Path | None, environment: Mapping[str, str] = os.environ) -> Config:
    """Return the configuration of a file (none: the defaults) overridden by the environment.

    `PORT` and `PORTICO_LISTEN__PORT` both set `listen.port`: two underscores are a level.
    Relative paths in the file are relative to it. Raises ConfigError.
    """
    source = None if path is None else _read(path)
    data: Any = {} if source is None else copy.deepcopy(source.data) or {}
    if not isinstance(data, dict):
        raise ConfigError(str(path), "the file is not a mapping", "start with `listen:`")
    overridden = _override(data, environment)
    try:
        config = Config.model_validate(_with_paths(data, path), strict=True)
        config.limits.protocol()
    except ValidationError as error:
        raise _explain(error, source, overridden) from None
    except ValueError as error:
        where = str(source.position(("limits", "connection"))) if source else "limits.connection"
        raise ConfigError(where, str(error), "correct the name or the number") from None
    return config


def _read(path: Path) -> SourceFile:
    try:
        return SourceFile(path)
    except ContractError as error:
        finding = error.findings[0]
        raise ConfigError(str(finding.position), finding.message, finding.hint) from None


def _override(data: dict[str, Any], environment: Mapping[str, str]) -> dict[tuple[str, ...], str]:
    """Put the environment's values in place; return which variable set what."""
    chosen = {
        name: tuple(part.lower() for part in name[len(PREFIX) :].split("__"))
        for name in sorted(environment)
        if name.startswith(PREFIX) and name not in NOT_SETTINGS
    }
    if "PORT" in environment:
        chosen["PORT"] = ("listen", "port")
    overridden = {}
    for name, parts in chosen.items():
        node = data
        for part in parts[:-1]:
            inner = node.setdefault(part, {})
            if not isinstance(inner, dict):
                raise ConfigError(name, f"{part} is not a section", "check the variable's name")
            node = inner
        node[parts[-1]] = _value(name, environment[name])
        overridden[parts] = name
    return overridden


def _value(name: str, text: str) -> Any:
    try:
        return yaml.load(text, Loader=YAMLLoader)  # noqa: S506  # it is a safe loader
    except yaml.YAMLError:
        raise ConfigError(name, "the value is not YAML", "quote it, or write plain text") from None


def _with_paths(data: dict[str, Any], path: Path | None) -> dict[str, Any]:
    """Return the data with paths as Path objects, relative ones resolved against the file."""
    base = Path.cwd() if path is None else path.resolve().parent
    for name in _PATHS:
        if isinstance(data.get(name), str):
            data[name] = base / data[name]
    external = data.get("external")
    for entry in external.values() if isinstance(external, dict) else ():
        if isinstance(entry, dict) and isinstance(entry.get("contract"), str):
            entry["contract"] = base / entry["contract"]
    return data


def _explain(
    error: ValidationError, source: SourceFile | None, overridden: Mapping[tuple[str, ...], str]
) -> ConfigError:
    first = error.errors()[0]
    pointer = tuple(str(part) for part in first["loc"])
    where = next(
        (name for parts, name in overridden.items() if pointer[: len(parts)] == parts), None
    )
    if where is None:
        where = str(source.position(pointer)) if source is not None else "configuration"
    name = ".".join(pointer)
    if first["type"] == "extra_forbidden":
        known = ", ".join(_known(pointer[:-1]))
        return ConfigError(where, f"the setting {name} is not known", f"known here are {known}")
    found = first.get("input")
    message = first["msg"].removeprefix("Value error, ")
    message = message[:1].lower() + message[1:]
    shown = "" if isinstance(found, dict | list) or "secret" in name else f", found {found!r}"
    return ConfigError(where, f"{name}: {message}{shown}", "see docs/configuration.md")


def _known(pointer: tuple[str, ...]) -> list[str]:
    """Return the names of the settings at a place of the model."""
    model: Any = Config
    for part in pointer:
        field = model.model_fields.get(part) if hasattr(model, "model_fields") else None
        if field is not None:
            model = field.annotation
            arguments = getattr(model, "__args__", None)
            if arguments and getattr(model, "__origin__", None) is dict:
                model = arguments[1]
    return sorted(getattr(model, "model_fields", {}))

"""From a YAML file and the environment to a `Config`, or to an error that says where."""

from __future__ import annotations

import copy
import os
import re
from collections.abc import Callable, Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from gateway.config import records
from gateway.config.errors import ConfigError
from gateway.config.explain import explain
from gateway.config.model import Client, Config, External, TrustedIssuer
from gateway.config.records import Pointer, SettingError
from gateway.identity.issuers.fetching import is_secure
from gateway.upstream.options import UpstreamOptions
from gateway.upstream.targets import Target
from portico.contract.findings import ContractError
from portico.contract.source import SourceFile, YAMLLoader

PREFIX = "PORTICO_"
# Variables of the same prefix that are not settings of the file.
NOT_SETTINGS = frozenset({"PORTICO_CONFIG", "PORTICO_CLIENT_ID", "PORTICO_CLIENT_SECRET"})
# What of the records is set elsewhere or not at all.
NOT_OPTIONS = ("name", "trusted_proxies", "urls")
# Where relative paths are relative to the file. `*` is any name.
_PATHS: tuple[Pointer, ...] = (
    ("data",),
    ("contracts",),
    ("identity", "key_file"),
    ("identity", "issuers", "*", "ca_file"),
    ("clients", "*", "jwks"),
    ("external", "*", "contract"),
    ("external", "*", "upstream", "ca_file"),
    ("external", "*", "upstream", "client_certificate"),
    ("external", "*", "upstream", "client_key"),
)
_SEGMENTS_OF_PATH_OBJECTS = frozenset({"data", "contracts", "contract", "jwks"})
_EXTERNAL_NAME = re.compile(r"[a-z0-9]+(?:[-_.][a-z0-9]+)*\Z")
# Where null is a value; everywhere else it is a setting left out.
_FREE = frozenset({"settings"})


def load_config(path: Path | None, environment: Mapping[str, str] = os.environ) -> Config:
    """Return the configuration of a file (none: the defaults) overridden by the environment.

    `PORT` and `PORTICO_LISTEN__PORT` both set `listen.port`: two underscores are a level.
    Relative paths in the file are relative to it. Raises ConfigError.
    """
    source = None if path is None else _read(path)
    written: Any = {} if source is None else copy.deepcopy(source.data) or {}
    if not isinstance(written, dict):
        raise ConfigError(str(path), "the file is not a mapping", "start with `listen:`")
    data = _without_nulls(written)
    base = Path.cwd() if path is None else path.resolve().parent
    _place_paths(data, base)
    overridden = _override(data, environment)
    try:
        return _decode(data)
    except SettingError as error:
        raise _located(error, source, overridden) from None


def _decode(data: dict[str, Any]) -> Config:
    """Return the configuration; raises SettingError for the first thing that is wrong."""
    try:
        config = Config.model_validate(data, strict=True)
    except ValidationError as error:
        raise explain(error, data) from None
    _check(("limits", "connection"), config.limits.protocol)
    for index, network in enumerate(config.trusted_proxies):
        _check(("trusted_proxies", str(index)), ip_network, network)
    for name, issuer in config.identity.issuers.items():
        _check_issuer(("identity", "issuers", name), issuer)
    for client_id, client in config.clients.items():
        _check_client(("clients", client_id), client)
    for index, network in enumerate(config.metrics.networks):
        _check(("metrics", "networks", str(index)), ip_network, network)
    for name, external in config.external.items():
        _check_external(("external", name), external)
    return config


def _check_issuer(pointer: Pointer, issuer: TrustedIssuer) -> None:
    if not _EXTERNAL_NAME.match(pointer[-1]):
        raise SettingError(pointer, "is not a name for an issuer", "use lower-case words: entra")
    urls = {("issuer",): issuer.issuer, ("introspection", "url"): issuer.introspection.url}
    for place, url in urls.items():
        if (url or place == ("issuer",)) and not is_secure(url):
            hint = "write the address as the issuer does, such as https://login.example.com"
            raise SettingError((*pointer, *place), "is neither https nor this machine", hint)
    if bool(issuer.introspection.client_id) != bool(issuer.introspection.client_secret):
        hint = "give both, or neither: then opaque tokens are not accepted"
        raise SettingError((*pointer, "introspection"), "has half of a client", hint)


def _check_client(pointer: Pointer, client: Client) -> None:
    """Check that a client has what it proves itself with, and nothing else."""
    documented = "docs/configuration.md describes every setting"
    for name, needed_by in _PROOFS.items():
        needed, given = client.authentication in needed_by, bool(getattr(client, name))
        if needed and not given:
            raise SettingError(pointer, f"lacks {name}", f"add `{name}:` here; {documented}")
        if given and not needed:
            cause = f"is not used with authentication: {client.authentication}"
            raise SettingError((*pointer, name), cause, "remove it")


# What proves a client, by the methods that need it.
_PROOFS = {
    "secret": frozenset({"client_secret"}),
    "jwks": frozenset({"private_key_jwt", "self_signed_tls_client_auth"}),
    "tls_subject": frozenset({"tls_client_auth"}),
}


def _check_external(pointer: Pointer, external: External) -> None:
    if not _EXTERNAL_NAME.match(pointer[-1]):
        hint = "use lower-case words, such as partner-pets; clients read it in problems"
        raise SettingError(pointer, "is not a name for an API", hint)
    for index, url in enumerate(external.urls):
        _check((*pointer, "urls", str(index)), Target.parse, url)
    _check((*pointer, "upstream"), _options, pointer[-1], external)


def _options(name: str, external: External) -> UpstreamOptions:
    chosen = records.read(UpstreamOptions, external.upstream, NOT_OPTIONS)
    chosen.pop("set_headers", None)  # references, which are resolved when the gateway starts
    return UpstreamOptions(name=name, urls=tuple(external.urls), **chosen)


def _check(pointer: Pointer, make: Callable[..., object], *arguments: object) -> None:
    """Make something of settings only to see whether it can be made."""
    try:
        make(*arguments)
    except SettingError as error:
        raise SettingError((*pointer, *error.pointer), error.cause, error.hint) from None
    except ValueError as error:
        name, must, rest = str(error).partition(" must ")
        if must and name.isidentifier():
            raise SettingError((*pointer, name), f"must {rest}", "correct the value") from None
        raise SettingError(pointer, f"cannot be used: {error}", "correct the value") from None


def _read(path: Path) -> SourceFile:
    try:
        return SourceFile(path)
    except ContractError as error:
        finding = error.findings[0]
        hint = finding.hint.replace("OpenAPI document", "configuration file")
        raise ConfigError(str(finding.position), finding.message, hint) from None


def _without_nulls(data: dict[str, Any]) -> dict[str, Any]:
    """Return the data without settings that have a name and no value: they are not set."""
    return {
        name: _without_nulls(value) if isinstance(value, dict) and name not in _FREE else value
        for name, value in data.items()
        if value is not None
    }


def _override(data: dict[str, Any], environment: Mapping[str, str]) -> dict[Pointer, str]:
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
        value = _value(name, environment[name])
        if value is None:
            continue  # an empty variable is one that is not set
        node = data
        for part in parts[:-1]:
            inner = node.setdefault(part, {})
            if not isinstance(inner, dict):
                raise ConfigError(name, f"{part} is not a section", "check the variable's name")
            node = inner
        node[parts[-1]] = value
        # What a variable says is relative to where the command is run.
        _place_paths(data, Path.cwd(), only=parts)
        overridden[parts] = name
    return overridden


def _value(name: str, text: str) -> Any:
    try:
        return yaml.load(text, Loader=YAMLLoader)  # noqa: S506  # it is a safe loader
    except yaml.YAMLError:
        raise ConfigError(name, "the value is not YAML", "quote it, or write plain text") from None


def _place_paths(data: dict[str, Any], base: Path, only: Pointer | None = None) -> None:
    """Make relative paths absolute, those of references to files too."""
    _place(data, (), base, only)


def _place(node: dict[str, Any], pointer: Pointer, base: Path, only: Pointer | None) -> None:
    for name, value in node.items():
        here = (*pointer, name)
        if isinstance(value, dict):
            _place(value, here, base, only)
        elif isinstance(value, str) and (only is None or only == here):
            node[name] = _placed(here, value, base)


def _placed(pointer: Pointer, value: str, base: Path) -> object:
    if value.startswith("file:") and len(value) > len("file:"):
        return f"file:{base / value.removeprefix('file:')}"
    if not value or not any(_matches(pattern, pointer) for pattern in _PATHS):
        return value
    path = base / value
    return path if pointer[-1] in _SEGMENTS_OF_PATH_OBJECTS else str(path)


def _matches(pattern: Pointer, pointer: Pointer) -> bool:
    if len(pattern) != len(pointer):
        return False
    return all(one in {"*", other} for one, other in zip(pattern, pointer, strict=True))


def _located(
    error: SettingError, source: SourceFile | None, overridden: Mapping[Pointer, str]
) -> ConfigError:
    """Return the error with the variable or the place in the file that it is about."""
    pointer = error.pointer
    where = next(
        (name for parts, name in overridden.items() if pointer[: len(parts)] == parts), None
    )
    if where is None:
        where = "configuration" if source is None else str(source.position(pointer))
    name = ".".join(pointer)
    return ConfigError(where, f"{name} {error.cause}" if name else error.cause, error.hint)

"""The contract as customers see it: internal members removed, the public address in place."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import yaml

SHOWN_EXTENSIONS = frozenset({"x-deprecated-at", "x-sunset-at", "x-successor"})
"""The extensions that tell a customer something; every other one stays inside."""

Rule = Callable[[Any], Any]  # copies one member, knowing what its key means

_URLS_OF_FLOWS = ("authorizationUrl", "deviceAuthorizationUrl", "refreshUrl", "tokenUrl")
_URLS_OF_SCHEMES = ("openIdConnectUrl", "oauth2MetadataUrl")

# What the core schema of YAML 1.2 reads as a number or boolean and PyYAML, which follows
# YAML 1.1, would write without quotes.
_AMBIGUOUS = re.compile(
    r"[-+]?(?:0o[0-7]+|0x[0-9a-fA-F]+|\.?[0-9]+(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?)|[yYnN]"
)


def publish(document: Mapping[str, Any], *, public_url: str, base_path: str) -> dict[str, Any]:
    """Return a copy of a bundled contract for customers, served at `base_path` of `public_url`.

    Internal `x-` members are removed wherever OpenAPI or JSON Schema allows extensions; names
    chosen by the author (properties, headers, components) and example values are kept whole.
    Servers of single paths and operations, which may be internal, give way to the one server.
    """
    public_url = public_url.rstrip("/")
    servers = [{"url": public_url + base_path}]
    published: dict[str, Any] = {}
    for key, value in _object(document).items():
        published[key] = value
        if key == "info":
            published["servers"] = servers
    published.setdefault("servers", servers)
    _resolve_security_urls(published, public_url)
    return published


def dump_json(document: Mapping[str, Any]) -> str:
    """Return the document as indented JSON, its keys in their own order."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"


def dump_yaml(document: Mapping[str, Any]) -> str:
    """Return the document as YAML, its keys in their own order, safe for YAML 1.1 and 1.2."""
    rendered = yaml.dump(
        document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100, indent=2
    )
    return str(rendered)


def _node(value: object) -> Any:
    if isinstance(value, Mapping):
        return _object(value)
    if isinstance(value, list):
        return [_node(item) for item in value]
    return value


def _object(value: Mapping[str, Any]) -> dict[str, Any]:
    """Copy an OpenAPI or schema object, whose members have a fixed meaning."""
    return {
        key: _rule(key)(member)
        for key, member in value.items()
        if _is_shown(key) and not (key == "servers" and isinstance(member, list))
    }


def _rule(key: str) -> Rule:
    return _RULES.get(key) or _node


def _is_shown(key: str) -> bool:
    return not key.startswith("x-") or key in SHOWN_EXTENSIONS


def _data(value: object) -> Any:
    """Copy a value of the author, in which nothing is an extension."""
    if isinstance(value, Mapping):
        return {key: _data(member) for key, member in value.items()}
    if isinstance(value, list):
        return [_data(item) for item in value]
    return value


def _each_named(rule: Rule) -> Rule:
    """Return the rule for a mapping whose keys are names, so that `x-` has no meaning there."""

    def copy(value: object) -> Any:
        if not isinstance(value, Mapping):
            return _node(value)
        return {name: rule(member) for name, member in value.items()}

    return copy


def _each_patterned(value: object) -> Any:
    """Copy a mapping from paths, statuses or expressions, between which extensions may stand."""
    if not isinstance(value, Mapping):
        return _node(value)
    return {key: _node(member) for key, member in value.items() if _is_shown(key)}


def _examples(value: object) -> Any:
    # A list is the schema keyword and holds values; a mapping holds Example Objects by name.
    return _data(value) if isinstance(value, list) else _each_named(_node)(value)


def _link(value: object) -> Any:
    """Copy a Link Object: its parameters and body are values, its server is not for customers."""
    if not isinstance(value, Mapping):
        return value
    return {
        key: _data(member) if key in {"parameters", "requestBody"} else _node(member)
        for key, member in value.items()
        if _is_shown(key) and key != "server"
    }


def _components(value: object) -> Any:
    if not isinstance(value, Mapping):
        return value
    return {
        section: _RULES_OF_COMPONENTS.get(section, _each_named(_node))(members)
        for section, members in value.items()
        if _is_shown(section)
    }


_RULES_OF_COMPONENTS: Mapping[str, Rule] = {
    "callbacks": _each_named(_each_patterned),
    "links": _each_named(_link),
}
_NAMED = (
    "$defs",
    "additionalOperations",
    "content",
    "definitions",
    "dependencies",
    "dependentSchemas",
    "encoding",
    "headers",
    "patternProperties",
    "properties",
    "webhooks",
)
_DATA = (
    "const",
    "dataValue",
    "default",
    "dependentRequired",
    "enum",
    "example",
    "mapping",
    "scopes",
    "security",
    "value",
)
_RULES: Mapping[str, Rule] = {
    **dict.fromkeys(_NAMED, _each_named(_node)),
    **dict.fromkeys(_DATA, _data),
    "callbacks": _each_named(_each_patterned),
    "components": _components,
    "examples": _examples,
    "links": _each_named(_link),
    "paths": _each_patterned,
    "responses": _each_patterned,
}


def _resolve_security_urls(document: Mapping[str, Any], public_url: str) -> None:
    """Make relative addresses of token endpoints absolute, as a downloaded file needs them."""
    for scheme in _members(_members(document.get("components")).get("securitySchemes")).values():
        _resolve(scheme, _URLS_OF_SCHEMES, public_url)
        for flow in _members(_members(scheme).get("flows")).values():
            _resolve(flow, _URLS_OF_FLOWS, public_url)


def _resolve(holder: object, keys: tuple[str, ...], public_url: str) -> None:
    if not isinstance(holder, dict):
        return
    for key in keys:
        url = holder.get(key)
        # The gateway may be public below a path, so a rooted address is not joined to the host.
        if isinstance(url, str) and not urlsplit(url).netloc:
            holder[key] = f"{public_url}/{url.lstrip('/')}"


def _members(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


_BaseDumper: Any = getattr(yaml, "CSafeDumper", yaml.SafeDumper)


class _Dumper(_BaseDumper):  # type: ignore[misc]  # the base is chosen at run time
    """Writes no anchors, and several lines of text as a block."""

    def ignore_aliases(self, data: object) -> bool:  # noqa: ARG002  # the signature is PyYAML's
        return True


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else "'" if _AMBIGUOUS.fullmatch(text) else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)

"""Parameters as Stripe takes them: forms with brackets, in bodies and in queries."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl

from system_apis.stripe.sandbox.errors import invalid, lacking

_NAME = re.compile(r"([^\[\]]+)((?:\[[^\[\]]*\])*)\Z")
_PART = re.compile(r"\[([^\[\]]*)\]")
# Stripe's own limits of metadata.
MAX_METADATA_KEYS = 50
MAX_METADATA_KEY_LENGTH = 40
MAX_METADATA_VALUE_LENGTH = 500
MAX_INTEGER_DIGITS = 15


def decode(text: str) -> dict[str, Any]:
    """Return the tree of a form; lists are mappings by their indexes until `entries` reads them.

    >>> decode("a=1&b[c]=2&d[0][e]=3&f[]=4&f[]=5")
    {'a': '1', 'b': {'c': '2'}, 'd': {'0': {'e': '3'}}, 'f': {'0': '4', '1': '5'}}
    """
    tree: dict[str, Any] = {}
    for name, value in parse_qsl(text, keep_blank_values=True):
        match = _NAME.match(name)
        if match is None:
            raise invalid(f"Invalid parameter name: {name}", name)
        _put(tree, [match.group(1), *_PART.findall(match.group(2))], value)
    return tree


def _put(tree: dict[str, Any], path: list[str], value: str) -> None:
    for part in path[:-1]:
        member = tree.setdefault(part or str(len(tree)), {})
        if not isinstance(member, dict):
            raise invalid(f"Invalid object: {part}", part)
        tree = member
    tree[path[-1] or str(len(tree))] = value


class Parameters:
    """The parameters of one request; asking for a wrong one raises StripeError."""

    def __init__(self, tree: Mapping[str, Any]) -> None:
        self.tree = tree

    def only(self, names: Iterable[str]) -> None:
        """Refuse parameters that the endpoint does not know."""
        unknown = sorted(self.tree.keys() - set(names) - {"expand"})
        if unknown:
            message = f"Received unknown parameter: {unknown[0]}"
            raise invalid(message, unknown[0], "parameter_unknown")

    def has(self, name: str) -> bool:
        return name in self.tree

    def text(self, name: str, default: str = "") -> str:
        value = self.tree.get(name, default)
        if not isinstance(value, str):
            raise invalid(f"Invalid string: {name}", name)
        return value

    def required(self, name: str) -> str:
        value = self.text(name)
        if not value:
            raise lacking(name)
        return value

    def optional_text(self, name: str) -> str | None:
        return self.text(name) or None

    def integer(self, name: str, default: int | None = None) -> int:
        text = self.text(name)
        if not text and default is not None:
            return default
        if not text:
            raise lacking(name)
        if not re.fullmatch(r"-?[0-9]+", text) or len(text) > MAX_INTEGER_DIGITS:
            raise invalid(f"Invalid integer: {text}", name, "parameter_invalid_integer")
        return int(text)

    def flag(self, name: str, default: bool) -> bool:
        text = self.text(name)
        if text not in {"", "true", "false"}:
            raise invalid(f"Invalid boolean: {text}", name)
        return default if not text else text == "true"

    def group(self, name: str) -> Parameters:
        """Return the parameters below a name."""
        value = self.tree.get(name, {})
        if value == "":
            value = {}
        if not isinstance(value, dict):
            raise invalid(f"Invalid object: {name}", name)
        return Parameters(value)

    def groups(self, name: str) -> Iterator[Parameters]:
        """Yield the parameters of each entry of a list."""
        for entry in self.group(name).tree.values():
            if not isinstance(entry, dict):
                raise invalid(f"Invalid array: {name}", name)
            yield Parameters(entry)

    def texts(self, name: str) -> list[str]:
        """Return the texts of a list."""
        return [str(value) for value in self.group(name).tree.values()]

    def metadata(self, before: Mapping[str, str] | None = None) -> dict[str, str]:
        """Return what was there with what was sent; an empty text removes a key."""
        found = dict(before or {})
        for key, value in self.group("metadata").tree.items():
            if not isinstance(value, str) or len(key) > MAX_METADATA_KEY_LENGTH:
                raise invalid("Metadata keys and values are short texts", "metadata")
            if len(value) > MAX_METADATA_VALUE_LENGTH:
                raise invalid("Metadata values are at most 500 characters", "metadata")
            found[key] = value
        kept = {key: value for key, value in found.items() if value}
        if len(kept) > MAX_METADATA_KEYS:
            raise invalid("Metadata has at most 50 keys", "metadata")
        return kept

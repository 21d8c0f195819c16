"""Lists, searches and expansion, the same for all objects (docs.stripe.com/api/pagination)."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from portico.sandbox.state import Record
from system_apis.stripe.sandbox.account import Account
from system_apis.stripe.sandbox.errors import invalid
from system_apis.stripe.sandbox.parameters import Parameters

DEFAULT_LIMIT, MAX_LIMIT = 10, 100
PAGING = ("limit", "starting_after", "ending_before", "created")
_CLAUSE = re.compile(r"""(?:metadata\[['"]([^'"]+)['"]\]|([a-z_]+))\s*:\s*['"]([^'"]*)['"]\Z""")
_BOUNDS: dict[str, Callable[[int, int], bool]] = {
    "gt": lambda value, bound: value > bound,
    "gte": lambda value, bound: value >= bound,
    "lt": lambda value, bound: value < bound,
    "lte": lambda value, bound: value <= bound,
}
# What an object may be asked to have in place of an id, and of which kind that is.
_EXPANDABLE = {
    "customer": "customer",
    "product": "product",
    "default_price": "price",
    "latest_invoice": "invoice",
    "payment_intent": "payment_intent",
    "latest_charge": "charge",
    "payment_method": "payment_method",
    "charge": "charge",
    "invoice": "invoice",
    "subscription": "subscription",
}
MAX_EXPAND_DEPTH = 4


def list_page(url: str, records: Sequence[Record], parameters: Parameters) -> dict[str, Any]:
    """Return a part of a list whose records are given newest first."""
    limit = parameters.integer("limit", DEFAULT_LIMIT)
    if not 1 <= limit <= MAX_LIMIT:
        raise invalid("This value must be between 1 and 100", "limit", "parameter_invalid_integer")
    found = [record for record in records if _is_within(record, parameters)]
    ids = [record["id"] for record in found]
    if parameters.has("ending_before"):
        end = _position(ids, parameters.text("ending_before"), "ending_before")
        start = max(0, end - limit)
        return _page(url, found[start:end], more=start > 0)
    start = 0
    if parameters.has("starting_after"):
        start = _position(ids, parameters.text("starting_after"), "starting_after") + 1
    return _page(url, found[start : start + limit], more=len(found) > start + limit)


def _page(url: str, records: Sequence[Record], *, more: bool) -> dict[str, Any]:
    return {"object": "list", "url": url, "has_more": more, "data": list(records)}


def _position(ids: Sequence[str], record_id: str, param: str) -> int:
    if record_id not in ids:
        raise invalid(f"No such object: '{record_id}'", param, "resource_missing")
    return ids.index(record_id)


def _is_within(record: Record, parameters: Parameters) -> bool:
    created = parameters.tree.get("created")
    if created is None:
        return True
    if isinstance(created, str):
        return bool(record["created"] == parameters.integer("created"))
    group = parameters.group("created")
    group.only(_BOUNDS)
    return all(_BOUNDS[name](record["created"], group.integer(name)) for name in group.tree)


def search(url: str, records: Sequence[Record], parameters: Parameters) -> dict[str, Any]:
    """Return what matches a query of clauses `field:'text'` joined by AND."""
    parameters.only(("query", "limit", "page"))
    clauses = [_clause(text) for text in re.split(r"\s+AND\s+", parameters.required("query"))]
    found = [record for record in records if all(clause(record) for clause in clauses)]
    limit = parameters.integer("limit", DEFAULT_LIMIT)
    page = _page(url, found[:limit], more=len(found) > limit)
    return {**page, "object": "search_result", "next_page": None}


def _clause(text: str) -> Callable[[Record], bool]:
    match = _CLAUSE.match(text.strip())
    if match is None:
        raise invalid("We were unable to parse your search query.", "query")
    key, name, value = match.groups()
    if key is not None:
        return lambda record: bool(record["metadata"].get(key) == value)
    return lambda record: str(record.get(name)).lower() == value.lower()


def expand(account: Account, answer: Any, parameters: Parameters) -> Any:
    """Return an answer with the objects asked for in place of their ids."""
    for path in parameters.texts("expand"):
        parts = path.split(".")
        if len(parts) > MAX_EXPAND_DEPTH:
            raise invalid("You cannot expand more than 4 levels", "expand")
        answer = _expanded(account, answer, parts)
    return answer


def _expanded(account: Account, value: Any, parts: Sequence[str]) -> Any:
    if not parts:
        return value
    if isinstance(value, list):
        return [_expanded(account, entry, parts) for entry in value]
    name = parts[0]
    if not isinstance(value, dict) or (name not in value and name not in _EXPANDABLE):
        raise invalid(f"This property cannot be expanded ({'.'.join(parts)}).", "expand")
    member = value.get(name)
    if isinstance(member, str) and name in _EXPANDABLE:
        member = account.find(_EXPANDABLE[name], member)
    elif isinstance(member, str):
        raise invalid(f"This property cannot be expanded ({name}).", "expand")
    if member is None:
        return value
    return {**value, name: _expanded(account, member, parts[1:])}

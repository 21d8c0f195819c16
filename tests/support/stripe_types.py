"""What Stripe's library declares of each object, held against an object as JSON.

The library is generated from Stripe's own OpenAPI document of the version it speaks. A member that
is not optional has to be there, each has the type declared, and there are no others.
"""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from types import UnionType
from typing import Any, ForwardRef, Literal, Union, get_args, get_origin

import stripe

Record = dict[str, Any]
# Kinds of the library whose classes are not called like them.
_CLASSES = {"line_item": "InvoiceLineItem", "invoiceitem": "InvoiceItem"}


def violations(record: Record) -> list[str]:
    """Return what is not as the library declares it, each with the path to it."""
    return list(_of_object(record, _class_of(record["object"]), record["object"]))


def _class_of(kind: str) -> Any:
    name = _CLASSES.get(kind) or "".join(word.capitalize() for word in kind.split("_"))
    return getattr(stripe, name)


def _of_object(record: Record, declared: Any, at: str) -> Iterator[str]:
    members = {
        name.rstrip("_"): kind
        for each in reversed(declared.__mro__)
        if issubclass(each, stripe.StripeObject) and each is not stripe.StripeObject
        for name, kind in vars(each).get("__annotations__", {}).items()
        if not name.startswith("_") and not name.isupper()
    }
    for name, value in record.items():
        if name not in members:
            yield f"{at}.{name} is not declared"
        else:
            yield from _of_value(value, members[name], f"{at}.{name}")
    for name, kind in members.items():
        if name not in record and not _is_optional(kind):
            yield f"{at}.{name} is missing"


def _is_optional(kind: Any) -> bool:
    return type(None) in get_args(kind)


def _of_value(value: Any, kind: Any, at: str) -> Iterator[str]:
    """Return what is wrong with a value; of several types the one that fits best tells."""
    if get_origin(kind) in {Union, UnionType}:
        found = [list(_of_value(value, each, at)) for each in get_args(kind)]
        yield from min(found, key=len)
    elif isinstance(kind, str | ForwardRef) or (isinstance(kind, type) and _is_record(kind)):
        yield from _of_record(value, kind, at)
    elif get_origin(kind) is Literal:
        if value not in get_args(kind):
            yield f"{at} is {value!r}, not one of {get_args(kind)}"
    elif get_origin(kind) is list:
        if not isinstance(value, list):
            yield f"{at} is not a list"
            return
        for each in value:
            yield from _of_value(each, get_args(kind)[0], f"{at}[]")
    elif get_origin(kind) is stripe.ListObject:
        yield from _of_list(value, at)
    elif not _fits(value, kind):
        yield f"{at} is {value!r}, not {kind}"


def _is_record(kind: type) -> bool:
    return issubclass(kind, stripe.StripeObject)


def _of_record(value: Any, kind: Any, at: str) -> Iterator[str]:
    if not isinstance(value, dict):
        yield f"{at} is {value!r}, not an object"
    elif isinstance(kind, str | ForwardRef):  # the name of a class that is imported later
        yield from _of_object(value, _class_of(value["object"]), at)
    else:
        yield from _of_object(value, kind, at)


def _of_list(value: Any, at: str) -> Iterator[str]:
    if not isinstance(value, dict) or value.get("object") != "list":
        yield f"{at} is not a list of objects"
        return
    for each in value["data"]:
        yield from _of_object(each, _class_of(each["object"]), f"{at}[]")


def _fits(value: Any, kind: Any) -> bool:
    if kind is Any or get_origin(kind) is not None:
        return True  # a dictionary of anything
    if kind is Decimal:
        return isinstance(value, str)  # as it travels
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return type(value) is kind or (kind is type(None) and value is None)

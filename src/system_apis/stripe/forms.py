"""Bodies as Stripe wants them: forms whose names have brackets, `items[0][price]=price_1`."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

Value = str | int | bool | Mapping[str, "Value"] | Sequence["Value"] | None


def form(values: Mapping[str, Value]) -> list[tuple[str, str]]:
    """Return the pairs of a form; what is None is left out, and an empty text clears a field.

    >>> form({"name": "x", "metadata": {"erp": "1"}, "items": [{"price": "p"}], "skip": None})
    [('name', 'x'), ('metadata[erp]', '1'), ('items[0][price]', 'p')]
    """
    return list(_pairs("", values))


def _pairs(name: str, value: Value) -> Iterator[tuple[str, str]]:
    if value is None:
        return
    if isinstance(value, bool):
        yield name, "true" if value else "false"
    elif isinstance(value, str | int):
        yield name, str(value)
    elif isinstance(value, Mapping):
        for key, member in value.items():
            yield from _pairs(f"{name}[{key}]" if name else key, member)
    else:
        for index, member in enumerate(value):
            yield from _pairs(f"{name}[{index}]", member)

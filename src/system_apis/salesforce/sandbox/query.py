"""What a query finds: conditions on records, order, and records as they are answered."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import cmp_to_key
from typing import Any

from system_apis.salesforce.sandbox.errors import RefusalError
from system_apis.salesforce.sandbox.ids import normal
from system_apis.salesforce.sandbox.objects import Field, Object
from system_apis.salesforce.sandbox.soql import (
    Comparison,
    Condition,
    Literal,
    Order,
    Query,
    Selected,
    malformed,
    place,
)
from system_apis.salesforce.sandbox.store import Record, Store
from system_apis.salesforce.sandbox.values import parse_instant

Row = dict[str, Any]
# Parents of parents: an org follows five relationships from one field.
MAX_PARENTS = 5

# Which literals a field may be compared with; null goes with all of them.
_LITERALS: Mapping[str, str] = {
    "boolean": "boolean",
    "double": "number",
    "currency": "number",
    "percent": "number",
    "date": "date",
    "datetime": "datetime",
}
_QUOTELESS = frozenset({"boolean", "number", "date", "datetime"})


class Evaluation:
    """One query, run on a store; `version` is that of the API it was asked through."""

    def __init__(self, store: Store, query: Query, version: str, *, deleted: bool) -> None:
        definition = store.schema.find(query.source)
        if definition is None:
            message = place(query.text, query.source_at) + (
                f"sObject type '{query.source}' is not supported. If you are attempting to use a "
                "custom object, be sure to append the '__c' after the entity name."
            )
            raise RefusalError(400, "INVALID_TYPE", message)
        self._store = store
        self._schema = store.schema
        self._query = query
        self._definition = definition
        self._version = version
        self._deleted = deleted
        self._check(query, definition)

    def count(self) -> int:
        """Return how many records match."""
        return len(self._found(self._query, self._definition, self._all(self._definition)))

    def ids(self) -> list[str]:
        """Return the ids of what matches, in the order asked for."""
        found = self._found(self._query, self._definition, self._all(self._definition))
        return [record["Id"] for record in found]

    def rows(self, ids: Sequence[str]) -> list[Row]:
        """Return the records of some ids as they are answered."""
        records = (self._store.peek(self._definition.name, record_id) for record_id in ids)
        return [self._row(record, self._query, self._definition) for record in records if record]

    def _all(self, definition: Object) -> Iterator[Record]:
        return self._store.records(definition.name, deleted=self._deleted)

    def _check(self, query: Query, definition: Object) -> None:
        """Raise RefusalError for a field that is not there, before anything is read."""
        for selected in query.fields:
            if isinstance(selected, Query):
                self._check(selected, self._child(selected, definition)[0])
            else:
                self._field(query, definition, selected)
        for order in query.order:
            self._field(query, definition, order)
        if query.where is not None:
            self._check_condition(query, definition, query.where)

    def _check_condition(self, query: Query, definition: Object, condition: Condition) -> None:
        if not isinstance(condition, Comparison):
            for inner in condition.conditions:
                self._check_condition(query, definition, inner)
            return
        field = self._field(query, definition, condition)
        for literal in condition.literals:
            _check_literal(query, condition, field, literal)

    def _child(self, query: Query, definition: Object) -> tuple[Object, str]:
        for relationship, (name, field) in definition.children.items():
            if relationship.lower() == query.source.lower():
                child = self._schema.find(name)
                if child is not None:
                    return child, field
        message = place(query.text, query.source_at) + (
            f"Didn't understand relationship '{query.source}' in FROM part of query call."
        )
        raise RefusalError(400, "INVALID_TYPE", message)

    def _field(
        self, query: Query, definition: Object, named: Selected | Order | Comparison
    ) -> Field:
        *parents, name = named.path.split(".")
        if parents and _is(definition, parents[0]):
            parents = parents[1:]  # Account.Name from Account, as in SQL
        if len(parents) > MAX_PARENTS:
            raise malformed(query.text, named.at, "too many relationships in one path")
        for relationship in parents:
            reference = definition.parent(relationship)
            target = self._schema.find(reference.target) if reference else None
            if target is None:
                message = place(query.text, named.at) + (
                    f"Didn't understand relationship '{relationship}' in field path. If you are "
                    "attempting to use a custom relationship, be sure to append the '__r' after "
                    "the custom relationship name."
                )
                raise RefusalError(400, "INVALID_FIELD", message)
            definition = target
        field = definition.field(name)
        if field is None:
            message = place(query.text, named.at) + (
                f"No such column '{name}' on entity '{definition.name}'. If you are attempting to "
                "use a custom field, be sure to append the '__c' after the custom field name."
            )
            raise RefusalError(400, "INVALID_FIELD", message)
        return field

    def _found(
        self, query: Query, definition: Object, records: Iterator[Record]
    ) -> Sequence[Record]:
        where = query.where
        kept = [
            record
            for record in records
            if where is None or self._holds(query, definition, where, record)
        ]
        if query.order:
            kept.sort(key=cmp_to_key(self._comparer(query, definition)))
        end = None if query.limit is None else query.offset + query.limit
        return kept[query.offset : end]

    def _comparer(self, query: Query, definition: Object) -> Callable[[Record, Record], int]:
        def compare(left: Record, right: Record) -> int:
            for order in query.order:
                field = self._field(query, definition, order)
                first = _sortable(field, self._value(definition, left, order.path))
                second = _sortable(field, self._value(definition, right, order.path))
                if first == second:
                    continue
                if first is None or second is None:
                    return -1 if (first is None) != order.nulls_last else 1
                smaller: bool = first < second
                return -1 if smaller != order.descending else 1
            return 0

        return compare

    def _holds(
        self, query: Query, definition: Object, condition: Condition, record: Record
    ) -> bool:
        if isinstance(condition, Comparison):
            field = self._field(query, definition, condition)
            return compare(field, self._value(definition, record, condition.path), condition)
        inner = (self._holds(query, definition, each, record) for each in condition.conditions)
        match condition.kind:
            case "and":
                return all(inner)
            case "or":
                return any(inner)
            case _:
                return not next(inner)

    def _value(self, definition: Object, record: Record | None, path: str) -> object:
        *parents, name = path.split(".")
        if parents and _is(definition, parents[0]):
            parents = parents[1:]
        for relationship in parents:
            reference = definition.parent(relationship)
            target = self._schema.find(reference.target) if reference else None
            if record is None or reference is None or target is None:
                return None
            definition = target
            record = self._store.peek(target.name, str(record.get(reference.name) or ""))
        field = definition.field(name)
        return record.get(field.name) if record is not None and field is not None else None

    def _row(self, record: Record, query: Query, definition: Object) -> Row:
        row = described(record, definition, self._version)
        for selected in query.fields:
            if isinstance(selected, Query):
                row[selected.source] = self._children(record, selected, definition)
            else:
                self._put(row, record, definition, selected.path.split("."))
        return row

    def _put(self, row: Row, record: Record, definition: Object, path: Sequence[str]) -> None:
        """Set a field in a row, or in the rows of its parents, by the names of the org."""
        if len(path) > 1 and _is(definition, path[0]):
            path = path[1:]
        reference = definition.parent(path[0]) if len(path) > 1 else None
        target = self._schema.find(reference.target) if reference else None
        if reference is None or target is None:
            field = definition.field(path[0])
            if field is not None:
                row[field.name] = record.get(field.name)
            return
        parent = self._store.peek(target.name, str(record.get(reference.name) or ""))
        if parent is None:
            row[reference.relationship] = None
            return
        inner = row.get(reference.relationship) or described(parent, target, self._version)
        self._put(inner, parent, target, path[1:])
        row[reference.relationship] = inner

    def _children(self, record: Record, query: Query, definition: Object) -> Row | None:
        child, field = self._child(query, definition)
        owned = (each for each in self._all(child) if each.get(field) == record["Id"])
        found = self._found(query, child, owned)
        if not found:
            return None  # an org answers null for a child relationship without records
        rows = [self._row(each, query, child) for each in found]
        return {"totalSize": len(rows), "done": True, "records": rows}


def _is(definition: Object, name: str) -> bool:
    return definition.name.lower() == name.lower()


def described(record: Record, definition: Object, version: str) -> Row:
    """Return what every answered record begins with."""
    url = f"/services/data/{version}/sobjects/{definition.name}/{record['Id']}"
    return {"attributes": {"type": definition.name, "url": url}}


def compare(field: Field, value: object, condition: Comparison) -> bool:
    """Tell whether a value of a field satisfies a comparison."""
    wanted = [_comparable(field, literal.value) for literal in condition.literals]
    found = _comparable(field, value)
    match condition.operator:
        case "=" | "in":
            return found in wanted
        case "!=" | "not in":
            return found not in wanted
        case "like":
            return found is not None and like(str(found), str(condition.literals[0].value))
    if found is None or wanted[0] is None:
        return False
    return _ordered(condition.operator, found, wanted[0])


def _ordered(operator: str, left: Any, right: Any) -> bool:
    match operator:
        case "<":
            return bool(left < right)
        case "<=":
            return bool(left <= right)
        case ">":
            return bool(left > right)
        case _:
            return bool(left >= right)


def like(text: str, pattern: str) -> bool:
    """Tell whether a text matches a pattern of LIKE, whatever its case."""
    parts = re.findall(r"\\.|.", pattern, flags=re.DOTALL)
    signs = {"%": ".*", "_": "."}
    expression = "".join(signs.get(part) or re.escape(_unescape(part)) for part in parts)
    return re.fullmatch(expression, text, flags=re.DOTALL | re.IGNORECASE) is not None


def _unescape(part: str) -> str:
    return part[1:] if part.startswith("\\") and len(part) > 1 else part


def _comparable(field: Field, value: object) -> object:
    if value is None:
        return None
    match field.kind:
        case "datetime":
            return parse_instant(str(value))
        case "id" | "reference":
            return normal(str(value))
        case "boolean" | "double" | "currency" | "percent" | "date":
            return value
        case _:
            return str(value).casefold() or None


def _sortable(field: Field, value: object) -> Any:
    found = _comparable(field, value)
    return found.timestamp() if isinstance(found, datetime) else found


def _check_literal(query: Query, condition: Comparison, field: Field, literal: Literal) -> None:
    wanted = _LITERALS.get(field.kind, "string")
    if literal.kind in ("null", wanted):
        return
    if literal.kind == "string" and wanted in _QUOTELESS:
        problem = f"must be of type {field.kind} and should not be enclosed in quotes"
    else:
        problem = f"must be of type {field.kind}" + (
            " and should be enclosed in quotes" if wanted == "string" else ""
        )
    message = f"value of filter criterion for field '{condition.path}' {problem}"
    raise RefusalError(400, "INVALID_FIELD", place(query.text, condition.at) + message)

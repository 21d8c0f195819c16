"""What the S/4HANA holds: rows by entity, each under its key."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from portico.sandbox.state import State
from system_apis.sap.sandbox import rules
from system_apis.sap.sandbox.errors import RefusalError
from system_apis.sap.sandbox.model import SERVICES, Entity, Navigation, entity_named
from system_apis.sap.sandbox.values import accept, blank

Row = dict[str, Any]
Values = Mapping[str, object]
Snapshot = Mapping[str, Mapping[str, Row]]

_SEPARATOR = ","
_NAMES = tuple(name for service in SERVICES for name in service.entities)


class Store:
    """Rows in a state that may outlive the process. Rows are replaced, never changed."""

    def __init__(
        self, state: State, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._state = state
        self._clock = clock

    def now(self) -> datetime:
        return self._clock()

    def next_number(self, name: str, first: int) -> int:
        """Return the next number of a range."""
        return self._state.next_number(name, first)

    def snapshot(self) -> Snapshot:
        """Return what `restore` needs to take back everything since, but the numbers given."""
        return {name: dict(self._state.table(name)) for name in _NAMES}

    def restore(self, snapshot: Snapshot) -> None:
        """Take back everything since a snapshot."""
        for name, rows in snapshot.items():
            table = self._state.table(name)
            table.clear()
            table.update(rows)

    def rows(self, name: str) -> Iterator[Row]:
        return iter(list(self._state.table(name).values()))

    def find(self, name: str, *key: str) -> Row | None:
        """Return the row of a key as it is kept, None if there is none."""
        return self._state.table(name).get(_SEPARATOR.join(key))

    def reached(self, row: Row, navigation: Navigation) -> list[Row]:
        """Return the rows that a navigation leads to from a row."""
        return [
            other
            for other in self.rows(navigation.target)
            if all(other[theirs] == row[ours] for ours, theirs in navigation.pairs)
        ]

    def keep(self, entity: Entity, row: Row) -> None:
        """Put a row in its place as it is, without the rules."""
        self._state.table(entity.name)[_SEPARATOR.join(str(row[key]) for key in entity.keys)] = row

    def create(self, entity: Entity, values: Values, owner: Values | None = None) -> Row:
        """Create a row with the rows below it that are given with it; raises RefusalError."""
        below, own = _split(entity, values)
        row: Row = {name: blank(each) for name, each in entity.properties.items()}
        row.update(_accepted(entity, own))
        row.update(owner or {})
        rules.before_create(self, entity.name, row, below)
        key = [str(row[name]) for name in entity.keys]
        if not all(key) and entity.name not in rules.MAY_HAVE_BLANK_KEYS:
            raise RefusalError(400, "/IWBEP/CM_MGW_RT/021", "a key is missing")
        if self.find(entity.name, *key) is not None:
            message = f"{entity.name} {' '.join(key)} exists already"
            raise RefusalError(400, "SY/530", message)
        self.keep(entity, row)
        for navigation, children in below:
            target = entity_named(navigation.target)
            pairs = {theirs: row[ours] for ours, theirs in navigation.pairs}
            for child in children:
                self.create(target, child, pairs)
        rules.after_write(self, entity.name, row)
        return self.find(entity.name, *key) or row

    def update(self, entity: Entity, row: Row, values: Values) -> None:
        """Change a row; raises RefusalError."""
        below, own = _split(entity, values)
        if below:
            raise RefusalError(400, "/IWBEP/CM_MGW_RT/053", "a deep update is not supported")
        changed = {**row, **_accepted(entity, own)}
        if any(changed[key] != row[key] for key in entity.keys):
            raise RefusalError(400, "/IWBEP/CM_MGW_RT/021", "a key cannot be changed")
        self.keep(entity, changed)
        rules.after_write(self, entity.name, changed)

    def delete(self, entity: Entity, row: Row) -> None:
        """Delete a row with the rows below it; raises RefusalError."""
        rules.before_delete(self, entity.name, row)
        for navigation in entity.navigations.values():
            if navigation.many:
                for child in self.reached(row, navigation):
                    self.delete(entity_named(navigation.target), child)
        key = _SEPARATOR.join(str(row[name]) for name in entity.keys)
        self._state.table(entity.name).pop(key, None)

    def __repr__(self) -> str:
        return f"<Store {self._state!r}>"


def _split(
    entity: Entity, values: Values
) -> tuple[list[tuple[Navigation, Sequence[Values]]], Values]:
    """Return what of a body goes below, by navigation, and what is of the row itself."""
    below = []
    own: dict[str, object] = {}
    for name, value in values.items():
        navigation = entity.navigations.get(name)
        if navigation is None:
            own[name] = value
        elif value is not None:
            below.append((navigation, _children(name, value)))
    return below, own


def _children(name: str, value: object) -> Sequence[Values]:
    found = value.get("results", value) if isinstance(value, dict) else value
    listed = [found] if isinstance(found, dict) else found
    if not isinstance(listed, list) or not all(isinstance(each, dict) for each in listed):
        raise RefusalError(400, "/IWBEP/CM_MGW_RT/021", f"{name} must be a list of entities")
    return listed


def _accepted(entity: Entity, values: Values) -> Row:
    row: Row = {}
    for name, value in values.items():
        if name.startswith(("__", "@")):
            continue
        wanted = entity.properties.get(name)
        if wanted is None:
            message = f"Property '{name}' is invalid for {entity.name}"
            raise RefusalError(400, "/IWBEP/CM_MGW_RT/021", message)
        if not wanted.read_only:
            row[name] = accept(wanted, value)
    return row

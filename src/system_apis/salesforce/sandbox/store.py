"""The records of the org. Records are replaced, never changed, so that a snapshot costs little."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from portico.sandbox.state import State
from system_apis.salesforce.sandbox import duplicates, rules
from system_apis.salesforce.sandbox.errors import RefusalError, not_found
from system_apis.salesforce.sandbox.ids import make, normal
from system_apis.salesforce.sandbox.objects import OBJECTS, Field, Object
from system_apis.salesforce.sandbox.schema import Schema
from system_apis.salesforce.sandbox.values import accept, instant

Record = Mapping[str, Any]
Values = Mapping[str, object]
Snapshot = Mapping[str, Mapping[str, dict[str, Any]]]

# Those of one owner are deleted with it.
_DETAILS: Mapping[str, tuple[str, str]] = {"Order": ("OrderItem", "OrderId")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Saving:
    """How a record is saved: `version` is that of the API, which is part of the URLs it answers."""

    version: str
    allow_duplicates: bool = False


class Store:
    """The records by object, in a state that may outlive the process."""

    def __init__(
        self, state: State, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._state = state
        self._clock = clock
        self.schema = Schema()

    def now(self) -> str:
        """Return this moment as an org writes it."""
        return instant(self._clock())

    def snapshot(self) -> Snapshot:
        """Return what `restore` needs to take back everything since, but the numbers given."""
        return {each.name: dict(self._table(each.name)) for each in OBJECTS.values()}

    def restore(self, snapshot: Snapshot) -> None:
        """Take back everything since a snapshot."""
        for name, records in snapshot.items():
            table = self._table(name)
            table.clear()
            table.update(records)

    def next_number(self, name: str) -> int:
        """Return the next number of a counter, from 1."""
        return self._state.next_number(name)

    def records(self, name: str, *, deleted: bool = False) -> Iterator[Record]:
        """Return the records of an object, the oldest first; the deleted too if asked for."""
        found = self._table(name).values()
        return (record for record in found if deleted or not record["IsDeleted"])

    def children(self, name: str, field: str, owner: str) -> Iterator[Record]:
        """Return the records that refer to an owner."""
        return (record for record in self.records(name) if record.get(field) == owner)

    def peek(self, name: str, record_id: str) -> Record | None:
        """Return a record by its id, also a deleted one, or None."""
        return self._table(name).get(normal(record_id))

    def get(self, name: str, record_id: str) -> Record:
        """Return a record by its id; raises RefusalError."""
        record = self.peek(name, record_id)
        if record is None:
            raise not_found()
        if record["IsDeleted"]:
            raise RefusalError(404, "ENTITY_IS_DELETED", "entity is deleted", [])
        return record

    def matches(self, name: str, field: str, value: str) -> list[Record]:
        """Return the records whose external id is a value, whatever its case."""
        wanted = value.casefold()
        return [
            record
            for record in self.records(name)
            if str(record.get(field) or "").casefold() == wanted
        ]

    def insert(self, definition: Object, values: Values, saving: Saving) -> str:
        """Create a record and return its id; raises RefusalError."""
        self.schema.check_writable(definition)
        whole = OBJECTS[definition.name.lower()]  # also with what the user does not see
        new: dict[str, Any] = {field.name: field.default for field in whole.fields.values()}
        new.update(self._accepted(definition, values, creating=True))
        new["Id"] = make(definition.prefix, self.next_number(f"{definition.name} id"))
        new["CreatedDate"] = self.now()
        return self._save(definition, None, new, saving)

    def update(self, definition: Object, record_id: str, values: Values, saving: Saving) -> str:
        """Change a record and return its id; raises RefusalError."""
        self.schema.check_writable(definition)
        old = self.get(definition.name, record_id)
        new = {**old, **self._accepted(definition, values, creating=False)}
        return self._save(definition, old, new, saving)

    def _save(
        self, definition: Object, old: Record | None, new: dict[str, Any], saving: Saving
    ) -> str:
        missing = [field.name for field in definition.fields.values() if _lacks(field, new)]
        if missing:
            message = f"Required fields are missing: [{', '.join(missing)}]"
            raise RefusalError(400, "REQUIRED_FIELD_MISSING", message, missing)
        new.update(LastModifiedDate=self.now(), SystemModstamp=self.now())
        self._check(definition, new)
        rules.derive(self, definition.name, old, new)
        if not saving.allow_duplicates:
            duplicates.check(self, definition.name, new, saving.version)
        self._table(definition.name)[new["Id"]] = new
        if definition.name == "OrderItem":
            rules.add_up(self, new["OrderId"])
        return str(new["Id"])

    def delete(self, definition: Object, record_id: str) -> None:
        """Put a record into the recycle bin, with what belongs to it; raises RefusalError."""
        self.schema.check_writable(definition)
        record = self.get(definition.name, record_id)
        if definition.name in _DETAILS:
            name, field = _DETAILS[definition.name]
            for child in list(self.children(name, field, record["Id"])):
                self.touch(name, child["Id"], {"IsDeleted": True})
        self.touch(definition.name, record["Id"], {"IsDeleted": True})
        if definition.name == "OrderItem":
            rules.add_up(self, record["OrderId"])

    def touch(self, name: str, record_id: str, values: Mapping[str, Any]) -> None:
        """Set what only the org itself sets."""
        old = self._table(name)[record_id]
        self._table(name)[record_id] = {**old, **values, "SystemModstamp": self.now()}

    def _table(self, name: str) -> dict[str, dict[str, Any]]:
        return self._state.table(name)

    def _accepted(self, definition: Object, values: Values, *, creating: bool) -> dict[str, object]:
        accepted: dict[str, object] = {}
        for name, value in values.items():
            if name.lower() == "attributes":
                continue
            if isinstance(value, Mapping) and (parent := definition.parent(name)) is not None:
                accepted[parent.name] = self._referred(parent, value)
                continue
            field = definition.field(name)
            if field is None:
                message = f"No such column '{name}' on sobject of type {definition.name}"
                raise RefusalError(400, "INVALID_FIELD", message)
            if field.read_only or (field.create_only and not creating):
                raise _not_writable(field)
            accepted[field.name] = accept(field, value)
        return accepted

    def _referred(self, parent: Field, value: Mapping[str, object]) -> str:
        """Return the id of a record that is referred to by its external id."""
        target = OBJECTS[parent.target.lower()]
        keys = [
            (target.field(name), found) for name, found in value.items() if name != "attributes"
        ]
        field, wanted = keys[0] if len(keys) == 1 else (None, None)
        if field is None or not field.external:
            message = f"The external foreign key reference is not right for {parent.relationship}"
            raise RefusalError(400, "INVALID_FIELD", message)
        found = self.matches(target.name, field.name, str(wanted))
        if len(found) != 1:
            message = (
                f"Foreign key external ID: {wanted} not found for field {field.name} "
                f"in entity {target.name}"
            )
            raise RefusalError(400, "INVALID_FIELD", message)
        return str(found[0]["Id"])

    def _check(self, definition: Object, record: Record) -> None:
        for field in definition.fields.values():
            value = record.get(field.name)
            if value is None:
                continue
            if field.unique:
                self._check_unique(definition, field, record)
            if field.target and self._gone(field.target, value):
                message = f"{field.name}: invalid cross reference id"
                raise RefusalError(400, "INVALID_CROSS_REFERENCE_KEY", message, [field.name])

    def _check_unique(self, definition: Object, field: Field, record: Record) -> None:
        for other in self.matches(definition.name, field.name, record[field.name]):
            if other["Id"] != record["Id"]:
                message = (
                    f"duplicate value found: {field.name} duplicates value on record "
                    f"with id: {other['Id'][:15]}"
                )
                raise RefusalError(400, "DUPLICATE_VALUE", message, [])

    def _gone(self, name: str, record_id: str) -> bool:
        record = self.peek(name, record_id)
        return record is None or bool(record["IsDeleted"])

    def __repr__(self) -> str:
        return f"<Store {self._state!r}>"


def _lacks(field: Field, record: Record) -> bool:
    return field.required and record.get(field.name) is None


def _not_writable(field: Field) -> RefusalError:
    message = (
        f"Unable to create/update fields: {field.name}. Please check the security settings of this "
        "field and verify that it is read/write for your profile or permission set."
    )
    return RefusalError(400, "INVALID_FIELD_FOR_INSERT_UPDATE", message, [field.name])

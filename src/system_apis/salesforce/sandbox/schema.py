"""The objects of the org as the user of the API sees them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from portico.sandbox.permissions import Permissions
from system_apis.salesforce.sandbox.errors import RefusalError, not_found
from system_apis.salesforce.sandbox.objects import OBJECTS, Field, Object, find


class Schema:
    """What the user may not see is not there; resources are `Account` and `Account.Name`."""

    def __init__(self) -> None:
        fields = (
            f"{each.name}.{field.name}"
            for each in OBJECTS.values()
            for field in each.fields.values()
        )
        self.permissions = Permissions([*(each.name for each in OBJECTS.values()), *fields])

    def find(self, name: str) -> Object | None:
        """Return an object by its name, with the fields that the user sees, or None."""
        definition = find(name)
        if definition is None or not self.permissions.limited:
            return definition
        if not self.permissions.may_read(definition.name):
            return None
        return replace(definition, fields=dict(self._fields(definition)))

    def named(self, name: str) -> Object:
        """Return an object by its name; raises RefusalError."""
        definition = self.find(name)
        if definition is None:
            raise not_found()
        return definition

    def objects(self) -> Iterator[Object]:
        return (seen for each in OBJECTS if (seen := self.find(each)) is not None)

    def check_writable(self, definition: Object) -> None:
        """Raise RefusalError for an object that the user may only read.

        That the status is 403 is how simple-salesforce tells a refusal from a malformed request;
        that creating is refused with the same code as changing is unverified.
        """
        if not self.permissions.may_write(definition.name):
            message = "insufficient access rights on object id"
            raise RefusalError(403, "INSUFFICIENT_ACCESS_OR_READONLY", message, [])

    def _fields(self, definition: Object) -> Iterator[tuple[str, Field]]:
        for key, field in definition.fields.items():
            resource = f"{definition.name}.{field.name}"
            if self.permissions.may_read(resource):
                locked = field.read_only or not self.permissions.may_write(resource)
                yield key, replace(field, read_only=locked)

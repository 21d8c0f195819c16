"""What a connector may not do in a sandbox."""

from __future__ import annotations

from collections.abc import Collection, Iterable


class UnknownResourceError(ValueError):
    """A permission for something that the system does not know."""


class Permissions:
    """What is taken from the credential of a connector, by resources as the vendor names them."""

    def __init__(self, resources: Iterable[str]) -> None:
        self._resources = frozenset(resources)
        self._no_access: frozenset[str] = frozenset()
        self._read_only: frozenset[str] = frozenset()

    def take(self, *, no_access: Collection[str], read_only: Collection[str]) -> None:
        """Take these away, and give back all others; raises UnknownResourceError."""
        unknown = sorted({*no_access, *read_only} - self._resources)
        if unknown:
            known = ", ".join(sorted(self._resources))
            raise UnknownResourceError(f"{', '.join(unknown)} is not one of {known}")
        self._no_access = frozenset(no_access)
        self._read_only = frozenset(read_only)

    @property
    def limited(self) -> bool:
        """Whether anything is taken away at all."""
        return bool(self._no_access or self._read_only)

    def may_read(self, resource: str) -> bool:
        return resource not in self._no_access

    def may_write(self, resource: str) -> bool:
        return self.may_read(resource) and resource not in self._read_only

"""What can be wrong with an event or its contract."""

from __future__ import annotations


class EventError(Exception):
    """The root of the errors of this package."""


class MalformedEventError(EventError, ValueError):
    """A message is no CloudEvent: a required attribute is missing, or a value cannot be."""


class UnsupportedFormatError(EventError):
    """A message is an event in a format that is not read here (CloudEvents HTTP, 3.2)."""


class UnknownEventError(EventError):
    """No contract describes events of this type."""


class EventContractError(EventError):
    """The data of an event breaks the contract of its type."""

    def __init__(self, event_type: str, causes: list[str]) -> None:
        super().__init__(f"{event_type} breaks its contract: {'; '.join(causes)}")
        self.causes = causes


class RejectedEventError(EventError):
    """Raised by a handler for an event that no further delivery would make acceptable."""


class BusUnavailableError(EventError):
    """The bus cannot be reached; what was to be published is not there."""

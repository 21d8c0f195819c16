"""Event contracts: AsyncAPI 3 documents in `specs/events`, compiled to one validator a type.

Read of a document is what this product enforces: its channels, operations and messages, and the
schemas of their payloads, which may be shared with the HTTP contracts. A message is named like the
`type` of its CloudEvent; its payload is the event's `data`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema_rs

from portico.contract.findings import ContractError, Finding
from portico.contract.source import SourceFile
from portico.events.errors import EventContractError, UnknownEventError
from portico.events.event import CloudEvent
from portico.events.references import Schemas, look_up

_FILE_NAME = re.compile(r"([a-z][a-z0-9-]*\.v[1-9][0-9]*)\.(?:yaml|yml|json)\Z")
_VERSION = re.compile(r"3\.[01]\.\d+\Z")  # 3.1 adds only bindings to 3.0
_TYPE = re.compile(r"[A-Za-z0-9_.]+\Z")  # what outgoing webhooks can say too (Standard Webhooks)
_ACTIONS = frozenset({"send", "receive"})
MAX_CAUSES = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class EventType:
    """A type of events: the contract that describes it, and its data's validator."""

    name: str
    contract: str
    validator: jsonschema_rs.Draft202012Validator
    sent: bool

    def check(self, event: CloudEvent) -> None:
        """Raise EventContractError where the data is not what the contract says.

        Causes name places, never values: those may be personal.
        """
        if self.validator.is_valid(event.data):
            return
        causes = []
        for error in self.validator.iter_errors(event.data):
            place = "".join(f"/{part}" for part in error.instance_path)
            causes.append(f"#{place} breaks {error.kind.name}")
        raise EventContractError(self.name, causes[:MAX_CAUSES])


class EventContracts:
    """All event contracts of a folder."""

    def __init__(self, types: Mapping[str, EventType]) -> None:
        self.types = types

    def check(self, event: CloudEvent) -> None:
        """Raise UnknownEventError or EventContractError unless the event is under contract."""
        found = self.types.get(event.type)
        if found is None:
            raise UnknownEventError(f"no contract describes events of type {event.type}")
        found.check(event)

    def __repr__(self) -> str:
        return f"<EventContracts {len(self.types)} types>"


def load_events(folder: Path, root: Path | None = None) -> EventContracts:
    """Return the contracts of a folder. Raises ContractError with everything found wrong.

    References may reach files below `root`, by default the folder above.
    """
    types: dict[str, EventType] = {}
    findings: list[Finding] = []
    schemas = Schemas(root or folder.parent)
    for path in sorted(folder.glob("*")):
        if path.suffix not in {".yaml", ".yml", ".json"}:
            continue
        try:
            for found in _Document(schemas.source(path), schemas).types():
                if found.name in types:
                    message = f"{found.name} is also a message of {types[found.name].contract}"
                    raise _error(schemas.source(path), (), "message-twice", message)
                types[found.name] = found
        except ContractError as error:
            findings.extend(error.findings)
    if findings:
        raise ContractError(findings)
    return EventContracts(types)


class _Document:
    """One AsyncAPI document."""

    def __init__(self, source: SourceFile, schemas: Schemas) -> None:
        self._source = source
        self._schemas = schemas
        matched = _FILE_NAME.match(source.path.name)
        if matched is None:
            raise self._wrong((), "misplaced-contract", "the file is not named like orders.v1.yaml")
        self.name = matched[1]
        data = source.data
        if not isinstance(data, dict) or not _VERSION.match(str(data.get("asyncapi"))):
            raise self._wrong(("asyncapi",), "not-asyncapi", "the document is not AsyncAPI 3")
        if not data.get("x-owner"):
            raise self._wrong((), "no-owner", "the contract has no x-owner")
        self._data = data

    def types(self) -> Iterator[EventType]:
        """Yield the types of events that its operations send or receive."""
        seen: set[str] = set()
        for name, operation in self._section("operations").items():
            pointer = ("operations", name)
            if not isinstance(operation, dict) or operation.get("action") not in _ACTIONS:
                raise self._wrong(pointer, "no-action", "an operation has to send or to receive")
            sent = operation["action"] == "send"
            for message_pointer, message in self._messages(pointer, operation):
                found = self._type(message_pointer, message, sent=sent)
                if found.name not in seen:
                    seen.add(found.name)
                    yield found

    def _section(self, name: str) -> dict[str, Any]:
        section = self._data.get(name)
        if not isinstance(section, dict) or not section:
            raise self._wrong((name,), f"no-{name}", f"the contract has no {name}")
        return section

    def _messages(
        self, pointer: tuple[str, ...], operation: Mapping[str, Any]
    ) -> Iterator[tuple[tuple[str, ...], Any]]:
        """Yield the messages of an operation: those it names, else all of its channel."""
        channel_pointer, channel = self._follow((*pointer, "channel"), operation.get("channel"))
        offered = channel.get("messages") if isinstance(channel, dict) else None
        if not isinstance(offered, dict) or not offered:
            raise self._wrong(channel_pointer, "no-messages", "the channel has no messages")
        named = operation.get("messages")
        entries = enumerate(named) if isinstance(named, list) else offered.items()
        base = (*pointer, "messages") if isinstance(named, list) else (*channel_pointer, "messages")
        for key, entry in entries:
            yield self._follow((*base, str(key)), entry)

    def _follow(self, pointer: tuple[str, ...], node: Any) -> tuple[tuple[str, ...], Any]:
        """Return what a node refers to within this document, through references to references."""
        for _ in range(10):
            if not isinstance(node, dict) or "$ref" not in node:
                return pointer, node
            reference = str(node["$ref"])
            found = look_up(self._data, reference)
            if found is None:
                raise self._wrong(pointer, "broken-reference", f"{reference} points at nothing")
            pointer, node = found
        raise self._wrong(pointer, "broken-reference", "the reference leads in a circle")

    def _type(self, pointer: tuple[str, ...], message: Any, *, sent: bool) -> EventType:
        if not isinstance(message, dict) or "payload" not in message:
            raise self._wrong(pointer, "no-payload", "the message has no payload")
        name = str(message.get("name", ""))
        if not _TYPE.match(name):
            hint = "name it like the type of its CloudEvent: letters, digits, dots"
            raise self._wrong(pointer, "message-name", f"{name!r} is no type of events", hint)
        try:
            validator = self._schemas.validator(self._source, (*pointer, "payload"))
        except (ValueError, jsonschema_rs.ReferencingError) as error:
            raise self._wrong((*pointer, "payload"), "unusable-schema", str(error)) from None
        return EventType(name=name, contract=self.name, validator=validator, sent=sent)

    def _wrong(
        self, pointer: tuple[str, ...], rule: str, message: str, hint: str = ""
    ) -> ContractError:
        return _error(self._source, pointer, rule, message, hint)


def _error(
    source: SourceFile, pointer: tuple[str, ...], rule: str, message: str, hint: str = ""
) -> ContractError:
    return ContractError(
        [
            Finding(
                position=source.position(pointer),
                rule=rule,
                message=message,
                hint=hint or "specs/events has examples",
            )
        ]
    )

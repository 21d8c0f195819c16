"""What an operation may answer, and what is wrong with an answer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from portico.contract import errors
from portico.contract.errors import Entry
from portico.contract.media import MediaTable
from portico.contract.parameters import ABSENT, Reader
from portico.contract.schemas import Validator
from portico.contract.shape import Shaper
from portico.contract.styles import StyleError

# The lines of this field cannot be joined (RFC 9110, 5.3); each is one value.
_SINGLE = "set-cookie"


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """A declared response: its headers and its content by media type.

    `shapers` remove what responses never carry, by declared media type.
    """

    status: str
    media: MediaTable[Validator | None]
    headers: Mapping[str, tuple[Reader, Validator | None, bool]]
    shapers: Mapping[str, Shaper]


def find_answer(answers: Mapping[str, Answer], status: int) -> Answer | None:
    """Return the declared response for a status: exact, then `2XX`, then `default`."""
    found = answers.get(str(status))
    if found is None:
        found = answers.get(f"{status // 100}XX") or answers.get("default")
    return found


def check(
    answers: Mapping[str, Answer],
    status: int,
    media_type: str,
    body: Any,
    headers: Sequence[tuple[str, str]],
) -> list[Entry]:
    """Return what is wrong with a response; see `Operation.check_response`."""
    if status == 304 and "304" not in answers:
        return []  # it stands for an answer that the client already has
    answer = find_answer(answers, status)
    if answer is None:
        return [{"detail": f"the contract declares no answer with status {status}"}]
    if answer.headers:
        wrong = _check_headers(answer, headers)
        if wrong:
            return wrong
    if answer.media.declared:
        return _check_content(answer, status, media_type, body)
    if body is None or (body is ABSENT and not media_type):
        return []
    return [_undeclared(status, media_type)]


def _check_content(answer: Answer, status: int, media_type: str, body: Any) -> list[Entry]:
    validator = answer.media.find(media_type)
    if validator is None:
        return _check_unvalidated(answer, status, media_type, body)
    # Only JSON content has a validator.
    if body is ABSENT or errors.is_valid(validator, body):
        return []
    return errors.explain_value(validator, body)


def _check_unvalidated(answer: Answer, status: int, media_type: str, body: Any) -> list[Entry]:
    """Check content that is declared without a schema, or not at all."""
    if not media_type and (body is None or body is ABSENT):
        return [{"detail": f"the contract declares content for status {status}, there is none"}]
    if answer.media.declares(media_type):
        return []
    return [_undeclared(status, media_type)]


def _undeclared(status: int, media_type: str) -> Entry:
    named = media_type[:100] or "content without a media type"
    return {"detail": f"the contract does not declare {named} for status {status}"}


def _check_headers(answer: Answer, headers: Sequence[tuple[str, str]]) -> list[Entry]:
    given: dict[str, list[str]] = {}
    for name, value in headers:
        given.setdefault(name.lower(), []).append(value)
    wrong: list[Entry] = []
    for name, (reader, validator, required) in answer.headers.items():
        lines = given.get(name)
        if lines is None:
            if required:
                wrong.append({"detail": f"the header {reader.name} is missing"})
            continue
        for line in lines if name == _SINGLE else [", ".join(lines)]:
            wrong.extend(_check_header(reader, validator, line))
    return wrong


def _check_header(reader: Reader, validator: Validator | None, line: str) -> list[Entry]:
    try:
        value = reader.read(line)
    except StyleError as error:
        return [{"detail": f"the header {reader.name}: {error}"}]
    if validator is None or errors.is_valid(validator, value):
        return []
    return [{"detail": f"the header {reader.name} does not match its schema"}]

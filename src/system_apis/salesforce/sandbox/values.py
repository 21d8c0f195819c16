"""What may stand in a field: JSON values as an org takes and keeps them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime

from system_apis.salesforce.sandbox.errors import RefusalError
from system_apis.salesforce.sandbox.ids import normal
from system_apis.salesforce.sandbox.objects import Field

_EMAIL = re.compile(r"[^@\s]+@[^@\s.]+(\.[^@\s.]+)+")
_MAX_NUMBER = 1e16  # an org keeps 18 digits of a currency field, two of them decimals


def instant(moment: datetime) -> str:
    """Return a moment as an org writes it: to the second, in UTC."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.000+0000")


def parse_instant(text: str) -> datetime:
    """Return the moment of a text as clients write it; raises ValueError.

    A moment without a zone counts as UTC.
    """
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def accept(field: Field, value: object) -> object:
    """Return a value as it is kept; raises RefusalError. None clears the field."""
    if value is None or value == "":
        return None
    return _KINDS.get(field.kind, _text)(field, value)


def _text(field: Field, value: object) -> object:
    if not isinstance(value, str):
        raise _unparsable(field, value)
    if len(value) > field.length:
        message = f"{field.name}: data value too large: {value} (max length={field.length})"
        raise RefusalError(400, "STRING_TOO_LONG", message, [field.name])
    return value


def _email(field: Field, value: object) -> object:
    text = str(_text(field, value))
    if not _EMAIL.fullmatch(text):
        message = f"{field.name}: invalid email address: {text}"
        raise RefusalError(400, "INVALID_EMAIL_ADDRESS", message, [field.name])
    return text


def _picklist(field: Field, value: object) -> object:
    text = str(_text(field, value))
    if text not in field.values:
        message = f"{field.name}: bad value for restricted picklist field: {text}"
        raise RefusalError(400, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", message, [field.name])
    return text


def _boolean(field: Field, value: object) -> object:
    if not isinstance(value, bool):
        raise _unparsable(field, value)
    return value


def _number(field: Field, value: object) -> object:
    try:
        # Numbers may be sent as text; an org keeps doubles.
        number = float(value) if isinstance(value, int | float | str) else None
    except ValueError:
        number = None
    if number is None or isinstance(value, bool):
        raise _unparsable(field, value)
    if not abs(number) < _MAX_NUMBER:
        message = f"{field.name}: value outside of valid range on numeric field: {value}"
        raise RefusalError(400, "NUMBER_OUTSIDE_VALID_RANGE", message, [field.name])
    return number


def _date(field: Field, value: object) -> object:
    try:
        return date.fromisoformat(str(value)[:10]).isoformat()
    except ValueError:
        raise _unparsable(field, value) from None


def _datetime(field: Field, value: object) -> object:
    try:
        return instant(parse_instant(str(value)))
    except ValueError:
        raise _unparsable(field, value) from None


def _reference(field: Field, value: object) -> object:
    text = normal(str(_text(field, value)))
    if len(text) != 18:
        message = f"{field.name}: id value of incorrect type: {value}"
        raise RefusalError(400, "MALFORMED_ID", message, [field.name])
    return text


_KINDS: Mapping[str, Callable[[Field, object], object]] = {
    "email": _email,
    "picklist": _picklist,
    "boolean": _boolean,
    "double": _number,
    "currency": _number,
    "percent": _number,
    "date": _date,
    "datetime": _datetime,
    "reference": _reference,
}


def _unparsable(field: Field, value: object) -> RefusalError:
    message = f"Cannot deserialize instance of {field.kind} from value {value!r}"
    return RefusalError(400, "JSON_PARSER_ERROR", message)

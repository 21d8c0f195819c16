"""Values: as they are kept, and as either protocol writes them.

Kept are texts as they are, decimals as text with all digits of their scale, dates and moments in
ISO 8601, and keys with their leading zeros. V2 writes `/Date(milliseconds)/` and every decimal in
quotes; V4 writes ISO 8601, and a decimal in quotes only if asked for (IEEE754Compatible).
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation

import orjson

from system_apis.sap.sandbox.errors import RefusalError
from system_apis.sap.sandbox.model import ALPHA_LENGTH, Property

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_V2_DATE = re.compile(r"/Date\((-?\d{1,15})(?:[+-]\d{4})?\)/")
_BLANK = {"String": "", "Boolean": False, "Decimal": "0"}


def padded(text: str) -> str:
    """Return a key as it is kept: a number gets leading zeros, any other text capitals.

    >>> padded("100001"), padded("0000100001"), padded("acme")
    ('0000100001', '0000100001', 'ACME')
    """
    return text.zfill(ALPHA_LENGTH) if text.isascii() and text.isdigit() else text.upper()


def blank(wanted: Property) -> object:
    """Return what a property has to which nothing was given."""
    if wanted.kind == "Decimal":
        return _scaled(Decimal(0), wanted)
    return _BLANK.get(wanted.kind)


def accept(wanted: Property, value: object) -> object:
    """Return a value that was sent, of either protocol, as it is kept; raises RefusalError."""
    if value is None:
        return blank(wanted)
    try:
        match wanted.kind:
            case "Decimal":
                return _decimal(wanted, value)
            case "Date":
                return _moment(str(value)).date().isoformat()
            case "DateTimeOffset":
                return _moment(str(value)).isoformat()
            case "Boolean":
                return _boolean(value)
        return _text(wanted, value)
    except (ValueError, InvalidOperation, OverflowError):
        message = f"Property '{wanted.name}' has invalid value '{value}'"
        raise RefusalError(400, "/IWBEP/CM_MGW_RT/021", message) from None


def _text(wanted: Property, value: object) -> str:
    if not isinstance(value, str) or len(value) > wanted.length:
        raise ValueError
    return padded(value) if wanted.alpha and value else value


def _decimal(wanted: Property, value: object) -> str:
    if isinstance(value, bool):
        raise ValueError  # noqa: TRY004  # it is the value of a caller
    number = Decimal(str(value))
    if not number.is_finite() or abs(number) >= Decimal(10) ** (wanted.precision - wanted.scale):
        raise ValueError
    return _scaled(number, wanted)


def _scaled(number: Decimal, wanted: Property) -> str:
    return str(number.quantize(Decimal(1).scaleb(-wanted.scale), ROUND_HALF_UP))


def _boolean(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError  # noqa: TRY004  # it is the value of a caller
    return value


def _moment(text: str) -> datetime:
    match = _V2_DATE.fullmatch(text)
    if match:
        return _EPOCH + timedelta(milliseconds=int(match[1]))
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def shown(wanted: Property, value: object, *, v4: bool, exact: bool, zeros: bool) -> object:
    """Return a kept value as a protocol writes it.

    `exact` puts decimals of V4 in quotes, `zeros` leaves keys the zeros they are kept with.
    """
    if value is None:
        return None
    if wanted.alpha and not zeros:
        text = str(value)
        return text.lstrip("0") if text.isdigit() else text
    match wanted.kind:
        case "Decimal" if v4 and not exact:
            return orjson.Fragment(str(value).encode())
        case "Date" if not v4:
            return _ticks(datetime.combine(date.fromisoformat(str(value)), _EPOCH.timetz()))
        case "DateTimeOffset" if not v4:
            return _ticks(datetime.fromisoformat(str(value))).replace(")", "+0000)")
        case "DateTimeOffset":
            return datetime.fromisoformat(str(value)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    return value


def _ticks(moment: datetime) -> str:
    return f"/Date({(moment - _EPOCH) // timedelta(milliseconds=1)})/"


def comparable(wanted: Property, value: object) -> object:
    """Return a kept value as it is compared and sorted."""
    if value is None:
        return None
    match wanted.kind:
        case "Decimal":
            return Decimal(str(value))
        case "DateTimeOffset":
            return datetime.fromisoformat(str(value))
    return value

"""Values as S/4HANA writes them: dates in milliseconds, decimals in quotes, keys with zeros."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from portico.connectors.failures import BrokenError
from portico.connectors.moments import from_text
from portico.connectors.money import number
from portico.connectors.record import Record
from system_apis.sap.s4 import SYSTEM

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TICKS = re.compile(r"/Date\((-?\d{1,15})(?:[+-]\d{4})?\)/")
_REC20 = re.compile(r"[A-Z0-9]{2,3}")
# SAP's own units, and the codes of UN/ECE Recommendation 20.
_UNITS = {"PC": "C62", "ST": "C62", "EA": "EA", "KG": "KGM", "G": "GRM", "L": "LTR"}
_UNITS |= {"M": "MTR", "H": "HUR", "TAG": "DAY"}
OWN_UNIT = "ZZ"


def unpadded(key: str) -> str:
    """Return a key without the zeros that some services leave in front of a number.

    >>> unpadded("0000100001"), unpadded("100001"), unpadded("GRINDER-M1"), unpadded("0000")
    ('100001', '100001', 'GRINDER-M1', '0')
    """
    return (key.lstrip("0") or "0") if key.isascii() and key.isdigit() else key


def key_of(record: Record, name: str) -> str:
    """Return a key, or a reference to one, in its form without zeros."""
    return unpadded(record.text(name))


def decimal_of(record: Record, name: str) -> Decimal:
    """Return a decimal, which V2 writes in quotes; zero where there is none."""
    value = record.values.get(name)
    try:
        return Decimal(0) if value is None else number(value)
    except ValueError as error:
        raise _unreadable(name) from error


def moment_of(record: Record, name: str) -> datetime | None:
    """Return a date or a time stamp of either version, None where there is none."""
    text = record.text(name)
    if not text:
        return None
    match = _TICKS.fullmatch(text)
    try:
        if match is None:
            return from_text(text if "T" in text else f"{text}T00:00:00Z")
        return _EPOCH + timedelta(milliseconds=int(match[1]))
    except (ValueError, OverflowError) as error:
        raise _unreadable(name) from error


def day_of(record: Record, name: str) -> date | None:
    """Return a date, None where there is none."""
    moment = moment_of(record, name)
    return None if moment is None else moment.date()


def unit_code(unit: str) -> str:
    """Return the code of a unit by its name in SAP."""
    found = _UNITS.get(unit, unit)
    return found if _REC20.fullmatch(found) else OWN_UNIT


def _unreadable(name: str) -> BrokenError:
    return BrokenError(f"{SYSTEM} answered {name} in a form that is not known", system=SYSTEM)

"""Units of measure: Tryton's symbols and the codes of UN/ECE Recommendation 20."""

from __future__ import annotations

# The units that Tryton's product module brings along.
_CODES = {
    "u": "C62",
    "kg": "KGM",
    "g": "GRM",
    "c": "CTM",
    "lb": "LBR",
    "oz": "ONZ",
    "s": "SEC",
    "min": "MIN",
    "h": "HUR",
    "d": "DAY",
    "m": "MTR",
    "km": "KMT",
    "cm": "CMT",
    "mm": "MMT",
    "ft": "FOT",
    "yd": "YRD",
    "in": "INH",
    "mi": "SMI",
    "m³": "MTQ",
    "l": "LTR",
    "cm³": "CMQ",
    "in³": "INQ",
    "ft³": "FTQ",
    "gal": "GLL",
    "m²": "MTK",
    "cm²": "CMK",
    "a": "ARE",
    "ha": "HAR",
    "in²": "INK",
    "ft²": "FTK",
    "yd²": "YDK",
    "J": "JOU",
    "MJ": "3B",
    "kW⋅h": "KWH",
    "MW⋅h": "MWH",
}
# "Mutually defined": what the recommendation has for units of one's own.
OWN_UNIT = "ZZ"


def unit_code(symbol: str) -> str:
    """Return the code of a unit by its symbol in Tryton."""
    return _CODES.get(symbol, OWN_UNIT)

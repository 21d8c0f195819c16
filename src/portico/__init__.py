"""Portico's mechanism: contracts, their server and their client. No business, no tier."""

__version__ = "0.1.0"

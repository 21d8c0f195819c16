"""What a TLS client trusts: always verified, TLS 1.2 or later."""

from __future__ import annotations

import ssl
from functools import cache
from pathlib import Path


def client_context(ca_file: Path | None = None) -> ssl.SSLContext:
    """Return a context that trusts the certificates of the system, or only those of a file.

    That of the system is one for all who ask, and is not to be changed.
    """
    return _system_context() if ca_file is None else _context(ca_file)


@cache
def _system_context() -> ssl.SSLContext:
    # The certificates of the system take 30 ms to read and 1 MiB to keep.
    return _context(None)


def _context(ca_file: Path | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(ca_file) if ca_file else None)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context

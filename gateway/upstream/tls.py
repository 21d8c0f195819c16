"""The TLS settings towards an upstream: always verified, TLS 1.2 or later."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.upstream.options import UpstreamOptions


def tls_context(options: UpstreamOptions) -> ssl.SSLContext:
    """Return the context for the options; raise ValueError naming the file that is wrong."""
    try:
        context = ssl.create_default_context(cafile=options.ca_file or None)
    except (OSError, ssl.SSLError) as exc:
        raise ValueError(f"ca_file {options.ca_file}: {exc}") from exc
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    if options.client_certificate:
        try:
            context.load_cert_chain(options.client_certificate, options.client_key or None)
        except (OSError, ssl.SSLError) as exc:
            raise ValueError(f"client_certificate {options.client_certificate}: {exc}") from exc
    return context

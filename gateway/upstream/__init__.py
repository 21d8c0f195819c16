"""The hop to bring-your-own upstreams: header policy, balancing, pooled connections, failures.

Which request goes to which upstream, retries of writes and contract checks do not live here.
"""

from gateway.upstream.failures import UpstreamProblem
from gateway.upstream.messages import ForwardedResponse, ForwardRequest
from gateway.upstream.options import UpstreamOptions
from gateway.upstream.origin import Origin, TrustedProxies, resolve_origin
from gateway.upstream.upstream import Upstream

__all__ = [
    "ForwardRequest",
    "ForwardedResponse",
    "Origin",
    "TrustedProxies",
    "Upstream",
    "UpstreamOptions",
    "UpstreamProblem",
    "resolve_origin",
]

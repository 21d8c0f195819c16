"""The hop to bring-your-own upstreams: header policy, balancing, pooled connections, failures.

Which request goes to which upstream, retries of writes and contract checks do not live here.
"""

"""Rate limits: policies in plans, exact counts in Redis, and what is told about them.

The counts are kept by `limits.lua`, which an admission script can take in; `local` counts while
Redis is away. What a request is, and when it is asked, belongs to whoever uses this package.
"""

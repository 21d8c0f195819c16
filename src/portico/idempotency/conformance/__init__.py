"""A black-box test of the Idempotency-Key header field, for any HTTP API.

It needs one operation that creates something each time it is called. What it asks for is the IETF
draft where the draft says something, and else what a client must be able to rely on.
"""

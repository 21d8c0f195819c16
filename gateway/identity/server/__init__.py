"""The built-in authorization server: OAuth 2.1 for people, partners, services and tiers.

Authlib's grants are synchronous and know no ASGI. So whoever answers a request awaits the records
first, runs the grant on them without waiting for anything, and then writes what was decided in one
step. What Authlib lacks is written here.
"""

"""Issuers other than the built-in one: found by discovery, trusted for what they are configured."""

"""Replies of operations that put a record under a key."""

from __future__ import annotations

from portico.server.call import Reply


def put_reply(record: object, location: str, *, created: bool) -> Reply:
    """Return 201 with the place of a record that was created, 200 for one that was there."""
    headers = [("Location", location)] if created else []
    return Reply(status=201 if created else 200, body=record, headers=headers)

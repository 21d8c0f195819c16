"""Durable workflows: what was started is finished, whatever ends in between.

The engine is DBOS Transact as a library: a journal in SQLite or PostgreSQL, no server of its own.
Workflows are plain DBOS code; this package opens the engine, gives steps their idempotency keys
and takes over what processes that ended have left.
"""

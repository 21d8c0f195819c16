"""The Idempotency-Key mechanism: a write that is sent again takes effect once.

A caller imports the modules it needs: `key` and `fingerprint` read a request, `store` keeps the
records, `runner` runs an operation under its key, `operators` is for people.
"""

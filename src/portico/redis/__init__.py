"""Redis and Valkey: a client that coalesces commands, start-up checks, and an embedded server.

What is kept there, and the scripts that keep it, belongs to the packages that use this one.
"""

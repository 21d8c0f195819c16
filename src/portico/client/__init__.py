"""Calls from one tier to another: in this process or over HTTP, with the same rules."""

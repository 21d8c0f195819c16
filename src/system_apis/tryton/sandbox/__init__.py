"""A real Tryton on this machine: set up on first use, run as a process of its own.

Tryton is under the GPL, so it lives in a virtual environment of its own and nothing here imports
it. The connector beside this package knows it only by its protocol.
"""

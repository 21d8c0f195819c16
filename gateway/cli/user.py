"""`portico user`: what the configuration needs to know of a person."""

from __future__ import annotations

import argparse
import getpass
import sys

from gateway.cli.output import FINE, CannotRunError
from gateway.identity.server.users import MAX_PASSWORD_CHARACTERS, hash_password


def arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    actions.add_parser("hash", help="read a password and print what stands in password_hash")


def run(options: argparse.Namespace) -> int:
    del options
    print(hash_password(_password()))
    return FINE


def _password() -> str:
    """Return the password: asked for twice, or one line of a pipe. Never an argument."""
    if not sys.stdin.isatty():
        return sys.stdin.readline(MAX_PASSWORD_CHARACTERS + 2).rstrip("\r\n")
    password = getpass.getpass("Password: ")
    if getpass.getpass("Again: ") != password:
        raise CannotRunError("nothing was hashed", "the two passwords differ", "try again")
    return password

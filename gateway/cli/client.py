"""`portico client`: clients that are not in the file, added and ended while the gateway runs."""

from __future__ import annotations

import argparse
import json
import re
import secrets
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from gateway.cli.configuration import read_config
from gateway.cli.identity import as_day, check_plan, check_scopes, table, with_state
from gateway.cli.output import FINE, CannotRunError
from gateway.config import Config
from gateway.identity.clients import (
    GRANT_TYPES,
    PUBLIC,
    SECRET_METHODS,
    TOKEN_EXCHANGE,
    ClientRecord,
    hash_secret,
)
from gateway.identity.server.registered_clients import Registration, with_new_secret
from gateway.identity.server.state import ServerState

# A slash is what the names of tiers have.
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}\Z")
_GRANTS = {"token_exchange" if grant == TOKEN_EXCHANGE else grant: grant for grant in GRANT_TYPES}
_SECRET_BYTES = 32


class _Listed(NamedTuple):
    """One line of the list."""

    client_id: str
    origin: str
    grants: Sequence[str]
    scopes: Sequence[str]
    plan: str
    since: int


def arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    add = actions.add_parser("add", help="add a client and print its secret, once")
    add.add_argument("client_id", metavar="ID")
    add.add_argument("--scope", action="append", default=[], help="a scope it may have; repeatable")
    add.add_argument(
        "--grant", action="append", choices=sorted(_GRANTS), help="default: client_credentials"
    )
    add.add_argument("--redirect-uri", action="append", default=[], metavar="URI")
    add.add_argument("--public", action="store_true", help="an application without a secret")
    add.add_argument("--native", action="store_true", help="an application on a device")
    add.add_argument("--name", default="", help="what people are shown")
    add.add_argument("--plan", default="", help="the plan of its limits")
    rotate = actions.add_parser("rotate", help="print a new secret; the one before stays valid")
    rotate.add_argument("client_id", metavar="ID")
    rotate.add_argument("--only", action="store_true", help="end every other secret at once")
    revoke = actions.add_parser("revoke", help="end a client and its tokens")
    revoke.add_argument("client_id", metavar="ID")
    listed = actions.add_parser("list", help="list the clients, those of the file too")
    listed.add_argument("--json", action="store_true", help="for scripts")


def run(options: argparse.Namespace) -> int:
    config = read_config(options.config)
    return _ACTIONS[options.action](config, options)


def _add(config: Config, options: argparse.Namespace) -> int:
    client_id, secret = options.client_id, secrets.token_urlsafe(_SECRET_BYTES)
    if not _ID.match(client_id) or client_id in config.clients:
        raise CannotRunError(
            f"{client_id} cannot be added",
            "the file has it" if client_id in config.clients else "it is not a client id",
            "use up to 64 letters, digits, dots and dashes",
        )
    check_scopes(config, options.scope)
    check_plan(config, options.plan)
    record = ClientRecord(
        client_id=client_id,
        name=options.name,
        scopes=frozenset(options.scope),
        secret_hashes=() if options.public else (hash_secret(secret),),
        auth_methods=frozenset({PUBLIC}) if options.public else SECRET_METHODS,
        grant_types=frozenset(_GRANTS[name] for name in options.grant or ["client_credentials"]),
        redirect_uris=tuple(options.redirect_uri),
        native=options.native,
        plan=options.plan,
        registered_at=int(time.time()),
    )
    registration = Registration(record=record, metadata={})
    if not with_state(config, lambda state: state.registered.add(registration)):
        raise CannotRunError(
            f"{client_id} cannot be added",
            "there is a client of this id",
            f"choose another id, or: portico client revoke {client_id}",
        )
    print(f"client_id      {client_id}")
    if not options.public:
        _show_secret(secret)
    return FINE


def _rotate(config: Config, options: argparse.Namespace) -> int:
    secret = secrets.token_urlsafe(_SECRET_BYTES)

    async def change(state: ServerState) -> bool:
        before = await state.registered.read(options.client_id)
        if before is None or not before.record.secret_hashes:
            return False
        record = with_new_secret(before.record, hash_secret(secret), alone=options.only)
        after = replace(before, record=record)
        return await state.registered.replace(before, after)

    if not with_state(config, change):
        raise _unknown(config, options.client_id, "has no secret that can be rotated here")
    _show_secret(secret)
    return FINE


def _revoke(config: Config, options: argparse.Namespace) -> int:
    if not with_state(config, lambda state: state.registered.remove(options.client_id)):
        raise _unknown(config, options.client_id, "cannot be revoked here")
    print(f"{options.client_id} is revoked")
    return FINE


def _list(config: Config, options: argparse.Namespace) -> int:
    registered = with_state(config, lambda state: state.registered.list())
    known = [
        _Listed(client_id, "file", client.grants, client.scopes, client.plan, 0)
        for client_id, client in config.clients.items()
    ]
    known += [
        _Listed(
            record.client_id,
            "store",
            sorted(record.grant_types),
            sorted(record.scopes),
            record.plan,
            record.registered_at,
        )
        for record in registered
    ]
    if options.json:
        print(json.dumps([client._asdict() for client in known], indent=2))
        return FINE
    rows = [("CLIENT", "FROM", "SINCE", "PLAN", "SCOPES")]
    rows += [
        (each.client_id, each.origin, as_day(each.since), each.plan or "-", " ".join(each.scopes))
        for each in known
    ]
    print(table(rows))
    return FINE


def _show_secret(secret: str) -> None:
    print(f"client_secret  {secret}\n\nIt is shown this once and kept as a hash.")


def _unknown(config: Config, client_id: str, what: str) -> CannotRunError:
    if client_id in config.clients:
        return CannotRunError(
            f"{client_id} {what}", "it is a client of the file", "change the file and restart"
        )
    return CannotRunError(
        f"{client_id} {what}", "there is no such client", "portico client list shows them"
    )


_ACTIONS = {"add": _add, "rotate": _rotate, "revoke": _revoke, "list": _list}

"""`portico api-key`: keys for partners that cannot do OAuth."""

from __future__ import annotations

import argparse
import json

from gateway.cli.configuration import read_config
from gateway.cli.identity import as_day, check_plan, check_scopes, table, with_state
from gateway.cli.output import FINE, CannotRunError
from gateway.config import Config
from gateway.identity.api_keys import MAX_LIFETIME_SECONDS, ApiKeys

_DAY_SECONDS = 86_400
_DEFAULT_DAYS = 90
_MAX_DAYS = MAX_LIFETIME_SECONDS // _DAY_SECONDS


def arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    add = actions.add_parser("add", help="make a key and print it, once")
    add.add_argument("client_id", metavar="CLIENT", help="who uses it")
    add.add_argument("--scope", action="append", default=[], help="a scope it has; repeatable")
    add.add_argument("--days", type=int, default=_DEFAULT_DAYS, help=f"its life ({_DEFAULT_DAYS})")
    add.add_argument("--subject", default="", help="whom it acts for (default: the client)")
    add.add_argument("--plan", default="", help="the plan of its limits")
    revoke = actions.add_parser("revoke", help="end a key at once")
    revoke.add_argument("prefix", metavar="PREFIX", help="the part before the dot")
    listed = actions.add_parser("list", help="list the keys that are valid")
    listed.add_argument("--json", action="store_true", help="for scripts")


def run(options: argparse.Namespace) -> int:
    config = read_config(options.config)
    return _ACTIONS[options.action](config, options)


def _add(config: Config, options: argparse.Namespace) -> int:
    if not 1 <= options.days <= _MAX_DAYS:
        raise CannotRunError(
            f"a key cannot live {options.days} days",
            "a key that never ends is never replaced",
            f"choose 1 to {_MAX_DAYS} days",
        )
    check_scopes(config, options.scope)
    check_plan(config, options.plan)
    issued = with_state(
        config,
        lambda state: ApiKeys(state.redis).issue(
            options.client_id,
            options.scope,
            options.days * _DAY_SECONDS,
            subject=options.subject,
            plan=options.plan,
        ),
    )
    print(f"{issued.presented}\n\nIt is shown this once and kept as a hash.")
    return FINE


def _revoke(config: Config, options: argparse.Namespace) -> int:
    prefix = options.prefix.partition(".")[0]
    if not with_state(config, lambda state: ApiKeys(state.redis).revoke(prefix)):
        raise CannotRunError(
            f"{prefix} cannot be revoked", "there is no such key", "portico api-key list shows them"
        )
    print(f"{prefix} is revoked")
    return FINE


def _list(config: Config, options: argparse.Namespace) -> int:
    records = with_state(config, lambda state: ApiKeys(state.redis).list())
    if options.json:
        keys = [
            {
                "prefix": record.prefix,
                "client_id": record.client_id,
                "subject": record.subject,
                "scopes": sorted(record.scopes),
                "plan": record.plan,
                "expires_at": record.expires_at,
            }
            for record in records
        ]
        print(json.dumps(keys, indent=2))
        return FINE
    rows = [("KEY", "CLIENT", "UNTIL", "PLAN", "SCOPES")]
    rows += [
        (
            record.prefix,
            record.client_id,
            as_day(record.expires_at),
            record.plan or "-",
            " ".join(sorted(record.scopes)),
        )
        for record in records
    ]
    print(table(rows))
    return FINE


_ACTIONS = {"add": _add, "revoke": _revoke, "list": _list}

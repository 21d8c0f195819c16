"""`portico idempotency`: look at the records of keys, and settle those in doubt."""

from __future__ import annotations

import argparse
import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from gateway.cli.configuration import read_config
from gateway.cli.output import FINDINGS, FINE, CannotRunError
from gateway.config import Config
from gateway.config.secrets import SecretStore
from gateway.stores import key_locator, open_redis
from portico.idempotency.operators import NotSettledError, Operators, Shown
from portico.idempotency.record import StoredResponse
from portico.idempotency.scope import Locator, Scope, record_id
from portico.redis.errors import RedisFailure

_LISTED = 1000
_EXAMPLE = """\
A record is named by its id, which problems, logs and `list` tell, or by the key that a client sent.

  portico idempotency list --in-doubt
  portico idempotency show 8e03978e-40d5-43e8 --client web-shop
  portico idempotency resolve ID --no-effect              it did nothing: the key may run again
  portico idempotency resolve ID --status 201 --body @answer.json

exit codes: 0 fine, 1 something is in doubt, 2 wrong usage, 3 it cannot be done
"""
_NOTHING = "it may have ended with its retention, or belong to another Redis or secret"


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EXAMPLE
    commands = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = commands.add_parser("list", help="list records in doubt")
    listing.add_argument("--in-doubt", action="store_true", help="those in doubt (the default)")
    listing.add_argument("--limit", type=int, default=_LISTED, help=f"at most ({_LISTED})")
    listing.add_argument("--json", action="store_true", help="print as JSON")
    show = commands.add_parser("show", help="show one record")
    _named(show)
    show.add_argument("--json", action="store_true", help="print as JSON")
    resolve = commands.add_parser("resolve", help="settle a record in doubt")
    _named(resolve)
    outcome = resolve.add_mutually_exclusive_group(required=True)
    outcome.add_argument("--no-effect", action="store_true", help="the operation did nothing")
    outcome.add_argument("--status", type=int, help="it took effect, and this is its status")
    resolve.add_argument("--body", default="", metavar="TEXT", help="the answer, or @FILE")
    resolve.add_argument("--content-type", default="application/json", metavar="TYPE")


def _named(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("record", help="the id of a record, or a key with --client")
    parser.add_argument("--client", help="the client that sent the key")
    parser.add_argument("--subject", help="whom its token was for (default: the client)")


def run(options: argparse.Namespace) -> int:
    actions: Mapping[str, Action] = {"list": _list, "show": _show, "resolve": _resolve}
    return asyncio.run(_with_operators(read_config(options.config), options, actions))


Action = Callable[[Operators, Locator, argparse.Namespace], Awaitable[int]]


async def _with_operators(
    config: Config, options: argparse.Namespace, actions: Mapping[str, Action]
) -> int:
    secrets = SecretStore(config.data)
    async with open_redis(config, secrets) as redis:
        if redis is None:
            raise CannotRunError(
                "there are no records", "no Redis is configured", "set redis.url, or embedded.redis"
            )
        locator = key_locator(config, secrets)
        try:
            return await actions[options.action](Operators(redis, locator), locator, options)
        except RedisFailure as failure:
            raise CannotRunError(
                "the records cannot be read", str(failure), "check that Redis runs"
            ) from failure


async def _list(operators: Operators, _: Locator, options: argparse.Namespace) -> int:
    found = [shown async for shown in operators.list_in_doubt(options.limit)]
    if options.json:
        print(json.dumps([_document(shown) for shown in found], indent=2))
    else:
        for shown in found:
            record = shown.record
            operation = record.operation if record is not None else "unreadable"
            print(f"{shown.record_id}  {operation}  {shown.age_seconds:.0f} s old")
        print(f"{len(found)} in doubt")
    return FINDINGS if found else FINE


async def _show(operators: Operators, locator: Locator, options: argparse.Namespace) -> int:
    shown = await _find(operators, locator, options)
    if options.json:
        print(json.dumps(_document(shown), indent=2))
    else:
        for name, value in _document(shown).items():
            print(f"{name:18} {value}")
    return FINDINGS if shown.in_doubt else FINE


async def _resolve(operators: Operators, locator: Locator, options: argparse.Namespace) -> int:
    shown = await _find(operators, locator, options)
    epoch = 0 if shown.record is None else shown.record.epoch
    try:
        await operators.resolve(shown.record_id, epoch, _outcome(options))
    except NotSettledError as error:
        raise CannotRunError(
            f"{shown.record_id} is not settled", str(error), "look at it with `show` first"
        ) from None
    said = "the key may run again" if options.no_effect else "repeats get this answer"
    print(f"{shown.record_id} is settled: {said}")
    return FINE


async def _find(operators: Operators, locator: Locator, options: argparse.Namespace) -> Shown:
    name = options.record
    if options.client:
        scope = Scope(client_id=options.client, subject=options.subject or options.client)
        name = record_id(locator.locate(scope, options.record).record)
    try:
        shown = await operators.show(name)
    except ValueError as error:
        raise CannotRunError(
            "the record cannot be found", str(error), "give an id, or a key with --client"
        ) from None
    if shown is None:
        raise CannotRunError(f"there is no record {name}", _NOTHING, "see `list`")
    return shown


def _outcome(options: argparse.Namespace) -> StoredResponse | None:
    if options.no_effect:
        return None
    if not 200 <= options.status <= 599:
        raise CannotRunError(
            f"{options.status} is no status of an answer", "it is not from 200 to 599", "correct it"
        )
    body = options.body
    if body.startswith("@"):
        with open(body[1:], "rb") as file:  # noqa: PTH123  # an OSError names the file
            content = file.read()
    else:
        content = body.encode()
    headers = ((b"content-type", options.content_type.encode("latin-1", "replace")),)
    return StoredResponse(status=options.status, headers=headers if content else (), body=content)


def _document(shown: Shown) -> dict[str, Any]:
    document: dict[str, Any] = {
        "id": shown.record_id,
        "inDoubt": shown.in_doubt,
        "ageSeconds": round(shown.age_seconds, 1),
        "expiresInSeconds": round(shown.expires_in_seconds, 1),
    }
    record = shown.record
    if record is None:
        return {**document, "state": "unreadable"}
    document |= {
        "state": record.state.name.lower(),
        "operation": record.operation,
        "requestId": record.request_id,
        "epoch": record.epoch,
        "leaseLeftSeconds": round(shown.lease_left_seconds, 1),
        "upstreamKey": record.upstream_key,
    }
    if record.response is not None:
        document["status"] = record.response.status
    return document

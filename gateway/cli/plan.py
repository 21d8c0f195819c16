"""`portico plan`: give a client another plan while the gateway runs."""

from __future__ import annotations

import argparse
import asyncio
import json

from gateway.cli.configuration import read_config
from gateway.cli.output import FINE, CannotRunError
from gateway.config import Config
from gateway.config.secrets import SecretStore
from gateway.stores import open_redis
from portico.limits.assignments import Assignments
from portico.redis.errors import RedisFailure


def arguments(parser: argparse.ArgumentParser) -> None:
    commands = parser.add_subparsers(dest="action", required=True, metavar="ACTION")
    listing = commands.add_parser("list", help="list who has which plan")
    listing.add_argument("--json", action="store_true", help="print as JSON")
    assign = commands.add_parser("assign", help="give a client a plan, within two seconds")
    assign.add_argument("client")
    assign.add_argument("plan")
    withdraw = commands.add_parser("withdraw", help="let the configuration decide again")
    withdraw.add_argument("client")


def run(options: argparse.Namespace) -> int:
    return asyncio.run(_run(read_config(options.config), options))


async def _run(config: Config, options: argparse.Namespace) -> int:
    plans = config.rate_limits.plans
    if options.action == "assign" and options.plan not in plans:
        raise CannotRunError(
            f"there is no plan {options.plan!r}",
            f"the plans are {', '.join(plans) or 'none'}",
            "add it to rate_limits.plans first",
        )
    async with open_redis(config, SecretStore(config.data)) as redis:
        if redis is None:
            raise CannotRunError(
                "plans cannot be changed",
                "no Redis is configured",
                "set redis.url, or embedded.redis",
            )
        configured = {name: client.plan for name, client in config.clients.items() if client.plan}
        assignments = Assignments(redis, configured)
        try:
            await _act(assignments, config, options)
        except RedisFailure as failure:
            raise CannotRunError(
                "plans cannot be changed", str(failure), "check that Redis runs"
            ) from failure
    return FINE


async def _act(assignments: Assignments, config: Config, options: argparse.Namespace) -> None:
    if options.action == "assign":
        await assignments.assign(options.client, options.plan)
        print(f"{options.client} has the plan {options.plan}")
        return
    if options.action == "withdraw":
        await assignments.withdraw(options.client)
    else:
        await assignments.refresh()
    default = config.rate_limits.default_plan
    names = sorted({*config.clients, *assignments.assigned})
    rows = {name: assignments.plan_of(name) or default for name in names}
    if options.action == "withdraw":
        print(f"{options.client} has the plan {assignments.plan_of(options.client) or default}")
    elif options.json:
        print(json.dumps(rows, indent=2))
    else:
        for name, plan in rows.items():
            print(f"{name:24} {plan}")

"""What `portico sandbox` does to sandboxes that run, in `portico serve` or by themselves."""

from __future__ import annotations

import argparse
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx

from gateway.cli.output import FINE, CannotRunError
from gateway.config import Config
from gateway.sandboxes import SANDBOXES
from gateway.steering import Admin, SteeringError, admins

# Faults by the names of the command line, with the value of one that is given none.
KINDS: dict[str, tuple[str, Any]] = {
    "latency": ("latency_seconds", 1.0),
    "throttled": ("throttled", 1),
    "retry-after": ("retry_after_seconds", 1.0),
    "unavailable": ("unavailable_seconds", 30.0),
    "resets": ("resets", 1),
    "lost-responses": ("lost_responses", 1),
    "held-responses": ("held_responses", 1),
    "webhooks-twice": ("webhooks_twice", True),
    "webhooks-out-of-order": ("webhooks_out_of_order", True),
    "no-access": ("no_access", ()),
    "read-only": ("read_only", ()),
}
# Faults that are counted, and how many there are while they last for a time.
_COUNTED = frozenset({"throttled", "resets", "lost-responses", "held-responses"})
_EVERY = 1_000_000_000
# What the command line says of a fault: a number, names, or only that there is one.
Value = float | tuple[str, ...] | None
_SECONDS = re.compile(r"(\d+(?:\.\d+)?)\s*(s|m|)\Z")


def arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION")
    shown = actions.add_parser("show", help="show the sandboxes that run, and what goes wrong")
    shown.add_argument("--json", action="store_true", help="print JSON")
    fault = actions.add_parser(
        "fault",
        help="make things go wrong: these faults, and no others",
        description=f"KIND is {', '.join(KINDS)}; KIND=NUMBER says how many seconds or "
        "requests. no-access=NAME,NAME and read-only=NAME,NAME name what the credential may not "
        "use, as the vendor names it.",
    )
    fault.add_argument("system", choices=sorted(SANDBOXES))
    fault.add_argument("kinds", metavar="KIND", nargs="+", type=_kind)
    fault.add_argument("--for", dest="seconds", type=_duration, help="end by itself, as in 30s")
    for name, text in (
        ("calm", "let nothing go wrong any more"),
        ("revoke-tokens", "accept no access token given out before"),
        ("reset", "go back to the state that a fresh sandbox begins with"),
    ):
        actions.add_parser(name, help=text).add_argument("system", choices=sorted(SANDBOXES))


def _kind(text: str) -> tuple[str, Value]:
    name, _, number = text.partition("=")
    if name not in KINDS:
        raise argparse.ArgumentTypeError(f"{name} is none of {', '.join(KINDS)}")
    if KINDS[name][1] == ():
        if not number:
            raise argparse.ArgumentTypeError(f"{name} needs names: {name}=NAME,NAME")
        return name, tuple(number.split(","))
    if not number:
        return name, None
    if isinstance(KINDS[name][1], bool) or not number.removesuffix("s").replace(".", "").isdigit():
        raise argparse.ArgumentTypeError(f"{text} cannot be: {name} takes no such number")
    return name, _duration(number)


def _duration(text: str) -> float:
    found = _SECONDS.match(text)
    if found is None:
        raise argparse.ArgumentTypeError(f"{text} is no time: write 30s or 2m")
    return float(found[1]) * (60 if found[2] == "m" else 1)


def run(config: Config, options: argparse.Namespace) -> int:
    """Do what is asked; return the exit code."""
    folder = config.data / "sandboxes"
    if options.action == "show":
        return _show(folder, as_json=options.json)
    method, path, document = _request(options)
    shown = _ask(folder, options.system, method, f"/{options.system}/{path}", document)
    on = _on(shown["faults"]) if shown else ""
    print(f"{options.system}: {on or 'nothing goes wrong'}" if shown else f"{options.system}: done")
    return FINE


def _request(options: argparse.Namespace) -> tuple[str, str, object]:
    if options.action == "fault":
        return "PUT", "faults", faults(dict(options.kinds), options.seconds)
    if options.action == "calm":
        return "DELETE", "faults", None
    return "POST", options.action, None


def faults(kinds: Mapping[str, Value], seconds: float | None) -> dict[str, Any]:
    """Return the document of faults; within a time, those that are counted hit every request."""
    document: dict[str, Any] = {} if seconds is None else {"for_seconds": seconds}
    for kind, number in kinds.items():
        name, value = KINDS[kind]
        if number is not None:
            value = int(number) if isinstance(number, float) and kind in _COUNTED else number
        elif seconds is not None and kind in _COUNTED:
            value = _EVERY
        elif seconds is not None and kind == "unavailable":
            value = seconds
        document[name] = value
    return document


def _show(folder: Path, *, as_json: bool) -> int:
    found: dict[str, Any] = {}
    for admin in admins(folder):
        try:
            found[admin.system] = admin.ask("GET", "/")[admin.system]
        except (httpx.TransportError, SteeringError):
            continue
    if as_json:
        print(json.dumps(found, indent=2))
    elif not found:
        print("no sandbox runs; `portico serve` and `portico sandbox` start them")
    else:
        for name, entry in found.items():
            on = _on(entry["faults"]) or "nothing goes wrong"
            print(f"{name:12} {entry['url']}  {entry['requests']} requests, {on}")
    return FINE


def _on(document: dict[str, Any]) -> str:
    names = {field: kind for kind, (field, _) in KINDS.items()} | {"for_seconds": "for seconds"}
    told = [f"{names[field]} {_shown(value)}" for field, value in document.items() if value]
    return ", ".join(told).replace(" True", "")


def _shown(value: Any) -> str:
    if isinstance(value, list):
        return ",".join(value)
    return "every time" if value == _EVERY else str(value)


def _ask(folder: Path, system: str, method: str, path: str, document: object) -> Any:
    try:
        return _find(folder, system).ask(method, path, document)
    except httpx.TransportError:
        raise _not_running(system, "the process that ran it is gone") from None
    except SteeringError as error:
        hint = "`portico sandbox fault --help` says what there is"
        raise CannotRunError(f"the sandbox of {system} refused", str(error), hint) from None


def _find(folder: Path, system: str) -> Admin:
    for admin in admins(folder):
        if admin.system == system:
            return admin
    raise _not_running(system, f"nothing of it is written in {folder}")


def _not_running(system: str, cause: str) -> CannotRunError:
    hint = "start `portico serve` or `portico sandbox` in this folder, or name its --config"
    return CannotRunError(f"no sandbox of {system} runs", cause, hint)

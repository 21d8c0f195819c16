"""`portico dlq`: dead letters, through the operations API of a gateway that runs."""

from __future__ import annotations

import argparse
import json
import sys
import uuid
from collections.abc import Iterator, Mapping
from typing import Any, Self
from urllib.parse import quote

import httpx

from gateway.cli.configuration import read_config
from gateway.cli.output import FINDINGS, FINE, CannotRunError
from gateway.config import Config
from gateway.identity.tokens import TokenIssuer
from gateway.issuing import AUDIENCE, key_ring, public_url

_BASE = "/experience/operations/v1"
_CLIENT = "portico-cli"
# The token is for one command.
_TOKEN_SECONDS = 60
_ANSWER_SECONDS = 35.0
# One page of the list.
_PAGE = 100


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--url", help="where the gateway is (default: as configured)")
    parser.add_argument("--json", action="store_true", help="print JSON")
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    listing = actions.add_parser("list", help="list dead letters, the oldest first")
    listing.add_argument("--kind", choices=["workflow", "webhook", "event"])
    listing.add_argument("--incident", help="only those of one incident")
    show = actions.add_parser("show", help="show a dead letter with its payload and history")
    show.add_argument("letter")
    replay = actions.add_parser("replay", help="do what failed again")
    replay.add_argument("letter", nargs="?")
    replay.add_argument("--incident", help="all dead letters of an incident")
    discard = actions.add_parser("discard", help="give a dead letter up")
    discard.add_argument("letter")
    discard.add_argument("--reason", required=True, help="why, for the record")


def run(options: argparse.Namespace) -> int:
    config = read_config(options.config)
    base = (options.url or public_url(config, config.listen.port)).rstrip("/")
    with Operations(base, _token(config, base)) as operations:
        return _ACTIONS[options.action](operations, options)


class Operations:
    """The operations API, called over HTTP."""

    def __init__(self, base: str, token: str) -> None:
        self._base = base
        self._client = httpx.Client(
            base_url=base + _BASE,
            headers={"authorization": f"Bearer {token}"},
            timeout=_ANSWER_SECONDS,
            trust_env=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def ask(
        self, method: str, path: str, query: Mapping[str, str | int | None] | None = None
    ) -> Any:
        """Return the body of an answer. Raises CannotRunError for one that is an error."""
        found = {name: value for name, value in (query or {}).items() if value is not None}
        key = {} if method == "GET" else {"idempotency-key": str(uuid.uuid4())}
        try:
            answer = self._client.request(method, path, params=found, headers=key)
        except httpx.HTTPError as error:
            raise CannotRunError(
                f"the gateway at {self._base} does not answer",
                str(error) or type(error).__name__,
                "start it with `portico serve`, or name another with --url",
            ) from None
        if answer.status_code >= 400:
            raise _refused(answer)
        return answer.json() if answer.content else None


def _refused(answer: httpx.Response) -> CannotRunError:
    try:
        problem = answer.json()
    except ValueError:
        problem = {}
    title = str(problem.get("title") or f"the gateway answered {answer.status_code}")
    detail = str(problem.get("detail") or f"the status is {answer.status_code}")
    return CannotRunError(title, detail, "`portico dlq list` shows what there is")


def _token(config: Config, base: str) -> str:
    """Return a token of the gateway's own issuer: whoever can read its keys may operate it."""
    name = config.identity.issuer or config.public_url.rstrip("/") or base
    issuer = TokenIssuer(key_ring(config), issuer=name, audience=AUDIENCE)
    scopes = ["operations:read", "operations:write"]
    return issuer.mint(_CLIENT, _CLIENT, AUDIENCE, scopes, _TOKEN_SECONDS)


def _list(operations: Operations, options: argparse.Namespace) -> int:
    query = {"kind": options.kind, "incidentId": options.incident, "limit": _PAGE}
    letters = _letters(operations, query)
    if options.json:
        return _print({"items": list(letters)})
    count = 0
    for letter in letters:
        count += 1
        print(f"{letter['diedAt']}  {letter['id']}\n  {letter['name']}: {letter['cause']}")
        print(f"  incident {letter['incidentId']}")
    print(f"{count} dead letters")
    return FINDINGS if count else FINE


def _letters(operations: Operations, query: Mapping[str, str | int | None]) -> Iterator[Any]:
    """Yield the dead letters of all pages."""
    cursor: str | None = None
    while True:
        page = operations.ask("GET", "/dead-letters", {**query, "cursor": cursor})
        yield from page["items"]
        cursor = page.get("nextCursor")
        if cursor is None:
            return


def _show(operations: Operations, options: argparse.Namespace) -> int:
    return _print(operations.ask("GET", _letter(options.letter)))


def _replay(operations: Operations, options: argparse.Namespace) -> int:
    if (options.letter is None) == (options.incident is None):
        raise CannotRunError(
            "it is not said what to replay",
            "there is neither a dead letter nor an incident, or both",
            "name one: `portico dlq replay LETTER`, or `--incident INCIDENT`",
        )
    if options.letter is not None:
        report = operations.ask("POST", f"{_letter(options.letter)}/replay")
    else:
        report = _replay_incident(operations, options.incident)
    if options.json:
        return _print(report)
    print(f"{report['replayed']} under way again; `portico dlq list` shows what fails again")
    return FINE


def _replay_incident(operations: Operations, incident: str) -> dict[str, int]:
    """Replay all of an incident, some at a time, but none that fails again meanwhile."""
    path = f"/incidents/{quote(incident, safe='')}/replay"
    report = operations.ask("POST", path)
    replayed, left = report["replayed"], report["remaining"]
    while left > 0:
        report = operations.ask("POST", path)
        replayed += report["replayed"]
        left -= max(1, report["replayed"])
    return {"replayed": replayed, "remaining": report["remaining"]}


def _discard(operations: Operations, options: argparse.Namespace) -> int:
    operations.ask("DELETE", _letter(options.letter), {"reason": options.reason})
    if not options.json:
        print(f"{options.letter} is given up")
    return FINE


def _letter(name: str) -> str:
    return f"/dead-letters/{quote(name, safe='')}"


def _print(data: Any) -> int:
    json.dump(data, sys.stdout, indent=2, ensure_ascii=False)
    print()
    return FINE


_ACTIONS = {"list": _list, "show": _show, "replay": _replay, "discard": _discard}

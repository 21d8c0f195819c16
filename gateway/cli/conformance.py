"""`portico conformance idempotency URL`: test any API's Idempotency-Key from outside."""

from __future__ import annotations

import argparse
import asyncio
import json
from pathlib import Path

from gateway.cli.output import FINDINGS, FINE, CannotRunError
from portico.idempotency.conformance.checks import Check, Outcome
from portico.idempotency.conformance.probe import UNIQUE, CannotProbeError, Target
from portico.idempotency.conformance.report import Report, conform, line

_EXAMPLE = """\
Every check makes new things: do not run it against production.

  portico conformance idempotency https://api.example.com/orders \\
      --header "Authorization: Bearer $TOKEN" --as "Authorization: Bearer $OTHER" \\
      --body '{"reference": "{{unique}}", "sku": "chair"}' --invalid-body '{'

exit codes: 0 conforms, 1 it does not, 2 wrong usage, 3 it cannot be tested
"""


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EXAMPLE
    parser.add_argument("suite", choices=["idempotency"], help="what to test")
    parser.add_argument(
        "url", metavar="URL", help="the address of an operation that creates things"
    )
    parser.add_argument("--method", default="POST", help="its method (default: POST)")
    parser.add_argument(
        "--body",
        default="",
        metavar="TEXT",
        help=f"its body, or @FILE; {UNIQUE} in it is something new in each request",
    )
    parser.add_argument("--content-type", default="application/json", metavar="TYPE")
    parser.add_argument(
        "--header", action="append", default=[], metavar="FIELD", help="'Name: value', repeatable"
    )
    parser.add_argument(
        "--as",
        action="append",
        default=[],
        dest="other_client",
        metavar="FIELD",
        help="a header field of a second client, repeatable",
    )
    _more(parser)


def _more(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--other-body", default="", metavar="TEXT", help="another valid body")
    parser.add_argument("--invalid-body", metavar="TEXT", help="a body that is refused")
    parser.add_argument(
        "--other-url", default="", metavar="URL", help="another operation that takes the body"
    )
    parser.add_argument("--count-url", default="", metavar="URL", help="a resource that counts")
    parser.add_argument(
        "--count-pointer", default="", metavar="POINTER", help="the number or array in it: /total"
    )
    parser.add_argument("--key-optional", action="store_true", help="the key may be left out")
    parser.add_argument("--parallel", type=_count, default=20, help="attempts at once (20)")
    parser.add_argument("--rounds", type=_count, default=3, help="how often (3)")
    parser.add_argument("--timeout", type=_seconds, default=10.0, help="seconds a request (10)")
    parser.add_argument("--strict", action="store_true", help="count what is only recommended")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")


def run(options: argparse.Namespace) -> int:
    target = _target(options)
    try:
        report = asyncio.run(conform(target, _quiet if options.json else _tell))
    except CannotProbeError as error:
        raise CannotRunError(f"{target.url} cannot be tested", error.cause, error.hint) from error
    _finish(report, options)
    return FINDINGS if report.failures(strict=options.strict) else FINE


def _target(options: argparse.Namespace) -> Target:
    if not options.url.startswith(("http://", "https://")):
        raise CannotRunError(
            f"{options.url} cannot be tested", "it is not an address", "give http:// or https://"
        )
    return Target(
        url=options.url,
        method=options.method.upper(),
        body=_text(options.body),
        content_type=options.content_type,
        headers=tuple(map(_field, options.header)),
        other_client=tuple(map(_field, options.other_client)),
        other_body=_text(options.other_body),
        invalid_body=None if options.invalid_body is None else _text(options.invalid_body),
        other_url=options.other_url,
        count_url=options.count_url,
        count_pointer=options.count_pointer,
        key_required=not options.key_optional,
        parallel=options.parallel,
        rounds=options.rounds,
        timeout_seconds=options.timeout,
    )


def _finish(report: Report, options: argparse.Namespace) -> None:
    if options.json:
        print(json.dumps(report.document(strict=options.strict), indent=2))
    else:
        print(f"\n{report.summary(strict=options.strict)}")


def _tell(check: Check, outcome: Outcome) -> None:
    print(line(check, outcome), flush=True)


def _quiet(check: Check, outcome: Outcome) -> None:
    del check, outcome


def _text(given: str) -> str:
    if not given.startswith("@"):
        return given
    try:
        return Path(given[1:]).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CannotRunError(
            f"{given[1:]} cannot be read", str(error), "name a text file"
        ) from error


def _field(given: str) -> tuple[str, str]:
    name, colon, value = given.partition(":")
    if not colon or not name.strip() or not (given.isascii() and given.isprintable()):
        raise CannotRunError(
            "a header field cannot be sent",
            "it is not of the form 'Name: value'",
            "write --header 'Authorization: Bearer …'",
        )
    return name.strip(), value.strip()


def _count(given: str) -> int:
    if not given.isdigit() or not 1 <= int(given) <= 500:
        raise argparse.ArgumentTypeError("a number from 1 to 500 is expected")
    return int(given)


def _seconds(given: str) -> float:
    try:
        seconds = float(given)
    except ValueError:
        seconds = 0.0
    if not 0.1 <= seconds <= 600:
        raise argparse.ArgumentTypeError("seconds from 0.1 to 600 are expected")
    return seconds

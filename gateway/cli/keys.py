"""`portico keys`: the keys that tokens are signed with."""

from __future__ import annotations

import argparse

from gateway.cli.configuration import read_config
from gateway.cli.output import FINE
from gateway.issuing import key_ring


def arguments(parser: argparse.ArgumentParser) -> None:
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)
    rotate = actions.add_parser("rotate", help="make a new signing key")
    rotate.add_argument(
        "--at-once",
        action="store_true",
        help="sign with it now and drop every other key: all tokens end (for a stolen key)",
    )


def run(options: argparse.Namespace) -> int:
    ring = key_ring(read_config(options.config))
    ring.rotate(at_once=options.at_once)
    signing = ring.snapshot.signing.kid
    published = [kid for kid in ring.snapshot.verification if kid != signing]
    print(f"signs now      {signing}")
    for kid in published:
        print(f"published      {kid}")
    if not options.at_once:
        print("\nThe new key signs in two hours, when every verifier knows it.")
    return FINE

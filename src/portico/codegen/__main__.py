"""The command line of the generator: `python -m portico.codegen [--check]`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from portico.codegen import CodegenError, generate
from portico.codegen.files import stale_files, write
from portico.contract.findings import ContractError


def main(arguments: Sequence[str] | None = None) -> int:
    """Generate, or with --check only say what is stale; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m portico.codegen", description=__doc__)
    parser.add_argument("--check", action="store_true", help="only name stale files, and exit 1")
    parser.add_argument("--contracts", type=Path, default=Path("specs/openapi"))
    parser.add_argument("--source", type=Path, default=Path("src"))
    options = parser.parse_args(arguments)
    try:
        files = generate(options.contracts, options.source)
    except (CodegenError, ContractError) as error:
        sys.stderr.write(f"error: {error}\n")
        return 3
    stale = stale_files(files, options.source)
    if not options.check:
        write(files, stale)
    for path in stale:
        sys.stdout.write(f"{'stale' if options.check else 'wrote'} {path}\n")
    if stale and options.check:
        sys.stderr.write("run `make codegen` and commit the result\n")
    return int(options.check and bool(stale))


if __name__ == "__main__":
    sys.exit(main())

"""Installs what tests need beyond Python, where that is possible without asking.

As root on a Debian system: Chromium for pages, a second Redis, NATS, PostgreSQL. Where npm is:
emulate, SAP's runtime with SAP's service definitions, and Prism with Stripe's OpenAPI document,
into a cache of this user. Elsewhere those tests are skipped, with a summary at the end of the run.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.support import cap, emulate, prism

PROGRAMS = {  # program: Debian package
    "chromium": "chromium",
    "redis-server": "redis-server",
    "nats-server": "nats-server",
    "initdb": "postgresql",
}
DEBIAN_POSTGRESQL = Path("/usr/lib/postgresql")  # its programs are not on PATH


def is_there(program: str) -> bool:
    """Tell whether a program is on PATH, or where Debian keeps PostgreSQL's."""
    return shutil.which(program) is not None or any(DEBIAN_POSTGRESQL.glob(f"*/bin/{program}"))


def main() -> int:
    _install_counterparts()
    _install_programs()
    return 0


def _install_counterparts() -> None:
    if not emulate.install():
        print(f"emulate {emulate.VERSION} cannot be installed; tests that need it will be skipped")
    if shutil.which("npm") is None:
        return
    if not cap.is_installed():
        print("installing SAP's runtime for the tests (about half a minute) …", flush=True)
        with _told(cap.UnavailableError):
            cap.install()
    if not prism.is_installed():
        print("installing Prism and Stripe's document for the tests (half a minute) …", flush=True)
        with _told(prism.UnavailableError):
            prism.install()


@contextlib.contextmanager
def _told(unavailable: type[Exception]) -> Iterator[None]:
    try:
        yield
    except unavailable as error:
        print(f"this machine lacks {error}; tests that need them will be skipped")


def _install_programs() -> None:
    missing = [package for name, package in PROGRAMS.items() if not is_there(name)]
    if not missing or os.geteuid() != 0 or shutil.which("apt-get") is None:
        return
    print(f"installing {', '.join(missing)} for the tests (about a minute) …", flush=True)
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for words in (["update", "-qq"], ["install", "-y", "-qq", "--no-install-recommends", *missing]):
        done = subprocess.run(
            ["apt-get", *words], env=environment, stdout=subprocess.DEVNULL, check=False
        )
        if done.returncode != 0:
            print(f"apt-get {words[0]} failed; tests that need {missing} will be skipped")
            return


if __name__ == "__main__":
    sys.exit(main())

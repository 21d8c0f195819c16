"""Setting Tryton up in a data folder: installed, with a database, a small company and a key.

    lock              held while somebody sets up
    setup.log         what pip and Tryton said
    venv-HASH/        Tryton, complete once it contains `complete`
    seeded-HASH/      a database as every new one begins, and the secrets that belong to it

Nothing is used before it is complete, so an interrupted set-up is finished by the next one. HASH is
of everything the part is made from: a changed lock file makes a new environment.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import shutil
import sqlite3
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from portico.sandbox.company import COMPANY_FILE
from system_apis.tryton.sandbox.commands import run, this_python
from system_apis.tryton.sandbox.errors import SandboxError
from system_apis.tryton.sandbox.folder_lock import FolderLock

Progress = Callable[[str, int, int], None]

DATABASE = "erp"
MODULES = ("party", "product", "stock", "sale", "purchase", "account_invoice")
# Another process may be installing over a slow connection.
LOCK_WAIT_SECONDS = 600.0

_HERE = Path(__file__).parent
_LOCK_FILE = _HERE / "requirements.lock"
_SEED = _HERE / "seed.py"
_LOADED = re.compile(r"INFO trytond\.modules (\w+) load ")
# With what they depend on, the modules that Tryton activates; only progress depends on it.
_MODULE_COUNT = 15
_SEED_STEPS = 7
# What trytond-admin would ask for otherwise; and it tells what it does.
_ADMIN = ("--email", "admin@example.com", "-vv")


def silent(_step: str, _done: int, _total: int) -> None:
    """Show no progress."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """What a set-up leaves behind."""

    python: Path
    seeded: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Secrets:
    """The files in a folder with a database that hold its secrets, readable by their owner only."""

    folder: Path

    @property
    def key(self) -> Path:
        """Return the file with the application key that Portico uses."""
        return self.folder / "rest-key"

    @property
    def password(self) -> Path:
        """Return the file with the password of Tryton's user admin."""
        return self.folder / "admin-password"


async def prepare(data: Path, progress: Progress = silent) -> Prepared:
    """Set Tryton up in a data folder, as far as that is not done; raises SandboxError."""
    environment = data / f"venv-{_fingerprint(_LOCK_FILE, text=sys.version)}"
    seeded = data / f"seeded-{_fingerprint(_LOCK_FILE, _SEED, COMPANY_FILE)}"
    prepared = Prepared(python=environment / "bin" / "python", seeded=seeded)
    if _is_complete(prepared):
        return prepared
    lock = FolderLock(data / "lock", data)
    await lock.acquire(wait_seconds=LOCK_WAIT_SECONDS)
    try:
        await _install(environment, data / "setup.log", progress)
        await _seed(prepared, data / "setup.log", progress)
    finally:
        lock.release()
    return prepared


def _fingerprint(*files: Path, text: str = "") -> str:
    digest = hashlib.sha256(text.encode())
    for file in files:
        content = file.read_bytes()
        digest.update(len(content).to_bytes(8, "big") + content)
    return digest.hexdigest()[:12]


def _is_complete(prepared: Prepared) -> bool:
    return _is_installed(prepared.python.parent.parent) and prepared.seeded.is_dir()


def _is_installed(environment: Path) -> bool:
    # The interpreter is a link to one that may have been removed since.
    return _marker(environment).exists() and (environment / "bin" / "python").exists()


def _marker(environment: Path) -> Path:
    return environment / "complete"


def _remove(folder: Path) -> None:
    if folder.exists():
        shutil.rmtree(folder)


async def _install(environment: Path, log: Path, progress: Progress) -> None:
    """Install Tryton where it stays: a virtual environment cannot be moved."""
    python = environment / "bin" / "python"
    if _is_installed(environment):
        return
    _remove(environment)
    total = _LOCK_FILE.read_text("utf-8").count("==")
    progress("installing Tryton", 0, total)
    make = ["-m", "venv", environment]
    await run("making a virtual environment", this_python(), make, log=log)
    install = ["-m", "pip", "install", "--require-hashes", "--only-binary", ":all:"]
    quiet = ["--disable-pip-version-check", "--no-input", "--progress-bar", "off"]
    counter = _Counter("installing Tryton", total, progress)
    await run(
        "installing Tryton",
        python,
        [*install, *quiet, "-r", _LOCK_FILE],
        log=log,
        on_line=lambda line: counter.see(line if line.startswith("Collecting ") else ""),
    )
    _marker(environment).touch()
    progress("installing Tryton", total, total)


async def _seed(prepared: Prepared, log: Path, progress: Progress) -> None:
    """Make a database in a folder of another name, which gets its own when all is done."""
    if _is_complete(prepared):
        return
    folder = prepared.seeded.with_suffix(".partial")
    conf, files = _begin_database(folder), Secrets(folder=folder)
    await _activate(prepared.python, conf, files, log, progress)
    await _fill(prepared.python, conf, files, log, progress)
    _finish_database(folder, prepared.seeded)


def _begin_database(folder: Path) -> Path:
    """Make a folder with an empty database and a password, and return its configuration."""
    _remove(folder)
    folder.mkdir(mode=0o700, parents=True)
    write_private(Secrets(folder=folder).password, secrets.token_urlsafe(24))
    # Tryton opens only a database that exists; that it is empty does not matter.
    (folder / f"{DATABASE}.sqlite").touch(mode=0o600)
    conf = folder / "trytond.conf"
    conf.write_text(f"[database]\nuri = sqlite://\npath = {folder}\n", "utf-8")
    return conf


def _finish_database(folder: Path, seeded: Path) -> None:
    _settle(folder / f"{DATABASE}.sqlite")
    (folder / "trytond.conf").unlink()
    folder.rename(seeded)


async def _activate(
    python: Path, conf: Path, files: Secrets, log: Path, progress: Progress
) -> None:
    progress("activating modules", 0, _MODULE_COUNT)
    counter = _Counter("activating modules", _MODULE_COUNT, progress)

    def on_line(line: str) -> None:
        loaded = _LOADED.search(line)
        counter.see(loaded.group(1) if loaded else "")

    modules = ["-u", "ir", "res", *MODULES, "--activate-dependencies"]
    await run(
        "activating the modules of Tryton",
        python,
        ["-m", "trytond.cli.admin", "-c", conf, "-d", DATABASE, *modules, *_ADMIN],
        log=log,
        environment={"TRYTONPASSFILE": str(files.password)},
        on_line=on_line,
    )
    progress("activating modules", _MODULE_COUNT, _MODULE_COUNT)


async def _fill(python: Path, conf: Path, files: Secrets, log: Path, progress: Progress) -> None:
    progress("filling the catalogue", 0, _SEED_STEPS)
    counter = _Counter("filling the catalogue", _SEED_STEPS, progress)

    def on_line(line: str) -> None:
        counter.see(str(json.loads(line).get("step", "")) if line.startswith("{") else "")

    arguments = [_SEED, conf, DATABASE, COMPANY_FILE, files.key]
    await run("filling Tryton", python, arguments, log=log, on_line=on_line)
    progress("filling the catalogue", _SEED_STEPS, _SEED_STEPS)


def _settle(database: Path) -> None:
    """Bring everything into the one file, so that a copy of it is a copy of the database."""
    connection = sqlite3.connect(database)
    try:
        busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    finally:
        connection.close()
    if busy:
        raise SandboxError(f"{database} is still in use after it was filled")


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner may read."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)


class _Counter:
    """Turns what a command says into progress: each new name is one more done."""

    def __init__(self, step: str, total: int, progress: Progress) -> None:
        self._step = step
        self._total = total
        self._progress = progress
        self._seen: set[str] = set()

    def see(self, name: str) -> None:
        """Count a name, unless it is empty or known."""
        if not name or name in self._seen:
            return
        self._seen.add(name)
        self._progress(self._step, min(len(self._seen), self._total), self._total)

"""A real PostgreSQL for tests: an unprivileged process on a unix socket, with its own folder."""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

_SECONDS = 30.0
_numbers = itertools.count()


def programs() -> Path | None:
    """Return the folder of PostgreSQL's programs: from PATH, or where Debian keeps them."""
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).resolve().parent
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    return versions[-1].parent if versions else None


class Postgres:
    """A server with its data in a new folder; it refuses to be run by root."""

    def __init__(self, binaries: Path) -> None:
        self._binaries = binaries
        self.folder = Path(tempfile.mkdtemp(prefix="portico-pg-"))
        self._user = "nobody" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
        if os.geteuid() == 0:
            owner = pwd.getpwnam(self._user)
            os.chown(self.folder, owner.pw_uid, owner.pw_gid)
        self._process: subprocess.Popen[Any] | None = None
        options = ["-U", "portico", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C"]
        self._run("initdb", "-D", str(self.folder / "data"), *options)

    def start(self) -> None:
        # What a lost machine would lose is not what these tests are about; ended processes are.
        settings = ["-c", "fsync=off", "-c", "listen_addresses=", "-c", "max_connections=200"]
        folders = ["-D", str(self.folder / "data"), "-k", str(self.folder)]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [self._binaries / "postgres", *folders, *settings],
                **self._as_user(),
                stdout=subprocess.DEVNULL,
                stderr=log,
            )
        give_up_at = time.monotonic() + _SECONDS
        while self._asked("postgres", "select 1") != 0:
            assert self._process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < give_up_at, "postgres does not answer"
            time.sleep(0.05)

    def stop(self) -> None:
        """End it at once, as an outage would; what is committed stays."""
        if self._process is not None:
            subprocess.run(
                [self._binaries / "pg_ctl", "-D", self.folder / "data", "-m", "immediate", "stop"],
                **self._as_user(),
                check=True,
                stdout=subprocess.DEVNULL,
            )
            self._process.wait(_SECONDS)
            self._process = None

    def close(self) -> None:
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def new_database(self) -> str:
        """Return the URL of a new database."""
        name = f"test_{next(_numbers)}"
        assert self._asked("postgres", f"create database {name}") == 0
        return f"postgresql://portico@/{name}?host={self.folder}"

    def _asked(self, database: str, sql: str) -> int:
        command = [
            str(self._binaries / "psql"),
            "-h",
            str(self.folder),
            "-U",
            "portico",
            "-qc",
            sql,
            database,
        ]
        return subprocess.run(
            command, check=False, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ).returncode

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run(
            [self._binaries / program, *arguments],
            **self._as_user(),
            check=True,
            stdout=subprocess.DEVNULL,
        )

    def _as_user(self) -> dict[str, Any]:
        if os.geteuid() != 0:
            return {"cwd": self.folder}
        return {"user": self._user, "group": pwd.getpwnam(self._user).pw_gid, "cwd": self.folder}

"""Tryton as a process of ours, on a database of its own and on 127.0.0.1 only."""

from __future__ import annotations

import asyncio
import configparser
import logging
import os
import shutil
import signal
import socket
import subprocess
from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING

import httpx

from system_apis.tryton.sandbox.commands import launch_arguments
from system_apis.tryton.sandbox.errors import SandboxError
from system_apis.tryton.sandbox.folder_lock import FolderLock
from system_apis.tryton.sandbox.preparation import (
    DATABASE,
    Prepared,
    Progress,
    Secrets,
    prepare,
    silent,
)

if TYPE_CHECKING:
    from pathlib import Path

logger = logging.getLogger("system_apis.tryton.sandbox")

START_TIMEOUT_SECONDS = 30.0
STOP_TIMEOUT_SECONDS = 5.0
POLL_SECONDS = 0.05
# A free port may be taken between our finding it and Tryton's using it.
PORT_ATTEMPTS = 3
# How long a Tryton that ended by itself stays down: longer each time it fails again.
RESTART_PAUSES_SECONDS = (0.5, 2.0, 5.0, 15.0)

# Everything but its own warnings would put customers' names into the log.
_LOGGING = """\
[loggers]
keys = root,werkzeug
[handlers]
keys = stream
[formatters]
keys = plain
[logger_root]
level = WARNING
handlers = stream
[logger_werkzeug]
level = WARNING
handlers =
qualname = werkzeug
[handler_stream]
class = StreamHandler
formatter = plain
args = (sys.stderr,)
[formatter_plain]
format = %(asctime)s %(levelname)s %(name)s %(message)s
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where the sandbox answers, and the reference to the key it takes."""

    base_url: str
    key_reference: str


class Sandbox:
    """A Tryton in a data folder; `state` is the folder of its database, `data`/live by default.

    Start it from a thread that lives as long as it: Linux ends it with the thread that made it.
    """

    def __init__(
        self, data: Path, *, state: Path | None = None, port: int = 0, progress: Progress = silent
    ) -> None:
        self._data = data.absolute()
        self._state = (state or data / "live").absolute()
        self._port = port
        self._progress = progress
        beside = self._state.with_name(f"{self._state.name}.lock")
        self._lock = FolderLock(beside, self._state)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """Return the process of Tryton, None while there is none."""
        if self._process is None or self._process.poll() is not None:
            return None
        return self._process.pid

    @property
    def database(self) -> Path:
        """Return the file of the database."""
        return self._state / f"{DATABASE}.sqlite"

    @property
    def log(self) -> Path:
        """Return the file that Tryton writes its warnings and errors to."""
        return self._state / "trytond.log"

    @property
    def secrets(self) -> Secrets:
        """Return where the password of admin and the key of Portico are."""
        return Secrets(folder=self._state)

    @property
    def endpoint(self) -> Endpoint:
        """Return where Tryton answers once it is started."""
        return self._endpoint(f"127.0.0.1:{self._port}")

    def running_elsewhere(self) -> Endpoint | None:
        """Return where the Tryton answers that another process runs here, None if none does."""
        parser = configparser.ConfigParser()
        if not self._lock.is_taken() or not parser.read(self._conf, "utf-8"):
            return None
        return self._endpoint(parser["web"]["listen"])

    def _endpoint(self, authority: str) -> Endpoint:
        return Endpoint(
            base_url=f"http://{authority}/{DATABASE}", key_reference=f"file:{self.secrets.key}"
        )

    @property
    def _conf(self) -> Path:
        return self._state / "trytond.conf"

    async def start(self) -> Endpoint:
        """Set up what is missing, start Tryton and return where it answers.

        Raises SandboxError if it does not answer in time or another process uses the state.
        """
        prepared = await prepare(self._data, self._progress)
        await self._lock.acquire()
        try:
            _create_state(prepared, self._state)
            await self._launch(prepared)
        except BaseException:
            await self.stop()
            raise
        return self.endpoint

    async def stop(self) -> None:
        """End Tryton, gently first, and let go of its state."""
        process, self._process = self._process, None
        if process is not None:
            await _end(process)
        self._lock.release()

    async def watch(self) -> None:
        """Start Tryton again whenever it ends by itself, until it is stopped or this cancelled."""
        failures = 0
        while (process := self._process) is not None:
            await _ended(process)
            if self._process is not process:
                return
            logger.warning("tryton ended with status %s and is started again", process.returncode)
            pause = RESTART_PAUSES_SECONDS[min(failures, len(RESTART_PAUSES_SECONDS) - 1)]
            await asyncio.sleep(pause)
            if self._process is not process:
                return
            failures = 0 if await self._restarted() else failures + 1

    async def _restarted(self) -> bool:
        try:
            await self._launch(await prepare(self._data))
        except (SandboxError, OSError) as error:
            logger.warning("tryton cannot be started again: %s", error)
            return False
        return True

    async def _launch(self, prepared: Prepared) -> None:
        """Start the process; on a port of its own choice, look for another if it gets taken."""
        attempts = 1 if self._port else PORT_ATTEMPTS
        for attempt in range(1, attempts + 1):
            port = self._port or _free_port()
            # Otherwise whoever listens there would answer in Tryton's stead.
            _refuse_taken(port)
            self._process = self._spawn(prepared, port)
            try:
                await self._answering(self._process, port)
            except _PortTakenError:
                if attempt == attempts:
                    raise
            else:
                self._port = port
                return

    def _spawn(self, prepared: Prepared, port: int) -> subprocess.Popen[bytes]:
        conf, log_conf = self._conf, self._state / "logging.conf"
        conf.write_text(_configuration(self._state, port), "utf-8")
        log_conf.write_text(_LOGGING, "utf-8")
        arguments = ["-m", "trytond.cli", "-c", conf, "-d", DATABASE, "--logconf", log_conf]
        # Each start begins the log anew, so that it stays small.
        with self.log.open("wb") as log:
            return subprocess.Popen(  # noqa: S603  our own interpreter and arguments
                launch_arguments(prepared.python, arguments),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                # Ctrl-C reaches only us; we stop Tryton after the last request.
                start_new_session=True,
            )

    async def _answering(self, process: subprocess.Popen[bytes], port: int) -> None:
        """Wait until Tryton takes our key; raises SandboxError."""
        give_up_at = monotonic() + START_TIMEOUT_SECONDS
        headers = {"authorization": f"bearer {self.secrets.key.read_text('utf-8')}"}
        url = f"http://127.0.0.1:{port}/{DATABASE}/rest/model/company.company"
        async with httpx.AsyncClient(trust_env=False, timeout=START_TIMEOUT_SECONDS) as http:
            while process.poll() is None:
                status = await _status(http, url, headers)
                if status == httpx.codes.OK:
                    return
                if status or monotonic() > give_up_at:
                    await _end(process)
                    what = f"answers with status {status}" if status else "does not answer in time"
                    raise SandboxError(f"tryton {what}", log=self.log)
                await asyncio.sleep(POLL_SECONDS)
        raise self._failure(process, port)

    def _failure(self, process: subprocess.Popen[bytes], port: int) -> SandboxError:
        if "Address already in use" in self.log.read_text("utf-8", errors="replace"):
            return _PortTakenError(port)
        message = f"tryton ended with status {process.returncode} while it started"
        return SandboxError(message, log=self.log)

    def __repr__(self) -> str:
        return f"<Sandbox {self._state} port={self._port} pid={self.pid}>"


class _PortTakenError(SandboxError):
    """Somebody else listens on the port."""

    def __init__(self, port: int) -> None:
        hint = "stop what listens there, or choose another port"
        super().__init__(f"port {port} of 127.0.0.1 is taken", hint=hint)


def _create_state(prepared: Prepared, state: Path) -> None:
    """Copy the seeded database where there is none yet; the copy appears whole or not at all."""
    if state.is_dir():
        return
    partial = state.with_name(f"{state.name}.partial")
    if partial.exists():
        shutil.rmtree(partial)
    partial.parent.mkdir(parents=True, exist_ok=True)
    shutil.copytree(prepared.seeded, partial)
    partial.rename(state)


def _configuration(state: Path, port: int) -> str:
    return (
        f"[database]\nuri = sqlite://\npath = {state}\nlist = False\n"
        # An empty root: by default Tryton serves the files in ~/www.
        f"[web]\nlisten = 127.0.0.1:{port}\nroot =\n"
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _refuse_taken(port: int) -> None:
    with socket.socket() as probe:
        # As Tryton does: connections that just ended do not count.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError as error:
            raise _PortTakenError(port) from error


async def _status(http: httpx.AsyncClient, url: str, headers: dict[str, str]) -> int:
    """Return the status of an answer, zero while there is none."""
    try:
        response = await http.get(url, params={"f": "id"}, headers=headers)
    except httpx.HTTPError:
        return 0
    return response.status_code


async def _ended(process: subprocess.Popen[bytes]) -> None:
    # Polling needs neither a thread nor a child watcher, and no loop that outlives this call.
    while process.poll() is None:  # noqa: ASYNC110
        await asyncio.sleep(POLL_SECONDS)


async def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.terminate()
        # A stopped process would not hear the signal before it goes on.
        os.kill(process.pid, signal.SIGCONT)
    try:
        async with asyncio.timeout(STOP_TIMEOUT_SECONDS):
            await _ended(process)
    except TimeoutError:
        process.kill()
        process.wait()

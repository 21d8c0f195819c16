"""How commands reach the sandboxes of a process that runs: by a file only its owner can read.

The file names the loopback address of the admin endpoint and the token that it wants.
"""

from __future__ import annotations

import contextlib
import json
import os
import secrets
from collections.abc import AsyncIterator, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from gateway.sandboxes import SANDBOXES
from portico.sandbox.admin import admin_app, guarded
from portico.sandbox.running import Running, serve_on_loopback

_SUFFIX = ".admin"
_ANSWER_SECONDS = 5.0


class SteeringError(Exception):
    """The sandbox does not do what it was asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Admin:
    """The admin endpoint of the process that runs the sandbox of a system."""

    system: str
    url: str
    token: str

    def ask(self, method: str, path: str, document: object = None) -> Any:
        """Return the answer. Raises SteeringError for a refusal, httpx.TransportError for none."""
        with httpx.Client(trust_env=False, timeout=_ANSWER_SECONDS) as http:
            headers = {"authorization": f"Bearer {self.token}"}
            answer = http.request(method, self.url + path, headers=headers, json=document)
        if answer.status_code >= 400:
            raise SteeringError(answer.json()["error"])
        return answer.json() if answer.content else None


@contextlib.asynccontextmanager
async def steerable(
    systems: Mapping[str, Running], folder: Path, port: int = 0
) -> AsyncIterator[str]:
    """Let commands steer the systems until the end of the block; yield the address.

    Raises SandboxesError for a port that is taken.
    """
    token = secrets.token_urlsafe()
    async with serve_on_loopback(guarded(admin_app(systems), token), port) as url:
        written = json.dumps({"url": url, "token": token})
        for name in systems:
            _write(folder / f"{name}{_SUFFIX}", written)
        try:
            yield url
        finally:
            for name in systems:
                _remove(folder / f"{name}{_SUFFIX}", written)


def _write(path: Path, text: str) -> None:
    """Write a file that was never open to others, not even for a moment."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    draft.unlink(missing_ok=True)
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    draft.replace(path)


def _remove(path: Path, text: str) -> None:
    """Remove the file, unless it is by now that of another process."""
    with contextlib.suppress(OSError):
        if path.read_text() == text:
            path.unlink()


def admins(folder: Path) -> Iterator[Admin]:
    """Return the endpoints that were written down; a process that was killed leaves its own."""
    for name in SANDBOXES:
        with contextlib.suppress(OSError, ValueError, KeyError):
            found = json.loads((folder / f"{name}{_SUFFIX}").read_text())
            yield Admin(system=name, url=found["url"], token=found["token"])


def running_settings(folder: Path) -> dict[str, Mapping[str, object]]:
    """Return the settings of the APIs whose sandboxes run in some process, by API."""
    found: dict[str, Mapping[str, object]] = {}
    for admin in admins(folder):
        with contextlib.suppress(httpx.TransportError, SteeringError):
            shown = admin.ask("GET", "/")[admin.system]
            found[shown["api"]] = SANDBOXES[admin.system].settings(shown["url"])
    return found

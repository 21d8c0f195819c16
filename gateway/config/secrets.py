"""Secrets by reference: `env:NAME`, `file:PATH`, or `generated:NAME` in the data folder."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from collections.abc import Mapping
from pathlib import Path

from gateway.config.errors import ConfigError

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,63}\Z")
MAX_SECRET_BYTES = 64 * 1024


class SecretStore:
    """Resolves references. Generated secrets are made once and kept, readable by their owner."""

    def __init__(self, data: Path, environment: Mapping[str, str] = os.environ) -> None:
        self._folder = data / "secrets"
        self._environment = environment

    def resolve(self, reference: str, where: str) -> str:
        """Return the secret; raises ConfigError, which never quotes a secret."""
        kind, _, name = reference.partition(":")
        if kind == "env":
            return self._from_environment(name, where)
        if kind == "file":
            return _from_file(Path(name), where)
        if kind == "generated" and _NAME.match(name):
            return self._generated(name, where)
        raise ConfigError(
            where,
            "the value is not a reference to a secret",
            "write env:NAME, file:PATH or generated:NAME; secrets never stand in the file itself",
        )

    def path(self, name: str) -> Path:
        """Return where a generated secret is kept."""
        return self._folder / name

    def _from_environment(self, name: str, where: str) -> str:
        value = self._environment.get(name, "")
        if not value:
            raise ConfigError(where, f"the variable {name} is not set", f"export {name}=…")
        return value

    def _generated(self, name: str, where: str) -> str:
        path = self.path(name)
        try:
            if not path.exists():
                self._make(path)
        except OSError as error:
            raise ConfigError(
                where,
                f"{error.filename or path} cannot be written: {error.strerror}",
                "make the data folder writable, or choose another with `data:`",
            ) from None
        return _from_file(path, where)

    def _make(self, path: Path) -> None:
        """Write a new secret; of two processes at the same moment, one writes the only one."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = path.with_name(f"{path.name}.{secrets.token_hex(8)}")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(secrets.token_urlsafe(24) + "\n")
        try:
            with contextlib.suppress(FileExistsError):
                # A link appears with its content, and not at all where there is one already.
                path.hardlink_to(draft)
        finally:
            draft.unlink()


def _from_file(path: Path, where: str) -> str:
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_SECRET_BYTES + 1)
        value = raw.decode().strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise ConfigError(where, f"{path} cannot be read: {reason}", "check the path") from None
    if not value or len(raw) > MAX_SECRET_BYTES:
        raise ConfigError(where, f"{path} is empty or too large", "put the secret in the file")
    return value

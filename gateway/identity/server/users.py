"""The people of the configuration, known by argon2 hashes of their passwords."""

from __future__ import annotations

import asyncio
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass, field
from hashlib import sha256

from argon2 import PasswordHasher, extract_parameters
from argon2.exceptions import InvalidHashError, VerificationError
from argon2.low_level import Type

from gateway.identity.errors import IdentityError
from gateway.identity.server.errors import busy

MAX_PASSWORD_CHARACTERS = 1024
MIN_PASSWORD_CHARACTERS = 8
MAX_NAME_CHARACTERS = 254

# OWASP's minimum for argon2id: 19 MiB and two passes.
_MIN_MEMORY_KIB = 19 * 1024
_MIN_PASSES = 2
# A check takes 64 MiB and some 50 ms of a core. Whoever comes beyond waits, two seconds at most.
_CHECKS_AT_ONCE = 2
MAX_WAITING = 80
_STAMP_DIGITS = 16
_HASHER = PasswordHasher()


class UserRecordError(IdentityError):
    """A person is configured in a way that cannot be accepted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UserRecord:
    """A person. `scopes` are those that clients may get for them; None is whatever a client may."""

    username: str
    subject: str
    name: str
    password_hash: str = field(repr=False)
    scopes: frozenset[str] | None = None

    @property
    def stamp(self) -> str:
        """Return what changes with the password and tells nothing of it."""
        return sha256(self.password_hash.encode()).hexdigest()[:_STAMP_DIGITS]

    def __post_init__(self) -> None:
        try:
            parameters = extract_parameters(self.password_hash)
        except InvalidHashError:
            parameters = None
        if (
            parameters is None
            or parameters.type is not Type.ID
            or parameters.memory_cost < _MIN_MEMORY_KIB
            or parameters.time_cost < _MIN_PASSES
        ):
            raise UserRecordError(
                f"the password of user {self.username} is not hashed with argon2id, "
                f"{_MIN_MEMORY_KIB} KiB and {_MIN_PASSES} passes or more",
                hint="make it with: portico user hash",
            )


class Users:
    """Finds out who a person is, at the same cost for every outcome."""

    def __init__(self, records: Iterable[UserRecord], *, max_waiting: int = MAX_WAITING) -> None:
        self._users = {normal_name(record.username): record for record in records}
        self._checks = asyncio.Semaphore(_CHECKS_AT_ONCE)
        self._max_waiting = max_waiting
        self._waiting = 0
        # Compared for a person that does not exist, so that this does not show in time.
        self._nobody = next((record.password_hash for record in self._users.values()), "")

    def __len__(self) -> int:
        return len(self._users)

    def find(self, username: str) -> UserRecord | None:
        """Return the person of this name."""
        return self._users.get(normal_name(username))

    def knows(self, username: str, stamp: str) -> bool:
        """Tell whether there is a person of this name who still has that password."""
        record = self.find(username)
        return record is not None and record.stamp == stamp

    async def check(self, username: str, password: str) -> UserRecord | None:
        """Return the person if the password is theirs.

        Raises OAuth2Error with 503 when more wait than can be answered soon.
        """
        record = self.find(username)
        known = self._nobody if record is None else record.password_hash
        if self._waiting >= self._max_waiting:
            raise busy()
        self._waiting += 1
        try:
            async with self._checks:
                # Off the event loop: argon2 lets go of the interpreter while it works.
                genuine = await asyncio.to_thread(_matches, known, password)
        finally:
            self._waiting -= 1
        return record if genuine else None


def hash_password(password: str) -> str:
    """Return what the configuration keeps of a password. Raises UserRecordError for a short one."""
    text = _normal(password)
    if not MIN_PASSWORD_CHARACTERS <= len(text) <= MAX_PASSWORD_CHARACTERS:
        raise UserRecordError(
            f"the password has {len(text)} characters",
            hint=f"choose one of {MIN_PASSWORD_CHARACTERS} or more",
        )
    return _HASHER.hash(text)


def normal_name(username: str) -> str:
    """Return the one spelling of a name that limits and look-ups use."""
    return unicodedata.normalize("NFKC", username).strip().casefold()


def _normal(password: str) -> str:
    # Keyboards spell one character in several ways (NIST SP 800-63B section 5.1.1.2).
    return unicodedata.normalize("NFKC", password)


def _matches(known: str, password: str) -> bool:
    if len(password) > MAX_PASSWORD_CHARACTERS:
        password = ""
    try:
        return _HASHER.verify(known, _normal(password))
    except (VerificationError, InvalidHashError):
        return False

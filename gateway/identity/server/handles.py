"""Authorization codes and refresh tokens: a family's name and a proof that we named it.

The proof is a MAC, so the store keeps nothing that could be presented, and a token that was
rotated long ago is still told apart from one that somebody made up.
"""

from __future__ import annotations

import re
import secrets
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from hashlib import sha256
from hmac import compare_digest, digest

MIN_SECRET_BYTES = 16

_FAMILY_BYTES = 16
_HANDLE = re.compile(
    r"(?P<family>[A-Za-z0-9_-]{22})\.(?:(?P<generation>0|[1-9][0-9]{0,9})\.)?"
    r"(?P<proof>[A-Za-z0-9_-]{43})\Z"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Handle:
    """A genuine handle: `generation` counts the rotations of a refresh token, -1 is a code."""

    family: str
    generation: int


class Handles:
    """Makes and reads handles with a secret that processes of one store share."""

    __slots__ = ("_secret",)

    def __init__(self, secret: bytes) -> None:
        if len(secret) < MIN_SECRET_BYTES:
            raise ValueError(f"the secret has fewer than {MIN_SECRET_BYTES} bytes")
        self._secret = sha256(b"portico handles" + secret).digest()

    @staticmethod
    def new_family() -> str:
        """Return a name that nobody can guess."""
        return secrets.token_urlsafe(_FAMILY_BYTES)

    def code(self, family: str) -> str:
        """Return the authorization code of a family."""
        return f"{family}.{self._proof(family, -1)}"

    def refresh_token(self, family: str, generation: int) -> str:
        """Return the refresh token of a family after so many rotations."""
        return f"{family}.{generation}.{self._proof(family, generation)}"

    def read_code(self, text: str) -> Handle | None:
        """Return what a genuine code stands for, None for anything else."""
        return self._read(text, is_code=True)

    def read_refresh_token(self, text: str) -> Handle | None:
        """Return what a genuine refresh token stands for, None for anything else."""
        return self._read(text, is_code=False)

    def mark(self, purpose: str, *about: str) -> str:
        """Return what shows later that it was we who said this."""
        message = "\n".join([purpose, *about]).encode(errors="replace")
        return urlsafe_b64encode(digest(self._secret, message, "sha256")).rstrip(b"=").decode()

    def _read(self, text: str, *, is_code: bool) -> Handle | None:
        match = _HANDLE.match(text)
        if match is None or (match["generation"] is None) != is_code:
            return None
        generation = -1 if is_code else int(match["generation"])
        if not compare_digest(match["proof"], self._proof(match["family"], generation)):
            return None
        return Handle(family=match["family"], generation=generation)

    def _proof(self, family: str, generation: int) -> str:
        message = f"{family}.{generation}".encode()
        return urlsafe_b64encode(digest(self._secret, message, "sha256")).rstrip(b"=").decode()

"""The signing keys of the built-in issuer: one private JWK Set in a file that processes share."""

from __future__ import annotations

import asyncio
import json
import logging
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, cast

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, KeySet
from joserfc.jws import JWSRegistry

from gateway.identity import key_file
from gateway.identity.errors import KeyRingError
from gateway.identity.json_object import read_object

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

ALGORITHM = "ES256"
PublicKey = dict[str, str | list[str]]
ES256 = JWSRegistry(algorithms=[ALGORITHM]).get_alg(ALGORITHM)

_CURVE = "P-256"
# A ring holds the signing key and those whose tokens still live; more is a mistake.
_MAX_KEYS = 16
# Short against the lifetime of a token, long against the cost of a look at the file.
_WATCH_SECONDS = 5.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySnapshot:
    """The keys as read at one time. The first key of the file signs, all of them verify."""

    signing: ECKey
    verification: Mapping[str, ECKey]
    document: Mapping[str, list[PublicKey]]


class KeyRing:
    """The issuer's ES256 keys, from a file that is created with a random key on first use.

    `snapshot` is replaced as a whole when the file changes, so that whoever keeps the
    previous one can tell by identity.
    """

    __slots__ = ("_path", "_stamp", "snapshot")

    def __init__(self, path: Path) -> None:
        key_file.ensure(path, _new_key_set)
        file = key_file.read(path)
        self._path = path
        self._stamp = file.stamp
        self.snapshot = _parse(path, file.content)

    def public_document(self) -> Mapping[str, list[PublicKey]]:
        """Return the JWK Set that resource servers verify with, without private members."""
        return self.snapshot.document

    def reload(self) -> bool:
        """Read the file again and return whether the keys changed.

        Raises KeyRingError and keeps the keys it has when the file is gone or broken.
        """
        file = key_file.read(self._path)
        if file.stamp == self._stamp:
            return False
        self.snapshot = _parse(self._path, file.content)
        self._stamp = file.stamp
        return True

    async def watch(self, interval_seconds: float = _WATCH_SECONDS) -> None:
        """Follow changes of the file until cancelled, reading it off the event loop."""
        while True:
            await asyncio.sleep(interval_seconds)
            try:
                changed = await asyncio.to_thread(self.reload)
            except KeyRingError as error:
                _log.warning("the signing keys stay as they are: %s", error)
                continue
            if changed:
                _log.info("signing keys reloaded, %s signs", self.snapshot.signing.kid)

    def __repr__(self) -> str:
        return f"<KeyRing {self._path} [{', '.join(self.snapshot.verification)}]>"


class _RejectedKeyError(ValueError):
    """A key that must not be in the ring; the text quotes nothing of it."""


def _new_key_set() -> bytes:
    key = ECKey.generate_key(_CURVE, {"use": "sig", "alg": ALGORITHM})
    return json.dumps(KeySet([key]).as_dict(private=True), indent=2).encode() + b"\n"


def _parse(path: Path, content: bytes) -> KeySnapshot:
    try:
        return _snapshot([_import(member) for member in _members(content)])
    except (ValueError, JoseError) as error:
        # Any other text may quote private members, so it is neither shown nor chained.
        reason = str(error) if isinstance(error, _RejectedKeyError) else "it is not a valid JWK Set"
        raise KeyRingError(
            f"the signing keys in {path} cannot be used: {reason}",
            hint="restore the file, or move it away to have a new key made",
        ) from None


def _members(content: bytes) -> list[object]:
    if len(content) > key_file.MAX_FILE_BYTES:
        raise _RejectedKeyError(f"the file is larger than {key_file.MAX_FILE_BYTES} bytes")
    members = read_object(content).get("keys")
    if not isinstance(members, list) or not 1 <= len(members) <= _MAX_KEYS:
        raise _RejectedKeyError(f"expected 1 to {_MAX_KEYS} keys")
    return members


def _import(member: object) -> ECKey:
    if not isinstance(member, dict) or (member.get("kty"), member.get("crv")) != ("EC", _CURVE):
        raise _RejectedKeyError(f"expected only EC keys on {_CURVE}")
    if member.get("alg", ALGORITHM) != ALGORITHM or member.get("use", "sig") != "sig":
        raise _RejectedKeyError(f"expected only keys for {ALGORITHM} signatures")
    if "d" not in member:
        raise _RejectedKeyError("expected private keys")
    values: dict[str, str | list[str]] = {
        name: str(member.get(name, "")) for name in ("kty", "crv", "x", "y", "d")
    }
    key = ECKey.import_key(values, {"use": "sig", "alg": ALGORITHM})
    key.ensure_kid()
    if member.get("kid", key.kid) != key.kid:
        raise _RejectedKeyError("a kid is not the RFC 7638 thumbprint of its key")
    return key


def _snapshot(keys: list[ECKey]) -> KeySnapshot:
    public = [ECKey.import_key(key.as_dict(private=False)) for key in keys]
    verification = {cast(str, key.kid): key for key in public}
    if len(verification) != len(keys):
        raise _RejectedKeyError("a key is there twice")
    return KeySnapshot(
        signing=keys[0],
        verification=MappingProxyType(verification),
        document=MappingProxyType({"keys": [key.as_dict(private=False) for key in public]}),
    )

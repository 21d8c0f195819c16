"""The signing keys of the built-in issuer: one private JWK Set in a file that processes share."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, cast

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from gateway.identity import key_file, key_schedule
from gateway.identity.errors import KeyRingError
from gateway.identity.json_object import read_object
from gateway.identity.key_schedule import Member, RotationSchedule
from gateway.identity.verification_keys import KeySet, read_key_set

if TYPE_CHECKING:
    from pathlib import Path

SigningKey = ECKey | RSAKey | OKPKey
SigningAlgorithm = Literal["ES256", "RS256", "EdDSA"]
ALGORITHM: SigningAlgorithm = "ES256"
PublicKey = dict[str, str | list[str]]
# RFC 9864 names the algorithm by its curve; tokens say EdDSA, which every verifier knows.
_MODELS = {
    name: JWSRegistry(algorithms=[model]).get_alg(model)
    for name, model in (("ES256", "ES256"), ("RS256", "RS256"), ("EdDSA", "Ed25519"))
}
NEVER = RotationSchedule()

_RSA_BITS = 2048
# What a private JWK of each kind has; anything else in the file is not read.
_PRIVATE_MEMBERS = {
    "EC": ("kty", "crv", "x", "y", "d"),
    "OKP": ("kty", "crv", "x", "d"),
    "RSA": ("kty", "n", "e", "d", "p", "q", "dp", "dq", "qi"),
}
_ALGORITHMS = {("EC", "P-256"): "ES256", ("OKP", "Ed25519"): "EdDSA", ("RSA", None): "RS256"}
# A ring holds the signing key, the next one and those whose tokens still live; more is a mistake.
_MAX_KEYS = 16
# Short against the lifetime of a token, long against the cost of a look at the file.
_WATCH_SECONDS = 5.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeySnapshot:
    """The keys as of one time. One of them signs, all of them verify."""

    signing: SigningKey = field(repr=False)
    verification: Mapping[str, SigningKey]
    key_set: KeySet
    document: Mapping[str, list[PublicKey]]


class KeyRing:
    """The issuer's keys, from a file that is created with a random key on first use.

    `algorithm` is that of new keys. `snapshot` is replaced as a whole when the keys change or
    another one begins to sign, so that whoever keeps the previous one can tell by identity.
    """

    __slots__ = ("_algorithm", "_clock", "_loaded", "_path", "_schedule", "_stamp", "snapshot")

    def __init__(
        self,
        path: Path,
        algorithm: SigningAlgorithm = ALGORITHM,
        *,
        schedule: RotationSchedule = NEVER,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._path = path
        self._algorithm = algorithm
        self._schedule = schedule
        self._clock = clock
        key_file.ensure(path, self._new_key_set)
        file = key_file.read(path)
        self._stamp = file.stamp
        self._loaded = _parse(path, file.content)
        self.snapshot = self._loaded.snapshot(clock())

    def public_document(self) -> Mapping[str, list[PublicKey]]:
        """Return the JWK Set that resource servers verify with, without private members."""
        return self.snapshot.document

    def reload(self) -> bool:
        """Read the file again and return whether the keys changed, or the one that signs.

        Raises KeyRingError and keeps the keys it has when the file is gone or broken.
        """
        file = key_file.read(self._path)
        if file.stamp != self._stamp:
            self._loaded = _parse(self._path, file.content)
            self._stamp = file.stamp
        elif self._loaded.signing(self._clock()) is self.snapshot.signing:
            return False
        self.snapshot = self._loaded.snapshot(self._clock())
        return True

    def advance(self) -> bool:
        """Write what the schedule asks for, if anything, and return whether the keys changed."""
        now = self._clock()
        if self._advanced(self._loaded.members, now) is not None:
            # Looked at again with the file locked: another process may have been first.
            self._change(lambda members: self._advanced(members, now))
        return self.reload()

    def rotate(self, *, at_once: bool = False) -> None:
        """Add a key that signs when it has been published for long enough, or now and alone."""
        now = self._clock()
        self._change(
            lambda members: key_schedule.rotated(
                members, now, self._schedule, self._new_member, at_once=at_once
            )
        )
        self.reload()

    async def watch(self, interval_seconds: float = _WATCH_SECONDS) -> None:
        """Follow the file and the schedule until cancelled, off the event loop."""
        told = ""
        while True:
            await asyncio.sleep(interval_seconds)
            try:
                changed = await asyncio.to_thread(self.advance)
            except KeyRingError as error:
                if str(error) != told:
                    _log.warning("the signing keys stay as they are: %s", error)
                told = str(error)
                continue
            told = ""
            if changed:
                _log.info("signing keys reloaded, %s signs", self.snapshot.signing.kid)

    def _advanced(self, members: Sequence[Member], now: float) -> list[Member] | None:
        return key_schedule.advanced(
            members, now, self._schedule, self._algorithm, self._new_member
        )

    def _change(self, change: Callable[[Sequence[Member]], list[Member] | None]) -> None:
        def rewrite(content: bytes) -> bytes | None:
            changed = change(_parse(self._path, content).members)
            return None if changed is None else _dumped(changed)

        key_file.replace(self._path, rewrite)

    def _new_key_set(self) -> bytes:
        return _dumped([self._new_member(int(self._clock()))])

    def _new_member(self, begins: int) -> Member:
        key = _generate(self._algorithm)
        key.ensure_kid()
        return {**key.as_dict(private=True), "nbf": begins}

    def __repr__(self) -> str:
        return f"<KeyRing {self._path} [{', '.join(self.snapshot.verification)}]>"


def sign(key: SigningKey, signing_input: bytes) -> bytes:
    """Return the signature that a key of the ring makes with its algorithm."""
    return _MODELS[str(key.alg)].sign(signing_input, key)


class _RejectedKeyError(ValueError):
    """A key that must not be in the ring; the text quotes nothing of it."""


@dataclass(frozen=True, slots=True)
class _Loaded:
    """The content of the file: its members, and the key that each of them is."""

    members: Sequence[Member]
    keys: Sequence[SigningKey]

    def signing(self, now: float) -> SigningKey:
        return self.keys[key_schedule.signing(self.members, now)]

    def snapshot(self, now: float) -> KeySnapshot:
        public = [_public(key) for key in self.keys]
        document = {"keys": [key.as_dict(private=False) for key in public]}
        return KeySnapshot(
            signing=self.signing(now),
            verification=MappingProxyType({cast(str, key.kid): key for key in public}),
            key_set=read_key_set(cast("Mapping[str, object]", document)),
            document=MappingProxyType(document),
        )


def _generate(algorithm: SigningAlgorithm) -> SigningKey:
    parameters: Any = {"use": "sig", "alg": algorithm}
    if algorithm == "RS256":
        return RSAKey.generate_key(_RSA_BITS, parameters)
    if algorithm == "EdDSA":
        return OKPKey.generate_key("Ed25519", parameters)
    return ECKey.generate_key("P-256", parameters)


def _dumped(members: Sequence[Member]) -> bytes:
    return json.dumps({"keys": list(members)}, indent=2).encode() + b"\n"


def _parse(path: Path, content: bytes) -> _Loaded:
    try:
        members = _members(content)
        keys = [_import(member) for member in members]
        if len({key.kid for key in keys}) != len(keys):
            raise _RejectedKeyError("a key is there twice")
    except (ValueError, JoseError) as error:
        # Any other text may quote private members, so it is neither shown nor chained.
        reason = str(error) if isinstance(error, _RejectedKeyError) else "it is not a valid JWK Set"
        raise KeyRingError(
            f"the signing keys in {path} cannot be used: {reason}",
            hint="restore the file, or move it away to have a new key made",
        ) from None
    return _Loaded(members, keys)


def _members(content: bytes) -> list[Any]:
    if len(content) > key_file.MAX_FILE_BYTES:
        raise _RejectedKeyError(f"the file is larger than {key_file.MAX_FILE_BYTES} bytes")
    members = read_object(content).get("keys")
    if not isinstance(members, list) or not 1 <= len(members) <= _MAX_KEYS:
        raise _RejectedKeyError(f"expected 1 to {_MAX_KEYS} keys")
    return members


def _import(member: object) -> SigningKey:
    if not isinstance(member, dict):
        raise _RejectedKeyError("a key is not an object")
    kind = str(member.get("kty"))
    algorithm = _ALGORITHMS.get((kind, None if kind == "RSA" else member.get("crv")))
    if algorithm is None:
        raise _RejectedKeyError("expected only keys for ES256, RS256 and EdDSA")
    if member.get("alg", algorithm) != algorithm or member.get("use", "sig") != "sig":
        raise _RejectedKeyError(f"expected only keys for {algorithm} signatures")
    if "d" not in member:
        raise _RejectedKeyError("expected private keys")
    values: Any = {name: str(member.get(name, "")) for name in _PRIVATE_MEMBERS[kind]}
    parameters: Any = {"use": "sig", "alg": algorithm}
    key: SigningKey = _CLASSES[kind].import_key(values, parameters)
    if isinstance(key, RSAKey) and key.public_key.key_size < _RSA_BITS:
        raise _RejectedKeyError(f"expected RSA keys of {_RSA_BITS} bits or more")
    key.ensure_kid()
    if member.get("kid", key.kid) != key.kid:
        raise _RejectedKeyError("a kid is not the RFC 7638 thumbprint of its key")
    return key


_CLASSES: Mapping[str, Any] = {"EC": ECKey, "OKP": OKPKey, "RSA": RSAKey}


def _public(key: SigningKey) -> SigningKey:
    public: SigningKey = type(key).import_key(key.as_dict(private=False))
    return public

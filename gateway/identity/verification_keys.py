"""Public keys that tokens are verified with: what each may verify, and sets of them.

A key fits an algorithm by its type and curve, whether or not its JWK names one: a token cannot
choose how a key is used. Signatures are joserfc's business.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from joserfc.errors import JoseError
from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

Key = ECKey | RSAKey | OKPKey

_RSA = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
_EC = MappingProxyType({"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"})
# RFC 9864 names the algorithm by its curve; most tokens still say EdDSA for the same thing.
_ED25519 = ("EdDSA", "Ed25519")
ALGORITHMS = frozenset({*_RSA, *_EC.values(), *_ED25519})

_MODELS = MappingProxyType(
    {
        name: JWSRegistry(algorithms=[model]).get_alg(model)
        for name in ALGORITHMS
        for model in ["Ed25519" if name in _ED25519 else name]
    }
)
# NIST SP 800-131A allows no less; beyond the upper bound a signature only costs time.
_RSA_BITS = range(2048, 8193)
# Smaller exponents have a history of broken verifiers.
_RSA_EXPONENTS = range(65_537, 2**32)
_PUBLIC_MEMBERS = MappingProxyType(
    {"EC": ("crv", "x", "y"), "RSA": ("n", "e"), "OKP": ("crv", "x")}
)
_IMPORTERS: Mapping[str, Callable[[Any], Key]] = MappingProxyType(
    {"EC": ECKey.import_key, "RSA": RSAKey.import_key, "OKP": OKPKey.import_key}
)
_SYMMETRIC_OR_PRIVATE = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth", "k"})
# An issuer publishes the keys of a few rotations, perhaps for several tenants.
MAX_KEYS = 100

_log = logging.getLogger(__name__)


class KeySetError(ValueError):
    """A JWK or a set of them that must not be used; the text quotes nothing of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class VerificationKey:
    """A public key and the algorithms it may be used with."""

    key_id: str
    algorithms: frozenset[str]
    key: Key = field(repr=False)

    def verifies(self, algorithm: str, signing_input: bytes, signature: bytes) -> bool:
        """Tell whether a signature is genuine and of an algorithm that this key is for."""
        if algorithm not in self.algorithms:
            return False
        return _MODELS[algorithm].verify(signing_input, signature, self.key)

    def thumbprint(self) -> str:
        """Return the RFC 7638 thumbprint, the same however the JWK was spelled."""
        return type(self.key).import_key(self.key.public_key).thumbprint()  # type: ignore[arg-type]


class KeySet:
    """The keys of one issuer, by their ids."""

    __slots__ = ("_keys",)

    def __init__(self, keys: Mapping[str, VerificationKey]) -> None:
        self._keys = keys

    def find(self, key_id: object) -> VerificationKey | None:
        """Return the key of this id. Whatever a token has in its place is only looked up."""
        return self._keys.get(key_id) if isinstance(key_id, str) else None

    def fitting(self, algorithm: str) -> VerificationKey | None:
        """Return any key that may be used with an algorithm."""
        return next((key for key in self._keys.values() if algorithm in key.algorithms), None)

    def __contains__(self, key_id: object) -> bool:
        return self.find(key_id) is not None

    def ids(self) -> frozenset[str]:
        return frozenset(self._keys)

    def __repr__(self) -> str:
        return f"<KeySet [{', '.join(self._keys)}]>"


NO_KEYS = KeySet({})


def read_key_set(document: Mapping[str, object]) -> KeySet:
    """Return the signature keys of a JWK Set that have an id.

    A key for something else, or too weak, is left out. Raises KeySetError for a set with a
    symmetric or private key or two keys of one id: whoever publishes that has lost control of it.
    """
    members = document.get("keys")
    if not isinstance(members, list) or len(members) > MAX_KEYS:
        raise KeySetError(f"expected `keys` with at most {MAX_KEYS} keys")
    found: dict[str, VerificationKey] = {}
    seen: set[object] = set()
    for member in members:
        if not isinstance(member, dict):
            raise KeySetError("a key is not an object")
        _refuse_secrets(member)
        key_id = member.get("kid")
        if not isinstance(key_id, str) or not key_id:
            continue
        if key_id in seen:
            raise KeySetError("two keys have the same kid")
        seen.add(key_id)
        try:
            found[key_id] = read_key(member)
        except KeySetError as error:
            _log.info("a published key is not used: %s", error)
    return KeySet(found)


def read_key(member: Mapping[str, object]) -> VerificationKey:
    """Return the key of a public JWK. Raises KeySetError for one not fit to verify signatures."""
    _refuse_secrets(member)
    if member.get("use", "sig") != "sig":
        raise KeySetError("the key is not for signatures")
    operations = member.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        raise KeySetError("the key is not for verifying")
    key = _import(member)
    algorithms = _fitting_algorithms(key)
    named = member.get("alg")
    if named is not None:
        algorithms &= {named} if isinstance(named, str) else frozenset()
    if not algorithms:
        raise KeySetError("the key fits no algorithm, or not the one it names")
    key_id = member.get("kid")
    return VerificationKey(
        key_id=key_id if isinstance(key_id, str) else "", algorithms=algorithms, key=key
    )


def _refuse_secrets(member: Mapping[str, object]) -> None:
    if member.get("kty") == "oct" or not _SYMMETRIC_OR_PRIVATE.isdisjoint(member):
        raise KeySetError("a key is symmetric or private")


def _import(member: Mapping[str, object]) -> Key:
    kind = member.get("kty")
    if not isinstance(kind, str) or kind not in _IMPORTERS:
        raise KeySetError("the key is of an unknown type")
    values = {name: member.get(name) for name in _PUBLIC_MEMBERS[kind]}
    if not all(isinstance(value, str) for value in values.values()):
        raise KeySetError("the key lacks a member")
    if kind == "RSA" and len(str(values["n"])) * 6 < _RSA_BITS.start:
        raise KeySetError("the RSA key is too short")
    try:
        key = _IMPORTERS[kind]({"kty": kind, **values})
        # The curve arithmetic happens here, and not first when a request comes.
        key.public_key  # noqa: B018
    except (JoseError, ValueError, TypeError, KeyError) as error:
        raise KeySetError("the key cannot be read") from error
    return key


def _fitting_algorithms(key: Key) -> frozenset[str]:
    if isinstance(key, RSAKey):
        numbers = key.public_key.public_numbers()
        if numbers.n.bit_length() not in _RSA_BITS or numbers.e not in _RSA_EXPONENTS:
            raise KeySetError("the RSA key has a length or exponent that is not accepted")
        return frozenset(_RSA)
    if isinstance(key, ECKey):
        algorithm = _EC.get(key.curve_name)
        return frozenset({algorithm} if algorithm else ())
    return frozenset(_ED25519 if key.curve_name == "Ed25519" else ())

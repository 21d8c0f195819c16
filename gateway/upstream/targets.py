"""The base URLs of an upstream: what each becomes on the wire, and whose turn it is."""

from __future__ import annotations

from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING

import httpx

from gateway.protocol.target import check_target

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One base URL, taken apart once. `prefix` is its path without the last slash."""

    url: httpx.URL
    authority: bytes
    prefix: bytes

    @classmethod
    def parse(cls, text: str) -> Target:
        """Return the target of a base URL; raise ValueError if it is not one."""
        try:
            url = httpx.URL(text)
        except httpx.InvalidURL as exc:
            raise ValueError(f"{text!r} is not a URL: {exc}") from exc
        if url.scheme not in {"http", "https"} or not url.host:
            raise ValueError("a base URL must start with http:// or https:// and a host")
        if not _is_name(url.host) or not 0 < (url.port or 80) <= 65535:
            raise ValueError(f"{url.netloc.decode()!r} is not a host name and a port")
        if url.userinfo or url.query or url.fragment:
            # Not repeated: the user information may be a credential.
            raise ValueError("a base URL has no user information, query or fragment")
        prefix = url.raw_path.rstrip(b"/")
        if (problem := check_target(prefix)) is not None:
            raise ValueError(f"{text!r}: {problem.detail}")
        return cls(url=url, authority=url.netloc, prefix=prefix)

    def join(self, path: bytes, query: bytes) -> bytes:
        """Return the request target for a raw path and query."""
        return self.prefix + path + b"?" + query if query else self.prefix + path


def _is_name(host: str) -> bool:
    """Tell whether a resolver takes `host`; it would raise on empty and on long labels."""
    try:
        host.encode("idna")
    except UnicodeError:
        return False
    return True


class Rotation:
    """Takes targets in turn and leaves out, for a while, those that could not be reached."""

    __slots__ = ("_eject_seconds", "_ejected_until", "_next", "_now", "targets")

    def __init__(
        self,
        targets: Sequence[Target],
        *,
        eject_seconds: float,
        now: Callable[[], float] = monotonic,
    ) -> None:
        self.targets = tuple(targets)
        self._eject_seconds = eject_seconds
        self._ejected_until = dict.fromkeys(range(len(self.targets)), 0.0)
        self._next = 0
        self._now = now

    def __repr__(self) -> str:
        now = self._now()
        ejected = sum(until > now for until in self._ejected_until.values())
        return f"<Rotation {len(self.targets)} targets, {ejected} ejected>"

    def order(self) -> Sequence[Target]:
        """Return the targets in the order in which to try them.

        Ejected ones come last, the one that returns first before the others: if nothing else is
        left, an attempt tells more than a refusal.
        """
        targets = self.targets
        if len(targets) == 1:
            return targets
        start, self._next = self._next, (self._next + 1) % len(targets)
        turn = [(start + step) % len(targets) for step in range(len(targets))]
        now = self._now()
        healthy = [index for index in turn if self._ejected_until[index] <= now]
        ejected = [index for index in turn if self._ejected_until[index] > now]
        ejected.sort(key=self._ejected_until.__getitem__)
        return [targets[index] for index in healthy + ejected]

    def eject(self, target: Target) -> None:
        """Leave a target out until `eject_seconds` have passed."""
        self._ejected_until[self.targets.index(target)] = self._now() + self._eject_seconds

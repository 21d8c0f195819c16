"""The keys of an issuer elsewhere, fetched ahead of need and kept when it is away."""

from __future__ import annotations

import asyncio
import logging
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.identity.issuers.discovery import Metadata, discover
from gateway.identity.issuers.errors import IssuerUnavailableError
from gateway.identity.verification_keys import KeySet, KeySetError, VerificationKey, read_key_set

if TYPE_CHECKING:
    from collections.abc import Callable

    from gateway.identity.issuers.fetching import Document, Fetcher

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Freshness:
    """How long keys are kept, and how often they are asked for."""

    # What an issuer asks for counts between these: a key it withdraws is refused within an hour.
    min_seconds: float = 60.0
    max_seconds: float = 3600.0
    # Without a word of it: as long as the built-in issuer asks for.
    usual_seconds: float = 300.0
    # Keys are fetched again after this share of their time, so that no request waits for it.
    ahead: float = 0.8
    # Tokens with an unknown key make us ask this often at most.
    cooldown_seconds: float = 30.0
    # An issuer that does not answer is asked again this soon, then less and less often.
    retry_seconds: float = 2.0
    # While it is away the last keys count this long: a night and a day.
    stale_seconds: float = 86_400.0
    # Ids that the issuer does not know, remembered so that they do not use up the cooldown.
    max_unknown: int = 1000


class RemoteKeys:
    """The verification keys of one issuer. `changed` is called when one of them is gone."""

    def __init__(
        self,
        issuer: str,
        fetcher: Fetcher,
        *,
        freshness: Freshness = Freshness(),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.issuer = issuer
        self._fetcher = fetcher
        self.changed: Callable[[], None] = _nothing
        self._freshness = freshness
        self._clock = clock
        self._metadata: Metadata | None = None
        self._keys: KeySet | None = None
        self._fetched_at = 0.0
        self._kept_seconds = freshness.usual_seconds
        self._forced_at = float("-inf")
        self._unknown: OrderedDict[str, float] = OrderedDict()
        self._refreshing: asyncio.Task[bool] | None = None
        self._tried = False

    async def run(self) -> None:
        """Keep the keys fresh until cancelled."""
        failures = 0
        while True:
            try:
                failures = 0 if await self.refresh() else failures + 1
            except Exception:  # it outlives a mistake of ours, and tells of it
                logger.exception("the keys of %s could not be refreshed", self.issuer)
                failures += 1
            await asyncio.sleep(self._pause(failures))

    async def find(self, key_id: object) -> VerificationKey | None:
        """Return the key of an id, asking the issuer once for one that is not known.

        Raises IssuerUnavailableError when there are no keys that still count.
        """
        if not self._tried:
            await self.refresh()
        key = self._current().find(key_id)
        if key is not None or not isinstance(key_id, str) or not self._is_worth_asking(key_id):
            return key
        if not self._is_refreshing():
            self._forced_at = self._clock()
        await self.refresh()
        key = self._current().find(key_id)
        if key is None:
            self._remember_unknown(key_id)
        return key

    async def introspection_url(self) -> str:
        """Return where the issuer answers questions about tokens, empty if it says nothing.

        Raises IssuerUnavailableError.
        """
        if self._metadata is None:
            self._metadata = await discover(self.issuer, self._fetcher)
        return self._metadata.introspection_url

    def fitting(self, algorithm: str) -> VerificationKey | None:
        """Return any key that may be used with an algorithm, for a check that must fail."""
        return self._keys.fitting(algorithm) if self._keys is not None else None

    async def refresh(self) -> bool:
        """Fetch the keys, once for all who ask meanwhile; return whether that succeeded."""
        task = self._refreshing
        if task is None or task.done():
            task = self._refreshing = asyncio.create_task(self._refresh())
        # One who leaves does not take the others' answer along.
        return await asyncio.shield(task)

    async def aclose(self) -> None:
        """Give up what is under way."""
        if self._refreshing is not None:
            self._refreshing.cancel()
            await asyncio.wait([self._refreshing])

    async def _refresh(self) -> bool:
        try:
            metadata = self._metadata = await discover(self.issuer, self._fetcher)
            document = await self._fetcher.get(metadata.keys_url)
            self._take(read_key_set(document.members), document)
        except (IssuerUnavailableError, KeySetError) as error:
            logger.warning("the keys of %s stay as they are: %s", self.issuer, error)
            return False
        finally:
            self._tried = True
        return True

    def _take(self, keys: KeySet, document: Document) -> None:
        if not keys.ids():
            raise KeySetError("the issuer publishes no key to verify with")
        before, self._keys = self._keys, keys
        self._fetched_at = self._clock()
        self._kept_seconds = self._lifetime(document.max_age_seconds)
        if before is not None and not before.ids() <= keys.ids():
            self.changed()

    def _lifetime(self, asked: float | None) -> float:
        freshness = self._freshness
        if asked is None:
            return freshness.usual_seconds
        return min(max(asked, freshness.min_seconds), freshness.max_seconds)

    def _pause(self, failures: int) -> float:
        freshness = self._freshness
        if not failures:
            return self._kept_seconds * freshness.ahead
        doubled: float = freshness.retry_seconds * 2.0 ** min(failures - 1, 10)
        return min(doubled, freshness.cooldown_seconds)

    def _current(self) -> KeySet:
        if self._keys is None:
            raise IssuerUnavailableError(f"the keys of {self.issuer} were never reached")
        if self._clock() - self._fetched_at > self._freshness.stale_seconds:
            raise IssuerUnavailableError(f"the keys of {self.issuer} are too old")
        return self._keys

    def _is_refreshing(self) -> bool:
        return self._refreshing is not None and not self._refreshing.done()

    def _is_worth_asking(self, key_id: str) -> bool:
        now = self._clock()
        if now < self._unknown.get(key_id, 0.0):
            return False
        return self._is_refreshing() or now - self._forced_at >= self._freshness.cooldown_seconds

    def _remember_unknown(self, key_id: str) -> None:
        self._unknown[key_id] = self._clock() + self._kept_seconds
        self._unknown.move_to_end(key_id)
        if len(self._unknown) > self._freshness.max_unknown:
            self._unknown.popitem(last=False)

    def __repr__(self) -> str:
        known = "no keys yet" if self._keys is None else f"{len(self._keys.ids())} keys"
        return f"<RemoteKeys {self.issuer} {known}, {len(self._unknown)} unknown>"


def _nothing() -> None:
    """Tell nobody."""

"""What every problem of one kind has in common."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemType:
    """A kind of problem. Its `slug` ends the `type` URI, which resolves to a portal page.

    A kind that is registered elsewhere has the `uri` of its registration; the page exists too.
    """

    slug: str
    status: int
    title: str
    meaning: str
    remedy: str
    uri: str = ""

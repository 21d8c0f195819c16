"""A Lua script and the name by which a server that has it knows it."""

from __future__ import annotations

from dataclasses import dataclass, field
from hashlib import sha1


@dataclass(frozen=True, slots=True)
class Script:
    """A Lua script; all keys of one run are in one cluster slot.

    >>> Script("answer", "return 42").sha
    b'1fa00e76656cc152ad327c13fe365858fd7be306'
    """

    name: str
    text: str
    sha: bytes = field(init=False)

    def __post_init__(self) -> None:
        # Redis names a script by its SHA-1; nothing relies on it for secrecy.
        digest = sha1(self.text.encode(), usedforsecurity=False).hexdigest()
        object.__setattr__(self, "sha", digest.encode())

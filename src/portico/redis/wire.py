"""Commands as the bytes Redis reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

import hiredis

Word = bytes | str | int

# hiredis declares a tuple of one; it takes any number of words, and TypeError says which not.
pack = cast(Callable[[tuple[Word, ...]], bytes], hiredis.pack_command)

PING = pack((b"PING",))
ASKING = pack((b"ASKING",))

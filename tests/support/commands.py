"""The command line as tests run it."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True, slots=True)
class Done:
    """What a command did."""

    code: int
    out: str
    err: str


Run = Callable[..., Done]


def environment() -> dict[str, str]:
    """Return variables that find the checkout from any folder, and set nothing of Portico."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name != "PORT" and not name.startswith("PORTICO_")
    }
    return {**kept, "PYTHONPATH": os.pathsep.join(map(str, (ROOT, ROOT / "src")))}

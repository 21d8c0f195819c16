"""Where the contracts are: beside the checkout, or inside the installed package."""

from __future__ import annotations

from pathlib import Path


def contracts_root() -> Path:
    """Return the folder `specs/openapi` of the wheel, or of the checkout it is run from."""
    here = Path(__file__).resolve().parent
    packaged = here / "_specs" / "openapi"
    return packaged if packaged.is_dir() else here.parent / "specs" / "openapi"

"""The portal's own files and the vendored bundle, at addresses that change with their content."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from gateway.portal.representation import FOREVER, Variant
from gateway.portal.security_headers import PAGE_HEADERS

FOLDER = Path(__file__).with_name("assets")
SCALAR_FOLDER = FOLDER / "scalar"

_MEDIA_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_OWN_FILES = ("frame.css", "portal.css", "portico.svg", "reference.css", "reference.js")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asset:
    """A file, and its name in the portal, which contains its hash."""

    path: Path
    published_name: str
    integrity: str
    variant: Variant


def load() -> Mapping[str, Asset]:
    """Return the assets by the name the templates use."""
    assets = {name: _own(FOLDER / name) for name in _OWN_FILES}
    return {**assets, "scalar.js": _vendored_scalar()}


def _own(path: Path) -> Asset:
    return _asset(path, path.stem, hashlib.sha256(path.read_bytes()).hexdigest())


def _vendored_scalar() -> Asset:
    # The hash comes from the manifest: 4 MB are read only when somebody opens a reference page,
    # and the browser compares them with the hash before it runs them.
    manifest = json.loads((SCALAR_FOLDER / "vendored.json").read_text())
    return _asset(SCALAR_FOLDER / manifest["file"], "scalar", manifest["sha256"])


def _asset(path: Path, stem: str, sha256: str) -> Asset:
    variant = Variant(
        media_type=_MEDIA_TYPES[path.suffix],
        build=path.read_bytes,
        headers={**PAGE_HEADERS, "cache-control": FOREVER},
    )
    return Asset(
        path=path,
        published_name=f"{stem}-{sha256[:16]}{path.suffix}",
        integrity="sha256-" + base64.b64encode(bytes.fromhex(sha256)).decode(),
        variant=variant,
    )

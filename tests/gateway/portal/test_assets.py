"""The vendored bundle is what its manifest says, and comes with its licences."""

from __future__ import annotations

import base64
import hashlib
import json
import re

from gateway.portal import assets

FOLDER = assets.SCALAR_FOLDER


def test_the_vendored_bundle_is_the_one_the_manifest_names() -> None:
    manifest = json.loads((FOLDER / "vendored.json").read_text())
    bundle = (FOLDER / manifest["file"]).read_bytes()

    assert (manifest["name"], manifest["version"]) == ("@scalar/api-reference", "1.72.1")
    assert len(bundle) == manifest["bytes"]
    assert hashlib.sha256(bundle).hexdigest() == manifest["sha256"]
    assert manifest["version"].encode() in bundle


def test_the_vendored_bundle_comes_with_its_licences() -> None:
    licence = (FOLDER / "LICENSE").read_text()
    notices = (FOLDER / "THIRD-PARTY-NOTICES.txt").read_text()

    assert licence.startswith("MIT License")
    assert "Scalar" in licence
    for package in ("vue ", "zod ", "highlight.js", "@codemirror/view", "js-base64"):
        assert f"\n{package}" in notices


def test_nothing_else_is_vendored() -> None:
    assert {path.name for path in FOLDER.iterdir()} == {
        "LICENSE",
        "THIRD-PARTY-NOTICES.txt",
        "standalone.js",
        "vendored.json",
    }


def test_the_integrity_of_each_asset_is_that_of_its_bytes() -> None:
    for asset in assets.load().values():
        digest = base64.b64encode(hashlib.sha256(asset.path.read_bytes()).digest()).decode()
        assert asset.integrity == f"sha256-{digest}"


def test_own_files_name_no_other_host() -> None:
    for path in assets.FOLDER.iterdir():
        if path.is_file():
            hosts = set(re.findall(r"https?://([^/\"'\s]+)", path.read_text()))
            assert hosts <= {"www.w3.org"}, path

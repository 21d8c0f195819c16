"""Small documents, loaded as a team would bring them along."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from portico.contract import ANYONE, Contract, Operation, load_foreign
from portico.problems import Problem

OK = {"200": {"description": "Fine."}}
Node = Mapping[str, Any]


def document(paths: Node, *, version: str = "3.1.1", **members: Any) -> dict[str, Any]:
    """Return a whole document around paths."""
    info = {"title": "Things", "version": "1.0.0"}
    return {"openapi": version, "info": info, "paths": dict(paths), **members}


def load_document(node: Node) -> Contract:
    """Load a document from a file of its own."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "openapi.json"
        path.write_text(json.dumps(node))
        return load_foreign(path, name="things", base_path="/things", unsecured=ANYONE)


def operation(
    node: Node,
    *,
    template: str = "/things",
    method: str = "post",
    item: Node | None = None,
    **more: Any,
) -> Operation:
    """Return one compiled operation; `more` are members of the document."""
    described = {"responses": OK, **node}
    loaded = load_document(document({template: {**(item or {}), method: described}}, **more))
    return next(iter(loaded.operations.values()))


def with_parameters(*parameters: Node, **more: Any) -> Operation:
    """Return a GET operation with parameters; its path has a place for those in paths."""
    names = [node["name"] for node in parameters if node.get("in") == "path"]
    template = "/things" + "".join(f"/{{{name}}}" for name in names)
    return operation({"parameters": parameters}, template=template, method="get", **more)


def with_body(schema: Any, media_type: str = "application/json", **more: Any) -> Operation:
    """Return a POST operation that reads a body of one media type."""
    media = {"schema": schema, **more.pop("media", {})}
    body = {"required": more.pop("required", False), "content": {media_type: media}}
    return operation({"requestBody": body}, **more)


def with_answers(responses: Node, **more: Any) -> Operation:
    """Return a GET operation with these responses."""
    return operation({"responses": responses}, method="get", **more)


def ask(
    asked: Operation,
    *,
    path: Sequence[str] = (),
    query: str | bytes = b"",
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    content_type: str = "application/json",
) -> dict[str, Any]:
    """Return the checked request, or raise its Problem."""
    fields = {
        name.lower().encode(): value.encode("latin-1") for name, value in (headers or {}).items()
    }
    if body is not None:
        fields.setdefault(b"content-type", content_type.encode("latin-1"))
    raw = query.encode() if isinstance(query, str) else query
    return asked.check_request(path, raw, fields, body)


def refusal(asked: Operation, **request: Any) -> Problem:
    """Return why a request is refused."""
    with pytest.raises(Problem) as caught:
        ask(asked, **request)
    return caught.value


def entries(problem: Problem) -> list[dict[str, Any]]:
    """Return the `errors` member of a problem."""
    found = problem.extensions["errors"]
    assert isinstance(found, list)
    return found

"""What one tier gives another arrives as given, or is refused before anything is sent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.protocol.target import check_target
from portico.client import render
from portico.client.arguments import UnaddressableError, compile_arguments
from portico.client.render import UnsendableError
from portico.contract import ABSENT, Contract, load
from portico.contract.route import Router

TEXTS = {"type": "array", "items": {"type": "string"}}
OBJECT = {"type": "object", "additionalProperties": {"type": "string"}}
FLAT = {"type": "object", "properties": {"one": {"type": "string"}, "two": {"type": "integer"}}}
STYLES: list[dict[str, Any]] = [
    {"in": "path", "name": "p", "schema": {"type": "string"}},
    {"in": "path", "name": "p", "schema": {"type": "integer"}},
    {"in": "path", "name": "p", "schema": {"type": "number"}},
    {"in": "path", "name": "p", "schema": {"type": "boolean"}},
    {"in": "path", "name": "p", "style": "label", "schema": {"type": "string"}},
    {"in": "path", "name": "p", "style": "matrix", "schema": {"type": "string"}},
    *(
        {"in": "path", "name": "p", "style": style, "explode": explode, "schema": schema}
        for style in ("simple", "label", "matrix")
        for explode in (True, False)
        for schema in (TEXTS, OBJECT)
    ),
    {"in": "path", "name": "p", "content": {"application/json": {"schema": {}}}},
    {"in": "query", "name": "q", "schema": {"type": "string"}},
    {"in": "query", "name": "q", "schema": {"type": "integer"}},
    {"in": "query", "name": "q", "schema": {"type": "number"}},
    {"in": "query", "name": "q", "schema": {"type": "boolean"}},
    {"in": "query", "name": "q", "schema": {"type": ["integer", "null"]}},
    {"in": "query", "name": "q", "schema": {"type": ["integer", "string"]}},
    {"in": "query", "name": "q", "schema": {}},
    {"in": "query", "name": "q", "allowEmptyValue": True, "schema": {"type": "string"}},
    {"in": "query", "name": "q", "schema": {"type": "array", "items": {"type": "integer"}}},
    *(
        {"in": "query", "name": "q", "style": style, "explode": explode, "schema": TEXTS}
        for style in ("form", "spaceDelimited", "pipeDelimited")
        for explode in (True, False)
    ),
    {"in": "query", "name": "q", "style": "deepObject", "schema": OBJECT},
    {"in": "query", "name": "q", "schema": FLAT},
    {"in": "query", "name": "q", "explode": False, "schema": OBJECT},
    {"in": "query", "name": "q", "content": {"application/json": {"schema": {}}}},
    {"in": "header", "name": "X-H", "schema": {"type": "string"}},
    {"in": "header", "name": "X-H", "schema": {"type": "integer"}},
    *(
        {"in": "header", "name": "X-H", "explode": explode, "schema": schema}
        for explode in (True, False)
        for schema in (TEXTS, OBJECT)
    ),
    {"in": "header", "name": "X-H", "content": {"application/json": {"schema": {}}}},
    {"in": "cookie", "name": "c", "schema": {"type": "string"}},
    {"in": "cookie", "name": "c", "explode": False, "schema": TEXTS},
    {"in": "cookie", "name": "c", "content": {"application/json": {"schema": {}}}},
]

texts = st.text(
    st.one_of(
        st.sampled_from("ab.,;:|&=+/?#[]{}%\"'\\ \t\n~-_"),
        st.characters(exclude_categories=["Cs"]),
    ),
    max_size=8,
)
integers = st.integers(-(10**20), 10**20)
scalars = st.one_of(
    texts, integers, st.booleans(), st.floats(allow_nan=False, allow_infinity=False)
)
values = st.one_of(
    texts,
    integers,
    scalars,
    st.lists(texts, max_size=4),
    st.lists(integers, max_size=3),
    st.dictionaries(texts, texts, max_size=3),
    st.fixed_dictionaries({}, optional={"one": texts, "two": integers}),
    st.lists(st.lists(texts, max_size=2), max_size=2),
    st.dictionaries(
        texts, st.one_of(scalars, st.none(), st.lists(scalars, max_size=2)), max_size=2
    ),
)


def contract(parameter: dict[str, Any], folder: Path) -> Contract:
    """Return a contract with one operation that takes one parameter."""
    in_path = parameter["in"] == "path"
    path = folder / "process" / "styles.v1.json"
    path.parent.mkdir(exist_ok=True)
    document = {
        "openapi": "3.1.1",
        "info": {"title": "Styles", "version": "1"},
        "x-owner": "tests",
        "x-lifecycle": "experimental",
        "servers": [{"url": "/process/styles/v1"}],
        "paths": {
            "/a/{p}/b" if in_path else "/a": {
                "get": {
                    "operationId": "get",
                    "security": [],
                    "parameters": [{**parameter, "required": in_path}],
                    "responses": {"204": {"description": "Done."}},
                }
            }
        },
    }
    path.write_text(json.dumps(document))
    return load(path)


@pytest.fixture(scope="module", params=STYLES, ids=json.dumps)
def styled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Contract:
    return contract(request.param, tmp_path_factory.mktemp("styles"))


@settings(max_examples=60, deadline=None, derandomize=True)
@given(value=values)
def test_what_is_accepted_arrives_over_http_as_it_does_in_process(
    styled: Contract, value: Any
) -> None:
    operation = styled.operations["get"]
    ((name, argument),) = compile_arguments(styled, operation).items()
    document: dict[str, Any] = {"path": {}, "query": {}, "header": {}, "cookie": {}}
    try:
        prepared = argument.prepare(value) if argument.prepare else value
    except (UnsendableError, UnaddressableError):
        return
    if prepared is not ABSENT:
        document[argument.place][name] = prepared
    try:
        in_process = operation.check_document(json.loads(json.dumps(document)))
    except Exception as refused:  # a Problem; then nothing is sent
        assert type(refused).__name__ == "Problem"
        return

    over_http = received(styled, document)

    places = {place: members for place, members in in_process.items() if members}
    assert {place: members for place, members in over_http.items() if members} == places


def received(styled: Contract, document: dict[str, Any]) -> dict[str, Any]:
    """Return what the server reads of the request that the client writes."""
    operation = styled.operations["get"]
    path = render.path(operation, document["path"])
    query = render.query(operation, document["query"])
    assert check_target(path.encode()) is None
    router: Router[str] = Router()
    router.add("GET", operation.template, "found")
    found = router.match(path)
    assert found is not None
    fields = {
        name.lower().encode(): value.encode("latin-1")
        for name, value in render.headers(operation, document)
    }
    assert all(value == value.strip(b" \t") for value in fields.values())
    return operation.check_request(found[1], query.removeprefix("?").encode(), fields, None)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(value=texts)
def test_a_segment_is_refused_exactly_where_a_server_would_refuse_it(value: str) -> None:
    import tempfile

    global _PLAIN  # noqa: PLW0603  # compiled once for all examples
    if _PLAIN is None:
        with tempfile.TemporaryDirectory() as folder:
            _PLAIN = contract(STYLES[0], Path(folder))
    prepare = compile_arguments(_PLAIN, _PLAIN.operations["get"])["p"].prepare
    assert prepare is not None
    segment = render.path_value(_PLAIN.operations["get"].parameters[0], value)
    refused = not segment or check_target(f"/a/{segment}/b".encode()) is not None

    if refused:
        with pytest.raises(UnaddressableError):
            prepare(value)
    else:
        assert prepare(value) == unquote(segment) == value


_PLAIN: Contract | None = None

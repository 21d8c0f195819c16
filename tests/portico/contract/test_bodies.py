"""OA-08: request bodies of every kind: required or not, forms, multipart, texts, octets."""

from __future__ import annotations

import time
from typing import Any

import pytest

from portico.contract import Operation
from tests.portico.contract.documents import ask, entries, operation, refusal, with_body

FORM = "application/x-www-form-urlencoded"
MULTIPART = "multipart/form-data"
STRING = {"type": "string"}
INTEGER = {"type": "integer"}


def test_oa_08_a_required_body_must_be_there() -> None:
    asked = with_body({}, required=True)

    assert refusal(asked).kind.slug == "missing-content"
    assert refusal(asked, body=b"").status == 400


def test_oa_08_an_optional_body_may_be_missing() -> None:
    asked = with_body({"type": "object"})

    assert ask(asked) == {"query": {}}
    assert ask(asked, body=b"") == {"query": {}}


def test_oa_08_syntax_is_400_and_schema_is_422() -> None:
    asked = with_body({"type": "object", "properties": {"a": INTEGER}, "required": ["a", "b"]})

    malformed, invalid = refusal(asked, body=b'{"a":'), refusal(asked, body=b'{"a":"1"}')

    assert (malformed.status, malformed.kind.slug) == (400, "malformed-request")
    assert (invalid.status, invalid.kind.slug) == (422, "invalid-content")
    assert {(entry["pointer"], entry["detail"]) for entry in entries(invalid)} == {
        ("#/a", '"1" is not of type "integer"'),
        ("#", '"b" is a required property'),
    }


def test_oa_08_a_pointer_escapes_what_it_must() -> None:
    asked = with_body({"type": "object", "additionalProperties": INTEGER})

    assert entries(refusal(asked, body=b'{"a/b~c": "x"}'))[0]["pointer"] == "#/a~1b~0c"


@pytest.mark.parametrize(
    ("schema", "body", "fits"),
    [
        (INTEGER, b"1", True),
        (INTEGER, b"1.0", True),
        (INTEGER, b'"1"', False),
        (INTEGER, b"true", False),
        ({"type": "number"}, b'"1"', False),
        ({"type": "boolean"}, b'"true"', False),
        ({"type": "boolean"}, b"1", False),
        ({"type": "null"}, b"null", True),
        ({"type": "null"}, b'""', False),
    ],
)
def test_oa_14_json_is_never_cast(schema: Any, body: bytes, fits: bool) -> None:
    asked = with_body(schema)

    if fits:
        ask(asked, body=body)
    else:
        assert refusal(asked, body=body).status == 422


def test_content_for_an_operation_that_declares_none_has_no_meaning() -> None:
    assert ask(operation({}, method="get"), body=b"\xff\x00", content_type="x/y") == {"query": {}}


@pytest.mark.parametrize("schema", [INTEGER, {"anyOf": [INTEGER, {"type": "boolean"}]}])
def test_a_body_with_a_hundred_thousand_errors_is_refused_in_time(schema: Any) -> None:
    items = {"type": "array", "items": schema}
    raw = b"[" + b",".join([b'"x"'] * 100_000) + b"]"

    for whole in (items, {"anyOf": [items, {"type": "array", "items": {"type": "null"}}]}):
        asked = with_body(whole)
        started = time.perf_counter()
        problem = refusal(asked, body=raw)

        assert problem.status == 422
        assert 1 <= len(entries(problem)) <= 20
        assert time.perf_counter() - started < 1


def test_a_long_text_is_not_copied_into_every_error() -> None:
    asked = with_body({"type": "object", "required": [f"p{n}" for n in range(2000)]})

    started = time.perf_counter()
    problem = refusal(asked, body=b'{"a": "' + b"x" * 1_000_000 + b'"}')

    assert entries(problem)[0]["detail"] == '"p0" is a required property'
    assert time.perf_counter() - started < 1


def test_of_a_large_body_only_what_is_certain_is_said() -> None:
    item = {"type": "object", "properties": {"n": INTEGER}, "required": ["id"]}
    asked = with_body({"type": "array", "items": item, "minItems": 20})
    raw = b'[{"id": 1}, {"n": "x"}, ' + b",".join([b'{"id": 1, "more": [1, 2, 3]}'] * 1000) + b"]"

    assert [(entry["pointer"], entry["detail"]) for entry in entries(refusal(asked, body=raw))] == [
        ("#/1", '"id" is a required property'),
        ("#/1/n", '"x" is not of type "integer"'),
    ]


def test_of_a_large_body_with_its_fault_at_the_end_the_place_is_not_said() -> None:
    asked = with_body({"type": "array", "items": INTEGER})
    raw = b"[" + b"1," * 5000 + b'"x"]'

    assert entries(refusal(asked, body=raw)) == [
        {"detail": "it does not match its schema", "pointer": "#"}
    ]


@pytest.mark.parametrize("depth", [100, 254])
def test_the_deepest_body_gets_a_proper_answer(depth: int) -> None:
    tree = {"maxItems": 0, "items": {"$ref": "#/components/schemas/Tree"}}
    asked = with_body({"$ref": "#/components/schemas/Tree"}, components={"schemas": {"Tree": tree}})

    problem = refusal(asked, body=b"[" * depth + b"]" * depth)

    assert problem.status == 422
    assert entries(problem)


# Forms

FIELDS = {
    "type": "object",
    "required": ["name"],
    "properties": {
        "name": STRING,
        "age": INTEGER,
        "tags": {"type": "array", "items": STRING},
        "sizes": {"type": "array", "items": INTEGER},
        "address": {"type": "object", "properties": {"zip": INTEGER}},
        "points": {"type": "array", "items": {"type": "object", "properties": {"x": INTEGER}}},
        "mode": {"type": "string", "default": "fast"},
    },
    "additionalProperties": False,
}


def form(encoding: Any = None, schema: Any = FIELDS) -> Operation:
    return with_body(schema, FORM, media={"encoding": encoding or {}})


def read_form(asked: Operation, text: str) -> Any:
    return ask(asked, body=text.encode(), content_type=FORM + "; charset=utf-8")["body"]


@pytest.mark.parametrize(
    ("encoding", "text", "expected"),
    [
        ({}, "name=a+b%2B%C3%A9", {"name": "a b+é"}),
        ({}, "name=é", {"name": "é"}),
        ({}, "name=a&age=5", {"name": "a", "age": 5}),
        ({}, "name=&age=5", {"name": "", "age": 5}),
        ({}, "name=a&tags=x&tags=y", {"name": "a", "tags": ["x", "y"]}),
        ({}, "name=a&tags=x", {"name": "a", "tags": ["x"]}),
        ({}, "name=a&sizes=1&sizes=2", {"name": "a", "sizes": [1, 2]}),
        ({}, "name=a&address=%7B%22zip%22%3A5%7D", {"name": "a", "address": {"zip": 5}}),
        ({}, "name=a&points=%7B%22x%22%3A5%7D", {"name": "a", "points": [{"x": 5}]}),
        ({"tags": {"explode": False}}, "name=a&tags=x,y", {"name": "a", "tags": ["x", "y"]}),
        (
            {"tags": {"style": "pipeDelimited"}},
            "name=a&tags=x|y",
            {"name": "a", "tags": ["x", "y"]},
        ),
        (
            {"tags": {"style": "spaceDelimited"}},
            "name=a&tags=x+y",
            {"name": "a", "tags": ["x", "y"]},
        ),
        (
            {"tags": {"contentType": "application/json"}},
            "name=a&tags=%5B%22x%22%5D",
            {"name": "a", "tags": ["x"]},
        ),
        (
            {"address": {"style": "deepObject", "explode": True}},
            "name=a&address[zip]=5",
            {"name": "a", "address": {"zip": 5}},
        ),
    ],
)
def test_oa_08_a_form_becomes_the_object_its_schema_describes(
    encoding: Any, text: str, expected: Any
) -> None:
    assert read_form(form(encoding), text) == {**expected, "mode": "fast"}


@pytest.mark.parametrize(
    ("text", "status"),
    [
        ("age=5", 422),
        ("name=a&age=five", 422),
        ("name=a&name=b", 422),
        ("name=a&other=x", 422),
        ("name=a&sizes=1&sizes=two", 422),
        ("name=a&address=%7B", 422),
        ("name=%FF", 400),
        ("", 0),
    ],
)
def test_oa_08_a_form_that_does_not_fit_is_refused(text: str, status: int) -> None:
    if status:
        assert refusal(form(), body=text.encode(), content_type=FORM).status == status
    else:
        assert ask(form(), body=b"", content_type=FORM) == {"query": {}}


def test_oa_08_a_form_of_other_bytes_is_refused() -> None:
    assert refusal(form(), body=b"name=\xff", content_type=FORM).status == 400


# Multipart


def multipart(*parts: tuple[str, str, bytes], end: bytes = b"--B--\r\n") -> bytes:
    """Return a body of parts: name, content type and data."""
    lines = []
    for name, content_type, data in parts:
        lines.append(b"--B\r\n" + f'Content-Disposition: form-data; name="{name}"\r\n'.encode())
        lines.append(f"Content-Type: {content_type}\r\n".encode() if content_type else b"")
        lines.append(b"\r\n" + data + b"\r\n")
    return b"".join(lines) + end


def parts(encoding: Any = None, schema: Any = FIELDS) -> Operation:
    return with_body(schema, MULTIPART, media={"encoding": encoding or {}})


def read_parts(asked: Operation, body: bytes) -> Any:
    return ask(asked, body=body, content_type="multipart/form-data; boundary=B")["body"]


NAME = ("name", "", b"a")


@pytest.mark.parametrize(
    ("encoding", "more", "expected"),
    [
        ({}, [], {}),
        ({}, [("age", "", b"5")], {"age": 5}),
        ({}, [("tags", "", b"x")], {"tags": ["x"]}),
        ({}, [("tags", "", b"x"), ("tags", "text/plain", b"y")], {"tags": ["x", "y"]}),
        ({}, [("sizes", "", b"1"), ("sizes", "", b"2")], {"sizes": [1, 2]}),
        ({}, [("sizes", "application/json", b"[1, 2]")], {"sizes": [1, 2]}),
        ({}, [("address", "application/json", b'{"zip": 5}')], {"address": {"zip": 5}}),
        ({}, [("address", "", b'{"zip": 5}')], {"address": {"zip": 5}}),
        ({}, [("points", "application/json", b'{"x": 1}')] * 2, {"points": [{"x": 1}, {"x": 1}]}),
        ({}, [("tags", "text/plain; charset=iso-8859-1", b"\xe9")], {"tags": ["é"]}),
        (
            {"address": {"contentType": "application/json"}},
            [("address", "application/json; charset=utf-8", b'{"zip": 5}')],
            {"address": {"zip": 5}},
        ),
    ],
)
def test_oa_08_parts_become_the_object_their_schema_describes(
    encoding: Any, more: list[tuple[str, str, bytes]], expected: Any
) -> None:
    found = read_parts(parts(encoding), multipart(NAME, *more))

    assert found == {"name": "a", "mode": "fast", **expected}


@pytest.mark.parametrize(
    ("encoding", "part", "status"),
    [
        ({}, ("age", "", b"five"), 422),
        ({}, ("other", "", b"x"), 422),
        ({}, ("address", "", b"{"), 422),
        ({}, ("address", "application/json", b"{"), 400),
        ({}, ("address", "application/json", b'{"zip":1,"zip":2}'), 400),
        ({}, ("tags", "", b"\xff"), 400),
        ({}, ("tags", "text/plain; charset=rot13", b"x"), 400),
        ({"tags": {"contentType": "text/csv, text/html"}}, ("tags", "text/plain", b"x"), 400),
    ],
)
def test_oa_08_a_part_that_does_not_fit_is_refused(
    encoding: Any, part: tuple[str, str, bytes], status: int
) -> None:
    problem = refusal(
        parts(encoding), body=multipart(NAME, part), content_type="multipart/form-data; boundary=B"
    )

    assert problem.status == status


def test_oa_08_a_binary_part_is_octets_of_the_media_types_it_may_have() -> None:
    schema = {
        "type": "object",
        "properties": {"photo": {"type": "string", "maxLength": 4}, "name": STRING},
    }
    asked = parts({"photo": {"contentType": "image/png, image/*"}}, schema)

    found = read_parts(asked, multipart(NAME, ("photo", "image/jpeg", b"\xff\xd8\x00\xe9")))
    too_long = multipart(NAME, ("photo", "image/jpeg", b"\xff\xd8\x00\xe9\x01"))

    assert found["photo"].encode("latin-1") == b"\xff\xd8\x00\xe9"
    assert (
        refusal(asked, body=too_long, content_type="multipart/form-data; boundary=B").status == 422
    )


WHOLE = multipart(NAME)


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (WHOLE, "multipart/form-data"),
        (WHOLE, "multipart/form-data; boundary="),
        (WHOLE, 'multipart/form-data; boundary=""'),
        (WHOLE, "multipart/form-data; boundary=C"),
        (WHOLE, "multipart/form-data; boundary=\xe9"),
        (b"", "multipart/form-data; boundary=B"),
        (b"name=a", "multipart/form-data; boundary=B"),
        (b"--B--\r\n", "multipart/form-data; boundary=B"),
        (multipart(NAME, end=b""), "multipart/form-data; boundary=B"),
        (multipart(NAME, end=b"--B"), "multipart/form-data; boundary=B"),
        (multipart(NAME, end=b"--B-"), "multipart/form-data; boundary=B"),
        (WHOLE[:30], "multipart/form-data; boundary=B"),
        (WHOLE.replace(b'; name="name"', b""), "multipart/form-data; boundary=B"),
        (
            WHOLE.replace(b"Content-Disposition: form-data", b"X: y"),
            "multipart/form-data; boundary=B",
        ),
        (
            WHOLE.replace(b"Content-Disposition", b"Content Disposition"),
            "multipart/form-data; boundary=B",
        ),
        (
            WHOLE.replace(b"\r\n\r\n", b"\r\nX: " + b"y" * 9000 + b"\r\n\r\n"),
            "multipart/form-data; boundary=B",
        ),
        (
            WHOLE.replace(b"\r\n\r\n", b"\r\nA: 1\r\na: 2\r\n\r\n"),
            "multipart/form-data; boundary=B",
        ),
        (multipart(*[NAME] * 1001), "multipart/form-data; boundary=B"),
    ],
)
def test_oa_08_multipart_that_is_not_whole_is_400(body: bytes, content_type: str) -> None:
    if not body:
        assert ask(parts(), body=body, content_type=content_type) == {"query": {}}
        return
    problem = refusal(parts(), body=body, content_type=content_type)

    assert problem.status in {400, 422}
    assert problem.status == 400 or body == b"--B--\r\n"  # a whole body without parts


def test_oa_08_multipart_is_cut_anywhere_without_harm() -> None:
    whole = multipart(NAME, ("tags", "text/plain", b"x"), ("address", "application/json", b"{}"))

    for length in range(1, len(whole) - 4):
        problem = refusal(
            parts(), body=whole[:length], content_type="multipart/form-data; boundary=B"
        )
        assert problem.status == 400


def test_oa_08_multipart_without_named_parts_is_octets() -> None:
    asked = with_body({"type": "array"}, "multipart/mixed")

    assert next(iter(asked.contents.declared))[1].opaque
    assert ask(asked, body=b"\xff", content_type="multipart/mixed")["body"] == "\xff"


# Texts and octets


def test_a_text_is_read_in_its_charset() -> None:
    asked = with_body({"type": "string", "maxLength": 2}, "text/plain")

    assert ask(asked, body="é!".encode(), content_type="text/plain")["body"] == "é!"
    assert ask(asked, body=b"\xe9!", content_type="text/plain; charset=ISO-8859-1")["body"] == "é!"
    assert (
        ask(asked, body="é!".encode("utf-16"), content_type="text/plain; charset=utf-16")["body"]
        == "é!"
    )
    assert refusal(asked, body=b"\xe9!", content_type="text/plain").status == 400
    assert refusal(asked, body=b"abc", content_type="text/plain").status == 422


@pytest.mark.parametrize(
    "charset", ["zip", "rot13", "idna", "punycode", "unicode_escape", "utf-7", "x"]
)
def test_only_character_sets_are_charsets(charset: str) -> None:
    asked = with_body({"type": "string"}, "text/plain")

    assert refusal(asked, body=b"x", content_type=f"text/plain; charset={charset}").status == 400


def test_a_text_may_mean_a_number() -> None:
    asked = with_body({"type": "integer"}, "text/plain")

    assert ask(asked, body=b"17", content_type="text/plain")["body"] == 17
    assert refusal(asked, body=b"17 ", content_type="text/plain").status == 422


@pytest.mark.parametrize(
    "media_type", ["application/xml", "text/xml", "application/soap+xml", "application/yaml"]
)
def test_a_structure_we_do_not_read_is_handed_on_unchecked(media_type: str) -> None:
    asked = with_body({"type": "object", "required": ["a"]}, media_type)

    assert next(iter(asked.contents.declared))[1].opaque
    assert ask(asked, body=b"<a/>", content_type=media_type)["body"] == "<a/>"


def test_octets_are_counted_by_their_schema() -> None:
    asked = with_body({"type": "string", "maxLength": 2}, "application/octet-stream")

    assert (
        ask(asked, body=b"\xff\x00", content_type="application/octet-stream")["body"] == "\xff\x00"
    )
    assert (
        refusal(asked, body=b"\xff\x00\x01", content_type="application/octet-stream").status == 422
    )


def test_oa_08_a_media_type_range_may_be_declared() -> None:
    asked = with_body({}, "image/*")

    assert ask(asked, body=b"\x89PNG", content_type="image/png")["body"] == "\x89PNG"
    assert refusal(asked, body=b"\x89PNG", content_type="text/plain").status == 415

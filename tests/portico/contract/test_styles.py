"""OA-04: every style of every place, as OpenAPI's own table of examples has them."""

from __future__ import annotations

from typing import Any

import pytest

from portico.contract import Operation
from tests.portico.contract.documents import ask, entries, refusal, with_parameters

ARRAY = ["blue", "black", "brown"]
OBJECT = {"R": "100", "G": "200", "B": "150"}
NUMBERS = {"R": 100, "G": 200, "B": 150}
STRING_SCHEMA = {"type": "string"}
ARRAY_SCHEMA = {"type": "array", "items": {"type": "string"}}
NUMBERS_SCHEMA = {
    "type": "object",
    "properties": {name: {"type": "integer"} for name in "RGB"},
    "additionalProperties": False,
}


def parameter(
    where: str, schema: Any, style: str = "", *, explode: bool | None = None
) -> Operation:
    node: dict[str, Any] = {"name": "color", "in": where, "schema": schema}
    if where == "path":
        node["required"] = True
    if style:
        node["style"] = style
    if explode is not None:
        node["explode"] = explode
    return with_parameters(node)


def read(where: str, raw: str, asked: Operation) -> Any:
    if where == "path":
        return ask(asked, path=[raw])["path"].get("color")
    if where == "query":
        return ask(asked, query=raw)["query"].get("color")
    headers = {"color": raw} if where == "header" else {"cookie": raw}
    return ask(asked, headers=headers)[where].get("color")


# Place, style, explode, raw text, value: the columns string, array and object of the table.
CELLS = [
    ("path", "matrix", False, ";color=blue", "blue"),
    ("path", "matrix", False, ";color=blue,black,brown", ARRAY),
    ("path", "matrix", False, ";color=R,100,G,200,B,150", NUMBERS),
    ("path", "matrix", True, ";color=blue", "blue"),
    ("path", "matrix", True, ";color=blue;color=black;color=brown", ARRAY),
    ("path", "matrix", True, ";R=100;G=200;B=150", NUMBERS),
    ("path", "label", False, ".blue", "blue"),
    ("path", "label", False, ".blue,black,brown", ARRAY),
    ("path", "label", False, ".R,100,G,200,B,150", NUMBERS),
    ("path", "label", True, ".blue", "blue"),
    ("path", "label", True, ".blue.black.brown", ARRAY),
    ("path", "label", True, ".R=100.G=200.B=150", NUMBERS),
    ("path", "simple", False, "blue", "blue"),
    ("path", "simple", False, "blue,black,brown", ARRAY),
    ("path", "simple", False, "R,100,G,200,B,150", NUMBERS),
    ("path", "simple", True, "blue", "blue"),
    ("path", "simple", True, "blue,black,brown", ARRAY),
    ("path", "simple", True, "R=100,G=200,B=150", NUMBERS),
    ("query", "form", False, "color=blue", "blue"),
    ("query", "form", False, "color=blue,black,brown", ARRAY),
    ("query", "form", False, "color=R,100,G,200,B,150", NUMBERS),
    ("query", "form", True, "color=blue", "blue"),
    ("query", "form", True, "color=blue&color=black&color=brown", ARRAY),
    ("query", "form", True, "R=100&G=200&B=150", NUMBERS),
    ("query", "spaceDelimited", False, "color=blue%20black%20brown", ARRAY),
    ("query", "spaceDelimited", False, "color=R%20100%20G%20200%20B%20150", NUMBERS),
    ("query", "pipeDelimited", False, "color=blue%7Cblack%7Cbrown", ARRAY),
    ("query", "pipeDelimited", False, "color=R%7C100%7CG%7C200%7CB%7C150", NUMBERS),
    ("query", "deepObject", True, "color%5BR%5D=100&color%5BG%5D=200&color%5BB%5D=150", NUMBERS),
    ("header", "simple", False, "blue", "blue"),
    ("header", "simple", False, "blue,black,brown", ARRAY),
    ("header", "simple", False, "R,100,G,200,B,150", NUMBERS),
    ("header", "simple", True, "blue,black,brown", ARRAY),
    ("header", "simple", True, "R=100,G=200,B=150", NUMBERS),
    ("cookie", "form", False, "color=blue", "blue"),
    ("cookie", "form", False, "color=blue,black,brown", ARRAY),
    ("cookie", "form", False, "color=R,100,G,200,B,150", NUMBERS),
    ("cookie", "form", True, "color=blue", "blue"),
    ("cookie", "form", True, "color=blue; color=black; color=brown", ARRAY),
]


@pytest.mark.parametrize(("where", "style", "explode", "raw", "value"), CELLS)
def test_oa_04_each_cell_of_the_style_table_is_read(
    where: str, style: str, explode: bool, raw: str, value: Any
) -> None:
    schemas: dict[type, Any] = {str: STRING_SCHEMA, list: ARRAY_SCHEMA, dict: NUMBERS_SCHEMA}
    schema = schemas[type(value)]

    assert read(where, raw, parameter(where, schema, style, explode=explode)) == value


@pytest.mark.parametrize(
    ("where", "schema", "raw", "value"),
    [
        ("path", ARRAY_SCHEMA, "a,b", ["a", "b"]),
        ("query", ARRAY_SCHEMA, "color=a&color=b", ["a", "b"]),
        ("query", NUMBERS_SCHEMA, "R=1", {"R": 1}),
        ("header", ARRAY_SCHEMA, "a,b", ["a", "b"]),
        ("cookie", ARRAY_SCHEMA, "color=a,b", ["a", "b"]),
    ],
)
def test_oa_04_styles_have_defaults(where: str, schema: Any, raw: str, value: Any) -> None:
    assert read(where, raw, parameter(where, schema)) == value


@pytest.mark.parametrize(
    ("where", "style", "explode", "schema", "raw", "value"),
    [
        ("query", "form", True, STRING_SCHEMA, "color=", ""),
        ("query", "form", True, STRING_SCHEMA, "color", ""),
        ("query", "form", True, STRING_SCHEMA, "", None),
        ("query", "form", True, ARRAY_SCHEMA, "color=", [""]),
        ("query", "form", False, ARRAY_SCHEMA, "color=", [""]),
        ("query", "form", False, ARRAY_SCHEMA, "", None),
        ("path", "matrix", False, STRING_SCHEMA, ";color=", ""),
        ("path", "matrix", False, ARRAY_SCHEMA, ";color=", [""]),
        ("path", "label", False, STRING_SCHEMA, ".", ""),
        ("path", "label", False, ARRAY_SCHEMA, ".", [""]),
        ("header", "simple", False, STRING_SCHEMA, "", ""),
        ("header", "simple", False, ARRAY_SCHEMA, "", []),
        ("header", "simple", False, NUMBERS_SCHEMA, "", {}),
        ("cookie", "form", False, STRING_SCHEMA, "color=", ""),
        ("cookie", "form", False, STRING_SCHEMA, "other=x", None),
    ],
)
def test_oa_04_empty_is_not_absent(
    where: str, style: str, explode: bool, schema: Any, raw: str, value: Any
) -> None:
    assert read(where, raw, parameter(where, schema, style, explode=explode)) == value


def test_oa_04_a_matrix_name_alone_is_no_value() -> None:
    problem = refusal(parameter("path", STRING_SCHEMA, "matrix"), path=[";color"])

    assert problem.status == 400
    assert entries(problem)[0]["parameter"] == "color"


@pytest.mark.parametrize(
    ("where", "style", "explode", "raw", "value"),
    [
        ("path", "simple", False, "a%2Cb,c", ["a,b", "c"]),
        ("path", "label", True, ".a%2Eb.c", ["a.b", "c"]),
        ("path", "matrix", True, ";color=a%3Bb;color=c", ["a;b", "c"]),
        ("query", "form", False, "color=a%2Cb,c", ["a,b", "c"]),
        ("query", "form", True, "color=a%26b&color=c", ["a&b", "c"]),
        ("cookie", "form", False, "color=a%2Cb,c", ["a,b", "c"]),
    ],
)
def test_oa_04_values_are_split_before_they_are_decoded(
    where: str, style: str, explode: bool, raw: str, value: Any
) -> None:
    assert read(where, raw, parameter(where, ARRAY_SCHEMA, style, explode=explode)) == value


@pytest.mark.parametrize(
    ("where", "style", "raw", "value"),
    [
        ("path", "simple", "a+b%2Bc%20d", "a+b+c d"),
        ("path", "label", ".a+b", "a+b"),
        ("path", "matrix", ";color=a+b", "a+b"),
        ("query", "form", "color=a+b%2Bc%20d", "a b+c d"),
        ("header", "simple", "a+b%2Bc", "a+b%2Bc"),
        ("cookie", "form", "color=a+b%2Bc", "a+b+c"),
    ],
)
def test_oa_04_a_plus_is_a_space_in_queries_only(
    where: str, style: str, raw: str, value: str
) -> None:
    assert read(where, raw, parameter(where, STRING_SCHEMA, style)) == value


def test_oa_04_header_values_are_never_decoded() -> None:
    assert read("header", "a%2Cb,c", parameter("header", ARRAY_SCHEMA)) == ["a%2Cb", "c"]


def test_oa_04_the_cookie_style_of_3_2_is_not_decoded() -> None:
    node = {"name": "color", "in": "cookie", "style": "cookie", "schema": STRING_SCHEMA}

    asked = with_parameters(node, version="3.2.0")

    assert read("cookie", "color=a%20b", asked) == "a%20b"


def test_oa_04_the_cookie_style_of_3_2_repeats_the_cookie() -> None:
    node = {"name": "color", "in": "cookie", "style": "cookie", "schema": ARRAY_SCHEMA}

    asked = with_parameters(node, version="3.2.0")

    assert read("cookie", "color=a; color=b", asked) == ["a", "b"]


def test_the_first_of_equal_cookies_counts() -> None:
    assert read("cookie", "color=a; color=b", parameter("cookie", STRING_SCHEMA)) == "a"


@pytest.mark.parametrize("raw", ["color[R]=1", "color%5BR%5D=1", "color%5bR%5d=1"])
def test_oa_04_unencoded_brackets_are_tolerated(raw: str) -> None:
    assert read("query", raw, parameter("query", NUMBERS_SCHEMA, "deepObject")) == {"R": 1}


@pytest.mark.parametrize(
    ("style", "raw"),
    [
        ("pipeDelimited", "color=a|b"),
        ("pipeDelimited", "color=a%7cb"),
        ("spaceDelimited", "color=a+b"),
        ("spaceDelimited", "color=a%20b"),
    ],
)
def test_oa_04_delimiters_may_be_encoded_or_not(style: str, raw: str) -> None:
    assert read("query", raw, parameter("query", ARRAY_SCHEMA, style, explode=False)) == ["a", "b"]


@pytest.mark.parametrize(
    ("where", "style", "explode", "schema", "raw"),
    [
        ("path", "label", False, STRING_SCHEMA, "blue"),
        ("path", "matrix", False, STRING_SCHEMA, "color=blue"),
        ("path", "matrix", False, STRING_SCHEMA, ";colour=blue"),
        ("path", "matrix", False, STRING_SCHEMA, ";color=blue;color=black"),
        ("path", "matrix", True, ARRAY_SCHEMA, ";color=blue;other=black"),
        ("path", "simple", False, NUMBERS_SCHEMA, "R,100,G"),
        ("path", "simple", True, NUMBERS_SCHEMA, "R=100,G"),
        ("path", "simple", False, NUMBERS_SCHEMA, "R,100,R,200"),
        ("query", "form", False, NUMBERS_SCHEMA, "color=R,100,G"),
        ("query", "form", False, NUMBERS_SCHEMA, "color=R,1&color=G,2"),
        ("query", "deepObject", True, NUMBERS_SCHEMA, "color[R]=1&color[R][x]=2"),
        ("query", "deepObject", True, NUMBERS_SCHEMA, "color[R][x]=2&color[R]=1"),
        ("header", "simple", False, NUMBERS_SCHEMA, "R,100,G"),
        ("header", "simple", True, NUMBERS_SCHEMA, "R"),
        ("query", "form", True, STRING_SCHEMA, "color=%FF"),
        ("path", "simple", True, STRING_SCHEMA, "%C3%28"),
        ("cookie", "form", True, STRING_SCHEMA, "color=%FF"),
    ],
)
def test_oa_04_a_value_in_another_form_is_refused_by_name(
    where: str, style: str, explode: bool, schema: Any, raw: str
) -> None:
    asked = parameter(where, schema, style, explode=explode)
    fields = {"header": {"color": raw}, "cookie": {"cookie": raw}}.get(where, {})

    problem = refusal(
        asked,
        path=[raw] if where == "path" else [],
        query=raw if where == "query" else "",
        headers=fields,
    )

    assert problem.status == 400
    assert (entries(problem)[0]["parameter"], entries(problem)[0]["in"]) == ("color", where)


def test_a_query_that_is_not_utf_8_is_refused() -> None:
    assert refusal(parameter("query", STRING_SCHEMA), query=b"color=\xff").status == 400


def test_a_percent_sign_that_encodes_nothing_is_itself() -> None:
    assert read("query", "color=100%", parameter("query", STRING_SCHEMA)) == "100%"


def test_deep_objects_may_nest() -> None:
    schema = {
        "type": "object",
        "properties": {
            "price": {"type": "object", "properties": {"max": {"type": "number"}}},
            "tags": ARRAY_SCHEMA,
            "sizes": {"type": "array", "items": {"type": "integer"}},
        },
    }
    query = (
        "color[price][max]=9.5&color[tags][]=a&color[tags][]=b&color[sizes][0]=1&color[sizes][1]=2"
    )

    assert read("query", query, parameter("query", schema, "deepObject")) == {
        "price": {"max": 9.5},
        "tags": ["a", "b"],
        "sizes": [1, 2],
    }


def test_deep_objects_nest_only_so_far() -> None:
    asked = parameter("query", {"type": "object"}, "deepObject")

    found = read("query", "color" + "[a]" * 5000 + "=1", asked)

    assert str(found).count("{") < 20


def test_an_exploded_object_takes_what_no_other_parameter_names() -> None:
    asked = with_parameters(
        {
            "name": "filter",
            "in": "query",
            "schema": {"type": "object", "additionalProperties": True},
        },
        {"name": "limit", "in": "query", "schema": {"type": "integer"}},
    )

    found = ask(asked, query="limit=5&state=open&tag=a&tag=b")["query"]

    assert found == {"limit": 5, "filter": {"state": "open", "tag": ["a", "b"]}}


def test_a_closed_exploded_object_takes_its_own_members_only() -> None:
    asked = with_parameters({"name": "color", "in": "query", "schema": NUMBERS_SCHEMA})

    assert ask(asked, query="R=1&state=open")["query"] == {"color": {"R": 1}}


@pytest.mark.parametrize("size", [10_000, 100_000])
def test_reading_a_query_takes_time_in_proportion_to_its_size(size: int) -> None:
    asked = parameter("query", ARRAY_SCHEMA)

    assert len(read("query", "&".join(["color=a"] * size), asked)) == size

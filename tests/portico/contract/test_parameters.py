"""OA-04, OA-05, OA-14: which text is which value, which parameters count, what absence means."""

from __future__ import annotations

from typing import Any

import pytest

from portico.contract import Operation
from portico.problems import Problem
from tests.portico.contract.documents import ask, entries, operation, refusal, with_parameters

INTEGER = {"type": "integer"}
STRING = {"type": "string"}


def query(schema: Any, **members: Any) -> Operation:
    return with_parameters({"name": "n", "in": "query", "schema": schema, **members})


@pytest.mark.parametrize(
    ("schema", "raw", "value"),
    [
        (INTEGER, "5", 5),
        (INTEGER, "-5", -5),
        (INTEGER, "0", 0),
        (INTEGER, "-0", 0),
        (INTEGER, "9" * 99, int("9" * 99)),
        ({"type": "number"}, "5", 5),
        ({"type": "number"}, "-1.50", -1.5),
        ({"type": "number"}, "1e3", 1000.0),
        ({"type": "number"}, "1E-2", 0.01),
        ({"type": "boolean"}, "true", True),
        ({"type": "boolean"}, "false", False),
        ({"type": "string"}, "5", "5"),
        ({"type": ["integer", "null"]}, "5", 5),
        ({"type": ["boolean", "integer"]}, "5", 5),
        ({"type": ["boolean", "integer"]}, "true", True),
        ({"enum": [1, 2]}, "2", 2),
        ({"const": True}, "true", True),
        ({"anyOf": [{"type": "integer"}, {"type": "boolean"}]}, "7", 7),
        ({"allOf": [{"type": "integer"}, {"minimum": 3}]}, "7", 7),
        ({"$ref": "#/components/schemas/Count"}, "7", 7),
        ({"$ref": "#/components/schemas/Alias", "maximum": 8}, "7", 7),
        ({"type": "array", "items": {"type": "integer"}}, "n=1&n=2", [1, 2]),
        ({"oneOf": [{"type": "array", "items": {"type": "integer"}}]}, "n=1&n=2", [1, 2]),
        ({}, "5", "5"),
    ],
)
def test_oa_14_parameters_are_cast_to_what_their_schema_means(
    schema: Any, raw: str, value: Any
) -> None:
    schemas = {"Count": INTEGER, "Alias": {"$ref": "#/components/schemas/Count"}}
    asked = with_parameters(
        {"name": "n", "in": "query", "schema": schema}, components={"schemas": schemas}
    )

    found = ask(asked, query=raw if "=" in raw else f"n={raw}")["query"]["n"]

    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("kind", ["integer", "number"])
@pytest.mark.parametrize(
    "raw",
    ["1_0", "%207", "7%20", "%2B5", "+5", "nan", "inf", "-inf", "Infinity", "0x1f", "1e", "--5"]
    + ["007", "%D9%A1", "1,5", "", "1.", ".5", "9" * 200, "1e9999", "5%00", "true", "0b1", "½"],
)
def test_oa_04_what_is_no_number_in_json_is_none_here(kind: str, raw: str) -> None:
    problem = refusal(query({"type": kind}), query=f"n={raw}")

    assert problem.status == 400
    assert entries(problem)[0]["parameter"] == "n"


@pytest.mark.parametrize("raw", ["1.0", "1e3"])
def test_oa_14_a_fraction_is_no_integer_text(raw: str) -> None:
    assert refusal(query(INTEGER), query=f"n={raw}").status == 400


@pytest.mark.parametrize("raw", ["True", "TRUE", "1", "yes", "on", ""])
def test_oa_14_only_json_words_are_booleans(raw: str) -> None:
    assert refusal(query({"type": "boolean"}), query=f"n={raw}").status == 400


def test_a_scalar_given_twice_is_refused() -> None:
    assert refusal(query(INTEGER), query="n=1&n=2").status == 400


def test_oa_05_parameter_names_are_case_sensitive_in_queries() -> None:
    problem = refusal(query(INTEGER, required=True), query="N=1")

    assert entries(problem)[0]["detail"] == '"n" is a required property'


def test_oa_05_header_names_are_case_insensitive() -> None:
    asked = with_parameters({"name": "X-Count", "in": "header", "schema": INTEGER})

    assert ask(asked, headers={"x-COUNT": "5"})["header"] == {"X-Count": 5}


@pytest.mark.parametrize(
    "name", ["Accept", "Content-Type", "Authorization", "accept", "AUTHORIZATION"]
)
def test_oa_05_headers_described_elsewhere_are_no_parameters(name: str) -> None:
    asked = with_parameters(
        {"name": name, "in": "header", "required": True, "schema": {"const": "never"}}
    )

    assert asked.parameters == ()
    assert ask(asked, headers={name: "text/html"}) == {"query": {}}


def test_oa_05_a_header_of_the_operation_replaces_that_of_its_path_in_any_case() -> None:
    asked = operation(
        {"parameters": [{"name": "x-count", "in": "header", "schema": INTEGER}]},
        item={
            "parameters": [{"name": "X-Count", "in": "header", "required": True, "schema": STRING}]
        },
        method="get",
    )

    assert ask(asked) == {"query": {}, "header": {}}


def test_a_parameter_of_the_operation_replaces_that_of_its_path() -> None:
    own = {"name": "n", "in": "query", "schema": INTEGER}
    asked = operation(
        {"parameters": [own]},
        item={"parameters": [{**own, "schema": STRING}, {**own, "name": "m"}]},
        method="get",
    )

    assert ask(asked, query="n=1&m=2")["query"] == {"n": 1, "m": 2}


def test_a_required_parameter_must_be_there() -> None:
    places = [{"name": "a", "in": where, "required": True, "schema": STRING} for where in PLACES]

    problem = refusal(with_parameters(*places), path=["x"])

    assert problem.kind.slug == "invalid-parameter"
    assert [(entry["parameter"], entry["in"]) for entry in entries(problem)] == [
        ("a", where) for where in PLACES
    ]


PLACES = ("query", "header", "cookie")


def test_pd_02_everything_wrong_is_said_at_once() -> None:
    asked = operation(
        {
            "parameters": [
                {"name": "id", "in": "path", "required": True, "schema": INTEGER},
                {"name": "n", "in": "query", "schema": {"type": "integer", "maximum": 5}},
                {"name": "filter", "in": "query", "explode": False, "schema": {"type": "object"}},
                {"name": "X-Need", "in": "header", "required": True, "schema": STRING},
            ],
            "requestBody": {"content": {"application/json": {"schema": {"required": ["name"]}}}},
        },
        template="/things/{id}",
    )

    problem = refusal(asked, path=["x"], query="n=6&filter=a", body=b"{}")

    assert problem.status == 400
    places = {
        (entry.get("in"), entry.get("parameter"), entry.get("pointer"))
        for entry in entries(problem)
    }
    assert places == {
        ("path", "id", None),
        ("query", "n", None),
        ("query", "filter", None),
        ("header", "X-Need", None),
        (None, None, "#"),
    }


def test_pd_02_the_number_of_errors_is_bounded() -> None:
    schema = {"type": "array", "items": INTEGER}

    problem = refusal(query(schema), query="&".join(["n=x"] * 500))

    assert len(entries(problem)) == 20


def test_the_text_of_an_error_is_bounded() -> None:
    problem = refusal(query(INTEGER), query="n=" + "x" * 100_000)

    assert len(str(entries(problem)[0]["detail"])) <= 240


def test_oa_14_defaults_are_filled_in() -> None:
    asked = with_parameters(
        {"name": "n", "in": "query", "schema": {"type": "integer", "default": 20}},
        {"name": "X-Mode", "in": "header", "schema": {"type": "string", "default": "fast"}},
        {"name": "c", "in": "cookie", "schema": {"type": "array", "default": ["a"]}},
    )

    assert ask(asked) == {
        "query": {"n": 20},
        "header": {"X-Mode": "fast"},
        "cookie": {"c": ["a"]},
    }


def test_oa_14_a_default_may_stand_behind_or_beside_a_reference() -> None:
    schemas = {"Count": {"type": "integer", "default": 1}}
    ref = {"$ref": "#/components/schemas/Count"}
    asked = with_parameters(
        {"name": "a", "in": "query", "schema": ref},
        {"name": "b", "in": "query", "schema": {**ref, "default": 2}},
        components={"schemas": schemas},
    )

    assert ask(asked)["query"] == {"a": 1, "b": 2}


def test_oa_14_every_request_gets_its_own_default() -> None:
    asked = query({"type": "array", "items": STRING, "default": ["a"]})

    ask(asked)["query"]["n"].append("b")

    assert ask(asked)["query"] == {"n": ["a"]}


def test_oa_14_a_required_parameter_has_no_default() -> None:
    problem = refusal(query({"type": "integer", "default": 20}, required=True))

    assert problem.status == 400


def test_an_unknown_query_parameter_of_a_document_brought_along_is_left_alone() -> None:
    assert ask(query(INTEGER), query="n=1&z=2")["query"] == {"n": 1}


def test_allow_empty_value_lets_a_value_be_empty() -> None:
    asked = query(INTEGER, allowEmptyValue=True)

    assert ask(asked, query="n")["query"] == {"n": ""}
    assert ask(asked, query="n=5")["query"] == {"n": 5}
    assert refusal(asked, query="n=x").status == 400


@pytest.mark.parametrize("where", ["query", "header", "cookie", "path"])
def test_oa_04_a_parameter_may_be_json(where: str) -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    node = {"name": "f", "in": where, "content": {"application/json": {"schema": schema}}}
    asked = with_parameters({**node, **({"required": True} if where == "path" else {})})

    def read(raw: str, encoded: str) -> Any:
        if where == "path":
            return ask(asked, path=[encoded])["path"]["f"]
        if where == "query":
            return ask(asked, query=f"f={encoded}")["query"]["f"]
        return ask(asked, headers={"f": raw, "cookie": f"f={encoded}"})[where]["f"]

    assert read('{"a":1}', "%7B%22a%22%3A1%7D") == {"a": 1}
    with pytest.raises(Problem):
        read('{"a":"1"}', "%7B%22a%22%3A%221%22%7D")
    with pytest.raises(Problem):
        read('{"a":', "%7B%22a%22%3A")


def test_oa_04_a_parameter_with_text_content_is_one_text() -> None:
    node = {"name": "f", "in": "query", "content": {"text/plain": {"schema": {"type": "string"}}}}

    assert ask(with_parameters(node), query="f=a%2Cb")["query"] == {"f": "a,b"}


def test_a_json_parameter_given_twice_is_refused() -> None:
    node = {"name": "f", "in": "query", "content": {"application/json": {"schema": {}}}}

    assert refusal(with_parameters(node), query="f=1&f=2").status == 400


def test_oa_04_the_whole_query_of_3_2_may_be_one_form() -> None:
    schema = {
        "type": "object",
        "properties": {"n": INTEGER, "tags": {"type": "array", "items": STRING}},
        "additionalProperties": False,
    }
    content = {"application/x-www-form-urlencoded": {"schema": schema}}
    asked = with_parameters(
        {"name": "all", "in": "querystring", "content": content}, version="3.2.0"
    )

    assert ask(asked, query="n=5&tags=a")["query"] == {"all": {"n": 5, "tags": ["a"]}}
    assert refusal(asked, query="n=5&z=a").status == 400


def test_oa_04_the_whole_query_of_3_2_may_be_json() -> None:
    content = {"application/json": {"schema": {"type": "object", "properties": {"a": STRING}}}}
    asked = with_parameters(
        {"name": "all", "in": "querystring", "required": True, "content": content}, version="3.2.0"
    )

    raw = "%7B%22a%22%3A%22b%3Dc%26d%22%7D"

    assert ask(asked, query=raw)["query"] == {"all": {"a": "b=c&d"}}
    assert ask(asked, query='{"a":"b=c"}')["query"] == {"all": {"a": "b=c"}}
    assert refusal(asked, query="").status == 400


def test_parameters_of_a_recursive_schema_compile() -> None:
    tree = {"type": "array", "items": {"$ref": "#/components/schemas/Tree"}}

    asked = with_parameters(
        {"name": "n", "in": "query", "schema": {"$ref": "#/components/schemas/Tree"}},
        components={"schemas": {"Tree": tree}},
    )

    assert refusal(asked, query="n=a").status == 400


def test_surrogates_and_nul_do_no_harm() -> None:
    asked = query({"type": "string", "maxLength": 3})

    assert ask(asked, query="n=%00")["query"] == {"n": "\x00"}
    assert refusal(asked, query="n=%ED%A0%80").status == 400


def test_a_call_that_never_was_bytes_gets_the_same_defaults() -> None:
    asked = with_parameters(
        {"name": "n", "in": "query", "schema": {"type": "integer", "default": 20}},
        {"name": "X-Mode", "in": "header", "schema": {"type": "string", "default": "fast"}},
        {"name": "c", "in": "cookie", "schema": {"type": "string", "default": "x"}},
    )

    document = asked.check_document({"path": {}, "query": {}, "header": {}, "cookie": {}})

    assert document == {
        "path": {},
        "query": {"n": 20},
        "header": {"X-Mode": "fast"},
        "cookie": {"c": "x"},
    }


def test_a_call_with_what_json_has_no_word_for_is_refused() -> None:
    asked = query({"type": "string"})

    with pytest.raises(Problem) as caught:
        asked.check_document({"path": {}, "query": {"n": object()}, "header": {}, "cookie": {}})

    assert caught.value.status in {400, 422}

"""The compiled form of a contract decides like openapi-core, but for a few listed differences.

Thousands of requests are mutated from valid ones, with a fixed seed, and put to both. A difference
that no entry of REQUEST_DIFFERENCES or RESPONSE_DIFFERENCES explains fails the test.
"""

from __future__ import annotations

import copy
import json
import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import pytest

from portico.contract import (
    ABSENT,
    ANYONE,
    Contract,
    Operation,
    contract_paths,
    load,
    load_foreign,
)
from portico.contract.bundle import resolve
from portico.contract.strict import StrictValidator
from portico.problems import Problem

ROOT = Path(__file__).parents[3] / "specs" / "openapi"
OWN = contract_paths(ROOT)
SEED = 20260
CASES_OF_AN_OPERATION = 60
CASES_OF_THE_MADE = 500

JSON_VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 1.5, 2.0, 10**20, 1e308, "", "x", "EUR", "eur", "1.50", "-3"),
    *("2026-01-01T00:00:00Z", "not-a-date", "a@b.example", "C-1001", [], ["a", "a"], [1], {}),
    *({"k": 1}, "A" * 300, "é", "\u0000", [None], "0", "00", "1_0"),
)
# Texts of which openapi-core's int() and float() make numbers, and JSON Schema does not.
LAX_NUMBERS = ("1_0", " 5", "+5", "\u0663", "007", "1_0.5", "nan", "inf", "1.", ".5")
PARAMETER_VALUES = (
    *("1", "100", "101", "0", "x", "5.0", "", "-1", "a,b", "C-1001", "GRINDER-M1", "true", "TRUE"),
    *("1e2", "2026-01-01", "a b", "%", "ä", "999999999999999999999", "null", *LAX_NUMBERS),
)


@dataclass(slots=True)
class Case:
    """One request, and what was put into it."""

    operation: Operation
    path: dict[str, str]
    query: dict[str, str]
    headers: dict[str, str]
    body: Any = ABSENT
    used: list[str] = field(default_factory=list)

    def raw_query(self) -> bytes:
        # A comma stays: an encoded one is no delimiter to us (RFC 6570), but is to openapi-core.
        return urlencode(self.query, safe=",").encode()

    def raw_headers(self) -> dict[bytes, bytes]:
        fields = {name.lower().encode(): text.encode() for name, text in self.headers.items()}
        if self.body is not ABSENT:
            fields[b"content-type"] = b"application/json"
        return fields

    def raw_body(self) -> bytes:
        return b"" if self.body is ABSENT else json.dumps(self.body).encode()

    def path_values(self) -> list[str]:
        return [quote(self.path[reader.name], safe="") for reader in self.operation.path_readers]

    def target(self) -> str:
        path = self.operation.template
        for name, value in self.path.items():
            path = path.replace("{" + name + "}", value)
        return path


def _ours(case: Case) -> str:
    """Return why the compiled form refuses the request, or nothing."""
    try:
        case.operation.check_request(
            case.path_values(), case.raw_query(), case.raw_headers(), case.raw_body() or None
        )
    except Problem as problem:
        return f"{problem.kind.slug}: {problem.detail} {problem.extensions}"
    return ""


def _theirs(reference: StrictValidator, case: Case) -> str:
    error = reference.request_error(
        case.operation.method,
        case.target(),
        case.raw_query(),
        case.raw_headers(),
        case.raw_body(),
    )
    if error is None:
        return ""
    cause = error.__cause__
    return f"{type(error).__name__} {error} {getattr(cause, 'schema_errors', cause)}"


Explains = Callable[[Case, str, str], bool]


def _lax_number(case: Case, ours: str, theirs: str) -> bool:
    return bool(ours) and not theirs and any(used in LAX_NUMBERS for used in case.used)


def _lax_boolean(case: Case, ours: str, theirs: str) -> bool:
    return 'is not of type "boolean"' in ours and not theirs and bool(case.used)


REQUEST_DIFFERENCES: Mapping[str, tuple[str, Explains]] = {
    "lax number": (
        "openapi-core reads parameters with int() and float(), which take 1_0, ' 5' and nan",
        _lax_number,
    ),
    "lax boolean": (
        "openapi-core reads booleans as a shell might: 1, 0 and TRUE; JSON has true and false",
        _lax_boolean,
    ),
}


def _mutated(value: Any, chance: random.Random) -> Any:
    """Return a copy of JSON data with one to three places changed."""
    changed = copy.deepcopy(value)
    for _ in range(chance.randint(1, 3)):
        node = changed
        while isinstance(node, dict | list) and node:
            key: Any = chance.choice(list(node) if isinstance(node, dict) else range(len(node)))
            if isinstance(node[key], dict | list) and node[key] and chance.random() > 0.3:
                node = node[key]
                continue
            _change(node, key, chance)
            break
    return changed


def _change(node: Any, key: Any, chance: random.Random) -> None:
    how = chance.random()
    if how < 0.25 and isinstance(node, dict):
        del node[key]
    elif how < 0.35 and isinstance(node, dict):
        node["unknownMember"] = 1
    else:
        node[key] = copy.deepcopy(chance.choice(JSON_VALUES))


def _example(document: Mapping[str, Any], described: Mapping[str, Any]) -> Any:
    """Return an example of a parameter or media type, from wherever it has one."""
    found = resolve(document, described)
    if "example" in found:
        return found["example"]
    for named in found.get("examples", {}).values():
        return resolve(document, named)["value"]
    schema = resolve(document, found.get("schema", {}))
    return next(iter(schema.get("examples", ())), schema.get("default", ABSENT))


def _text(value: Any) -> str:
    """Return a value as JSON writes it, and as parameters have it."""
    return str(value).lower() if isinstance(value, bool) else str(value)


def _valid(contract: Contract, operation: Operation) -> Case:
    """Return the request that the contract's own examples make."""
    document = contract.document
    item = document["paths"][operation.template]
    node = item[operation.method.lower()]
    case = Case(operation, {}, {}, {})
    for described in (*item.get("parameters", ()), *node.get("parameters", ())):
        parameter = resolve(document, described)
        value = _example(document, parameter)
        if value is ABSENT or parameter["in"] not in {"path", "query", "header"}:
            continue
        text = ",".join(map(_text, value)) if isinstance(value, list) else _text(value)
        places = {"path": case.path, "query": case.query, "header": case.headers}
        places[parameter["in"]][parameter["name"]] = text
    content = resolve(document, node.get("requestBody", {})).get("content", {})
    if "application/json" in content:
        case.body = _example(document, content["application/json"])
    return case


def _vary(valid: Case, chance: random.Random) -> Case:
    case = copy.copy(valid)
    case.path, case.query, case.headers = dict(valid.path), dict(valid.query), dict(valid.headers)
    case.used = []
    if case.body is not ABSENT and chance.random() < 0.7:
        case.body = _mutated(case.body, chance)
    for place in (case.query, case.headers, case.path):
        for name in list(place):
            if chance.random() < 0.3:
                _vary_parameter(case, place, name, chance)
    return case


def _vary_parameter(case: Case, place: dict[str, str], name: str, chance: random.Random) -> None:
    if place is not case.path and chance.random() < 0.2:
        del place[name]
        return
    value = chance.choice(PARAMETER_VALUES)
    if place is case.path and (not value or not value.isascii() or "%" in value):
        return  # an empty segment is another path; what is encoded is the router's to decode
    if place is case.headers and not value.isascii():
        return
    place[name] = value
    case.used.append(value)


def _compare(contract: Contract, valid: list[Case], count: int, seed: int) -> Counter[str]:
    """Put mutated requests to both; return how often each listed difference was met."""
    reference = StrictValidator(contract.document)
    chance = random.Random(seed)
    met: Counter[str] = Counter()
    for number in range(count):
        case = _vary(valid[number % len(valid)], chance)
        ours, theirs = _ours(case), _theirs(reference, case)
        met["accepted" if not ours else "refused"] += 1
        if bool(ours) == bool(theirs):
            continue
        names = [
            name
            for name, (_, explains) in REQUEST_DIFFERENCES.items()
            if explains(case, ours, theirs)
        ]
        assert names, f"{case}\nours: {ours or 'accepted'}\ntheirs: {theirs or 'accepted'}"
        met[names[0]] += 1
    return met


@pytest.mark.timeout(180)
@pytest.mark.parametrize("path", OWN, ids=lambda path: path.name)
def test_our_contracts_are_read_alike(path: Path) -> None:
    contract = load(path)
    valid = [_valid(contract, operation) for operation in contract.operations.values()]
    for case in valid:
        assert not _ours(case)

    met = _compare(contract, valid, CASES_OF_AN_OPERATION * len(valid), SEED)

    assert met["accepted"] > len(valid)
    assert met["refused"] > len(valid)


MADE_BODY = {
    "id": "3f2b9a52-7a0b-4ea1-9f2e-0a9a4e0f7c11",
    "amount": 12.5,
    "count": 3,
    "when": "2026-03-01T10:20:30Z",
    "day": "2026-03-01",
    "email": "orders@shop.example",
    "nick": None,
    "kind": "cat",
    "pet": {"type": "cat", "lives": 9},
    "tags": ["a", "b"],
    "nested": {"deep": {"level": 2}},
    "either": 5,
}


def _made_document(version: str) -> dict[str, Any]:
    """Return a document with many keywords and styles, in the form of its version."""
    old = version.startswith("3.0")
    nullable: dict[str, Any] = (
        {"type": "string", "nullable": True} if old else {"type": ["string", "null"]}
    )
    above = (
        {"type": "number", "minimum": 0, "exclusiveMinimum": True}
        if old
        else {"type": "number", "exclusiveMinimum": 0}
    )
    body = {
        "type": "object",
        "required": ["id", "amount", "kind", "pet"],
        "additionalProperties": False,
        "properties": {
            "id": {"type": "string", "format": "uuid"},
            "amount": {**above, "maximum": 1000},
            "count": {"type": "integer", "format": "int32", "multipleOf": 3},
            "when": {"type": "string", "format": "date-time"},
            "day": {"type": "string", "format": "date"},
            "email": {"type": "string", "format": "email", "maxLength": 40},
            "nick": nullable,
            "kind": {"type": "string", "enum": ["cat", "dog"]},
            "pet": {
                "oneOf": [
                    {"$ref": "#/components/schemas/Cat"},
                    {"$ref": "#/components/schemas/Dog"},
                ]
            },
            "tags": {
                "type": "array",
                "items": {"type": "string", "minLength": 1},
                "minItems": 1,
                "maxItems": 3,
                "uniqueItems": True,
            },
            "nested": {"allOf": [{"$ref": "#/components/schemas/Nested"}]},
            "either": {"anyOf": [{"type": "integer"}, {"type": "boolean"}]},
        },
    }
    json_body = {"content": {"application/json": {"schema": body}}, "required": True}
    return {
        "openapi": version,
        "info": {"title": "Made", "version": "1"},
        "servers": [{"url": "/"}],
        "paths": {
            "/things/{number}/{word}": {
                "post": {
                    "operationId": "makeThing",
                    "parameters": [
                        _parameter("number", "path", {"type": "integer", "minimum": 1}, "7"),
                        _parameter("word", "path", {"type": "string", "maxLength": 12}, "abc"),
                        _parameter("flag", "query", {"type": "boolean"}, "true"),
                        _parameter("ratio", "query", {"type": "number", "maximum": 2}, "1.5"),
                        _parameter(
                            "many",
                            "query",
                            {"type": "array", "items": {"type": "integer"}, "maxItems": 3},
                            "1,2",
                            style="form",
                            explode=False,
                        ),
                        _parameter("color", "query", {"type": "string", "enum": ["a", "b"]}, "a"),
                        _parameter("X-Count", "header", {"type": "integer", "maximum": 9}, "3"),
                    ],
                    "requestBody": json_body,
                    "responses": {"200": {"description": "Made.", **json_body}},
                }
            }
        },
        "components": {
            "schemas": {
                "Cat": {
                    "type": "object",
                    "required": ["type", "lives"],
                    "properties": {
                        "type": {"type": "string", "enum": ["cat"]},
                        "lives": {"type": "integer", "minimum": 0, "maximum": 9},
                    },
                },
                "Dog": {
                    "type": "object",
                    "required": ["type"],
                    "properties": {
                        "type": {"type": "string", "enum": ["dog"]},
                        "barks": {"type": "boolean"},
                    },
                },
                "Nested": {
                    "type": "object",
                    "properties": {
                        "deep": {
                            "type": "object",
                            "properties": {"level": {"type": "integer", "minimum": 1}},
                        }
                    },
                },
            }
        },
    }


def _parameter(
    name: str, where: str, schema: dict[str, Any], example: str, **more: Any
) -> dict[str, Any]:
    required = {"required": True} if where == "path" else {}
    return {"name": name, "in": where, "schema": schema, "example": example, **required, **more}


def _made(version: str, tmp_path: Path) -> tuple[Contract, Case]:
    document = _made_document(version)
    operation = document["paths"]["/things/{number}/{word}"]["post"]
    operation["responses"]["200"].pop("required")
    path = tmp_path / "made.json"
    path.write_text(json.dumps(document))
    contract = load_foreign(path, name="made", base_path="", unsecured=ANYONE)
    case = _valid(contract, contract.operations["makeThing"])
    case.body = MADE_BODY
    return contract, case


@pytest.mark.timeout(180)
@pytest.mark.parametrize("version", ["3.0.4", "3.1.1"])
def test_a_made_document_is_read_alike(version: str, tmp_path: Path) -> None:
    contract, case = _made(version, tmp_path)
    assert not _ours(case)

    met = _compare(contract, [case], CASES_OF_THE_MADE, SEED)

    assert met["accepted"] > 20
    assert met["refused"] > 200
    assert met["lax number"] > 0


@pytest.mark.timeout(180)
@pytest.mark.parametrize("version", ["3.0.4", "3.1.1"])
def test_responses_of_a_made_document_are_judged_alike(version: str, tmp_path: Path) -> None:
    contract, case = _made(version, tmp_path)
    reference = StrictValidator(contract.document)
    chance = random.Random(SEED)
    judged: Counter[bool] = Counter()
    for _ in range(CASES_OF_THE_MADE // 2):
        body = _mutated(MADE_BODY, chance) if chance.random() < 0.9 else MADE_BODY
        raw = json.dumps(body).encode()
        ours = case.operation.check_response(200, "application/json", body)
        theirs = reference.check_response("POST", case.target(), 200, "application/json", raw)
        judged[not ours] += 1

        assert bool(ours) == bool(theirs), f"{body}\nours: {ours}\ntheirs: {theirs}"

    assert judged[True] > 20
    assert judged[False] > 150

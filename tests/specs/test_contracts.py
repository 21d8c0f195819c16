"""The contracts of the repository: complete, bounded, and true to their own examples."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jsonschema_rs
import pytest
import yaml

from portico.client import layers
from portico.contract import Contract
from portico.contract.bundle import resolve
from portico.contract.compile import operations_of
from portico.contract.schemas import SchemaSet
from tests.support.tiers import ROOT, contracts

NAMES = sorted(contracts())
CANONICAL = sorted((ROOT / "canonical").glob("*.yaml"))
CATALOGUE = ROOT.parents[1] / "src/portico/sandbox/company.json"
OWN_IDS = {f"system/{name}.v1" for name in ("quickbooks", "salesforce", "sap", "stripe")} | {
    "process/customer-sync.v1"
}
NOUNS = {
    "address",
    "customer",
    "external-id",
    "inventory-level",
    "invoice",
    "location",
    "money",
    "order",
    "page",
    "payment",
    "problem",
    "product",
    "quantity",
    "shipment",
}
DIALECT = "https://json-schema.org/draft/2020-12/schema"
PERSONAL = {"email", "phone", "givenName", "familyName", "line1", "city", "postalCode", "attention"}


def every_contract() -> pytest.MarkDecorator:
    return pytest.mark.parametrize("name", NAMES)


def walk(node: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield every object of a document, without looking into examples."""
    if isinstance(node, list):
        for index, item in enumerate(node):
            yield from walk(item, (*path, str(index)))
    elif isinstance(node, dict):
        yield path, node
        for key, value in node.items():
            if key not in {"example", "examples"} or path[-1:] == ("properties",):
                yield from walk(value, (*path, key))


def schemas(document: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield every schema object of a document with its place."""
    for path, node in walk(document):
        parent = path[-1] if path else ""
        above = path[-2] if len(path) > 1 else ""
        if parent in {"schema", "items", "additionalProperties"} or above in {
            "schemas",
            "properties",
            "allOf",
        }:
            yield "/".join(path), node


def cases(contract: Contract) -> Iterator[tuple[str, str, Any, Any]]:
    """Yield (place, direction, schema, value) for every example of a contract."""
    document = contract.document
    for _, template, method, item, node in operations_of(document):
        place = f"{method} {template}"
        for parameter in (*item.get("parameters", ()), *node.get("parameters", ())):
            found = resolve(document, parameter)
            if "example" in found:
                yield f"{place} {found['name']}", "request", found["schema"], found["example"]
        body = resolve(document, node.get("requestBody", {}))
        yield from _content(document, f"{place} request", "request", body)
        for status, response in node["responses"].items():
            found = resolve(document, response)
            yield from _content(document, f"{place} {status}", "response", found)
    for place, schema in schemas(document):
        for example in schema.get("examples", ()):
            yield place, "response", schema, example


def _content(
    document: Mapping[str, Any], place: str, direction: str, node: Mapping[str, Any]
) -> Iterator[tuple[str, str, Any, Any]]:
    for media in node.get("content", {}).values():
        for name, example in media.get("examples", {}).items():
            value = resolve(document, example)["value"]
            yield f"{place} {name}", direction, media["schema"], value


@every_contract()
def test_every_example_is_valid(name: str) -> None:
    contract = contracts()[name]
    sets = {
        "request": SchemaSet(contract.document, "request"),
        "response": SchemaSet(contract.document, "response"),
    }
    wrong, count = [], 0
    for place, direction, schema, value in cases(contract):
        validator = sets[direction].validator(sets[direction].view(schema))
        wrong += [f"{place}: {error.message}" for error in validator.iter_errors(value)]
        count += 1

    assert wrong == []
    assert count > len(contract.operations) * 10  # problems, bodies and parameters were all seen


@every_contract()
def test_every_operation_shows_what_it_takes_and_gives(name: str) -> None:
    document = contracts()[name].document
    missing = []
    for _, template, method, _, node in operations_of(document):
        bodies = [resolve(document, node["requestBody"])] if "requestBody" in node else []
        bodies += [resolve(document, response) for response in node["responses"].values()]
        missing += [
            f"{method} {template} {body['description']}"
            for body in bodies
            for media in body.get("content", {}).values()
            if not media.get("examples")
        ]

    assert missing == []


@every_contract()
def test_every_operation_names_the_problems_it_can_give(name: str) -> None:
    for _, template, method, _, node in operations_of(contracts()[name].document):
        expected = {"400", "401", "403", "429", "502", "503", "504", "default"}
        if "{" in template:
            expected.add("404")
        if not _reads(method, template):
            expected |= {"409", "422"}

        assert expected <= set(node["responses"]), f"{method} {template}"


def _reads(method: str, template: str) -> bool:
    """Tell whether an operation only reads; what an address is too short for is posted."""
    return method == "GET" or (method == "POST" and template.endswith("/queries"))


@every_contract()
def test_every_write_takes_an_idempotency_key(name: str) -> None:
    for operation in contracts()[name].operations.values():
        reads = _reads(operation.method, operation.template)
        assert (operation.idempotency == "") == reads, operation


@every_contract()
def test_what_is_created_can_be_found(name: str) -> None:
    for operation in contracts()[name].operations.values():
        if 201 in operation.success:
            assert "location" in operation.answers["201"].headers


@every_contract()
def test_scopes_are_those_of_the_api_and_follow_from_the_method(name: str) -> None:
    api = name.partition("/")[2].partition(".")[0]
    for operation in contracts()[name].operations.values():
        verb = "read" if _reads(operation.method, operation.template) else "write"

        assert operation.security.scopes() == {f"{api}:{verb}"}


@every_contract()
def test_everything_has_a_description(name: str) -> None:
    document = contracts()[name].document
    silent = [
        f"{method} {template}"
        for _, template, method, _, node in operations_of(document)
        if not (node.get("summary") and node.get("description") and node.get("tags"))
    ]
    for place, schema in schemas(document):
        resolved = resolve(document, schema)
        above = place.split("/")[-2]
        specializes = place.endswith("/properties/items")
        if above == "properties" and not specializes:
            silent += [] if "description" in schema or "description" in resolved else [place]

    assert silent == []


@every_contract()
def test_everything_is_bounded(name: str) -> None:
    document = contracts()[name].document
    unbounded = [
        place
        for place, schema in schemas(document)
        if not place.endswith("/properties/items")  # bounded by the page it specializes
        and not _is_bounded(schema)
    ]

    assert unbounded == []


def _is_bounded(schema: Mapping[str, Any]) -> bool:
    kind = schema.get("type")
    if kind == "string":
        return bool({"maxLength", "enum"} & set(schema)) or _ends(schema.get("pattern", "*"))
    if kind == "array":
        return "maxItems" in schema
    if kind == "integer":
        return {"minimum", "maximum"} <= set(schema) or schema.get("format") == "int64"
    if kind == "object" and "additionalProperties" in schema and "properties" not in schema:
        return "maxProperties" in schema
    return True


def _ends(pattern: str) -> bool:
    """Tell whether a pattern is anchored and repeats nothing without end."""
    anchored = pattern.startswith("^") and pattern.endswith("$")
    return anchored and not any(sign in pattern for sign in "*+")


@every_contract()
def test_patterns_run_in_linear_time(name: str) -> None:
    for place, schema in schemas(contracts()[name].document):
        if "pattern" in schema:
            jsonschema_rs.Draft202012Validator(
                {"pattern": schema["pattern"]}, pattern_options=jsonschema_rs.RegexOptions()
            )
            assert "(?=" not in schema["pattern"], place


@every_contract()
def test_requests_are_strict_and_records_stay_open(name: str) -> None:
    document = contracts()[name].document
    for _, template, method, _, node in operations_of(document):
        if "requestBody" in node:
            body = resolve(document, node["requestBody"])
            schema = body["content"]["application/json"]["schema"]
            loose = list(_loose(document, schema))
            assert loose == [], f"{method} {template}"
    records = [s for s in document["components"]["schemas"].values() if "allOf" in s]
    assert all("additionalProperties" not in record for record in records)


def _loose(document: Mapping[str, Any], schema: Any) -> Iterator[str]:
    found = resolve(document, schema)
    if found.get("type") == "object" and found.get("additionalProperties") is not False:
        yield str(found.get("title", found))
    inner = [*found.get("properties", {}).values(), *([found["items"]] if "items" in found else [])]
    for schema_inside in inner:
        yield from _loose(document, schema_inside)


@every_contract()
def test_personal_data_is_marked(name: str) -> None:
    unmarked = [
        place
        for place, schema in schemas(contracts()[name].document)
        if place.split("/")[-1] in PERSONAL
        and "properties" in place.split("/")[-2:]
        and schema.get("x-data-class") != "pii"
    ]

    assert unmarked == []


def test_no_call_breaks_the_layers() -> None:
    assert layers.check(contracts(), datetime.now(UTC).date()) == []


def test_every_noun_of_the_canonical_model_has_a_file() -> None:
    assert {path.stem for path in CANONICAL} >= NOUNS


@pytest.mark.parametrize("path", CANONICAL, ids=lambda path: path.stem)
def test_a_canonical_schema_is_valid_described_and_true_to_its_examples(path: Path) -> None:
    schema = yaml.safe_load(path.read_text())
    jsonschema_rs.meta.validate({"$schema": DIALECT, **schema})
    validator = jsonschema_rs.Draft202012Validator(
        schema,
        base_uri=path.as_uri(),
        retriever=lambda uri: yaml.safe_load(Path(urlsplit(uri).path).read_text()),
        validate_formats=True,
    )
    wrong = [error for value in schema["examples"] for error in validator.iter_errors(value)]

    assert wrong == []
    assert schema["examples"]
    assert schema["description"]
    assert schema["title"].lower() == path.stem.replace("-", "")


def test_the_examples_name_what_the_sandbox_has() -> None:
    catalogue = json.loads(CATALOGUE.read_text())
    known = {item["code"] for item in (*catalogue["products"], *catalogue["customers"])}
    named = set()
    for contract in contracts().values():
        for _, direction, _, value in cases(contract):
            if direction == "request":
                # What names customers by ids of its own has those in its examples.
                keys = ("sku",) if contract.name in OWN_IDS else ("sku", "customerId")
                named |= {code for code in _codes(value, keys) if code != "NO-SUCH-SKU"}

    assert named
    assert named <= known


def _codes(value: Any, keys: tuple[str, ...]) -> Iterator[str]:
    if isinstance(value, dict):
        yield from (value[key] for key in keys if key in value)
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _codes(inner, keys)

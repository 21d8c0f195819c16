"""Documents of many files become one, with every part's place known."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from portico.contract import ContractError
from portico.contract.bundle import Bundle, bundle, resolve
from portico.contract.walk import all_objects

HEAD = "openapi: 3.1.1\ninfo: {title: Orders, version: 1.0.0}\n"
ORDER = "components:\n  schemas:\n    Order:\n      properties:\n"
A_SCHEMA = "components:\n  schemas:\n    A: "


def files(folder: Path, **texts: str) -> Bundle:
    """Write files (`__` is a slash, all are YAML) and bundle the one called main."""
    for name, text in texts.items():
        path = folder / (name.replace("__", "/") + ".yaml")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return bundle(folder / "main.yaml", folder)


def place(found: Bundle, *pointer: str) -> str:
    position = found.position(pointer)
    return f"{position.file.name}:{position.line}:{position.column}"


def test_a_schema_of_another_file_becomes_a_component(tmp_path: Path) -> None:
    found = files(
        tmp_path,
        main=HEAD + ORDER + "        total: {$ref: shared/money.yaml}\n",
        shared__money="type: object\nproperties:\n  currency: {$ref: currency.yaml}\n",
        shared__currency="type: string\n",
    )

    assert found.document["components"]["schemas"] == {
        "Order": {"properties": {"total": {"$ref": "#/components/schemas/Money"}}},
        "Money": {
            "type": "object",
            "properties": {"currency": {"$ref": "#/components/schemas/Currency"}},
        },
        "Currency": {"type": "string"},
    }
    assert (
        place(found, "components", "schemas", "Money", "properties", "currency") == "money.yaml:3:3"
    )
    assert place(found, "components", "schemas", "Order", "properties", "total") == "main.yaml:7:9"


def test_every_kind_of_object_becomes_its_own_kind_of_component(tmp_path: Path) -> None:
    main = (
        HEAD
        + """
paths:
  /orders:
    parameters: [{$ref: parts.yaml#/limit}]
    post:
      requestBody: {$ref: parts.yaml#/body}
      responses:
        '200': {$ref: parts.yaml#/answer}
      callbacks:
        paid: {$ref: parts.yaml#/paid}
components:
  securitySchemes:
    token: {$ref: parts.yaml#/token}
"""
    )
    parts = """
limit: {name: limit, in: query, schema: {$ref: '#/number'}}
number: {type: integer}
body: {content: {application/json: {schema: {$ref: '#/number'}, examples: {one: {$ref: '#/one'}}}}}
one: {value: {$ref: not followed}}
answer:
  description: Fine.
  headers: {X-Total: {$ref: '#/total'}}
  links: {next: {$ref: '#/next'}}
total: {schema: {$ref: '#/number'}}
next: {operationId: x, parameters: {$ref: $response.body#/id}}
paid: {'{$url}': {$ref: '#/item'}}
item: {post: {requestBody: {$ref: '#/body'}}}
token: {type: http, scheme: bearer}
"""

    found = files(tmp_path, main=main, parts=parts)

    components = found.document["components"]
    assert {section: sorted(members) for section, members in components.items()} == {
        "securitySchemes": ["Token", "token"],
        "parameters": ["Limit"],
        "requestBodies": ["Body"],
        "responses": ["Answer"],
        "callbacks": ["Paid"],
        "schemas": ["Number"],
        "examples": ["One"],
        "headers": ["Total"],
        "links": ["Next"],
    }
    assert components["examples"]["One"] == {"value": {"$ref": "not followed"}}
    assert components["links"]["Next"]["parameters"] == {"$ref": "$response.body#/id"}
    assert components["callbacks"]["Paid"]["{$url}"]["post"] == {
        "requestBody": {"$ref": "#/components/requestBodies/Body"}
    }


def test_one_object_is_lifted_once_and_names_do_not_clash(tmp_path: Path) -> None:
    main = (
        HEAD
        + """
components:
  schemas:
    Money: {type: string}
    A: {$ref: one/money.yaml}
    B: {$ref: one/money.yaml#}
    C: {$ref: two/money.yaml}
    D: {$ref: 'one/../one/money.yaml'}
    E: {$ref: one/strange%20name!.yaml}
"""
    )
    found = files(
        tmp_path,
        main=main,
        one__money="type: integer\n",
        two__money="type: number\n",
        **{"one__strange name!": "type: boolean\n"},
    )

    schemas = found.document["components"]["schemas"]
    assert schemas["A"] == schemas["B"] == schemas["D"] == {"$ref": "#/components/schemas/Money2"}
    assert schemas["C"] == {"$ref": "#/components/schemas/Money3"}
    assert schemas["E"] == {"$ref": "#/components/schemas/StrangeName"}
    assert schemas["Money"] == {"type": "string"}


def test_files_may_refer_to_each_other_and_back(tmp_path: Path) -> None:
    found = files(
        tmp_path,
        main=HEAD + ORDER + "        customer: {$ref: customer.yaml}\n",
        customer="properties:\n"
        "  orders: {items: {$ref: 'main.yaml#/components/schemas/Order'}}\n"
        "  self: {$ref: '#'}\n",
    )

    assert found.document["components"]["schemas"]["Customer"]["properties"] == {
        "orders": {"items": {"$ref": "#/components/schemas/Order"}},
        "self": {"$ref": "#/components/schemas/Customer"},
    }


def test_a_path_item_is_put_in_place_with_its_own_members_on_top(tmp_path: Path) -> None:
    found = files(
        tmp_path,
        main=HEAD
        + "paths:\n  /orders:\n    $ref: orders.yaml#/item\n    summary: Ours\n"
        + "  /sales: {$ref: '#/paths/~1orders'}\n",
        orders="item:\n  summary: Theirs\n  get:\n    responses:\n"
        "      '200': {description: Fine.}\n",
    )

    item = found.document["paths"]["/orders"]
    assert item == {"summary": "Ours", "get": {"responses": {"200": {"description": "Fine."}}}}
    assert found.document["paths"]["/sales"] == item
    assert place(found, "paths", "/orders", "get", "responses") == "orders.yaml:4:5"
    assert place(found, "paths", "/orders", "summary") == "main.yaml:6:5"


def test_webhooks_and_path_items_are_followed_as_well(tmp_path: Path) -> None:
    found = files(
        tmp_path,
        main=HEAD
        + "webhooks:\n  paid: {$ref: item.yaml}\n"
        + "components:\n  pathItems:\n    Paid: {$ref: item.yaml}\n",
        item="post: {requestBody: {content: {a/b: {schema: {$ref: schema.yaml}}}}}\n",
        schema="type: integer\n",
    )

    schema = {"$ref": "#/components/schemas/Schema"}
    expected = {"post": {"requestBody": {"content": {"a/b": {"schema": schema}}}}}
    assert found.document["webhooks"]["paid"] == expected
    assert found.document["components"]["pathItems"]["Paid"] == expected


def test_what_only_looks_like_a_reference_is_none(tmp_path: Path) -> None:
    main = (
        HEAD
        + """
paths: {}
x-note: {$ref: nowhere.yaml}
components:
  examples:
    One: {value: {$ref: nowhere.yaml}}
  schemas:
    Order:
      default: {$ref: nowhere.yaml}
      enum: [{$ref: nowhere.yaml}]
      const: {$ref: nowhere.yaml}
      example: {$ref: nowhere.yaml}
      examples: [{$ref: nowhere.yaml}]
      x-note: {$ref: nowhere.yaml}
      properties:
        $ref: {type: string}
        schema: {type: string}
        default: {$ref: money.yaml}
        example: {$ref: money.yaml}
        x-own: {$ref: money.yaml}
"""
    )

    found = files(tmp_path, main=main, money="type: integer\n")

    order = found.document["components"]["schemas"]["Order"]
    money = {"$ref": "#/components/schemas/Money"}
    assert order["examples"] == [{"$ref": "nowhere.yaml"}]
    assert order["properties"] == {
        "$ref": {"type": "string"},
        "schema": {"type": "string"},
        "default": money,
        "example": money,
        "x-own": money,
    }
    assert found.document["x-note"] == {"$ref": "nowhere.yaml"}


def test_an_object_in_an_extension_is_lifted_to_where_it_is_looked_at(tmp_path: Path) -> None:
    found = files(
        tmp_path,
        main=HEAD
        + "x-parts: {money: {type: integer}}\n"
        + A_SCHEMA
        + "{$ref: '#/x-parts/money'}\n",
    )

    assert found.document["components"]["schemas"] == {
        "A": {"$ref": "#/components/schemas/Money"},
        "Money": {"type": "integer"},
    }
    assert place(found, "components", "schemas", "Money") == "main.yaml:3:11"


def test_a_discriminator_maps_to_references(tmp_path: Path) -> None:
    main = (
        HEAD
        + """
components:
  schemas:
    Dog: {type: object}
    Pet:
      discriminator:
        propertyName: kind
        mapping: {a: Dog, b: '#/components/schemas/Dog', c: cat.yaml}
"""
    )

    found = files(tmp_path, main=main, cat="type: object\n")

    assert found.document["components"]["schemas"]["Pet"]["discriminator"]["mapping"] == {
        "a": "#/components/schemas/Dog",
        "b": "#/components/schemas/Dog",
        "c": "#/components/schemas/Cat",
    }


def test_pointers_may_be_encoded_in_every_way(tmp_path: Path) -> None:
    main = (
        HEAD
        + """
paths: {}
components:
  schemas:
    A:
      properties:
        'a/b~c d%e': {type: integer}
        one: {$ref: '#/components/schemas/A/properties/a~1b~0c d%25e'}
        two: {$ref: '#/components/schemas/A/properties/a~1b~0c%20d%25e'}
"""
    )

    found = files(tmp_path, main=main)

    properties = found.document["components"]["schemas"]["A"]["properties"]
    assert resolve(found.document, properties["one"]) == {"type": "integer"}
    assert resolve(found.document, properties["two"]) == {"type": "integer"}


def test_a_reference_may_go_through_an_array(tmp_path: Path) -> None:
    main = (
        HEAD
        + """
components:
  schemas:
    A: {allOf: [{type: string}, {type: integer}]}
    B: {$ref: '#/components/schemas/A/allOf/1'}
"""
    )

    found = files(tmp_path, main=main)

    assert resolve(found.document, {"$ref": "#/components/schemas/B"}) == {"type": "integer"}


def rules(caught: pytest.ExceptionInfo[ContractError]) -> list[str]:
    return [finding.rule for finding in caught.value.findings]


def test_a_link_out_of_the_folder_leaves_it(tmp_path: Path) -> None:
    inside = tmp_path / "contracts"
    inside.mkdir()
    (tmp_path / "secret.yaml").write_text("type: string\n")
    (inside / "link.yaml").symlink_to(tmp_path / "secret.yaml")
    (inside / "folder").symlink_to(tmp_path)
    main = (
        HEAD
        + "components:\n  schemas:\n    A: {$ref: link.yaml}\n    B: {$ref: folder/secret.yaml}\n"
    )

    with pytest.raises(ContractError) as caught:
        files(inside, main=main)

    assert rules(caught) == ["escaping-ref", "escaping-ref"]


def test_a_link_inside_the_folder_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real.yaml").write_text("type: string\n")
    (tmp_path / "link.yaml").symlink_to("real.yaml")

    found = files(tmp_path, main=HEAD + "components:\n  schemas:\n    A: {$ref: link.yaml}\n")

    assert found.document["components"]["schemas"]["Real"] == {"type": "string"}


def test_a_circle_of_links_is_nothing(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").symlink_to("b.yaml")
    (tmp_path / "b.yaml").symlink_to("a.yaml")

    with pytest.raises(ContractError) as caught:
        files(tmp_path, main=HEAD + "components:\n  schemas:\n    A: {$ref: a.yaml}\n")

    assert rules(caught) == ["unresolved-ref"]


@pytest.mark.parametrize(
    "reference",
    [
        "http://[",
        "//[",
        "a" * 5000,
        "%00",
        "#/a/~",
        "#%",
        "?",
        "",
        "#//",
        "\\\\host\\share",
        "C:\\x",
    ],
)
def test_no_reference_is_too_strange(tmp_path: Path, reference: str) -> None:
    main = HEAD + f"components:\n  schemas:\n    A: {{$ref: {json.dumps(reference)}}}\n"

    with pytest.raises(ContractError) as caught:
        files(tmp_path, main=main)

    assert set(rules(caught)) <= {"unresolved-ref", "remote-ref", "mismatched-ref", "escaping-ref"}


def test_every_broken_reference_is_found_at_once(tmp_path: Path) -> None:
    main = (
        HEAD
        + """
components:
  schemas:
    A: {$ref: '#/x'}
    B: {$ref: b.yaml}
    C: {$ref: 'https://example.com'}
    D: {$ref: ../d.yaml}
    E: {$ref: broken.yaml}
"""
    )

    with pytest.raises(ContractError) as caught:
        files(tmp_path, main=main, broken="a: [")

    assert rules(caught) == [
        *("unresolved-ref", "unresolved-ref", "remote-ref", "escaping-ref", "unreadable-document")
    ]


def test_a_document_that_repeats_itself_without_end_is_refused_in_time(tmp_path: Path) -> None:
    twice = "{c: {x: {$ref: 'item%d.yaml'}, y: {$ref: 'item%d.yaml'}}}"
    operation = "{get: {responses: {'200': {description: x}}, callbacks: " + twice + "}}"
    items = {f"item{n}": operation % (n + 1, n + 1) + "\n" for n in range(40)}

    started = time.perf_counter()
    with pytest.raises(ContractError, match="expands too far"):
        files(tmp_path, main=HEAD + "paths:\n  /a: {$ref: item0.yaml}\n", item40="{}\n", **items)

    assert time.perf_counter() - started < 10


def test_path_items_nest_only_so_far(tmp_path: Path) -> None:
    operation = (
        "{get: {responses: {'200': {description: x}}, callbacks: {c: {x: {$ref: 'item%d.yaml'}}}}}"
    )
    items = {f"item{n}": operation % (n + 1) + "\n" for n in range(200)}

    with pytest.raises(ContractError, match="expands too far"):
        files(tmp_path, main=HEAD + "paths:\n  /a: {$ref: item0.yaml}\n", item200="{}\n", **items)


def test_a_chain_of_a_thousand_files_is_followed(tmp_path: Path) -> None:
    chain = {f"s{n}": f"properties:\n  next: {{$ref: s{n + 1}.yaml}}\n" for n in range(1000)}

    found = files(
        tmp_path,
        main=HEAD + "components:\n  schemas:\n    A: {$ref: s0.yaml}\n",
        s1000="type: string\n",
        **chain,
    )

    assert len(found.document["components"]["schemas"]) == 1002


def test_after_bundling_every_reference_is_a_pointer_into_the_document() -> None:
    root = Path(__file__).parents[3] / "specs" / "openapi"
    for path in sorted(root.glob("*/*.v1.yaml")):
        found = bundle(path, root)

        for node, _, _ in all_objects(found.document):
            if "$ref" in node:
                assert isinstance(resolve(found.document, node), dict)


def _depth(data: Any) -> int:
    inner = data.values() if isinstance(data, dict) else data if isinstance(data, list) else ()
    return 1 + max(map(_depth, inner), default=0)


def test_the_contracts_of_this_repository_are_far_from_the_limits() -> None:
    root = Path(__file__).parents[3] / "specs" / "openapi"

    assert max(_depth(bundle(path, root).document) for path in root.glob("*/*.v1.yaml")) < 40

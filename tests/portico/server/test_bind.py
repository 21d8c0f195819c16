"""Handlers and operations find each other by name, or the API does not start."""

from __future__ import annotations

import asyncio
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from portico.contract import ContractError, load
from portico.server.bind import Bound, bind, snake_case
from portico.server.call import Reply

FIXTURES = Path(__file__).parent / "fixtures"
CONTRACT = FIXTURES / "operation-without-handler" / "none" / "process" / "orders.v1.yaml"


def cases() -> list[Path]:
    return sorted(path for path in FIXTURES.glob("*/*") if path.is_dir())


def module(path: Path) -> ModuleType:
    """Return the module of a fixture; its name keeps it from being taken for code of ours."""
    loader = SourceFileLoader(f"fixture_{path.parent.name}", str(path))
    made = ModuleType(loader.name)
    loader.exec_module(made)
    return made


@pytest.mark.parametrize("case", cases(), ids=lambda case: f"{case.parent.name}/{case.name}")
def test_what_does_not_fit_is_refused_with_its_place_and_rule(case: Path) -> None:
    with pytest.raises(ContractError) as caught:
        bind(load(case / "process" / "orders.v1.yaml"), module(case / "handlers.txt"))

    found = [
        f"{finding.position.file.relative_to(case)}"
        f":{finding.position.line}:{finding.position.column}: {finding.rule}"
        for finding in caught.value.findings
    ]
    assert found == (case / "expected.txt").read_text().splitlines()


def handlers(**functions: Any) -> ModuleType:
    made = ModuleType("handlers")
    for name, function in functions.items():
        function.__module__ = made.__name__
        setattr(made, name, function)
    return made


def bound(function: Any) -> Bound:
    return bind(load(CONTRACT), handlers(put_order=function))["putOrder"]


def answer(made: Bound, document: dict[str, Any]) -> Reply:
    no_call: Any = None
    return asyncio.run(made(call=no_call, document=document))


def test_a_handler_is_called_by_the_names_of_the_contract() -> None:
    async def put_order(
        call: Any, *, order_id: str, body: Any, dry_run: Any = None, limit: int
    ) -> Any:
        return [call, order_id, body, dry_run, limit]

    document = {"path": {"orderId": "17"}, "query": {"dry-run": True, "limit": 5}, "body": {"a": 1}}

    assert answer(bound(put_order), document).body == [None, "17", {"a": 1}, True, 5]


def test_what_a_request_leaves_out_is_left_to_the_handler() -> None:
    async def put_order(
        call: Any, *, order_id: str, body: Any, dry_run: Any = "unset", limit: int
    ) -> Any:
        return [call, order_id, body, dry_run, limit]

    document = {"path": {"orderId": "17"}, "query": {"limit": 5}}

    assert answer(bound(put_order), document).body == [None, "17", None, "unset", 5]


def test_a_handler_need_not_take_every_parameter() -> None:
    async def put_order(call: Any, body: Any) -> Any:
        return [call, body]

    assert answer(bound(put_order), {"path": {"orderId": "17"}, "body": 1}).body == [None, 1]


def test_a_plain_result_gets_the_only_success_status() -> None:
    async def put_order(call: Any, *, body: Any) -> Any:
        return [call, body]

    assert answer(bound(put_order), {"body": 1}).status == 200


def test_a_parameter_called_like_a_word_of_python_has_an_underscore(tmp_path: Path) -> None:
    path = tmp_path / "process" / "orders.v1.yaml"
    path.parent.mkdir()
    path.write_text(CONTRACT.read_text().replace("dry-run", "from"))

    async def put_order(call: Any, *, body: Any, from_: bool) -> Any:
        return [call, body, from_]

    with pytest.raises(ContractError, match="'from_' of putOrder has no default"):
        bind(load(path), handlers(put_order=put_order))

    put_order.__kwdefaults__ = {"from_": False}
    made = bind(load(path), handlers(put_order=put_order))["putOrder"]
    assert answer(made, {"query": {"from": True}, "body": 1}).body == [None, 1, True]


def test_a_reply_is_what_it_says() -> None:
    async def put_order(call: Any, *, body: Any) -> Reply:
        return Reply(status=202, body=[call, body])

    assert answer(bound(put_order), {"body": 1}).status == 202


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("createSale", "create_sale"),
        ("listSKUs", "list_sk_us"),
        ("getHTTPStatus", "get_http_status"),
        ("Idempotency-Key", "idempotency_key"),
        ("X-Request-ID", "x_request_id"),
        ("order_id", "order_id"),
        ("order.id", "order_id"),
        ("v2Order", "v2_order"),
        ("filter[state]", "filter_state"),
        ("id", "id"),
    ],
)
def test_names_are_written_as_python_writes_them(name: str, expected: str) -> None:
    assert snake_case(name) == expected

"""Differences on the systems themselves: each kind found, and nothing else."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.process_apis.reconciliation.conftest import Network


def seen(findings: list[dict[str, Any]]) -> set[tuple[str, str, str]]:
    return {(found["kind"], found["system"], found["key"]) for found in findings}


def test_systems_that_agree_have_no_differences(network: Network) -> None:
    network.billed()
    network.order(["salesforce", "tryton"])

    assert network.compared("customers", "orders", "invoices") == []

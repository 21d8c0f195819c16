"""Calls of process/reconciliation.v1. Generated from the contract by `make codegen`; do not edit."""

from process_apis.reconciliation.calls import order_to_cash, quickbooks, salesforce, stripe, tryton

__all__ = ["order_to_cash", "quickbooks", "salesforce", "stripe", "tryton"]

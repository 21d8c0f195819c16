"""Calls of process/order-to-cash.v1. Generated from the contract by `make codegen`; do not edit."""

from process_apis.order_to_cash.calls import quickbooks, salesforce, stripe

__all__ = ["quickbooks", "salesforce", "stripe"]

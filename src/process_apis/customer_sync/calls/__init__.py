"""Calls of process/customer-sync.v1. Generated from the contract by `make codegen`; do not edit."""

from process_apis.customer_sync.calls import quickbooks, salesforce, tryton

__all__ = ["quickbooks", "salesforce", "tryton"]

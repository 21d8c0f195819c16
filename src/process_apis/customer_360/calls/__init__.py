"""Calls of process/customer-360.v1. Generated from the contract by `make codegen`; do not edit."""

from process_apis.customer_360.calls import quickbooks, salesforce, stripe, tryton

__all__ = ["quickbooks", "salesforce", "stripe", "tryton"]

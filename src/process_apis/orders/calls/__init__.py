"""Calls of process/orders.v1. Generated from the contract by `make codegen`; do not edit."""

from process_apis.orders.calls import catalog, inventory, stripe, tryton

__all__ = ["catalog", "inventory", "stripe", "tryton"]

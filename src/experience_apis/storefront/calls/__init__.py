"""Calls of experience/storefront.v1. Generated from the contract by `make codegen`; do not edit."""

from experience_apis.storefront.calls import catalog, inventory, orders

__all__ = ["catalog", "inventory", "orders"]

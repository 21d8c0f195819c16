"""Calls of process/inventory.v1. Generated from the contract by `make codegen`; do not edit."""

from process_apis.inventory.calls import tryton

__all__ = ["tryton"]

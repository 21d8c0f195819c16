"""Calls of process/catalog.v1. Generated from the contract by `make codegen`; do not edit."""

from process_apis.catalog.calls import tryton

__all__ = ["tryton"]

"""The order that everything is measured with: 780 bytes of JSON, four parameters, one contract."""

from __future__ import annotations

import json
from typing import Any

ORDER: dict[str, Any] = {
    "orderId": "6c1c5d3e-4a0f-4f57-9a53-2f4f3c9b7d10",
    "poNumber": "PO-2031-0042",
    "currency": "EUR",
    "status": "open",
    "channel": "web",
    "priority": 3,
    "gift": False,
    "note": "Ring twice, then use the side door.",
    "orderedAt": "2026-03-01T10:20:30Z",
    "total": 120.5,
    "tags": ["wholesale", "fast"],
    "customer": {
        "id": "C-1001",
        "email": "orders@shop.example",
        "name": "Corner Shop",
        "vip": True,
    },
    "shipTo": {"line1": "Quay 1", "city": "Odense", "postalCode": "5000", "country": "DK"},
    "lines": [
        {"sku": "ABC-0001", "quantity": 2, "price": 19.5, "discount": 0.1, "text": "Widget"},
        {"sku": "ABC-0002", "quantity": 1, "price": 61.0, "discount": 0, "text": "Gadget"},
        {"sku": "XYZ-9000", "quantity": 5, "price": 4.1, "text": "Cable"},
    ],
    "labels": {"region": "north", "route": "7"},
}
BODY = json.dumps(ORDER, separators=(", ", ": ")).encode()

_TEXT = {"type": "string", "minLength": 1, "maxLength": 100}
_SCHEMAS: dict[str, Any] = {
    "Order": {
        "type": "object",
        "additionalProperties": False,
        "required": ["orderId", "customer", "currency", "status", "lines", "orderedAt", "shipTo"],
        "properties": {
            "orderId": {"type": "string", "format": "uuid"},
            "poNumber": {"type": "string", "pattern": "^[A-Z0-9-]{1,64}$"},
            "currency": {"enum": ["EUR", "USD", "GBP", "DKK"]},
            "status": {"enum": ["draft", "open", "confirmed", "cancelled"]},
            "channel": {"type": ["string", "null"], "maxLength": 20},
            "priority": {"type": "integer", "minimum": 0, "maximum": 9},
            "gift": {"type": "boolean"},
            "note": {"type": "string", "maxLength": 500},
            "orderedAt": {"type": "string", "format": "date-time"},
            "total": {"type": "number", "minimum": 0},
            "tags": {"type": "array", "items": _TEXT, "maxItems": 10, "uniqueItems": True},
            "customer": {"$ref": "#/components/schemas/Customer"},
            "shipTo": {"$ref": "#/components/schemas/Address"},
            "lines": {
                "type": "array",
                "minItems": 1,
                "maxItems": 100,
                "items": {"$ref": "#/components/schemas/Line"},
            },
            "labels": {"type": "object", "additionalProperties": {"type": "string"}},
        },
    },
    "Customer": {
        "type": "object",
        "additionalProperties": False,
        "required": ["id", "email"],
        "properties": {
            "id": _TEXT,
            "email": {"type": "string", "format": "email"},
            "name": _TEXT,
            "vip": {"type": "boolean"},
        },
    },
    "Address": {
        "type": "object",
        "additionalProperties": False,
        "required": ["line1", "city", "country"],
        "properties": {
            "line1": _TEXT,
            "city": _TEXT,
            "postalCode": {"type": "string", "pattern": "^[0-9A-Z -]{3,10}$"},
            "country": {"type": "string", "minLength": 2, "maxLength": 2},
        },
    },
    "Line": {
        "type": "object",
        "additionalProperties": False,
        "required": ["sku", "quantity", "price"],
        "properties": {
            "sku": {"type": "string", "pattern": "^[A-Z]{3}-[0-9]{4}$"},
            "quantity": {"type": "integer", "minimum": 1, "maximum": 1000},
            "price": {"type": "number", "exclusiveMinimum": 0},
            "discount": {"type": "number", "minimum": 0, "maximum": 1},
            "text": {"type": "string", "maxLength": 200},
        },
    },
}
TARGET = "/customers/C-42/orders?expand=customer,lines&limit=10"
HEADERS = {"content-type": "application/json", "x-shop-id": "6c1c5d3e-4a0f-4f57-9a53-2f4f3c9b7d11"}


def contract(base_path: str = "", *, others: int = 0, keyed: bool = False) -> dict[str, Any]:
    """Return the contract with `createOrder` and as many other operations as wanted.

    With `keyed` the order takes an Idempotency-Key.
    """
    paths: dict[str, Any] = {
        f"/things{number}/{{thingId}}/parts": {"get": _get_parts(number)}
        for number in range(others)
    }
    placing = _create_order()
    if keyed:
        placing["parameters"].append(
            {"name": "Idempotency-Key", "in": "header", "schema": {"type": "string"}}
        )
    paths["/customers/{customerId}/orders"] = {"post": placing}
    return {
        "openapi": "3.1.1",
        "info": {"title": "Measured orders", "version": "1.0.0"},
        "x-owner": "bench",
        "x-lifecycle": "stable",
        "servers": [{"url": base_path or "/"}],
        "paths": paths,
        "components": {
            "schemas": _SCHEMAS,
            "securitySchemes": {
                "oauth2": {
                    "type": "oauth2",
                    "flows": {
                        "clientCredentials": {
                            "tokenUrl": "/oauth2/token",
                            "scopes": {"bench:write": "Everything."},
                        }
                    },
                }
            },
        },
    }


def _create_order() -> dict[str, Any]:
    schema = {"schema": {"$ref": "#/components/schemas/Order"}}
    return {
        "operationId": "createOrder",
        "security": [{"oauth2": ["bench:write"]}],
        "parameters": [
            {
                "name": "customerId",
                "in": "path",
                "required": True,
                "schema": {"type": "string", "pattern": "^C-[0-9]+$"},
            },
            {
                "name": "expand",
                "in": "query",
                "style": "form",
                "explode": False,
                "schema": {"type": "array", "items": {"enum": ["customer", "lines"]}},
            },
            {
                "name": "limit",
                "in": "query",
                "schema": {"type": "integer", "minimum": 1, "maximum": 100, "default": 20},
            },
            {"name": "X-Shop-Id", "in": "header", "schema": {"type": "string", "format": "uuid"}},
        ],
        "requestBody": {"required": True, "content": {"application/json": schema}},
        "responses": {
            "201": {"description": "Created.", "content": {"application/json": schema}},
            "default": {
                "description": "What went wrong.",
                "content": {"application/problem+json": {"schema": {"type": "object"}}},
            },
        },
    }


def _get_parts(number: int) -> dict[str, Any]:
    return {
        "operationId": f"getParts{number}",
        "security": [{"oauth2": ["bench:write"]}],
        "parameters": [
            {"name": "thingId", "in": "path", "required": True, "schema": {"type": "string"}},
            {
                "name": "limit",
                "in": "query",
                "schema": {"type": "integer", "minimum": 1, "maximum": 100, "default": 20},
            },
        ],
        "responses": {
            "200": {
                "description": "Parts.",
                "content": {
                    "application/json": {
                        "schema": {
                            "type": "object",
                            "required": ["parts"],
                            "properties": {
                                "parts": {
                                    "type": "array",
                                    "items": {"$ref": "#/components/schemas/Line"},
                                }
                            },
                        }
                    }
                },
            }
        },
    }

"""Data of experience/storefront.v1. Generated from the contract by `make codegen`; do not edit."""

from __future__ import annotations

from typing import Literal, NotRequired, TypedDict


class Money(TypedDict):
    """An amount in one currency."""

    amount: str
    currency: str


class ShopProduct(TypedDict):
    """A product as the shop shows it."""

    sku: str
    name: str
    description: NotRequired[str]
    price: Money
    unit: str
    availability: Literal["in_stock", "low_stock", "out_of_stock", "on_request", "unknown"]
    availableQuantity: NotRequired[int]


class ProductPage(TypedDict):
    """One page of products."""

    products: list[ShopProduct]
    nextCursor: NotRequired[str]


class ShopPayment(TypedDict):
    """Who in Stripe pays, and with what."""

    payerId: str
    paymentToken: str


class CheckoutItem(TypedDict):
    """One product to order."""

    sku: str
    quantity: int


class Checkout(TypedDict):
    """What a shopper orders."""

    customerId: str
    reference: NotRequired[str]
    allowBackorder: bool
    payment: NotRequired[ShopPayment]
    items: list[CheckoutItem]


class ShopOrderItem(TypedDict):
    """One product of an order."""

    sku: str
    name: str
    quantity: float
    unit: str
    price: Money
    total: Money


class ShopTotals(TypedDict):
    """What the order costs."""

    items: Money
    tax: Money
    shipping: Money
    total: Money


class OrderStep(TypedDict):
    step: Literal["placed", "confirmed", "shipped", "completed", "cancelled"]
    state: Literal["done", "current", "upcoming"]


class ShopOrder(TypedDict):
    """An order as a shopper sees it."""

    id: str
    number: NotRequired[str]
    customerId: str
    reference: NotRequired[str]
    placedAt: str
    status: Literal[
        "received", "confirmed", "partly_shipped", "shipped", "completed", "on_hold", "cancelled"
    ]
    items: list[ShopOrderItem]
    totals: ShopTotals
    steps: list[OrderStep]


class ShopCheckout(TypedDict):
    """A checkout whose order was not placed at once."""

    id: str
    status: Literal["processing", "placed", "refused"]
    orderId: NotRequired[str]
    reason: NotRequired[str]

"""What is particular to one S/4HANA, as it was set up."""

from __future__ import annotations

from dataclasses import dataclass

SYSTEM = "sap"


@dataclass(frozen=True, slots=True, kw_only=True)
class S4:
    """One client of one system, and the sales area that orders go to."""

    instance: str
    order_type: str = "OR"
    sales_organization: str = ""
    distribution_channel: str = ""
    division: str = ""
    price_condition: str = "PR00"
    customer_roles: tuple[str, ...] = ("FLCU00", "FLCU01")
    language: str = "EN"


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """An OData service below the address of the system."""

    path: str
    v4: bool = False


BUSINESS_PARTNERS = Service(path="sap/opu/odata/sap/API_BUSINESS_PARTNER")
SALES_ORDERS = Service(path="sap/opu/odata/sap/API_SALES_ORDER_SRV")
BILLING_DOCUMENTS = Service(path="sap/opu/odata/sap/API_BILLING_DOCUMENT_SRV")
PRODUCTS = Service(path="sap/opu/odata4/sap/api_product/srvd_a2x/sap/product/0002", v4=True)
SERVICES = (BUSINESS_PARTNERS, SALES_ORDERS, BILLING_DOCUMENTS, PRODUCTS)

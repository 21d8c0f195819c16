"""The company as its ERP keeps it: partners, products, an order and its invoice."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from portico.sandbox.company import Company, Customer, Product
from system_apis.sap.sandbox.model import entity_named
from system_apis.sap.sandbox.rules import CUSTOMER_ROLE, ISO_UNITS, PRICE_CONDITION
from system_apis.sap.sandbox.store import Row, Store
from system_apis.sap.sandbox.values import padded

_UNITS = {"u": "PC", "kg": "KG"}
_FIRST_BILLING_DOCUMENT = 90_000_001


def seed(store: Store, company: Company) -> None:
    """Fill an empty system with the company."""
    for product in company.products:
        _seed_product(store, product)
    partners = [_seed_customer(store, customer) for customer in company.customers]
    order = _seed_order(store, partners[0], company)
    _seed_invoice(store, order)


def _seed_product(store: Store, product: Product) -> None:
    unit = _UNITS[product.unit]
    store.keep(
        entity_named("Product"),
        {
            "Product": product.code,
            "ProductType": "SERV" if product.type == "service" else "FERT",
            "BaseUnit": unit,
            "BaseISOUnit": ISO_UNITS[unit],
            "ProductGroup": "L001",
            "IsMarkedForDeletion": False,
            "CreationDate": store.now().date().isoformat(),
            "LastChangeDateTime": store.now().isoformat(),
        },
    )
    store.keep(
        entity_named("ProductDescription"),
        {"Product": product.code, "Language": "EN", "ProductDescription": product.name[:40]},
    )


def _seed_customer(store: Store, customer: Customer) -> Row:
    address = customer.addresses[0]
    return store.create(
        entity_named("A_BusinessPartner"),
        {
            "BusinessPartnerCategory": "2",
            "OrganizationBPName1": customer.name,
            "SearchTerm1": customer.code,
            "BusinessPartnerIDByExtSystem": customer.code,
            "CorrespondenceLanguage": customer.language.upper(),
            "to_BusinessPartnerRole": [
                {"BusinessPartnerRole": "FLCU00"},
                {"BusinessPartnerRole": CUSTOMER_ROLE},
            ],
            "to_BusinessPartnerAddress": [
                {
                    "StreetName": address.street,
                    "PostalCode": address.postal_code,
                    "CityName": address.city,
                    "Country": address.country,
                    "to_EmailAddress": [
                        {"EmailAddress": customer.email, "IsDefaultEmailAddress": True}
                    ],
                    "to_PhoneNumber": [
                        {"PhoneNumber": customer.phone, "IsDefaultPhoneNumber": True}
                    ],
                }
            ],
        },
    )


def _seed_order(store: Store, partner: Mapping[str, Any], company: Company) -> Row:
    product = company.products[0]
    condition = {
        "ConditionType": PRICE_CONDITION,
        "ConditionRateValue": str(product.list_price),
        "ConditionCurrency": company.currency,
    }
    return store.create(
        entity_named("A_SalesOrder"),
        {
            "SoldToParty": partner["Customer"],
            "PurchaseOrderByCustomer": "PO-2001",
            "TransactionCurrency": company.currency,
            "SalesOrganization": "1010",
            "DistributionChannel": "10",
            "OrganizationDivision": "00",
            "to_Item": [
                {
                    "Material": product.code,
                    "RequestedQuantity": "2",
                    "RequestedQuantityUnit": _UNITS[product.unit],
                    "to_PricingElement": [condition],
                }
            ],
        },
    )


def _seed_invoice(store: Store, order: Row) -> None:
    number = padded(str(store.next_number("BillingDocument", _FIRST_BILLING_DOCUMENT)))
    items = [
        item for item in store.rows("A_SalesOrderItem") if item["SalesOrder"] == order["SalesOrder"]
    ]
    tax = sum((Decimal(item["TaxAmount"]) for item in items), Decimal(0))
    today = store.now().date().isoformat()
    header: Row = {
        "BillingDocument": number,
        "SoldToParty": order["SoldToParty"],
        "PayerParty": order["SoldToParty"],
        "CancelledBillingDocument": "",
        "SDDocumentCategory": "M",
        "BillingDocumentType": "F2",
        "BillingDocumentDate": today,
        "CreationDate": today,
        "LastChangeDateTime": store.now().isoformat(),
        "BillingDocumentIsCancelled": False,
        "TransactionCurrency": order["TransactionCurrency"],
        "TotalNetAmount": order["TotalNetAmount"],
        "TaxAmount": str(tax),
        "TotalGrossAmount": str(Decimal(order["TotalNetAmount"]) + tax),
        "AccountingPostingStatus": "C",
        "InvoiceClearingStatus": "A",
        "PurchaseOrderByCustomer": order["PurchaseOrderByCustomer"],
        "CompanyCode": "1010",
        "FiscalYear": today[:4],
    }
    store.keep(entity_named("A_BillingDocument"), header)
    for item in items:
        store.keep(entity_named("A_BillingDocumentItem"), _billed(number, item))


def _billed(number: str, item: Row) -> Row:
    return {
        "BillingDocument": number,
        "BillingDocumentItem": item["SalesOrderItem"],
        "SalesDocument": item["SalesOrder"],
        "SalesDocumentItem": item["SalesOrderItem"],
        "Material": item["Material"],
        "BillingDocumentItemText": item["SalesOrderItemText"],
        "BillingQuantity": item["RequestedQuantity"],
        "BillingQuantityUnit": item["RequestedQuantityUnit"],
        "TransactionCurrency": item["TransactionCurrency"],
        "NetAmount": item["NetAmount"],
        "GrossAmount": str(Decimal(item["NetAmount"]) + Decimal(item["TaxAmount"])),
        "TaxAmount": item["TaxAmount"],
    }

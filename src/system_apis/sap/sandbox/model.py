"""The services, and of their entity types what this sandbox keeps.

Names, keys and types are those of the services' metadata (SAP Business Accelerator Hub). Those of
the product service are from its documentation alone; no client that was tried reads it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

ALPHA_LENGTH = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class Property:
    """A property: `alpha` ones are numbers in disguise, kept with leading zeros."""

    name: str
    kind: str = "String"
    length: int = 40
    precision: int = 0
    scale: int = 0
    alpha: bool = False
    read_only: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Navigation:
    """A way to other entities, those whose properties equal ours by these pairs of names."""

    name: str
    target: str
    many: bool
    pairs: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Entity:
    """An entity set and its type. `etag` is the property that changes with every change."""

    name: str
    keys: Sequence[str]
    properties: Mapping[str, Property]
    navigations: Mapping[str, Navigation]
    etag: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """A service at a path, of OData V2 or V4."""

    path: str
    namespace: str
    entities: Mapping[str, Entity]
    v4: bool = False

    @property
    def name(self) -> str:
        """The name as it is known for authorizations, in V4 that of the service group."""
        return self.path.split("/")[5].upper()


def _strings(*names: str, length: int = 40) -> list[Property]:
    return [Property(name=name, length=length) for name in names]


def _alpha(*names: str) -> list[Property]:
    return [Property(name=name, length=ALPHA_LENGTH, alpha=True) for name in names]


def _of(kind: str, *names: str, read_only: bool = False) -> list[Property]:
    return [Property(name=name, kind=kind, read_only=read_only) for name in names]


def _decimals(precision: int, *names: str, scale: int = 3) -> list[Property]:
    return [Property(name=name, kind="Decimal", precision=precision, scale=scale) for name in names]


def _entity(
    name: str,
    keys: Sequence[str],
    properties: Iterable[Property],
    navigations: Iterable[Navigation] = (),
    etag: str = "",
) -> Entity:
    return Entity(
        name=name,
        keys=keys,
        properties={each.name: each for each in properties},
        navigations={each.name: each for each in navigations},
        etag=etag,
    )


def _to(name: str, target: str, *pairs: str | tuple[str, str], many: bool = True) -> Navigation:
    both = [(each, each) if isinstance(each, str) else each for each in pairs]
    return Navigation(name=name, target=target, many=many, pairs=both)


def _service(path: str, namespace: str, *entities: Entity, v4: bool = False) -> Service:
    return Service(
        path=path, namespace=namespace, entities={each.name: each for each in entities}, v4=v4
    )


_BUSINESS_PARTNER = _service(
    "/sap/opu/odata/sap/API_BUSINESS_PARTNER",
    "API_BUSINESS_PARTNER",
    _entity(
        "A_BusinessPartner",
        ["BusinessPartner"],
        [
            *_alpha("BusinessPartner", "Customer"),
            *_strings("BusinessPartnerCategory", length=1),
            *_strings("BusinessPartnerFullName", "BusinessPartnerName", length=81),
            *_strings("BusinessPartnerGrouping", length=4),
            *_strings("CorrespondenceLanguage", "Language", length=2),
            *_strings("FirstName", "LastName", "OrganizationBPName1"),
            *_strings("SearchTerm1", "BusinessPartnerIDByExtSystem", length=20),
            *_of("Boolean", "BusinessPartnerIsBlocked", "IsMarkedForArchiving"),
            *_of("Date", "CreationDate", "LastChangeDate", read_only=True),
            *_of("Time", "LastChangeTime", read_only=True),
            Property(name="ETag", length=26, read_only=True),
        ],
        [
            _to("to_BusinessPartnerAddress", "A_BusinessPartnerAddress", "BusinessPartner"),
            _to("to_BusinessPartnerRole", "A_BusinessPartnerRole", "BusinessPartner"),
            _to("to_Customer", "A_Customer", "Customer", many=False),
        ],
        etag="ETag",
    ),
    _entity(
        "A_BusinessPartnerAddress",
        ["BusinessPartner", "AddressID"],
        [
            *_alpha("BusinessPartner"),
            *_strings("AddressID", "HouseNumber", "PostalCode", length=10),
            *_strings("StreetName", length=60),
            *_strings("CityName"),
            *_strings("Country", "Region", length=3),
        ],
        [
            _to("to_EmailAddress", "A_AddressEmailAddress", "AddressID"),
            _to("to_PhoneNumber", "A_AddressPhoneNumber", "AddressID"),
        ],
    ),
    _entity(
        "A_AddressEmailAddress",
        ["AddressID", "Person", "OrdinalNumber"],
        [
            *_strings("AddressID", "Person", length=10),
            *_strings("OrdinalNumber", length=3),
            *_strings("EmailAddress", length=241),
            *_of("Boolean", "IsDefaultEmailAddress"),
        ],
    ),
    _entity(
        "A_AddressPhoneNumber",
        ["AddressID", "Person", "OrdinalNumber"],
        [
            *_strings("AddressID", "Person", length=10),
            *_strings("OrdinalNumber", length=3),
            *_strings("PhoneNumber", length=30),
            *_of("Boolean", "IsDefaultPhoneNumber"),
        ],
    ),
    _entity(
        "A_BusinessPartnerRole",
        ["BusinessPartner", "BusinessPartnerRole"],
        [*_alpha("BusinessPartner"), *_strings("BusinessPartnerRole", length=6)],
    ),
    _entity(
        "A_Customer",
        ["Customer"],
        [
            *_alpha("Customer"),
            *_strings("CustomerName", length=80),
            *_strings("OrderIsBlockedForCustomer", length=2),
            *_strings("VATRegistration", length=20),
            *_of("Boolean", "DeletionIndicator"),
        ],
    ),
)
_ISO_UNIT = ("RequestedQuantityUnit", "RequestedQuantitySAPUnit", "RequestedQuantityISOUnit")
_SALES_ORDER = _service(
    "/sap/opu/odata/sap/API_SALES_ORDER_SRV",
    "API_SALES_ORDER_SRV",
    _entity(
        "A_SalesOrder",
        ["SalesOrder"],
        [
            *_alpha("SalesOrder", "SoldToParty"),
            *_strings("SalesOrderType", "SalesOrganization", "CustomerPaymentTerms", length=4),
            *_strings("DistributionChannel", "OrganizationDivision", length=2),
            *_strings("PurchaseOrderByCustomer", length=35),
            *_strings("TransactionCurrency", length=5),
            *_strings("DeliveryBlockReason", "HeaderBillingBlockReason", length=2),
            *_strings("OverallDeliveryStatus", "OverallSDProcessStatus", length=1),
            *_strings("OverallSDDocumentRejectionSts", "OverallOrdReltdBillgStatus", length=1),
            *_strings("SalesDocApprovalStatus", length=1),
            *_decimals(16, "TotalNetAmount"),
            *_of("Date", "SalesOrderDate", "RequestedDeliveryDate"),
            *_of("Date", "CreationDate", read_only=True),
            *_of("DateTimeOffset", "LastChangeDateTime", read_only=True),
        ],
        [_to("to_Item", "A_SalesOrderItem", "SalesOrder")],
        etag="LastChangeDateTime",
    ),
    _entity(
        "A_SalesOrderItem",
        ["SalesOrder", "SalesOrderItem"],
        [
            *_alpha("SalesOrder"),
            *_strings("SalesOrderItem", length=6),
            *_strings("Material", "SalesOrderItemText"),
            *_decimals(15, "RequestedQuantity", "ConfdDelivQtyInOrderQtyUnit"),
            *_strings(*_ISO_UNIT, length=3),
            *_strings("TransactionCurrency", length=5),
            *_decimals(16, "NetAmount", "TaxAmount"),
            *_strings("SalesDocumentRjcnReason", length=2),
            *_strings("DeliveryStatus", "SDProcessStatus", length=1),
        ],
        [
            _to(
                "to_PricingElement",
                "A_SalesOrderItemPrElement",
                "SalesOrder",
                "SalesOrderItem",
            ),
            _to("to_SalesOrder", "A_SalesOrder", "SalesOrder", many=False),
        ],
    ),
    _entity(
        "A_SalesOrderItemPrElement",
        ["SalesOrder", "SalesOrderItem", "PricingProcedureStep", "PricingProcedureCounter"],
        [
            *_alpha("SalesOrder"),
            *_strings("SalesOrderItem", length=6),
            *_strings("PricingProcedureStep", "PricingProcedureCounter", length=3),
            *_strings("ConditionType", length=4),
            *_decimals(24, "ConditionRateValue", scale=9),
            *_strings("ConditionCurrency", length=5),
            *_decimals(5, "ConditionQuantity", scale=0),
            *_strings("ConditionQuantityUnit", length=3),
            *_decimals(16, "ConditionAmount"),
        ],
    ),
)
_BILLING_DOCUMENT = _service(
    "/sap/opu/odata/sap/API_BILLING_DOCUMENT_SRV",
    "API_BILLING_DOCUMENT_SRV",
    _entity(
        "A_BillingDocument",
        ["BillingDocument"],
        [
            *_alpha("BillingDocument", "SoldToParty", "PayerParty", "CancelledBillingDocument"),
            *_strings("SDDocumentCategory", "BillingDocumentType", length=4),
            *_of("Date", "BillingDocumentDate", "CreationDate"),
            *_of("DateTimeOffset", "LastChangeDateTime", read_only=True),
            *_of("Boolean", "BillingDocumentIsCancelled"),
            *_strings("TransactionCurrency", length=5),
            *_decimals(16, "TotalNetAmount", "TaxAmount", "TotalGrossAmount"),
            *_strings("AccountingPostingStatus", "InvoiceClearingStatus", length=1),
            *_strings("PurchaseOrderByCustomer", length=35),
            *_strings("CompanyCode", "FiscalYear", length=4),
        ],
        [_to("to_Item", "A_BillingDocumentItem", "BillingDocument")],
        etag="LastChangeDateTime",
    ),
    _entity(
        "A_BillingDocumentItem",
        ["BillingDocument", "BillingDocumentItem"],
        [
            *_alpha("BillingDocument", "SalesDocument"),
            *_strings("BillingDocumentItem", "SalesDocumentItem", length=6),
            *_strings("Material", "BillingDocumentItemText"),
            *_decimals(13, "BillingQuantity"),
            *_strings("BillingQuantityUnit", length=3),
            *_strings("TransactionCurrency", length=5),
            *_decimals(16, "NetAmount", "GrossAmount", "TaxAmount"),
        ],
    ),
)
_PRODUCT = _service(
    "/sap/opu/odata4/sap/api_product/srvd_a2x/sap/product/0002",
    "com.sap.gateway.srvd_a2x.api_product.v0002",
    _entity(
        "Product",
        ["Product"],
        [
            *_strings("Product"),
            *_strings("ProductType", length=4),
            *_strings("BaseUnit", "BaseISOUnit", length=3),
            *_strings("ProductGroup", length=9),
            *_of("Boolean", "IsMarkedForDeletion"),
            *_of("Date", "CreationDate"),
            *_of("DateTimeOffset", "LastChangeDateTime", read_only=True),
        ],
        [_to("_ProductDescription", "ProductDescription", "Product")],
        etag="LastChangeDateTime",
    ),
    _entity(
        "ProductDescription",
        ["Product", "Language"],
        [*_strings("Product"), *_strings("Language", length=2), *_strings("ProductDescription")],
    ),
    v4=True,
)
SERVICES = (_BUSINESS_PARTNER, _SALES_ORDER, _BILLING_DOCUMENT, _PRODUCT)


def entity_named(name: str) -> Entity:
    """Return an entity by its name, which is unique among the services."""
    return next(each.entities[name] for each in SERVICES if name in each.entities)

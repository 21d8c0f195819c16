"""The objects of the org, with the fields that this sandbox keeps of them.

`Ext_Id__c` is a custom field as an administrator makes it for an integration. On contacts it was
made without "unique", which is how an upsert comes to find several records.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

TEXT_LENGTH = 255
EXTERNAL_ID = "Ext_Id__c"


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """A field: `target` and `relationship` are of a reference, `values` of a picklist."""

    name: str
    kind: str = "string"
    required: bool = False
    length: int = TEXT_LENGTH
    external: bool = False
    unique: bool = False
    read_only: bool = False
    create_only: bool = False
    target: str = ""
    relationship: str = ""
    values: tuple[str, ...] = ()
    default: object = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Object:
    """An object; `children` maps the name of a child relationship to object and field."""

    name: str
    prefix: str
    fields: Mapping[str, Field]
    children: Mapping[str, tuple[str, str]]

    def field(self, name: str) -> Field | None:
        """Return a field by its name, whatever its case."""
        return self.fields.get(name.lower())

    def parent(self, relationship: str) -> Field | None:
        """Return the reference field that a relationship goes along."""
        wanted = relationship.lower()
        found = (field for field in self.fields.values() if field.relationship.lower() == wanted)
        return next(found, None)


def _text(*names: str, length: int = TEXT_LENGTH) -> list[Field]:
    return [Field(name=name, length=length) for name in names]


def _reference(name: str, target: str, *, required: bool = False, fixed: bool = False) -> Field:
    return Field(
        name=name,
        kind="reference",
        target=target,
        relationship=name.removesuffix("Id"),
        required=required,
        create_only=fixed,
    )


def _address(prefix: str) -> list[Field]:
    parts = ("Street", "City", "State", "StateCode", "PostalCode", "Country", "CountryCode")
    return _text(*(prefix + part for part in parts))


_CURRENCY = Field(name="CurrencyIsoCode", kind="picklist", values=("EUR", "USD"), default="EUR")
_SYSTEM = (
    Field(name="Id", kind="id", read_only=True),
    Field(name="IsDeleted", kind="boolean", read_only=True, default=False),
    Field(name="CreatedDate", kind="datetime", read_only=True),
    Field(name="LastModifiedDate", kind="datetime", read_only=True),
    Field(name="SystemModstamp", kind="datetime", read_only=True),
)


def _object(
    name: str,
    prefix: str,
    fields: Iterable[Field],
    children: Mapping[str, tuple[str, str]] | None = None,
) -> Object:
    named = {field.name.lower(): field for field in (*_SYSTEM, *fields, _CURRENCY)}
    return Object(name=name, prefix=prefix, fields=named, children=children or {})


def _external(*, unique: bool) -> Field:
    return Field(name=EXTERNAL_ID, external=True, unique=unique)


STAGES: Mapping[str, tuple[int, bool, bool]] = {
    "Prospecting": (10, False, False),
    "Qualification": (10, False, False),
    "Needs Analysis": (20, False, False),
    "Proposal/Price Quote": (75, False, False),
    "Negotiation/Review": (90, False, False),
    "Closed Won": (100, True, True),
    "Closed Lost": (0, True, False),
}

_ALL = (
    _object(
        "Account",
        "001",
        [
            Field(name="Name", required=True),
            *_text("AccountNumber", "Type", "Phone", "Website", "Description"),
            *_address("Billing"),
            *_address("Shipping"),
            _reference("ParentId", "Account"),
            Field(name="MasterRecordId", kind="reference", target="Account", read_only=True),
            _external(unique=True),
        ],
        {
            "Contacts": ("Contact", "AccountId"),
            "Orders": ("Order", "AccountId"),
            "Opportunities": ("Opportunity", "AccountId"),
        },
    ),
    _object(
        "Contact",
        "003",
        [
            Field(name="LastName", required=True, length=80),
            Field(name="FirstName", length=40),
            Field(name="Name", read_only=True),
            Field(name="Email", kind="email", length=80),
            *_text("Phone", "MobilePhone", length=40),
            *_text("Title", length=128),
            *_address("Mailing"),
            _reference("AccountId", "Account"),
            _external(unique=False),
        ],
    ),
    _object(
        "Product2",
        "01t",
        [
            Field(name="Name", required=True),
            *_text("ProductCode", "Family", "QuantityUnitOfMeasure"),
            Field(name="Description", length=4000),
            Field(name="IsActive", kind="boolean", default=False),
        ],
        {"PricebookEntries": ("PricebookEntry", "Product2Id")},
    ),
    _object(
        "Pricebook2",
        "01s",
        [
            Field(name="Name", required=True),
            Field(name="IsActive", kind="boolean", default=False),
            Field(name="IsStandard", kind="boolean", read_only=True, default=False),
        ],
    ),
    _object(
        "PricebookEntry",
        "01u",
        [
            _reference("Pricebook2Id", "Pricebook2", required=True, fixed=True),
            _reference("Product2Id", "Product2", required=True, fixed=True),
            Field(name="UnitPrice", kind="currency", required=True),
            Field(name="IsActive", kind="boolean", default=False),
        ],
    ),
    _object(
        "Order",
        "801",
        [
            Field(name="OrderNumber", read_only=True),
            _reference("AccountId", "Account", required=True),
            _reference("Pricebook2Id", "Pricebook2"),
            Field(name="EffectiveDate", kind="date", required=True),
            Field(name="Status", kind="picklist", required=True, values=("Draft", "Activated")),
            Field(name="StatusCode", read_only=True),
            Field(name="ActivatedDate", kind="datetime", read_only=True),
            Field(name="TotalAmount", kind="currency", read_only=True),
            *_text("PoNumber", length=80),
            Field(name="Description", length=32000),
            *_address("Billing"),
            *_address("Shipping"),
            _external(unique=True),
        ],
        {"OrderItems": ("OrderItem", "OrderId")},
    ),
    _object(
        "OrderItem",
        "802",
        [
            Field(name="OrderItemNumber", read_only=True),
            _reference("OrderId", "Order", required=True, fixed=True),
            _reference("PricebookEntryId", "PricebookEntry", required=True, fixed=True),
            Field(
                name="Product2Id",
                kind="reference",
                target="Product2",
                relationship="Product2",
                read_only=True,
            ),
            Field(name="Quantity", kind="double", required=True),
            Field(name="UnitPrice", kind="currency", required=True),
            Field(name="TotalPrice", kind="currency", read_only=True),
            Field(name="ServiceDate", kind="date"),
            *_text("Description"),
        ],
    ),
    _object(
        "Opportunity",
        "006",
        [
            Field(name="Name", required=True, length=120),
            _reference("AccountId", "Account"),
            Field(name="StageName", kind="picklist", required=True, values=tuple(STAGES)),
            Field(name="CloseDate", kind="date", required=True),
            Field(name="Amount", kind="currency"),
            Field(name="Probability", kind="percent"),
            Field(name="IsClosed", kind="boolean", read_only=True, default=False),
            Field(name="IsWon", kind="boolean", read_only=True, default=False),
            *_text("NextStep", "LeadSource"),
            Field(name="Description", length=32000),
            _external(unique=True),
        ],
    ),
)
OBJECTS: Mapping[str, Object] = {definition.name.lower(): definition for definition in _ALL}


def find(name: str) -> Object | None:
    """Return an object by its name, whatever its case."""
    return OBJECTS.get(name.lower())

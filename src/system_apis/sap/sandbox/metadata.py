"""$metadata: the services described in EDMX, which generic clients read before anything else."""

from __future__ import annotations

from collections.abc import Iterator
from xml.sax.saxutils import quoteattr

from system_apis.sap.sandbox.model import Entity, Navigation, Property, Service

_V2_KINDS = {"Date": "DateTime"}
_V4_KINDS = {"Time": "TimeOfDay"}
_EDMX2 = "http://schemas.microsoft.com/ado/2007/06/edmx"
_EDM2 = "http://schemas.microsoft.com/ado/2008/09/edm"
_META2 = "http://schemas.microsoft.com/ado/2007/08/dataservices/metadata"
_SAP2 = "http://www.sap.com/Protocols/SAPData"
_EDMX4 = "http://docs.oasis-open.org/odata/ns/edmx"
_EDM4 = "http://docs.oasis-open.org/odata/ns/edm"


def describe(service: Service) -> bytes:
    """Return the EDMX document of a service."""
    lines = _v4(service) if service.v4 else _v2(service)
    return ('<?xml version="1.0" encoding="utf-8"?>' + "".join(lines)).encode()


def _v2(service: Service) -> Iterator[str]:
    yield f'<edmx:Edmx Version="1.0" xmlns:edmx="{_EDMX2}" xmlns:m="{_META2}" xmlns:sap="{_SAP2}">'
    yield '<edmx:DataServices m:DataServiceVersion="2.0">'
    yield f'<Schema Namespace="{service.namespace}" xmlns="{_EDM2}">'
    for entity in service.entities.values():
        yield from _type(service, entity)
    for entity in service.entities.values():
        yield from (_association(service, entity, each) for each in entity.navigations.values())
    container = f"{service.namespace}_Entities"
    yield f'<EntityContainer Name="{container}" m:IsDefaultEntityContainer="true">'
    yield from _sets(service)
    for entity in service.entities.values():
        yield from (_association_set(service, entity, each) for each in entity.navigations.values())
    yield "</EntityContainer></Schema></edmx:DataServices></edmx:Edmx>"


def _v4(service: Service) -> Iterator[str]:
    yield f'<edmx:Edmx Version="4.0" xmlns:edmx="{_EDMX4}"><edmx:DataServices>'
    yield f'<Schema Namespace="{service.namespace}" xmlns="{_EDM4}">'
    for entity in service.entities.values():
        yield from _type(service, entity)
    yield '<EntityContainer Name="Container">'
    for entity in service.entities.values():
        yield f'<EntitySet Name="{entity.name}" EntityType="{_type_of(service, entity.name)}">'
        for navigation in entity.navigations.values():
            yield (
                f'<NavigationPropertyBinding Path="{navigation.name}" '
                f'Target="{navigation.target}"/>'
            )
        yield "</EntitySet>"
    yield "</EntityContainer></Schema></edmx:DataServices></edmx:Edmx>"


def _sets(service: Service) -> Iterator[str]:
    for entity in service.entities.values():
        yield f'<EntitySet Name="{entity.name}" EntityType="{_type_of(service, entity.name)}"/>'


def _type(service: Service, entity: Entity) -> Iterator[str]:
    yield f'<EntityType Name="{entity.name}Type"><Key>'
    yield from (f'<PropertyRef Name="{key}"/>' for key in entity.keys)
    yield "</Key>"
    for each in entity.properties.values():
        yield _property(each, entity, v4=service.v4)
    for way in entity.navigations.values():
        yield _v4_navigation(service, way) if service.v4 else _v2_navigation(service, entity, way)
    yield "</EntityType>"


def _property(wanted: Property, entity: Entity, *, v4: bool) -> str:
    kinds = _V4_KINDS if v4 else _V2_KINDS
    facets = [f'Name="{wanted.name}"', f'Type="Edm.{kinds.get(wanted.kind, wanted.kind)}"']
    facets.append(f'Nullable="{str(wanted.name not in entity.keys).lower()}"')
    match wanted.kind:
        case "String":
            facets.append(f'MaxLength="{wanted.length}"')
        case "Decimal":
            facets.append(f'Precision="{wanted.precision}" Scale="{wanted.scale}"')
        case "Date" if not v4:
            facets.append('Precision="0" sap:display-format="Date"')
        case "DateTimeOffset":
            facets.append('Precision="7"')
    if wanted.name == entity.etag and not v4:
        facets.append('ConcurrencyMode="Fixed"')
    return f"<Property {' '.join(facets)}/>"


def _v2_navigation(service: Service, entity: Entity, way: Navigation) -> str:
    return (
        f'<NavigationProperty Name="{way.name}" '
        f'Relationship="{service.namespace}.{entity.name}_{way.name}" '
        'FromRole="From" ToRole="To"/>'
    )


def _v4_navigation(service: Service, way: Navigation) -> str:
    kind = _type_of(service, way.target)
    kind = f"Collection({kind})" if way.many else kind
    return f'<NavigationProperty Name="{way.name}" Type={quoteattr(kind)}/>'


def _association(service: Service, entity: Entity, way: Navigation) -> str:
    multiplicity = "*" if way.many else "0..1"
    return (
        f'<Association Name="{entity.name}_{way.name}">'
        f'<End Type="{_type_of(service, entity.name)}" Multiplicity="1" Role="From"/>'
        f'<End Type="{_type_of(service, way.target)}" Multiplicity="{multiplicity}" Role="To"/>'
        "</Association>"
    )


def _association_set(service: Service, entity: Entity, way: Navigation) -> str:
    return (
        f'<AssociationSet Name="{entity.name}_{way.name}Set" '
        f'Association="{service.namespace}.{entity.name}_{way.name}">'
        f'<End EntitySet="{entity.name}" Role="From"/><End EntitySet="{way.target}" Role="To"/>'
        "</AssociationSet>"
    )


def _type_of(service: Service, name: str) -> str:
    return f"{service.namespace}.{name}Type"

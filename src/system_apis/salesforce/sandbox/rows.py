"""Records one by one: /sobjects."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from system_apis.salesforce.sandbox.errors import RefusalError, not_found
from system_apis.salesforce.sandbox.messages import Answer, Data, Request, not_allowed
from system_apis.salesforce.sandbox.objects import Field, Object
from system_apis.salesforce.sandbox.query import described
from system_apis.salesforce.sandbox.store import Record
from system_apis.salesforce.sandbox.values import parse_instant


def answer(data: Data, request: Request) -> Answer:
    """Answer a request for /sobjects and what is below; raises RefusalError."""
    match request.path[1:]:
        case []:
            return Answer(
                body={"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": _listed(data)}
            )
        case [name]:
            return _collection(data, request, data.store.schema.named(name))
        case [name, "describe"]:
            return Answer(body=_describe(data.store.schema.named(name)))
        case [name, ("updated" | "deleted") as kind]:
            return Answer(body=_changed(data, data.store.schema.named(name), kind, request.query))
        case [name, record_id]:
            return _row(data, request, data.store.schema.named(name), record_id)
        case [name, field, value]:
            return _external(data, request, data.store.schema.named(name), field, value)
        case _:
            raise not_found()


def _collection(data: Data, request: Request, definition: Object) -> Answer:
    if request.method == "GET":
        return Answer(body={"objectDescribe": {"name": definition.name}, "recentItems": []})
    if request.method != "POST":
        raise not_allowed(request)
    data.lock()
    return _created(request, definition, create(data, request, definition))


def create(data: Data, request: Request, definition: Object) -> str:
    return data.store.insert(definition, request.values(), request.saving())


def _created(request: Request, definition: Object, record_id: str) -> Answer:
    url = f"/services/data/{request.version}/sobjects/{definition.name}/{record_id}"
    body = {"id": record_id, "success": True, "errors": []}
    return Answer(status=201, body=body, headers={"Location": url})


def _row(data: Data, request: Request, definition: Object, record_id: str) -> Answer:
    match request.method:
        case "GET" | "HEAD":
            record = data.store.get(definition.name, record_id)
            return Answer(body=_shown(record, definition, request))
        case "PATCH":
            _check_unmodified(data.store.get(definition.name, record_id), request)
            data.lock()
            data.store.update(definition, record_id, request.values(), request.saving())
            return Answer(status=204)
        case "DELETE":
            data.store.get(definition.name, record_id)
            data.lock()
            data.store.delete(definition, record_id)
            return Answer(status=204)
        case _:
            raise not_allowed(request)


def _check_unmodified(record: Record, request: Request) -> None:
    since = request.headers.get("if-unmodified-since")
    if since is None:
        return
    try:
        moment = parsedate_to_datetime(since)
    except ValueError:
        return  # RFC 9110, 13.1.4: a date that cannot be read is ignored
    if parse_instant(record["SystemModstamp"]) > moment:
        message = "The record was changed since the time in If-Unmodified-Since"
        raise RefusalError(412, "PRECONDITION_FAILED", message)


def _external(data: Data, request: Request, definition: Object, name: str, value: str) -> Answer:
    """Answer a request that names a record by an external id."""
    field = definition.field(name)
    if field is None or not field.external:
        raise not_found("Provided external ID field does not exist or is not accessible: " + name)
    found = data.store.matches(definition.name, field.name, value)
    if len(found) > 1:
        urls = [
            str(described(each, definition, request.version)["attributes"]["url"]) for each in found
        ]
        return Answer(status=300, body=urls)
    match request.method:
        case "GET" | "HEAD":
            if not found:
                raise not_found()
            return Answer(body=_shown(found[0], definition, request))
        case "PATCH":
            data.lock()
            return upsert(data, request, definition, field, value)
        case "DELETE":
            if not found:
                raise not_found()
            data.lock()
            data.store.delete(definition, found[0]["Id"])
            return Answer(status=204)
        case _:
            raise not_allowed(request)


def upsert(data: Data, request: Request, definition: Object, field: Field, value: str) -> Answer:
    """Create or change the record that an external id names, of which there is one at most."""
    values = request.values()
    if any(name.lower() == field.name.lower() for name in values):
        message = f"The {field.name} field should not be specified in the sobject data."
        raise RefusalError(400, "INVALID_FIELD", message, [field.name])
    found = data.store.matches(definition.name, field.name, value)
    if found:
        record_id = str(found[0]["Id"])
        data.store.update(definition, record_id, values, request.saving())
        status = 200
    else:
        named = {**values, field.name: value}
        record_id = data.store.insert(definition, named, request.saving())
        status = 201
    body = {"id": record_id, "success": True, "errors": [], "created": status == 201}
    return Answer(
        status=status, body=body, headers=_created(request, definition, record_id).headers
    )


def _shown(record: Record, definition: Object, request: Request) -> dict[str, object]:
    fields = list(definition.fields.values())
    if "fields" in request.query:
        names = request.query["fields"].split(",")
        missing = [name for name in names if definition.field(name.strip()) is None]
        if missing:
            message = f"No such column '{missing[0]}' on sobject of type {definition.name}"
            raise RefusalError(400, "INVALID_FIELD", message)
        wanted = {name.strip().lower() for name in names} | {"id"}
        fields = [field for field in fields if field.name.lower() in wanted]
    shown = {field.name: record.get(field.name) for field in fields}
    return {**described(record, definition, request.version), **shown}


def _listed(data: Data) -> list[dict[str, object]]:
    return [
        {"name": each.name, "label": each.name, "keyPrefix": each.prefix, "queryable": True}
        for each in data.store.schema.objects()
    ]


def _describe(definition: Object) -> dict[str, object]:
    return {
        "name": definition.name,
        "label": definition.name,
        "keyPrefix": definition.prefix,
        "fields": [_described_field(field) for field in definition.fields.values()],
        "childRelationships": [
            {"relationshipName": relationship, "childSObject": name, "field": field}
            for relationship, (name, field) in definition.children.items()
        ],
    }


def _described_field(field: Field) -> dict[str, object]:
    return {
        "name": field.name,
        "type": field.kind,
        "length": field.length if field.kind == "string" else 0,
        "nillable": not field.required,
        "createable": not field.read_only,
        "updateable": not (field.read_only or field.create_only),
        "externalId": field.external,
        "unique": field.unique,
        "referenceTo": [field.target] if field.target else [],
        "relationshipName": field.relationship or None,
        "picklistValues": [{"value": value, "active": True} for value in field.values],
    }


def _changed(
    data: Data, definition: Object, kind: str, query: Mapping[str, str]
) -> dict[str, object]:
    """Return the ids of what was changed or deleted from a moment on, before another."""
    try:
        start, end = parse_instant(query["start"]), parse_instant(query["end"])
    except (KeyError, ValueError):
        raise RefusalError(400, "INVALID_REPLICATION_DATE", "start and end are needed") from None
    records = [
        record
        for record in data.store.records(definition.name, deleted=kind == "deleted")
        if start <= parse_instant(record["SystemModstamp"]) < end
    ]
    if kind == "updated":
        return {"ids": [record["Id"] for record in records], "latestDateCovered": query["end"]}
    gone = [
        {"id": record["Id"], "deletedDate": record["SystemModstamp"]}
        for record in records
        if record["IsDeleted"]
    ]
    earliest = datetime.fromtimestamp(0, UTC).isoformat()
    return {
        "deletedRecords": gone,
        "earliestDateAvailable": earliest,
        "latestDateCovered": query["end"],
    }

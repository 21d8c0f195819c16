"""Several requests in one: /composite, /composite/tree and /composite/sobjects."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from system_apis.salesforce.sandbox.errors import RefusalError, not_found
from system_apis.salesforce.sandbox.messages import Answer, Data, Request, not_allowed
from system_apis.salesforce.sandbox.objects import Object
from system_apis.salesforce.sandbox.rows import upsert

MAX_SUBREQUESTS = 25
MAX_QUERIES = 5  # subrequests that query or work on collections
MAX_RECORDS = 200
MAX_LEVELS = 5
_REFERENCE = re.compile(r"@\{([A-Za-z0-9_]+)((?:\.[A-Za-z0-9_]+|\[\d+\])*)\}")
_REFERENCE_ID = re.compile(r"[A-Za-z0-9_]+")
_STEP = re.compile(r"\.([A-Za-z0-9_]+)|\[(\d+)\]")

Dispatch = Callable[[Data, Request], Answer]


def answer(data: Data, request: Request, dispatch: Dispatch) -> Answer:
    """Answer a composite request; `dispatch` answers its subrequests. Raises RefusalError."""
    match request.path[1:]:
        case []:
            return _composite(data, request, dispatch)
        case ["tree", name]:
            return _tree(data, request, data.store.schema.named(name))
        case ["sobjects"]:
            return _created(data, request)
        case ["sobjects", name, field]:
            return _upserted(data, request, data.store.schema.named(name), field)
        case _:
            raise not_found()


def _composite(data: Data, request: Request, dispatch: Dispatch) -> Answer:
    if request.method != "POST":
        raise not_allowed(request)
    document = request.values()
    parts = document.get("compositeRequest")
    if not isinstance(parts, list) or not parts:
        raise _invalid("compositeRequest must be a list of subrequests")
    if len(parts) > MAX_SUBREQUESTS:
        raise _invalid(f"a composite request has at most {MAX_SUBREQUESTS} subrequests")
    subrequests = [_subrequest(request, part) for part in parts]
    queries = sum(each.path[0] in ("query", "queryAll", "composite") for _, each in subrequests)
    if queries > MAX_QUERIES:
        raise _invalid(f"a composite request has at most {MAX_QUERIES} queries and collections")
    return Answer(body={"compositeResponse": _run(data, subrequests, document, dispatch)})


def _subrequest(request: Request, part: object) -> tuple[str, Request]:
    if not isinstance(part, Mapping):
        raise _invalid("a subrequest is an object")
    reference, url = str(part.get("referenceId") or ""), str(part.get("url") or "")
    prefix = f"/services/data/{request.version}/"
    if not _REFERENCE_ID.fullmatch(reference):
        raise _invalid(f"the reference id {reference!r} is not of letters, digits and underscores")
    if not url.startswith(prefix):
        raise _invalid(f"the url of {reference} does not begin with {prefix}")
    target = urlsplit(url)
    given = part.get("httpHeaders")
    fields = given.items() if isinstance(given, Mapping) else ()
    headers = {str(name).lower(): str(value) for name, value in fields}
    inner = Request(
        method=str(part.get("method") or "").upper(),
        path=[unquote(segment) for segment in target.path.removeprefix(prefix).split("/")],
        version=request.version,
        query=dict(parse_qsl(target.query)),
        headers=headers,
        body=part.get("body"),
    )
    return reference, inner


def _run(
    data: Data,
    subrequests: Sequence[tuple[str, Request]],
    document: Mapping[str, Any],
    dispatch: Dispatch,
) -> list[dict[str, object]]:
    snapshot = data.store.snapshot()
    bodies: dict[str, object] = {}
    results: list[dict[str, object]] = []
    failed = ""
    for reference, request in subrequests:
        found = _halted() if failed and document.get("allOrNone") else None
        found = found or _attempt(data, request, bodies, dispatch)
        results.append(_result(reference, found))
        bodies[reference] = found.body
        if found.status >= 300 and not failed:
            failed = reference
    if failed and document.get("allOrNone"):
        data.store.restore(snapshot)
        return [
            each if each["referenceId"] == failed else _result(str(each["referenceId"]), _halted())
            for each in results
        ]
    return results


def _attempt(
    data: Data, request: Request, bodies: Mapping[str, object], dispatch: Dispatch
) -> Answer:
    try:
        resolved = Request(
            method=request.method,
            path=[str(_resolved(segment, bodies)) for segment in request.path],
            version=request.version,
            query={name: str(_resolved(value, bodies)) for name, value in request.query.items()},
            headers=request.headers,
            body=_resolved(request.body, bodies),
        )
        return dispatch(data, resolved)
    except RefusalError as error:
        return Answer(status=error.status, body=error.document())


def _result(reference: str, found: Answer) -> dict[str, object]:
    return {
        "body": found.body,
        "httpHeaders": dict(found.headers),
        "httpStatusCode": found.status,
        "referenceId": reference,
    }


def _halted() -> Answer:
    message = (
        "The transaction was rolled back since another operation in the same transaction failed."
    )
    return Answer(status=400, body=RefusalError(400, "PROCESSING_HALTED", message).document())


def _resolved(value: object, bodies: Mapping[str, object]) -> object:
    """Return a value with every @{reference} in it replaced by what it stands for."""
    if isinstance(value, str):
        return _REFERENCE.sub(lambda match: str(_referred(match, bodies)), value)
    if isinstance(value, list):
        return [_resolved(each, bodies) for each in value]
    if isinstance(value, dict):
        return {name: _resolved(each, bodies) for name, each in value.items()}
    return value


def _referred(match: re.Match[str], bodies: Mapping[str, object]) -> object:
    found: Any = bodies.get(match[1])
    for step in _STEP.finditer(match[2]):
        try:
            found = found[step[1]] if step[1] else found[int(step[2])]
        except (KeyError, IndexError, TypeError):
            found = None
    if found is None:
        raise _invalid(f"Invalid reference specified. No value for {match[0]} found.")
    return found


def _tree(data: Data, request: Request, definition: Object) -> Answer:
    """Create records with their children, all or none."""
    if request.method != "POST":
        raise not_allowed(request)
    data.lock()
    snapshot = data.store.snapshot()
    results: list[dict[str, object]] = []
    for reference, created in _branches(data, request, definition, request.values(), {}, 1):
        if isinstance(created, RefusalError):
            data.store.restore(snapshot)
            failed = {"referenceId": reference, "errors": [created.in_collection()]}
            return Answer(status=400, body={"hasErrors": True, "results": [failed]})
        results.append({"referenceId": reference, "id": created})
        if len(results) > MAX_RECORDS:
            data.store.restore(snapshot)
            raise _invalid(f"a tree has at most {MAX_RECORDS} records")
    return Answer(status=201, body={"hasErrors": False, "results": results})


def _branches(
    data: Data,
    request: Request,
    definition: Object,
    document: Mapping[str, object],
    owner: Mapping[str, object],
    level: int,
) -> Iterator[tuple[str, str | RefusalError]]:
    """Create the records of one level and below, and return what became of each."""
    if level > MAX_LEVELS:
        raise _invalid(f"a tree has at most {MAX_LEVELS} levels")
    for record in _records(document):
        reference = str(_attributes(record).get("referenceId") or "")
        children = {name: value for name, value in record.items() if name in definition.children}
        values = {name: value for name, value in record.items() if name not in children}
        try:
            created = data.store.insert(definition, {**values, **owner}, request.saving())
        except RefusalError as error:
            yield reference, error
            return
        yield reference, created
        for relationship, inner in children.items():
            name, field = definition.children[relationship]
            child = data.store.schema.named(name)
            if isinstance(inner, dict):
                yield from _branches(data, request, child, inner, {field: created}, level + 1)


def _created(data: Data, request: Request) -> Answer:
    if request.method != "POST":
        raise not_allowed(request)
    records = _records(request.values())

    def create(record: Mapping[str, object]) -> dict[str, object]:
        definition = data.store.schema.find(str(_attributes(record).get("type") or ""))
        if definition is None:
            raise RefusalError(400, "INVALID_TYPE", "the type of a record is not known")
        created = data.store.insert(definition, record, request.saving())
        return {"id": created, "success": True, "errors": []}

    return _each(data, request, records, create)


def _upserted(data: Data, request: Request, definition: Object, name: str) -> Answer:
    if request.method != "PATCH":
        raise not_allowed(request)
    field = definition.field(name)
    if field is None or not field.external:
        raise not_found("Provided external ID field does not exist or is not accessible: " + name)

    def change(record: Mapping[str, object]) -> dict[str, object]:
        values = {key: value for key, value in record.items() if key != field.name}
        inner = Request(
            method="PATCH",
            path=[],
            version=request.version,
            headers=request.headers,
            body=values,
        )
        body = upsert(data, inner, definition, field, str(record.get(field.name) or "")).body
        return dict(body) if isinstance(body, dict) else {}

    return _each(data, request, _records(request.values()), change)


def _each(
    data: Data,
    request: Request,
    records: Sequence[Mapping[str, object]],
    work: Callable[[Mapping[str, object]], dict[str, object]],
) -> Answer:
    """Do the same with each record and say of each how it went; 200 even where all failed."""
    if len(records) > MAX_RECORDS:
        raise _invalid(f"a collection has at most {MAX_RECORDS} records")
    data.lock()
    snapshot = data.store.snapshot()
    results: list[dict[str, object]] = []
    for record in records:
        try:
            results.append(work(record))
        except RefusalError as error:
            results.append({"success": False, "errors": [error.in_collection()]})
    if request.values().get("allOrNone") and not all(each["success"] for each in results):
        data.store.restore(snapshot)
        message = "Record rolled back because not all records were valid"
        rolled = RefusalError(400, "ALL_OR_NONE_OPERATION_ROLLED_BACK", message).in_collection()
        results = [
            {"success": False, "errors": [rolled]} if each["success"] else each for each in results
        ]
    return Answer(body=results)


def _records(document: Mapping[str, object]) -> list[Mapping[str, object]]:
    records = document.get("records")
    if not isinstance(records, list) or not all(isinstance(each, dict) for each in records):
        raise _invalid("records must be a list of records")
    return records


def _attributes(record: Mapping[str, object]) -> Mapping[str, object]:
    attributes = record.get("attributes")
    return attributes if isinstance(attributes, dict) else {}


def _invalid(message: str) -> RefusalError:
    return RefusalError(400, "INVALID_INPUT", message)

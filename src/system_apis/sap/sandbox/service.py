"""Requests for entities, in either protocol."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import cmp_to_key
from typing import Any
from urllib.parse import quote, unquote, urlencode

import orjson

from system_apis.sap.sandbox import filters
from system_apis.sap.sandbox.errors import RefusalError, malformed, not_found
from system_apis.sap.sandbox.messages import Answer, Request
from system_apis.sap.sandbox.model import Entity, Navigation, Property, Service, entity_named
from system_apis.sap.sandbox.store import Row, Store
from system_apis.sap.sandbox.values import accept, comparable, shown

PAGE_SIZE = 1000
_SEGMENT = re.compile(r"(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?:\((?P<key>.*)\))?", re.DOTALL)
_KEY_PART = re.compile(r"(?:(?P<name>[A-Za-z]\w*)\s*=\s*)?'(?P<text>(?:[^']|'')*)'\s*(?:,|$)")
_WARNING = {"code": "V4/115", "message": "Delivery date is in the past", "severity": "warning"}


class Resource:
    """The entities of one service; `zeros` leaves keys the zeros they are kept with."""

    def __init__(self, service: Service, store: Store, base_url: str, *, zeros: bool) -> None:
        self._service = service
        self._store = store
        self._root = f"{base_url}{service.path}"
        self._zeros = zeros
        self.page_size = PAGE_SIZE

    def answer(self, request: Request) -> Answer:
        """Answer a request for an entity set, an entity or what is reached from one."""
        first, *rest = [unquote(segment) for segment in request.path.split("/")]
        match = _SEGMENT.fullmatch(first)
        entity = self._service.entities.get(match["name"]) if match else None
        if match is None or entity is None:
            raise not_found(first)
        if match["key"] is None:
            return self._set(entity, rest, request)
        row = self._row(entity, match["key"])
        if rest:
            return self._from(entity, row, rest, request)
        return self._one(entity, row, request)

    def _set(self, entity: Entity, rest: Sequence[str], request: Request) -> Answer:
        if list(rest) == ["$count"]:
            count = len(self._matching(entity, list(self._store.rows(entity.name)), request))
            return Answer(content=str(count).encode(), media_type="text/plain")
        if rest:
            raise not_found(rest[0])
        match request.method:
            case "GET":
                return self._list(entity, list(self._store.rows(entity.name)), request)
            case "POST":
                return self._created(entity, request)
            case _:
                raise _not_allowed(request)

    def _created(self, entity: Entity, request: Request) -> Answer:
        snapshot = self._store.snapshot()
        try:
            row = self._store.create(entity, request.document())
        except RefusalError:
            self._store.restore(snapshot)
            raise
        deep: dict[str, Any] = {
            name: {} for name in request.document() if name in entity.navigations
        }
        body = self._shown(entity, row, request, expand=deep)
        headers = [("location", self._uri(entity, row)), *self._etag_header(entity, row)]
        return self._json(body, request, status=201, headers=[*headers, *self._warnings(row)])

    def _one(self, entity: Entity, row: Row, request: Request) -> Answer:
        match request.method:
            case "GET" | "HEAD":
                body = self._shown(entity, row, request)
                return self._json(body, request, headers=self._etag_header(entity, row))
            case "PATCH" | "MERGE" | "PUT":
                self._check_etag(entity, row, request)
                snapshot = self._store.snapshot()
                try:
                    self._store.update(entity, row, request.document())
                except RefusalError:
                    self._store.restore(snapshot)
                    raise
                key = [str(row[name]) for name in entity.keys]
                changed = self._store.find(entity.name, *key) or row
                headers = [*self._etag_header(entity, changed), *self._warnings(changed)]
                return Answer(status=204, headers=headers)
            case "DELETE":
                self._check_etag(entity, row, request)
                self._store.delete(entity, row)
                return Answer(status=204)
            case _:
                raise _not_allowed(request)

    def _from(self, entity: Entity, row: Row, rest: Sequence[str], request: Request) -> Answer:
        navigation = entity.navigations.get(rest[0])
        if navigation is None or len(rest) > 1 or request.method != "GET":
            raise not_found(rest[0])
        target = entity_named(navigation.target)
        reached = self._store.reached(row, navigation)
        if navigation.many:
            return self._list(target, reached, request)
        if not reached:
            raise not_found(rest[0])
        return self._json(self._shown(target, reached[0], request), request)

    def _row(self, entity: Entity, text: str) -> Row:
        parts = [(match["name"], match["text"]) for match in _KEY_PART.finditer(text)]
        if len(parts) == 1 and parts[0][0] is None:
            parts = [(entity.keys[0], parts[0][1])]
        given = {name: value.replace("''", "'") for name, value in parts}
        if set(given) != set(entity.keys):
            raise malformed(f"The key predicate of {entity.name} is not right")
        key = [str(accept(entity.properties[name], given[name])) for name in entity.keys]
        row = self._store.find(entity.name, *key)
        if row is None:
            raise not_found(entity.name)
        return row

    def _check_etag(self, entity: Entity, row: Row, request: Request) -> None:
        if not entity.etag:
            return
        condition = request.headers.get("if-match")
        if condition is None:
            raise RefusalError(
                428, "/IWFND/CM_MGW/530", "Precondition required: If-Match is missing"
            )
        if condition != "*" and condition != self._etag(entity, row):
            raise RefusalError(
                412, "/IWFND/CM_MGW/529", "Precondition failed: the ETag is outdated"
            )

    def _list(self, entity: Entity, rows: list[Row], request: Request) -> Answer:
        matching = self._matching(entity, rows, request)
        skip, top = _count(request, "$skip"), _count(request, "$top")
        start = _count(request, "$skiptoken") or skip or 0
        wanted = matching[start:] if top is None else matching[start : (skip or 0) + top]
        page = [self._shown(entity, row, request) for row in wanted[: self.page_size]]
        following = None
        if len(wanted) > self.page_size:
            query = {**request.query, "$skiptoken": str(start + self.page_size)}
            following = f"{self._root}/{entity.name}?{urlencode(query)}"
        counted = "allpages" in request.query.get("$inlinecount", "")
        counted = counted or request.query.get("$count") == "true"
        return self._page(entity, page, len(matching) if counted else None, following, request)

    def _page(
        self,
        entity: Entity,
        page: list[Row],
        count: int | None,
        following: str | None,
        request: Request,
    ) -> Answer:
        body: dict[str, object]
        if self._service.v4:
            body = {"@odata.context": f"{self._root}/$metadata#{entity.name}", "value": page}
            body |= {} if count is None else {"@odata.count": count}
            body |= {} if following is None else {"@odata.nextLink": following}
            return self._json(body, request)
        body = {"results": page}
        body |= {} if count is None else {"__count": str(count)}
        body |= {} if following is None else {"__next": following}
        return self._json(body, request)

    def _matching(self, entity: Entity, rows: list[Row], request: Request) -> list[Row]:
        if "$filter" in request.query:
            test = filters.parse(request.query["$filter"], entity)
            rows = [row for row in rows if test(row)]
        order = _order(entity, request.query.get("$orderby", ""))

        def compare(left: Row, right: Row) -> int:
            return _compare(order, left, right)

        return sorted(rows, key=cmp_to_key(compare))

    def _shown(
        self,
        entity: Entity,
        row: Row,
        request: Request,
        expand: Mapping[str, Any] | None = None,
    ) -> Row:
        if expand is None:
            expand = _tree(entity, request.query.get("$expand", ""))
        select = _selected(request.query.get("$select", ""))
        return self._entity(entity, row, request, expand, select)

    def _entity(
        self,
        entity: Entity,
        row: Row,
        request: Request,
        expand: Mapping[str, Any],
        select: frozenset[str],
    ) -> Row:
        exact = "ieee754compatible=true" in request.headers.get("accept", "").lower()
        result: Row = self._annotations(entity, row)
        for name, wanted in entity.properties.items():
            if not select or name in select or name in entity.keys:
                result[name] = shown(
                    wanted, row.get(name), v4=self._service.v4, exact=exact, zeros=self._zeros
                )
        for name, navigation in entity.navigations.items():
            if name in expand:
                inner = frozenset(
                    path.partition("/")[2] for path in select if path.startswith(f"{name}/")
                )
                result[name] = self._expanded(row, navigation, request, expand[name], inner)
            elif not self._service.v4 and (not select or name in select):
                result[name] = {"__deferred": {"uri": f"{self._uri(entity, row)}/{name}"}}
        return result

    def _expanded(
        self,
        row: Row,
        navigation: Navigation,
        request: Request,
        expand: Mapping[str, Any],
        select: frozenset[str],
    ) -> object:
        target = entity_named(navigation.target)
        found = [
            self._entity(target, other, request, expand, select)
            for other in self._store.reached(row, navigation)
        ]
        if not navigation.many:
            return found[0] if found else None
        return found if self._service.v4 else {"results": found}

    def _annotations(self, entity: Entity, row: Row) -> Row:
        etag = self._etag(entity, row)
        if self._service.v4:
            return {"@odata.etag": etag} if etag else {}
        kind = f"{self._service.namespace}.{entity.name}Type"
        uri = self._uri(entity, row)
        metadata = {"id": uri, "uri": uri, "type": kind}
        return {"__metadata": {**metadata, "etag": etag} if etag else metadata}

    def _uri(self, entity: Entity, row: Row) -> str:
        parts = [
            (
                name,
                str(shown(entity.properties[name], row[name], v4=False, exact=True, zeros=False)),
            )
            for name in entity.keys
        ]
        quoted = [(name, "'" + quote(text.replace("'", "''")) + "'") for name, text in parts]
        if len(quoted) == 1:
            return f"{self._root}/{entity.name}({quoted[0][1]})"
        return f"{self._root}/{entity.name}({','.join(f'{name}={text}' for name, text in quoted)})"

    def _etag(self, entity: Entity, row: Row) -> str:
        if not entity.etag:
            return ""
        value = str(row[entity.etag] or "")
        if entity.properties[entity.etag].kind == "DateTimeOffset":
            return f"W/\"datetimeoffset'{quote(value)}'\""
        return f"W/\"'{value}'\""

    def _etag_header(self, entity: Entity, row: Row) -> list[tuple[str, str]]:
        etag = self._etag(entity, row)
        return [("etag", etag)] if etag else []

    def _warnings(self, row: Row) -> list[tuple[str, str]]:
        """Return the sap-message header of an order for a day that has passed."""
        day = row.get("RequestedDeliveryDate")
        if not day or str(day) >= self._store.now().date().isoformat():
            return []
        return [("sap-message", orjson.dumps({**_WARNING, "details": []}).decode())]

    def _json(
        self,
        body: Mapping[str, object],
        request: Request,
        *,
        status: int = 200,
        headers: Sequence[tuple[str, str]] = (),
    ) -> Answer:
        version = ("odata-version", "4.0") if self._service.v4 else ("dataserviceversion", "2.0")
        document = body if self._service.v4 else {"d": body}
        content = b"" if request.method == "HEAD" else orjson.dumps(document)
        return Answer(status=status, content=content, headers=[version, *headers])


def _order(entity: Entity, text: str) -> list[tuple[Property, bool]]:
    """Return what to sort by: a property, and whether downwards."""
    order = []
    for part in filter(None, (each.strip() for each in text.split(","))):
        name, _, direction = part.partition(" ")
        if name not in entity.properties or direction.strip() not in ("", "asc", "desc"):
            raise malformed(f"Invalid $orderby '{part}'")
        order.append((entity.properties[name], direction.strip() == "desc"))
    return order


def _compare(order: Sequence[tuple[Property, bool]], left: Row, right: Row) -> int:
    for wanted, down in order:
        first: Any = comparable(wanted, left.get(wanted.name))
        second: Any = comparable(wanted, right.get(wanted.name))
        if first == second:
            continue
        if first is None or second is None:
            return -1 if (first is None) != down else 1
        smaller: bool = first < second
        return -1 if smaller != down else 1
    return 0


def _tree(entity: Entity, text: str) -> Mapping[str, Any]:
    """Return the navigations to expand, each with those to expand from there."""
    tree: dict[str, Any] = {}
    for path in filter(None, (each.strip() for each in text.split(","))):
        at, here = tree, entity
        for name in path.split("/"):
            navigation = here.navigations.get(name)
            if navigation is None:
                raise malformed(f"Invalid navigation '{name}' in $expand of {here.name}")
            at, here = at.setdefault(name, {}), entity_named(navigation.target)
    return tree


def _selected(text: str) -> frozenset[str]:
    return frozenset(filter(None, (each.strip() for each in text.split(",")))) - {"*"}


def _count(request: Request, name: str) -> int | None:
    text = request.query.get(name)
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 10):
        raise malformed(f"Invalid value '{text}' of {name}")
    return int(text)


def _not_allowed(request: Request) -> RefusalError:
    message = f"Method {request.method} is not allowed here"
    return RefusalError(405, "/IWFND/CM_CONSUMER/101", message)

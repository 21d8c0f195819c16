"""Queries and the pages of their results: /query and /queryAll."""

from __future__ import annotations

import re

from system_apis.salesforce.sandbox.errors import RefusalError
from system_apis.salesforce.sandbox.ids import make
from system_apis.salesforce.sandbox.messages import Answer, Data, Request, not_allowed
from system_apis.salesforce.sandbox.query import Evaluation
from system_apis.salesforce.sandbox.soql import parse

DEFAULT_BATCH, MIN_BATCH, MAX_BATCH = 2000, 200, 2000
MAX_CURSORS = 10  # of one user; the oldest is closed


def answer(data: Data, request: Request) -> Answer:
    """Answer a request for the first or a later page; raises RefusalError."""
    if request.method != "GET":
        raise not_allowed(request)
    if len(request.path) > 1:
        return _later_page(data, request)
    text = request.query.get("q")
    if not text:
        raise RefusalError(400, "MALFORMED_QUERY", "A query string has to be specified")
    deleted = request.path[0] == "queryAll"
    evaluation = Evaluation(data.store, parse(text), request.version, deleted=deleted)
    if parse(text).counts:
        return Answer(body={"totalSize": evaluation.count(), "done": True, "records": []})
    ids = evaluation.ids()
    cursor = make("0r8", data.store.next_number("cursor"))
    page = _page(evaluation, ids, 0, request, cursor)
    if not page["done"]:
        data.cursors[cursor] = (text, ids, deleted)
        while len(data.cursors) > MAX_CURSORS:
            del data.cursors[next(iter(data.cursors))]
    return Answer(body=page)


def _later_page(data: Data, request: Request) -> Answer:
    cursor, _, start = request.path[1].partition("-")
    held = data.cursors.get(cursor)
    if held is None or not start.isdigit():
        raise RefusalError(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
    text, ids, deleted = held
    evaluation = Evaluation(data.store, parse(text), request.version, deleted=deleted)
    return Answer(body=_page(evaluation, list(ids), int(start), request, cursor))


def _page(
    evaluation: Evaluation, ids: list[str], start: int, request: Request, cursor: str
) -> dict[str, object]:
    end = start + _batch(request)
    page: dict[str, object] = {
        "totalSize": len(ids),
        "done": end >= len(ids),
        "records": evaluation.rows(ids[start:end]),
    }
    if end < len(ids):
        page["nextRecordsUrl"] = f"/services/data/{request.version}/query/{cursor}-{end}"
    return page


def _batch(request: Request) -> int:
    options = request.headers.get("sforce-query-options", "")
    match = re.search(r"batchSize\s*=\s*(\d+)", options, re.IGNORECASE)
    return min(max(int(match[1]), MIN_BATCH), MAX_BATCH) if match else DEFAULT_BATCH

"""Whatever goes wrong leaves as RFC 9457, and its type is the address of a page."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.config import Limits
from tests.support.serving import Raw, Served, network_config, serving

BASE = "/experience/kiosk/v1"
NOTE = {"Idempotency-Key": "k", "Content-Type": "application/json"}


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Run a gateway that takes small bodies."""
    config = network_config(
        tmp_path_factory.mktemp("small"),
        limits=Limits(body_bytes=1000),
        # Only these two tiers are at the edge by themselves.
        apis={"system/shelf.v1": {"exposed": True}},
    )
    with serving(config) as served:
        yield served


def chunked() -> Iterator[bytes]:
    for _ in range(20):
        yield b" " * 100


CASES: dict[str, tuple[int, str, dict[str, Any]]] = {
    "no operation": (404, "not-found", {"path": "/nothing/here"}),
    "no operation of the API": (404, "not-found", {"path": f"{BASE}/nothing"}),
    "nothing at a slash": (404, "not-found", {"path": f"{BASE}/public/"}),
    "no page": (404, "not-found", {"path": "/portal/nothing"}),
    "no method": (405, "method-not-allowed", {"method": "DELETE", "path": f"{BASE}/public"}),
    "no method of control": (405, "method-not-allowed", {"method": "DELETE", "path": "/livez"}),
    "no token": (401, "unauthenticated", {"path": f"{BASE}/choices/a", "token": ""}),
    "a bad token": (401, "unauthenticated", {"path": f"{BASE}/choices/a", "token": "x.y.z"}),
    "a bad token for anyone": (401, "unauthenticated", {"path": f"{BASE}/public", "token": "x"}),
    "no scope": (403, "insufficient-scope", {"path": f"{BASE}/choices/a", "scopes": ["other"]}),
    "a wrong parameter": (400, "invalid-parameter", {"path": f"{BASE}/choices/a?limit=0"}),
    "an unknown parameter": (400, "invalid-parameter", {"path": f"{BASE}/choices/a?x=1"}),
    "a long parameter": (400, "invalid-parameter", {"path": f"{BASE}/choices/{'a' * 21}"}),
    "no acceptable type": (
        406,
        "not-acceptable",
        {"path": f"{BASE}/choices/a", "headers": {"Accept": "text/html"}},
    ),
    "no body": (400, "missing-content", {"method": "POST", "path": f"{BASE}/notes"}),
    "no JSON": (
        400,
        "malformed-request",
        {"method": "POST", "path": f"{BASE}/notes", "content": b"{", "headers": NOTE},
    ),
    "a member twice": (
        400,
        "malformed-request",
        {"method": "POST", "path": f"{BASE}/notes", "content": b'{"a":1,"a":2}', "headers": NOTE},
    ),
    "a wrong body": (
        422,
        "invalid-content",
        {"method": "POST", "path": f"{BASE}/notes", "content": b'{"text":5}', "headers": NOTE},
    ),
    "no key": (
        400,
        "invalid-parameter",
        {"method": "POST", "path": f"{BASE}/notes", "json": {"text": "a"}},
    ),
    "another media type": (
        415,
        "unsupported-media-type",
        {
            "method": "POST",
            "path": f"{BASE}/notes",
            "content": b"<a/>",
            "headers": {**NOTE, "Content-Type": "text/xml"},
        },
    ),
    "a content coding": (
        415,
        "unsupported-media-type",
        {
            "method": "POST",
            "path": f"{BASE}/notes",
            "content": b"{}",
            "headers": {**NOTE, "Content-Encoding": "br"},
        },
    ),
    "a large body": (
        413,
        "content-too-large",
        {"method": "POST", "path": f"{BASE}/notes", "content": b" " * 1001, "headers": NOTE},
    ),
    "a large body in chunks": (
        413,
        "content-too-large",
        {"method": "POST", "path": f"{BASE}/notes", "content": chunked, "headers": NOTE},
    ),
    "a long target": (414, "uri-too-long", {"path": f"{BASE}/choices/{'a' * 9000}"}),
    "a large header": (
        431,
        "headers-too-large",
        {"path": f"{BASE}/choices/a", "headers": {"X-Color": "a" * 40_000}},
    ),
    "an unknown method": (
        501,
        "method-not-implemented",
        {"method": "BREW", "path": f"{BASE}/choices/a"},
    ),
    "a method no API has": (
        405,
        "method-not-allowed",
        {"method": "PATCH", "path": f"{BASE}/notes"},
    ),
    "a crash": (500, "internal-error", {"path": f"{BASE}/crash"}),
    "a broken promise": (
        500,
        "response-contract-violation",
        {"path": "/system/shelf/v1/failures/wrong-body"},
    ),
    "an absent callee": (
        503,
        "unavailable",
        {
            "method": "POST",
            "path": f"{BASE}/relay",
            "json": {"operation": "getAbsent", "api": "process/absent.v1"},
        },
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_every_error_is_a_problem(small: Served, name: str) -> None:
    status, slug, request = CASES[name]
    options = dict(request)
    method = options.pop("method", "GET")
    if "scopes" in options:
        options["token"] = small.token(*options.pop("scopes"))
    if callable(options.get("content")):
        options["content"] = options["content"]()

    response = small.request(method, options.pop("path"), **options)

    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    assert "no-store" in response.headers["cache-control"]
    if name != "no page":  # the portal answers in the language of its pages
        assert response.headers["content-language"] == "en"
    document = response.json()
    assert document["status"] == status
    assert document["title"]
    check_type(small, document["type"], slug)
    assert document["instance"].startswith("urn:portico:request:")
    if "x-request-id" in response.headers:
        assert document["instance"].endswith(response.headers["x-request-id"])
    assert "secret" not in response.text
    assert "Traceback" not in response.text


def check_type(served: Served, uri: str, slug: str) -> None:
    """Check that a type ends with its slug and leads to a page about it."""
    assert uri.rpartition("/")[2] == slug
    path = uri.removeprefix("https://portico.test")
    page = served.request("GET", path, token="", headers={"Accept": "text/html"})
    assert page.status_code == 200
    assert slug in page.text


@pytest.mark.parametrize(
    ("target", "detail"),
    [
        (b"/experience/kiosk/v1/choices/%2e%2e/public", "the path contains a dot segment"),
        (b"/experience/kiosk/v1/choices/a%00", "the path contains a control character"),
        (b"/experience/kiosk/v1/choices/%zz", "the path contains a percent sign"),
        (b"/experience/kiosk/v1/choices/%ff", "the path is not UTF-8"),
        (b"/experience/kiosk/v1/choices/a\\b", "the path contains a backslash"),
    ],
)
def test_a_path_that_could_be_read_in_two_ways_is_malformed(
    small: Served, target: bytes, detail: str
) -> None:
    answer = small.raw(b"GET " + target + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")

    assert answer.status == 400
    assert json.loads(answer.body)["detail"].startswith(detail)


def head(served: Served, path: str, token: str = "") -> Raw:
    authorization = f"Authorization: Bearer {token}\r\n" if token else ""
    return served.raw(
        f"HEAD {path} HTTP/1.1\r\nHost: x\r\n{authorization}Connection: close\r\n\r\n".encode()
    )


@pytest.mark.parametrize("path", ["/nothing", f"{BASE}/choices/a", f"{BASE}/nothing", "/livez/x"])
def test_errors_to_head_have_no_body_but_its_length(small: Served, path: str) -> None:
    answer = head(small, path)

    assert answer.status in {401, 404}
    assert answer.body == b""
    assert int(answer.headers["content-length"]) > 50
    assert answer.headers["content-type"] == "application/problem+json"


def test_head_is_get_without_the_body(small: Served) -> None:
    answer = head(small, f"{BASE}/choices/a", small.token())
    full = small.request("GET", f"{BASE}/choices/a")

    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["content-length"] == full.headers["content-length"]
    assert answer.headers["etag"] == full.headers["etag"] == '"1"'


def test_details_name_everything_that_is_wrong(small: Served) -> None:
    response = small.request(
        "POST", f"{BASE}/notes", json={"text": "a" * 101, "copies": "2", "x": 1}, headers=NOTE
    )

    errors = response.json()["errors"]
    assert len(errors) == 3
    assert {error["pointer"] for error in errors} == {"#", "#/text", "#/copies"}


def test_parameters_are_named_with_their_place(small: Served) -> None:
    response = small.request("GET", f"{BASE}/choices/{'a' * 21}?limit=abc")

    places = {(error["in"], error["parameter"]) for error in response.json()["errors"]}
    assert places == {("path", "choice"), ("query", "limit")}


def test_405_says_what_is_allowed(small: Served) -> None:
    response = small.request("DELETE", f"{BASE}/choices/a")

    assert response.headers["allow"] == "GET, HEAD, OPTIONS"


def test_501_says_what_is_allowed(gateway: Served) -> None:
    # The parser knows this method; no contract could offer it.
    response = gateway.request("PROPFIND", f"{BASE}/choices/a")

    assert response.status_code == 501
    assert response.headers["allow"] == "GET, HEAD, OPTIONS"


def test_415_says_what_is_read(small: Served) -> None:
    response = small.request(
        "POST", f"{BASE}/notes", content=b"x", headers={**NOTE, "Content-Type": "text/plain"}
    )

    assert response.headers["accept-post"] == "application/json"
    assert response.json()["reads"] == ["application/json"]


def test_406_says_what_is_produced(small: Served) -> None:
    response = small.request("GET", f"{BASE}/choices/a", headers={"Accept": "image/*"})

    assert response.json()["produces"] == ["application/json"]


def test_413_says_the_limit(small: Served) -> None:
    response = small.request("POST", f"{BASE}/notes", content=b" " * 1001, headers=NOTE)

    assert response.json()["limitBytes"] == 1000

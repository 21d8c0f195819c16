"""What each address of the portal answers."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

import httpx
import pytest
import yaml

from gateway.portal import Entry, describe
from portico.problems import PROBLEM_TYPES, ProblemType

OpenPortal = Callable[[Sequence[Entry], str], httpx.Client]

API = "/portal/apis/process/parcels.v1"
PAGES = ["/portal/", API, "/portal/problems/", "/portal/problems/not-found"]
BROWSER = {"accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


def assets_of(html: str) -> list[str]:
    return re.findall(r'(?:href|src)="(/portal/assets/[^"]+)"', html)


# Pages


def test_the_index_lists_the_apis_by_tier(client: httpx.Client) -> None:
    html = client.get("/portal/").text

    tiers = ["Experience APIs", "Process APIs", "System APIs", "Partner APIs"]
    places = [html.index(f"{tier}</h2>") for tier in tiers]
    assert places == sorted(places)
    assert f'<a href="{API}">Parcels</a>' in html
    assert "What Parcels is for." in html


def test_the_index_of_an_empty_catalogue_says_so(open_portal: OpenPortal) -> None:
    client = open_portal([], "http://127.0.0.1")

    assert "No API is in the catalogue yet" in client.get("/portal/").text


def test_the_page_of_an_api_tells_what_its_consumers_need(client: httpx.Client) -> None:
    html = client.get(API).text

    for told in (
        "Parcels <span",
        "v1.2.3",
        "stable",
        "https://api.example.com/process/parcels/v1",
        "sendParcel",
        "deprecated",
        "Read parcels.",
        "scope=&#39;parcels:read parcels:write&#39;",
        f'href="{API}/openapi.yaml"',
        f'href="{API}/openapi.json"',
        f'href="{API}/reference"',
        f'href="{API}/reference#tag/parcels-post/GET/parcels"',
    ):
        assert told.replace("&#39;", "'") in html.replace("&#39;", "'"), told


@pytest.mark.parametrize("path", ["/portal/", API, f"{API}/openapi.yaml", f"{API}/openapi.json"])
def test_nothing_internal_is_shown(client: httpx.Client, path: str) -> None:
    text = client.get(path).text

    for internal in ("logistics-team", "x-owner", "x-calls", "10.1.2.3"):
        assert internal not in text


def test_text_of_a_contract_cannot_become_markup(open_portal: OpenPortal) -> None:
    attack = "</script><script>alert(1)</script>"
    document = {
        "openapi": "3.1.0",
        "info": {"title": attack, "version": attack, "summary": attack, "description": attack},
        "x-lifecycle": attack,
        "paths": {
            f"/{attack}": {
                "get": {"operationId": attack, "summary": attack, "security": [{"a": [attack]}]}
            }
        },
        "components": {"securitySchemes": {attack: {"flows": {attack: {"tokenUrl": attack}}}}},
    }
    entry = describe("partner/attack.v1", document, base_path=f"/{attack}")
    client = open_portal([entry], "http://127.0.0.1")

    for path in ("/portal/", "/portal/apis/partner/attack.v1"):
        assert "<script" not in client.get(path).text
    reference = client.get("/portal/apis/partner/attack.v1/reference").text
    assert reference.count("<script") == reference.count("</script>") == 3
    assert "alert(1)</script>" not in reference


def test_links_respect_the_path_of_the_public_address(
    catalogue: list[Entry], open_portal: OpenPortal
) -> None:
    client = open_portal(catalogue, "https://example.com/apis/")

    html = client.get(f"{API}/reference").text

    links = re.findall(r'(?:href|src)="(/[^"]+)"', html)
    assert links
    assert all(link.startswith("/apis/portal/") for link in links)
    assert '"url": "/apis/portal/apis/process/parcels.v1/openapi.json"' in html
    assert '"tokenUrl": "/apis/oauth2/token"' in html
    assert client.get("/portal").headers["location"] == "/apis/portal/"


@pytest.mark.parametrize(
    ("path", "target"),
    [
        ("/portal", "/portal/"),
        ("/portal/apis", "/portal/"),
        ("/portal/apis/", "/portal/"),
        ("/portal/problems", "/portal/problems/"),
    ],
)
def test_addresses_without_a_page_of_their_own_lead_on(
    client: httpx.Client, path: str, target: str
) -> None:
    response = client.get(path)

    assert response.status_code == 308
    assert response.headers["location"] == target


# Contracts


def test_the_contract_is_published_as_yaml_and_json(client: httpx.Client) -> None:
    as_yaml = client.get(f"{API}/openapi.yaml")
    as_json = client.get(f"{API}/openapi.json")

    version = "version=3.1"
    assert as_yaml.headers["content-type"] == f"application/vnd.oai.openapi+yaml;{version}"
    assert as_json.headers["content-type"] == f"application/vnd.oai.openapi+json;{version}"
    document = yaml.safe_load(as_yaml.text)
    assert document == as_json.json()
    assert document["servers"] == [{"url": "https://api.example.com/process/parcels/v1"}]


def test_the_media_type_tells_the_version_of_the_contract(client: httpx.Client) -> None:
    response = client.get("/portal/apis/partner/weather.v2/openapi.json")

    assert response.headers["content-type"].endswith(";version=3.0")


# Problems


@pytest.mark.parametrize("kind", PROBLEM_TYPES.values(), ids=lambda kind: kind.slug)
def test_every_problem_type_has_a_page(client: httpx.Client, kind: ProblemType) -> None:
    response = client.get(f"/portal/problems/{kind.slug}", headers=BROWSER)

    assert response.status_code == 200
    for told in (kind.title, str(kind.status), kind.meaning, kind.remedy):
        assert told in response.text.replace("&#39;", "'")
    # A type registered elsewhere is shown by its registered URI.
    shown = kind.uri or f"https://api.example.com/portal/problems/{kind.slug}"
    assert shown in response.text
    assert f'href="/portal/problems/{kind.slug}"' in client.get("/portal/problems/").text


def test_a_problem_type_is_told_as_json_to_who_prefers_it(client: httpx.Client) -> None:
    response = client.get("/portal/problems/not-found", headers={"accept": "application/json"})

    assert response.headers["content-type"] == "application/json"
    assert "Accept" in response.headers["vary"].split(", ")
    document = response.json()
    assert document["type"] == "https://api.example.com/portal/problems/not-found"
    assert set(document) == {"type", "title", "status", "meaning", "remedy"}


@pytest.mark.parametrize("accept", ["", "*/*", "text/html", "image/png", "nonsense;q=x"])
def test_a_problem_type_is_a_page_unless_json_is_preferred(
    client: httpx.Client, accept: str
) -> None:
    response = client.get("/portal/problems/not-found", headers={"accept": accept})

    assert response.headers["content-type"] == "text/html; charset=utf-8"


# What is not there


MISSING = [
    "/portal/nothing",
    "/portal/apis/process",
    "/portal/apis/process/unknown.v1",
    "/portal/apis/process/unknown.v1/reference",
    f"{API}/openapi.xml",
    "/portal/problems/unknown",
    "/portal/assets/unknown.css",
    "/portal/assets/..%2fvendored.json",
]


@pytest.mark.parametrize("path", MISSING)
def test_a_missing_page_is_a_page_for_browsers(client: httpx.Client, path: str) -> None:
    response = client.get(path, headers=BROWSER)

    assert response.status_code == 404
    assert response.headers["content-type"] == "text/html; charset=utf-8"
    assert response.headers["cache-control"] == "no-store"
    assert "There is no such page" in response.text


@pytest.mark.parametrize("path", MISSING)
@pytest.mark.parametrize("accept", ["*/*", "application/json", "text/html;q=0"])
def test_a_missing_page_is_a_problem_for_programs(
    client: httpx.Client, path: str, accept: str
) -> None:
    response = client.get(path, headers={"accept": accept})

    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"
    document = response.json()
    assert document["type"] == "https://api.example.com/portal/problems/not-found"
    assert document["status"] == 404
    assert document["instance"] == "urn:portico:request:abc"


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "OPTIONS", "PATCH", "BREW"])
@pytest.mark.parametrize("path", [*PAGES, "/portal/nothing"])
def test_other_methods_are_refused_as_a_problem(
    client: httpx.Client, method: str, path: str
) -> None:
    response = client.request(method, path)

    assert response.status_code == 405
    assert response.headers["allow"] == "GET, HEAD"
    assert response.json()["type"].endswith("/portal/problems/method-not-allowed")


# Headers


def policy_of(response: Any) -> dict[str, str]:
    directives = response.headers["content-security-policy"].split("; ")
    return dict(directive.split(" ", 1) for directive in directives)


@pytest.mark.parametrize(
    "path", [*PAGES, f"{API}/reference", f"{API}/openapi.yaml", "/portal/nothing", "/portal"]
)
@pytest.mark.parametrize("accept", ["text/html", "application/json"])
def test_every_answer_carries_the_security_headers(
    client: httpx.Client, path: str, accept: str
) -> None:
    response = client.get(path, headers={"accept": accept})

    policy = policy_of(response)
    assert policy["default-src"] == "'none'"
    assert policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == "'none'"
    assert policy["base-uri"] == "'none'"
    assert "unsafe-eval" not in str(policy)
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.headers["referrer-policy"] == "no-referrer"


def test_only_the_reference_page_runs_scripts_and_allows_inline_styles(
    client: httpx.Client,
) -> None:
    reference = policy_of(client.get(f"{API}/reference"))

    assert reference["script-src"] == "'self'"
    assert reference["style-src"] == "'self' 'unsafe-inline'"
    for path in (*PAGES, f"{API}/openapi.json", "/portal/nothing"):
        policy = policy_of(client.get(path))
        assert "script-src" not in policy
        assert policy["style-src"] == "'self'"


def test_pages_have_no_scripts_and_no_styles_of_their_own(client: httpx.Client) -> None:
    for path in PAGES:
        html = client.get(path, headers=BROWSER).text
        assert not re.search(r"<script|<style|\sstyle=|\son[a-z]+=", html)


@pytest.mark.parametrize("path", [*PAGES, f"{API}/reference", f"{API}/openapi.yaml"])
def test_a_client_that_has_the_page_gets_304(client: httpx.Client, path: str) -> None:
    first = client.get(path)
    assert first.headers["cache-control"] == "no-cache"

    for tag in (first.headers["etag"], f"W/{first.headers['etag']}", '"x", *', "*"):
        again = client.get(path, headers={"if-none-match": tag})
        expected = 200 if tag == '"x", *' else 304
        assert again.status_code == expected, tag
    assert again.content == b""
    assert again.headers["etag"] == first.headers["etag"]
    assert policy_of(again) == policy_of(first)


def test_another_content_has_another_tag(client: httpx.Client) -> None:
    tags = [client.get(path).headers["etag"] for path in PAGES]

    assert len(set(tags)) == len(PAGES)
    stale = client.get("/portal/", headers={"if-none-match": tags[1]})
    assert stale.status_code == 200


def test_html_and_json_of_a_problem_type_have_different_tags(client: httpx.Client) -> None:
    path = "/portal/problems/not-found"
    html = client.get(path, headers={"accept": "text/html"}).headers["etag"]

    as_json = client.get(path, headers={"accept": "application/json", "if-none-match": html})

    assert as_json.status_code == 200


def test_content_is_compressed_for_clients_that_take_it(client: httpx.Client) -> None:
    plain = client.get(API, headers={"accept-encoding": "identity"})
    packed = client.get(API, headers={"accept-encoding": "gzip"})

    assert "content-encoding" not in plain.headers
    assert packed.headers["content-encoding"] == "gzip"
    assert int(packed.headers["content-length"]) < int(plain.headers["content-length"]) / 2
    assert packed.text == plain.text
    assert packed.headers["etag"] != plain.headers["etag"]
    assert {plain.headers["vary"], packed.headers["vary"]} == {"Accept-Encoding"}


@pytest.mark.parametrize("path", [*PAGES, f"{API}/openapi.json", "/portal/nothing"])
def test_head_tells_what_get_would_and_sends_no_body(client: httpx.Client, path: str) -> None:
    got = client.get(path, headers=BROWSER)
    head = client.head(path, headers=BROWSER)

    assert head.content == b""
    assert head.status_code == got.status_code
    assert dict(head.headers) == dict(got.headers)


# Assets


def test_assets_are_kept_for_ever_at_addresses_that_change_with_them(client: httpx.Client) -> None:
    found = {
        *assets_of(client.get("/portal/").text),
        *assets_of(client.get(f"{API}/reference").text),
    }

    assert len(found) == 6
    for path in found:
        response = client.get(path)
        assert response.status_code == 200
        assert response.headers["cache-control"] == "public, max-age=31536000, immutable"
        assert re.search(r"-[0-9a-f]{16}\.(css|js|svg)$", path)
        assert response.headers["x-content-type-options"] == "nosniff"


def test_the_bundle_is_sent_whole_to_clients_that_take_no_coding(client: httpx.Client) -> None:
    path = next(path for path in assets_of(client.get(f"{API}/reference").text) if "scalar" in path)

    plain = client.get(path, headers={"accept-encoding": "identity"})
    packed = client.get(path, headers={"accept-encoding": "gzip"})

    assert len(plain.content) == 4_353_277
    assert int(packed.headers["content-length"]) < 1_300_000
    assert packed.content == plain.content


def test_the_reference_is_told_to_stay_on_its_host(client: httpx.Client) -> None:
    html = client.get(f"{API}/reference").text
    written = re.search(r'<script type="application/json" id="configuration">(.*?)</script>', html)
    assert written
    configuration = json.loads(written[1])

    assert configuration["url"] == f"{API}/openapi.json"
    assert configuration["servers"] == [{"url": "/process/parcels/v1"}]
    assert configuration["authentication"]["securitySchemes"]["oauth2"] == {
        "flows": {"clientCredentials": {"tokenUrl": "/oauth2/token"}}
    }
    assert "//" not in written[1]

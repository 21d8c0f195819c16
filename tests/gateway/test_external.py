"""Bring your own API: any OpenAPI document in front of any upstream, checked both ways."""

from __future__ import annotations

import gzip
import hashlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.app import Gateway
from gateway.config import Config, ConfigError, External, Scopes
from portico.contract import ContractError
from portico.server.validation import Validation
from tests.support.serving import Served, eventually, free_port, network_config, serving
from tests.support.upstreams import LARGE, PET, Upstream, running

FOREIGN = Path(__file__).parents[1] / "support" / "foreign"
PETS, FILES = FOREIGN / "pets.yaml", FOREIGN / "files.json"


def pets(url: str, **settings: Any) -> External:
    chosen = {"contract": PETS, "base_path": "/partner/pets", "unsecured": "anonymous", **settings}
    return External(urls=[f"{url}/api"], **chosen)


def files(url: str, **settings: Any) -> External:
    return External(contract=FILES, base_path="/store", urls=[url], **settings)


def config(data: Path, **external: External) -> Config:
    return network_config(data, external=external)


@pytest.fixture(scope="module")
def upstream() -> Iterator[Upstream]:
    with running() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def partner(upstream: Upstream, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Run a gateway in front of two foreign APIs, with the defaults."""
    dead = pets(f"http://127.0.0.1:{free_port()}", base_path="/dead")
    data = tmp_path_factory.mktemp("partner")
    chosen = config(data, pets=pets(upstream.url), files=files(upstream.url), dead=dead)
    with serving(chosen) as served:
        yield served


def get(served: Served, path: str, **options: Any) -> httpx.Response:
    return served.request("GET", path, token=served.token("files"), **options)


# Requests are checked.


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/partner/pets/pets/rex", 200),
        ("/partner/pets/pets/rex?verbose=true", 200),
        ("/partner/pets/pets/rex?verbose=maybe", 400),
        ("/partner/pets/pets/rex?unknown=passed-on", 200),  # foreign documents leave things out
        (f"/partner/pets/pets/{'x' * 21}", 400),
        ("/partner/pets/cats", 404),
        ("/partner/pets", 404),
        ("/pets/rex", 404),
    ],
)
def test_requests_are_checked(partner: Served, path: str, status: int) -> None:
    assert get(partner, path).status_code == status


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"name": "Rex", "tag": None}, 201),  # `nullable` of OpenAPI 3.0
        ({"name": "Rex"}, 422),
        ({"name": "Rex", "tag": "a", "age": 0}, 422),  # `exclusiveMinimum: true` of OpenAPI 3.0
        ({"name": "x" * 21, "tag": None}, 422),
    ],
)
def test_bodies_are_checked(partner: Served, body: dict[str, Any], status: int) -> None:
    response = partner.request("POST", "/partner/pets/pets", json=body)

    assert response.status_code == status
    if status == 201:
        assert response.json() == body


def test_a_body_is_passed_on_byte_by_byte(partner: Served) -> None:
    body = b'{ "tag" : null,\n "name":"\\u0052ex", "id": "mine" }'

    response = partner.request(
        "POST", "/partner/pets/pets", content=body, headers={"Content-Type": "application/json"}
    )

    assert response.content == body


def test_a_packed_body_is_checked_and_passed_on_unpacked(
    partner: Served, upstream: Upstream
) -> None:
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    wrong, right = b'{"name":"Rex"}', b'{"name":"Rex","tag":null}'

    refused = partner.request(
        "POST", "/partner/pets/pets", content=gzip.compress(wrong), headers=headers
    )
    taken = partner.request(
        "POST", "/partner/pets/pets", content=gzip.compress(right), headers=headers
    )

    assert refused.status_code == 422
    assert taken.content == right
    assert "content-encoding" not in upstream.fields()
    assert upstream.fields()["content-length"] == str(len(right))


def test_a_packed_upload_is_passed_on_as_it_is(partner: Served, upstream: Upstream) -> None:
    packed = gzip.compress(b"octets")

    response = partner.request(
        "PUT",
        "/store/files/a.bin",
        content=packed,
        headers={"Content-Type": "application/octet-stream", "Content-Encoding": "gzip"},
        token=partner.token("files"),
    )

    assert response.json()["bytes"] == len(packed)
    assert upstream.fields()["content-encoding"] == "gzip"


def test_methods_that_are_not_declared_are_refused(partner: Served, upstream: Upstream) -> None:
    seen = len(upstream.seen)
    response = partner.request("DELETE", "/partner/pets/pets/rex")

    assert response.status_code == 405
    assert response.headers["allow"] == "GET, HEAD, OPTIONS"
    assert len(upstream.seen) == seen


def test_its_security_is_enforced(partner: Served, upstream: Upstream) -> None:
    seen = len(upstream.seen)

    assert partner.request("GET", "/store/echo/a", token="").status_code == 401
    assert partner.request("GET", "/store/echo/a").status_code == 403
    assert len(upstream.seen) == seen
    assert get(partner, "/store/echo/a").status_code == 200
    assert partner.request("GET", "/store/open", token="").status_code == 200


# What arrives at the upstream.


def echo(served: Served, path: str, **options: Any) -> dict[str, Any]:
    response = get(served, path, **options)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


@pytest.mark.parametrize(
    "target",
    [
        "/echo/a%2Fb%20c",
        "/echo/a;b=c,d:e@f",
        "/echo/%c3%bc~!$&'()*+",
        "/echo/x?",
        "/echo/x?a=1&a=2&b=%2F+%20&c&=d",
        "/echo/x?a[b]=c|d",
    ],
)
def test_path_and_query_arrive_byte_by_byte(partner: Served, target: str) -> None:
    answer = partner.raw(
        f"GET /store{target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        f"Authorization: Bearer {partner.token('files')}\r\n\r\n".encode()
    )

    assert answer.status == 200
    assert json.loads(answer.body)["target"] == target.removesuffix("?")


def test_the_base_path_of_the_upstream_is_put_before(partner: Served, upstream: Upstream) -> None:
    get(partner, "/partner/pets/pets/rex?verbose=true")

    assert upstream.seen[-1]["target"] == "/api/pets/rex?verbose=true"


def test_hop_by_hop_fields_and_forgeries_stop_here(partner: Served) -> None:
    headers = {
        "Connection": "close, X-Hop",
        "X-Hop": "1",
        "Keep-Alive": "timeout=5",
        "TE": "trailers",
        "Proxy-Authorization": "Basic eA==",
        "X-Forwarded-For": "1.2.3.4",
        "X-User-Id": "admin",
        "Forwarded": "for=1.2.3.4",
        "X-Kept": "yes",
    }

    fields = dict(echo(partner, "/store/echo/a", headers=headers)["headers"])

    gone = {"connection", "x-hop", "keep-alive", "te", "proxy-authorization", "x-user-id"}
    assert gone.isdisjoint(fields)
    assert "1.2.3.4" not in str(fields)
    assert fields["x-kept"] == "yes"
    assert fields["via"] == "1.1 portico"
    assert "127.0.0.1" in fields["forwarded"]
    assert len(fields["traceparent"]) == 55


def test_the_token_stays_here(partner: Served) -> None:
    assert "authorization" not in dict(echo(partner, "/store/echo/a")["headers"])


def test_hop_by_hop_fields_of_the_answer_stop_here(partner: Served) -> None:
    response = get(partner, "/store/echo/a")

    assert "x-hop" not in response.headers
    assert response.headers["via"] == "1.1 portico"


# Answers.


def test_an_answer_is_passed_on(partner: Served) -> None:
    response = get(partner, "/partner/pets/pets/rex")

    assert response.json() == PET
    assert response.headers["x-rate"] == "5"
    assert response.headers["access-control-allow-origin"] == "*"


def test_a_problem_of_the_upstream_is_passed_on(partner: Served) -> None:
    response = get(partner, "/partner/pets/pets/gone")

    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["type"] == "https://pets.example/gone"


@pytest.mark.parametrize(
    "name",
    ["wrong", "zero", "broken", "empty", "html", "teapot", "moved", "rate", "longlinks", "coded"],
)
def test_an_answer_against_its_contract_is_a_502(
    partner: Served, name: str, caplog: pytest.LogCaptureFixture
) -> None:
    response = get(partner, f"/partner/pets/pets/{name}")

    assert response.status_code == 502
    document = response.json()
    assert document["type"].endswith("/bad-upstream-answer")
    assert document["api"] == "external/pets"
    assert "127.0.0.1" not in response.text
    assert "response breaks its contract: api=external/pets operation=get /pets/{id}" in caplog.text
    assert "Rex" not in caplog.text


def test_all_lines_of_a_header_are_checked(partner: Served) -> None:
    response = get(partner, "/partner/pets/pets/links")

    assert response.status_code == 200
    assert response.headers.get_list("link") == ["<a>", "<b>"]


def test_head_is_not_held_against_the_body(partner: Served, upstream: Upstream) -> None:
    response = partner.request("HEAD", "/partner/pets/pets/rex")

    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["content-length"] == str(len(json.dumps(PET)))
    assert upstream.seen[-1]["method"] == "HEAD"


def test_an_empty_answer_is_passed_on(partner: Served) -> None:
    response = partner.request("DELETE", "/store/echo/a", token=partner.token("files"))

    assert (response.status_code, response.content) == (204, b"")


def test_not_modified_is_between_caches(partner: Served) -> None:
    response = get(partner, "/partner/pets/pets/conditional", headers={"If-None-Match": '"1"'})

    assert (response.status_code, response.content) == (304, b"")
    assert response.headers["etag"] == '"1"'


def test_a_large_answer_is_checked_too(partner: Served) -> None:
    assert get(partner, "/partner/pets/pets/large").json() == LARGE


def test_an_upstream_that_breaks_off_is_a_502(partner: Served) -> None:
    response = get(partner, "/partner/pets/pets/cut")

    assert response.status_code == 502
    assert response.json()["upstream"] == "pets"


def test_an_upstream_that_is_down_is_a_503_that_names_it(partner: Served) -> None:
    response = get(partner, "/dead/pets/rex")

    assert response.status_code == 503
    document = response.json()
    assert document["type"].endswith("/system-unavailable")
    assert document["upstream"] == "dead"
    assert document["detail"] == "dead cannot be reached"
    assert int(response.headers["retry-after"]) >= 1
    assert "127.0.0.1" not in response.text


# Streams.


def test_events_arrive_one_by_one(partner: Served, upstream: Upstream) -> None:
    """The upstream sends the next event only after the client has read the last one."""
    authorization = {"Authorization": f"Bearer {partner.token('files')}"}
    found = []
    with partner.client.stream(
        "GET", f"{partner.url}/store/events", headers=authorization, timeout=5
    ) as response:
        for part in response.iter_raw():
            found.append(part)
            upstream.step.set()

    assert found == [b"data: 1\n\n", b"data: 2\n\n", b"data: 3\n\n"]


def test_an_upstream_learns_that_the_client_has_left(partner: Served, upstream: Upstream) -> None:
    upstream.left.clear()
    authorization = {"Authorization": f"Bearer {partner.token('files')}"}
    with partner.client.stream(
        "GET", f"{partner.url}/store/endless", headers=authorization
    ) as response:
        parts = response.iter_raw()
        assert next(parts)
        assert not upstream.left.is_set()

    assert upstream.left.wait(5)


@pytest.mark.parametrize("sized", [True, False])
def test_an_upload_is_streamed(upstream: Upstream, sized: bool, tmp_path: Path) -> None:
    data = bytes(range(256)) * 4 * 3 * 1024  # 3 MiB
    upstream.chunks.clear()
    limit = External(**{**vars(files(upstream.url)), "body_bytes": 4 * 1024 * 1024})
    with serving(config(tmp_path, files=limit)) as served:
        content: Any = (
            data if sized else (data[at : at + 65_536] for at in range(0, len(data), 65_536))
        )
        response = served.request(
            "PUT",
            "/store/files/big.bin",
            content=content,
            headers={"Content-Type": "application/octet-stream"},
            token=served.token("files"),
        )

    assert response.json() == {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    assert len(upstream.chunks) > 3
    assert ("content-length" in upstream.fields()) == sized


@pytest.mark.parametrize("sized", [True, False])
def test_a_stream_is_bounded(partner: Served, sized: bool) -> None:
    data = b"x" * (1024 * 1024 + 1)

    def parts() -> Iterator[bytes]:
        for at in range(0, len(data), 65_536):
            yield data[at : at + 65_536]

    response = partner.request(
        "PUT",
        "/store/files/big.bin",
        content=data if sized else parts(),
        headers={"Content-Type": "application/octet-stream"},
        token=partner.token("files"),
    )

    assert response.status_code == 413
    assert response.headers["connection"] == "close"


def test_a_required_upload_must_be_there(partner: Served) -> None:
    response = partner.request("PUT", "/store/files/a", token=partner.token("files"))

    assert response.status_code == 400
    assert response.json()["type"].endswith("/missing-content")


def test_an_upload_of_another_type_is_refused(partner: Served) -> None:
    response = partner.request("PUT", "/store/files/a", json={"a": 1}, token=partner.token("files"))

    assert response.status_code == 415


def test_a_client_that_leaves_ends_its_upload(partner: Served, upstream: Upstream) -> None:
    upstream.left.clear()
    token = partner.token("files")
    with socket.create_connection(("127.0.0.1", int(partner.url.rpartition(":")[2]))) as sock:
        sock.sendall(
            f"PUT /store/files/a HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {token}\r\n"
            "Content-Type: application/octet-stream\r\nContent-Length: 100000\r\n\r\n".encode()
        )
        sock.sendall(b"x" * 50_000)
        assert eventually(lambda: bool(upstream.chunks))

    assert upstream.left.wait(5)


def test_a_download_of_octets_is_passed_on(partner: Served) -> None:
    response = get(partner, "/store/files/a")

    assert response.content == b"\x00\xff" * 10


# Validation modes.


@pytest.mark.parametrize(
    ("mode", "statuses"),
    [
        ("enforce", [502, 502, 502, 502]),
        ("strict", [502, 502, 502, 502]),
        ("report", [200, 200, 200, 418]),
        ("off", [200, 200, 200, 418]),
        ("sample: 1/2", [200, 200, 200, 418]),
    ],
)
def test_validation_modes(
    upstream: Upstream,
    tmp_path: Path,
    mode: str,
    statuses: list[int],
    caplog: pytest.LogCaptureFixture,
) -> None:
    api = pets(upstream.url, validation=Validation.parse(mode))
    with serving(config(tmp_path, pets=api)) as served:
        found = [
            get(served, f"/partner/pets/pets/{name}").status_code
            for name in ("wrong", "broken", "html", "teapot")
        ]
        assert get(served, "/partner/pets/pets/rex").status_code == 200
        assert get(served, "/partner/pets/pets/rex?verbose=maybe").status_code == 400

    reported = caplog.text.count("response breaks its contract")
    assert found == statuses
    assert reported == {"off": 0, "sample: 1/2": 2}.get(mode, 4)


def test_an_answer_too_large_to_check_is_passed_on(upstream: Upstream, tmp_path: Path) -> None:
    from gateway.config import Limits

    chosen = network_config(
        tmp_path, external={"pets": pets(upstream.url)}, limits=Limits(checked_response_bytes=1000)
    )
    with serving(chosen) as served:
        assert get(served, "/partner/pets/pets/large").json() == LARGE


def test_the_configured_time_is_kept(upstream: Upstream, tmp_path: Path) -> None:
    api = pets(upstream.url, timeout_seconds=0.3)
    with serving(config(tmp_path, pets=api)) as served:
        started = time.monotonic()
        response = get(served, "/partner/pets/pets/slow")

    assert response.status_code == 504
    assert time.monotonic() - started < 1.2
    assert response.json()["upstream"] == "pets"


def test_an_answer_without_body_that_states_a_length_keeps_the_connection(tmp_path: Path) -> None:
    """304 and HEAD may state the length of what they leave out."""
    listener = socket.create_server(("127.0.0.1", 0))

    def answer() -> None:
        sock, _ = listener.accept()
        with sock:
            for _ in range(2):
                sock.recv(65_536)
                sock.sendall(
                    b'HTTP/1.1 304 Not Modified\r\nETag: "1"\r\nContent-Length: 99\r\n\r\n'
                )
            sock.recv(1)

    thread = threading.Thread(target=answer, daemon=True)
    thread.start()
    url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with serving(config(tmp_path, pets=pets(url))) as served:
        found = [get(served, "/partner/pets/pets/a") for _ in range(2)]
    listener.close()

    assert [(response.status_code, response.content) for response in found] == [(304, b"")] * 2


# Configurations that do not start.


def test_an_unsecured_operation_needs_a_decision(tmp_path: Path) -> None:
    with pytest.raises(ContractError) as raised:
        Gateway(config(tmp_path, pets=pets("http://127.0.0.1:9", unsecured=None)))

    rules = {finding.rule for finding in raised.value.findings}
    assert rules == {"operation-without-security"}
    assert "pets.yaml:8:5" in str(raised.value)


def test_an_unsecured_operation_may_ask_for_scopes(upstream: Upstream, tmp_path: Path) -> None:
    api = pets(upstream.url, unsecured=Scopes(scopes=["partner:pets"]))
    with serving(config(tmp_path, pets=api)) as served:
        path = "/partner/pets/pets/rex"
        assert served.request("GET", path, token="").status_code == 401
        assert served.request("GET", path).status_code == 403
        token = served.token("partner:pets")
        assert served.request("GET", path, token=token).status_code == 200


def protected(folder: Path) -> Path:
    """Return a document with one operation behind OAuth and one behind passwords."""
    document = json.loads(FILES.read_text())
    document["components"]["securitySchemes"]["basic"] = {"type": "http", "scheme": "basic"}
    document["paths"]["/events"]["get"]["security"] = [{"basic": []}]
    path = folder / "protected.json"
    path.write_text(json.dumps(document))
    return path


def test_a_scheme_that_is_not_enforced_needs_a_decision(tmp_path: Path) -> None:
    api = files("http://127.0.0.1:9").model_copy(update={"contract": protected(tmp_path)})

    with pytest.raises(ContractError) as raised:
        Gateway(config(tmp_path, files=api))

    assert [finding.rule for finding in raised.value.findings] == ["unsupported-security-scheme"]


def test_the_decision_is_for_the_operations_that_need_one(
    upstream: Upstream, tmp_path: Path
) -> None:
    """What the document secures by a scheme that is enforced stays secured by it."""
    api = files(upstream.url, unsecured="anonymous").model_copy(
        update={"contract": protected(tmp_path)}
    )
    with serving(config(tmp_path, files=api)) as served:
        assert served.request("GET", "/store/echo/a", token="").status_code == 401
        assert get(served, "/store/echo/a").status_code == 200
        assert served.request("HEAD", "/store/events", token="").status_code == 200


@pytest.mark.parametrize(
    "base_path",
    ["/portal", "/oauth2/mine", "/.well-known", "/livez", "/metrics/x", "/webhooks"],
)
def test_a_base_path_of_the_gateway_itself_is_taken(tmp_path: Path, base_path: str) -> None:
    with pytest.raises(ConfigError) as raised:
        Gateway(config(tmp_path, pets=pets("http://127.0.0.1:9", base_path=base_path)))

    assert raised.value.where == "external.pets.base_path"
    assert "belongs to the gateway itself" in raised.value.cause


def test_a_base_path_that_only_begins_the_same_is_free(upstream: Upstream, tmp_path: Path) -> None:
    api = pets(upstream.url, base_path="/portal-pets")
    with serving(config(tmp_path, pets=api)) as served:
        assert get(served, "/portal-pets/pets/rex").status_code == 200


def test_two_apis_at_one_address_do_not_start(tmp_path: Path) -> None:
    url = "http://127.0.0.1:9"
    chosen = config(tmp_path, one=pets(url), two=pets(url))

    with pytest.raises(ConfigError) as raised, serving(chosen):
        pass

    assert raised.value.where == "external.two.base_path"
    assert "is the same address as" in raised.value.cause


@pytest.mark.parametrize(
    ("settings", "cause"),
    [
        ({"urls": ["ftp://127.0.0.1"]}, "a base URL must start with http:// or https://"),
        ({"urls": ["http://user:secret@127.0.0.1"]}, "a base URL has no user information"),
        ({"upstream": {"set_headers": {"X-Key": "plain"}}}, "not a reference to a secret"),
    ],
)
def test_a_wrong_upstream_does_not_start(
    tmp_path: Path, settings: dict[str, Any], cause: str
) -> None:
    api = pets("http://127.0.0.1:9").model_copy(update=settings)

    with pytest.raises(ConfigError) as raised, serving(config(tmp_path, pets=api)):
        pass

    assert raised.value.where.startswith("external.pets.u")
    assert cause in raised.value.cause
    assert "secret@" not in str(raised.value)


def test_headers_may_carry_a_secret_to_the_upstream(upstream: Upstream, tmp_path: Path) -> None:
    secret = tmp_path / "key"
    secret.write_text("s3cret\n")
    api = files(upstream.url, upstream={"set_headers": {"X-Api-Key": f"file:{secret}"}})
    with serving(config(tmp_path, files=api)) as served:
        fields = dict(echo(served, "/store/echo/a", headers={"X-Api-Key": "mine"})["headers"])

    assert fields["x-api-key"] == "s3cret"

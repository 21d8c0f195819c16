"""Rate limits on a running gateway: exact, told in headers, and never in the way of a record."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from gateway.config import ConfigError
from tests.support.serving import Served, eventually, in_process

PUBLIC = "/experience/kiosk/v1/public"
CHOICE = "/experience/kiosk/v1/choices/a"
NOTES = "/experience/kiosk/v1/notes"
SLOW = "/experience/kiosk/v1/slow"
EMBEDDED = {"tryton": False, "redis": True}
Open = Callable[..., AbstractContextManager[Served]]


@pytest.fixture
def opened(tmp_path: Path) -> Open:
    """Return what serves the network with some limits over the embedded Redis."""

    def serve(limits: dict[str, Any], **settings: Any) -> AbstractContextManager[Served]:
        settings = {"embedded": EMBEDDED, "rate_limits": limits, **settings}
        return in_process(tmp_path, **settings)

    return serve


def plans(**policies: dict[str, Any]) -> dict[str, Any]:
    return {"plans": {"standard": policies}}


def note(served: Served, key: str, text: str = "a", **headers: str) -> httpx.Response:
    return served.request(
        "POST", NOTES, json={"text": text}, headers={"Idempotency-Key": key, **headers}
    )


def test_a_plan_grants_what_it_says_and_tells_where_it_stands(opened: Open) -> None:
    """RL-01, RL-02, RL-04: Retry-After, draft-11 fields, and the problem of a quota."""
    with opened(plans(hourly={"limits": "3/hour"})) as served:
        first, *_, refused = [served.request("GET", CHOICE) for _ in range(4)]

    assert first.headers["ratelimit-policy"] == '"hourly";q=3;w=3600;portico-burst=3'
    assert first.headers["ratelimit"].startswith('"hourly";r=2;t=')
    assert refused.status_code == 429
    assert refused.headers["content-type"] == "application/problem+json"
    assert 1100 <= int(refused.headers["retry-after"]) <= 1200
    problem = refused.json()
    assert problem["type"] == "https://iana.org/assignments/http-problem-types#quota-exceeded"
    assert problem["violated-policies"] == ["hourly"]


def test_no_plan_and_no_field(opened: Open) -> None:
    with opened({}) as served:
        assert not [name for name in served.request("GET", CHOICE).headers if "ratelimit" in name]


def test_callers_do_not_share_what_is_their_own(opened: Open) -> None:
    with opened(plans(hourly={"limits": "1/hour"})) as served:
        statuses = [
            served.request("GET", CHOICE, token=served.token(client_id=client)).status_code
            for client in ("a", "b", "a")
        ]

    assert statuses == [200, 200, 429]


def test_callers_without_a_token_count_by_address(opened: Open) -> None:
    limits = {
        "plans": {"standard": {}, "guests": {"hourly": {"limits": "2/hour"}}},
        "anonymous_plan": "guests",
    }
    with opened(limits) as served:
        guests = [served.request("GET", PUBLIC, token="").status_code for _ in range(3)]
        known = served.request("GET", CHOICE)

    assert guests == [200, 200, 429]
    assert "ratelimit" not in known.headers


def test_a_limit_of_some_operations_binds_only_them(opened: Open) -> None:
    limits = plans(choices={"limits": "1/hour", "operations": ["experience/kiosk.v1/choose"]})
    with opened(limits) as served:
        statuses = [
            served.request("GET", path).status_code for path in (CHOICE, PUBLIC, PUBLIC, CHOICE)
        ]

    assert statuses == [200, 200, 200, 429]


def test_an_operation_may_cost_more(opened: Open) -> None:
    costs = {"experience/kiosk.v1/choose": 4}
    with opened(plans(units={"limits": "10/hour", "costs": costs})) as served:
        remaining = [
            served.request("GET", path).headers["ratelimit"].split(";")[1]
            for path in (PUBLIC, CHOICE)
        ]

    assert remaining == ["r=9", "r=5"]


def test_several_policies_are_checked_together_and_consumed_together(opened: Open) -> None:
    """RL-09: what one policy refuses costs nothing in the others."""
    limits = plans(many={"limits": "100/hour"}, few={"limits": "1/hour"})
    with opened(limits) as served:
        served.request("GET", CHOICE)
        refused = [served.request("GET", CHOICE) for _ in range(5)]
        with opened_again(served, plans(many={"limits": "100/hour"})) as other:
            told = other.request("GET", CHOICE).headers["ratelimit"]

    assert {each.status_code for each in refused} == {429}
    assert refused[0].json()["violated-policies"] == ["few"]
    assert told.startswith('"many";r=98')


def opened_again(served: Served, limits: dict[str, Any]) -> AbstractContextManager[Served]:
    """Serve the network once more, over the same Redis and with other limits."""
    data = served.gateway.config.data
    return in_process(data, embedded=EMBEDDED, rate_limits=limits)


def test_two_gateways_on_one_redis_admit_what_one_would(opened: Open) -> None:
    limits = plans(hourly={"limits": "40/hour"})
    with opened(limits) as one, opened_again(one, limits) as two:
        token = one.token()

        def ask(number: int) -> int:
            served = (one, two)[number % 2]
            return served.request("GET", CHOICE, token=token).status_code

        with ThreadPoolExecutor(8) as pool:
            statuses = list(pool.map(ask, range(120)))

    assert statuses.count(200) == 40
    assert statuses.count(429) == 80


def test_a_request_over_its_limits_claims_nothing(opened: Open) -> None:
    """IDM-07: the key is as it was, and what was refused runs later."""
    limits = plans(notes={"limits": "1/second", "burst": 1})
    with opened(limits) as served:
        assert note(served, "first").status_code == 201
        refused = note(served, "second")
        time.sleep(int(refused.headers["retry-after"]) + 0.05)
        later = note(served, "second")

    assert refused.status_code == 429
    assert later.status_code == 201
    assert "idempotent-replayed" not in later.headers


@pytest.mark.parametrize(("costs", "status"), [(True, 429), (False, 201)])
def test_a_replay_costs_what_the_configuration_says(opened: Open, costs: bool, status: int) -> None:
    """IDM-07."""
    with opened({**plans(notes={"limits": "1/hour"}), "replay_costs": costs}) as served:
        note(served, "first")
        again = note(served, "first")

    assert again.status_code == status
    assert ("idempotent-replayed" in again.headers) is not costs


def test_a_mismatch_is_told_before_a_run_and_costs_like_one(opened: Open) -> None:
    with opened(plans(notes={"limits": "9/hour"})) as served:
        note(served, "first")
        other = note(served, "first", text="b")

    assert other.status_code == 422
    assert other.headers["ratelimit"].startswith('"notes";r=7')


def test_places_at_once_are_given_back_when_a_request_ends(opened: Open) -> None:
    """RL-13, also where the client leaves before the answer."""
    with opened(plans(**{"at-once": {"at_once": 1}})) as served:
        token = served.token()
        running = threading.Thread(
            target=lambda: served.request("GET", SLOW, token=token, params={"seconds": 0.5})
        )
        running.start()
        time.sleep(0.2)
        refused = served.request("GET", PUBLIC)
        running.join()
        freed = eventually(lambda: served.request("GET", PUBLIC).status_code == 200)
        with pytest.raises(httpx.ReadTimeout):
            served.request("GET", SLOW, params={"seconds": 2}, timeout=0.2)
        freed_again = eventually(lambda: served.request("GET", PUBLIC).status_code == 200)

    assert refused.status_code == 429
    assert freed
    assert freed_again


def test_bytes_are_counted_both_ways(opened: Open) -> None:
    limits = plans(volume={"limits": "100000/day", "unit": "content-bytes"})
    with opened(limits) as served:
        first = served.request("GET", CHOICE)
        content = len(first.content)
        # The answer is charged once it is sent, and each request costs 1 at least.
        charged = eventually(lambda: remaining(served.request("GET", CHOICE)) < 100000 - content)

    assert 'qu="content-bytes"' in first.headers["ratelimit-policy"]
    assert remaining(first) == 99999
    assert charged


def remaining(response: httpx.Response) -> int:
    return int(response.headers["ratelimit"].split(";")[1].removeprefix("r="))


@pytest.mark.parametrize(
    ("style", "names"),
    [
        ("draft-06", ["ratelimit-limit", "ratelimit-policy", "ratelimit-remaining"]),
        ("x", ["x-ratelimit-limit", "x-ratelimit-remaining", "x-ratelimit-reset"]),
        ("off", []),
    ],
)
def test_the_style_of_the_fields_is_configured(opened: Open, style: str, names: list[str]) -> None:
    with opened({**plans(hourly={"limits": "1/hour"}), "headers": style}) as served:
        answered = served.request("GET", CHOICE)
        refused = served.request("GET", CHOICE)

    found = sorted(name for name in answered.headers if "ratelimit" in name)
    assert found[: len(names)] == names or set(names) <= set(found)
    assert bool(found) is bool(names)
    assert int(refused.headers["retry-after"]) >= 1


def test_an_address_is_limited_before_anything_is_known_of_it(opened: Open) -> None:
    """RL-10: also for what has no valid token, and for what is no operation."""
    with opened({"address": "1/minute", "address_burst": 3}) as served:
        statuses = [
            served.request("GET", path, token="nonsense").status_code
            for path in (CHOICE, "/nothing/here", "/oauth2/token", CHOICE)
        ]
        refused = served.request("GET", CHOICE)

    assert statuses == [401, 404, 405, 429]
    assert refused.json()["type"].endswith("#abnormal-usage-detected")
    assert int(refused.headers["retry-after"]) >= 1


def test_a_client_of_the_configuration_has_its_plan(opened: Open) -> None:
    limits = {"plans": {"standard": {}, "small": {"hourly": {"limits": "1/hour"}}}}
    client = {"secret": "generated:tests", "scopes": ["kiosk:use"], "plan": "small"}
    with opened(limits, clients={"tests": client}) as served:
        statuses = [served.request("GET", CHOICE).status_code for _ in range(2)]

    assert statuses == [200, 429]


@pytest.mark.parametrize("key", ["", "a-key"])
def test_a_revoked_token_is_refused_before_anybody_is_told(opened: Open, key: str) -> None:
    """The look at revoked tokens is part of the admission, and costs nothing."""
    with opened(plans(hourly={"limits": "9/hour"})) as served:
        token = served.token()
        first = ask(served, token, key and "first")
        store(served).set(f"portico:revoked:{{{token_id(token)}}}", b"", px=60_000)
        refused = ask(served, token, key)
        other = ask(served, served.token(), key)

    assert first.status_code == 201 if key else 200
    assert refused.status_code == 401
    assert 'error="invalid_token"' in refused.headers["www-authenticate"]
    assert remaining(other) == remaining(first) - 1
    assert "idempotent-replayed" not in other.headers


def ask(served: Served, token: str, key: str) -> httpx.Response:
    if not key:
        return served.request("GET", CHOICE, token=token)
    headers = {"Idempotency-Key": key}
    return served.request("POST", NOTES, json={"text": "a"}, headers=headers, token=token)


def token_id(token: str) -> str:
    payload = token.split(".")[1]
    claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    found: str = claims["jti"]
    return found


def store(served: Served) -> redis.Redis:
    """Return a client of the gateway's embedded Redis."""
    (path,) = (served.gateway.config.data / "redis").glob("**/*.sock")
    return redis.Redis(unix_socket_path=str(path))


def test_an_author_of_an_api_limits_a_handler(opened: Open) -> None:
    """slowapi's decorator over the engine of the gateway; `test_workers.py` counts in several."""
    with opened({}) as served:
        answers = [served.request("GET", "/experience/kiosk/v1/scarce") for _ in range(4)]

    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert answers[3].json()["type"].endswith("#quota-exceeded")
    assert int(answers[3].headers["retry-after"]) >= 1


def test_a_limit_can_be_told_by_the_response(
    opened: Open, upstream_url: str, tmp_path: Path
) -> None:
    """What the response says its request has cost is charged afterwards."""
    document = tmp_path / "search.yaml"
    document.write_text(SEARCH)
    external = {
        "search": {
            "contract": document,
            "base_path": "/search",
            "urls": [upstream_url],
            "unsecured": "anonymous",
        }
    }
    limits = plans(units={"limits": "100/hour", "cost_field": "X-Cost"})
    with opened(limits, external=external) as served:
        first = served.request("GET", "/search/items", token="")
        charged = eventually(
            lambda: remaining(served.request("GET", "/search/items", token="")) < 75
        )

    assert remaining(first) == 99
    assert first.headers["x-cost"] == "12"
    assert charged


SEARCH = """
openapi: 3.1.1
info: {title: Search, version: 1.0.0}
paths:
  /items:
    get:
      operationId: listItems
      security: []
      responses:
        '200': {description: Found., content: {application/json: {schema: {type: object}}}}
"""


@pytest.fixture
def upstream_url() -> Iterator[str]:
    """Serve an upstream that says that every request costs 12."""
    import http.server

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:  # as http.server calls it
            self.send_response(200)
            for name, value in {
                "content-type": "application/json",
                "content-length": "2",
                "x-cost": "12",
            }.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.mark.parametrize(
    ("limits", "cause"),
    [
        ({"plans": {"gold": {}}}, "there is no plan 'standard'"),
        (plans(a={}), "has none of limits"),
        (plans(a={"limits": "1/s", "at_once": 2}), "has limits and at_once of"),
        (plans(a={"limits": "often"}), "found 'often'"),
        (plans(A={"limits": "1/second"}), "small letters"),
        (plans(a={"limits": "1/second", "operations": ["process/nothing.v1"]}), "no operation or"),
        (plans(a={"limits": "1/second", "costs": {"nothing": 2}}), "there is no operation"),
        (plans(a={"limits": "5/second", "cost": 9}), "costs 9"),
        ({"address": "5/second;6/minute"}, "expected one limit"),
    ],
)
def test_limits_that_cannot_be_meant_do_not_start(
    opened: Open, limits: dict[str, Any], cause: str
) -> None:
    with pytest.raises(ConfigError) as error, opened(limits):
        pass

    assert cause in str(error.value)


def test_a_client_with_an_unknown_plan_does_not_start(opened: Open) -> None:
    client = {"secret": "generated:tests", "scopes": ["kiosk:use"], "plan": "platinum"}
    with (
        pytest.raises(ConfigError, match="platinum"),
        opened(plans(a={"limits": "1/second"}), clients={"tests": client}),
    ):
        pass

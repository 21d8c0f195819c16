"""The same APIs in one process and as three services over HTTP: nobody can tell them apart.

Every test here runs in both modes. A call goes kiosk (experience) -> basket (process) -> shelf
(system); the two upper tiers relay what the test describes and return all their handlers see.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.serving import BASKET, KIOSK, Served, eventually, in_process, split

RELAY = "/experience/kiosk/v1/relay"


def relay(network: Served, operation: str, **description: Any) -> httpx.Response:
    """Have basket call an operation of shelf, through kiosk."""
    options = {name: description.pop(name) for name in ("headers", "token") if name in description}
    return network.request("POST", RELAY, json={"operation": operation, **description}, **options)


def reply(network: Served, operation: str, **description: Any) -> dict[str, Any]:
    """Return the only reply that the handler of basket sees."""
    response = relay(network, operation, **description)
    assert response.status_code == 200, response.text
    (only,) = response.json()["replies"]
    found: dict[str, Any] = only
    return found


def caught(network: Served, operation: str, **description: Any) -> dict[str, Any]:
    """Return the problem that the handler of basket sees."""
    response = relay(network, operation, catch=True, **description)
    assert response.status_code == 200, response.text
    found: dict[str, Any] = response.json()
    return found


def problem(response: httpx.Response) -> dict[str, Any]:
    """Return a problem without what differs from request to request."""
    assert response.headers["content-type"] == "application/problem+json"
    document: dict[str, Any] = response.json()
    assert document.pop("instance") == f"urn:portico:request:{response.headers['x-request-id']}"
    document["type"] = document["type"].removeprefix("https://portico.test/portal/problems/")
    return document


# Replies.


def test_a_reply_has_status_body_and_declared_headers(network: Served) -> None:
    found = reply(network, "listThings", arguments={"limit": 7, "color": ["red", "blue"]})

    assert found == {
        "status": 200,
        "kind": "dict",
        "mediaType": "application/json",
        "headers": [["link", '</system/shelf/v1/things?limit=7>; rel="next"']],
        "body": {
            "items": [
                {"id": "0", "name": "Lamp", "color": "red"},
                {"id": "1", "name": "Lamp", "color": "red"},
            ]
        },
    }


def test_a_location_is_below_the_base_path_of_the_callee(network: Served) -> None:
    found = reply(network, "createThing", body={"name": "Chair"}, headers={"Idempotency-Key": "l"})

    assert found["status"] == 201
    assert found["headers"] == [["location", f"/system/shelf/v1/things/{found['body']['id']}"]]


def test_an_empty_reply_has_no_body(network: Served) -> None:
    found = reply(network, "removeThing", arguments={"thingId": "1"})

    assert found == {
        "status": 204,
        "body": None,
        "kind": "NoneType",
        "headers": [],
        "mediaType": "",
    }


@pytest.mark.parametrize("how", ["bytes", "stream", "text"])
def test_other_media_types_arrive_as_octets(network: Served, how: str) -> None:
    found = reply(network, "report", arguments={"how": how})

    assert found["kind"] == "bytes"
    assert found["mediaType"] == "text/csv"
    assert found["body"] == {"octets": "a,b\n1,2\n"}


def test_json_in_octets_is_read(network: Served) -> None:
    assert reply(network, "fail", arguments={"kind": "json-bytes"})["body"] == {"amount": "5.00"}


def test_write_only_members_do_not_leave_the_callee(network: Served) -> None:
    assert reply(network, "fail", arguments={"kind": "write-only"})["body"] == {"amount": "5.00"}


# What arrives.


def echoed(network: Served, **description: Any) -> dict[str, Any]:
    description["arguments"] = {"name": "n", **description.get("arguments", {})}
    found: dict[str, Any] = reply(network, "echo", **description)["body"]
    return found


@pytest.mark.parametrize(
    "arguments",
    [
        {"name": "a/b c;d%e+f&g=h?i#j"},
        {"name": "äöü😀"},
        {"name": "..x"},
        {"count": -3, "ratio": 0.1, "whether": False},
        {"ratio": 1e300},
        {"text": ""},
        {"text": "a+b c&d=e%f#g,h|i 😀 \x00"},
        {"words": ["a,b", "c d", "", "+&="]},
        {"joined": ["a,b", "c d", "", "+&="]},
        {"numbers": [1, -2, 3]},
        {"spaced": ["a", "b,c"]},
        {"deep": {"a b": "1", "c": "d&e=f]"}},
        {"flat": {"red": 1, "green": 2}},
        {"filter": {"a": [1, {"b": None}], "c": "ä&="}},
        {"X-Tag": "plain text, with a comma"},
        {"X-Tag": "Grüße"},
        {"X-Tag": ""},
        {"X-Tags": ["a", "b c"]},
        {"X-Filter": {"a": ["ä", 1]}},
        {"session": "a b;c=d"},
        {"size": "large"},
    ],
    ids=str,
)
def test_every_style_of_parameter_arrives_as_it_was_given(
    network: Served, arguments: dict[str, Any]
) -> None:
    found = echoed(network, arguments=arguments)["arguments"]

    given = {name.lower().replace("-", "_"): value for name, value in arguments.items()}
    assert found == {"name": "n", "size": "small", **given}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({"words": []}, {}),
        ({"joined": []}, {}),
        ({"numbers": []}, {}),
        ({"deep": {}}, {}),
        ({"text": None, "words": None, "size": None}, {}),
        ({"count": 2.0}, {"count": 2}),
    ],
    ids=str,
)
def test_what_a_request_cannot_say_is_left_out(
    network: Served, arguments: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert echoed(network, arguments=arguments)["arguments"] == {
        "name": "n",
        "size": "small",
        **expected,
    }


def test_path_styles_arrive_as_they_were_given(network: Served) -> None:
    arguments = {
        "simple": ["a", "b,c/d"],
        "label": ["x", "y z"],
        "matrix": [1, 2],
        "spread": ["p;q", "r"],
        "pairs": {"k": "v=w", "ä": "ö"},
    }

    assert reply(network, "readStyles", arguments=arguments)["body"] == arguments


def test_defaults_are_filled_in(network: Served) -> None:
    found = echoed(network, body={"nested": {}})

    assert found["arguments"]["size"] == "small"
    assert found["body"] == {"note": "nothing to say", "nested": {"level": 1}}


def test_an_absent_body_stays_absent(network: Served) -> None:
    assert echoed(network)["body"] is None


def test_read_only_members_do_not_arrive(network: Served) -> None:
    found = reply(network, "createThing", body={"name": "Chair", "id": "mine"})

    assert found["body"]["id"] == "no-key"


# Who calls, for whom, in which trace.


def test_the_caller_is_the_api_and_the_subject_is_passed_on(network: Served) -> None:
    token = network.token(subject="Zoë <zoe@example.com>, & Söhne")

    assert echoed(network, token=token)["caller"] == {
        "subject": "Zoë <zoe@example.com>, & Söhne",
        "clientId": "process/basket.v1",
        "scopes": ["shelf:read"],
        "actors": ["experience/kiosk.v1", "tests"],
    }


def test_all_tiers_share_one_trace_and_one_request_id(network: Served) -> None:
    response = relay(network, "echo", arguments={"name": "n"}, times=2)

    bodies = [found["body"] for found in response.json()["replies"]]
    assert {body["requestId"] for body in bodies} == {response.headers["x-request-id"]}
    assert len({body["trace"] for body in bodies}) == 1
    assert len(bodies[0]["trace"]) == 32


def test_each_request_has_a_trace_of_its_own(network: Served) -> None:
    assert echoed(network)["trace"] != echoed(network)["trace"]


# Idempotency keys.


def keys(network: Served, key: str, **description: Any) -> list[str]:
    description["arguments"] = {"name": "n"}
    response = relay(network, "echo", headers={"Idempotency-Key": key}, **description)
    return [found["body"]["key"] for found in response.json()["replies"]]


def test_keys_are_derived_the_same_way_everywhere(network: Served) -> None:
    # The same strings in both modes: what was written in one is found in the other.
    assert keys(network, "order-1", times=2) == [
        "0c928231c30d9173109ff989826de4c4f2286a6d",
        "9eea52a078f8b74dd34794ca4c87c49ad84fa4f3",
    ]


def test_a_repeated_request_repeats_its_keys(network: Served) -> None:
    first, second = keys(network, "order-1", times=2), keys(network, "order-1", times=2)

    assert first == second
    assert len(set(first)) == 2


def test_steps_and_callers_have_keys_of_their_own(network: Served) -> None:
    assert keys(network, "order-1", step="a") != keys(network, "order-1", step="b")
    assert keys(network, "order-1") != keys(network, "order-2")


def test_without_a_key_nothing_is_derived(network: Served) -> None:
    assert echoed(network)["key"] == ""


def test_a_key_the_handler_chooses_is_passed_on(network: Served) -> None:
    found = echoed(network, arguments={"Idempotency-Key": "chosen"})

    assert found["key"] == "chosen"


# Problems.


def test_a_problem_of_the_callee_reaches_the_client_unchanged(network: Served) -> None:
    response = relay(network, "getThing", arguments={"thingId": "missing"})

    assert response.status_code == 404
    assert problem(response) == {
        "type": "not-found",
        "title": "There is nothing at this address",
        "status": 404,
        "detail": "there is no such thing",
        "thingId": "missing",
    }


def test_a_conflict_of_the_callee_reaches_the_client_unchanged(network: Served) -> None:
    response = relay(network, "createThing", body={"name": "taken"})

    assert response.status_code == 409
    assert problem(response)["name"] == "taken"


def test_a_handler_sees_the_same_problem_in_both_modes(network: Served) -> None:
    assert caught(network, "fail", arguments={"kind": "unavailable"}) == {
        "problem": "system-unavailable",
        "title": "A system behind this API cannot be reached",
        "status": 503,
        "detail": "the shelf does not answer",
        "extensions": {"system": "shelf"},
        "headers": [["retry-after", "7"]],
    }


def test_retry_after_reaches_the_client(network: Served) -> None:
    response = relay(network, "fail", arguments={"kind": "unavailable"})

    assert response.status_code == 503
    assert response.headers["retry-after"] == "7"
    assert "x-internal" not in response.headers


def test_a_problem_of_a_kind_of_its_own_keeps_slug_and_title(network: Served) -> None:
    assert problem(relay(network, "fail", arguments={"kind": "custom"})) == {
        "type": "shelf-full",
        "title": "The shelf is full",
        "status": 409,
        "detail": "all four boards",
        "boards": 4,
    }


def test_a_problem_given_as_a_reply_is_one(network: Served) -> None:
    assert problem(relay(network, "fail", arguments={"kind": "reply-problem"})) == {
        "type": "not-found",
        "title": "There is nothing at this address",
        "status": 404,
        "detail": "gone",
    }


def test_extensions_do_not_replace_standard_members(network: Served) -> None:
    found = problem(relay(network, "fail", arguments={"kind": "standard-members"}))

    assert found == {
        "type": "conflict",
        "title": "The request conflicts with the state of the resource",
        "status": 409,
        "detail": "busy",
        "a": 1,
    }


def test_an_exception_is_an_internal_error_that_names_the_api(network: Served) -> None:
    assert caught(network, "fail", arguments={"kind": "crash"}) == {
        "problem": "internal-error",
        "title": "Something failed inside",
        "status": 500,
        "detail": "",
        "extensions": {"api": "system/shelf.v1"},
        "headers": [],
    }
    response = relay(network, "fail", arguments={"kind": "crash"})
    assert response.status_code == 500
    assert "secret" not in response.text


def test_problems_of_parallel_calls_are_problems(network: Served) -> None:
    response = relay(network, "getThing", arguments={"thingId": "missing"}, times=3, parallel=True)

    assert response.status_code == 404


def test_a_handler_may_forbid(network: Served) -> None:
    response = relay(network, "fail", arguments={"kind": "forbidden"})

    assert response.status_code == 403
    assert problem(response)["detail"] == "not for you"


@pytest.mark.parametrize(
    ("kind", "detail"),
    [
        ("wrong-body", "fail answered with 1 violations of its contract"),
        ("invalid", "process/basket.v1 broke the contract of fail"),
    ],
)
def test_a_broken_contract_inside_is_an_error_of_the_inside(
    network: Served, kind: str, detail: str
) -> None:
    response = relay(network, "fail", arguments={"kind": kind})

    assert response.status_code == 500
    found = problem(response)
    assert found["type"] == "response-contract-violation"
    assert found["detail"].startswith(detail)
    assert (found["api"], found["operation"]) == ("system/shelf.v1", "fail")


def test_a_status_that_is_not_declared_is_a_violation(network: Served) -> None:
    # `default` covers it, and does not declare JSON of this kind.
    response = relay(network, "fail", arguments={"kind": "wrong-status"})

    assert problem(response)["type"] == "response-contract-violation"


@pytest.mark.parametrize(
    ("operation", "arguments", "detail"),
    [
        ("fail", {"kind": "broken-json"}, "answered with what is not JSON"),
        ("report", {"how": "cut"}, "closed the connection before its answer was complete"),
    ],
)
def test_an_answer_that_cannot_be_read_is_a_502(
    network: Served, operation: str, arguments: dict[str, Any], detail: str
) -> None:
    response = relay(network, operation, arguments=arguments)

    assert response.status_code == 502
    assert problem(response) == {
        "type": "bad-upstream-answer",
        "title": "The upstream answered wrongly",
        "status": 502,
        "detail": f"system/shelf.v1 {detail}",
        "api": "system/shelf.v1",
    }


# Misuse by the calling API.


@pytest.mark.parametrize(
    ("description", "reason"),
    [
        ({"operation": "listThings", "arguments": {"limit": "7"}}, "is not of type"),
        ({"operation": "listThings", "arguments": {"limit": 1000}}, "1000 is greater than"),
        ({"operation": "listThings", "arguments": {"wrong": 1}}, "there is no parameter 'wrong'"),
        ({"operation": "getThing", "arguments": {}}, '"thingId" is a required property'),
        ({"operation": "createThing"}, "The request body is missing"),
        ({"operation": "createThing", "body": {"name": ""}}, "is shorter than 1 character"),
        ({"operation": "echo", "arguments": {"name": "n", "X-Tag": "a\r\nb: c"}}, "header field"),
        ({"operation": "echo", "arguments": {"name": "n", "X-Tag": "日本"}}, "header field"),
        ({"operation": "echo", "arguments": {"name": "n", "X-Tag": " a"}}, "header field"),
        ({"operation": "echo", "arguments": {"name": "n", "X-Tags": ["a,b"]}}, "another value"),
        ({"operation": "echo", "arguments": {"name": "n", "spaced": ["a b"]}}, "another value"),
        ({"operation": "echo", "arguments": {"name": "n", "flat": {"blue": 1}}}, "no such member"),
        ({"operation": "echo", "arguments": {"name": "n", "words": [["a"]]}}, ""),
        ({"operation": "removeThing", "arguments": {"thingId": 5}}, "is not of type"),
    ],
    ids=str,
)
def test_a_call_that_breaks_the_callees_contract_is_the_callers_fault(
    network: Served, description: dict[str, Any], reason: str
) -> None:
    response = network.request("POST", RELAY, json=description)

    assert response.status_code == 500, response.text
    found = problem(response)
    assert found["type"] == "response-contract-violation"
    assert found["operation"] == description["operation"]
    assert found["detail"].startswith(
        f"process/basket.v1 broke the contract of {description['operation']}: "
    )
    assert reason in found["detail"]


@pytest.mark.parametrize("name", ["", ".", "..", "a/../b", "..;x", "a\\b", "a\nb", "\x85"])
def test_what_no_path_can_name_does_not_exist(network: Served, name: str) -> None:
    response = relay(network, "getThing", arguments={"thingId": name})

    assert response.status_code == 404
    assert problem(response)["detail"] == "no thingId is like this"


@pytest.mark.parametrize("operation", ["readSecret", "noSuchThing"])
def test_a_call_that_is_not_declared_is_refused(network: Served, operation: str) -> None:
    response = relay(network, operation)

    assert response.status_code == 500
    assert problem(response) == {
        "type": "call-not-declared",
        "title": "An API called what its contract does not list",
        "status": 500,
        "detail": f"process/basket.v1 called {operation} of system/shelf.v1, "
        "which its x-calls does not list",
        "api": "process/basket.v1",
    }


# Deadlines.


def as_a_tier(network: Served, milliseconds: int, **description: Any) -> httpx.Response:
    """Make a request to basket as kiosk would, with a deadline."""
    return network.as_tier(
        KIOSK,
        BASKET,
        "/process/basket/v1/relay",
        json=description,
        headers={"Portico-Timeout-Ms": str(milliseconds)},
    )


def test_a_slow_callee_is_a_504_within_the_budget(network: Served) -> None:
    started = time.monotonic()
    response = as_a_tier(network, 400, operation="wait", arguments={"seconds": 20})

    assert time.monotonic() - started < 1.0
    assert response.status_code == 504
    assert problem(response) == {
        "type": "deadline-exceeded",
        "title": "The answer did not arrive in time",
        "status": 504,
        "api": "system/shelf.v1",
    }


def test_an_inner_budget_leaves_its_caller_time_to_answer(network: Served) -> None:
    response = as_a_tier(network, 500, operation="wait", arguments={"seconds": 20}, catch=True)

    # The handler of basket had time to catch the problem and to make an answer of it.
    assert response.status_code == 200
    assert response.json()["problem"] == "deadline-exceeded"


def test_each_tier_has_a_share_of_what_is_left(network: Served) -> None:
    response = as_a_tier(network, 10_000, operation="echo", arguments={"name": "n"})

    (only,) = response.json()["replies"]
    assert 8.5 < only["body"]["secondsLeft"] <= 9.0


def test_a_handler_that_is_out_of_time_is_cancelled(network: Served) -> None:
    response = as_a_tier(network, 300, operation="wait", arguments={"seconds": 20})

    from system_apis.shelf import handlers

    request_id = response.headers["x-request-id"]
    assert eventually(lambda: handlers._waits.get(request_id) == "cancelled")


def test_an_expired_deadline_calls_nobody(network: Served) -> None:
    response = as_a_tier(network, 0, operation="wait", arguments={"seconds": 0})

    from system_apis.shelf import handlers

    assert response.status_code == 504
    assert response.headers["x-request-id"] not in handlers._waits


# Callees that cannot be reached.


def test_a_callee_that_is_down_is_a_503_that_names_it(network: Served) -> None:
    response = relay(network, "getAbsent", api="process/absent.v1")

    assert response.status_code == 503
    assert response.headers["retry-after"] == "1"
    assert problem(response) == {
        "type": "unavailable",
        "title": "The service cannot take the request now",
        "status": 503,
        "detail": "process/absent.v1 cannot be reached",
        "api": "process/absent.v1",
    }


# Validation of responses.


@pytest.fixture(params=["report", "off", "sample: 1/2", "strict"])
def validating(request: pytest.FixtureRequest) -> str:
    found: str = request.param
    return found


@pytest.mark.parametrize("mode", [in_process, split])
def test_validation_modes_are_the_same_in_both_modes(
    mode: Any, validating: str, tmp_path: Path
) -> None:
    from portico.server.validation import Validation

    chosen = {"validation": Validation.parse(validating)}
    with mode(tmp_path, apis={"system/shelf.v1": chosen}) as network:
        found = [relay(network, "fail", arguments={"kind": "wrong-body"}) for _ in range(2)]
        assert relay(network, "getThing", arguments={"thingId": "a b"}).status_code == 200
        assert relay(network, "listThings", arguments={"color": ["a", "b"]}).status_code == 200

    expected = 500 if validating == "strict" else 200
    assert [response.status_code for response in found] == [expected] * 2
    if expected == 200:
        assert found[0].json()["replies"][0]["body"] == {"amount": 5}


# Forgery.


def test_only_tiers_are_believed(network: Served) -> None:
    forged = {
        "Portico-Timeout-Ms": "1",
        "X-Request-Id": "chosen-by-the-client",
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "tracestate": "vendor=1",
    }

    response = relay(network, "echo", arguments={"name": "n"}, headers=forged)

    (only,) = response.json()["replies"]
    assert only["body"]["caller"]["subject"] == "ada"
    assert only["body"]["secondsLeft"] > 20
    assert only["body"]["requestId"] == response.headers["x-request-id"] != "chosen-by-the-client"
    assert only["body"]["trace"] != "0af7651916cd43dd8448eb211c80319c"
    assert only["body"]["traceState"] == ""


def test_a_tier_is_believed(network: Served) -> None:
    response = network.as_tier(
        KIOSK,
        BASKET,
        "/process/basket/v1/relay",
        json={"operation": "echo", "arguments": {"name": "n"}},
        subject="somebody else",
        headers={
            "X-Request-Id": "chosen-by-a-tier",
            "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "tracestate": "vendor=1",
        },
    )

    (only,) = response.json()["replies"]
    assert only["body"]["caller"]["subject"] == "somebody else"
    assert only["body"]["requestId"] == "chosen-by-a-tier"
    assert only["body"]["trace"] == "0af7651916cd43dd8448eb211c80319c"
    assert only["body"]["traceState"] == "vendor=1"


def test_a_token_for_one_api_opens_no_other(network: Served) -> None:
    token = network.token(audience="process/basket.v1")

    response = relay(network, "echo", arguments={"name": "n"}, token=token)

    assert response.status_code == 401


def test_the_token_endpoint_gives_no_tokens_of_tiers(network: Served) -> None:
    secret = network.gateway.secrets.resolve("generated:tests", "")
    for form in ({"resource": KIOSK}, {"audience": KIOSK}, {"scope": "kiosk:use", "resource": ""}):
        response = network.client.post(
            f"{network.url}/oauth2/token",
            data={"grant_type": "client_credentials", **form},
            auth=("tests", secret),
        )
        if response.status_code == 200:
            denied = relay(
                network,
                "echo",
                arguments={"name": "n"},
                token=response.json()["access_token"],
                headers={"X-Request-Id": "forged"},
            )
            assert denied.headers["x-request-id"] != "forged"

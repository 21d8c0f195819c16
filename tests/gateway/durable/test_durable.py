"""From a vendor's webhook to a dead letter, an alert, and a replay: through a real gateway."""

from __future__ import annotations

import json
import shutil
import time
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import pytest

from gateway.cli import main
from gateway.config import Config, ConfigError
from portico.contract import ContractError
from portico.webhooks.standard import STANDARD, decode_secret, decode_signing_secret, sign
from tests.gateway.durable.conftest import OPERATIONS, SECRET, settings
from tests.support.serving import PUBLIC_URL, Served, eventually, serving

if TYPE_CHECKING:
    import httpx

    from tests.gateway.durable.conftest import Receiver

LETTER = "workflow:webhook:shop:msg_1"
STEP_SPECS = Path(__file__).parents[2] / "portico" / "workflow" / "specs"
READ, WRITE = "operations:read", "operations:write"


def deliver(served: Served, needs: Path, message_id: str = "msg_1") -> httpx.Response:
    """Send what the vendor would send."""
    body = json.dumps({"type": "thing.made", "needs": str(needs)}).encode()
    at = int(time.time())
    headers = {
        "webhook-id": message_id,
        "webhook-timestamp": str(at),
        "webhook-signature": sign([decode_signing_secret(SECRET)], message_id, at, body),
    }
    return served.request("POST", "/webhooks/shop", token="", content=body, headers=headers)


def ask(served: Served, method: str, path: str, *scopes: str, **options: Any) -> httpx.Response:
    token = served.token(*(scopes or (READ, WRITE)))
    if method == "POST":
        options["headers"] = {"idempotency-key": str(uuid.uuid4())}
    return served.request(method, OPERATIONS + path, token=token, **options)


def letters(served: Served) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = ask(served, "GET", "/dead-letters").json()["items"]
    return found


def phase(served: Served, workflow_id: str) -> str:
    answer = ask(served, "GET", f"/workflows/{quote(workflow_id, safe='')}")
    return str(answer.json().get("phase", answer.status_code))


def test_a_delivery_that_fails_is_told_replayed_and_done(
    served: Served, receiver: Receiver, tmp_path: Path
) -> None:
    needs = tmp_path / "needed"

    accepted = deliver(served, needs)
    assert eventually(lambda: letters(served))
    (letter,) = letters(served)
    assert eventually(lambda: receiver.got, 15.0)
    needs.touch()
    replayed = ask(served, "POST", f"/dead-letters/{quote(LETTER, safe='')}/replay")
    done = eventually(lambda: phase(served, "webhook:shop:msg_1") == "succeeded")

    assert accepted.status_code == 200
    assert (letter["id"], letter["cause"]) == (LETTER, "disk: the file is missing")
    assert replayed.status_code == 202
    assert done
    headers, body = receiver.got[0]
    alert = json.loads(body)
    assert alert["type"] == "portico.incident.opened"
    assert alert["data"]["incidentId"] == letter["incidentId"]
    assert alert["data"]["replayCommand"].endswith(letter["incidentId"])
    secret = (served.gateway.config.data / "secrets" / "pager").read_text().strip()
    at = float(headers["webhook-timestamp"])
    assert STANDARD.verify(headers, body, [decode_secret(secret)], at).delivery_id


def test_a_delivery_that_is_not_signed_is_refused(served: Served) -> None:
    forged = served.request("POST", "/webhooks/shop", token="", content=b"{}")
    elsewhere = served.request("POST", "/webhooks/none", token="", content=b"{}")

    assert (forged.status_code, elsewhere.status_code) == (401, 404)
    assert forged.headers["content-type"] == "application/problem+json"
    assert forged.json()["type"] == f"{PUBLIC_URL}/portal/problems/unauthenticated"
    assert letters(served) == []


def test_only_who_may_write_replays_and_discards(served: Served, tmp_path: Path) -> None:
    deliver(served, tmp_path / "needed")
    assert eventually(lambda: letters(served))
    path = f"/dead-letters/{quote(LETTER, safe='')}"

    answers = [
        ask(served, "POST", f"{path}/replay", READ),
        ask(served, "DELETE", path, READ, params={"reason": "because"}),
        ask(served, "GET", path, WRITE),
        ask(served, "DELETE", path, WRITE),
    ]

    assert [answer.status_code for answer in answers] == [403, 403, 403, 400]
    assert len(letters(served)) == 1


def test_what_is_discarded_stays_on_record(served: Served, tmp_path: Path) -> None:
    deliver(served, tmp_path / "needed")
    assert eventually(lambda: letters(served))
    path = f"/dead-letters/{quote(LETTER, safe='')}"
    shown = ask(served, "GET", path).json()

    gone = ask(served, "DELETE", path, params={"reason": "placed by phone"})
    again = ask(served, "GET", path)

    assert json.loads(shown["payload"]["body"])["type"] == "thing.made"
    assert shown["history"] == []
    assert (gone.status_code, again.status_code) == (204, 404)


def test_an_incident_is_replayed_as_a_whole(served: Served, tmp_path: Path) -> None:
    needs = tmp_path / "needed"
    for number in range(3):
        deliver(served, needs, f"msg_{number}")
    assert eventually(lambda: len(letters(served)) == 3)
    (incident,) = {letter["incidentId"] for letter in letters(served)}
    needs.touch()

    replayed = ask(served, "POST", f"/incidents/{incident}/replay")
    missing = ask(served, "POST", f"/incidents/{'0' * 32}/replay")

    assert replayed.json() == {"replayed": 3, "remaining": 0}
    assert missing.status_code == 404
    assert eventually(lambda: phase(served, "webhook:shop:msg_2") == "succeeded")


def test_a_subscriber_that_is_gone_is_shown_and_enabled_again(
    served: Served, receiver: Receiver, tmp_path: Path
) -> None:
    receiver.status = 410
    deliver(served, tmp_path / "needed")

    def subscriber() -> dict[str, Any]:
        (found,) = ask(served, "GET", "/webhook-subscribers").json()["items"]
        return dict(found)

    assert eventually(lambda: "disabledBecause" in subscriber(), 15.0)
    disabled = subscriber()
    enabled = ask(served, "DELETE", "/webhook-subscribers/pager/disablement")
    unknown = ask(served, "DELETE", "/webhook-subscribers/nobody/disablement")

    assert disabled["disabledBecause"] == "the receiver answered 410"
    assert "url" not in disabled
    assert (enabled.status_code, unknown.status_code) == (204, 404)
    assert "disabledBecause" not in subscriber()
    kinds = {"workflow", "webhook"}
    assert eventually(lambda: {letter["kind"] for letter in letters(served)} == kinds)


def test_the_command_line_lists_shows_replays_and_discards(
    served: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    needs = tmp_path / "needed"
    config = tmp_path / "portico.yaml"
    config.write_text(f"data: {served.gateway.config.data}\nidentity: {{issuer: '{PUBLIC_URL}'}}\n")

    def dlq(*words: str) -> tuple[int, str]:
        code = main(["dlq", "--config", str(config), "--url", served.url, *words])
        return code, capsys.readouterr().out

    deliver(served, needs, "msg_1")
    deliver(served, needs, "msg_2")
    assert eventually(lambda: len(letters(served)) == 2)
    incident = letters(served)[0]["incidentId"]

    listed = dlq("list", "--kind", "workflow")
    shown = dlq("show", LETTER)
    discarded = dlq("discard", "workflow:webhook:shop:msg_2", "--reason", "a test")
    needs.touch()
    replayed = dlq("replay", "--incident", incident)
    assert eventually(lambda: phase(served, "webhook:shop:msg_1") == "succeeded")
    empty = dlq("list")

    assert listed[0] == 1, "findings"
    assert "tally.v1: disk: the file is missing" in listed[1]
    assert json.loads(shown[1])["id"] == LETTER
    assert (discarded[0], replayed[0]) == (0, 0)
    assert replayed[1].startswith("1 under way again")
    assert empty == (0, "0 dead letters\n")


def test_the_list_is_read_page_by_page(
    served: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "portico.yaml"
    config.write_text(f"data: {served.gateway.config.data}\nidentity: {{issuer: '{PUBLIC_URL}'}}\n")
    for number in range(102):
        deliver(served, tmp_path / "needed", f"msg_{number}")
    letters_of_page = {"limit": 60, "kind": "workflow"}

    def two_pages() -> tuple[Any, Any]:
        first = ask(served, "GET", "/dead-letters", params=letters_of_page)
        cursor = first.json().get("nextCursor")
        return first, ask(served, "GET", "/dead-letters", params={"cursor": cursor, "limit": 60})

    assert eventually(lambda: len(two_pages()[1].json().get("items", [])) == 42)
    first, second = two_pages()
    names = [letter["id"] for answer in (first, second) for letter in answer.json()["items"]]
    unknown = ask(served, "GET", "/dead-letters", params={"cursor": "none"})
    code = main(["dlq", "--config", str(config), "--url", served.url, "list", "--kind", "workflow"])
    listed = capsys.readouterr().out

    assert len(set(names)) == 102
    assert "nextCursor" not in second.json()
    link = first.headers["link"]
    assert link.startswith("<?kind=workflow&limit=60&cursor=")
    assert link.endswith('rel="next"')
    assert (unknown.status_code, code) == (404, 1)
    assert listed.endswith("102 dead letters\n")


def test_the_command_line_says_what_is_wrong(
    served: Served, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "portico.yaml"
    config.write_text(f"data: {served.gateway.config.data}\nidentity: {{issuer: '{PUBLIC_URL}'}}\n")

    def dlq(url: str, *words: str) -> tuple[int, str]:
        code = main(["dlq", "--config", str(config), "--url", url, *words])
        return code, capsys.readouterr().err

    unknown = dlq(served.url, "show", "workflow:none")
    neither = dlq(served.url, "replay")
    away = dlq("http://127.0.0.1:9", "list")

    assert unknown[0] == neither[0] == away[0] == 3
    assert "there is no dead letter workflow:none" in unknown[1]
    assert "it is not said what to replay" in neither[1]
    assert "does not answer" in away[1]


def test_DUR_10_what_was_left_is_done_by_the_next_process(tmp_path: Path) -> None:  # noqa: N802
    needs = tmp_path / "needed"
    config = Config.model_validate(settings(tmp_path))
    with serving(config) as first:
        deliver(first, needs)
        assert eventually(lambda: letters(first))
    needs.touch()

    with serving(config) as second:
        (letter,) = letters(second)
        ask(second, "POST", f"/dead-letters/{quote(letter['id'], safe='')}/replay")
        assert eventually(lambda: phase(second, "webhook:shop:msg_1") == "succeeded")


@pytest.mark.parametrize(
    ("section", "value", "where", "cause"),
    [
        (
            "webhooks",
            {
                "doors": {
                    "shop": {"vendor": "standard", "secrets": ["generated:x"], "workflow": "n"}
                }
            },
            "webhooks.doors.shop.workflow",
            "there is no workflow n",
        ),
        (
            "webhooks",
            {
                "doors": {
                    "s": {"vendor": "standard", "secrets": ["env:BAD"], "workflow": "tally.v1"}
                }
            },
            "webhooks.doors.s.secrets",
            "the secret cannot be used",
        ),
        (
            "webhooks",
            {
                "doors": {
                    "s": {
                        "vendor": "github",
                        "secrets": ["generated:x"],
                        "workflow": "tally.v1",
                        "origins": ["*"],
                    }
                }
            },
            "webhooks.doors.s.origins",
            "github does not ask",
        ),
        (
            "webhooks",
            {
                "subscribers": {
                    "p": {"url": "https://x", "types": ["y"], "secrets": ["generated:x"]}
                }
            },
            "webhooks.subscribers.p.types",
            "no contract describes events of type y",
        ),
        ("webhooks", {"allowed_networks": ["home"]}, "webhooks.allowed_networks", "home"),
        ("workflows", {"database": "mysql://x/y"}, "workflows.database", "mysql is not supported"),
        ("events", {"bus": "nats"}, "events.nats_url", "has no address"),
        ("events", {"bus": "nats", "nats_url": "nats://127.0.0.1:9"}, "events.nats_url", "nats"),
        ("alerts", {"mail": {"host": "h"}}, "alerts.mail.recipients", "nobody gets"),
    ],
)
def test_a_setting_that_cannot_be_does_not_start(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    section: str,
    value: dict[str, Any],
    where: str,
    cause: str,
) -> None:
    monkeypatch.setenv("BAD", "short")
    config = Config.model_validate(settings(tmp_path, **{section: value}))

    with pytest.raises(ConfigError) as refusal, serving(config):
        pass

    assert refusal.value.where == where
    assert cause in refusal.value.cause


def test_a_step_that_may_take_effect_twice_does_not_start(tmp_path: Path) -> None:
    """The finding names the place in the contract that lists the operation."""
    chosen = settings(tmp_path)
    root: Path = chosen["contracts"]
    shutil.copytree(STEP_SPECS / "system", root / "system")
    tally = (root / "process" / "tally.v1.yaml").read_text()
    (root / "process" / "careless.v1.yaml").write_text(
        tally.replace("/process/tally/v1", "/process/careless/v1")
        .replace("x-owner", "x-calls: {system/ledger.v1: [postEntry]}\nx-owner")
        .replace("listCounts", "listEntries")
    )
    config = Config.model_validate(
        {**chosen, "apis": {"system/ledger.v1": {"url": "http://127.0.0.1:9"}}}
    )

    with pytest.raises(ContractError) as refusal, serving(config):
        pass

    (finding,) = refusal.value.findings
    assert finding.rule == "unsafe-step"
    assert finding.position.file.name == "careless.v1.yaml"
    assert "postEntry of system/ledger.v1" in finding.message


def test_a_delivery_and_the_run_it_starts_have_one_trace(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The access log says at the door under which trace the run is found."""
    chosen = settings(tmp_path, access_log="stdout")
    with serving(Config.model_validate(chosen)) as gateway:
        deliver(gateway, tmp_path / "needed")
        answer = ask(gateway, "GET", f"/workflows/{quote('webhook:shop:msg_1', safe='')}")
    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines() if line[:1] == "{"]

    (door,) = [line for line in lines if line.get("path") == "/webhooks/{name}"]
    assert door["trace"] == answer.json()["traceId"]


def test_a_door_for_cloudevents_answers_the_question_and_takes_an_event(tmp_path: Path) -> None:
    """An event taken is answered 202, as what becomes of it is not known yet."""
    chosen = settings(tmp_path)
    (tmp_path / "token").write_text("a-token-of-the-tests")
    chosen["webhooks"]["doors"]["events"] = {
        "vendor": "cloudevents",
        "secrets": [f"file:{tmp_path / 'token'}"],
        "workflow": "tally.v1",
        "origins": ["events.example.com"],
    }
    event = {
        "specversion": "1.0",
        "id": "1",
        "source": "/shop",
        "type": "thing.made",
        "needs": str(tmp_path),
    }
    headers = {
        "authorization": "Bearer a-token-of-the-tests",
        "content-type": "application/cloudevents+json",
    }
    with serving(Config.model_validate(chosen)) as gateway:

        def send(method: str, door: str, fields: dict[str, str], body: bytes = b"") -> Any:
            path = f"/webhooks/{door}"
            return gateway.request(method, path, token="", content=body, headers=fields)

        origin = {"webhook-request-origin": "events.example.com", "webhook-request-rate": "60"}
        allowed = send("OPTIONS", "events", origin)
        stranger = send("OPTIONS", "events", {"webhook-request-origin": "other.example.com"})
        elsewhere = send("OPTIONS", "shop", origin)
        taken = send("POST", "events", headers, json.dumps(event).encode())
        again = send("POST", "events", headers, json.dumps(event).encode())
        unsigned = send("POST", "events", {"content-type": "application/cloudevents+json"})
        noise = send("POST", "events", headers, b"[]")

    assert allowed.status_code == 200
    assert allowed.headers["webhook-allowed-origin"] == "events.example.com"
    assert allowed.headers["webhook-allowed-rate"] == "*"
    assert (stranger.status_code, elsewhere.status_code) == (405, 405)
    assert stranger.headers["allow"] == "POST"
    assert "webhook-allowed-origin" not in stranger.headers
    assert (taken.status_code, again.status_code) == (202, 202)
    assert (unsigned.status_code, noise.status_code) == (401, 400)

"""Event contracts: what a document has to say, and what events it lets through."""

from __future__ import annotations

from pathlib import Path

import pytest

from portico.contract import ContractError
from portico.events.contracts import EventContracts, load_events
from portico.events.errors import EventContractError, UnknownEventError
from portico.events.event import new_event

GOOD = """\
asyncapi: 3.1.0
info: {title: Things, version: 1.0.0}
x-owner: tests
channels:
  things:
    address: test.thing.made
    messages:
      made: {$ref: '#/components/messages/Made'}
operations:
  sendMade: {action: send, channel: {$ref: '#/channels/things'}}
components:
  messages:
    Made:
      name: test.thing.made
      payload:
        type: object
        required: [price, at]
        additionalProperties: false
        properties:
          price: {$ref: ../shared/price.yaml}
          at: {type: string, format: date-time}
"""
PRICE = "type: object\nrequired: [amount]\nproperties: {amount: {$ref: '#/$defs/amount'}}\n"
PRICE += "$defs: {amount: {type: string, pattern: '^[0-9]+$'}}\n"
DATA = {"price": {"amount": "7"}, "at": "2026-11-27T12:00:00Z"}


def contracts(root: Path, text: str = GOOD, name: str = "things.v1.yaml") -> EventContracts:
    (root / "events").mkdir(exist_ok=True)
    (root / "shared").mkdir(exist_ok=True)
    (root / "shared" / "price.yaml").write_text(PRICE)
    (root / "events" / name).write_text(text)
    return load_events(root / "events")


def test_an_event_under_contract_passes(tmp_path: Path) -> None:
    found = contracts(tmp_path)

    found.check(new_event("test.thing.made", "/tests", DATA))

    assert found.types["test.thing.made"].sent
    assert found.types["test.thing.made"].contract == "things.v1"


@pytest.mark.parametrize(
    ("data", "cause"),
    [
        ({**DATA, "price": {"amount": "seven"}}, "#/price/amount breaks pattern"),
        ({**DATA, "at": "yesterday"}, "#/at breaks format"),
        ({**DATA, "more": 1}, "# breaks additionalProperties"),
        ({}, "# breaks required"),
        (None, "# breaks type"),
    ],
)
def test_data_that_breaks_its_contract_is_named_by_place_only(
    tmp_path: Path, data: object, cause: str
) -> None:
    with pytest.raises(EventContractError) as refusal:
        contracts(tmp_path).check(new_event("test.thing.made", "/tests", data))

    assert cause in refusal.value.causes
    assert "seven" not in str(refusal.value)
    assert "yesterday" not in str(refusal.value)


def test_an_event_no_contract_describes_is_unknown(tmp_path: Path) -> None:
    with pytest.raises(UnknownEventError, match=r"test\.thing\.lost"):
        contracts(tmp_path).check(new_event("test.thing.lost", "/tests", {}))


@pytest.mark.parametrize(
    ("old", "new", "rule", "line"),
    [
        ("asyncapi: 3.1.0", "asyncapi: 2.6.0", "not-asyncapi", 1),
        ("asyncapi: 3.1.0", "openapi: 3.1.0", "not-asyncapi", 1),
        ("x-owner: tests\n", "", "no-owner", 1),
        ("action: send", "action: publish", "no-action", 10),
        ("'#/channels/things'", "'#/channels/thing'", "broken-reference", 10),
        ("'#/components/messages/Made'", "'#/components/messages/Lost'", "broken-reference", 8),
        ("name: test.thing.made", "name: test-thing made", "message-name", 13),
        ("payload:", "content:", "no-payload", 13),
        ("../shared/price.yaml", "../shared/lost.yaml", "unreadable-document", 1),
        ("../shared/price.yaml", "../../outside.yaml", "unreadable-document", 1),
        ("../shared/price.yaml", "https://example.com/price.yaml", "unusable-schema", 15),
        ("type: string, format", "type: strong, format", "unusable-schema", 15),
    ],
)
def test_a_document_that_cannot_be_is_refused_at_its_place(
    tmp_path: Path, old: str, new: str, rule: str, line: int
) -> None:
    assert old in GOOD

    with pytest.raises(ContractError) as refusal:
        contracts(tmp_path, GOOD.replace(old, new, 1))

    (finding,) = refusal.value.findings
    assert (finding.rule, finding.position.line) == (rule, line)


def test_a_file_that_names_no_version_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ContractError, match=r"orders\.v1\.yaml"):
        contracts(tmp_path, name="things.yaml")


def test_one_type_is_in_one_contract(tmp_path: Path) -> None:
    contracts(tmp_path, name="a.v1.yaml")

    with pytest.raises(ContractError, match=r"also a message of a\.v1"):
        contracts(tmp_path, name="b.v1.yaml")


def test_a_circle_of_references_is_refused(tmp_path: Path) -> None:
    circle = "made: {$ref: '#/channels/things/messages/made'}"

    with pytest.raises(ContractError, match="circle"):
        contracts(tmp_path, GOOD.replace("made: {$ref: '#/components/messages/Made'}", circle))

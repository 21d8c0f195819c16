"""CloudEvents over HTTP; tests are named after the lines CE-01 to CE-06 of the binding's rules."""

from __future__ import annotations

import json

import pytest
from cloudevents.core.bindings import http as judge
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent as JudgesEvent
from hypothesis import given
from hypothesis import strategies as st

from portico.events import http_binding
from portico.events.errors import MalformedEventError, UnsupportedFormatError
from portico.events.event import MAX_EVENT_BYTES, CloudEvent

REQUIRED = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "/s", "ce-type": "t"}
STRUCTURED = {"content-type": "application/cloudevents+json"}


def binary(body: bytes = b"", **headers: str) -> CloudEvent:
    fields = {**REQUIRED, **{name.replace("_", "-"): value for name, value in headers.items()}}
    return http_binding.read(fields.items(), body)


def structured(**members: object) -> CloudEvent:
    document = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t", **members}
    return http_binding.read(STRUCTURED.items(), json.dumps(document).encode())


@pytest.mark.parametrize(
    ("headers", "mode"),
    [
        ({"Content-Type": "application/cloudevents-batch+json"}, "batch"),
        ({"Content-Type": "APPLICATION/CloudEvents+JSON; charset=utf-8"}, "structured"),
        ({"content-type": "application/cloudevents+avro"}, "structured"),
        ({**REQUIRED, "content-type": "application/json"}, "binary"),
        ({name.upper(): value for name, value in REQUIRED.items()}, "binary"),
        ({**REQUIRED, "content-type": "application/cloudevents+json"}, "structured"),
        ({name: value for name, value in REQUIRED.items() if name != "ce-id"}, "none"),
        ({"content-type": "application/json"}, "none"),
    ],
)
def test_CE_01_the_content_type_says_the_mode(headers: dict[str, str], mode: str) -> None:  # noqa: N802
    assert http_binding.mode_of(headers.items()) == mode


def test_CE_02_the_content_type_is_that_of_the_data() -> None:  # noqa: N802
    event = binary(b"<a/>", content_type="application/xml; charset=utf-8")

    message = http_binding.write_binary(event)

    assert event.datacontenttype == "application/xml; charset=utf-8"
    assert event.data == b"<a/>"
    assert dict(message.headers)["content-type"] == "application/xml; charset=utf-8"
    assert "ce-datacontenttype" not in dict(message.headers)


def test_CE_02_ce_datacontenttype_is_refused() -> None:  # noqa: N802
    with pytest.raises(MalformedEventError, match="ce-datacontenttype"):
        binary(ce_datacontenttype="text/plain")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("Euro%20%E2%82%AC%20%F0%9F%98%80", "Euro € 😀"),
        ('"quoted text"', "quoted text"),
        ('"with \\"marks\\" and \\\\"', 'with "marks" and \\'),
        ('"%22"', '"'),
        ("%2520", "%20"),  # one round only
        ("100%", "100%"),
        ('half"', 'half"'),
    ],
)
def test_CE_02_quotes_go_first_then_one_round_of_percent_decoding(value: str, text: str) -> None:  # noqa: N802
    assert http_binding.decode_value(value) == text


@pytest.mark.parametrize("value", ["%C0%A0", "%FF", "%ED%A0%80"])
def test_CE_02_what_is_not_utf8_is_refused(value: str) -> None:  # noqa: N802
    with pytest.raises(MalformedEventError, match="UTF-8"):
        binary(ce_subject=value)


def test_CE_02_what_has_to_be_encoded_is_and_nothing_else() -> None:  # noqa: N802
    plain = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"%')

    assert http_binding.encode_value("Euro € 😀") == "Euro%20%E2%82%AC%20%F0%9F%98%80"
    assert http_binding.encode_value('a "b" 5%') == "a%20%22b%22%205%25"
    assert http_binding.encode_value(plain) == plain
    assert http_binding.encode_value(True) == "true"
    assert http_binding.encode_value(-7) == "-7"


@given(st.text(st.characters(exclude_categories=["Cs", "Cc", "Cn"]), min_size=1, max_size=50))
def test_CE_02_every_text_survives_a_header(text: str) -> None:  # noqa: N802
    encoded = http_binding.encode_value(text)

    assert encoded.isascii()
    assert http_binding.decode_value(encoded) == text


def test_CE_02_a_header_twice_is_refused() -> None:  # noqa: N802
    fields = [*REQUIRED.items(), ("CE-ID", "2")]

    with pytest.raises(MalformedEventError, match="ce-id is there twice"):
        http_binding.read(fields, b"")


@pytest.mark.parametrize("name", ["id", "source", "type"])
@pytest.mark.parametrize("value", ["", None])
def test_CE_03_what_is_required_is_there_and_not_empty(name: str, value: object) -> None:  # noqa: N802
    with pytest.raises(MalformedEventError, match=f"no {name}"):
        structured(**{name: value})


@pytest.mark.parametrize("version", ["0.3", "1.0.2", "", 1.0, None])
def test_CE_03_the_specversion_is_exactly_1_0(version: object) -> None:  # noqa: N802
    with pytest.raises(MalformedEventError, match="specversion"):
        structured(specversion=version)


def test_CE_03_the_specversion_of_a_header_is_exactly_1_0() -> None:  # noqa: N802
    with pytest.raises(MalformedEventError, match="specversion"):
        binary(ce_specversion="1.0.2")


@pytest.mark.parametrize("name", ["Upper", "with-dash", "with_line", "ünder", "a b", ""])
def test_CE_03_names_are_lower_case_letters_and_digits(name: str) -> None:  # noqa: N802
    with pytest.raises(MalformedEventError, match="no name of an attribute"):
        structured(**{name: "x"})


def test_CE_03_null_is_absent() -> None:  # noqa: N802
    event = structured(subject=None, data=None, myext=None)

    assert (event.subject, event.data, event.extensions) == ("", None, {})


def test_CE_03_data_and_data_base64_exclude_each_other() -> None:  # noqa: N802
    with pytest.raises(MalformedEventError, match="both data and data_base64"):
        structured(data={}, data_base64="AA==")


def test_CE_03_a_json_string_is_not_read_again() -> None:  # noqa: N802
    event = structured(datacontenttype="application/json", data='{"not": "an object"}')

    assert event.data == '{"not": "an object"}'
    assert http_binding.write_binary(event).body == rb'"{\"not\": \"an object\"}"'


def test_CE_03_without_a_content_type_the_data_is_json() -> None:  # noqa: N802
    assert binary(b'{"a": 1}').data == {"a": 1}
    assert structured(data_base64="eyJhIjogMX0=").data == {"a": 1}
    assert structured(data={"a": 1}).has_json


def test_CE_03_octets_in_base64_are_octets() -> None:  # noqa: N802
    event = structured(datacontenttype="image/png", data_base64="iVBORw==")

    assert event.data == b"\x89PNG"
    assert json.loads(http_binding.write_structured(event).body)["data_base64"] == "iVBORw=="


@pytest.mark.parametrize("value", ["not base64!", "A", 7])
def test_CE_03_broken_base64_is_refused(value: object) -> None:  # noqa: N802
    with pytest.raises(MalformedEventError, match="base64"):
        structured(datacontenttype="image/png", data_base64=value)


@pytest.mark.parametrize(
    "time",
    [
        "2026-11-27T12:00:00Z",
        "2026-11-27t12:00:00.123456789z",
        "2026-11-27T12:00:00+05:30",
        "2016-12-31T23:59:60Z",
    ],
)
def test_CE_03_time_is_kept_as_it_was_written(time: str) -> None:  # noqa: N802
    assert structured(time=time).time == time


@pytest.mark.parametrize(
    "time", ["2026-11-27", "2026-11-27 12:00:00Z", "2026-11-27T12:00:00", "2026-13-01T00:00:00Z", 5]
)
def test_CE_03_time_is_a_timestamp_of_rfc_3339(time: object) -> None:  # noqa: N802
    with pytest.raises(MalformedEventError, match="time"):
        structured(time=time)


@pytest.mark.parametrize("value", [True, False, 0, -(2**31), 2**31 - 1, "text"])
def test_CE_03_extensions_are_text_numbers_and_booleans(value: object) -> None:  # noqa: N802
    assert structured(myext=value).extensions == {"myext": value}


@pytest.mark.parametrize("value", [2**31, 1.5, [], {}, "\x00", "a\nb", "\ud800"])
def test_CE_03_other_extensions_are_refused(value: object) -> None:  # noqa: N802
    with pytest.raises(MalformedEventError):
        structured(myext=value)


def test_CE_04_a_batch_is_read_where_it_was_asked_for_only() -> None:  # noqa: N802
    headers = [("content-type", "application/cloudevents-batch+json")]

    with pytest.raises(UnsupportedFormatError, match="batch"):
        http_binding.read(headers, b"[]")
    assert http_binding.read_batch(headers, b"[]") == []


def test_CE_04_each_event_of_a_batch_has_a_result_of_its_own() -> None:  # noqa: N802
    good = {"specversion": "1.0", "id": "1", "source": "/s", "type": "t"}
    raw = json.dumps([good, {**good, "specversion": "0.3"}, 5]).encode()

    results = http_binding.read_batch([("content-type", "application/cloudevents-batch+json")], raw)

    assert isinstance(results[0], CloudEvent)
    assert [type(result) for result in results[1:]] == [MalformedEventError, MalformedEventError]


def test_CE_04_a_batch_survives() -> None:  # noqa: N802
    events = [structured(data=number) for number in range(3)]

    message = http_binding.write_batch(events)

    assert http_binding.read_batch(message.headers, message.body) == events
    assert http_binding.write_batch([]).body == b"[]"


def test_CE_05_an_event_of_64_kib_is_forwarded_with_extensions_nobody_knows() -> None:  # noqa: N802
    event = structured(data="x" * 65_536, comvendorunknown="kept", n=7, flag=True)

    message = http_binding.write_structured(event)

    assert http_binding.read(message.headers, message.body) == event


def test_CE_05_an_event_that_is_too_large_is_refused() -> None:  # noqa: N802
    with pytest.raises(MalformedEventError, match="larger"):
        binary(b" " * (MAX_EVENT_BYTES + 1), content_type="text/plain")
    with pytest.raises(MalformedEventError, match="larger"):
        structured(data="x" * MAX_EVENT_BYTES)


def test_CE_06_an_unknown_event_format_is_unsupported() -> None:  # noqa: N802
    with pytest.raises(UnsupportedFormatError, match=r"application/cloudevents\+json"):
        http_binding.read([("content-type", "application/cloudevents+avro")], b"")


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b'{"id": 1, "id": 2}', b"5", b"\xff"])
def test_a_structured_message_that_is_no_object_is_malformed(body: bytes) -> None:
    with pytest.raises(MalformedEventError):
        http_binding.read(STRUCTURED.items(), body)


def test_json_data_that_is_not_json_is_malformed() -> None:
    with pytest.raises(MalformedEventError, match="not JSON"):
        binary(b"{", content_type="application/vnd.thing+json")


def test_a_message_without_an_event_is_malformed() -> None:
    with pytest.raises(MalformedEventError, match="neither"):
        http_binding.read([("content-type", "application/json")], b"{}")


def test_the_judge_reads_what_is_written_here() -> None:
    """The CloudEvents project's own package agrees on what both modes say."""
    event = structured(subject="Euro € 😀", myext="a b", time="2026-11-27T12:00:00Z", data={"a": 1})

    for message in (http_binding.write_binary(event), http_binding.write_structured(event)):
        theirs = judge.from_http(
            judge.HTTPMessage(dict(message.headers), message.body), JSONFormat()
        )
        assert theirs.get_id() == "1"
        assert theirs.get_subject() == "Euro € 😀"
        assert theirs.get_extension("myext") == "a b"
        assert theirs.get_data() == {"a": 1}


def test_what_the_judge_writes_is_read_here() -> None:
    theirs = JudgesEvent(
        {"id": "1", "source": "/s", "type": "t", "subject": "Euro € 😀", "specversion": "1.0",
         "datacontenttype": "application/json"},
        {"a": 1},
    )  # fmt: skip

    for message in (judge.to_binary_event(theirs), judge.to_structured_event(theirs)):
        event = http_binding.read(message.headers.items(), message.body)
        assert (event.subject, event.data) == ("Euro € 😀", {"a": 1})

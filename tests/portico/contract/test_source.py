"""Files of a contract: what they may hold, and where each part of it stands."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from portico.contract import ContractError
from portico.contract.json_source import json_marks, read_json
from portico.contract.source import MAX_FILE_BYTES, SourceFile, YAMLLoader
from portico.contract.yaml_source import YAMLMisreadError, read_yaml, yaml_marks


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", 1),
        ("-0", 0),
        ("+5", 5),
        ("1.5", 1.5),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("1.", 1.0),
        ("007", "007"),
        ("1_000", "1_000"),
        ("0x1f", "0x1f"),
        ("0o17", "0o17"),
        (".inf", ".inf"),
        (".nan", ".nan"),
        ("1.2.3", "1.2.3"),
        ("true", True),
        ("False", False),
        ("yes", "yes"),
        ("no", "no"),
        ("on", "on"),
        ("null", None),
        ("~", None),
        ("", None),
        ("'1'", "1"),
        ('"true"', "true"),
        ("2026-01-01", "2026-01-01"),
        ("12:30:45", "12:30:45"),
        ("!!str 5", "5"),
        ("!!int 5", 5),
        ("!!float 5", 5),
        ("! 5", "5"),
        ("|\n  a\n  b\n", "a\nb\n"),
        (">-\n  a\n  b\n", "a b"),
        ("=", "="),
        ("!!map {a: 1}", {"a": 1}),
        ("{a: &x [1], b: *x}", {"a": [1], "b": [1]}),
        (
            "{1: a, true: b, null: c, 2026-01-01: d}",
            {"1": "a", "true": "b", "null": "c", "2026-01-01": "d"},
        ),
        ("? a\n: b\n? c\n", {"a": "b", "c": None}),
    ],
)
def test_yaml_means_what_yaml_1_2_says(text: str, value: Any) -> None:
    found = read_yaml(text)

    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? ", "[{a: "])
def test_a_hundred_thousand_levels_are_an_error_and_no_crash(opening: str) -> None:
    with pytest.raises(YAMLMisreadError, match="nests deeper|must be plain text"):
        read_yaml(opening * 100_000)


def test_levels_of_aliases_count_as_well() -> None:
    chain = "a0: &a0 [x]\n" + "".join(f"a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 500))

    with pytest.raises(YAMLMisreadError, match="nests deeper"):
        read_yaml(chain)


def test_the_loader_serves_yaml_itself() -> None:
    assert yaml.load("{a: yes, b: 1}", Loader=YAMLLoader) == {"a": "yes", "b": 1}
    with pytest.raises(yaml.YAMLError):
        yaml.load("{a: 1, a: 2}", Loader=YAMLLoader)


def test_positions_are_those_of_keys_and_items(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    path.write_text(
        "# comment\na:\n  - 1\n  - {b: 2,\n     c: [x]}\n? d\n: e\nf: *g\n".replace("*g", "g")
    )

    source = SourceFile(path)

    def at(*pointer: str) -> str:
        position = source.position(pointer)
        return f"{position.line}:{position.column}"

    assert [at("a"), at("a", "0"), at("a", "1"), at("a", "1", "c"), at("a", "1", "c", "0")] == [
        *("2:1", "3:5", "4:5", "5:6", "5:10")
    ]
    assert [at("d"), at("f"), at()] == ["6:3", "8:1", "2:1"]
    assert at("a", "1", "c", "9", "z") == "5:6"
    assert at("nothing") == "2:1"


@pytest.mark.parametrize("name", ["a.yaml", "a.json"])
def test_a_pointer_leads_to_its_value(tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    path.write_text('{"a": [{"b": 1}, 2], "0": "x"}')

    source = SourceFile(path)

    assert source.get(("a", "0", "b")) == 1
    assert source.get(("0",)) == "x"
    for wrong in (
        ("a", "2"),
        ("a", "-1"),
        ("a", "٠"),
        ("a", "9" * 30),
        ("a", "b"),
        ("a", "1", "x"),
        ("z",),
    ):
        with pytest.raises(KeyError):
            source.get(wrong)


def test_a_byte_order_mark_is_none_of_the_text(tmp_path: Path) -> None:
    for name in ("a.yaml", "a.json"):
        (tmp_path / name).write_bytes(b'\xef\xbb\xbf{"a": 1}')
        assert SourceFile(tmp_path / name).data == {"a": 1}


def refused(path: Path) -> str:
    with pytest.raises(ContractError) as caught:
        SourceFile(path)
    (finding,) = caught.value.findings
    assert finding.rule == "unreadable-document"
    return finding.message


def test_a_file_that_is_not_there_is_a_finding(tmp_path: Path) -> None:
    assert "No such file" in refused(tmp_path / "a.yaml")


def test_a_folder_is_a_finding(tmp_path: Path) -> None:
    assert "directory" in refused(tmp_path)


def test_a_name_no_file_can_have_is_a_finding(tmp_path: Path) -> None:
    assert "cannot be read" in refused(tmp_path / "a\0b.yaml")
    assert "too long" in refused(tmp_path / ("a" * 5000))


def test_a_file_that_is_too_large_is_a_finding(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    with path.open("wb") as file:
        file.truncate(MAX_FILE_BYTES + 1)

    assert "more than" in refused(path)


def test_no_more_is_read_than_may_be() -> None:
    if os.path.exists("/dev/zero"):
        assert "more than" in refused(Path("/dev/zero"))


# Properties

KEY = st.text('ab/"\\\n\té😀', max_size=3)
DATA = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | KEY,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEY, inner, max_size=3),
    max_leaves=15,
)


def _pointers(data: Any, pointer: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    pairs = (
        data.items()
        if isinstance(data, dict)
        else enumerate(data)
        if isinstance(data, list)
        else ()
    )
    inner = [found for key, value in pairs for found in _pointers(value, (*pointer, str(key)))]
    return [pointer, *inner]


@settings(max_examples=200, deadline=None)
@given(DATA, st.sampled_from([None, 1]))
def test_json_is_read_as_json_and_everything_has_a_place(data: Any, indent: int | None) -> None:
    text = json.dumps(data, indent=indent)

    assert read_json(text) == data
    marks = json_marks(text)
    assert sorted(marks) == sorted(_pointers(data))
    lines = text.split("\n")
    for pointer, (line, column) in marks.items():
        rest = lines[line - 1][column - 1 :]
        named = pointer and isinstance(_at(data, pointer[:-1]), dict)
        assert rest.startswith(
            json.dumps(pointer[-1] if named else _at(data, pointer), indent=indent)[:1]
        )


def _at(data: Any, pointer: tuple[str, ...]) -> Any:
    for part in pointer:
        data = data[int(part)] if isinstance(data, list) else data[part]
    return data


@settings(max_examples=200, deadline=None)
@given(DATA, st.booleans())
def test_yaml_reads_what_pyyaml_writes_and_everything_has_a_place(data: Any, flow: bool) -> None:
    text = yaml.dump(data, Dumper=_Dumper, default_flow_style=flow, allow_unicode=True)

    assert read_yaml(text) == data
    assert sorted(yaml_marks(text)) == sorted(_pointers(data))


class _Dumper(yaml.SafeDumper):
    """Writes every text in quotes: what is plain is for the table above."""

    def ignore_aliases(self, data: object) -> bool:
        del data
        return True


def _quoted(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style='"')


_Dumper.add_representer(str, _quoted)

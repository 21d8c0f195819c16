"""JSON data as bytes, whatever its numbers are."""

from __future__ import annotations

import json

import pytest

from portico.json_text import encode


@pytest.mark.parametrize("data", [None, [], {"ä": ["é", 1, 1.5, True]}, 2**63, 2**64, -(10**40)])
def test_data_is_written_and_compact(data: object) -> None:
    text = encode({"data": data})

    assert json.loads(text) == {"data": data}
    assert b" " not in text


@pytest.mark.parametrize("data", [object(), {1, 2}, 1j])
def test_what_is_no_json_is_refused(data: object) -> None:
    with pytest.raises(TypeError):
        encode(data)

"""How text of a contract becomes markup."""

from __future__ import annotations

import pytest

from gateway.portal import Operation
from gateway.portal.pages import breakable, prose
from gateway.portal.reference import anchor


@pytest.mark.parametrize(
    ("text", "markup"),
    [
        ("", ""),
        ("one\ntwo\n\n\n three", "<p>one two</p>\n<p>three</p>"),
        ("use `a < b` now", "<p>use <code>a &lt; b</code> now</p>"),
        ("**very** <i>bold</i>", "<p><strong>very</strong> &lt;i&gt;bold&lt;/i&gt;</p>"),
        ("`**a**` {0}", "<p><code>**a**</code> {0}</p>"),
        ("an open ` and ** stay", "<p>an open ` and ** stay</p>"),
        ("`<script>`", "<p><code>&lt;script&gt;</code></p>"),
    ],
)
def test_descriptions_become_paragraphs_with_code_and_bold(text: str, markup: str) -> None:
    assert str(prose(text)) == markup


def test_paths_may_be_broken_after_slashes_and_are_escaped() -> None:
    assert str(breakable("/a/<b>")) == "/<wbr>a/<wbr>&lt;b&gt;"


@pytest.mark.parametrize(
    ("tag", "fragment"),
    [
        ("", "GET/a/{id}"),
        ("Orders", "tag/orders/GET/a/{id}"),
        (" Parcels & Post_Office ", "tag/parcels-post-office/GET/a/{id}"),
        ("Café", "tag/café/GET/a/{id}"),
    ],
)
def test_an_operation_is_found_in_the_reference_by_tag_method_and_path(
    tag: str, fragment: str
) -> None:
    operation = Operation(method="GET", path="/a/{id}", operation_id="x", tag=tag)

    assert anchor(operation) == fragment

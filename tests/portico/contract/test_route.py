"""OA-06, OA-07: which operation a path means, and what a path offers."""

from __future__ import annotations

import re
import time
from itertools import combinations
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portico.contract.overlaps import overlaps
from portico.contract.route import Router
from portico.contract.segments import capture, compatible, literals, normal, shape
from tests.portico.contract.documents import document, load_document


def router(*templates: str) -> Router[str]:
    made: Router[str] = Router()
    for template in templates:
        made.add("GET", template, template)
    return made


def route(made: Router[str], path: str) -> tuple[str, list[str]] | None:
    found = made.match(path)
    return None if found is None else (found[0].template, found[1])


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/orders", ("/orders", [])),
        ("/orders/", ("/orders/", [])),
        ("/orders/mine", ("/orders/mine", [])),
        ("/orders/17", ("/orders/{id}", ["17"])),
        ("/orders/17/lines/2", ("/orders/{id}/lines/{line}", ["17", "2"])),
        ("/orders/mine/lines/2", ("/orders/{id}/lines/{line}", ["mine", "2"])),
        ("/orders/mine/total", ("/orders/mine/total", [])),
        ("/orders/17/total", None),
        ("/orders//lines/2", None),
        ("/orders/17/", None),
        ("/Orders", None),
        ("/", None),
        ("", None),
        ("orders", None),
        ("//orders", None),
        ("/files/report.json", ("/files/{name}.json", ["report"])),
        ("/files/a.b.json", ("/files/{name}.json", ["a.b"])),
        ("/files/report.xml", ("/files/{name}.{type}", ["report", "xml"])),
        ("/files/a.b.c", ("/files/{name}.{type}", ["a", "b.c"])),
        ("/files/report", ("/files/{id}", ["report"])),
        ("/files/.json", ("/files/{id}", [".json"])),
    ],
)
def test_oa_06_a_concrete_path_beats_a_template(
    path: str, expected: tuple[str, list[str]] | None
) -> None:
    made = router(
        *("/orders", "/orders/", "/orders/{id}", "/orders/mine", "/orders/mine/total"),
        *("/orders/{id}/lines/{line}", "/files/{id}", "/files/{name}.{type}", "/files/{name}.json"),
    )

    assert route(made, path) == expected


def test_oa_06_precedence_does_not_depend_on_the_order_of_the_document() -> None:
    templates = ["/files/{id}", "/files/{name}.{type}", "/files/{name}.json", "/files/a.json"]

    for made in (router(*templates), router(*reversed(templates))):
        assert route(made, "/files/a.json") == ("/files/a.json", [])
        assert route(made, "/files/b.json") == ("/files/{name}.json", ["b"])


def test_oa_06_a_dead_end_is_left_again() -> None:
    made = router("/a/b/{x}/end", "/a/{y}/c/d", "/{z}/b/c/e")

    assert route(made, "/a/b/c/end") == ("/a/b/{x}/end", ["c"])
    assert route(made, "/a/b/c/d") == ("/a/{y}/c/d", ["b"])
    assert route(made, "/a/b/c/e") == ("/{z}/b/c/e", ["a"])
    assert route(made, "/a/b/c/f") is None


def test_oa_06_a_pattern_is_a_fork_beside_a_literal() -> None:
    made = router("/a/report.json/x", "/a/{name}.json/y")

    assert route(made, "/a/report.json/y") == ("/a/{name}.json/y", ["report"])


def test_oa_06_an_encoded_slash_stays_in_its_value() -> None:
    assert route(router("/files/{id}"), "/files/a%2Fb") == ("/files/{id}", ["a%2Fb"])


@pytest.mark.parametrize("path", ["/caf%C3%A9/~x", "/caf%c3%a9/%7Ex", "/c%61f%C3%A9/%7ex"])
def test_oa_06_equal_addresses_are_one_route(path: str) -> None:
    assert route(router("/café/~x"), path) == ("/café/~x", [])


def test_oa_06_a_disguised_literal_is_still_the_literal() -> None:
    made = router("/users/{id}", "/users/me")

    assert route(made, "/users/%6De") == ("/users/me", [])


def test_oa_06_values_are_handed_on_as_they_were_written() -> None:
    assert route(router("/x/{id}/y"), "/x/a%2Eb%2e/y") == ("/x/{id}/y", ["a%2Eb%2e"])


def test_two_operations_at_one_address_are_an_error() -> None:
    made = router("/orders/{id}")

    made.add("POST", "/orders/{orderId}", "other")
    with pytest.raises(ValueError, match="is the same address as"):
        made.add("GET", "/orders/{orderId}", "third")


def test_oa_07_allow_is_what_is_declared_with_head_and_options() -> None:
    made: Router[str] = Router()
    for method in ("GET", "PATCH", "QUERY", "COPY"):
        made.add(method, "/orders/{id}", method)
    made.add("POST", "/orders", "POST")

    found, other = made.match("/orders/1"), made.match("/orders")

    assert found is not None and other is not None
    assert found[0].allow == "COPY, GET, HEAD, OPTIONS, PATCH, QUERY"
    assert other[0].allow == "OPTIONS, POST"
    assert found[0].methods["COPY"] == ("COPY", ("id",))


def test_oa_07_the_operations_of_3_2_are_operations() -> None:
    answers = {"responses": {"200": {"description": "Fine."}}}
    item = {"query": answers, "additionalOperations": {"COPY": answers}}

    loaded = load_document(document({"/orders": item}, version="3.2.0"))

    assert sorted(operation.method for operation in loaded.operations.values()) == ["COPY", "QUERY"]


def test_extensions_beside_paths_are_no_paths() -> None:
    answers = {"responses": {"200": {"description": "Fine."}}}
    paths = {"/orders": {"get": answers}, "x-notes": {"get": "them while they are hot"}}

    assert len(load_document(document(paths)).operations) == 1


def test_a_path_that_fits_many_patterns_is_matched_in_time() -> None:
    made = router("/{a}-{b}-{c}-{d}-{e}-{f}-{g}-{h}x")

    started = time.perf_counter()
    found = made.match("/" + "-" * 8000)

    assert found is None
    assert time.perf_counter() - started < 0.5


def test_the_router_says_what_it_holds() -> None:
    made = router("/a", "/b/{x}", "/c/{x}.json")

    assert repr(made) == "<Router 3 operations>"
    assert sorted(leaf.template for leaf in made.leaves()) == ["/a", "/b/{x}", "/c/{x}.json"]


@pytest.mark.parametrize(
    ("one", "other", "clash"),
    [
        ("/a/{x}", "/a/b", False),
        ("/{a}/me", "/b/{id}", True),
        ("/{a}/me", "/b/me", False),
        ("/a/{x}/c", "/a/b/{y}", True),
        ("/a/{x}", "/b/{x}", False),
        ("/a/{x}/", "/a/{x}", False),
        ("/f/{a}.json", "/f/{b}", False),
        ("/f/{a}.json/{y}", "/f/{b}/z", True),
        ("/f/{a}.json", "/f/{a}.xml", False),
        ("/f/{a}-x", "/f/y-{b}", True),
        ("/f/{a}.{b}", "/f/{a}-{b}", True),
        ("/f/a{x}", "/f/b{x}", False),
        ("/f/{x}a", "/f/{x}b", False),
        ("/f/{x}ab", "/f/{y}b", False),
        ("/f/a.json/{y}", "/f/{b}.json/z", True),
    ],
)
def test_oa_06_paths_that_match_the_same_and_neither_wins_are_found(
    one: str, other: str, clash: bool
) -> None:
    assert bool(list(overlaps([one, other]))) is clash
    assert bool(list(overlaps([other, one]))) is clash


def test_the_overlaps_of_thousands_of_paths_are_found_in_time() -> None:
    templates = [f"/r{n}/{{id}}/s{m}/{{other}}" for n in range(100) for m in range(50)]
    templates += [f"/{{any}}/x/s{m}/y" for m in range(50)]

    started = time.perf_counter()
    found = list(overlaps(templates))

    assert len(found) == 100 * 50
    assert time.perf_counter() - started < 3


# Properties: the trie, the segments and the overlaps against the plainest thing that can work.

SEGMENT = st.sampled_from(["a", "b", "ab", "{x}", "a{x}", "{x}b", "{x}-{y}", "{x}a{y}", "é"])
TEMPLATE = st.lists(SEGMENT, min_size=1, max_size=4).map(
    lambda parts: (
        "/"
        + "/".join(
            part.replace("{x}", f"{{x{n}}}").replace("{y}", f"{{y{n}}}")
            for n, part in enumerate(parts)
        )
    )
)
TEXT = st.text("ab-é%2", min_size=1, max_size=5).map(lambda text: quote(text, safe="-"))
PATH = st.lists(TEXT, min_size=1, max_size=4).map(lambda parts: "/" + "/".join(parts))


def _naive(templates: list[str], path: str) -> tuple[str, list[str]] | None:
    """Try every template, the most concrete first, segment by segment."""
    segments = path.split("/")[1:]

    def rank(template: str) -> list[tuple[int, int]]:
        return [_rank(segment) for segment in template.split("/")[1:]]

    for template in sorted(templates, key=rank):
        parts = template.split("/")[1:]
        values = [_fit(part, segment) for part, segment in zip(parts, segments, strict=False)]
        if len(parts) == len(segments) and None not in values:
            return template, [value for found in values for value in found or ()]
    return None


def _rank(segment: str) -> tuple[int, int]:
    if "{" not in segment:
        return 0, 0
    fixed = re.sub(r"\{[^}]*\}", "", segment)
    return (1, -len(quote(fixed, safe="-"))) if fixed else (2, 0)


def _fit(part: str, segment: str) -> list[str] | None:
    fixed = [re.escape(quote(text, safe="-")) for text in re.split(r"\{[^}]*\}", part)]
    found = re.fullmatch("(.+?)".join(fixed), segment)
    return None if found is None else list(found.groups())


@settings(max_examples=300, deadline=None)
@given(st.lists(TEMPLATE, max_size=8, unique_by=shape), st.lists(PATH, max_size=8))
def test_the_trie_finds_what_trying_all_templates_finds(
    templates: list[str], paths: list[str]
) -> None:
    # Where neither wins, the order is nobody's promise; the rules refuse such documents.
    clashing = {template for pair in overlaps(templates) for template in pair}
    templates = [template for template in templates if template not in clashing]
    made = router(*templates)

    for path in paths:
        assert route(made, normal(path)) == _naive(templates, normal(path))


@settings(max_examples=300, deadline=None)
@given(SEGMENT.filter(lambda segment: "{" in segment), TEXT)
def test_captures_are_those_of_a_lazy_expression(segment: str, text: str) -> None:
    assert capture(literals(segment), text) == _fit(segment, text)


@settings(max_examples=200, deadline=None)
@given(SEGMENT, SEGMENT)
def test_segments_are_compatible_when_some_short_text_fits_both(one: str, other: str) -> None:
    alphabet = "ab-"
    texts = {"".join(letters) for size in range(1, 6) for letters in _words(alphabet, size)}
    texts |= {"é", "ab", "a", "b"}
    both = any(
        _fit(one, quote(t, safe="-")) is not None and _fit(other, quote(t, safe="-")) is not None
        for t in texts
    )

    assert compatible(one, other) is both


def _words(alphabet: str, size: int) -> list[tuple[str, ...]]:
    words: list[tuple[str, ...]] = [()]
    for _ in range(size):
        words = [(*word, letter) for word in words for letter in alphabet]
    return words


@settings(max_examples=200, deadline=None)
@given(st.lists(TEMPLATE, max_size=6, unique_by=shape))
def test_overlaps_of_many_are_the_overlaps_of_each_two(templates: list[str]) -> None:
    expected = {pair for pair in combinations(templates, 2) if list(overlaps(pair))}

    assert set(overlaps(templates)) == expected

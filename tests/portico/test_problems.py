"""Problems as documents, and documents as problems."""

from __future__ import annotations

import json

import pytest

from portico.problems import (
    CONFLICT,
    INTERNAL_ERROR,
    NOT_FOUND,
    PROBLEM_TYPES,
    SYSTEM_UNAVAILABLE,
    Problem,
    passed_on,
    problem_from,
)


def test_a_problem_is_a_document() -> None:
    problem = Problem(CONFLICT, "taken", extensions={"name": "a"})

    assert json.loads(problem.body(type_base="https://x/problems/", request_id="1f")) == {
        "type": "https://x/problems/conflict",
        "title": "The request conflicts with the state of the resource",
        "status": 409,
        "detail": "taken",
        "instance": "urn:portico:request:1f",
        "name": "a",
    }


def test_what_is_not_known_is_left_out() -> None:
    document = Problem(NOT_FOUND).document(type_base="", request_id="")

    assert list(document) == ["type", "title", "status"]


def test_extensions_cannot_replace_standard_members() -> None:
    problem = Problem(NOT_FOUND, extensions={"status": 200, "instance": "x", "detail": "y"})

    assert problem.document(type_base="", request_id="") == {
        "type": "not-found",
        "title": NOT_FOUND.title,
        "status": 404,
    }


def test_a_problem_says_what_it_is_about() -> None:
    assert str(Problem(NOT_FOUND, "no such order")) == "no such order"
    assert str(Problem(NOT_FOUND)) == NOT_FOUND.title


def test_every_type_is_complete_and_of_one_status() -> None:
    for slug, kind in PROBLEM_TYPES.items():
        assert slug == kind.slug
        assert 400 <= kind.status <= 599
        assert kind.title
        assert kind.meaning.endswith(".")
        assert kind.remedy.endswith(".")
        assert slug.replace("-", "").isalnum()
        assert slug == slug.lower()


@pytest.mark.parametrize("slug", PROBLEM_TYPES)
def test_a_document_becomes_the_problem_it_was(slug: str) -> None:
    kind = PROBLEM_TYPES[slug]
    problem = Problem(kind, "because", extensions={"a": [1]})
    document = problem.document(type_base="https://x/", request_id="1")

    found = problem_from(kind.status, document)

    assert found.kind is kind
    assert (found.detail, found.extensions) == ("because", {"a": [1]})


@pytest.mark.parametrize("document", [{}, {"type": "about:blank"}, {"type": None}, {"type": ""}])
def test_a_document_without_a_type_gets_the_usual_one(document: dict[str, object]) -> None:
    assert problem_from(404, document).kind is NOT_FOUND
    assert problem_from(500, document).kind is INTERNAL_ERROR


def test_a_status_without_a_type_keeps_its_title() -> None:
    found = problem_from(418, {"title": "Short and stout"})

    assert (found.status, found.kind.title) == (418, "Short and stout")


def test_a_known_type_with_another_status_is_not_that_type() -> None:
    found = problem_from(400, {"type": "https://x/not-found", "title": "Hm"})

    assert found.kind is not NOT_FOUND
    assert (found.status, found.kind.slug, found.kind.title) == (400, "not-found", "Hm")


def test_only_retry_after_is_passed_on() -> None:
    fields = [("Retry-After", "3"), ("WWW-Authenticate", "Bearer"), ("Set-Cookie", "a=b")]

    assert problem_from(503, {}, fields).headers == (("retry-after", "3"),)
    assert passed_on(Problem(CONFLICT, headers=fields), "a").headers == (("retry-after", "3"),)


def test_a_failure_names_what_failed_once() -> None:
    unnamed = passed_on(Problem(INTERNAL_ERROR), "system/shelf.v1")
    named = Problem(SYSTEM_UNAVAILABLE, extensions={"system": "shelf"})

    assert unnamed.extensions == {"api": "system/shelf.v1"}
    assert passed_on(unnamed, "process/basket.v1") is unnamed
    assert passed_on(named, "process/basket.v1") is named
    assert passed_on(refused := Problem(CONFLICT), "process/basket.v1") is refused

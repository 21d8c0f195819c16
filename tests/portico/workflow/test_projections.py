"""Projections: the latest word on each thing, whatever order words come in."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from portico.workflow.engine import open_workflows
from portico.workflow.projections import Projections, Word

if TYPE_CHECKING:
    from portico.workflow.database import WorkflowDatabase

pytestmark = pytest.mark.anyio


def word(position: str, value: object, *, subject: str = "A", key: str = "wms WH") -> Word:
    return Word(subject=subject, key=key, position=position, value=value)


async def test_the_word_that_is_furthest_stands_in_any_order(database: WorkflowDatabase) -> None:
    async with open_workflows(database, []) as workflows:
        projections = Projections(database, workflows.transactions.engine)
        for number, order in enumerate(itertools.permutations("123")):
            for position in order:
                await projections.put("levels", [word(position, position, subject=str(number))])
        found = await projections.of("levels", [str(number) for number in range(6)])

    assert [one.value for one in found] == ["3"] * 6


async def test_words_are_told_apart_by_name_subject_and_key(database: WorkflowDatabase) -> None:
    async with open_workflows(database, []) as workflows:
        projections = Projections(database, workflows.transactions.engine)
        words = [word("1", {"n": 1}), word("1", {"n": 2}, key="shop"), word("1", {}, subject="B")]
        await projections.put("levels", words)
        await projections.put("others", [word("2", [])])
        await projections.put("levels", [])
        found = await projections.of("levels", ["A"])
        nothing = await projections.of("levels", [])

    assert [(one.key, one.value) for one in found] == [("shop", {"n": 2}), ("wms WH", {"n": 1})]
    assert nothing == []


async def test_more_subjects_than_one_query_may_name_are_found(sqlite: WorkflowDatabase) -> None:
    async with open_workflows(sqlite, []) as workflows:
        projections = Projections(sqlite, workflows.transactions.engine)
        subjects = [f"{number:04}" for number in range(1200)]
        await projections.put("levels", [word("1", 1, subject=subject) for subject in subjects])
        found = await projections.of("levels", subjects)

    assert [one.subject for one in found] == subjects

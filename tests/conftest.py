"""Fixtures every test may use, and the summary of what could not be tested here."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import pytest
from xdist.scheduler import LoadScopeScheduling

from tests.support.postgres import Postgres, programs

if TYPE_CHECKING:
    from collections.abc import Iterator

# A test that lacks a program of this machine skips with a reason that starts like this.
MISSING = "needs "


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    binaries = programs()
    if binaries is None:
        pytest.skip("needs postgresql: no such program here")
    server = Postgres(binaries)
    server.start()
    yield server
    server.close()


# What the tests of these folders share is expensive, or there once: one process runs them.
_TOGETHER = {"e2e": "erp", "system_apis": "erp", "gateway": "gateway"}
_APART = frozenset({"cli", "protocol", "portal", "identity"})  # folders of the gateway's tests
# What takes longest begins first, so that no process is left with it in the end.
_FIRST = ("erp", "process_apis/", "gateway", "portico/workflow/", "portico/idempotency/")


def _group(nodeid: str) -> str:
    """Return what a test stays together with where several processes run them (`make test`)."""
    _, first, *rest = nodeid.partition("::")[0].split("/")
    if first == "gateway" and rest[0] in _APART:
        return f"gateway/{rest[0]}"
    return _TOGETHER.get(first, "/".join([first, *rest]))


def _rank(item: pytest.Item) -> int:
    group = _group(item.nodeid)
    return next((i for i, first in enumerate(_FIRST) if group.startswith(first)), len(_FIRST))


class _ByGroup(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    def __init__(self, config: pytest.Config, log: Any) -> None:
        super().__init__(config, log)
        config.option.loadscopereorder = False  # by how many tests there are

    def _split_scope(self, nodeid: str) -> str:
        return _group(nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    return _ByGroup(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):
        items.sort(key=_rank)


def _missing(reporter: pytest.TerminalReporter) -> list[str]:
    reasons = []
    for report in reporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else ""
        text = reason.removeprefix("Skipped: ")
        if text.startswith(MISSING):
            reasons.append(text)
    return reasons


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    reasons = _missing(terminalreporter)
    if not reasons:
        return
    terminalreporter.section("NOT TESTED ON THIS MACHINE", red=True, bold=True)
    for reason in sorted(set(reasons)):
        terminalreporter.line(f"{reasons.count(reason)} tests skipped: {reason}")


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a CI run in which a test was skipped for lack of a program."""
    if os.environ.get("CI") != "true" or session.exitstatus != 0:
        return
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if isinstance(reporter, pytest.TerminalReporter) and _missing(reporter):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED

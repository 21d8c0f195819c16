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


class _ByFolder(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    def _split_scope(self, nodeid: str) -> str:
        _, first, *rest = nodeid.partition("::")[0].split("/")
        if first == "gateway" and rest[0] in _APART:
            return f"gateway/{rest[0]}"
        return _TOGETHER.get(first, "/".join([first, *rest]))


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling:
    """Say which tests stay together where several processes run them (`make test`)."""
    return _ByFolder(config, log)


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

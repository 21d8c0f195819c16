"""The network of the tests, once in one process and once as three services."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.serving import Served, in_process, split

MODES = {"in-process": in_process, "split": split}


@pytest.fixture(scope="session", params=list(MODES))
def network(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Served]:
    """Run the network in one of its modes; a test that uses it runs in both."""
    with MODES[request.param](tmp_path_factory.mktemp(request.param)) as served:
        yield served


@pytest.fixture(scope="session")
def gateway(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """Run the network in one process, for what does not depend on the mode."""
    with in_process(tmp_path_factory.mktemp("gateway")) as served:
        yield served

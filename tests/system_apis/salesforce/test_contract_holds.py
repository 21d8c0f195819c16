"""schemathesis, which knows nothing of us, finds the contract kept on a running org."""

from __future__ import annotations

from pathlib import Path

import pytest

from portico.sandbox.running import Running
from tests.support.schemathesis import finds_no_issues
from tests.system_apis.salesforce.conftest import settings_for


@pytest.mark.timeout(150)
def test_no_server_error_and_no_undocumented_response(served: Running, tmp_path: Path) -> None:
    settings = settings_for(served.url).model_dump(mode="json", exclude_unset=True)

    finds_no_issues("system/salesforce.v1", settings, tmp_path)

"""The workflow that forgets, once a day, what is too old for anybody to ask about."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from dbos import DBOS

from portico.connectors.moments import timestamp
from process_apis.customer_sync.app import Parts


class Forgetting:
    """Keeps the history of customers and the resolved conflicts from growing without end."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def run(self, payload: Mapping[str, Any]) -> dict[str, Any]:
        """Forget what is older than the settings keep; what is open stays, however old."""
        kept = timedelta(days=self._parts.settings.retention_days)
        before = timestamp(datetime.fromisoformat(payload["scheduledAt"]) - kept)
        await DBOS.run_step_async({"name": "forget"}, self._forget, before)
        return {"before": before}

    async def _forget(self, before: str) -> None:
        while await self._parts.conflicts.forget(before):
            pass

"""A call within one process: no bytes, the same checks."""

from __future__ import annotations

from typing import Any

from portico.client.tiers import TierClient
from portico.contract import Operation
from portico.problems import FORBIDDEN, Problem, problem_from
from portico.server.call import Call, Reply
from portico.server.service import Service


class LocalTransport:
    """Reaches an API that runs in this process."""

    def __init__(self, service: Service, tiers: TierClient) -> None:
        self._service = service
        self._tiers = tiers

    async def send(self, operation: Operation, call: Call[Any], document: dict[str, Any]) -> Reply:
        """Check the document, run the handler, return its checked reply."""
        if not operation.security.allows(call.caller.scopes):
            raise Problem(FORBIDDEN)
        call.resources = self._service.resources
        call.tiers = self._tiers
        reply = await self._service.invoke(operation, call, operation.check_document(document))
        if reply.status >= 400:
            body = reply.body if isinstance(reply.body, dict) else {}
            raise problem_from(reply.status, body, reply.headers)
        return reply

"""For tests of an API's own handlers: its real contract and checks, without a network.

api = APIUnderTest(Path("specs/openapi/process/orders.v1.yaml"), handlers)
reply = await api.invoke("getOrder", {"orderId": "1"})
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from portico.client.local import LocalTransport
from portico.client.tiers import TierClient, targets
from portico.contract import Contract, Operation, load
from portico.deadline import Deadline
from portico.server.bind import bind
from portico.server.call import Call, Caller, Reply
from portico.server.service import Service
from portico.server.validation import Validation
from portico.trace import Trace

# Answers one call of a callee: the checked request document comes in, the reply goes out.
Answer = Callable[[Mapping[str, Any]], Awaitable[Reply]]


class _Answers:
    """A transport to one callee, with an answer for each operation that a test expects."""

    def __init__(self, answers: Mapping[str, Answer]) -> None:
        self._answers = answers

    async def send(self, operation: Operation, call: Call[Any], document: dict[str, Any]) -> Reply:
        del call  # the client has checked the document
        return await self._answers[operation.operation_id](document)


class APIUnderTest:
    """An API with its contract enforced, called as another tier would call it.

    `callees` has the answers of other APIs: API name, then operationId. Contracts of callees are
    read from the same folder.
    """

    def __init__(
        self,
        contract: Path | Contract,
        handlers: ModuleType,
        *,
        resources: Any = None,
        callees: Mapping[str, Mapping[str, Answer]] | None = None,
    ) -> None:
        self.contract = contract if isinstance(contract, Contract) else load(contract)
        service = Service(self.contract, bind(self.contract, handlers), resources, Validation())
        root = self.contract.bundle.main.path.parent.parent
        contracts = {name: _load(root, name) for name in self.contract.calls}
        transports = {name: _Answers((callees or {}).get(name, {})) for name in contracts}
        client = TierClient(self.contract.name, targets(self.contract, contracts, transports))
        self._transport = LocalTransport(service, client)

    async def invoke(
        self,
        operation_id: str,
        arguments: Mapping[str, object] | None = None,
        *,
        body: object = None,
        seconds: float = 5.0,
    ) -> Reply:
        """Call an operation; `arguments` are its parameters by their names in the contract.

        Raises Problem for every answer of 400 and above.
        """
        operation = self.contract.operations[operation_id]
        document: dict[str, Any] = {"path": {}, "query": {}, "header": {}, "cookie": {}}
        for parameter in operation.parameters:
            if arguments and parameter.name in arguments:
                document[parameter.where][parameter.name] = arguments[parameter.name]
        if body is not None:
            document["body"] = body
        caller = Caller(subject="test", client_id="test", scopes=operation.security.scopes())
        call: Call[Any] = Call(
            operation_id=operation_id,
            caller=caller,
            deadline=Deadline.after(seconds),
            trace=Trace.start(),
            request_id="test",
            tiers=TierClient("test", {}),
            resources=None,
            idempotency_key=document["header"].get("Idempotency-Key", ""),
        )
        return await self._transport.send(operation, call, operation.check_document(document))


def _load(root: Path, name: str) -> Contract:
    return load(root / f"{name}.yaml", root)

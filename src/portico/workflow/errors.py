"""What can go wrong around workflows, apart from what goes wrong in them."""

from __future__ import annotations


class WorkflowError(Exception):
    """The root of the errors of this package."""


class WorkflowDatabaseError(WorkflowError):
    """The workflow database cannot be used as it is configured."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


class UnknownWorkflowError(WorkflowError):
    """No workflow of this name is defined here."""


class UnsafeStepError(WorkflowError):
    """A workflow wants to repeat an operation that may take effect twice."""

    def __init__(self, api: str, operation_id: str) -> None:
        super().__init__(
            f"{operation_id} of {api} cannot be a workflow step: a step is repeated after a crash, "
            "and the operation declares no way to make that harmless"
        )
        self.api = api
        self.operation_id = operation_id
        self.hint = (
            "declare an Idempotency-Key header parameter in its contract and pass the key down to "
            "the system, or look the record up before it is created"
        )


class DeadLetterError(WorkflowError):
    """Raised by a workflow that has tried everything: it becomes a dead letter.

    `system` is what failed, for the people who are alerted.
    """

    def __init__(self, cause: str, *, system: str = "") -> None:
        super().__init__(f"{system}: {cause}" if system else cause)
        self.system = system

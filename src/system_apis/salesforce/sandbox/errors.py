"""The errors of an org: a list of message, code and fields."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


class RefusalError(Exception):
    """A request that ends in an error; `extra` are members besides message, code and fields."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        fields: Sequence[str] | None = None,
        *,
        extra: Mapping[str, object] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.fields = fields
        self.extra = dict(extra or {})

    def document(self) -> list[dict[str, object]]:
        """Return the body that answers a request."""
        error: dict[str, object] = {**self.extra, "message": self.message, "errorCode": self.code}
        if self.fields is not None:
            error["fields"] = list(self.fields)
        return [error]

    def in_collection(self) -> dict[str, object]:
        """Return the error as an entry of a result that stands for several records."""
        return {"statusCode": self.code, "message": self.message, "fields": list(self.fields or ())}


def not_found(message: str = "The requested resource does not exist") -> RefusalError:
    return RefusalError(404, "NOT_FOUND", message)

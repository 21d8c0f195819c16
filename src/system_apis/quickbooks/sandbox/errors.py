"""Faults as QuickBooks words them."""

from __future__ import annotations

_TYPES = {401: "AUTHENTICATION", 403: "AuthorizationFault"}


class FaultError(Exception):
    """An answer with a Fault."""

    def __init__(
        self, code: str, message: str, detail: str, status: int = 400, element: str = ""
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.document: dict[str, object] = {
            "Fault": {
                "Error": [{"Message": message, "Detail": detail, "code": code, "element": element}],
                "type": _TYPES.get(status, "ValidationFault"),
            },
            "time": "2026-11-02T09:30:00.000-08:00",
        }


class ScopeError(FaultError):
    """The access token lacks the scope of the accounting API; told in lower case."""

    def __init__(self) -> None:
        message = "message=ApplicationAuthorizationFailed; errorCode=003100; statusCode=403"
        super().__init__("3100", message, "", status=403)
        error = {"message": message, "detail": None, "code": "3100", "element": None}
        self.document = {"fault": {"error": [error], "type": "SERVICE"}}


def not_permitted(entity: str) -> FaultError:
    """Return the fault of an entity that the user who authorized the app may not use.

    python-quickbooks takes codes below 500 for a matter of permissions. Unverified: that the
    status is 403, and the words of the detail.
    """
    detail = f"AuthorizationFailure: you do not have permission for {entity}"
    return FaultError("120", "Authorization Failure", detail, status=403)


def missing() -> FaultError:
    return FaultError(
        "610",
        "Object Not Found",
        "Object Not Found : Something you're trying to use has been made inactive.",
    )


def stale(entity: str) -> FaultError:
    detail = f"Stale Object Error : You and another user were working on this {entity}."
    return FaultError("5010", "Stale Object Error", detail)


def required(element: str) -> FaultError:
    message = "Required param missing, need to supply the required value for the API"
    return FaultError("2020", message, f"Required parameter {element} is missing", element=element)


def bad_reference(element: str) -> FaultError:
    return FaultError("2500", "Invalid Reference Id", f"Invalid Reference Id : {element}")


def business(detail: str) -> FaultError:
    message = "A business validation error has occurred while processing your request"
    return FaultError("6000", message, f"Business Validation Error: {detail}")


def parse_error(detail: str) -> FaultError:
    return FaultError("4000", "Error parsing query", f"QueryParserError: {detail}")

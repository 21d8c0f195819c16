"""Faults as QuickBooks words them."""

from __future__ import annotations


class FaultError(Exception):
    """An answer with a Fault."""

    def __init__(
        self, code: str, message: str, detail: str, status: int = 400, element: str = ""
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.document = {
            "Fault": {
                "Error": [{"Message": message, "Detail": detail, "code": code, "element": element}],
                "type": "AUTHENTICATION" if status == 401 else "ValidationFault",
            },
            "time": "2026-11-02T09:30:00.000-08:00",
        }


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

"""The errors of an S/4HANA, as its gateway words them in either protocol."""

from __future__ import annotations

from collections.abc import Sequence


class RefusalError(Exception):
    """A request that ends in an error; `code` is message class and number, such as V1/313."""

    def __init__(
        self, status: int, code: str, message: str, *, headers: Sequence[tuple[str, str]] = ()
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = tuple(headers)

    def document(self, *, v4: bool) -> dict[str, object]:
        """Return the body that answers a request."""
        if v4:
            return {"error": {"code": self.code, "message": self.message, "details": []}}
        detail = {"code": self.code, "message": self.message, "severity": "error", "target": ""}
        return {
            "error": {
                "code": self.code,
                "message": {"lang": "en", "value": self.message},
                "innererror": {
                    "transactionid": "6A1B2C3D4E5F0010E0067A1B2C3D4E5F",
                    "timestamp": "",
                    "errordetails": [detail],
                },
            }
        }


def not_found(what: str) -> RefusalError:
    return RefusalError(404, "/IWBEP/CM_MGW_RT/020", f"Resource not found for segment '{what}'")


def no_access(name: str, *, v4: bool) -> RefusalError:
    """Return the error of a service that no communication arrangement of the user has."""
    service = f"service group '{name}'" if v4 else f"Service '{name}'"
    return RefusalError(403, "/IWFND/CM_CONSUMER/101", f"No authorization to access {service}")


def read_only() -> RefusalError:
    """Return the error of a change that the user may not make; its code is unverified."""
    return RefusalError(403, "/IWFND/COD/046", "User does not have sufficient authorization")


def malformed(message: str) -> RefusalError:
    return RefusalError(400, "/IWFND/CM_MGW_RT/022", message)

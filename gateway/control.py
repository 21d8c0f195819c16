"""Everything that is not an operation of a contract: health, identity, portal."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from portico.problems import (
    INTERNAL_ERROR,
    MALFORMED_REQUEST,
    MEDIA_TYPE,
    METHOD_NOT_ALLOWED,
    NOT_FOUND,
    Problem,
)

_HEALTH = "application/health+json"
_FRESH = {"cache-control": "no-store"}
RESERVED = ("/portal", "/oauth2", "/.well-known", "/livez", "/readyz", "/metrics", "/webhooks")


def is_reserved(path: str) -> bool:
    """Tell whether a path is one of the gateway itself, or below one."""
    return any(path == taken or path.startswith(f"{taken}/") for taken in RESERVED)


def control_app(
    routes: Sequence[BaseRoute], *, ready: Callable[[], str], type_base: str
) -> Starlette:
    """Return the application; `ready` names what keeps the process from taking requests."""
    problems = _Problems(type_base)
    app = Starlette(
        routes=[
            Route("/livez", _live, methods=["GET"]),
            Route("/readyz", _ready(ready), methods=["GET"]),
            *routes,
        ],
        exception_handlers={
            HTTPException: problems.http,
            Problem: problems.raised,
            Exception: problems.unexpected,
        },
    )
    # A redirect would name whatever host the client wrote into its request.
    app.router.redirect_slashes = False
    return app


async def _live(_: Request) -> Response:
    return JSONResponse({"status": "pass"}, media_type=_HEALTH, headers=_FRESH)


def _ready(ready: Callable[[], str]) -> Callable[..., object]:
    async def respond(_: Request) -> Response:
        reason = ready()
        if not reason:
            return JSONResponse({"status": "pass"}, media_type=_HEALTH, headers=_FRESH)
        document = {"status": "fail", "output": reason}
        return JSONResponse(document, status_code=503, media_type=_HEALTH, headers=_FRESH)

    return respond


class _Problems:
    def __init__(self, type_base: str) -> None:
        self._type_base = type_base

    def http(self, request: Request, error: Exception) -> Response:
        headers = dict(getattr(error, "headers", None) or {})
        status = getattr(error, "status_code", 404)
        if status == 404:
            return self._render(request, Problem(NOT_FOUND, "no operation has this path"))
        kind = METHOD_NOT_ALLOWED if status == 405 else MALFORMED_REQUEST
        return self._render(request, Problem(kind, headers=list(headers.items())))

    def raised(self, request: Request, error: Exception) -> Response:
        if not isinstance(error, Problem):  # Starlette only hands over what was asked for
            raise error
        return self._render(request, error)

    def unexpected(self, request: Request, error: Exception) -> Response:
        del error  # Starlette raises it again after this answer, for the log
        return self._render(request, Problem(INTERNAL_ERROR))

    def _render(self, request: Request, problem: Problem) -> Response:
        request_id = str(request.scope.get("portico.request_id", ""))
        body = problem.body(type_base=self._type_base, request_id=request_id)
        headers = {**dict(problem.headers), "cache-control": "no-store", "content-language": "en"}
        if request_id:
            headers["x-request-id"] = request_id
        return Response(body, problem.status, headers, MEDIA_TYPE)

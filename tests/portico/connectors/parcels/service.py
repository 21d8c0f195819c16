"""The parcel service itself: a small REST service with the habits of real ones."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

if TYPE_CHECKING:
    from starlette.requests import Request

PAGE = 2


@dataclass(slots=True)
class ParcelService:
    """State, and answers that a test puts in the way of the next requests."""

    parcels: dict[str, dict[str, object]] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    tokens: set[str] = field(default_factory=set)
    issued: int = 0
    lifetime_seconds: int = 3600
    instead: deque[Response] = field(default_factory=deque)
    seen: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/token", self.token, methods=["POST"]),
                Route("/parcels", self.parcels_, methods=["GET", "POST"]),
                Route("/parcels/{id}", self.parcel, methods=["GET"]),
            ]
        )

    def add(self, reference: str, changed: str = "2026-11-02T09:30:00+00:00") -> str:
        number = str(len(self.parcels) + 1)
        self.parcels[number] = {
            "id": number,
            "reference": reference,
            "changed": changed,
            "postage": 4.95,
        }
        return number

    async def token(self, request: Request) -> Response:
        self.seen.append(("POST", "/token", dict(request.headers)))
        self.issued += 1
        token = f"token-{self.issued}"
        self.tokens.add(token)
        return JSONResponse({"access_token": token, "expires_in": self.lifetime_seconds})

    async def parcel(self, request: Request) -> Response:
        if (refused := self._refusal(request)) is not None:
            return refused
        found = self.parcels.get(request.path_params["id"])
        if found is None:
            # A failure under 200, as some services have it.
            return JSONResponse({"failure": {"code": "unknown", "text": "there is no parcel"}})
        return JSONResponse(found, headers={"x-calls": "7/100"})

    async def parcels_(self, request: Request) -> Response:
        if request.method == "POST":
            return await self._create(request)
        if (refused := self._refusal(request)) is not None:
            return refused
        since = request.query_params.get("since", "")
        after = int(request.query_params.get("after", "0"))
        entries = [entry for entry in self.parcels.values() if str(entry["changed"]) >= since]
        page = entries[after : after + PAGE]
        more = str(after + PAGE) if len(entries) > after + PAGE else None
        return JSONResponse({"parcels": page, "after": more})

    async def _create(self, request: Request) -> Response:
        body, key = await request.json(), request.headers["once"]
        refused = self._refusal(request)
        if refused is not None and refused.status_code != 502:
            return refused
        number = self.keys.get(key)
        if number is None:
            number = self.keys[key] = self.add(body["reference"])
        # A 502 comes from a proxy, after the service did its work.
        return refused or JSONResponse(self.parcels[number], status_code=201)

    def _refusal(self, request: Request) -> Response | None:
        self.seen.append((request.method, request.url.path, dict(request.headers)))
        if request.headers.get("authorization", "").removeprefix("Bearer ") not in self.tokens:
            return JSONResponse({}, status_code=401)
        return self.instead.popleft() if self.instead else None

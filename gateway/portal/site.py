"""The addresses of the portal, and what stands at each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from urllib.parse import urlsplit

import orjson
from starlette.datastructures import Headers
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from gateway.portal import assets
from gateway.portal.catalogue import Entry
from gateway.portal.pages import Pages
from gateway.portal.representation import REVALIDATE, Variant
from gateway.portal.security_headers import PAGE_HEADERS, REFERENCE_HEADERS
from portico.contract.media import acceptable
from portico.contract.publish import dump_json, dump_yaml, publish
from portico.problems import (
    MEDIA_TYPE,
    METHOD_NOT_ALLOWED,
    NOT_FOUND,
    PROBLEM_TYPES,
    Problem,
    ProblemType,
)

Find = Callable[[Mapping[str, str]], Sequence[Variant]]
"""Returns what stands at the address with these path parameters, the default first."""

_HTML = "text/html; charset=utf-8"
_PAGE = {**PAGE_HEADERS, "cache-control": REVALIDATE}


def routes(
    catalogue: Sequence[Entry],
    *,
    public_url: str,
    request_id: Callable[[Scope], str] = lambda _: "",
) -> list[Route]:
    """Return the routes of the portal, the last of which takes every path below `/portal/`.

    `public_url` is where customers reach the gateway; links respect its path. `request_id`
    tells the id of a request for the problems that are answered here.
    """
    portal = _Portal(catalogue, public_url.rstrip("/"), request_id)
    return portal.routes()


class _Portal:
    def __init__(
        self, catalogue: Sequence[Entry], public_url: str, request_id: Callable[[Scope], str]
    ) -> None:
        root = urlsplit(public_url).path
        self._assets = assets.load()
        self._pages = Pages(catalogue, self._assets, public_url=public_url, root=root)
        self._public_url = public_url
        self._home = f"{root}/portal/"
        self._refusals = _Refusals(self._pages, f"{public_url}/portal/problems/", request_id)
        self._published = {entry.name: self._about(entry) for entry in catalogue}
        self._problems = {kind.slug: self._problem(kind) for kind in PROBLEM_TYPES.values()}
        self._files = {asset.published_name: asset.variant for asset in self._assets.values()}

    def routes(self) -> list[Route]:
        index = [_page(self._pages.index)]
        problems = [_page(self._pages.problems)]
        api = "/portal/apis/{tier}/{api}"
        return [
            Route("/portal", _Redirect(self._home)),
            Route("/portal/", self._resource(lambda _: index)),
            Route("/portal/apis", _Redirect(self._home)),
            Route("/portal/apis/", _Redirect(self._home)),
            Route(api, self._resource(partial(self._of_api, part=""))),
            *(
                Route(f"{api}/{part}", self._resource(partial(self._of_api, part=part)))
                for part in ("openapi.yaml", "openapi.json", "reference")
            ),
            Route("/portal/problems", _Redirect(f"{self._home}problems/")),
            Route("/portal/problems/", self._resource(lambda _: problems)),
            Route("/portal/problems/{slug}", self._resource(self._of_problem)),
            Route("/portal/assets/{file}", self._resource(self._file)),
            Route("/portal/{rest:path}", self._resource(lambda _: ())),
        ]

    def _resource(self, find: Find) -> _Resource:
        return _Resource(find, self._refusals)

    def _of_api(self, parameters: Mapping[str, str], *, part: str) -> Sequence[Variant]:
        parts = self._published.get(f"{parameters['tier']}/{parameters['api']}")
        return [parts[part]] if parts else ()

    def _of_problem(self, parameters: Mapping[str, str]) -> Sequence[Variant]:
        return self._problems.get(parameters["slug"], ())

    def _file(self, parameters: Mapping[str, str]) -> Sequence[Variant]:
        variant = self._files.get(parameters["file"])
        return [variant] if variant else ()

    def _about(self, entry: Entry) -> Mapping[str, Variant]:
        return {
            "": _page(partial(self._pages.api, entry)),
            "reference": Variant(
                media_type=_HTML,
                build=partial(self._pages.reference, entry),
                headers={**REFERENCE_HEADERS, "cache-control": REVALIDATE},
            ),
            "openapi.yaml": self._contract(entry, "yaml", dump_yaml),
            "openapi.json": self._contract(entry, "json", dump_json),
        }

    def _contract(
        self, entry: Entry, suffix: str, dump: Callable[[Mapping[str, object]], str]
    ) -> Variant:
        def build() -> bytes:
            public = publish(entry.document, public_url=self._public_url, base_path=entry.base_path)
            return dump(public).encode()

        return Variant(
            media_type=f"application/vnd.oai.openapi+{suffix};version={entry.openapi}",
            build=build,
            headers=_PAGE,
        )

    def _problem(self, kind: ProblemType) -> Sequence[Variant]:
        document = {
            "type": f"{self._public_url}/portal/problems/{kind.slug}",
            "title": kind.title,
            "status": kind.status,
            "meaning": kind.meaning,
            "remedy": kind.remedy,
        }
        headers = {**_PAGE, "vary": "Accept"}
        body = orjson.dumps(document, option=orjson.OPT_INDENT_2)
        return [
            Variant(media_type=_HTML, build=partial(self._pages.problem, kind), headers=headers),
            Variant(media_type="application/json", build=lambda: body, headers=headers),
        ]


def _page(build: Callable[[], bytes]) -> Variant:
    return Variant(media_type=_HTML, build=build, headers=_PAGE)


class _Resource:
    """One address that can be read and nothing else."""

    def __init__(self, find: Find, refusals: _Refusals) -> None:
        self._find = find
        self._refusals = refusals

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = await self._respond(scope)
        if scope["method"] == "HEAD":
            response.body = b""  # its length is told all the same
        await response(scope, receive, send)

    async def _respond(self, scope: Scope) -> Response:
        if scope["method"] not in {"GET", "HEAD"}:
            return self._refusals.method_not_allowed(scope)
        variants = self._find(scope["path_params"])
        headers = Headers(scope=scope)
        if not variants:
            return await self._refusals.not_found(scope, headers)
        variant = _chosen(variants, headers.get("accept", ""))
        return (await variant.representation()).respond(headers)


class _Refusals:
    """Answers for what the portal does not have: a page for people, a problem for programs."""

    def __init__(self, pages: Pages, type_base: str, request_id: Callable[[Scope], str]) -> None:
        headers = {**PAGE_HEADERS, "cache-control": "no-store", "vary": "Accept"}
        self._headers = headers
        self._page = Variant(media_type=_HTML, build=pages.not_found, headers=headers)
        self._type_base = type_base
        self._request_id = request_id

    async def not_found(self, scope: Scope, headers: Headers) -> Response:
        if acceptable(headers.get("accept", ""), (MEDIA_TYPE, "text/html")) == "text/html":
            return (await self._page.representation()).respond(headers, status=404)
        return self._problem(scope, Problem(NOT_FOUND, "the portal has no page at this address"))

    def method_not_allowed(self, scope: Scope) -> Response:
        problem = Problem(METHOD_NOT_ALLOWED, "pages of the portal can only be read")
        response = self._problem(scope, problem)
        response.headers["allow"] = "GET, HEAD"
        return response

    def _problem(self, scope: Scope, problem: Problem) -> Response:
        body = problem.body(type_base=self._type_base, request_id=self._request_id(scope))
        return Response(body, problem.status, self._headers, MEDIA_TYPE)


class _Redirect:
    """Sends on to the address with a slash at its end."""

    def __init__(self, target: str) -> None:
        self._target = target

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response = RedirectResponse(self._target, 308, headers=PAGE_HEADERS)
        await response(scope, receive, send)


def _chosen(variants: Sequence[Variant], accept: str) -> Variant:
    """Return the variant the client prefers; the first where it takes none, rather than refuse."""
    by_type = {variant.media_type.partition(";")[0]: variant for variant in variants}
    return by_type[acceptable(accept, tuple(by_type)) or next(iter(by_type))]

"""The portal in a real browser: nothing leaves the host, no policy is broken, try-it works."""

from __future__ import annotations

import contextlib
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse
from starlette.routing import Route

from gateway.portal import Entry, routes

if TYPE_CHECKING:
    from playwright.sync_api import Browser, ConsoleMessage, Locator, Page

API = "/portal/apis/process/parcels.v1"
PAGES = [
    "/portal/",
    API,
    f"{API}/reference",
    "/portal/apis/partner/weather.v2/reference",
    "/portal/problems/",
    "/portal/problems/not-found",
    "/portal/no-such-page",
]
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
REPORT_VIOLATIONS = """
addEventListener("securitypolicyviolation", (event) =>
  console.error("violates", event.violatedDirective, event.blockedURI, event.sourceFile));
"""


@dataclass
class Host:
    """A server on loopback with the portal, a token endpoint and one operation."""

    url: str = ""
    token_requests: list[tuple[str, str]] = field(default_factory=list)
    calls: list[tuple[str, str]] = field(default_factory=list)

    async def issue(self, request: Request) -> JSONResponse:
        form = await request.form()
        self.token_requests.append((request.headers["authorization"], str(form.get("grant_type"))))
        return JSONResponse({"access_token": "issued-token", "token_type": "Bearer"})

    async def list_parcels(self, request: Request) -> JSONResponse:
        self.calls.append((str(request.url), request.headers.get("authorization", "")))
        return JSONResponse({"parcels": ["the-only-parcel"]})

    async def careless(self, _: Request) -> HTMLResponse:
        policy = "default-src 'none'; img-src 'self'"
        html = "<main></main><script>1</script><img src='http://203.0.113.1/pixel.png'>"
        return HTMLResponse(html, headers={"content-security-policy": policy})

    def routes(self, catalogue: list[Entry]) -> list[Route]:
        # The public address is another one on purpose: what the browser asks must stay here.
        return [
            *routes(catalogue, public_url="https://api.example.com"),
            Route("/oauth2/token", self.issue, methods=["POST"]),
            Route("/process/parcels/v1/parcels", self.list_parcels),
            Route("/careless", self.careless),
        ]


@pytest.fixture(name="host")
def _host(catalogue: list[Entry]) -> Iterator[Host]:
    host = Host()
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        host.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        app = Starlette(routes=host.routes(catalogue))
        server = uvicorn.Server(uvicorn.Config(app, log_level="error", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            _wait_until_started(server, thread)
            yield host
        finally:
            server.should_exit = True
            thread.join(timeout=10)


def _wait_until_started(server: uvicorn.Server, thread: threading.Thread) -> None:
    deadline = time.monotonic() + 10
    while not server.started:
        if time.monotonic() > deadline or not thread.is_alive():
            pytest.fail("the server did not start")
        time.sleep(0.01)


@pytest.fixture(name="browser", scope="module")
def _browser() -> Iterator[Browser]:
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("needs chromium: install the Debian package chromium")
    try:
        from playwright.sync_api import sync_playwright
    except ImportError:
        pytest.skip("needs chromium: the Python package playwright is not installed")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield browser
        browser.close()


@dataclass
class Watch:
    """Everything a page did that it should not have done."""

    host: Host
    findings: list[str] = field(default_factory=list)

    def attach(self, page: Page) -> None:
        page.add_init_script(REPORT_VIOLATIONS)
        page.on("request", lambda request: self._requested(request.url))
        page.on("pageerror", lambda error: self.findings.append(f"page error: {error}"))
        page.on("console", self._logged)

    def _requested(self, url: str) -> None:
        if urlsplit(url).scheme != "data" and not url.startswith(f"{self.host.url}/"):
            self.findings.append(f"request to another host: {url}")

    def _logged(self, message: ConsoleMessage) -> None:
        # The status of the missing page itself is what that page is about.
        missing = message.location["url"].endswith("/no-such-page")
        if message.type in {"error", "warning"} and not missing:
            self.findings.append(f"{message.type}: {message.text}")


@contextlib.contextmanager
def watched(
    browser: Browser, host: Host, path: str, **options: str
) -> Iterator[tuple[Page, Watch]]:
    """Open a page in a fresh profile and watch what it does."""
    watch = Watch(host)
    context = browser.new_context(**options)  # type: ignore[arg-type]  # only literal options are passed
    try:
        page = context.new_page()
        page.set_default_timeout(15_000)
        watch.attach(page)
        page.goto(host.url + path, wait_until="networkidle")
        yield page, watch
    finally:
        context.close()


@pytest.mark.parametrize(
    ("path", "scheme"), [*((path, "light") for path in PAGES), (f"{API}/reference", "dark")]
)
def test_a_page_has_content_stays_on_its_host_and_breaks_no_policy(
    browser: Browser, host: Host, path: str, scheme: str
) -> None:
    with watched(browser, host, path, color_scheme=scheme) as (page, watch):
        assert page.locator("h1").first.inner_text().strip()
        assert len(page.locator("main").first.inner_text()) > 80
        assert page.locator("main").count() == 1
        assert watch.findings == []


def test_a_page_that_breaks_its_policy_is_noticed(browser: Browser, host: Host) -> None:
    with watched(browser, host, "/careless") as (_, watch):
        found = "\n".join(watch.findings)

    assert "violates script-src" in found
    assert "violates img-src" in found or "request to another host" in found


def test_pages_fit_a_narrow_screen(browser: Browser, host: Host) -> None:
    with watched(browser, host, PAGES[0]) as (page, _):
        page.set_viewport_size({"width": 360, "height": 740})
        for path in PAGES:
            page.goto(host.url + path, wait_until="networkidle")
            width = page.evaluate("document.documentElement.scrollWidth")
            assert width <= 360, path


def test_the_first_stop_of_the_keyboard_skips_to_the_content(browser: Browser, host: Host) -> None:
    with watched(browser, host, "/portal/") as (page, _):
        page.keyboard.press("Tab")

        assert page.evaluate("document.activeElement.getAttribute('href')") == "#content"
        assert page.evaluate("getComputedStyle(document.activeElement).top") == "0px"


def test_an_operation_leads_to_its_place_in_the_reference(browser: Browser, host: Host) -> None:
    with watched(browser, host, API) as (page, watch):
        page.get_by_role("link", name="/parcels").nth(1).click()
        page.wait_for_load_state("networkidle")

        page.locator(":focus").filter(has_text="Send a parcel").wait_for()
        assert watch.findings == []


def open_client(page: Page) -> Locator:
    page.get_by_role("button", name="Test Request").first.click()
    dialog = page.get_by_role("dialog")
    dialog.wait_for()
    return dialog


def fill(dialog: Locator, label: str, text: str) -> None:
    row = dialog.locator("td", has=dialog.page.get_by_text(label, exact=True))
    row.locator("[contenteditable=true], input").first.fill(text)


def test_try_it_gets_a_token_and_calls_the_operation_on_the_same_host(
    browser: Browser, host: Host
) -> None:
    with watched(browser, host, f"{API}/reference") as (page, watch):
        dialog = open_client(page)
        fill(dialog, "Client ID", "shop")
        fill(dialog, "Client Secret", "s3cret")
        dialog.get_by_role("button", name="Authorize").click()
        dialog.get_by_text("Access Token").first.wait_for()
        dialog.get_by_role("button", name="Send").first.click()
        dialog.get_by_text("the-only-parcel").first.wait_for()

        assert watch.findings == []
    assert host.token_requests == [("Basic c2hvcDpzM2NyZXQ=", "client_credentials")]
    assert [token for _, token in host.calls] == ["Bearer issued-token"]
    assert host.calls[0][0].startswith(f"{host.url}/process/parcels/v1/parcels")


def test_try_it_takes_a_token_the_reader_has_already(browser: Browser, host: Host) -> None:
    with watched(browser, host, f"{API}/reference") as (page, watch):
        dialog = open_client(page)
        dialog.get_by_text("Selected Auth Type").click()
        page.get_by_role("option", name="oauth2").click()
        page.get_by_role("option", name="accessToken").click()
        dialog.get_by_text("Selected Auth Type").click()
        fill(dialog, "Bearer Token", "pasted-token")
        dialog.get_by_role("button", name="Send").first.click()
        dialog.get_by_text("the-only-parcel").first.wait_for()

        assert watch.findings == []
    assert host.token_requests == []
    assert [token for _, token in host.calls] == ["Bearer pasted-token"]

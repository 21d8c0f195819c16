"""A real gateway, a real browser, and OAuth clients that others wrote."""

from __future__ import annotations

import html
import http.server
import re
import shutil
import threading
import warnings
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from argon2 import PasswordHasher
from oauthlib.oauth2 import BackendApplicationClient, WebApplicationClient
from oauthlib.oauth2.rfc6749.errors import InvalidGrantError

from tests.support.serving import Served, eventually, free_port, network_config, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from playwright.sync_api import Browser, Page

    from tests.portico.redis.servers import Server

with warnings.catch_warnings():
    # It announces that it will move from httpx to httpx2.
    warnings.simplefilter("ignore")
    from authlib.integrations.httpx_client import OAuth2Client

PASSWORD = "a good long password"
SECRET = "the-secret-of-the-shop-in-the-tests"
API = "/experience/kiosk/v1/mixed"
SCOPE = "kiosk:use"


@dataclass
class Callback:
    """The client's own server: it notes what browsers bring."""

    url: str = ""
    brought: list[str] = field(default_factory=list)


@pytest.fixture
def callback() -> Iterator[Callback]:
    found = Callback()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found.brought.append(found.url.removesuffix("/cb") + self.path)
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(b"<!doctype html><title>Done</title><h1>Welcome back</h1>")

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found.url = f"http://127.0.0.1:{server.server_port}/cb"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield found
        server.shutdown()


@pytest.fixture
def gateway(
    callback: Callback,
    redis_server: Server,
    tmp_path_factory: pytest.TempPathFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Served]:
    """Serve a gateway whose people and clients are in its configuration."""
    monkeypatch.setenv("SHOP_SECRET", SECRET)
    port = free_port()
    quick = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)
    client = {"scopes": [SCOPE], "redirect_uris": [callback.url]}
    people = {"grants": ["authorization_code", "refresh_token"]}
    config = network_config(
        tmp_path_factory.mktemp("gateway"),
        public_url=f"http://127.0.0.1:{port}",
        redis={"url": redis_server.url},
        identity={
            "users": {"ada": {"password_hash": quick.hash(PASSWORD), "name": "Ada Lovelace"}}
        },
        clients={
            "shop": {**client, **people, "secret": "env:SHOP_SECRET", "name": "The Shop"},
            "app": {**client, **people, "authentication": "none"},
            "service": {"secret": "env:SHOP_SECRET", "scopes": [SCOPE]},
        },
    )
    with serving(config, port=port) as served:
        yield served


def authlib(gateway: Served, callback: Callback, client_id: str = "shop") -> OAuth2Client:
    secret = {"client_secret": SECRET} if client_id == "shop" else {}
    method = "client_secret_basic" if secret else "none"
    return OAuth2Client(
        client_id,
        token_endpoint_auth_method=method,
        code_challenge_method="S256",
        scope=SCOPE,
        redirect_uri=callback.url,
        token_endpoint=f"{gateway.url}/oauth2/token",
        **secret,
    )


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("needs chromium: install the Debian package chromium")
    from playwright.sync_api import sync_playwright

    arguments = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=arguments)
        yield browser
        browser.close()


@dataclass
class Visit:
    """A page and whatever its browser complained about."""

    page: Page
    complaints: list[str] = field(default_factory=list)


@pytest.fixture(params=[True, False], ids=["scripts", "no-scripts"])
def visit(chromium: Browser, request: pytest.FixtureRequest) -> Iterator[Visit]:
    context = chromium.new_context(java_script_enabled=request.param)
    page = context.new_page()
    page.set_default_timeout(15_000)
    found = Visit(page)
    page.on("console", lambda message: found.complaints.append(message.text))
    page.on("pageerror", lambda error: found.complaints.append(str(error)))
    yield found
    context.close()


def enter(page: Page, password: str = PASSWORD) -> None:
    page.get_by_label("User name").fill("ada")
    page.get_by_label("Password").fill(password)
    page.get_by_role("button", name="Sign in").click()


@pytest.mark.parametrize("client_id", ["shop", "app"])
def test_a_person_signs_in_with_a_browser_and_authlibs_client_uses_what_it_gets(
    gateway: Served, callback: Callback, visit: Visit, client_id: str
) -> None:
    page = visit.page
    with authlib(gateway, callback, client_id) as client:
        verifier = "v" * 64
        address, state = client.create_authorization_url(
            f"{gateway.url}/oauth2/authorize", code_verifier=verifier
        )
        page.goto(address)
        assert page.locator("h1").inner_text() == "Sign in"
        enter(page, "not the password")
        assert "wrong" in page.get_by_role("alert").inner_text()
        enter(page)
        assert "Ada Lovelace" in page.locator("main").inner_text()
        assert SCOPE in page.locator("main").inner_text()
        page.get_by_role("button", name="Allow").click()
        page.get_by_text("Welcome back").wait_for()

        brought = callback.brought[0]
        assert parse_qs(urlsplit(brought).query)["iss"] == [gateway.url]
        token = client.fetch_token(
            authorization_response=brought, state=state, code_verifier=verifier
        )
        assert client.get(gateway.url + API).status_code == 200
        renewed = client.refresh_token(refresh_token=token["refresh_token"])
        assert renewed["refresh_token"] != token["refresh_token"]
        assert client.get(gateway.url + API).status_code == 200
        gone = client.revoke_token(f"{gateway.url}/oauth2/revoke", renewed["refresh_token"])
        assert gone.status_code == 200
    # A wrong password is a 401, which Chromium notes; a broken policy would be noted too.
    assert [text for text in visit.complaints if "401" not in text] == []


def test_a_refusal_leads_back_to_the_application(
    gateway: Served, callback: Callback, visit: Visit
) -> None:
    page = visit.page
    with authlib(gateway, callback) as client:
        address, _ = client.create_authorization_url(
            f"{gateway.url}/oauth2/authorize", code_verifier="v" * 64
        )
    page.goto(address)
    enter(page)
    page.get_by_role("button", name="Refuse").click()
    page.get_by_text("Welcome back").wait_for()

    answer = parse_qs(urlsplit(callback.brought[0]).query)
    assert answer["error"] == ["access_denied"]
    assert visit.complaints == []


def test_pages_are_usable_on_a_phone_and_by_keyboard(
    gateway: Served, callback: Callback, chromium: Browser
) -> None:
    context = chromium.new_context(viewport={"width": 320, "height": 640})
    page = context.new_page()
    page.set_default_timeout(15_000)
    with authlib(gateway, callback) as client:
        address, _ = client.create_authorization_url(
            f"{gateway.url}/oauth2/authorize", code_verifier="v" * 64
        )
    page.goto(address)
    # The first field gets the focus: whoever types then signs in.
    page.wait_for_function("document.activeElement.name === 'username'")
    page.keyboard.type("ada")
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    page.get_by_role("heading", name="Allow The Shop?").wait_for()
    width = page.evaluate("document.documentElement.scrollWidth")
    framed = page.evaluate(
        """async (address) => {
          const frame = document.createElement("iframe");
          frame.src = address;
          document.body.append(frame);
          await new Promise((done) => setTimeout(done, 300));
          try { return frame.contentDocument?.body?.innerText ?? "" } catch { return "" }
        }""",
        address,
    )
    context.close()

    assert width <= 320
    assert "Sign in" not in framed


def through_the_pages(address: str) -> str:
    """Sign in and allow, as a browser without scripts does; return where it is sent."""
    with httpx.Client() as browser:
        page = browser.get(address)
        origin = "{0.scheme}://{0.netloc}".format(urlsplit(address))
        form = {"username": "ada", "password": PASSWORD, "interaction": interaction(page.text)}
        entered = browser.post(f"{origin}/oauth2/sign-in", data=form)
        page = browser.get(entered.headers["location"])
        form = {"decision": "allow", "interaction": interaction(page.text)}
        return str(browser.post(f"{origin}/oauth2/consent", data=form).headers["location"])


def interaction(text: str) -> str:
    found = re.search(r'name="interaction" value="([^"]*)"', text)
    assert found is not None
    return html.unescape(found[1])


def test_oauthlib_gets_refreshes_and_revokes_tokens(
    gateway: Served, callback: Callback, monkeypatch: pytest.MonkeyPatch
) -> None:
    # It refuses loopback too, unless it is told.
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    client = WebApplicationClient("shop")
    verifier = client.create_code_verifier(64)
    challenge = client.create_code_challenge(verifier, "S256")
    address = client.prepare_request_uri(
        f"{gateway.url}/oauth2/authorize",
        redirect_uri=callback.url,
        scope=[SCOPE],
        state="s-1",
        code_challenge=challenge,
        code_challenge_method="S256",
    )
    answer = client.parse_request_uri_response(through_the_pages(address), state="s-1")
    body = client.prepare_request_body(
        code=answer["code"], redirect_uri=callback.url, code_verifier=verifier
    )
    form = {"content-type": "application/x-www-form-urlencoded"}
    auth = httpx.BasicAuth("shop", SECRET)
    token = httpx.post(f"{gateway.url}/oauth2/token", content=body, headers=form, auth=auth)
    parsed = client.parse_request_body_response(token.text, scope=[SCOPE])
    assert gateway.request("GET", API, token=parsed["access_token"]).status_code == 200
    url, headers, content = client.prepare_token_revocation_request(
        f"{gateway.url}/oauth2/revoke", parsed["refresh_token"], "refresh_token"
    )

    assert httpx.post(url, headers=headers, content=content, auth=auth).status_code == 200

    # What was issued with it has ended too, for APIs as well.
    assert eventually(
        lambda: gateway.request("GET", API, token=parsed["access_token"]).status_code == 401
    )
    again = httpx.post(f"{gateway.url}/oauth2/token", content=body, headers=form, auth=auth)
    with pytest.raises(InvalidGrantError):
        client.parse_request_body_response(again.text)


def test_oauthlibs_backend_client_gets_a_token(
    gateway: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    client = BackendApplicationClient("service", scope=[SCOPE])
    response = httpx.post(
        f"{gateway.url}/oauth2/token",
        content=client.prepare_request_body(),
        headers={"content-type": "application/x-www-form-urlencoded"},
        auth=httpx.BasicAuth("service", SECRET),
    )

    token = client.parse_request_body_response(response.text)

    assert token["scope"] == [SCOPE]
    assert gateway.request("GET", API, token=token["access_token"]).status_code == 200

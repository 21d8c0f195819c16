"""An identity provider on loopback whose every answer a test decides."""

from __future__ import annotations

import contextlib
import json
import ssl
import threading
import time
from base64 import b64decode
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote_plus

from joserfc.jwk import ECKey, OKPKey, RSAKey
from joserfc.jws import JWSRegistry

from tests.gateway.identity.forging import encode

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

CLIENT = ("gateway", "a secret: +/&=")
Key = ECKey | RSAKey | OKPKey


def new_key(kind: str = "ES256") -> Key:
    """Return a private key for an algorithm, with its thumbprint as id."""
    made: dict[str, Any] = {
        "ES256": lambda: ECKey.generate_key("P-256"),
        "ES384": lambda: ECKey.generate_key("P-384"),
        "RS256": lambda: RSAKey.generate_key(2048),
        "Ed25519": lambda: OKPKey.generate_key("Ed25519"),
    }
    key: Key = made[kind]()
    key.ensure_kid()
    return key


@dataclass
class Answer:
    """What is answered to one path."""

    body: bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    delay_seconds: float = 0.0


@dataclass
class Provider:
    """The state of the provider: what it answers, and what it was asked."""

    url: str = ""
    answers: dict[str, Answer] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    tokens: dict[str, dict[str, Any]] = field(default_factory=dict)
    key: Key = field(default_factory=new_key)

    def publish(self, *keys: Key, headers: dict[str, str] | None = None) -> None:
        """Publish keys as the whole key set."""
        members = [key.as_dict(private=False) for key in keys]
        self.answer("/keys", {"keys": members}, headers=headers)

    def answer(self, path: str, document: object, **options: Any) -> None:
        body = document if isinstance(document, bytes) else json.dumps(document).encode()
        given: dict[str, Any] = {name: value or {} for name, value in options.items()}
        self.answers[path] = Answer(body=body, **given)

    def describe(self, issuer: str, path: str, **more: Any) -> None:
        """Publish metadata of an issuer at a path."""
        document = {"issuer": issuer, "jwks_uri": f"{self.url}/keys", **more}
        self.answer(path, document)

    def count(self, path: str) -> int:
        return self.asked.count(path)

    def token(
        self, *, key: Key | None = None, header: dict[str, Any] | None = None, **claims: Any
    ) -> str:
        """Return an RFC 9068 token with some claims changed; None leaves one out."""
        signer = key or self.key
        algorithm = {"EC": "ES256", "RSA": "RS256", "OKP": "Ed25519"}[signer.key_type]
        now = int(time.time())
        full = {
            "iss": self.url,
            "aud": "api://portico",
            "sub": "ada",
            "client_id": "shop",
            "jti": "a-token",
            "iat": now,
            "exp": now + 300,
            "scope": "kiosk:use",
            **claims,
        }
        full = {name: value for name, value in full.items() if value is not None}
        head = {"alg": algorithm, "typ": "at+jwt", "kid": signer.kid, **(header or {})}
        head = {name: value for name, value in head.items() if value is not None}
        # Whatever the header says, the signature is that of the key: no library would write it.
        signing_input = f"{_part(head)}.{_part(full)}"
        model = JWSRegistry(algorithms=[algorithm]).get_alg(algorithm)
        return f"{signing_input}.{encode(model.sign(signing_input.encode(), signer))}"


def _part(members: dict[str, Any]) -> str:
    return encode(json.dumps(members).encode())


@contextlib.contextmanager
def providing(certificate: Path | None = None) -> Iterator[Provider]:
    """Run a provider that is described by RFC 8414 metadata and publishes one key.

    With a certificate, whose key is beside it, it speaks TLS.
    """
    provider = Provider()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # one packet for head and body, or the client waits for its own ACK

        def do_GET(self) -> None:
            provider.asked.append(self.path)
            self._send(provider.answers.get(self.path, Answer(b"{}", 404)))

        def do_POST(self) -> None:
            provider.asked.append(self.path)
            body = self.rfile.read(int(self.headers["content-length"]))
            chosen = provider.answers.get(self.path)
            self._send(chosen or Answer(json.dumps(self._introspect(body)).encode()))

        def _introspect(self, body: bytes) -> dict[str, Any]:
            pair = b64decode(self.headers["authorization"].removeprefix("Basic ")).decode()
            if tuple(unquote_plus(part) for part in pair.split(":")) != CLIENT:
                return {"error": "invalid_client"}
            (token,) = parse_qs(body.decode())["token"]
            return provider.tokens.get(token, {"active": False})

        def _send(self, answer: Answer) -> None:
            time.sleep(answer.delay_seconds)
            with contextlib.suppress(OSError):
                self.send_response(answer.status)
                for name, value in answer.headers.items():
                    self.send_header(name, value)
                self.send_header("content-length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    if certificate is not None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, certificate.with_suffix(".key"))
        server.socket = context.wrap_socket(server.socket, server_side=True)
    provider.url = f"http{'s' if certificate else ''}://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    provider.describe(
        provider.url,
        "/.well-known/oauth-authorization-server",
        introspection_endpoint=f"{provider.url}/introspect",
    )
    provider.publish(provider.key)
    try:
        yield provider
    finally:
        server.shutdown()
        thread.join()
        server.server_close()

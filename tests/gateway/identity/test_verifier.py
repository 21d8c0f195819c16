"""What a resource server owes its callers, line by line: RS and AT as far as this issuer goes."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any

import httpx
import pytest
from joserfc.jwk import ECKey

from gateway.identity.challenge import Challenge
from gateway.identity.compact import MAX_TOKEN_BYTES
from gateway.identity.token_policy import TokenPolicy
from portico.problems import Problem
from tests.gateway.identity.checking import Checker
from tests.gateway.identity.forging import ISSUER, NOW, Clock, Forger, bearer, encode

if TYPE_CHECKING:
    from pathlib import Path

    from starlette.types import Receive, Scope, Send

    from gateway.identity.keys import KeyRing
    from gateway.identity.tokens import TokenIssuer

API = "process/orders.v1"
DESCRIPTION = re.compile(r'error_description="[\x20-\x21\x23-\x5b\x5d-\x7e]+"\Z')


def refused(verifier: Checker, authorization: list[bytes], audience: str = API) -> Problem:
    with pytest.raises(Problem) as caught:
        verifier.verify(authorization, audience, "192.0.2.1")
    return caught.value


def challenge_of(problem: Problem) -> str:
    ((name, value),) = problem.headers
    assert name == "www-authenticate"
    return value


def assert_invalid_token(problem: Problem) -> None:
    assert problem.status == 401
    challenge = challenge_of(problem)
    assert challenge.startswith('Bearer realm="portico", error="invalid_token", error_desc')
    # RS-07 for every answer of this file: the characters RFC 6750 allows, and nothing after.
    assert DESCRIPTION.search(challenge)


def test_rs_01_without_credentials_the_challenge_names_no_error(verifier: Checker) -> None:
    problem = refused(verifier, [])

    assert problem.status == 401
    assert challenge_of(problem) == 'Bearer realm="portico"'


@pytest.mark.parametrize("value", [b"", b"Basic YTpi", b"Digest x.y.z", b"Bearerx.y.z", b"x.y.z"])
def test_rs_01_another_scheme_is_no_credentials(verifier: Checker, value: bytes) -> None:
    problem = refused(verifier, [value])

    assert problem.status == 401
    assert challenge_of(problem) == 'Bearer realm="portico"'


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": int(NOW) - 60},
        {"iss": "https://elsewhere.example"},
        {"aud": "https://elsewhere.example"},
    ],
    ids=["expired", "other_issuer", "other_audience"],
)
def test_rs_02_a_token_not_for_now_or_here_is_invalid(
    verifier: Checker, forger: Forger, changes: dict[str, Any]
) -> None:
    assert_invalid_token(refused(verifier, bearer(forger.token(claims=changes))))


@pytest.mark.parametrize("value", [b"Bearer", b"bearer ", b"Bearer    ", b"Bearer x"])
def test_rs_02_a_malformed_token_is_invalid(verifier: Checker, value: bytes) -> None:
    assert_invalid_token(refused(verifier, [value]))


def test_rs_03_a_missing_scope_is_forbidden_and_named(verifier: Checker) -> None:
    problem = verifier.challenge.insufficient_scope({"orders:write", "orders:read"})

    assert problem.status == 403
    assert challenge_of(problem) == (
        'Bearer realm="portico", error="insufficient_scope", '
        'error_description="the token lacks a scope that this operation requires", '
        'scope="orders:read orders:write"'
    )
    assert problem.extensions == {"scopes": ["orders:read", "orders:write"]}


def test_rs_04_two_authorization_headers_are_an_invalid_request(
    verifier: Checker, issuer: TokenIssuer
) -> None:
    """RS-04, RS-06: even if both are the same and good."""
    header = bearer(issuer.mint("ann", "shop", ISSUER, (), 60))

    problem = refused(verifier, header * 2)

    assert problem.status == 400
    assert 'error="invalid_request"' in challenge_of(problem)


@pytest.mark.anyio
async def test_rs_05_a_token_in_the_query_is_ignored(
    verifier: Checker, issuer: TokenIssuer
) -> None:
    async def app(scope: Scope, _: Receive, send: Send) -> None:
        authorization = [value for name, value in scope["headers"] if name == b"authorization"]
        try:
            verifier.verify(authorization, API, scope["client"][0])
            status, headers = 204, []
        except Problem as problem:
            status, headers = problem.status, list(problem.headers)
        raw = [(name.encode(), value.encode()) for name, value in headers]
        await send({"type": "http.response.start", "status": status, "headers": raw})
        await send({"type": "http.response.body", "body": b""})

    token = issuer.mint("ann", "shop", ISSUER, (), 60)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=ISSUER) as client:
        in_query = await client.get("/", params={"access_token": token})
        in_header = await client.get("/", headers={"authorization": f"Bearer {token}"})

    assert in_query.status_code == 401
    assert in_query.headers["www-authenticate"] == 'Bearer realm="portico"'
    assert in_header.status_code == 204


@pytest.mark.parametrize("scheme", [b"Bearer ", b"bearer ", b"BEARER ", b"bEaReR    "])
def test_rs_06_the_scheme_is_case_insensitive_with_any_number_of_blanks(
    verifier: Checker, issuer: TokenIssuer, scheme: bytes
) -> None:
    token = issuer.mint("ann", "shop", ISSUER, (), 60).encode()

    assert verifier.verify([scheme + token], API).subject == "ann"


@pytest.mark.parametrize(
    "junk", [b" x", b"\t", b" ", b",", b'"', b"\x00", b"\xff", b"\r\n", b"%20"]
)
def test_rs_06_characters_outside_token68_are_refused(
    verifier: Checker, issuer: TokenIssuer, junk: bytes
) -> None:
    token = issuer.mint("ann", "shop", ISSUER, (), 60).encode()

    assert_invalid_token(refused(verifier, bearer(token + junk)))
    assert_invalid_token(refused(verifier, bearer(token[:30] + junk + token[30:])))


def test_rs_07_what_cannot_stand_in_a_description_is_refused_when_it_is_written() -> None:
    for text in ('say "no"', "back\\slash", "ümlaut", "new\nline", "\x7f"):
        with pytest.raises(ValueError, match="WWW-Authenticate"):
            Challenge(text)
        with pytest.raises(ValueError, match="WWW-Authenticate"):
            Challenge("portico").invalid_token(text)


def test_a_token_for_the_gateway_names_the_caller(verifier: Checker, issuer: TokenIssuer) -> None:
    token = issuer.mint("ann", "shop", ISSUER, {"orders:read", "orders:write"}, 600)

    caller = verifier.verify(bearer(token), API)

    assert (caller.subject, caller.client_id) == ("ann", "shop")
    assert caller.scopes == {"orders:read", "orders:write"}
    assert caller.expires_at == NOW + 600
    assert caller.actor is None


def test_a_token_for_one_api_is_accepted_there_and_nowhere_else(
    verifier: Checker, issuer: TokenIssuer
) -> None:
    header = bearer(issuer.mint("ann", "storefront", API, (), 300))

    assert verifier.verify(header, API).subject == "ann"
    assert_invalid_token(refused(verifier, header, "process/inventory.v1"))
    assert_invalid_token(refused(verifier, header, ""))
    assert verifier.verify(header, API).subject == "ann"


def test_who_acts_for_the_subject_is_kept(verifier: Checker, issuer: TokenIssuer) -> None:
    actor = {"sub": "storefront", "act": {"sub": "app"}}

    caller = verifier.verify(bearer(issuer.mint("ann", "shop", API, (), 60, actor=actor)), API)

    assert caller.actor == actor
    with pytest.raises(TypeError):
        caller.actor["sub"] = "someone else"  # type: ignore[index]  # must not be possible


@pytest.mark.parametrize("typ", ["at+jwt", "AT+JWT", "application/at+jwt", "Application/AT+JWT"])
def test_at_01_access_token_types_are_accepted_in_any_case(
    verifier: Checker, forger: Forger, typ: str
) -> None:
    assert verifier.verify(bearer(forger.token({"typ": typ})), API).subject == "warehouse"


@pytest.mark.parametrize(
    "typ",
    ["JWT", "jwt", "id+jwt", "dpop+jwt", "at+jwt ", "x-at+jwt", "", None, 1, True, ["at+jwt"]],
)
def test_at_01_any_other_type_is_refused(verifier: Checker, forger: Forger, typ: object) -> None:
    """AT-01, RS-02: a token of another type is no access token."""
    assert_invalid_token(refused(verifier, bearer(forger.token({"typ": typ}))))


def test_at_01_an_absent_type_is_refused(verifier: Checker, forger: Forger) -> None:
    assert_invalid_token(refused(verifier, bearer(forger.token(without=("typ",)))))


ALGORITHMS: list[object] = ["none", "None", "NONE", "nOnE", "", "HS256", "HS384", "HS512", "RS256"]
ALGORITHMS += ["PS256", "ES384", "ES512", "ES256K", "EdDSA", "Ed25519", "es256", "ES256 ", "dir"]
ALGORITHMS += ["RSA-OAEP", "PBES2-HS256+A128KW", None, 256, True, ["ES256"], {"ES256": 1}]


@pytest.mark.parametrize("algorithm", ALGORITHMS, ids=repr)
def test_at_02_only_the_issuers_algorithm_is_accepted(
    verifier: Checker, forger: Forger, algorithm: object
) -> None:
    token = forger.token({"alg": algorithm})

    assert_invalid_token(refused(verifier, bearer(token)))
    assert_invalid_token(refused(verifier, bearer(token.rpartition(".")[0] + ".")))


def test_at_02_an_absent_algorithm_is_refused(verifier: Checker, forger: Forger) -> None:
    assert_invalid_token(refused(verifier, bearer(forger.token(without=("alg",)))))


def test_at_03_a_key_of_another_issuer_with_the_same_id_is_refused(
    verifier: Checker, forger: Forger
) -> None:
    stranger = ECKey.generate_key("P-256").private_key
    assert stranger is not None
    forgery = Forger(stranger, forger.key_id)

    assert_invalid_token(refused(verifier, bearer(forgery.token())))


@pytest.mark.parametrize("name", ["jwk", "jku", "x5c", "x5u"])
def test_at_04_a_key_that_comes_with_the_token_is_not_used(
    verifier: Checker, forger: Forger, name: str
) -> None:
    stranger = ECKey.generate_key("P-256")
    assert stranger.private_key is not None
    values = {
        "jwk": stranger.as_dict(private=False),
        "jku": "http://127.0.0.1:1/keys",
        "x5c": ["MIIB"],
        "x5u": "http://127.0.0.1:1/certificate",
    }
    embedded = {name: values[name]}

    for key_id in (forger.key_id, stranger.thumbprint()):
        forgery = Forger(stranger.private_key, key_id).token(embedded)
        assert_invalid_token(refused(verifier, bearer(forgery)))
    # The issuer's own signature counts whatever else the header says.
    assert verifier.verify(bearer(forger.token(embedded)), API).subject == "warehouse"


@pytest.mark.parametrize(
    "header",
    [
        {"crit": ["x"], "x": 1},
        {"crit": ["exp"]},
        {"crit": []},
        {"crit": None},
        {"crit": ["b64"], "b64": False},
        {"b64": False},
        {"b64": True},
    ],
    ids=repr,
)
def test_at_05_critical_extensions_and_unencoded_payloads_are_refused(
    verifier: Checker, forger: Forger, header: dict[str, Any]
) -> None:
    assert_invalid_token(refused(verifier, bearer(forger.token(header))))


def spellings(token: str) -> dict[str, str]:
    """Return other spellings of the bytes that a token stands for."""
    header, payload, signature = token.split(".")
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    stray = alphabet[alphabet.index(signature[-1]) + 1]
    return {
        "padded_signature": f"{token}==",
        "padded_header": f"{header}{'=' * (-len(header) % 4 or 4)}.{payload}.{signature}",
        "padded_payload": f"{header}.{payload}{'=' * (-len(payload) % 4 or 4)}.{signature}",
        "one_padding_character": f"{token}=",
        "stray_bits_in_the_tail": f"{header}.{payload}.{signature[:-1]}{stray}",
        "line_break": f"{header}.{payload}\n.{signature}",
        "blank_inside": f"{header}.{payload} .{signature}",
        "junk_inside": f"{header}.{payload}!.{signature}",
        "four_parts": f"{token}.",
        "five_parts": f"{token}..",
        "leading_dot": f".{token}",
        "two_parts": f"{header}.{payload}",
        "detached_payload": f"{header}..{signature}",
        "no_signature": f"{header}.{payload}.",
        "json_serialization": json.dumps(
            {"protected": header, "payload": payload, "signature": signature}
        ),
        "longer_signature": f"{token}AA",
        "der_signature": f"{header}.{payload}.MEUCIQ{signature}",
    }


@pytest.mark.parametrize("name", spellings("a.b.c").keys())
def test_at_06_a_token_has_one_spelling(verifier: Checker, issuer: TokenIssuer, name: str) -> None:
    token = issuer.mint("ann", "shop", ISSUER, {"orders:read"}, 60)
    other = spellings(token)[name]
    assert other != token

    for _ in range(2):  # before and after the token itself is in the cache
        assert_invalid_token(refused(verifier, bearer(other)))
        verifier.verify(bearer(token), API)


def test_at_06_the_standard_base64_alphabet_is_refused(verifier: Checker, forger: Forger) -> None:
    token = forger.token(claims={"x": "???>>>~~~" * 3})
    other = token.replace("_", "/").replace("-", "+")
    assert other != token

    assert_invalid_token(refused(verifier, bearer(other)))


@pytest.mark.parametrize("name", ["iss", "exp", "aud", "sub", "client_id", "iat", "jti"])
@pytest.mark.parametrize("value", [None, -7.5, True, [], {}, "", [1], [""], "\ud800"], ids=repr)
def test_at_07_a_required_claim_of_another_type_is_refused(
    verifier: Checker, forger: Forger, name: str, value: object
) -> None:
    assert_invalid_token(refused(verifier, bearer(forger.token(claims={name: value}))))


@pytest.mark.parametrize("name", ["iss", "exp", "aud", "sub", "client_id", "iat", "jti"])
def test_at_07_a_required_claim_must_be_there(verifier: Checker, forger: Forger, name: str) -> None:
    assert_invalid_token(refused(verifier, bearer(forger.token(without=(name,)))))


TIMES = ["true", "false", "null", '"1900000300"', "[]", "1e400", "1e18", "-1", "1" * 30]
TIMES += ["NaN", "Infinity", "-Infinity", "9" * 5000, "0x7fffffff", "1_900_000_300", "+1900000300"]


@pytest.mark.parametrize(
    "literal",
    TIMES,
    ids=lambda literal: literal[:12],
)
@pytest.mark.parametrize("name", ["exp", "iat", "nbf"])
def test_at_07_times_are_numbers_in_range(
    verifier: Checker, forger: Forger, name: str, literal: str
) -> None:
    claims = {**forger.claims, name: "TIME"}
    payload = json.dumps(claims).replace('"TIME"', literal).encode()

    token = forger.sign(json.dumps(forger.header).encode(), payload)

    assert_invalid_token(refused(verifier, bearer(token)))


@pytest.mark.parametrize(
    "claims",
    [{"iat": int(NOW) + 10}, {"nbf": int(NOW) + 10}, {"exp": int(NOW) - 5}, {"exp": 0}],
    ids=repr,
)
def test_at_07_expired_and_future_tokens_are_refused(
    verifier: Checker, forger: Forger, claims: dict[str, int]
) -> None:
    assert_invalid_token(refused(verifier, bearer(forger.token(claims=claims))))


@pytest.mark.parametrize(
    "claims",
    [
        {"iat": int(NOW) + 4},
        {"nbf": int(NOW) + 4},
        {"exp": int(NOW) - 4},
        {"exp": NOW + 0.5},
        {"aud": ["https://elsewhere.example", ISSUER]},
        {"aud": [API]},
        {"nbf": 0},
    ],
    ids=repr,
)
def test_at_07_small_skew_fractions_and_several_audiences_are_accepted(
    verifier: Checker, forger: Forger, claims: dict[str, Any]
) -> None:
    assert verifier.verify(bearer(forger.token(claims=claims)), API).subject == "warehouse"


@pytest.mark.parametrize(
    "claims",
    [
        {"iss": ISSUER + "/"},
        {"iss": ISSUER.upper()},
        {"iss": [ISSUER]},
        {"aud": ISSUER + "/"},
        {"aud": ISSUER.replace("gateway", "Gateway")},
        {"aud": f"{ISSUER} {API}"},
        {"aud": {ISSUER: True}},
        {"aud": [ISSUER, 1]},
        {"aud": []},
    ],
    ids=repr,
)
def test_at_07_issuer_and_audience_are_compared_as_exact_strings(
    verifier: Checker, forger: Forger, claims: dict[str, Any]
) -> None:
    assert_invalid_token(refused(verifier, bearer(forger.token(claims=claims))))


@pytest.mark.parametrize("leeway", [-1, 61, float("nan")])
def test_at_07_a_leeway_beyond_a_minute_cannot_be_configured(leeway: float) -> None:
    with pytest.raises(ValueError, match="expected 0 to 60"):
        TokenPolicy(issuer=ISSUER, algorithms=frozenset({"ES256"}), leeway_seconds=leeway)


HEADERS = [
    b'{"alg":"none","alg":"ES256","typ":"at+jwt","kid":"KID"}',
    b'{"alg":"ES256","alg":"ES256","typ":"at+jwt","kid":"KID"}',
    b'{"alg":"ES256","\\u0061lg":"ES256","typ":"at+jwt","kid":"KID"}',
    b'["ES256"]',
    b'"ES256"',
    b"null",
    b"{",
    b"",
    b'{"alg":"ES256","typ":"at+jwt","kid":"KID"}x',
    b'\xef\xbb\xbf{"alg":"ES256","typ":"at+jwt","kid":"KID"}',
    b'{"alg":"ES256","typ":"at+jwt","kid":"KID","x":' + b"[" * 4000 + b"]" * 4000 + b"}",
    b'{"alg":"ES256","typ":"at+jwt","kid":"KID","x":' + b"[" * 3000,
    b'{"alg":"ES256","typ":"at+jwt","kid":"KID","x":1e400}',
    b'{"alg":"ES256","typ":"at+jwt","kid":"KID","x":"\xff"}',
]


@pytest.mark.parametrize("header", HEADERS, ids=lambda header: repr(header[:40]))
def test_at_08_a_header_that_is_not_one_clear_object_is_refused(
    verifier: Checker, forger: Forger, header: bytes
) -> None:
    token = forger.sign(
        header.replace(b"KID", forger.key_id.encode()), json.dumps(forger.claims).encode()
    )

    assert_invalid_token(refused(verifier, bearer(token)))


@pytest.mark.parametrize(
    "change",
    [
        lambda payload: payload[:-1] + b',"sub":"admin"}',
        lambda payload: payload[:-1] + b',"exp":9999999999}',
        lambda payload: payload[:-1] + b',"x":{"a":1,"a":2}}',
        lambda payload: payload[:-1] + b',"x":' + b"[" * 2000 + b"]" * 2000 + b"}",
        lambda payload: b"[" + payload + b"]",
        lambda payload: payload + payload,
        lambda payload: payload.decode().encode("utf-16"),
        lambda payload: payload[:-1] + b',"x":NaN}',
        lambda _: b"",
        lambda _: b"null",
        lambda _: b"\xff\xfe",
    ],
)
def test_at_08_claims_that_are_not_one_clear_object_are_refused(
    verifier: Checker, forger: Forger, change: Any
) -> None:
    token = forger.sign(
        json.dumps(forger.header).encode(), change(json.dumps(forger.claims).encode())
    )

    assert_invalid_token(refused(verifier, bearer(token)))


def test_at_08_a_token_is_refused_by_its_size_alone(verifier: Checker, forger: Forger) -> None:
    fits = forger.token(claims={"x": "y" * 5000})
    assert len(fits) < MAX_TOKEN_BYTES
    assert verifier.verify(bearer(fits), API).subject == "warehouse"

    problem = refused(verifier, bearer(forger.token(claims={"x": "y" * 6000})))

    assert_invalid_token(problem)
    assert "larger than 8192 bytes" in problem.detail
    assert_invalid_token(refused(verifier, bearer(b"A" * 10_000_000)))


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        ("a:read b:write", {"a:read", "b:write"}),
        ("a:read a:read", {"a:read"}),
        ("", set()),
    ],
)
def test_at_10_the_scope_string_is_a_set(
    verifier: Checker, forger: Forger, scope: str, expected: set[str]
) -> None:
    assert verifier.verify(bearer(forger.token(claims={"scope": scope})), API).scopes == expected


def test_at_10_a_missing_scope_is_empty_and_roles_are_not_scopes(
    verifier: Checker, forger: Forger
) -> None:
    claims = {"roles": ["orders:write"], "groups": ["admin"], "entitlements": ["*"], "scp": "all"}

    token = forger.token(claims=claims, without=("scope",))

    assert verifier.verify(bearer(token), API).scopes == frozenset()


@pytest.mark.parametrize("scope", [["orders:read"], {"orders:read": 1}, 1, True, None], ids=repr)
def test_at_10_a_scope_that_is_not_a_string_is_refused(
    verifier: Checker, forger: Forger, scope: object
) -> None:
    assert_invalid_token(refused(verifier, bearer(forger.token(claims={"scope": scope}))))


@pytest.mark.parametrize("act", ["storefront", ["storefront"], 1, False], ids=repr)
def test_an_actor_that_is_not_an_object_is_refused(
    verifier: Checker, forger: Forger, act: object
) -> None:
    assert_invalid_token(refused(verifier, bearer(forger.token(claims={"act": act}))))


def test_at_11_unknown_key_and_wrong_signature_look_the_same(
    verifier: Checker, forger: Forger
) -> None:
    unknown = refused(verifier, bearer(forger.token({"kid": "unknown"})))
    absent = refused(verifier, bearer(forger.token(without=("kid",))))
    header, payload, _ = forger.token().split(".")
    wrong = refused(verifier, bearer(f"{header}.{payload}.{encode(b'x' * 64)}"))

    stranger = refused(verifier, bearer(forger.token(claims={"iss": "https://elsewhere.example"})))

    answers = {(p.status, p.detail, p.headers) for p in (unknown, absent, wrong, stranger)}
    assert len(answers) == 1


def test_at_11_unknown_key_and_wrong_signature_cost_the_same(
    verifier: Checker, forger: Forger
) -> None:
    """Medians of many interleaved rounds differ by less than a quarter of the cost itself."""
    header, _, signature = forger.token().split(".")
    other_payload = forger.token(claims={"jti": "another"}).split(".")[1]
    attempts = {
        "unknown": bearer(forger.token({"kid": "k" * len(forger.key_id)})),
        "wrong": bearer(f"{header}.{other_payload}.{signature}"),
    }
    costs: dict[str, list[float]] = {name: [] for name in attempts}
    for _ in range(300):
        for name, authorization in attempts.items():
            start = perf_counter()
            with suppress(Problem):
                verifier.verify(authorization, API, "192.0.2.1")
            costs[name].append(perf_counter() - start)

    medians = [median(values) for values in costs.values()]
    assert max(medians) < 1.25 * min(medians)


KEY_IDS: dict[str, object] = {
    "path": "../../../../dev/null",
    "absolute_path": "/etc/passwd",
    "sql": "x' UNION SELECT 'key' --",
    "url": "http://127.0.0.1:1/key",
    "empty": "",
    "nul": "\x00",
    "surrogate": "\ud800",
    "number": 1,
    "boolean": True,
    "null": None,
    "list": ["KID"],
    "object": {"kid": "KID"},
    "pipe": "|id",
    "dunder": "__class__",
}


@pytest.mark.parametrize("name", KEY_IDS)
def test_jk_07_a_key_id_is_looked_up_and_nothing_else(
    verifier: Checker, forger: Forger, name: str
) -> None:
    assert_invalid_token(refused(verifier, bearer(forger.token({"kid": KEY_IDS[name]}))))


def test_jk_07_a_key_id_of_ten_megabytes_is_refused_by_size(
    verifier: Checker, forger: Forger
) -> None:
    problem = refused(verifier, bearer(forger.token({"kid": "k" * 10_000_000})))

    assert_invalid_token(problem)
    assert "larger than 8192 bytes" in problem.detail


def test_a_verified_token_is_remembered_for_a_minute_at_most(
    verifier: Checker, issuer: TokenIssuer, clock: Clock
) -> None:
    header = bearer(issuer.mint("ann", "shop", ISSUER, (), 600))

    caller = verifier.verify(header, API)
    clock.advance(59)
    assert verifier.verify(header, API) is caller
    clock.advance(2)
    assert verifier.verify(header, API) is not caller


def test_a_remembered_token_ends_when_it_expires(
    verifier: Checker, issuer: TokenIssuer, clock: Clock
) -> None:
    header = bearer(issuer.mint("ann", "shop", ISSUER, (), 30))
    verifier.verify(header, API)

    clock.advance(35.5)

    assert_invalid_token(refused(verifier, header))


def test_a_remembered_token_does_not_live_longer_when_the_clock_is_set_back(
    verifier: Checker, issuer: TokenIssuer, clock: Clock
) -> None:
    header = bearer(issuer.mint("ann", "shop", ISSUER, (), 600))
    caller = verifier.verify(header, API)

    clock.advance(-2)

    assert verifier.verify(header, API) is not caller


def test_withdrawing_a_key_ends_the_tokens_it_signed_at_once(
    verifier: Checker, issuer: TokenIssuer, keys: KeyRing, key_path: Path
) -> None:
    header = bearer(issuer.mint("ann", "shop", ISSUER, (), 600))
    verifier.verify(header, API)

    replacement = ECKey.generate_key("P-256").as_dict(private=True)
    key_path.write_text(json.dumps({"keys": [replacement]}))
    keys.reload()

    assert_invalid_token(refused(verifier, header))
    assert (
        verifier.verify(bearer(issuer.mint("bob", "shop", ISSUER, (), 600)), API).subject == "bob"
    )


def test_a_retired_key_verifies_as_long_as_it_is_in_the_ring(
    verifier: Checker, issuer: TokenIssuer, keys: KeyRing, key_path: Path
) -> None:
    header = bearer(issuer.mint("ann", "shop", ISSUER, (), 600))

    (retired,) = json.loads(key_path.read_text())["keys"]
    replacement = ECKey.generate_key("P-256").as_dict(private=True)
    key_path.write_text(json.dumps({"keys": [replacement, retired]}))
    keys.reload()

    assert verifier.verify(header, API).subject == "ann"


def test_an_address_that_keeps_failing_is_held_off_before_any_cryptography(
    keys: KeyRing, issuer: TokenIssuer, forger: Forger, clock: Clock
) -> None:
    verifier = Checker(
        keys, issuer=ISSUER, audience=ISSUER, clock=clock, failures_per_address="3/minute"
    )
    remembered, fresh = (bearer(issuer.mint("ann", "shop", ISSUER, (), 600)) for _ in range(2))
    verifier.verify(remembered, API, "192.0.2.1")
    for _ in range(3):
        assert_invalid_token(refused(verifier, bearer(forger.token({"kid": "unknown"}))))

    problem = refused(verifier, fresh)

    assert problem.status == 429
    assert problem.headers == (("retry-after", "60"),)
    # Callers with a token that is known already, and other addresses, notice nothing.
    assert verifier.verify(remembered, API, "192.0.2.1").subject == "ann"
    assert verifier.verify(fresh, API, "192.0.2.2").subject == "ann"
    clock.advance(61)
    assert verifier.verify(bearer(issuer.mint("bob", "b", ISSUER, (), 60)), API, "192.0.2.1")


def test_successes_are_not_held_against_an_address(
    keys: KeyRing, issuer: TokenIssuer, clock: Clock
) -> None:
    verifier = Checker(
        keys, issuer=ISSUER, audience=ISSUER, clock=clock, failures_per_address="3/minute"
    )

    for _ in range(20):
        verifier.verify(bearer(issuer.mint("ann", "shop", ISSUER, (), 60)), API, "192.0.2.1")


def test_the_repr_shows_what_is_verified_and_how_much_is_remembered(
    verifier: Checker, issuer: TokenIssuer
) -> None:
    verifier.verify(bearer(issuer.mint("ann", "shop", ISSUER, (), 60)), API)

    assert repr(verifier.verifier) == (f"<TokenVerifier [{ISSUER}] <TokenCache 1 young, 0 old>>")

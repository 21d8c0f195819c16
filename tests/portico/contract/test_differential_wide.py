"""The same question put to openapi-core, over many styles, keywords and media types.

`wide_document` has them; thousands of requests and responses are made from a fixed seed. Each
accepted difference is an entry of REQUEST_DIFFERENCES or RESPONSE_DIFFERENCES with its reason; any
other fails the test.
"""

from __future__ import annotations

import copy
import json
import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote

import pytest

from portico.contract import ABSENT, Contract
from portico.contract.strict import StrictValidator
from portico.problems import Problem
from tests.portico.contract.documents import load_document
from tests.portico.contract.wide_document import FORM, JSON, THING, wide_document

SEED = 20261120
REQUESTS = 1000
RESPONSES = 300
VERSIONS = ("3.0.4", "3.1.1")

LAX_NUMBERS = ("1_0", "%205", "+5", "nan", "007", "1_0.5")
TEXTS = (
    *("1", "9", "10", "0", "-1", "x", "a", "b", "c", "1.5", "2.5", "true", "false", "TRUE", ""),
    *("1,2", "1,2,3,4", "a,b", "a,a", "R,1", "R,1,G,2", "R,x", "G,2", "R", "null", "abcd", "1e1"),
    *("a%20b", "a%2Cb", "1%2C2", "%C3%A9", "999999999999999999999", *LAX_NUMBERS),
)
PIPED = ("1|2", "1%7C2", "1|x", "|")
FIELDS = (
    "1",
    "10",
    "x",
    "1,2",
    "1, 2",
    "R=1",
    "R=1,G=2",
    "R=x",
    "G=1",
    "",
    "a",
    "R",
    "+5",
    "R=1,R=2",
)
COOKIES = ("crumb=1", "crumb=x", "crumb=", "crumb=%31", "crumbs=a", "crumbs=a,b", "crumbs=a,b,c")
FORM_FIELDS = (
    *("name=a", "name=", "name=b", "age=5", "age=x", "age=-1", "age=", "age=1_0"),
    *("sizes=1", "sizes=2", "sizes=3", "sizes=4", "sizes=x", "zz=1"),
)
VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 1.5, 2.0, 3.0, 10**20, 1e308, "", "x", "cat", "dog", "fish"),
    *("2026-01-01T00:00:00Z", "2026-01-01T00:00:00", "2026-02-30", "2026-01-01", "a@b.example"),
    *("a@", [], ["a", "a"], [1], [1, True], {}, {"k": 1}, "A" * 50, "é", "\0", [None], 2**31),
    *({"type": "dog"}, {"type": "kitten", "lives": 3}, THING["id"], THING["id"].upper()),
)


@dataclass(frozen=True, slots=True)
class Case:
    """One request as its bytes, and what was put into it."""

    operation_id: str
    method: str = "POST"
    path: tuple[str, ...] = ()
    query: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = ABSENT
    used: tuple[str, ...] = ()

    @property
    def target(self) -> str:
        return "/".join(["", self.operation_id, *self.path])

    def raw_headers(self) -> dict[bytes, bytes]:
        return {name.encode(): value.encode() for name, value in self.headers.items()}

    def raw_body(self) -> bytes:
        if self.body is ABSENT:
            return b""
        return self.body if isinstance(self.body, bytes) else json.dumps(self.body).encode()


@dataclass(slots=True)
class Judges:
    """Both who decide, over one document."""

    version: str
    contract: Contract
    reference: StrictValidator

    def ours(self, case: Case) -> str:
        """Return why the compiled contract refuses a request, or nothing."""
        try:
            self.contract.operations[case.operation_id].check_request(
                case.path, case.query.encode(), case.raw_headers(), case.raw_body() or None
            )
        except Problem as problem:
            return f"{problem.kind.slug} {problem.detail} {problem.extensions}"
        return ""

    def theirs(self, case: Case) -> str:
        """Return why openapi-core refuses a request, or nothing."""
        error = self.reference.request_error(
            case.method, case.target, case.query.encode(), case.raw_headers(), case.raw_body()
        )
        if error is None:
            return ""
        cause = error.__cause__
        return f"{type(error).__name__} {error} {getattr(cause, 'schema_errors', repr(cause))}"


@dataclass(frozen=True, slots=True)
class Disagreement:
    """A request that only one of the two refuses, with what each says."""

    judges: Judges
    case: Case
    ours: str
    theirs: str


Explains = Callable[[Disagreement], bool]


def _lax_scalars(met: Disagreement) -> bool:
    lax = any(text in met.case.query or text in met.case.used for text in LAX_NUMBERS)
    typed = "is not of type" in met.ours and not met.theirs
    return typed and (lax or '"boolean"' in met.ours)


def _encoded_delimiter(met: Disagreement) -> bool:
    split = replace(met.case, path=tuple(part.replace("%2C", ",") for part in met.case.path))
    return split != met.case and bool(met.judges.ours(split)) == bool(met.theirs)


def _encoded_cookie(met: Disagreement) -> bool:
    cookie = met.case.headers.get("cookie", "")
    return not met.ours and "crumb=%31" in cookie and "'%31'" in met.theirs


def _empty_header(met: Disagreement) -> bool:
    return not met.ours and met.case.headers.get("x-list") == "" and "value=''" in met.theirs


def _spaces_in_header(met: Disagreement) -> bool:
    return not met.ours and ", " in met.case.headers.get("x-pair", "")


def _named_twice(met: Disagreement) -> bool:
    return "names each of its members once" in met.ours and not met.theirs


def _empty_query(met: Disagreement) -> bool:
    return not met.ours and "EmptyQueryParameterValue" in met.theirs


def _read_only(met: Disagreement) -> bool:
    if met.ours or not isinstance(met.case.body, dict):
        return False
    body = {name: value for name, value in met.case.body.items() if name != "id"}
    if not met.judges.version.startswith("3.0"):
        body["id"] = THING["id"]
    case = replace(met.case, body=body)
    theirs = met.judges.theirs(case)
    return not theirs or _whole_float(Disagreement(met.judges, case, met.ours, theirs))


def _whole_float(met: Disagreement) -> bool:
    whole = _integers(met.case.body)
    return (
        met.judges.version.startswith("3.0")
        and not met.ours
        and not met.judges.theirs(replace(met.case, body=whole))
    )


def _integers(data: Any) -> Any:
    """Return JSON data with 2.0 written as 2, and without the id."""
    if isinstance(data, dict):
        return {name: _integers(value) for name, value in data.items() if name != "id"}
    if isinstance(data, list):
        return [_integers(value) for value in data]
    return int(data) if isinstance(data, float) and data.is_integer() else data


def _json_suffix(met: Disagreement) -> bool:
    return met.case.operation_id == "merge" and not met.ours and "b'{" in met.theirs


def _email(met: Disagreement) -> bool:
    return not met.theirs and '"a@" is not a "email"' in met.ours


def _form(met: Disagreement) -> bool:
    if met.case.operation_id != "form":
        return False
    names = [pair.partition(b"=")[0] for pair in met.case.body.split(b"&")]
    repeated = len(set(names) - {b"sizes"}) < len([name for name in names if name != b"sizes"])
    return "TypeError" in met.theirs or repeated or b"zz" in names or b"1_0" in met.case.body


REQUEST_DIFFERENCES: tuple[tuple[str, str, Explains], ...] = (
    ("lax scalars", "it reads texts with int(), float() and words such as TRUE", _lax_scalars),
    (
        "encoded delimiter",
        "it splits after decoding; RFC 6570 keeps %2C in its value",
        _encoded_delimiter,
    ),
    (
        "encoded cookie",
        "it never decodes; style form does (OpenAPI 3.1.1, 4.8.12)",
        _encoded_cookie,
    ),
    ("empty header", "an empty list of integers is no list of one empty text", _empty_header),
    ("spaces in a header", "it keeps the space after a comma (RFC 9110, 5.6.1)", _spaces_in_header),
    ("named twice", "it keeps the last of two equal members", _named_twice),
    ("empty query", "it refuses an empty value whatever the schema says", _empty_query),
    (
        "read-only",
        "we drop what requests may not carry; it refuses (3.0) or needs it (3.1)",
        _read_only,
    ),
    (
        "whole float",
        "it takes 2.0 for no integer in 3.0; to JSON both are one number",
        _whole_float,
    ),
    ("json suffix", "it reads no +json but two", _json_suffix),
    ("email", "it takes every text with an @ for an address", _email),
    ("form", "it drops unknown and repeated fields, and fails on lists of types", _form),
)


def _vary(chance: random.Random, value: Any) -> Any:
    """Return a copy of JSON data with one to three places changed."""
    changed = copy.deepcopy(value)
    for _ in range(chance.randint(1, 3)):
        node = changed
        while isinstance(node, dict | list) and node:
            key: Any = chance.choice(list(node) if isinstance(node, dict) else range(len(node)))
            if isinstance(node[key], dict | list) and node[key] and chance.random() > 0.3:
                node = node[key]
                continue
            _change(chance, node, key)
            break
    return changed


def _change(chance: random.Random, node: Any, key: Any) -> None:
    how = chance.random()
    if how < 0.25 and isinstance(node, dict):
        del node[key]
    elif how < 0.35 and isinstance(node, dict):
        node["zz"] = 1
    else:
        node[key] = copy.deepcopy(chance.choice(VALUES))


def _read(chance: random.Random) -> Case:
    def one(usual: str, often: float = 0.15) -> str:
        return chance.choice(TEXTS) if chance.random() < often else usual

    path = (one("1") or "1", one("1,2") or "1")  # an empty segment is another path
    pairs = [("need", one("abc", 0.1))] if chance.random() < 0.97 else []
    optional = ("many", "many", "few", "deep[R]", "deep[G]", "pair", "flag", "ratio", "word")
    chosen = [name for name in optional if chance.random() < 0.15]
    pairs.extend((quote(name), chance.choice(TEXTS)) for name in chosen)
    if chance.random() < 0.15:
        pairs.append(("piped", chance.choice((*TEXTS, *PIPED))))
    headers = {name: chance.choice(FIELDS) for name in HEADERS if chance.random() < 0.15}
    if chance.random() < 0.2:
        headers["cookie"] = "; ".join(chance.sample(COOKIES, 2))
    used = (*path, *(value for _, value in pairs), *headers.values())
    query = "&".join(f"{name}={value}" for name, value in pairs)
    return Case("read", "GET", path, query, headers, used=used)


HEADERS = ("x-count", "x-list", "x-pair")


def _request(chance: random.Random) -> Case:
    kind = chance.random()
    if kind < 0.45:
        return _read(chance)
    if kind < 0.9:
        thing = {name: value for name, value in THING.items() if chance.random() < 0.97}
        body = _vary(chance, thing) if chance.random() < 0.9 else thing
        return Case("write", headers={"content-type": JSON}, body=body)
    if kind < 0.97:
        body = "&".join(chance.sample(FORM_FIELDS, chance.randint(1, 4))).encode()
        return Case("form", headers={"content-type": FORM}, body=body)
    headers = {"content-type": "application/merge-patch+json"}
    return Case(
        "merge", headers=headers, body=chance.choice(({}, {"a": 1}, [], {"a": 1, "b": 2, "c": 3}))
    )


def _judges(version: str) -> Judges:
    document = wide_document(version)
    return Judges(version, load_document(document), StrictValidator(document))


@pytest.mark.timeout(180)
@pytest.mark.parametrize("version", VERSIONS)
def test_requests_are_judged_alike(version: str) -> None:
    judges, chance = _judges(version), random.Random(SEED)
    met: Counter[str] = Counter()
    for _ in range(REQUESTS):
        case = _request(chance)
        ours, theirs = judges.ours(case), judges.theirs(case)
        met[f"{case.operation_id} {'refused' if ours else 'accepted'}"] += 1
        if bool(ours) == bool(theirs):
            continue
        found = [
            name
            for name, _, explains in REQUEST_DIFFERENCES
            if explains(Disagreement(judges, case, ours, theirs))
        ]
        assert found, f"{case}\nours: {ours or 'accepted'}\ntheirs: {theirs or 'accepted'}"
        met[found[0]] += 1

    assert min(met["read accepted"], met["write accepted"]) > 30
    assert min(met["read refused"], met["write refused"]) > 30
    assert met["lax scalars"] > 0
    assert met["read-only"] > 0


def _write_only(body: Any, wrong: bool, version: str) -> bool:
    return isinstance(body, dict) and "secret" in body and wrong and version > "3.1"


def _whole(body: Any, wrong: bool, version: str) -> bool:
    whole = (isinstance(value, float) and value.is_integer() for value in _scalars(body))
    return version < "3.1" and not wrong and any(whole)


def _scalars(data: Any) -> list[Any]:
    if isinstance(data, dict | list):
        inner = data.values() if isinstance(data, dict) else data
        return [found for value in inner for found in _scalars(value)]
    return [data]


def _lax_email(body: Any, wrong: bool, version: str) -> bool:
    return isinstance(body, dict) and body.get("mail") == "a@" and wrong and bool(version)


# Each is asked with the body, whether it is wrong to us (and right to them), and the version.
RESPONSE_DIFFERENCES: tuple[tuple[str, str, Callable[[Any, bool, str], bool]], ...] = (
    ("write-only", "it does not look at writeOnly in 3.1", _write_only),
    ("whole float", "it takes 2.0 for no integer in 3.0; to JSON both are one number", _whole),
    ("email", "it takes every text with an @ for an address", _lax_email),
)
TOTALS: tuple[dict[str, str], ...] = (
    *({"X-Total": "5"},) * 6,
    {},
    {"X-Total": "five"},
    {"X-Total": "5", "X-Tags": "a,b"},
    {"X-Total": "5", "X-Tags": "a,b,c"},
)


@pytest.mark.timeout(180)
@pytest.mark.parametrize("version", VERSIONS)
def test_responses_are_judged_alike(version: str) -> None:
    judges, chance = _judges(version), random.Random(SEED)
    operation = judges.contract.operations["read"]
    met: Counter[str] = Counter()
    for _ in range(RESPONSES):
        status = chance.choice((200, 200, 200, 200, 404, 500, 201))
        body = (
            _vary(chance, THING)
            if chance.random() < 0.7
            else chance.choice((THING, {}, [1], ["x"]))
        )
        media_type = chance.choice((JSON, JSON, JSON, JSON, "text/html"))
        headers = list(chance.choice(TOTALS).items())
        if isinstance(body, dict) and chance.random() < 0.8:
            body = {name: value for name, value in body.items() if name != "secret"}

        ours = operation.check_response(status, media_type, body, headers)
        theirs = judges.reference.check_response(
            "GET", "/read/1/1", status, media_type, json.dumps(body).encode(), headers
        )

        met["wrong" if ours else "right"] += 1
        if bool(ours) != bool(theirs):
            found = [
                name
                for name, _, explains in RESPONSE_DIFFERENCES
                if explains(body, bool(ours), version)
            ]
            assert found, f"{status} {media_type} {headers} {body}\nours: {ours}\ntheirs: {theirs}"
            met[found[0]] += 1

    assert min(met["right"], met["wrong"]) > 30

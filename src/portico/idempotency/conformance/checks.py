"""The checks. Each is a question about the API; its docstring is what the API should do."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum

from portico.idempotency.conformance.probe import CannotProbeError, Probe, Reply, Request


class Level(StrEnum):
    """How much a client depends on it."""

    MUST = "must"
    SHOULD = "should"
    MAY = "may"


class Result(StrEnum):
    """What a check found."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of one check, with what was seen."""

    result: Result
    detail: str = ""


Ask = Callable[[Probe], Awaitable[Outcome]]


@dataclass(frozen=True, slots=True)
class Check:
    """One check: `name` for machines, `title` for people."""

    name: str
    level: Level
    title: str
    ask: Ask


def passed(detail: str = "") -> Outcome:
    return Outcome(Result.PASSED, detail)


def failed(detail: str) -> Outcome:
    return Outcome(Result.FAILED, detail)


def skipped(detail: str) -> Outcome:
    return Outcome(Result.SKIPPED, detail)


async def first(probe: Probe, request: Request | None = None) -> tuple[Request, Reply]:
    """Return a request that created something, and its response.

    Raises CannotProbeError when the API does not accept it: nothing can be said then.
    """
    request = request or probe.new_request(probe.new_key())
    reply = await probe.send(request)
    if not reply.ok:
        raise CannotProbeError(
            f"a request with a new key was answered {reply.describe()}",
            "give a body, headers and credentials with which the operation succeeds",
        )
    return request, reply


async def _is_replay(probe: Probe, request: Request, original: Reply, reply: Reply) -> bool:
    """Tell whether a response is the first one again, marked as such or not."""
    if reply.replayed:
        return True
    if reply.location != original.location or reply.body != original.body:
        return False
    # Equal, but so may be the responses to all requests of this kind.
    fresh = await probe.send(request.changed(keys=(probe.new_key(),)))
    return fresh.body != original.body or fresh.location != original.location


async def _replay(probe: Probe) -> Outcome:
    request, original = await first(probe)
    for number in (2, 3):
        again = await probe.send(request)
        found = original.differences(again)
        if found:
            return failed(f"attempt {number}: {'; '.join(found)}")
    return passed(f"{original.status} three times, the same to the byte")


async def _location(probe: Probe) -> Outcome:
    request, original = await first(probe)
    if not original.location:
        return skipped("the response has no Location")
    again = await probe.send(request)
    if again.location != original.location:
        return failed(f"Location {original.location!r} became {again.location!r}")
    return passed(original.location)


async def _one_effect(probe: Probe) -> Outcome:
    before = await probe.count()
    if before is None:
        return skipped("give --count-url to have effects counted")
    request, _ = await first(probe)
    for _ in range(3):
        await probe.send(request)
    effects = (await probe.count() or 0) - before
    return passed("1 effect of 4 attempts") if effects == 1 else failed(f"{effects} effects")


async def _marker(probe: Probe) -> Outcome:
    request, original = await first(probe)
    again = await probe.send(request)
    if original.replayed:
        return failed("the first response says Idempotent-Replayed: true")
    if not again.replayed:
        return failed("the second response does not say Idempotent-Replayed: true")
    return passed()


async def _cookies(probe: Probe) -> Outcome:
    request, original = await first(probe)
    if "set-cookie" not in original.headers:
        return skipped("the response sets no cookie")
    again = await probe.send(request)
    if again.headers.get("set-cookie") == original.headers["set-cookie"]:
        return failed("the same Set-Cookie came again")
    return passed()


async def _not_acceptable(probe: Probe) -> Outcome:
    request, original = await first(probe)
    again = await probe.send(request.changed(headers={"accept": "application/x-nothing"}))
    if again.status == 406 or again.body == original.body:
        return passed(str(again.status))
    return failed(f"the attempt was answered {again.describe()}")


async def _missing(probe: Probe) -> Outcome:
    if not probe.target.key_required:
        return skipped("the key is optional here")
    reply = await probe.send(probe.new_request())
    if reply.ok:
        return failed(f"a request without a key was carried out: {reply.status}")
    return passed() if reply.status == 400 else failed(f"{reply.describe()}, not 400")


def _malformed(what: str, *keys: str | bytes) -> Check:
    async def ask(probe: Probe) -> Outcome:
        reply = await probe.send(probe.new_request(*keys))
        if reply.status == 400:
            return passed()
        return failed(f"{reply.describe()}, not 400")

    name = f"key.{what.replace(' ', '-')}"
    return Check(name, Level.SHOULD, f"A key that is malformed is a 400: {what}", ask)


async def _bare(probe: Probe) -> Outcome:
    key = probe.new_key()
    request, original = await first(probe, probe.new_request(key))
    again = await probe.send(request.changed(keys=(key.strip('"'),)))
    if again.status == 400:
        return passed("only quoted keys are read, as the draft has it")
    found = original.differences(again)
    return failed("; ".join(found)) if found else passed("both spellings are one key")


async def _case(probe: Probe) -> Outcome:
    key = probe.new_key()
    request, original = await first(probe, probe.new_request(key.lower()))
    again = await probe.send(request.changed(keys=(key.upper(),)))
    if not again.ok:
        return failed(f"a key in capitals was answered {again.describe()}")
    if await _is_replay(probe, request, original, again):
        return failed("keys that differ in case are taken for one")
    return passed()


async def _other_body(probe: Probe) -> Outcome:
    request, _ = await first(probe)
    body = probe.another_body()
    if body is None:
        return skipped("put {{unique}} into the body, or give --other-body")
    return _mismatch(await probe.send(request.changed(body=body)), {422})


async def _unharmed(probe: Probe) -> Outcome:
    request, original = await first(probe)
    body = probe.another_body()
    if body is None:
        return skipped("put {{unique}} into the body, or give --other-body")
    await probe.send(request.changed(body=body))
    found = original.differences(await probe.send(request))
    return failed("; ".join(found)) if found else passed()


async def _other_query(probe: Probe) -> Outcome:
    request, _ = await first(probe)
    url = probe.target.url
    changed = f"{url}{'&' if '?' in url else '?'}conformance=1"
    return _mismatch(await probe.send(request.changed(url=changed)), {400, 404, 422})


async def _other_type(probe: Probe) -> Outcome:
    request, _ = await first(probe)
    if not request.body:
        return skipped("the operation has no body")
    changed = request.changed(content_type="application/x-conformance")
    return _mismatch(await probe.send(changed), {400, 415, 422})


async def _other_operation(probe: Probe) -> Outcome:
    if not probe.target.other_url:
        return skipped("give --other-url")
    request, _ = await first(probe)
    return _mismatch(await probe.send(request.changed(url=probe.target.other_url)), {422})


def _mismatch(reply: Reply, expected: set[int]) -> Outcome:
    if reply.status in expected:
        return passed(str(reply.status))
    if reply.ok and reply.replayed:
        return failed(f"the first response was replayed: {reply.status}")
    if reply.ok:
        return failed(f"the request was carried out: {reply.status}")
    wanted = " or ".join(map(str, sorted(expected)))
    return failed(f"{reply.describe()}, not {wanted}")


async def _problem(probe: Probe) -> Outcome:
    reply = await probe.send(probe.new_request(""))
    if reply.ok:
        return skipped("no request was refused")
    described = 'rel="describedby"' in reply.headers.get("link", "") or (
        "rel=describedby" in reply.headers.get("link", "")
    )
    content_type = reply.headers.get("content-type", "")
    if content_type.startswith("application/problem+json") or described:
        return passed(content_type)
    return failed(f"{content_type or 'nothing'}: neither a problem document nor a describedby link")


async def _refused(probe: Probe) -> Outcome:
    invalid = probe.target.invalid_body
    if invalid is None:
        return skipped("give --invalid-body")
    key = probe.new_key()
    refused = await probe.send(Request(invalid, (key,)))
    if refused.ok:
        return skipped(f"the body that should be invalid was accepted: {refused.status}")
    reply = await probe.send(probe.new_request(key))
    if reply.ok and not reply.replayed:
        return passed(f"{refused.status}, then {reply.status}")
    return failed(f"after a {refused.status} the key was answered {reply.describe()}")


async def _safe(probe: Probe) -> Outcome:
    request, original = await first(probe)
    plain = await probe.send(Request("", method="GET"))
    keyed = await probe.send(Request("", request.keys, method="GET"))
    if keyed.replayed or (keyed.ok and keyed.body == original.body != plain.body):
        return failed("GET was answered with the stored response")
    if keyed.status != plain.status:
        return failed(f"GET is {plain.status}, with a key {keyed.status}")
    return passed(f"GET is {plain.status} either way")


async def _other_client(probe: Probe) -> Outcome:
    if not probe.target.other_client:
        return skipped("give the credentials of a second client with --as")
    request, original = await first(probe)
    reply = await probe.send(request.changed(headers=dict(probe.target.other_client)))
    if not reply.ok:
        return failed(f"the second client was answered {reply.describe()}")
    lost = original.location and not reply.location and reply.body == original.body
    if lost or await _is_replay(probe, request, original, reply):
        return failed("the second client got the response of the first")
    return passed()


async def _no_credentials(probe: Probe) -> Outcome:
    names = {name.lower() for name, _ in probe.target.headers}
    if "authorization" not in names:
        return skipped("the requests have no Authorization")
    request, _ = await first(probe)
    reply = await probe.send(request.changed(headers={"authorization": None}))
    if reply.status in {401, 403}:
        return passed(str(reply.status))
    return failed(f"without credentials the key was answered {reply.describe()}")


CHECKS: tuple[Check, ...] = (
    Check("replay.equal", Level.MUST, "A retry gets the first response again", _replay),
    Check("replay.location", Level.MUST, "A retry gets Location again", _location),
    Check("replay.one-effect", Level.MUST, "Retries have one effect", _one_effect),
    Check("replay.marked", Level.SHOULD, "Only a replay says Idempotent-Replayed: true", _marker),
    Check("replay.cookies", Level.SHOULD, "A replay does not set cookies again", _cookies),
    Check("replay.accept", Level.MAY, "A retry that accepts nothing runs nothing", _not_acceptable),
    Check("key.missing", Level.MUST, "A missing key is a 400", _missing),
    _malformed("empty", ""),
    _malformed("empty string", '""'),
    _malformed("256 characters", '"' + "a" * 256 + '"'),
    _malformed("not ASCII", b'"\xc3\xa9"'),
    _malformed("no closing quote", '"abc'),
    _malformed("parameters", '"abc";v=1'),
    _malformed("a number", "42"),
    _malformed("a list", '"abc", "def"'),
    _malformed("twice", '"abc"', '"def"'),
    Check("key.bare", Level.SHOULD, "A key means the same with and without quotes", _bare),
    Check("key.case", Level.SHOULD, "Keys that differ in case differ", _case),
    Check("mismatch.body", Level.MUST, "A known key with another body is a 422", _other_body),
    Check("mismatch.harmless", Level.MUST, "A mismatch leaves the record alone", _unharmed),
    Check(
        "mismatch.query", Level.SHOULD, "A known key with another query is refused", _other_query
    ),
    Check(
        "mismatch.content-type",
        Level.SHOULD,
        "A known key with another media type is refused",
        _other_type,
    ),
    Check(
        "mismatch.operation",
        Level.MUST,
        "A known key at another operation is a 422",
        _other_operation,
    ),
    Check("errors.explained", Level.SHOULD, "Errors are problems or linked to a page", _problem),
    Check("refused.key-usable", Level.MUST, "An invalid request does not use its key up", _refused),
    Check("safe.ignored", Level.SHOULD, "GET ignores the key", _safe),
    Check("isolation.clients", Level.MUST, "Two clients may use one key", _other_client),
    Check(
        "isolation.credentials",
        Level.MUST,
        "A replay needs credentials like the first attempt",
        _no_credentials,
    ),
)

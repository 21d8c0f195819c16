"""The scripts against a model of the state machine, in every order that can be thought of."""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from hypothesis import HealthCheck
from hypothesis import settings as running
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    rule,
    run_state_machine_as_test,
)

from portico.idempotency import scripts
from portico.idempotency.record import parse, write_response
from portico.redis.client import RedisClient
from portico.redis.script import Script

if TYPE_CHECKING:
    from tests.portico.redis.servers import Server

RETENTION_MS = b"60000"
LONG_MS, SHORT_MS = b"60000", b"1"
# Each key keeps to one policy, as an operation does: F fail, R reconcile, X reexecute.
POLICIES = {"one": b"F", "two": b"R", "three": b"X"}
LOOK = Script(
    "look",
    """
local found = {}
for _, key in ipairs(KEYS) do
  table.insert(found, redis.call('GET', key))
  table.insert(found, redis.call('PTTL', key))
end
return found
""",
)
KEYS = st.sampled_from(sorted(POLICIES))


@dataclass(slots=True)
class Model:
    """What a record should be."""

    state: str = "absent"
    epoch: int = 0
    token: bytes = b"-"
    fingerprint: bytes = b""
    sent: str = ""
    live: bool = False
    points: bytes = b""
    response: bytes = b""

    @property
    def open(self) -> bool:
        return self.state in {"P", "D"}


@dataclass(frozen=True, slots=True)
class Made:
    """A claim as it was sent, and the epoch that came back."""

    key: str
    arguments: tuple[bytes, ...]
    epoch: int
    taken: bool

    @property
    def token(self) -> bytes:
        return self.arguments[0]


@dataclass(slots=True)
class Watched:
    """What must hold for a key whatever the model says."""

    epoch: int = 0
    completed: bytes = b""
    # Runs that began since the record last said that nothing had happened.
    runs: int = 0
    epochs: list[int] = field(default_factory=list)


class Machine(RuleBasedStateMachine):
    """Claims, owners old and new, and an operator, on a real server."""

    url = ""
    made = Bundle("made")

    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.client = self.runner.run(self._open())
        self.prefix = os.urandom(6).hex()
        self.seen: dict[str, tuple[bytes, int]] = dict.fromkeys(POLICIES, (b"", -2))
        self.models = {key: Model() for key in POLICIES}
        self.watched = {key: Watched() for key in POLICIES}

    async def _open(self) -> RedisClient:
        return await RedisClient.open(self.url)

    def teardown(self) -> None:
        self.runner.run(self.client.close())
        self.runner.close()

    # Speaking to the server.

    def name(self, key: str) -> bytes:
        return f"{self.prefix}:{{t}}:{key}".encode()

    def do(self, script: Script, key: str, *arguments: bytes) -> Any:
        keys = [self.name(key)]
        if script is scripts.CLAIM:
            keys.append(f"{self.prefix}:{{t}}:quota".encode())
        reply = self.runner.run(self.client.run(script, keys, arguments))
        self.look()
        return reply

    def raw(self, key: str) -> bytes:
        """Return a record as it was when `look` was last called."""
        return self.seen[key][0]

    def look(self) -> None:
        """Read all records, and in how many milliseconds each of them expires."""
        names = [self.name(key) for key in POLICIES]
        reply = self.runner.run(self.client.run(LOOK, names, ()))
        assert isinstance(reply, list)
        pairs = zip(reply[::2], reply[1::2], strict=True)
        self.seen = {
            key: (raw or b"", left) for key, (raw, left) in zip(POLICIES, pairs, strict=True)
        }

    def owned(self, script: Script, made: Made, *arguments: bytes) -> bool:
        """Run a script of an owner; one that is not the owner must change nothing."""
        model, before = self.models[made.key], self.raw(made.key)
        done = bool(
            self.do(script, made.key, made.token, b"%d" % made.epoch, RETENTION_MS, *arguments)
        )
        is_owner = model.token == made.token and model.epoch == made.epoch
        if not is_owner or not done:
            assert self.raw(made.key) == before
        assert is_owner or not done
        return done

    # Claiming.

    @rule(
        target=made,
        key=KEYS,
        fingerprint=st.sampled_from([b"1:a"] * 4 + [b"1:b", b"0:old"]),
        sent=st.sampled_from([b"N", b"U"]),
        lease=st.sampled_from([LONG_MS, SHORT_MS]),
    )
    def claim(self, key: str, fingerprint: bytes, sent: bytes, lease: bytes) -> Made:
        return self._new(key, fingerprint, sent, lease)

    def _new(self, key: str, fingerprint: bytes, sent: bytes, lease: bytes) -> Made:
        token = os.urandom(6).hex().encode()
        settings = b"%b %b %b %b" % (POLICIES[key], sent, lease, RETENTION_MS)
        return self._claim(key, (token, fingerprint, settings, b"0 1", b"r o k", b"0"))

    @rule(target=made, key=KEYS)
    def claim_and_go_away(self, key: str) -> Made:
        return self._new(key, b"1:a", b"U", SHORT_MS)

    @rule(target=made, key=KEYS)
    def claim_and_stay(self, key: str) -> Made:
        return self._new(key, b"1:a", b"U", LONG_MS)

    @rule(target=made, earlier=made)
    def repeat_a_claim(self, earlier: Made) -> Made:
        """A client that lost the reply sends the same claim again, whenever that arrives."""
        return self._claim(earlier.key, earlier.arguments)

    def _claim(self, key: str, arguments: tuple[bytes, ...]) -> Made:
        before = self.raw(key)
        expected, writes = self._expect(key, arguments)
        word, epoch, _, _ = self.do(scripts.CLAIM, key, *arguments)
        if SHORT_MS in arguments[2].split():
            time.sleep(0.002)
        assert word.decode() == expected
        model = self.models[key]
        taken = expected in {"CLAIMED", "RESUMED", "RECONCILE"}
        changed = self.raw(key) != before
        assert changed == writes
        if changed:
            assert int(epoch) > model.epoch
            model.epoch = int(epoch)
        if taken:
            self._note_run(key, expected, int(epoch))
        return Made(key, arguments, int(epoch), taken)

    def _note_run(self, key: str, verdict: str, epoch: int) -> None:
        watched = self.watched[key]
        if epoch not in watched.epochs:
            watched.epochs.append(epoch)
            watched.runs += verdict != "RECONCILE"

    def _expect(self, key: str, arguments: tuple[bytes, ...]) -> tuple[str, bool]:
        """Return the verdict and whether it is written; make the model what the record becomes."""
        token, fingerprint, settings = arguments[:3]
        policy, sent, lease, _ = settings.split()
        model = self.models[key]
        live = lease == LONG_MS
        fresh = Model("P", model.epoch, token, fingerprint, sent.decode(), live)
        if model.state == "F" and model.token == token:
            return "ABANDONED", False
        if model.state in {"absent", "F"}:
            self.models[key] = fresh
            return "CLAIMED", True
        comparable = model.fingerprint[:2] == fingerprint[:2]
        if comparable and model.fingerprint != fingerprint:
            return "MISMATCH", False
        if model.state in {"C", "T"}:
            return {"C": "REPLAY", "T": "TOMBSTONE"}[model.state], False
        if model.live and model.token != token:
            return "BUSY", False
        if model.live:
            return {"D": "RECONCILE", "P": "CLAIMED"}[model.state], False
        if model.state == "P" and model.sent == "N":
            self.watched[key].runs = 0  # the record proves that nothing was done
            self.models[key] = fresh
            return "CLAIMED", True
        return self._overdue(model, token, policy, live=live)

    def _overdue(
        self, model: Model, token: bytes, policy: bytes, *, live: bool
    ) -> tuple[str, bool]:
        if policy == b"X":
            model.state, model.token, model.live = "P", token, live
            return "RESUMED", True
        if policy == b"R":
            model.state, model.token, model.live = "D", token, live
            return "RECONCILE", True
        if model.state == "D":
            return "IN_DOUBT", False
        model.state, model.token = "D", b"-"
        return "IN_DOUBT", True

    # Owners, present and past.

    @rule(claim=made)
    def mark(self, claim: Made) -> None:
        model = self.models[claim.key]
        held = self.owned(scripts.MARK, claim, b"Y", b'{"a":1}')
        assert held == (self._owns(claim) and model.state == "P")
        if held:
            model.sent, model.points = "Y", b'{"a":1}'

    @rule(claim=made, lease=st.sampled_from([LONG_MS, SHORT_MS]))
    def renew(self, claim: Made, lease: bytes) -> None:
        model = self.models[claim.key]
        held = self.owned(scripts.RENEW, claim, lease)
        assert held == (self._owns(claim) and model.open)
        if held:
            model.live = lease == LONG_MS
            time.sleep(0.002)

    @rule(claim=made, state=st.sampled_from([b"C", b"T"]), body=st.binary(max_size=8))
    def complete(self, claim: Made, state: bytes, body: bytes) -> None:
        model = self.models[claim.key]
        content = write_response(201, body=body)
        held = self.owned(scripts.COMPLETE, claim, state, content)
        assert held == (self._owns(claim) and model.state != "F")
        if held and model.open:
            model.state, model.live = state.decode(), False
            model.points, model.response = b"", content

    @rule(claim=made, harmless=st.booleans())
    def release(self, claim: Made, harmless: bool) -> None:
        model = self.models[claim.key]
        held = self.owned(scripts.RELEASE, claim, b"1" if harmless else b"0")
        may = harmless or (model.state == "P" and model.sent != "Y")
        assert held == (self._owns(claim) and (model.state == "F" or (model.open and may)))
        if held:
            self._freed(claim.key)

    @rule(claim=made)
    def doubt(self, claim: Made) -> None:
        model = self.models[claim.key]
        held = self.owned(scripts.DOUBT, claim)
        assert held == (self._owns(claim) and model.state != "F")
        if held and model.open:
            model.state, model.live = "D", False

    @rule(claim=made)
    def abandon(self, claim: Made) -> None:
        model, before = self.models[claim.key], self.raw(claim.key)
        done = bool(self.do(scripts.ABANDON, claim.key, claim.token, RETENTION_MS))
        mine = model.token == claim.token and model.state == "P" and model.sent != "Y"
        assert done == mine
        if done:
            self._freed(claim.key)
        else:
            assert self.raw(claim.key) == before

    def _owns(self, claim: Made) -> bool:
        model = self.models[claim.key]
        return model.token == claim.token and model.epoch == claim.epoch

    def _freed(self, key: str) -> None:
        model = self.models[key]
        model.state, model.live, model.points = "F", False, b""
        self.watched[key].runs = 0

    # People.

    @rule(key=KEYS, current=st.booleans(), happened=st.booleans())
    def resolve(self, key: str, current: bool, happened: bool) -> None:
        model, before = self.models[key], self.raw(key)
        epoch = model.epoch if current else model.epoch + 1
        content = write_response(200) if happened else b""
        state = b"C" if happened else b"F"
        reply = self.do(scripts.RESOLVE, key, b"%d" % epoch, RETENTION_MS, state, content)
        if model.state == "absent":
            assert reply == b"ABSENT"
            return
        may = current and model.open and not model.live
        assert (reply == b"OK") == may
        if not may:
            assert self.raw(key) == before
            return
        if not happened:
            self._freed(key)
        model.state, model.token, model.points = state.decode(), b"-", b""
        model.response = content
        model.epoch = parse(self.raw(key)).epoch

    # What must always hold.

    @invariant()
    def every_record_is_as_the_model_has_it(self) -> None:
        for key, model in self.models.items():
            raw = self.raw(key)
            if model.state == "absent":
                assert raw == b""
                continue
            record = parse(raw)
            assert (record.state.value, record.epoch) == (model.state, model.epoch)
            assert record.token == model.token
            if model.state != "F":
                assert record.fingerprint == model.fingerprint
                assert record.sent == model.sent

    @invariant()
    def epochs_only_grow(self) -> None:
        for key, watched in self.watched.items():
            assert self.models[key].epoch >= watched.epoch
            watched.epoch = self.models[key].epoch
            assert watched.epochs == sorted(set(watched.epochs))

    @invariant()
    def what_is_completed_does_not_change(self) -> None:
        for key, watched in self.watched.items():
            raw = self.raw(key)
            if watched.completed:
                assert raw == watched.completed
            elif raw[2:3] in {b"C", b"T"}:
                watched.completed = raw

    @invariant()
    def nothing_runs_twice_without_leave(self) -> None:
        for key, policy in POLICIES.items():
            assert policy == b"X" or self.watched[key].runs <= 1

    @invariant()
    def every_record_expires(self) -> None:
        for key, model in self.models.items():
            if model.state != "absent":
                assert 0 < self.seen[key][1] <= 60_000


def test_the_scripts_do_what_the_state_machine_says(shared_server: Server) -> None:
    class Here(Machine):
        url = shared_server.url

    run_state_machine_as_test(
        Here,
        settings=running(
            max_examples=40,
            stateful_step_count=40,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )

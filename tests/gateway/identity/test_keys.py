from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import os
import subprocess
import sys
import warnings
from base64 import urlsafe_b64encode
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey, OKPKey, RSAKey, import_key

from gateway.identity import key_file
from gateway.identity.errors import KeyRingError
from gateway.identity.key_schedule import PUBLISH_SECONDS, RETIRE_SECONDS, RotationSchedule
from gateway.identity.keys import KeyRing, SigningAlgorithm
from gateway.identity.tokens import MAX_LIFETIME_SECONDS, TokenIssuer
from tests.gateway.identity.forging import ISSUER, Clock

ROOT = Path(__file__).parents[3]


def write(path: Path, content: object, mode: int = 0o600) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    path.chmod(mode)
    return path


def private_jwk(**changes: object) -> dict[str, object]:
    return {**ECKey.generate_key("P-256").as_dict(private=True), **changes}


def test_the_first_use_creates_a_file_only_its_owner_can_read(key_path: Path) -> None:
    KeyRing(key_path)

    assert key_path.stat().st_mode & 0o777 == 0o600
    assert key_path.parent.stat().st_mode & 0o777 == 0o700
    assert [entry.name for entry in key_path.parent.iterdir()] == ["keys.json"]


def test_the_mode_does_not_depend_on_the_umask(key_path: Path) -> None:
    before = os.umask(0)
    try:
        KeyRing(key_path)
    finally:
        os.umask(before)

    assert key_path.stat().st_mode & 0o777 == 0o600


def test_a_second_ring_reads_the_same_key(key_path: Path) -> None:
    assert KeyRing(key_path).public_document() == KeyRing(key_path).public_document()


def test_two_files_have_different_keys(tmp_path: Path) -> None:
    first, second = KeyRing(tmp_path / "a"), KeyRing(tmp_path / "b")

    assert first.snapshot.signing.kid != second.snapshot.signing.kid


def test_processes_that_start_together_agree_on_one_key(key_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from gateway.identity.keys import KeyRing; "
        "print('ready', flush=True); sys.stdin.readline(); "
        "print(KeyRing(Path(sys.argv[1])).snapshot.signing.kid)"
    )
    environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'src'}{os.pathsep}{ROOT}"}
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, str(key_path)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
        )
        for _ in range(4)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    key_ids = {process.communicate(timeout=50)[0].strip() for process in processes}

    assert len(key_ids) == 1
    assert "" not in key_ids
    assert [entry.name for entry in key_path.parent.iterdir()] == ["keys.json"]


def test_a_process_that_comes_second_keeps_the_file_of_the_first(key_path: Path) -> None:
    def make_while_another_process_wins() -> bytes:
        key_file.ensure(key_path, lambda: b"first")
        return b"second"

    key_file.ensure(key_path, make_while_another_process_wins)

    assert key_path.read_bytes() == b"first"
    assert [entry.name for entry in key_path.parent.iterdir()] == ["keys.json"]


def test_the_key_id_is_the_rfc_7638_thumbprint(keys: KeyRing) -> None:
    (jwk,) = keys.public_document()["keys"]
    canonical = json.dumps(
        {name: jwk[name] for name in ("crv", "kty", "x", "y")}, separators=(",", ":")
    )

    digest = hashlib.sha256(canonical.encode()).digest()
    assert jwk["kid"] == urlsafe_b64encode(digest).rstrip(b"=").decode()


def test_the_public_document_has_no_private_member(keys: KeyRing) -> None:
    (jwk,) = keys.public_document()["keys"]

    assert set(jwk) == {"kty", "crv", "x", "y", "kid", "use", "alg"}
    assert (jwk["kty"], jwk["crv"], jwk["use"], jwk["alg"]) == ("EC", "P-256", "sig", "ES256")


def test_the_repr_shows_key_ids_and_nothing_private(keys: KeyRing, key_path: Path) -> None:
    private = json.loads(key_path.read_text())["keys"][0]["d"]

    assert repr(keys) == f"<KeyRing {key_path} [{keys.snapshot.signing.kid}]>"
    assert private not in repr(keys.snapshot)


@pytest.mark.parametrize("mode", [0o644, 0o604, 0o660, 0o602, 0o666, 0o777])
def test_a_file_that_others_can_open_is_refused(key_path: Path, mode: int) -> None:
    write(key_path, {"keys": [private_jwk()]}, mode)

    with pytest.raises(KeyRingError, match=f"mode {mode:04o}") as caught:
        KeyRing(key_path)
    assert "chmod 600" in caught.value.hint


def test_a_mounted_secret_that_its_group_can_read_is_accepted(key_path: Path) -> None:
    KeyRing(write(key_path, {"keys": [private_jwk()]}, 0o440))


def test_the_first_key_signs_and_every_key_verifies(key_path: Path) -> None:
    first, second = private_jwk(), private_jwk()
    ring = KeyRing(write(key_path, {"keys": [first, second]}))

    assert ring.snapshot.signing.as_dict(private=True)["d"] == first["d"]
    assert [jwk["x"] for jwk in ring.public_document()["keys"]] == [first["x"], second["x"]]


def short_rsa_jwk() -> dict[str, object]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return {**RSAKey.generate_key(1024).as_dict(private=True)}


REFUSED = {
    "not_json": "{",
    "not_an_object": [],
    "no_keys": {"keys": []},
    "keys_not_a_list": {"keys": {}},
    "a_key_that_is_text": {"keys": ["x"]},
    "public_key": {"keys": [ECKey.generate_key("P-256").as_dict(private=False)]},
    "symmetric_key_in_the_set": {
        "keys": [private_jwk(), OctKey.generate_key(256).as_dict(private=True)]
    },
    "short_rsa_key": {"keys": [short_rsa_jwk()]},
    "key_for_agreement": {"keys": [OKPKey.generate_key("X25519").as_dict(private=True)]},
    "other_curve": {"keys": [ECKey.generate_key("P-384").as_dict(private=True)]},
    "other_curve_named_p_256": {
        "keys": [{**ECKey.generate_key("P-384").as_dict(private=True), "crv": "P-256"}]
    },
    "other_algorithm": {"keys": [private_jwk(alg="ES384")]},
    "encryption_key": {"keys": [private_jwk(use="enc")]},
    "key_id_of_another_key": {"keys": [private_jwk(kid="mine")]},
    "halves_of_two_keys": {"keys": [private_jwk(d=private_jwk()["d"])]},
    "point_not_on_the_curve": {"keys": [private_jwk(x=private_jwk()["x"])]},
    "coordinate_missing": {"keys": [private_jwk(x=None)]},
    "too_many_keys": {"keys": [private_jwk() for _ in range(17)]},
    "too_large": " " * 70_000,
}


# joserfc warns of a short key before it is refused here.
@pytest.mark.filterwarnings("ignore::joserfc.errors.SecurityWarning")
@pytest.mark.parametrize("content", REFUSED.values(), ids=REFUSED.keys())
def test_a_set_that_cannot_be_trusted_is_refused_without_quoting_it(
    key_path: Path, content: object
) -> None:
    write(key_path, content)

    with pytest.raises(KeyRingError) as caught:
        KeyRing(key_path)
    message = f"{caught.value} {caught.value.hint}"
    assert str(key_path) in message
    assert caught.value.__cause__ is None
    if isinstance(content, dict):
        keys = [key for key in content["keys"] if isinstance(key, dict)]
        assert not any(str(key["d"]) in message for key in keys if "d" in key)


def test_the_same_key_twice_is_refused(key_path: Path) -> None:
    key = private_jwk()

    with pytest.raises(KeyRingError, match="twice"):
        KeyRing(write(key_path, {"keys": [key, key]}))


def test_a_folder_that_cannot_be_made_is_a_clear_error(tmp_path: Path) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("")

    with pytest.raises(KeyRingError, match="cannot create the signing keys"):
        KeyRing(blocker / "keys.json")


def test_a_directory_in_place_of_the_file_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(KeyRingError, match="cannot read the signing keys"):
        KeyRing(tmp_path)


def test_reload_tells_whether_the_file_changed(keys: KeyRing, key_path: Path) -> None:
    before = keys.snapshot

    assert not keys.reload()
    assert keys.snapshot is before

    key = private_jwk()
    write(key_path, {"keys": [key]})

    assert keys.reload()
    assert keys.snapshot.signing.as_dict(private=True)["d"] == key["d"]


def test_a_broken_file_leaves_the_keys_as_they_are(keys: KeyRing, key_path: Path) -> None:
    before = keys.snapshot
    write(key_path, "{")

    with pytest.raises(KeyRingError):
        keys.reload()
    assert keys.snapshot is before


@pytest.mark.anyio
async def test_watching_follows_the_file_and_survives_a_broken_one(
    keys: KeyRing, key_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    before = keys.snapshot
    watching = asyncio.create_task(keys.watch(0.01))
    with caplog.at_level(logging.WARNING):
        write(key_path, "{")
        while not caplog.records:  # noqa: ASYNC110 - what is awaited is a log line
            await asyncio.sleep(0.01)
    assert keys.snapshot is before

    write(key_path, {"keys": [private_jwk()]})
    while keys.snapshot is before:  # noqa: ASYNC110 - what is awaited is another attribute
        await asyncio.sleep(0.01)
    watching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watching


DAY = 86_400
SCHEDULE = RotationSchedule(period_seconds=30 * DAY)


@pytest.mark.parametrize("algorithm", ["ES256", "RS256", "EdDSA"])
def test_tokens_are_signed_with_the_algorithm_of_the_configuration(
    key_path: Path, clock: Clock, algorithm: SigningAlgorithm
) -> None:
    ring = KeyRing(key_path, algorithm, clock=clock)
    issuer = TokenIssuer(ring, issuer=ISSUER, audience=ISSUER, clock=clock)
    (jwk,) = ring.public_document()["keys"]

    token = issuer.mint("ada", "shop", ISSUER, ["orders:read"], 300)

    with warnings.catch_warnings():
        # joserfc would have EdDSA called Ed25519.
        warnings.simplefilter("ignore")
        decoded = jwt.decode(token, import_key(jwk), algorithms=[algorithm])
    assert decoded.header == {"alg": algorithm, "typ": "at+jwt", "kid": jwk["kid"]}
    assert decoded.claims["sub"] == "ada"
    assert not {"d", "p", "q"} & jwk.keys()
    assert KeyRing(key_path, algorithm, clock=clock).public_document() == ring.public_document()


def ids(ring: KeyRing) -> list[str]:
    return [str(jwk["kid"]) for jwk in ring.public_document()["keys"]]


def test_jk_06_a_new_key_is_published_before_it_signs_and_the_old_one_stays(
    key_path: Path, clock: Clock
) -> None:
    ring = KeyRing(key_path, schedule=SCHEDULE, clock=clock)
    (first,) = ids(ring)
    assert not ring.advance()

    clock.advance(30 * DAY - PUBLISH_SECONDS)
    assert ring.advance()
    first, second = ids(ring)
    assert ring.snapshot.signing.kid == first
    assert not ring.advance()

    clock.advance(PUBLISH_SECONDS)
    assert ring.advance()
    assert ring.snapshot.signing.kid == second
    assert ids(ring) == [first, second]

    clock.advance(MAX_LIFETIME_SECONDS)
    ring.advance()
    assert ids(ring) == [first, second]

    clock.advance(RETIRE_SECONDS - MAX_LIFETIME_SECONDS)
    assert ring.advance()
    assert ids(ring) == [second]


def test_jk_06_processes_with_one_file_make_one_new_key(key_path: Path, clock: Clock) -> None:
    rings = [KeyRing(key_path, schedule=SCHEDULE, clock=clock) for _ in range(4)]
    clock.advance(30 * DAY)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda ring: ring.advance(), rings))

    for ring in rings:
        ring.reload()
    assert len({tuple(ids(ring)) for ring in rings}) == 1
    assert len(ids(rings[0])) == 2
    assert [entry.name for entry in key_path.parent.iterdir()] == ["keys.json"]
    assert key_path.stat().st_mode & 0o777 == 0o600


def test_another_algorithm_takes_over_as_a_rotation_does(key_path: Path, clock: Clock) -> None:
    KeyRing(key_path, "ES256", clock=clock)
    ring = KeyRing(key_path, "RS256", clock=clock)
    assert ring.snapshot.signing.alg == "ES256"

    ring.advance()
    clock.advance(PUBLISH_SECONDS)
    ring.advance()

    assert ring.snapshot.signing.alg == "RS256"
    assert [jwk["alg"] for jwk in ring.public_document()["keys"]] == ["ES256", "RS256"]


def test_an_operator_rotates_and_in_an_emergency_at_once(key_path: Path, clock: Clock) -> None:
    ring = KeyRing(key_path, clock=clock)
    (first,) = ids(ring)
    ring.rotate()
    ring.rotate()
    assert ids(ring)[0] == first
    assert len(ids(ring)) == 2
    assert ring.snapshot.signing.kid == first

    ring.rotate(at_once=True)
    (only,) = ids(ring)
    assert only != first
    assert ring.snapshot.signing.kid == only


def test_keys_that_cannot_be_written_are_a_clear_error(key_path: Path, clock: Clock) -> None:
    ring = KeyRing(key_path, schedule=SCHEDULE, clock=clock)
    key_path.unlink()
    key_path.mkdir()
    clock.advance(31 * DAY)

    with pytest.raises(KeyRingError):
        ring.advance()
    assert len(ids(ring)) == 1

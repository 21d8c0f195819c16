"""The sandbox on its real parts: who may use it, what failing looks like, what stays behind."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING

import httpx
import pytest

from system_apis.tryton.sandbox.errors import SandboxError
from system_apis.tryton.sandbox.preparation import prepare
from system_apis.tryton.sandbox.server import Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

SOURCE = Path(__file__).parents[4] / "src"


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


def start(sandbox: Sandbox) -> None:
    asyncio.run(sandbox.start())


def stop(sandbox: Sandbox) -> None:
    asyncio.run(sandbox.stop())


def test_what_is_prepared_is_not_prepared_again(tryton_data: Path) -> None:
    said: list[str] = []
    began = monotonic()

    asyncio.run(prepare(tryton_data, lambda step, _done, _total: said.append(step)))

    assert said == []
    assert monotonic() - began < 0.5


def test_secrets_are_for_their_owner_only(fresh_tryton: Sandbox) -> None:
    for path in (fresh_tryton.secrets.key, fresh_tryton.secrets.password, fresh_tryton.database):
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.parent.stat().st_mode & 0o777 == 0o700


def test_the_log_has_no_request_and_no_secret(fresh_tryton: Sandbox) -> None:
    key = fresh_tryton.secrets.key.read_text("utf-8")
    httpx.get(
        f"{fresh_tryton.endpoint.base_url}/rest/model/party.party",
        params={"f": "name"},
        headers={"authorization": f"bearer {key}"},
    ).raise_for_status()

    assert fresh_tryton.log.read_text("utf-8") == ""


def test_a_wrong_key_opens_nothing(fresh_tryton: Sandbox) -> None:
    url = f"{fresh_tryton.endpoint.base_url}/rest/model/party.party"

    answers = [httpx.get(url), httpx.get(url, headers={"authorization": "bearer wrong"})]

    assert [answer.status_code for answer in answers] == [401, 401]


def test_it_listens_on_loopback_only(fresh_tryton: Sandbox) -> None:
    port = int(fresh_tryton.endpoint.base_url.rpartition(":")[2].partition("/")[0])
    listening = Path(f"/proc/{fresh_tryton.pid}/net/tcp").read_text("ascii")

    (address,) = [line.split()[1] for line in listening.splitlines() if f":{port:04X} 0" in line][
        :1
    ]
    assert address.startswith("0100007F:")


def test_what_was_written_is_there_after_a_restart(fresh_tryton: Sandbox) -> None:
    before = fresh_tryton.secrets.key.read_text("utf-8")
    marker = fresh_tryton.database.stat().st_ino
    stop(fresh_tryton)
    assert fresh_tryton.pid is None

    start(fresh_tryton)

    assert fresh_tryton.secrets.key.read_text("utf-8") == before
    assert fresh_tryton.database.stat().st_ino == marker


def test_a_prepared_sandbox_starts_in_seconds(tryton_data: Path, state: Path) -> None:
    sandbox = Sandbox(tryton_data, state=state)
    began = monotonic()
    start(sandbox)
    took = monotonic() - began
    stop(sandbox)

    assert took < 15  # 1.1 s on an idle machine; this one may be busy


def test_a_folder_has_one_user_at_a_time(fresh_tryton: Sandbox, tryton_data: Path) -> None:
    second = Sandbox(tryton_data, state=fresh_tryton.database.parent)

    with pytest.raises(SandboxError) as caught:
        start(second)

    assert f"in use by process {os.getpid()}" in str(caught.value)
    assert "hint: stop that process" in str(caught.value)
    assert fresh_tryton.pid is not None


def test_a_taken_port_is_named(tryton_data: Path, state: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        with pytest.raises(SandboxError, match=f"port {port} of 127.0.0.1 is taken"):
            start(Sandbox(tryton_data, state=state, port=port))


def test_a_tryton_that_cannot_start_names_its_log(tryton_data: Path, state: Path) -> None:
    sandbox = Sandbox(tryton_data, state=state)
    start(sandbox)
    stop(sandbox)
    sandbox.database.write_bytes(b"this is no database" * 100)

    with pytest.raises(SandboxError) as caught:
        start(sandbox)

    assert str(sandbox.log) in str(caught.value)
    assert "file is not a database" in str(caught.value)
    assert sandbox.pid is None


@pytest.mark.skipif(
    sys.platform != "linux", reason="only Linux tells a process that its parent ended"
)
def test_it_ends_with_its_owner(tryton_data: Path, state: Path) -> None:
    program = (
        "import asyncio, sys, time; from pathlib import Path\n"
        "from system_apis.tryton.sandbox.server import Sandbox\n"
        "sandbox = Sandbox(Path(sys.argv[1]), state=Path(sys.argv[2]))\n"
        "asyncio.run(sandbox.start()); print(sandbox.pid, flush=True); time.sleep(60)\n"
    )
    owner = subprocess.Popen(
        [sys.executable, "-c", program, str(tryton_data), str(state)],
        stdout=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
    )
    with owner:
        assert owner.stdout is not None
        pid = int(owner.stdout.readline())
        owner.kill()

    assert eventually_gone(pid)


def eventually_gone(pid: int) -> bool:
    give_up_at = monotonic() + 10
    while monotonic() < give_up_at:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            return True
    return False


@pytest.fixture
def command_line(tryton_data: Path, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    # The prepared parts, with a state of this test's own.
    data = tmp_path / "data"
    data.mkdir()
    for part in tryton_data.iterdir():
        if part.name.startswith(("venv-", "seeded-")) and not part.name.endswith(".partial"):
            (data / part.name).symlink_to(part)
    process = subprocess.Popen(
        [sys.executable, "-m", "system_apis.tryton.sandbox", "run", "--data", str(data)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(SOURCE)},
    )
    with process:
        yield process
        if process.poll() is None:
            process.kill()


def test_the_command_line_runs_it_until_it_is_interrupted(
    command_line: subprocess.Popen[str],
) -> None:
    assert command_line.stdout is not None
    first = command_line.stdout.readline()
    url = first.split()[3]
    assert httpx.get(f"{url}/rest/model/party.party").status_code == 401

    command_line.send_signal(signal.SIGINT)

    assert command_line.wait(20) == 0
    with pytest.raises(httpx.ConnectError):
        httpx.get(url)

"""The set-up, with a stand-in for the interpreter of Tryton: interrupted, failing, repeated.

The stand-in is a program: it is what the set-up starts, sees the same arguments and environment,
and leaves the same files. The real one takes half a minute and is what every other test uses.
"""

from __future__ import annotations

import asyncio
import os
import re
import sqlite3
import stat
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from portico.sandbox.company import COMPANY_FILE
from system_apis.tryton.sandbox import commands, preparation
from system_apis.tryton.sandbox.errors import SandboxError
from system_apis.tryton.sandbox.preparation import Prepared, Secrets

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.anyio

# Arguments: -I launch.py PARENT (-m trytond.cli.admin ... | seed.py conf database catalogue key)
STAND_IN = """#!{python}
import os, pathlib, sqlite3, sys, time
arguments = sys.argv[4:]
if {behaviour!r} == "hangs":
    print("started", flush=True)
    time.sleep(60)
if "trytond.cli.admin" in arguments:
    conf = pathlib.Path(arguments[arguments.index("-c") + 1]).read_text()
    folder = pathlib.Path(conf.split("path = ")[1].strip())
    connection = sqlite3.connect(folder / "erp.sqlite")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE activated (password TEXT)")
    password = pathlib.Path(os.environ["TRYTONPASSFILE"]).read_text()
    connection.execute("INSERT INTO activated VALUES (?)", (password,))
    connection.commit()
    for module in ("ir", "res", "res"):
        print(f"1 2 [now] INFO trytond.modules {{module}} load {{module}}.xml")
if arguments[0].endswith("seed.py"):
    if {behaviour!r} == "fails":
        sys.exit("the account is closed")
    print('{{"step": "company"}}')
    pathlib.Path(arguments[4]).write_text("the-key")
"""


def install(data: Path, behaviour: str = "works") -> Prepared:
    """Put the stand-in where the set-up expects a complete environment."""
    name = preparation._fingerprint(preparation._LOCK_FILE, text=sys.version)
    seeded = preparation._fingerprint(preparation._LOCK_FILE, preparation._SEED, COMPANY_FILE)
    environment = data / f"venv-{name}"
    python = environment / "bin" / "python"
    python.parent.mkdir(parents=True, exist_ok=True)
    python.write_text(STAND_IN.format(python=sys.executable, behaviour=behaviour), "utf-8")
    python.chmod(python.stat().st_mode | stat.S_IXUSR)
    (environment / "complete").touch()
    return Prepared(python=python, seeded=data / f"seeded-{seeded}")


def partial(prepared: Prepared) -> Path:
    return prepared.seeded.with_suffix(".partial")


async def test_a_set_up_leaves_a_database_and_its_secrets(tmp_path: Path) -> None:
    expected = install(tmp_path)

    assert await preparation.prepare(tmp_path) == expected

    assert sorted(path.name for path in expected.seeded.iterdir()) == [
        "admin-password",
        "erp.sqlite",
        "rest-key",
    ]
    assert not partial(expected).exists()
    connection = sqlite3.connect(expected.seeded / "erp.sqlite")
    ((password,),) = connection.execute("SELECT password FROM activated").fetchall()
    connection.close()
    assert password == Secrets(folder=expected.seeded).password.read_text("utf-8")
    assert len(password) >= 32


async def test_progress_is_told_step_by_step(tmp_path: Path) -> None:
    install(tmp_path)
    said: list[tuple[str, int, int]] = []

    await preparation.prepare(tmp_path, lambda *step: said.append(step))

    assert [done for step, done, _ in said if step == "activating modules"] == [0, 1, 2, 15]
    assert [done for step, done, _ in said if step == "filling the catalogue"] == [0, 1, 7]
    assert all(0 <= done <= total for _, done, total in said)


async def test_secrets_differ_between_data_folders(tmp_path: Path) -> None:
    found = set()
    for name in ("one", "two"):
        install(tmp_path / name)
        prepared = await preparation.prepare(tmp_path / name)
        found.add(Secrets(folder=prepared.seeded).password.read_text("utf-8"))

    assert len(found) == 2


async def test_an_interrupted_set_up_leaves_nothing_usable_and_is_redone(tmp_path: Path) -> None:
    prepared = install(tmp_path, "hangs")
    running = asyncio.ensure_future(preparation.prepare(tmp_path))
    await until(lambda: "started" in log_of(tmp_path))
    children = processes_of(prepared)
    assert len(children) == 1

    running.cancel()
    await asyncio.gather(running, return_exceptions=True)

    assert not prepared.seeded.exists()
    assert processes_of(prepared) == []
    (partial(prepared) / "left-over").touch()
    install(tmp_path)
    await preparation.prepare(tmp_path)
    assert prepared.seeded.is_dir()
    assert not (prepared.seeded / "left-over").exists()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  files have no events
            await asyncio.sleep(0.01)


def log_of(data: Path) -> str:
    log = data / "setup.log"
    return log.read_text("utf-8") if log.exists() else ""


def processes_of(prepared: Prepared) -> list[int]:
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes().split(b"\0")
        except OSError:
            continue
        if os.fsencode(prepared.python) in words:
            found.append(int(entry.parent.name))
    return found


async def test_a_failing_step_names_itself_and_the_log(tmp_path: Path) -> None:
    prepared = install(tmp_path, "fails")

    with pytest.raises(SandboxError) as caught:
        await preparation.prepare(tmp_path)

    assert "filling Tryton failed with status 1" in str(caught.value)
    assert str(tmp_path / "setup.log") in str(caught.value)
    assert "the account is closed" in str(caught.value)
    assert not prepared.seeded.exists()


async def test_two_set_ups_of_one_folder_take_turns(tmp_path: Path) -> None:
    expected = install(tmp_path)

    both = await asyncio.gather(*(preparation.prepare(tmp_path) for _ in range(2)))

    assert both == [expected, expected]
    assert log_of(tmp_path).count("INFO trytond.modules ir load") == 1


async def test_an_environment_without_its_mark_is_made_anew(tmp_path: Path) -> None:
    """As after an interruption of pip, of which nobody can say what it left out."""
    prepared = install(tmp_path)
    environment = prepared.python.parent.parent
    (environment / "complete").unlink()
    (environment / "half-installed").touch()
    running = asyncio.ensure_future(preparation.prepare(tmp_path))
    await until(lambda: not (environment / "half-installed").exists())

    running.cancel()
    await asyncio.gather(running, return_exceptions=True)

    assert not (environment / "complete").exists()


def test_the_lock_has_a_hash_for_every_package_and_no_address() -> None:
    text = preparation._LOCK_FILE.read_text("utf-8")
    pinned = re.findall(r"^([a-z0-9.-]+)==\S+", text, re.MULTILINE)

    assert "trytond" in pinned
    assert len(pinned) == len(
        re.findall(r"^[a-z0-9.-]+==[^\n]*\\\n +--hash=sha256:", text, re.MULTILINE)
    )
    assert "://" not in text
    assert not re.search(r"^--", text, re.MULTILINE)


def test_nothing_of_ours_imports_tryton() -> None:
    package = Path(commands.__file__).parents[1]
    importing = [
        path.name
        for path in package.rglob("*.py")
        if re.search(
            r"^\s*(import|from) (trytond|proteus)\b", path.read_text("utf-8"), re.MULTILINE
        )
    ]

    assert importing == ["seed.py"]


def test_the_data_file_for_trytons_interpreter_cannot_be_imported() -> None:
    with pytest.raises(ImportError, match="not imported"):
        __import__("system_apis.tryton.sandbox.seed")

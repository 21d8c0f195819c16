"""A project of a team's own: its folder has contracts and handlers, Portico is installed."""

from __future__ import annotations

import itertools
import json
import shutil
import signal
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from tests.support.commands import ROOT, Run, environment

# Python imports a module once: every project has an API with a name of its own.
_numbers = itertools.count(1)


@dataclass(frozen=True, slots=True)
class Project:
    """A folder with one API, made by `portico new`."""

    folder: Path
    name: str

    @property
    def handlers(self) -> Path:
        return self.folder / "src" / "process_apis" / self.name / "handlers.py"

    def configure(self, text: str) -> None:
        with (self.folder / "portico.yaml").open("a") as file:
            file.write(text)


@pytest.fixture
def project(tmp_path: Path, portico: Run, monkeypatch: pytest.MonkeyPatch) -> Project:
    name = f"parcels{next(_numbers)}"
    shutil.copytree(ROOT / "specs" / "openapi" / "canonical", tmp_path / "specs/openapi/canonical")
    (tmp_path / "portico.yaml").write_text(
        "listen: {port: 0}\ncontracts: specs/openapi\naccess_log: 'off'\n"
        f"clients:\n  app: {{secret: 'generated:app', scopes: ['{name}:read']}}\n"
    )
    monkeypatch.chdir(tmp_path)
    done = portico("new", "process", name, "--owner", "logistics")
    assert done.code == 0, done.err
    return Project(tmp_path, name)


def test_an_api_outside_the_checkout_is_found(project: Project, portico: Run) -> None:
    done = portico("lint")

    assert project.folder.is_dir()
    assert (done.code, done.out) == (0, "1 contract with 1 operation: no findings\n")


def test_an_api_outside_the_checkout_is_served(project: Project) -> None:
    with subprocess.Popen(
        [sys.executable, "-m", "gateway.cli", "serve"],
        cwd=project.folder,
        env=environment(),
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            line = process.stdout.readline() if process.stdout else ""
            url = line.split(" at ")[1].split(" ")[0]
            secret = (project.folder / "data" / "secrets" / "app").read_text().strip()
            answer = httpx.post(
                f"{url}/oauth2/token",
                auth=("app", secret),
                data={"grant_type": "client_credentials"},
            )
            token = answer.json()["access_token"]
            item = httpx.get(
                f"{url}/process/{project.name}/v1/items/first",
                headers={"Authorization": f"Bearer {token}"},
            )
        finally:
            process.send_signal(signal.SIGINT)
            code = process.wait(timeout=15)

    assert item.json() == {"id": "first", "name": "The first item"}
    assert code == 0


@pytest.mark.parametrize(
    ("text", "finding"),
    [
        ("async def get_item(call, *:\n", "handlers.py:1:27: module-does-not-import"),
        ("import nothing_like_this\n", "handlers.py:1:1: module-does-not-import"),
        ("\n\n1 / 0\n", "handlers.py:3:1: module-does-not-import"),
        ("", "NAME.v1.yaml:16:5: operation-without-handler"),
        (
            "async def get_item(call, *, item_id): ...\nasync def get_items(call): ...\n",
            "handlers.py:2:1: handler-without-operation",
        ),
        ("async def get_item(call, *, item): ...\n", "handlers.py:1:1: handler-signature"),
    ],
)
def test_handlers_that_do_not_fit_are_findings(
    project: Project, portico: Run, text: str, finding: str
) -> None:
    project.handlers.write_text(text)

    for command in ("lint", "serve"):
        done = portico(command)
        assert done.code == 1, done
        assert finding.replace("NAME", project.name) in done.err
        assert "Traceback" not in done.err


def test_missing_handlers_are_a_finding(project: Project, portico: Run) -> None:
    project.handlers.unlink()

    done = portico("lint", "--json")

    assert done.code == 1
    (found,) = json.loads(done.out)
    assert found["rule"] == "contract-without-handlers"
    assert found["message"] == f"there is no module process_apis.{project.name}.handlers"
    assert (found["line"], found["column"]) == (1, 1)
    assert found["file"].endswith(f"specs/openapi/process/{project.name}.v1.yaml")


APP = """
from contextlib import asynccontextmanager
from pydantic import BaseModel, ConfigDict, SecretStr

class Settings(BaseModel):
    model_config = ConfigDict(extra="forbid")
    url: str
    key: SecretStr

@asynccontextmanager
async def resources(settings):
    yield settings
"""


@pytest.mark.parametrize(
    ("settings", "cause", "hint"),
    [
        ("{}", "lacks url", "add `url:` here"),
        ("{url: a, key: hunter2}", "the value is not a reference to a secret", "env:NAME"),
        ("{url: a, key: 'env:NOT_THERE'}", "the variable NOT_THERE is not set", "export NOT_THERE"),
        ("{url: 5, key: 'generated:k'}", "Input should be a valid string", "its settings are key"),
        ("{ulr: a, key: 'generated:k'}", "url", "url"),
    ],
)
def test_settings_of_an_api_are_checked(
    project: Project, portico: Run, settings: str, cause: str, hint: str
) -> None:
    (project.handlers.parent / "app.py").write_text(APP)
    project.configure(f"apis:\n  process/{project.name}.v1: {{settings: {settings}}}\n")

    done = portico("serve")

    assert done.code == 3, done
    assert f"apis.process/{project.name}.v1.settings" in done.err
    assert cause in done.err
    assert hint in done.err
    assert "hunter2" not in done.err
    assert "Traceback" not in done.err


def test_settings_without_a_model_are_refused(project: Project, portico: Run) -> None:
    project.configure(f"apis:\n  process/{project.name}.v1: {{settings: {{url: a}}}}\n")

    done = portico("serve")

    assert done.code == 3
    assert "the API has no settings" in done.err


def test_foreign_documents_are_linted_too(project: Project, portico: Run) -> None:
    (project.folder / "pets.yaml").write_text(
        "openapi: 3.1.0\ninfo: {title: Pets, version: '1'}\npaths:\n  /pets:\n    get:\n"
        "      responses: {'200': {description: Pets.}}\n"
    )
    project.configure(
        "external:\n  pets: {contract: pets.yaml, base_path: /pets, urls: ['http://a']}\n"
    )

    done = portico("lint")

    assert done.code == 1
    assert "pets.yaml:5:5: operation-without-security" in done.err

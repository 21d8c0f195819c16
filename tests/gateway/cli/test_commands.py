"""What the commands print and how they end."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from joserfc.jws import extract_compact

from portico import __version__
from tests.support.commands import Run, environment


def test_lint_says_that_nothing_was_found(portico: Run, config: Path) -> None:
    done = portico("lint", "--config", config)

    assert (done.code, done.err) == (0, "")
    assert done.out == "4 contracts with 22 operations: no findings\n"


def test_lint_as_json_is_an_empty_list(portico: Run, config: Path) -> None:
    done = portico("lint", "--config", config, "--json")

    assert (done.code, json.loads(done.out)) == (0, [])


def test_routes_are_listed_with_their_scopes(portico: Run, config: Path) -> None:
    done = portico("routes", "--config", config)

    lines = done.out.splitlines()
    assert done.code == 0
    assert len(lines) == 22
    assert "GET     /experience/kiosk/v1/public" in done.out
    assert next(line for line in lines if "getPublic" in line).endswith("getPublic  [anyone]")
    assert any(line.endswith("removeThing  [shelf:write]") for line in lines)


def test_routes_as_json(portico: Run, config: Path) -> None:
    rows = json.loads(portico("routes", "--config", config, "--json").out)

    assert {
        "api": "system/shelf.v1",
        "method": "DELETE",
        "path": "/system/shelf/v1/things/{thingId}",
        "operationId": "removeThing",
        "scopes": ["shelf:write"],
        "anonymous": False,
    } in rows


def test_the_graph_is_what_calls_may_be_made(portico: Run, config: Path) -> None:
    done = portico("graph", "--config", config)

    assert done.code == 0
    assert done.out.splitlines()[0] == "experience/kiosk.v1 -> process/basket.v1: relay"


def test_the_graph_as_json_and_mermaid(portico: Run, config: Path) -> None:
    rows = json.loads(portico("graph", "--config", config, "--json").out)
    chart = portico("graph", "--config", config, "--mermaid").out

    assert rows[0] == {
        "api": "experience/kiosk.v1",
        "calls": "process/basket.v1",
        "operations": ["relay"],
    }
    assert chart.startswith("flowchart TD\n")
    assert '    experience_kiosk_v1["experience/kiosk.v1"] --> process_basket_v1' in chart


def claims(token: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(extract_compact(token.strip().encode()).payload)
    return found


def test_token_prints_one_of_the_first_client(portico: Run, config: Path) -> None:
    done = portico("token", "--config", config)

    assert (done.code, done.err) == (0, "")
    found = claims(done.out)
    assert found["client_id"] == "shop"
    assert found["sub"] == "ada"
    assert found["scope"] == "kiosk:one kiosk:use"


def test_token_of_a_client_with_some_scopes(portico: Run, config: Path) -> None:
    other = portico("token", "other", "--config", config)
    some = portico("token", "shop", "--scope", "kiosk:use", "--config", config)

    assert claims(other.out)["client_id"] == "other"
    assert claims(some.out)["scope"] == "kiosk:use"


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["token", "nobody"], "there is no client 'nobody'"),
        (["token", "--scope", "admin"], "shop may not have admin"),
        (["serve", "--only", "process/nothing"], "the configuration does not start: --only"),
        (["serve", "--port", "65536"], "--port 65536 cannot be used"),
        (["serve", "--port", "-1"], "--port -1 cannot be used"),
        (["serve", "--host", "no such host"], "cannot listen on no such host"),
        (["lint", "--contracts", "nowhere"], "the configuration does not start: contracts"),
    ],
    ids=" ".join,
)
def test_what_cannot_be_done_is_said_in_words(
    portico: Run, config: Path, words: list[str], error: str
) -> None:
    done = portico(*words, "--config", config)

    assert done.code == 3
    assert done.out == ""
    assert done.err.startswith(f"error: {error}")
    assert [line.partition(":")[0] for line in done.err.splitlines()] == ["error", "cause", "hint"]


COMMANDS = ["lint", "routes", "graph", "token", "serve"]
WRONG = {
    "": "it is a folder",
    "listen: [": "did not find expected",
    "listen: {prot: 1}": "listen.prot is not known",
    "contracts: nowhere": "there is no folder",
}


@pytest.mark.parametrize(
    ("command", "text"),
    # A token needs no contracts.
    [
        (command, text)
        for command in COMMANDS
        for text in WRONG
        if (command, text[:9]) != ("token", "contracts")
    ],
)
def test_a_wrong_configuration_is_said_in_words(
    portico: Run, tmp_path: Path, command: str, text: str
) -> None:
    path = tmp_path / "chosen.yaml"
    if text:
        path.write_text(text)
    else:
        path.mkdir()

    done = portico(command, "--config", path)

    assert done.code == 3, done
    assert WRONG[text] in done.err
    assert "Traceback" not in done.err


@pytest.mark.parametrize("command", COMMANDS)
def test_a_configuration_that_is_not_there_is_said_in_words(
    portico: Run, tmp_path: Path, command: str
) -> None:
    done = portico(command, "--config", tmp_path / "missing.yaml")

    assert done.code == 3
    assert "cause: there is no such file\n" in done.err


def test_a_data_folder_that_is_a_file_is_said_in_words(portico: Run, config: Path) -> None:
    config.write_text(f"data: {config}\n" + config.read_text())

    done = portico("token", "--config", config)

    assert done.code == 3
    assert done.err.startswith("error: ")
    assert str(config) in done.err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "usage: portico"),
        (["--help"], "usage: portico"),
        (["serve", "--help"], "usage: portico serve"),
        (["--version"], f"portico {__version__}"),
        (["sevre"], "invalid choice: 'sevre'"),
        (["lint", "--jsno"], "unrecognized arguments: --jsno"),
        (["serve", "--port", "http"], "invalid int value: 'http'"),
        (["graph", "extra"], "unrecognized arguments: extra"),
    ],
    ids=" ".join,
)
def test_wrong_words_show_the_usage(portico: Run, words: list[str], said: str) -> None:
    done = portico(*words)

    helped = any(word in {"--help", "--version"} for word in words)
    assert done.code == (0 if helped else 2)
    assert said in done.out + done.err


def test_a_reader_that_has_seen_enough_is_no_error(config: Path) -> None:
    """As in `portico routes | head -1`."""
    with subprocess.Popen(
        [sys.executable, "-m", "gateway.cli", "routes", "--json", "--config", str(config)],
        env={**environment(), "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        code, said = process.wait(timeout=30), process.stderr.read()

    assert (code, said) == (0, "")


def test_the_variable_names_the_configuration(config: Path, tmp_path: Path) -> None:
    moved = config.rename(tmp_path / "elsewhere.yaml")
    done = subprocess.run(
        [sys.executable, "-m", "gateway.cli", "lint"],
        env={**environment(), "PORTICO_CONFIG": str(moved)},
        capture_output=True,
        text=True,
        cwd="/",
        timeout=30,
        check=False,
    )

    # The handlers of the network are not on this process's path: that is a finding.
    assert done.returncode == 1
    assert "shelf.v1.yaml:1:1: contract-without-handlers" in done.stderr
    assert done.stderr.endswith("3 findings\n")

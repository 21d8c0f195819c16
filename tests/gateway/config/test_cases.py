"""Golden cases: a configuration, `----`, and what `load_config` makes of it.

Lines that start with `$ ` set variables. The expected text is an error with FILE for the path of
the file and SETTINGS for the names of all sections, or `ok` and settings of the result. A new
case is a new file.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from gateway.config import Config, ConfigError, load_config

CASES = sorted((Path(__file__).parent / "cases").glob("*.case"))


@pytest.mark.parametrize("path", CASES, ids=lambda path: path.stem)
def test_case(path: Path, tmp_path: Path) -> None:
    given, _, expected = path.read_text().partition("\n----\n")

    assert outcome(given, expected, tmp_path) == expected


def outcome(given: str, expected: str, folder: Path) -> str:
    """Return what the file and variables of a case lead to."""
    lines = given.split("\n")
    variables = [line.removeprefix("$ ") for line in lines if line.startswith("$ ")]
    environment = dict(variable.split("=", 1) for variable in variables)
    file = folder / "portico.yaml"
    file.write_text("\n".join(line for line in lines if not line.startswith("$ ")) + "\n")
    try:
        config = load_config(file, environment)
    except ConfigError as error:
        found = f"{error}\n"
    else:
        asked = [line.partition(" = ")[0] for line in expected.splitlines()[1:]]
        found = "".join(["ok\n", *(f"{name} = {_setting(config, name)}\n" for name in asked)])
    found = found.replace(", ".join(sorted(Config.model_fields)), "SETTINGS")
    return found.replace(str(file), "FILE").replace(str(folder), "FOLDER")


def _setting(config: Config, name: str) -> Any:
    """Return a setting by its path; names with dots of their own are matched as they come."""
    found: Any = config
    rest = name
    while rest:
        keys = list(found) if isinstance(found, dict) else list(type(found).model_fields)
        key = next(key for key in keys if rest == key or rest.startswith(f"{key}."))
        found = found[key] if isinstance(found, dict) else getattr(found, key)
        rest = rest[len(key) + 1 :]
    return found.model_dump() if isinstance(found, BaseModel) else found

"""Which configuration a command uses."""

from __future__ import annotations

import os
from pathlib import Path

from gateway.config import Config, ConfigError, load_config

_DEFAULT = Path(__file__).resolve().parent.parent / "portico.yaml"


def find_config(chosen: Path | None) -> Path:
    """Return `--config`, else PORTICO_CONFIG, else ./portico.yaml, else the packaged default."""
    named = chosen or (
        Path(os.environ["PORTICO_CONFIG"]) if "PORTICO_CONFIG" in os.environ else None
    )
    if named is not None:
        if not named.is_file():
            cause = "it is a folder" if named.is_dir() else "there is no such file"
            raise ConfigError(str(named), cause, "check --config and PORTICO_CONFIG")
        return named
    local = Path("portico.yaml")
    return local if local.is_file() else _DEFAULT


def read_config(chosen: Path | None) -> Config:
    """Return the decoded configuration; the data folder of the default is in the working folder."""
    path = find_config(chosen)
    config = load_config(path)
    if path == _DEFAULT and config.data.is_relative_to(_DEFAULT.parent):
        data = Path.cwd() / config.data.relative_to(_DEFAULT.parent)
        return config.model_copy(update={"data": data})
    return config

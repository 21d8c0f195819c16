"""Generated files: formatted, compared with those on disk, written."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from portico.codegen.apis import CodegenError
from portico.codegen.modules import NOTICE


def format_files(files: Mapping[Path, str]) -> dict[Path, str]:
    """Return the files as ruff formats them, with options fixed here and no configuration."""
    with tempfile.TemporaryDirectory() as folder:
        copies = {path: Path(folder) / f"{index}.py" for index, path in enumerate(files)}
        for path, copy in copies.items():
            copy.write_text(files[path], encoding="utf-8")
        command = [sys.executable, "-m", "ruff", "format", "--isolated", "--quiet"]
        options = ["--line-length", "100", "--target-version", "py311", folder]
        done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)  # noqa: S603 - fixed words
        if done.returncode:
            raise CodegenError(f"ruff could not format the generated code: {done.stderr.strip()}")
        return {path: copy.read_text(encoding="utf-8") for path, copy in copies.items()}


def stale_files(files: Mapping[Path, str], source_root: Path) -> list[Path]:
    """Return the files that differ from what is generated, and generated ones left over."""
    stale = [path for path, text in files.items() if _read(path) != text]
    generated = [*source_root.glob("*_apis/*/models.py"), *source_root.glob("*_apis/*/calls/*.py")]
    leftover = [path for path in generated if path not in files and NOTICE in _read(path)]
    return sorted(stale + leftover)


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.is_file() else ""


def write(files: Mapping[Path, str], stale: Iterable[Path]) -> None:
    """Write the stale files and remove those left over."""
    for path in stale:
        if path in files:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(files[path], encoding="utf-8")
        else:
            path.unlink()

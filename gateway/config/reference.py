"""The reference of all settings, written from the models that decode them."""

from __future__ import annotations

import dataclasses
import inspect
import sys
import textwrap
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin

from pydantic import BaseModel

from gateway.config.model import Config
from gateway.protocol.limits import ProtocolLimits
from gateway.upstream.options import UpstreamOptions

_INTRODUCTION = """\
# Configuration

<!-- Written by `make docs` from gateway/config/model.py; do not edit. -->

One YAML file. `portico serve` reads `--config FILE`, else the file that `PORTICO_CONFIG` names,
else `portico.yaml` in the working folder, else the one that comes with Portico. A name or value
that is not understood does not start: the error says file, line, what was found and what is known.

Relative paths are relative to the file. Durations are seconds, sizes are bytes.

Variables override the file: `PORTICO_LISTEN__PORT=9000` sets `listen.port`, two underscores are a
level. `PORT` is the short form of that one.

**Secrets never stand in the file.** Where one is needed, a reference does: `env:NAME` (a
variable), `file:PATH`, or `generated:NAME`, which is made on first use and kept in the data folder,
readable by its owner only.
"""


def reference() -> str:
    """Return the reference as Markdown."""
    parts = [_INTRODUCTION, *_section("", Config)]
    parts.append(_records("limits.connection", ProtocolLimits, ("uncounted_peers",)))
    parts.append(_records("external.NAME.upstream", UpstreamOptions, ("name", "urls")))
    return "\n".join(parts)


def _section(path: str, model: type[BaseModel]) -> list[str]:
    title = f"## `{path}`" if path else "## The file"
    text = inspect.getdoc(model) or ""
    lines = [f"{title}\n\n{text}\n", "| setting | default | |", "|---|---|---|"]
    inner: list[str] = []
    for name, field in model.model_fields.items():
        default = (
            "required"
            if field.is_required()
            else _default(field.get_default(call_default_factory=True))
        )
        described = " ".join((field.description or "").split()).replace("|", "\\|")
        lines.append(f"| `{name}` | {default} | {described} |")
        below, label = _inner(field.annotation)
        if below is not None:
            inner += _section(f"{path}.{name}{label}".lstrip("."), below)
    return ["\n".join(lines) + "\n", *inner]


def _inner(annotation: Any) -> tuple[type[BaseModel] | None, str]:
    """Return the model that a setting holds, and how its path goes on."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, ""
    if get_origin(annotation) is dict:
        below, label = _inner(get_args(annotation)[1])
        return below, f".NAME{label}"
    if isinstance(annotation, UnionType):
        # A section that may be absent.
        return next((found for found in map(_inner, get_args(annotation)) if found[0]), (None, ""))
    return None, ""


def _default(value: object) -> str:
    if value is None or value == "" or isinstance(value, BaseModel | dict | list):
        return ""
    if hasattr(value, "mode"):
        return f"`{value.mode}`"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _records(path: str, record: type, hidden: tuple[str, ...]) -> str:
    """Return the table of a dataclass whose source says why each number is what it is."""
    notes = _notes(record)
    lines = [f"## `{path}`\n", "| setting | default | |", "|---|---|---|"]
    for field in dataclasses.fields(record):
        if field.name not in hidden:
            default = "" if field.default in ("", ()) else _default(field.default)
            lines.append(f"| `{field.name}` | {default} | {notes.get(field.name, '')} |")
    return "\n".join(lines) + "\n"


def _notes(record: type) -> dict[str, str]:
    """Return the docstring or comment of each field of a dataclass, from its source."""
    notes: dict[str, str] = {}
    name, docstring = "", ""
    for line in textwrap.dedent(inspect.getsource(record)).splitlines()[1:]:
        text = line.strip()
        if docstring:
            docstring += " " + text
        elif ": " in text and "=" in text and not text.startswith(("#", '"')):
            name = text.partition(":")[0]
            notes[name] = text.partition("# ")[2]
        elif text.startswith('"""') and name:
            docstring = text
        if docstring.count('"""') == 2:
            notes[name] = docstring.strip('" ').replace("|", "\\|")
            docstring = ""
        if line.startswith("    def "):
            break
    return notes


def main() -> int:
    """Write docs/configuration.md, or with `--check` say whether it is in step."""
    path = Path("docs/configuration.md")
    text = reference()
    if "--check" not in sys.argv[1:]:
        path.write_text(text)
        return 0
    if path.read_text() == text:
        return 0
    sys.stderr.write(f"{path} is not in step with the settings: run `make docs`\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())

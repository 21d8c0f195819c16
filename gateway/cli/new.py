"""`portico new`: a contract and the folder that implements it, with a test that passes."""

from __future__ import annotations

import argparse
import re
from pathlib import Path

import jinja2

from gateway.cli.output import FINE, CannotRunError

_NAME = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*\Z")
_TEMPLATES = Path(__file__).parent / "templates"
_CALLEES = {"system": "none: system APIs call no other", "process": "system/tryton.v1"}


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("tier", choices=["system", "process", "experience"])
    parser.add_argument("name", help="lower-case words with hyphens, such as customer-360")
    parser.add_argument("--owner", default="team-name", help="the team that owns the API")
    parser.add_argument(
        "--root", type=Path, default=Path(), help="the project (default: the working folder)"
    )


def run(options: argparse.Namespace) -> int:
    root: Path = options.root
    if not _NAME.match(options.name):
        raise CannotRunError(
            f"{options.name!r} is not a name for an API",
            "names are lower-case words with hyphens between them",
            "try one like customer-360",
        )
    if not (root / "specs" / "openapi").is_dir():
        raise CannotRunError(
            "this is not a Portico project",
            f"there is no folder {root / 'specs' / 'openapi'}",
            "change to the folder of the project, or name it with --root",
        )
    files = _files(options.tier, options.name, options.owner)
    taken = [path for path in files if (root / path).exists()]
    if taken:
        raise CannotRunError(
            f"{options.tier}/{options.name} exists",
            f"{taken[0]} is already there",
            "choose another name, or change the files that are there",
        )
    for path, text in files.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)
        print(f"wrote {path}")
    print(_next_steps(options.tier, options.name))
    return FINE


def _files(tier: str, name: str, owner: str) -> dict[Path, str]:
    module = name.replace("-", "_")
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=False,  # noqa: S701  # it writes Python and YAML, from a checked name
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
    )
    values = {
        "tier": tier,
        "name": name,
        "title": name.replace("-", " ").capitalize(),
        "owner": owner,
        "package": f"{tier}_apis.{module}",
        "callee": _CALLEES.get(tier, "process/orders.v1"),
    }
    package = Path("src") / f"{tier}_apis" / module
    targets = {
        Path("specs/openapi") / tier / f"{name}.v1.yaml": "contract.yaml.jinja",
        package / "handlers.py": "handlers.py.jinja",
        package / "models.py": "models.py.jinja",
        Path("tests") / f"{tier}_apis" / module / "test_handlers.py": "test_handlers.py.jinja",
    }
    files = {
        path: environment.get_template(template).render(values)
        for path, template in targets.items()
    }
    return {package / "__init__.py": f'"""{values["title"]}: see {name}.v1.yaml."""\n', **files}


def _next_steps(tier: str, name: str) -> str:
    return (
        f"\nnext:\n"
        f"  1. change specs/openapi/{tier}/{name}.v1.yaml to what the API should promise\n"
        f"  2. make codegen   (models and calls follow the contract)\n"
        f"  3. write the handlers; `portico lint` names what is missing\n"
        f"  4. make test\n"
        f"  5. give a client in portico.yaml the scope {name}:read, and call it"
    )

"""The pages, from their templates."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import orjson
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from gateway.portal.assets import Asset
from gateway.portal.catalogue import Entry
from gateway.portal.reference import anchor, configuration
from portico.problems import PROBLEM_TYPES, Problem, ProblemType

_PURPOSES = {
    "experience": (
        "Experience APIs",
        "Shaped for one channel each: a web shop, an app, a partner.",
    ),
    "process": ("Process APIs", "Reusable business logic, whatever system is behind it."),
    "system": ("System APIs", "One for each system of record, in the terms all APIs share."),
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Tier:
    """One shelf of the index."""

    slug: str
    title: str
    purpose: str
    entries: Sequence[Entry]


class Pages:
    """Renders every page of the portal; `root` is the path of the public URL."""

    def __init__(
        self, catalogue: Sequence[Entry], assets: Mapping[str, Asset], *, public_url: str, root: str
    ) -> None:
        self._tiers = {tier.slug: tier for tier in _tiers(catalogue)}
        self._public_url = public_url
        self._root = root
        self._templates = _environment()
        self._templates.globals.update(
            root=root,
            public_url=public_url,
            section="apis",
            page_of=self.path_of,
            asset=lambda name: f"{root}/portal/assets/{assets[name].published_name}",
            integrity=lambda name: assets[name].integrity,
        )

    def path_of(self, entry: Entry) -> str:
        """Return the path of the page about an API; everything about it is below."""
        return f"{self._root}/portal/apis/{quote(entry.name)}"

    def index(self) -> bytes:
        return self._render("index.html", tiers=list(self._tiers.values()))

    def api(self, entry: Entry) -> bytes:
        return self._render("api.html", entry=entry, tier=self._tiers[entry.tier])

    def reference(self, entry: Entry) -> bytes:
        contract_path = f"{self.path_of(entry)}/openapi.json"
        told = configuration(entry, contract_path=contract_path, root=self._root)
        return self._render(
            "reference.html", entry=entry, configuration=told, overview=self.path_of(entry)
        )

    def problems(self) -> bytes:
        kinds = sorted(PROBLEM_TYPES.values(), key=lambda kind: kind.status)
        return self._render("problems.html", section="problems", kinds=kinds)

    def problem(self, kind: ProblemType) -> bytes:
        problem = Problem(kind).document(
            type_base=f"{self._public_url}/portal/problems/",
            request_id="0b6f1c3a5d7e4f2a9c8b1d3e5f7a9c0e",
        )
        example = orjson.dumps(problem, option=orjson.OPT_INDENT_2).decode()
        return self._render("problem.html", section="problems", kind=kind, example=example)

    def not_found(self) -> bytes:
        return self._render("not_found.html", section="")

    def _render(self, template: str, **values: Any) -> bytes:
        return self._templates.get_template(template).render(**values).encode()


def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).with_name("templates")),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    environment.filters.update(anchor=anchor, breakable=breakable, prose=prose)
    return environment


def _tiers(catalogue: Sequence[Entry]) -> list[Tier]:
    """Return the tiers that have an API, the outermost first and foreign ones last."""
    found = dict.fromkeys(entry.tier for entry in catalogue)
    return [
        _tier(slug, [entry for entry in catalogue if entry.tier == slug])
        for slug in [
            *(slug for slug in _PURPOSES if slug in found),
            *sorted(found - _PURPOSES.keys()),
        ]
    ]


def _tier(slug: str, entries: Sequence[Entry]) -> Tier:
    title, purpose = _PURPOSES.get(slug, (f"{slug.capitalize()} APIs", "Served by this gateway."))
    return Tier(
        slug=slug,
        title=title,
        purpose=purpose,
        entries=sorted(entries, key=lambda entry: entry.name),
    )


_CODE = Markup("<code>{}</code>")
_STRONG = Markup("<strong>{}</strong>")
_SPAN = re.compile(r"`([^`\n]+)`|\*\*([^*\n]+)\*\*")


def prose(text: str) -> Markup:
    """Return the paragraphs of a description, with its code and its bold words marked."""
    paragraphs = (" ".join(part.split()) for part in re.split(r"\n\s*\n", text) if part.strip())
    return Markup("\n").join(Markup("<p>{}</p>").format(_spans(part)) for part in paragraphs)


def _spans(text: str) -> Markup:
    spans, end = Markup(), 0
    for match in _SPAN.finditer(text):
        span = _CODE.format(match[1]) if match[1] else _STRONG.format(match[2])
        spans += escape(text[end : match.start()]) + span
        end = match.end()
    return spans + escape(text[end:])


def breakable(path: str) -> Markup:
    """Return a path that may be broken before each of its slashes on a narrow screen."""
    return Markup("/<wbr>").join(path.split("/"))

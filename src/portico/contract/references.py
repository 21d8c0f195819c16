"""What a `$ref` leads to: an object of the same file, or of another one inside the same folder."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import unquote, urlsplit

from portico.contract.findings import ContractError
from portico.contract.identifiers import Identifiers, join, pointer_parts
from portico.contract.source import FileCache, SourceFile
from portico.contract.yaml_source import Pointer

Target = tuple[SourceFile, Pointer]


class BrokenReferenceError(Exception):
    """A reference that may not be followed, or leads nowhere."""

    def __init__(self, rule: str, message: str, hint: str) -> None:
        super().__init__(message)
        self.rule = rule
        self.message = message
        self.hint = hint


class Place:
    """Where a reference stands: a file, a pointer into it, and the URI that names are under."""

    __slots__ = ("base", "pointer", "source")

    def __init__(self, source: SourceFile, pointer: Pointer = (), base: str = "") -> None:
        self.source = source
        self.pointer = pointer
        self.base = base

    def at(self, *way: str) -> Place:
        return Place(self.source, self.pointer + way, self.base)


class Files:
    """The files that a document consists of, opened as references name them.

    `main` is the one it starts with; no other may be outside `root`.
    """

    def __init__(self, path: Path, root: Path, cache: FileCache) -> None:
        self.main = cache.read(path)
        self._cache = cache
        self._root = root.resolve()
        self._opened: dict[Path, SourceFile | None] = {path.resolve(): self.main}
        self._located_files: dict[tuple[SourceFile, str], SourceFile] = {}
        self._identifiers = {self.main: Identifiers(self.main.text, self.main.data)}

    def mention(self, word: str) -> bool:
        """Tell whether a word occurs anywhere in the text of the files opened so far."""
        return any(word in source.text for source in self._identifiers)

    def locate(self, reference: str, place: Place) -> Target:
        """Return the file and pointer that a reference means; there is a value at both.

        Raises BrokenReferenceError, and ContractError for a file that cannot be read.
        """
        source, pointer = self._named(reference, place) or self._located(reference, place)
        try:
            source.get(pointer)
        except KeyError:
            raise _unresolved(reference) from None
        return source, pointer

    def _named(self, reference: str, place: Place) -> Target | None:
        """Return what `$id`s and anchors say about a reference."""
        uri = join(place.base, reference)
        pointer = self._identifiers[place.source].find(uri)
        if pointer is not None:
            return place.source, pointer
        if uri.startswith("#"):
            return None
        found = ((source, names.find(uri)) for source, names in self._identifiers.items())
        return next(((source, at) for source, at in found if at is not None), None)

    def _located(self, reference: str, place: Place) -> Target:
        """Return what a reference says as the name of a file, with a pointer or an anchor."""
        location, _, fragment = reference.partition("#")
        source = self._open(location, place) if location else place.source
        pointer = pointer_parts(fragment)
        if pointer is None:
            pointer = self._identifiers[source].find("#" + fragment)
        if pointer is None:
            raise _unresolved(reference)
        return source, pointer

    def _open(self, location: str, place: Place) -> SourceFile:
        named = (place.source, location)
        if named not in self._located_files:
            self._located_files[named] = self._find_file(location, place)
        return self._located_files[named]

    def _find_file(self, location: str, place: Place) -> SourceFile:
        if _leaves_machine(location):
            raise BrokenReferenceError(
                "remote-ref",
                f"the reference {location!r} leaves this machine",
                "copy the document into the contract folder and refer to it by a relative path",
            )
        try:
            path = (place.source.path.parent / unquote(location)).resolve()
            if not path.is_relative_to(self._root):
                raise BrokenReferenceError(
                    "escaping-ref",
                    f"the reference {location!r} leaves the folder of the contracts",
                    "keep every referenced file inside the contract folder",
                )
            if not path.is_file():
                raise _unresolved(location)
        except (OSError, ValueError, RuntimeError):  # no name of a file, or a circle of links
            raise _unresolved(location) from None
        return self._read(path)

    def _read(self, path: Path) -> SourceFile:
        if path not in self._opened:
            self._opened[path] = None
            source = self._cache.read(path)
            self._opened[path] = source
            self._identifiers[source] = Identifiers(source.text, source.data)
        opened = self._opened[path]
        if opened is None:
            raise ContractError(())  # what is wrong with it has been said
        return opened


def _leaves_machine(location: str) -> bool:
    try:
        return bool(urlsplit(location).scheme) or location.startswith("//")
    except ValueError:
        return True


def _unresolved(reference: str) -> BrokenReferenceError:
    return BrokenReferenceError(
        "unresolved-ref",
        f"the reference {reference!r} points at nothing",
        "correct the path, or add what it names",
    )

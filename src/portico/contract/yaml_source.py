"""YAML as OpenAPI uses it: the JSON schema of YAML 1.2, read event by event and bounded.

The loaders of PyYAML recurse, in C without a limit, and follow YAML 1.1. Building from events
needs neither recursion nor a tree of nodes, and knows where each thing stands.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from typing import Any

import yaml

from portico.contract.findings import MisreadError

Pointer = tuple[str, ...]
Marks = dict[Pointer, tuple[int, int]]

MAX_DEPTH = 128  # levels; what walks over a document may recurse this deep
MAX_ALIASED = 100_000  # nodes that aliases stand for; a few lines can mean billions
MAX_DIGITS = 100  # of one number
_Base: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_TAG = "tag:yaml.org,2002:"
_PLAIN_TAGS = frozenset({None, "!", f"{_TAG}map", f"{_TAG}seq"})
# The first characters of plain texts that may be something else than text.
_SUSPECT = frozenset("-+.0123456789tTfFnN~")
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)\Z").match
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?\Z").match
_WORDS = {
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
}
_KINDS: dict[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (float, int),
    "bool": (bool,),
    "null": (type(None),),
}


class YAMLMisreadError(MisreadError, yaml.YAMLError):
    """A text that is not YAML, or not the part of YAML that has a meaning in JSON."""


class YAMLLoader(_Base):  # type: ignore[misc]  # the base is chosen at run time
    """The loader for `yaml.load`: no dates, no yes/no, string keys, no duplicate keys."""

    def get_single_data(self) -> Any:
        return _Builder().build(self.get_event)


def read_yaml(text: str) -> Any:
    """Return the data of a YAML text; raises YAMLMisreadError."""
    loader = None
    try:
        loader = YAMLLoader(text)
        return loader.get_single_data()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line, column = (mark.line + 1, mark.column + 1) if mark else (1, 1)
        raise YAMLMisreadError(error.problem or str(error), line, column) from None
    except yaml.reader.ReaderError as error:
        before = text[: error.position]
        line = before.count("\n") + 1
        column = len(before) - before.rfind("\n")
        raise YAMLMisreadError(f"{error.reason} (#x{error.character:04x})", line, column) from None
    finally:
        if loader is not None:
            loader.dispose()


class _Frame:
    """A mapping or sequence that is being read. `key` waits for its value."""

    __slots__ = ("anchor", "height", "key", "start", "value")

    def __init__(self, value: Any, anchor: str | None, start: int) -> None:
        self.value = value
        self.anchor = anchor
        self.start = start
        self.key: str | None = None
        self.height = 1


class _Builder:
    """Builds data from the events of one document."""

    def __init__(self) -> None:
        self._frames: list[_Frame] = []
        self._anchors: dict[str, tuple[Any, int, int]] = {}  # value, nodes, height
        self._nodes = 0
        self._aliased = 0
        self._documents = 0
        self._result: Any = None
        self._handlers: dict[type, Callable[[Any], None]] = {
            yaml.ScalarEvent: self._scalar,
            yaml.MappingStartEvent: self._open,
            yaml.SequenceStartEvent: self._open,
            yaml.MappingEndEvent: self._close,
            yaml.SequenceEndEvent: self._close,
            yaml.AliasEvent: self._alias,
            yaml.DocumentStartEvent: self._document,
        }

    def build(self, next_event: Callable[[], Any]) -> Any:
        """Return the data of all events up to the end of the stream; raises YAMLMisreadError."""
        handlers = self._handlers
        end: Any = yaml.StreamEndEvent
        while True:
            event = next_event()
            kind = event.__class__
            if kind is end:
                return self._result
            handler = handlers.get(kind)
            if handler is not None:
                handler(event)

    def _document(self, event: Any) -> None:
        self._documents += 1
        if self._documents > 1:
            raise _misread("there is a second document in the file", event)

    def _scalar(self, event: Any) -> None:
        frames = self._frames
        if frames and frames[-1].key is None and frames[-1].value.__class__ is dict:
            key = event.value
            if key in frames[-1].value:
                raise _misread(f"the key {key[:64]!r} appears twice in one mapping", event)
            if key == "<<" and event.implicit[0]:
                raise _misread("merge keys are not part of YAML 1.2", event)
            frames[-1].key = key
            return
        value = _value(event)
        self._nodes += 1
        if event.anchor is not None:
            self._anchors[event.anchor] = (value, 1, 0)
        self._put(value)

    def _open(self, event: Any) -> None:
        if event.tag not in _PLAIN_TAGS:
            raise _misread(f"the tag {event.tag} has no meaning in a contract", event)
        self._refuse_as_key(event)
        if len(self._frames) >= MAX_DEPTH:
            raise _misread(f"the document nests deeper than {MAX_DEPTH} levels", event)
        value: Any = {} if event.__class__ is yaml.MappingStartEvent else []
        self._nodes += 1
        self._frames.append(_Frame(value, event.anchor, self._nodes))

    def _close(self, event: Any) -> None:
        del event
        frame = self._frames.pop()
        if frame.anchor is not None:
            size = self._nodes - frame.start + 1
            self._anchors[frame.anchor] = (frame.value, size, frame.height)
        if self._frames:
            self._frames[-1].height = max(self._frames[-1].height, frame.height + 1)
        self._put(frame.value)

    def _alias(self, event: Any) -> None:
        self._refuse_as_key(event)
        if any(frame.anchor == event.anchor for frame in self._frames):
            raise _misread(f"the alias *{event.anchor} stands inside what it stands for", event)
        known = self._anchors.get(event.anchor)
        if known is None:
            raise _misread(f"there is no anchor &{event.anchor} above", event)
        value, size, height = known
        self._nodes += size
        self._aliased += size
        if self._aliased > MAX_ALIASED:
            raise _misread(f"aliases stand for more than {MAX_ALIASED} nodes", event)
        if len(self._frames) + height > MAX_DEPTH:
            raise _misread(f"the document nests deeper than {MAX_DEPTH} levels", event)
        if self._frames:
            self._frames[-1].height = max(self._frames[-1].height, height + 1)
        self._put(value)

    def _refuse_as_key(self, event: Any) -> None:
        frame = self._frames[-1] if self._frames else None
        if frame is not None and frame.key is None and frame.value.__class__ is dict:
            raise _misread("mapping keys must be plain text", event)

    def _put(self, value: Any) -> None:
        if not self._frames:
            self._result = value
            return
        frame = self._frames[-1]
        if frame.key is None:
            frame.value.append(value)
        else:
            frame.value[frame.key] = value
            frame.key = None


def _value(event: Any) -> Any:
    """Return what a scalar means: plain texts may be numbers, booleans or null."""
    text: str = event.value
    tag = event.tag
    if tag is None:
        if not event.implicit[0] or (text and text[0] not in _SUSPECT):
            return text
        return _plain(text, event)
    if tag in {"!", f"{_TAG}str"}:
        return text
    value = _plain(text, event)
    kinds = _KINDS.get(tag.removeprefix(_TAG))
    if kinds is None or type(value) not in kinds:
        raise _misread(f"the tag {tag} does not fit {text[:64]!r}", event)
    return value


def _plain(text: str, event: Any) -> Any:
    if text in _WORDS:
        return _WORDS[text]
    if not _FLOAT(text):
        return text
    if len(text) > MAX_DIGITS:
        raise _misread(f"a number has more than {MAX_DIGITS} digits", event)
    if _INTEGER(text):
        return int(text)
    if text.lstrip("-+").isdecimal():
        return text  # 007 is a code, not a number
    number = float(text)
    if not math.isfinite(number):
        raise _misread("a number is too large for JSON", event)
    return number


def _misread(message: str, event: Any) -> YAMLMisreadError:
    return YAMLMisreadError(message, event.start_mark.line + 1, event.start_mark.column + 1)


def yaml_marks(text: str) -> Marks:
    """Return line and column of every key and item of a YAML text that `read_yaml` reads.

    What stands below an alias has no mark of its own.
    """
    marks: Marks = {}
    path: list[str] = []
    # One entry for each open collection: the number of the next item, or -1 in a mapping.
    items: list[int] = []
    for event in _nodes(text):
        if isinstance(event, yaml.CollectionEndEvent):
            items.pop()
            _leave(path, items)
            continue
        mark = (event.start_mark.line + 1, event.start_mark.column + 1)
        if items and items[-1] < 0 and len(path) < len(items):
            path.append(event.value)
            marks[tuple(path)] = mark
            continue
        if items and items[-1] >= 0:
            path.append(str(items[-1]))
            items[-1] += 1
        marks.setdefault(tuple(path), mark)
        if isinstance(event, yaml.CollectionStartEvent):
            items.append(0 if isinstance(event, yaml.SequenceStartEvent) else -1)
        else:
            _leave(path, items)
    return marks


def _nodes(text: str) -> Iterator[Any]:
    wanted = (yaml.NodeEvent, yaml.CollectionEndEvent)
    return (event for event in yaml.parse(text, Loader=YAMLLoader) if isinstance(event, wanted))


def _leave(path: list[str], items: list[int]) -> None:
    """Drop the name of the thing that has just been read."""
    if items:
        path.pop()

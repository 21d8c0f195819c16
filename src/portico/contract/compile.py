"""Each operation of a document becomes an `Operation`, once."""

from __future__ import annotations

import calendar
import datetime
from collections.abc import Callable, Iterator, Mapping, Sequence
from email.utils import format_datetime
from functools import partial
from typing import Any, TypeVar

import jsonschema_rs

from portico.contract.bodies import compile_decoder, is_opaque
from portico.contract.bundle import Bundle, resolve
from portico.contract.findings import ContractError, Finding
from portico.contract.media import MediaTable, is_json
from portico.contract.operation import Answer, Content, Operation
from portico.contract.parameters import (
    IGNORED_HEADERS,
    Parameter,
    Reader,
    compile_reader,
    read_parameter,
)
from portico.contract.route import template_names
from portico.contract.schemas import SchemaSet, Validator
from portico.contract.security import Requirement, compile_requirement
from portico.contract.shape import Shaper, compile_shaper

METHODS = ("get", "put", "post", "delete", "options", "head", "patch", "trace", "query")
_PLACES = ("path", "query", "header", "cookie", "querystring")
T = TypeVar("T")


def operations_of(
    document: Mapping[str, Any],
) -> Iterator[tuple[tuple[str, ...], str, str, Mapping[str, Any], Mapping[str, Any]]]:
    """Yield pointer, template, method, path item and operation for each operation."""
    for template, item in document.get("paths", {}).items():
        if not isinstance(item, dict):
            continue
        for method in METHODS:
            if isinstance(item.get(method), dict):
                yield ("paths", template, method), template, method.upper(), item, item[method]
        additional = item.get("additionalOperations", {})
        for method, operation in additional.items():
            pointer = ("paths", template, "additionalOperations", method)
            yield pointer, template, method, item, operation


class Compiler:
    """Compiles the operations of one bundled document in the 3.1 form."""

    def __init__(
        self, document: Mapping[str, Any], bundle: Bundle, *, reject_unknown_query: bool
    ) -> None:
        self._document = document
        self._bundle = bundle
        self._reject_unknown_query = reject_unknown_query
        self._requests = SchemaSet(document, "request")
        self._responses = SchemaSet(document, "response")
        self._findings: list[Finding] = []

    def compile(
        self, secure: Callable[[Mapping[str, Any]], Requirement | None]
    ) -> tuple[Operation, ...]:
        """Return the operations; raises ContractError for schemas that cannot be compiled.

        `secure` may decide on an operation's requirement instead of its `security` member.
        """
        compiled = []
        for pointer, template, method, item, node in operations_of(self._document):
            operation = self._operation(pointer, template, method, item, node, secure(node))
            if operation is not None:
                compiled.append(operation)
        if self._findings:
            raise ContractError(self._findings)
        return tuple(compiled)

    def _operation(
        self,
        pointer: tuple[str, ...],
        template: str,
        method: str,
        item: Mapping[str, Any],
        node: Mapping[str, Any],
        security: Requirement | None,
    ) -> Operation | None:
        parameters = self._parameters(item, node)
        readers = {place: self._readers(parameters, place) for place in _PLACES}
        order = {name: index for index, name in enumerate(template_names(template))}
        composite = self._composite(parameters)
        validator = self._guard(pointer, partial(self._requests.validator, composite))
        contents, body_required = self._contents(pointer, node, composite)
        answers = self._answers(pointer, node)
        if validator is None:
            return None
        return Operation(
            operation_id=str(node.get("operationId") or f"{method.lower()} {template}"),
            method=method,
            template=template,
            pointer=pointer,
            summary=str(node.get("summary", "")),
            parameters=parameters,
            security=security or self._security(node),
            deprecated=bool(node.get("deprecated", False)),
            notices=notices(node),
            idempotency=_idempotency(parameters),
            contents=MediaTable(contents),
            body_required=body_required,
            answers=answers,
            success=_success(answers),
            produces=_produces(answers),
            validator=validator,
            path_readers=tuple(sorted(readers["path"], key=lambda reader: order[reader.name])),
            query_readers=readers["query"] + readers["querystring"],
            header_readers=tuple(
                (reader.name.lower().encode("latin-1"), reader) for reader in readers["header"]
            ),
            cookie_readers=readers["cookie"],
            reject_unknown_query=self._reject_unknown_query,
        )

    def _security(self, node: Mapping[str, Any]) -> Requirement:
        return compile_requirement(node.get("security", self._document.get("security", [])))

    def _parameters(
        self, item: Mapping[str, Any], node: Mapping[str, Any]
    ) -> tuple[Parameter, ...]:
        """Return the parameters; those of the operation replace equal ones of its path."""
        found: dict[tuple[str, str], Parameter] = {}
        for source in (item, node):
            for described in source.get("parameters", ()):
                parameter = read_parameter(self._document, described)
                found[parameter.name, parameter.where] = parameter
        return tuple(
            parameter
            for parameter in found.values()
            if parameter.where != "header" or parameter.name.lower() not in IGNORED_HEADERS
        )

    def _readers(self, parameters: Sequence[Parameter], place: str) -> tuple[Reader, ...]:
        chosen = [parameter for parameter in parameters if parameter.where == place]
        # Exploded objects and whole-query parameters take what the others leave.
        chosen.sort(key=lambda parameter: parameter.where == "querystring")
        return tuple(compile_reader(self._document, parameter) for parameter in chosen)

    def _composite(self, parameters: Sequence[Parameter]) -> dict[str, Any]:
        """Return one schema for all parameters: errors name place and parameter by their path."""
        places: dict[str, Any] = {}
        for parameter in parameters:
            where = "query" if parameter.where == "querystring" else parameter.where
            place = places.setdefault(where, {"type": "object", "properties": {}, "required": []})
            place["properties"][parameter.name] = self._requests.view(parameter.schema)
            if parameter.required:
                place["required"].append(parameter.name)
        needed = [name for name, place in places.items() if place["required"]]
        return {"type": "object", "properties": places, "required": needed}

    def _contents(
        self, pointer: tuple[str, ...], node: Mapping[str, Any], composite: Mapping[str, Any]
    ) -> tuple[list[tuple[str, Content]], bool]:
        body = resolve(self._document, node.get("requestBody", {}))
        contents = []
        for media_type, described in body.get("content", {}).items():
            media = resolve(self._document, described)
            at = (*pointer, "requestBody", "content", media_type)
            schema = media.get("schema", {})
            validator = self._guard(at, partial(self._with_body, composite, schema))
            if validator is None:
                continue
            decode = compile_decoder(self._document, media_type, media)
            shaper = compile_shaper(self._document, schema, "request")
            content = Content(
                media_type=media_type,
                opaque=is_opaque(media_type),
                decode=decode,
                shaper=shaper,
                validator=validator,
            )
            contents.append((media_type, content))
        return contents, bool(body.get("required", False))

    def _with_body(self, composite: Mapping[str, Any], schema: Any) -> Validator:
        properties = {**composite["properties"], "body": self._requests.view(schema)}
        return self._requests.validator({**composite, "properties": properties})

    def _answers(self, pointer: tuple[str, ...], node: Mapping[str, Any]) -> dict[str, Answer]:
        answers = {}
        for status, described in node.get("responses", {}).items():
            if status.startswith("x-"):
                continue
            response = resolve(self._document, described)
            at = (*pointer, "responses", status)
            answers[status.upper() if status != "default" else status] = Answer(
                status=status,
                media=self._answer_media(at, response),
                headers=self._answer_headers(at, response),
                shapers=self._answer_shapers(response),
            )
        return answers

    def _answer_media(
        self, at: tuple[str, ...], response: Mapping[str, Any]
    ) -> MediaTable[Validator | None]:
        entries: list[tuple[str, Validator | None]] = []
        for media_type, described in response.get("content", {}).items():
            media = resolve(self._document, described)
            validator = None
            if is_json(media_type) and "schema" in media:
                validator = self._guard(
                    (*at, "content", media_type), partial(self._response, media["schema"])
                )
            entries.append((media_type, validator))
        return MediaTable(entries)

    def _answer_shapers(self, response: Mapping[str, Any]) -> dict[str, Shaper]:
        shapers = {}
        for media_type, described in response.get("content", {}).items():
            schema = resolve(self._document, described).get("schema", {})
            shaper = compile_shaper(self._document, schema, "response")
            if shaper is not None:
                shapers[media_type] = shaper
        return shapers

    def _answer_headers(
        self, at: tuple[str, ...], response: Mapping[str, Any]
    ) -> dict[str, tuple[Reader, Validator | None, bool]]:
        compiled = {}
        for name, described in response.get("headers", {}).items():
            if name.lower() == "content-type":
                continue
            header = {**resolve(self._document, described), "name": name, "in": "header"}
            parameter = read_parameter(self._document, header)
            validator = self._guard(
                (*at, "headers", name), partial(self._response, parameter.schema)
            )
            reader = compile_reader(self._document, parameter)
            compiled[name.lower()] = (reader, validator, parameter.required)
        return compiled

    def _response(self, schema: Any) -> Validator:
        return self._responses.validator(self._responses.view(schema))

    def _guard(self, pointer: Sequence[str], make: Callable[[], T]) -> T | None:
        """Return what `make` compiles; a schema that cannot be compiled becomes a finding."""
        try:
            return make()
        except (jsonschema_rs.ValidationError, jsonschema_rs.ReferencingError, ValueError) as error:
            self._findings.append(
                Finding(
                    position=self._bundle.position(pointer),
                    rule="invalid-schema",
                    message=f"a schema of this operation cannot be compiled: {_first_line(error)}",
                    hint="correct the schema; patterns must be valid ECMA 262 expressions",
                )
            )
            return None


def _first_line(error: Exception) -> str:
    return str(error).splitlines()[0][:200] if str(error) else type(error).__name__


def _success(answers: Mapping[str, Answer]) -> tuple[int, ...]:
    return tuple(int(status) for status in answers if status.startswith("2") and status.isdecimal())


def _produces(answers: Mapping[str, Answer]) -> tuple[str, ...]:
    """Return the media types of the successful answers, in the order of the contract."""
    names = [
        name
        for status, answer in answers.items()
        if status.startswith(("2", "3"))
        for name in answer.media.names()
    ]
    return tuple(dict.fromkeys(names))


def _idempotency(parameters: Sequence[Parameter]) -> str:
    for parameter in parameters:
        if parameter.where == "header" and parameter.name.lower() == "idempotency-key":
            return "required" if parameter.required else "optional"
    return ""


def notices(node: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """Return the Deprecation (RFC 9745), Sunset (RFC 8594) and Link headers of an operation."""
    if not node.get("deprecated"):
        return ()
    headers = []
    since, until = _date(node.get("x-deprecated-at")), _date(node.get("x-sunset-at"))
    if since is not None:
        headers.append(("Deprecation", f"@{calendar.timegm(since.utctimetuple())}"))
    if until is not None:
        headers.append(("Sunset", format_datetime(until, usegmt=True)))
    if isinstance(node.get("x-successor"), str):
        headers.append(("Link", f'<{node["x-successor"]}>; rel="successor-version"'))
    return tuple(headers)


def _date(value: object) -> datetime.datetime | None:
    if not isinstance(value, str):
        return None
    try:
        moment = datetime.datetime.fromisoformat(value)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=datetime.UTC)
    return moment.astimezone(datetime.UTC)

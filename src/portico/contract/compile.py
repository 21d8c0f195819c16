"""Each operation of a document becomes an `Operation`, once."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, TypeVar

import jsonschema_rs

from portico.contract.answers import Answer
from portico.contract.bodies import compile_decoder, handling
from portico.contract.bundle import Bundle, resolve
from portico.contract.default_rules import default_findings
from portico.contract.findings import ContractError, Finding
from portico.contract.media import MediaTable, is_json
from portico.contract.notices import notices
from portico.contract.operation import Content, Operation
from portico.contract.operations import Described, operations_of, parameters_of
from portico.contract.parameters import (
    IGNORED_HEADERS,
    Parameter,
    Reader,
    compile_reader,
    read_parameter,
    takes_the_rest,
)
from portico.contract.schema_parts import schema_types
from portico.contract.schemas import SchemaSet, Validator
from portico.contract.security import Requirement
from portico.contract.segments import template_names
from portico.contract.shape import Shaper, Shapers
from portico.contract.walk import Pointer

__all__ = ["Compiler", "operations_of"]

_PLACES = ("path", "query", "header", "cookie")
T = TypeVar("T")


class Compiler:
    """Compiles the operations of one bundled document in the 3.1 form.

    Raises ContractError for schemas that cannot be compiled, here and in `compile`.
    """

    def __init__(
        self, document: Mapping[str, Any], bundle: Bundle, *, reject_unknown_query: bool
    ) -> None:
        self._document = document
        self._bundle = bundle
        self._reject_unknown_query = reject_unknown_query
        self._findings: list[Finding] = []
        # Most operations share their errors, and each is compiled once. Ids stay while the
        # document does.
        self._answered: dict[tuple[str, int], Answer] = {}
        try:
            self._requests = SchemaSet(document, "request")
            self._responses = SchemaSet(document, "response")
        except (jsonschema_rs.ReferencingError, ValueError) as error:
            raise ContractError([_invalid(bundle, ("components",), error)]) from None
        self._request_shapers = Shapers(document, "request")
        self._response_shapers = Shapers(document, "response")

    def compile(self, secure: Callable[[Mapping[str, Any]], Requirement]) -> tuple[Operation, ...]:
        """Return the operations; `secure` decides what each asks of its caller."""
        self._guard((), self._check_defaults)
        compiled = [
            self._operation(described, secure(described[-1]))
            for described in operations_of(self._document)
        ]
        if self._findings:
            raise ContractError(self._findings)
        return tuple(operation for operation in compiled if operation is not None)

    def _check_defaults(self) -> None:
        self._findings.extend(default_findings(self._bundle, self._document, self._requests))

    def _operation(self, described: Described, security: Requirement) -> Operation | None:
        pointer, template, method, _, node = described
        parameters = self._parameters(described)
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
            security=security,
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
            query_readers=readers["query"],
            header_readers=tuple(
                (reader.name.lower().encode("latin-1"), reader) for reader in readers["header"]
            ),
            cookie_readers=readers["cookie"],
            reject_unknown_query=self._reject_unknown_query,
        )

    def _parameters(self, described: Described) -> tuple[Parameter, ...]:
        found = (
            read_parameter(self._document, node)
            for _, node in parameters_of(self._document, described)
        )
        return tuple(
            parameter
            for parameter in found
            if parameter.where != "header" or parameter.name.lower() not in IGNORED_HEADERS
        )

    def _readers(self, parameters: Sequence[Parameter], place: str) -> tuple[Reader, ...]:
        chosen = [parameter for parameter in parameters if parameter.place == place]
        if place == "query":
            chosen.sort(key=partial(takes_the_rest, self._document))
        return tuple(compile_reader(self._document, parameter) for parameter in chosen)

    def _composite(self, parameters: Sequence[Parameter]) -> dict[str, Any]:
        """Return one schema for all parameters: errors name place and parameter by their path."""
        places: dict[str, Any] = {}
        for parameter in parameters:
            empty: dict[str, Any] = {"type": "object", "properties": {}, "required": []}
            place = places.setdefault(parameter.place, empty)
            schema = self._requests.view(parameter.schema)
            if parameter.allow_empty:
                schema = {"anyOf": [{"const": ""}, schema]}
            place["properties"][parameter.name] = schema
            if parameter.required:
                place["required"].append(parameter.name)
        needed = [name for name, place in places.items() if place["required"]]
        return {"type": "object", "properties": places, "required": needed}

    def _contents(
        self, pointer: Pointer, node: Mapping[str, Any], composite: Mapping[str, Any]
    ) -> tuple[list[tuple[str, Content]], bool]:
        body = resolve(self._document, node.get("requestBody", {}))
        contents = []
        for media_type, described in body.get("content", {}).items():
            media = resolve(self._document, described)
            at = (*pointer, "requestBody", "content", media_type)
            content = self._guard(at, partial(self._content, media_type, media, composite))
            if content is not None:
                contents.append((media_type, content))
        return contents, bool(body.get("required", False))

    def _content(
        self, media_type: str, media: Mapping[str, Any], composite: Mapping[str, Any]
    ) -> Content:
        schema = media.get("schema", {})
        opaque = handling(self._document, media_type, schema) == "opaque"
        # Octets are a text to their schema; what describes a structure inside is not for us.
        unread = opaque and not schema_types(self._document, schema) <= {"string"}
        body = {} if unread else self._requests.view(schema)
        properties = {**composite["properties"], "body": body}
        return Content(
            media_type=media_type,
            opaque=opaque,
            decode=compile_decoder(self._document, media_type, media),
            shaper=None if opaque else self._request_shapers.compile(schema),
            validator=self._requests.validator({**composite, "properties": properties}),
        )

    def _answers(self, pointer: Pointer, node: Mapping[str, Any]) -> dict[str, Answer]:
        answers = {}
        for status, described in node.get("responses", {}).items():
            if status.startswith("x-"):
                continue
            response = resolve(self._document, described)
            known = (status, id(response))
            if known not in self._answered:
                at = (*pointer, "responses", status)
                self._answered[known] = self._answer(at, status, response)
            name = status if status == "default" else status.upper()
            answers[name] = self._answered[known]
        return answers

    def _answer(self, at: Pointer, status: str, response: Mapping[str, Any]) -> Answer:
        return Answer(
            status=status,
            media=self._answer_media(at, response),
            headers=self._answer_headers(at, response),
            shapers=self._answer_shapers(response),
        )

    def _answer_media(
        self, at: Pointer, response: Mapping[str, Any]
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
            shaper = self._response_shapers.compile(schema) if is_json(media_type) else None
            if shaper is not None:
                shapers[media_type] = shaper
        return shapers

    def _answer_headers(
        self, at: Pointer, response: Mapping[str, Any]
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
        except (jsonschema_rs.ReferencingError, ValueError) as error:
            self._findings.append(_invalid(self._bundle, pointer, error))
            return None


def _invalid(bundle: Bundle, pointer: Sequence[str], error: Exception) -> Finding:
    reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
    return bundle.finding(
        pointer,
        "invalid-schema",
        f"a schema of this part cannot be compiled: {reason}",
        "correct the schema; patterns must be valid ECMA 262 expressions",
    )


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

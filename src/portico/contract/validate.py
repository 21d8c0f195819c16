"""The document against the OpenAPI specification itself, by openapi-core's own tool chain."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any

import jsonschema_rs
from openapi_spec_validator import (
    OpenAPIV30SpecValidator,
    OpenAPIV31SpecValidator,
    OpenAPIV32SpecValidator,
)
from openapi_spec_validator.schemas import schema_v30, schema_v31, schema_v32
from openapi_spec_validator.validation import keywords
from openapi_spec_validator.validation.exceptions import (
    DuplicateOperationIDError,
    ParameterDuplicateError,
    UnresolvableParameterError,
)
from openapi_spec_validator.validation.validators import SpecValidator

from portico.contract.bundle import Bundle
from portico.contract.findings import Finding

MAX_FINDINGS = 50  # of one document; the first ones usually explain the rest
MAX_MESSAGE = 300  # characters; messages quote what they are about
_VERSION = re.compile(r"(3\.[0-9])\.[0-9]+(?:-.+)?\Z")
_HINT = "compare this place with the OpenAPI specification"
# Rules of ours say the same, and where.
_OURS = (DuplicateOperationIDError, ParameterDuplicateError, UnresolvableParameterError)


class _SchemasElsewhere(keywords.KeywordValidator):
    """Leaves schemas to `schema_rules`.

    The tool chain's own walk cannot say where a schema is wrong, misses those of request bodies
    and headers, recurses without end on lists of lists, and takes most of the time.
    """

    def __call__(self, *_: Any) -> Iterator[Any]:
        return iter(())


def _without_schemas(base: type[SpecValidator]) -> type[SpecValidator]:
    # Of schemas and responses it looks at nothing else than the schemas in them.
    elsewhere = dict.fromkeys(("schema", "schemas", "responses"), _SchemasElsewhere)
    keyword_validators = {**base.keyword_validators, **elsewhere}
    return type(base.__name__, (base,), {"keyword_validators": keyword_validators})


_VALIDATORS: Mapping[str, tuple[Any, type[SpecValidator]]] = {
    "3.0": (schema_v30, _without_schemas(OpenAPIV30SpecValidator)),
    "3.1": (schema_v31, _without_schemas(OpenAPIV31SpecValidator)),
    "3.2": (schema_v32, _without_schemas(OpenAPIV32SpecValidator)),
}


def validate(bundle: Bundle) -> list[Finding]:
    """Return what makes the document no valid OpenAPI 3.0, 3.1 or 3.2."""
    matched = _VERSION.match(bundle.document["openapi"])
    version = matched.group(1) if matched else ""
    if version not in _VALIDATORS:
        message = f"OpenAPI {bundle.document['openapi'][:32]!r} is not known"
        hint = "use a 3.0, 3.1 or 3.2 document"
        return [bundle.finding(("openapi",), "unknown-version", message, hint)]
    # The patch number has no meaning, but the schema of 3.0 does not know all.
    document = {**bundle.document, "openapi": f"{version}.0"}
    # The tool chain looks into a document on the understanding that it has the right shape.
    wrong = list(_misshapen(bundle, document, version))
    return wrong or list(_contradictions(bundle, document, version))


def _misshapen(bundle: Bundle, document: dict[str, Any], version: str) -> Iterator[Finding]:
    for count, error in enumerate(_shape(version).iter_errors(document)):
        if count == MAX_FINDINGS:
            return
        deepest = _deepest(error)
        message = deepest.message[:MAX_MESSAGE]
        yield bundle.finding(deepest.instance_path, "invalid-openapi", message, _HINT)


@lru_cache(maxsize=len(_VALIDATORS))
def _shape(version: str) -> jsonschema_rs.Validator:
    """Return the compiled JSON Schema of a version of OpenAPI, as the tool chain ships it."""
    validator: jsonschema_rs.Validator = jsonschema_rs.validator_for(
        dict(_VALIDATORS[version][0]), offline=True
    )
    return validator


def _deepest(error: jsonschema_rs.ValidationError) -> jsonschema_rs.ValidationError:
    """Return the most specific cause: that an alternative fails says little by itself."""
    for _ in range(16):  # alternatives inside alternatives
        inner = [
            cause for branch in getattr(error.kind, "context", ()) for cause in branch if branch
        ]
        # That it is no reference is what every object that is none fails with first.
        inner = [cause for cause in inner if getattr(cause.kind, "property", "") != "$ref"] or inner
        if not inner:
            break
        error = max(inner, key=lambda cause: len(cause.instance_path))
    return error


def _contradictions(bundle: Bundle, document: dict[str, Any], version: str) -> Iterator[Finding]:
    """Yield what the tool chain finds beyond the shape; what we leave to it is about tags."""
    for error in _VALIDATORS[version][1](document).iter_errors():
        if not isinstance(error, _OURS):
            at = list(error.absolute_path) or ["tags"]
            yield bundle.finding(at, "invalid-openapi", error.message[:MAX_MESSAGE], _HINT)

"""The document against the OpenAPI specification itself, by openapi-core's own tool chain."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import jsonschema_rs
from jsonschema.exceptions import ValidationError
from openapi_schema_validator import OAS31_BASE_DIALECT_ID, OAS32_BASE_DIALECT_ID
from openapi_spec_validator import (
    OpenAPIV30SpecValidator,
    OpenAPIV31SpecValidator,
    OpenAPIV32SpecValidator,
)
from openapi_spec_validator.validation import keywords
from openapi_spec_validator.validation.validators import SpecValidator

from portico.contract.bundle import Bundle
from portico.contract.findings import ContractError, Finding

MAX_FINDINGS = 50  # of one document; the first ones usually explain the rest


class _FastSchemaCheck(keywords.OpenAPIV31SchemaValidator):
    """Checks each schema against its meta-schema with jsonschema-rs.

    The tool chain does this with the Python validator: two thirds of its time on a large
    document. `_get_schema_checker` is its hook for that; a test pins it.
    """

    def _get_schema_checker(self, schema: Any, schema_value: Any) -> Callable[[Any], None]:
        dialect = self._get_schema_dialect_id(schema, schema_value)
        if dialect not in _FAST_DIALECTS:
            checker: Callable[[Any], None] = super()._get_schema_checker(schema, schema_value)
            return checker
        return partial(_check_schema, super()._get_schema_checker(schema, schema_value))


def _check_schema(explain: Callable[[Any], None], schema: Any) -> None:
    """Check fast; let the tool chain's own checker word what is wrong."""
    if not jsonschema_rs.meta.is_valid(schema):
        explain(schema)


_FAST_DIALECTS = frozenset(
    {
        "https://json-schema.org/draft/2020-12/schema",
        OAS31_BASE_DIALECT_ID,
        OAS32_BASE_DIALECT_ID,
    }
)


class _V31(OpenAPIV31SpecValidator):
    keyword_validators = {
        **OpenAPIV31SpecValidator.keyword_validators,
        "schema": _FastSchemaCheck,
    }


class _V32(OpenAPIV32SpecValidator):
    keyword_validators = {
        **OpenAPIV32SpecValidator.keyword_validators,
        "schema": _FastSchemaCheck,
    }


_VALIDATORS: Mapping[str, type[SpecValidator]] = {
    "3.0": OpenAPIV30SpecValidator,
    "3.1": _V31,
    "3.2": _V32,
}


def validate(bundle: Bundle) -> None:
    """Raise ContractError unless the document is valid OpenAPI 3.0, 3.1 or 3.2."""
    version = ".".join(str(bundle.document["openapi"]).split(".")[:2])
    validator = _VALIDATORS.get(version)
    if validator is None:
        raise ContractError(
            [
                Finding(
                    position=bundle.position(("openapi",)),
                    rule="unknown-version",
                    message=f"OpenAPI {bundle.document['openapi']} is not known",
                    hint="use a 3.0, 3.1 or 3.2 document",
                )
            ]
        )
    findings = list(_findings(bundle, validator))
    if findings:
        raise ContractError(findings)


def _findings(bundle: Bundle, validator: type[SpecValidator]) -> Iterator[Finding]:
    for count, error in enumerate(validator(bundle.document).iter_errors()):
        if count == MAX_FINDINGS:
            return
        deepest = _deepest(error)
        yield Finding(
            position=bundle.position(list(deepest.absolute_path)),
            rule="invalid-openapi",
            message=deepest.message[:300],
            hint="compare this place with the OpenAPI specification",
        )


def _deepest(error: ValidationError) -> ValidationError:
    """Return the most specific cause: alternatives that fail say little by themselves."""
    while error.context:
        error = max(error.context, key=lambda cause: len(cause.absolute_path))
    return error

"""The source of the generated modules: `models.py` and those of `calls`."""

from __future__ import annotations

from collections.abc import Sequence

from portico.codegen.annotations import Models, pascal_case, python_name, union
from portico.codegen.apis import OperationSource, Schema, find_operation, is_key, operations
from portico.contract import Contract

NOTICE = "Generated from the contract by `make codegen`; do not edit."


def models_module(contract: Contract) -> str:
    """Return the source of `models.py`: the bodies that the API's handlers take and give."""
    models = Models(contract.document, filled=True)
    for operation in operations(contract):
        name = pascal_case(operation.id)
        if operation.body is not None:
            models.annotation(operation.body[0], f"{name}Body")
        for result in operation.results:
            models.annotation(result, f"{name}Result")
    return _module(f"Data of {contract.name}. {NOTICE}", models.classes)


def calls_module(contract: Contract, operation_ids: Sequence[str]) -> str:
    """Return the source of a module of `calls`: one function for each operation called."""
    models = Models(contract.document, filled=False)
    functions = [
        _function(contract.name, find_operation(contract, operation_id), models)
        for operation_id in operation_ids
    ]
    return _module(
        f"Calls to {contract.name}. {NOTICE}", [*models.classes, *functions], is_calls=True
    )


def _function(api: str, operation: OperationSource, models: Models) -> str:
    name = pascal_case(operation.id)
    parameters = [parameter for parameter in operation.parameters if not is_key(parameter)]
    parameters.sort(key=lambda parameter: not parameter.get("required"))
    body, result = _body(operation, models, name), _result(operation, models, name)
    signature = [_parameter(models, parameter, name) for parameter in parameters]
    signature += [f"body: {body}"] if body else []
    signature += ['step: str = ""'] if operation.is_keyed else []
    signature.sort(key=lambda part: "=" in part)
    passed = [f"{api!r}, {operation.id!r}, {_arguments(parameters)}"]
    passed += ["body=body"] if body else []
    passed += ["step=step"] if operation.is_keyed else []
    taken = ", ".join(["call: Call[R]", *(["*"] if signature else []), *signature])
    invoke = f"await call.invoke({', '.join(passed)})"
    lines = [
        f"async def {python_name(operation.id)}({taken}) -> {result}:",
        f'    """{operation.summary}."""',
        f"    {invoke}" if result == "None" else f"    reply = {invoke}",
    ]
    if result != "None":
        lines.append(f"    return cast({result}, reply.body)")
    return "\n".join(lines) + "\n"


def _body(operation: OperationSource, models: Models, name: str) -> str:
    if operation.body is None:
        return ""
    schema, required = operation.body
    annotation = models.annotation(schema, f"{name}Body")
    return annotation if required else f"{annotation} | None = None"


def _result(operation: OperationSource, models: Models, name: str) -> str:
    return union(
        "None" if schema is None else models.annotation(schema, f"{name}Result")
        for schema in operation.results
    )


def _parameter(models: Models, parameter: Schema, name: str) -> str:
    annotation = models.annotation(parameter.get("schema"), name)
    suffix = "" if parameter.get("required") else " | None = None"
    return f"{python_name(parameter['name'])}: {annotation}{suffix}"


def _arguments(parameters: Sequence[Schema]) -> str:
    # The client leaves out what is None.
    entries = (f"{p['name']!r}: {python_name(p['name'])}" for p in parameters)
    return f"{{{', '.join(entries)}}}"


def _module(title: str, parts: Sequence[str], *, is_calls: bool = False) -> str:
    code = "\n\n".join(parts)
    names = ["TYPE_CHECKING", "TypeVar"] if is_calls else []
    names += [name for name, use in _USES.items() if use in code]
    head = [f'"""{title}"""', "", "from __future__ import annotations", ""]
    if names:
        head.append(f"from typing import {', '.join(sorted(names, key=_import_order))}\n")
    if is_calls:
        head.append("if TYPE_CHECKING:\n    from portico.server.call import Call\n")
        head.append('R = TypeVar("R")\n')
    return "\n".join(head) + "\n" + code


# What the code has where it needs a name of typing.
_USES = {
    "Literal": "Literal[",
    "NotRequired": "NotRequired[",
    "TypedDict": "TypedDict",
    "cast": "return cast(",
}


def _import_order(name: str) -> tuple[bool, bool, str]:
    """Sort as isort does: constants, classes, functions, whatever their case within each."""
    return (not name.isupper(), name.islower(), name.lower())

"""On SQLite the engine has one connection: a second one inside a first would wait for itself."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Iterator

from dbos import _sys_db, _sys_db_sqlite

# Opens a connection only where it is not given one, as it is inside a transaction.
_GIVEN_ONE = "_is_latest_version"


def _is_open(block: ast.AST) -> bool:
    opened = ("self.engine.begin", "self.engine.connect", "self._begin")
    return isinstance(block, ast.With) and any(
        ast.unparse(item.context_expr).startswith(opened) for item in block.items
    )


def _called(node: ast.AST) -> Iterator[str]:
    for call in ast.walk(node):
        match call:
            case ast.Call(func=ast.Attribute(value=ast.Name(id="self"), attr=name)):
                yield name


def test_the_engine_takes_no_connection_while_it_holds_one() -> None:
    trees = [ast.parse(inspect.getsource(module)) for module in (_sys_db, _sys_db_sqlite)]
    methods = [
        node for tree in trees for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)
    ]
    opening = {one.name for one in methods if any(map(_is_open, ast.walk(one)))}
    while more := {one.name for one in methods if opening & set(_called(one))} - opening:
        opening |= more

    blocks = [node for tree in trees for node in ast.walk(tree) if _is_open(node)]
    nested = {
        name
        for block in blocks
        if isinstance(block, ast.With)
        for statement in block.body
        for name in _called(statement)
        if name in opening
    }

    assert len(blocks) > 50
    assert nested <= {_GIVEN_ONE}

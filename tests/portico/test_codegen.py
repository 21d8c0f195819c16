"""The code generator: what it writes is typed, current, and needed by nobody at run time."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import types
from pathlib import Path
from typing import get_args, get_type_hints

import pytest

from portico.codegen import CodegenError, generate
from portico.codegen.__main__ import main
from portico.contract import ContractError

ROOT = Path(__file__).parents[2]
HEAD = """\
openapi: 3.1.1
info: {{title: {api}, version: 1.0.0}}
x-owner: tests
x-lifecycle: experimental
x-calls: {calls}
servers: [{{url: /{tier}/{api}/v{major}}}]
security: [{{oauth2: []}}]
components:
  securitySchemes:
    oauth2:
      type: oauth2
      flows: {{clientCredentials: {{tokenUrl: /oauth2/token, scopes: {{}}}}}}
  schemas:
    Page:
      type: object
      required: [items]
      properties:
        items: {{type: array}}
    Part:
      type: object
      description: A part. It has more to say, but not here.
      required: [name]
      properties:
        name: {{type: string, default: bolt}}
        size: {{type: [integer, 'null']}}
        kind: {{enum: [a, b]}}
        tags: {{type: object, additionalProperties: {{type: string}}}}
        anything: {{}}
        parts: {{type: array, items: {{$ref: '#/components/schemas/Part'}}}}
    Place:
      type: object
      required: [in]
      properties:
        in: {{type: string, enum: [query, path]}}
        either: {{oneOf: [{{type: string}}, {{$ref: '#/components/schemas/Part'}}]}}
    Parts:
      type: object
      allOf: [{{$ref: '#/components/schemas/Page'}}]
      properties:
        items: {{type: array, items: {{$ref: '#/components/schemas/Part'}}}}
    Settings:
      type: object
      properties:
        mode: {{type: string, enum: [fast, slow], default: fast}}
        list: {{type: string}}
        more: {{type: array, items: {{type: number}}}}
paths:
"""
PATHS = """\
  /parts:
    get:
      operationId: listParts
      summary: List parts
      parameters:
        - {name: pageSize, in: query, schema: {type: integer}}
        - {name: from, in: query, required: true, schema: {type: string}}
      responses:
        '200':
          description: Parts.
          content: {application/json: {schema: {$ref: '#/components/schemas/Parts'}}}
        default: {description: A problem.}
    put:
      operationId: putSettings
      parameters:
        - {name: Idempotency-Key, in: header, required: true, schema: {type: string}}
      requestBody:
        required: true
        content: {application/json: {schema: {$ref: '#/components/schemas/Settings'}}}
      responses:
        '204': {description: Done.}
  /place:
    get:
      operationId: getPlace
      responses:
        '200':
          description: A place.
          content: {application/json: {schema: {$ref: '#/components/schemas/Place'}}}
"""


def contract(root: Path, name: str, *, calls: str = "{}", paths: str = PATHS) -> None:
    tier, _, file = name.partition("/")
    api, _, major = file.partition(".v")
    path = root / tier / f"{file}.yaml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(HEAD.format(api=api, tier=tier, major=major, calls=calls) + paths)


def module(text: str) -> types.ModuleType:
    """Return generated code as a module: it must run without any development tool."""
    made = types.ModuleType("generated")
    exec(compile(text, "generated.py", "exec"), made.__dict__)
    return made


@pytest.fixture
def roots(tmp_path: Path) -> tuple[Path, Path]:
    contract(tmp_path / "specs", "system/parts.v1")
    contract(
        tmp_path / "specs",
        "process/stock-room.v2",
        calls="{system/parts.v1: [listParts, putSettings]}",
    )
    return tmp_path / "specs", tmp_path / "src"


def test_the_generated_files_of_the_repository_are_current() -> None:
    """What `make codegen` would write is what is there."""
    done = subprocess.run(
        [sys.executable, "-m", "portico.codegen", "--check"],
        cwd=ROOT,
        env={"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )

    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_models_and_calls_are_written_for_each_contract(roots: tuple[Path, Path]) -> None:
    specs, source = roots

    files = {str(path.relative_to(source)) for path in generate(specs, source)}

    assert files == {
        "system_apis/parts/models.py",
        "process_apis/stock_room_v2/models.py",
        "process_apis/stock_room_v2/calls/__init__.py",
        "process_apis/stock_room_v2/calls/parts.py",
    }


def test_generation_gives_the_same_text_every_time(roots: tuple[Path, Path]) -> None:
    assert generate(*roots) == generate(*roots)


def test_schemas_become_typed_dicts(roots: tuple[Path, Path]) -> None:
    specs, source = roots

    text = generate(specs, source)[source / "system_apis/parts/models.py"]

    assert (
        textwrap.dedent('''
        class Part(TypedDict):
            """A part."""

            name: str
            size: NotRequired[int | None]
            kind: NotRequired[Literal["a", "b"]]
            tags: NotRequired[dict[str, str]]
            anything: NotRequired[object]
            parts: NotRequired[list[Part]]
        ''')
        in text
    )


def test_a_page_has_the_items_that_it_specializes(roots: tuple[Path, Path]) -> None:
    specs, source = roots

    models = module(generate(specs, source)[source / "system_apis/parts/models.py"])

    hints = get_type_hints(models.Parts, vars(models))
    assert get_args(hints["items"]) == (models.Part,)


def test_a_member_that_is_no_python_name_still_has_a_type(roots: tuple[Path, Path]) -> None:
    specs, source = roots

    models = module(generate(specs, source)[source / "system_apis/parts/models.py"])

    hints = get_type_hints(models.Place, vars(models))
    assert set(hints) == {"in", "either"}
    assert hints["either"] == str | models.Part


def test_a_member_called_like_a_type_does_not_hide_it(roots: tuple[Path, Path]) -> None:
    specs, source = roots

    text = generate(specs, source)[source / "system_apis/parts/models.py"]

    models = module(text)
    assert get_type_hints(models.Settings, vars(models))["more"] == list[float]
    assert "Settings = TypedDict(" in text


def test_a_default_is_there_for_a_handler_and_may_be_left_out_by_a_caller(
    roots: tuple[Path, Path],
) -> None:
    specs, source = roots
    files = generate(specs, source)

    handled = files[source / "system_apis/parts/models.py"]
    called = files[source / "process_apis/stock_room_v2/calls/parts.py"]

    assert """"mode": "Literal['fast', 'slow']",""" in handled
    assert """"mode": "NotRequired[Literal['fast', 'slow']]",""" in called


def test_a_call_has_the_parameters_of_its_operation(roots: tuple[Path, Path]) -> None:
    specs, source = roots

    text = generate(specs, source)[source / "process_apis/stock_room_v2/calls/parts.py"]

    assert (
        textwrap.dedent('''
        async def list_parts(call: Call[R], *, from_: str, page_size: int | None = None) -> Parts:
            """List parts."""
            reply = await call.invoke(
                "system/parts.v1", "listParts", {"from": from_, "pageSize": page_size}
            )
            return cast(Parts, reply.body)


        async def put_settings(call: Call[R], *, body: Settings, step: str = "") -> None:
            """putSettings."""
            await call.invoke("system/parts.v1", "putSettings", {}, body=body, step=step)
        ''')
        in text
    )


def test_only_what_is_listed_can_be_called(roots: tuple[Path, Path]) -> None:
    specs, source = roots

    text = generate(specs, source)[source / "process_apis/stock_room_v2/calls/parts.py"]

    assert "get_place" not in text
    assert "Place" not in text


@pytest.mark.parametrize(
    ("calls", "message"),
    [
        ("{system/none.v1: [listParts]}", "process/x.v1 calls system/none.v1, which has no"),
        ("{system/parts.v1: [dropParts]}", "system/parts.v1 has no operation dropParts"),
        (
            "{system/parts.v1: [listParts], process/parts.v1: [listParts]}",
            "process/x.v1 calls two APIs whose modules are called parts",
        ),
    ],
)
def test_wrong_calls_are_refused(roots: tuple[Path, Path], calls: str, message: str) -> None:
    specs, source = roots
    contract(specs, "process/parts.v1")
    contract(specs, "process/x.v1", calls=calls)

    with pytest.raises(CodegenError, match=message):
        generate(specs, source)


def test_a_contract_that_is_wrong_is_reported_with_its_place(roots: tuple[Path, Path]) -> None:
    specs, source = roots
    contract(specs, "system/broken.v1", paths="  /x: {get: {$ref: 'none.yaml'}}\n")

    with pytest.raises(ContractError, match=r"broken\.v1\.yaml:\d+:\d+"):
        generate(specs, source)


def run(roots: tuple[Path, Path], *options: str) -> int:
    specs, source = roots
    return main([*options, "--contracts", str(specs), "--source", str(source)])


def test_check_names_what_is_stale_and_writes_nothing(
    roots: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(roots) == 0
    models = roots[1] / "system_apis/parts/models.py"
    models.write_text(models.read_text() + "# changed\n")
    capsys.readouterr()

    assert run(roots, "--check") == 1
    assert capsys.readouterr().out == f"stale {models}\n"
    assert models.read_text().endswith("# changed\n")
    assert run(roots) == 0
    assert run(roots, "--check") == 0


def test_what_is_no_longer_generated_is_removed_and_own_code_is_not(
    roots: tuple[Path, Path],
) -> None:
    run(roots)
    specs, source = roots
    calls = source / "process_apis/stock_room_v2/calls"
    (calls / "own.py").write_text('"""Written by hand."""\n')
    contract(specs, "process/stock-room.v2")

    assert run(roots, "--check") == 1
    assert run(roots) == 0
    assert [path.name for path in calls.iterdir()] == ["own.py"]


def test_the_command_line_says_what_is_wrong_without_a_traceback(
    roots: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    contract(roots[0], "process/x.v1", calls="{system/none.v1: [get]}")

    assert run(roots) == 3
    assert capsys.readouterr().err.startswith("error: process/x.v1 calls system/none.v1")


def test_no_api_needs_the_generator_or_its_tools() -> None:
    """The handlers are imported where ruff and the generator cannot be."""
    program = """
        import sys
        for name in ("ruff", "datamodel_code_generator", "portico.codegen"):
            sys.modules[name] = None
        import experience_apis.storefront.handlers, process_apis.orders.handlers
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        env={"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        timeout=50,
        check=False,
    )

    assert (done.returncode, done.stderr) == (0, "")

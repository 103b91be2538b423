"""Checks a proposed file of tests without running it: it parses, holds tests, and can import what it wants."""

from __future__ import annotations

import ast
import json
import sys
import warnings
from collections import deque
from dataclasses import dataclass
from posixpath import dirname
from typing import TYPE_CHECKING, Any, Final, Literal

from backcast.domain.outlines import INIT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from backcast.domain.outlines import Outline

TESTS: Final = "tests"
# What an answer says when there is nothing worth testing.
NOTE: Final = "note"
Sandbox = Literal["full", "limits"]
_RUNNERS: Final = frozenset({"pytest", "_pytest"})
_LONGEST: Final = 200_000
_MOST_MISTAKES: Final = 5
_LONGEST_QUOTED: Final = 300
_IMPORT_ERRORS: Final = frozenset({"ImportError", "ModuleNotFoundError", "Exception", "BaseException"})


def asks_for_tests(answer_schema: str) -> bool:
    """Whether answers by this schema (JSON text) are files of tests: it has a list `tests` on top, of `content`."""
    tests = json.loads(answer_schema).get("properties", {}).get(TESTS)
    items = tests.get("items") if isinstance(tests, dict) and tests.get("type") == "array" else None
    return isinstance(items, dict) and "content" in items.get("properties", {})


@dataclass(frozen=True, slots=True)
class SandboxTerms:
    """How proposed files of tests are checked beside being looked at.

    Attributes:
        run: whether they are run, which is off unless somebody allows it.
        sandbox: `full` runs nothing where the network and other files cannot be shut off; `limits` does with less.
        python: the interpreter that runs them; empty: the one that runs Backcast.
        seconds: how long a file may take.
        memory_mb: how much memory each of its processes may have.
    """

    run: bool = False
    sandbox: Sandbox = "full"
    python: str = ""
    seconds: int = 60
    memory_mb: int = 2048

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> SandboxTerms:
        """Return the terms given by name, in a workflow's file or in the ledger, and the usual ones for the rest."""
        return cls(**given)


def failed_check(content: str, test_path: str, tested: str, outline: Outline | None) -> str | None:
    """Return what is wrong with a file of tests, in words that its author can use; None when nothing is.

    Args:
        content: the file.
        test_path: where it is to lie.
        tested: the path of what it tests.
        outline: the repository; None: then what it imports is not looked at.
    """
    if len(content) > _LONGEST:
        return f"it has {len(content)} characters, and at most {_LONGEST} are taken"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # As the file will be read, in the encoding that it names.
            tree = ast.parse(content.encode(), test_path)
            # Finds what the grammar allows and the compiler does not, such as a return outside of a function.
            compile(tree, test_path, "exec", dont_inherit=True)
    except SyntaxError as error:
        line = f", line {error.lineno}: {_short((error.text or '').strip())}" if error.lineno else ""
        return f"it does not parse: {_short(error.msg)}{line}"
    except (ValueError, RecursionError, MemoryError) as error:
        return f"it does not parse: {_short(str(error)) or type(error).__name__}"
    if not _tests_among(tree.body):
        return "it holds no test: no function test_… and no class with one"
    return _wrong(list(_wrong_imports(tree, test_path, outline)), tested, outline) if outline else None


def _short(text: str) -> str:
    """What a person can read and a model need not pay for: a line may have as many characters as the file."""
    return text if len(text) <= _LONGEST_QUOTED else f"{text[:_LONGEST_QUOTED]}…"


def _wrong(mistakes: list[str], tested: str, outline: Outline) -> str | None:
    if not mistakes:
        return None
    more = f"; and {len(mistakes) - _MOST_MISTAKES} more" if len(mistakes) > _MOST_MISTAKES else ""
    said = "; ".join(map(_short, mistakes[:_MOST_MISTAKES]))
    return f"{said}{more}. {tested} is imported as {outline.module_name(tested)}"


def count_tests(content: str) -> int:
    """Return how many tests are seen in a file that parses, as functions and methods; 0 when it is nested too deeply.

    Tests that a class inherits, or that a call makes, count as one.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return _tests_among(ast.parse(content.encode()).body)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        # How deep is too deep depends on how deep whoever calls is: it was not, when the answer was accepted.
        return 0


def _tests_among(nodes: Iterable[ast.AST]) -> int:
    """Count the tests that pytest would find, or may find: what is decided when it is run is taken to be."""
    count, waiting = 0, list(nodes)
    while waiting:
        match waiting.pop():
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                count += name.startswith("test")
            case ast.ClassDef(name=name, body=body, bases=bases) if name.startswith("Test") or bases:
                # Such as those of a base class that another module has.
                count += _tests_among(body) or (bool(bases) and "Test" in name)
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Call() | ast.Name() | ast.Attribute()):
                count += name.startswith(("test_", "Test"))
            case (ast.If() | ast.Try() | ast.With() | ast.For() | ast.While()) as block:
                waiting += ast.iter_child_nodes(block)
            case ast.ExceptHandler(body=body):
                waiting += body
    return count


def _wrong_imports(tree: ast.Module, test_path: str, outline: Outline) -> Iterator[str]:
    for node in _certain_imports(tree):
        where = f"line {node.lineno}: "
        if isinstance(node, ast.Import):
            wrong = (_wrong_module(alias.name, outline) for alias in node.names)
            yield from (where + one for one in wrong if one)
            continue
        module = _absolute(node, test_path, outline)
        if module is None:
            yield f"{where}a relative import, and the file lies in no package: {dirname(test_path)} has no {INIT}"
        elif wrong_module := _wrong_module(module, outline):
            yield where + wrong_module
        elif outline.lookup(module):
            yield from (
                f"{where}{module} has no {alias.name}"
                for alias in node.names
                if alias.name != "*" and not outline.binds(module, alias.name) and not _is_standard(module)
            )


def _certain_imports(tree: ast.Module) -> Iterator[ast.Import | ast.ImportFrom]:
    """Yield the imports that fail the file when they fail: not those of a block that takes that into account."""
    waiting: deque[ast.AST] = deque([tree])
    while waiting:
        match node := waiting.popleft():
            case ast.Import() | ast.ImportFrom():
                yield node
            case ast.Try(handlers=handlers) if any(map(_takes_import_errors, handlers)):
                waiting.extend([*handlers, *node.orelse, *node.finalbody])
            case ast.With(items=items) if any(_names_import_errors(item.context_expr) for item in items):
                pass
            case ast.If(test=test) if _is_for_type_checkers(test):
                waiting.extend(node.orelse)
            case _:
                waiting.extend(ast.iter_child_nodes(node))


def _takes_import_errors(handler: ast.ExceptHandler) -> bool:
    return handler.type is None or _names_import_errors(handler.type)


def _names_import_errors(expression: ast.expr) -> bool:
    """Whether it is or holds such an error, as `pytest.raises(ImportError)` does."""
    return any(isinstance(node, ast.Name) and node.id in _IMPORT_ERRORS for node in ast.walk(expression))


def _is_for_type_checkers(test: ast.expr) -> bool:
    match test:
        case ast.Name(id="TYPE_CHECKING") | ast.Attribute(attr="TYPE_CHECKING"):
            return True
    return False


def _absolute(node: ast.ImportFrom, test_path: str, outline: Outline) -> str | None:
    """Return the module that an import names, with its whole name; None for one relative to no package."""
    if not node.level:
        return node.module or ""
    folder = dirname(test_path)
    for _ in range(node.level - 1):
        folder = dirname(folder)
    if f"{folder}/{INIT}" not in outline.names:
        return None
    package = outline.module_name(f"{folder}/{INIT}")
    return f"{package}.{node.module}" if node.module else package


def _is_standard(module: str) -> bool:
    return module.split(".", maxsplit=1)[0] in sys.stdlib_module_names


def _wrong_module(module: str, outline: Outline) -> str | None:
    top = module.split(".", maxsplit=1)[0]
    if outline.lookup(module) or outline.is_used(module) or _is_standard(module) or top in _RUNNERS:
        return None
    if outline.lookup(top) and top not in outline.others:
        return f"there is no module {module} in the repository"
    if top in outline.others:
        # A distribution may have what the repository has by the same name, such as a package of a namespace.
        return None
    return (
        f"{top} is neither of the standard library, nor in the repository, nor a distribution that the repository names"
    )

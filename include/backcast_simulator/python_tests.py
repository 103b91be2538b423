"""Tests of a Python file, derived from what stands in it: signatures, members of classes, and plain constants.

They hold when they are run, as long as the file can be imported. A share of the first answers is faulty on purpose, in
one of three ways, and is mended when the request comes again with what was wrong.
"""

from __future__ import annotations

import ast
import keyword
import re
import warnings
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from backcast_simulator.chance import draw

if TYPE_CHECKING:
    from collections.abc import Iterator

# Of the first answers so many are faulty, unless it is told otherwise.
FAULTY_SHARE: Final = 0.1
FAULTS: Final = ("syntax", "import", "assertion")
_NO_MODEL: Final = "No model was asked: these tests were derived from signatures and constants."
_SOURCE_FOLDERS: Final = frozenset({"src", "lib", "include", "python"})
_MOST: Final = 12
_LONGEST_CONSTANT: Final = 200
_MISSING_MODULE: Final = re.compile(r"cannot be imported|No module named '([\w.]+)'")


@dataclass(frozen=True, slots=True)
class _Test:
    covers: str
    lines: tuple[str, ...]


def answer_with_tests(path: str, text: str, error: str | None, faulty_share: float) -> dict[str, Any]:
    """The answer to a request for tests: `tests`, each with its `content` and what it `covers`, and a `note`.

    Args:
        path: the document's.
        text: the document.
        error: what was wrong with an earlier answer; None at the first.
        faulty_share: the share of first answers that are faulty, drawn by path and text.
    """
    tests = list(_tests_of(text))[:_MOST]
    if not tests:
        return {"tests": [], "note": "There is no public function, class or constant in it that a test could hold to."}
    if error is not None and (missing := _MISSING_MODULE.search(error)):
        return {"tests": [], "note": f"It cannot be tested where {missing[1] or 'what it needs'} is missing."}
    content = _file(path, tests)
    if error is None and draw("faulty tests", path, text) < faulty_share:
        content = _spoiled(content, FAULTS[int(draw("which fault", path, text) * len(FAULTS))])
    return {"tests": [{"content": content, "covers": [test.covers for test in tests]}], "note": ""}


def module_name(path: str) -> str:
    """The name by which a file is imported, where the folder that holds the sources is no package."""
    parts = path.removesuffix(".py").split("/")
    if len(parts) > 1 and parts[0] in _SOURCE_FOLDERS:
        parts = parts[1:]
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


def _file(path: str, tests: list[_Test]) -> str:
    module = module_name(path)
    if all(part.isidentifier() and not keyword.iskeyword(part) for part in module.split(".")):
        imports = f"import {module} as tested"
    else:
        imports = f"import importlib\n\ntested = importlib.import_module({module!r})"
    head = f'"""Tests of {module}. {_NO_MODEL}"""\n\nimport inspect\n\n{imports}\n'
    return head + "".join("\n\n" + "\n".join(test.lines) + "\n" for test in tests)


def _tests_of(text: str) -> Iterator[_Test]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text)
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return
    bound: dict[str, ast.stmt] = {}
    for node in tree.body:
        for name in _bound_by(node):
            bound[name] = node
    again = _bound_elsewhere(tree)
    for name, node in bound.items():
        # What is bound anywhere else, too, may be something else in the end.
        if not name.startswith("_") and name not in again:
            yield from _tests_about(name, node)


def _bound_by(node: ast.stmt) -> list[str]:
    match node:
        case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
            return [name]
        case ast.Assign(targets=[ast.Name(id=name)]) | ast.AnnAssign(target=ast.Name(id=name), value=ast.expr()):
            return [name]
    return []


def _bound_elsewhere(tree: ast.Module) -> set[str]:
    """The names that are bound more than once, or otherwise than by one statement at the top."""
    found: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store | ast.Del):
            found.append(node.id)
        elif isinstance(node, ast.Global):
            found += node.names * 2
        elif isinstance(node, ast.Import | ast.ImportFrom):
            found += [alias.asname or alias.name.split(".")[0] for alias in node.names]
    found += [
        name for node in tree.body for name in _bound_by(node) if not isinstance(node, ast.Assign | ast.AnnAssign)
    ]
    return {name for name in found if found.count(name) > 1}


def _tests_about(name: str, node: ast.stmt) -> Iterator[_Test]:
    match node:
        case ast.FunctionDef(args=args, decorator_list=[]) | ast.AsyncFunctionDef(args=args, decorator_list=[]):
            names = [one.arg for one in (*args.posonlyargs, *args.args)]
            names += [args.vararg.arg] if args.vararg else []
            names += [one.arg for one in args.kwonlyargs]
            names += [args.kwarg.arg] if args.kwarg else []
            yield _Test(
                name,
                (
                    f"def test_{_slug(name)}_takes_what_its_callers_give():",
                    f"    assert list(inspect.signature(tested.{name}).parameters) == {names!r}",
                ),
            )
        case ast.ClassDef(body=body, decorator_list=[], keywords=[]):
            methods = [
                one.name
                for one in body
                if isinstance(one, ast.FunctionDef | ast.AsyncFunctionDef) and not one.name.startswith("_")
            ]
            yield _Test(
                name,
                (
                    f"def test_{_slug(name)}_has_what_its_users_call():",
                    f"    assert inspect.isclass(tested.{name})",
                    f"    missing = [name for name in {methods!r} if not hasattr(tested.{name}, name)]",
                    "    assert missing == []",
                ),
            )
        case ast.Assign(value=value) | ast.AnnAssign(value=ast.expr() as value):
            yield from _tests_about_constant(name, value)


def _tests_about_constant(name: str, value: ast.expr) -> Iterator[_Test]:
    try:
        constant = ast.literal_eval(value)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return
    shown = repr(constant)
    if name.isupper() and len(shown) <= _LONGEST_CONSTANT and constant == constant:  # noqa: PLR0124  not so a NaN
        yield _Test(name, (f"def test_{_slug(name)}_is_as_documented():", f"    assert tested.{name} == {shown}"))


def _slug(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()


def _spoiled(content: str, fault: str) -> str:
    if fault == "syntax":
        return content.replace("():\n", "()\n", 1)
    if fault == "import":
        return content.replace("import inspect\n", "import inspect\nimport module_that_nobody_has\n", 1)
    return content.rstrip("\n") + '\n\n\ndef test_what_is_wrong_on_purpose():\n    assert tested.__name__ == "wrong"\n'

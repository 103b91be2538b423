"""What never runs or is never used in one Python module: certain from its syntax tree and its text."""

from __future__ import annotations

import ast
import re
import sys
from typing import TYPE_CHECKING

from backcast_simulator.findings import Finding, Source, finding_at
from backcast_simulator.python_functions import FunctionNode, Module, is_docstring, is_elif

if TYPE_CHECKING:
    from collections.abc import Iterator

_ENDINGS = (ast.Return, ast.Raise, ast.Continue, ast.Break)


def unreachable(source: Source, module: Module) -> Iterator[Finding]:
    """Statements after one that always leaves their block."""
    where = module.where
    for node in module.nodes:
        for field in ("body", "orelse", "finalbody"):
            body = getattr(node, field, None)
            for before, after in _after_endings(body if isinstance(body, list) else []):
                yield Finding(
                    f"Unreachable code in {where(after[0])} after line {before.lineno}",
                    "dead_code",
                    "low",
                    "minutes",
                    after[0].lineno,
                    after[-1].end_lineno or after[-1].lineno,
                    source.quote(after[0].lineno, after[-1].end_lineno or after[-1].lineno),
                    f"`{source.snippet(before.lineno)}` at line {before.lineno} always leaves the block, so "
                    f"lines {after[0].lineno}-{after[-1].end_lineno} never run.",
                    "Delete them, or mend the condition if they were meant to run.",
                )


def _after_endings(body: list[ast.stmt]) -> Iterator[tuple[ast.stmt, list[ast.stmt]]]:
    for index, statement in enumerate(body[:-1]):
        after = body[index + 1 :]
        # `return` and then `yield` is how an empty generator is written.
        if isinstance(statement, _ENDINGS):
            makes_generator = any(isinstance(n, (ast.Yield, ast.YieldFrom)) for s in after for n in ast.walk(s))
            if not makes_generator and not all(is_docstring(s) for s in after):
                yield statement, after
            return


def unused_imports(source: Source, module: Module) -> Iterator[Finding]:
    """Imports from the standard library that are never mentioned again."""
    if source.name in ("__init__.py", "conftest.py", "api.py") or "compat" in source.name or source.suffix == "pyi":
        return
    unused: list[tuple[str, ast.stmt]] = []
    for statement in module.tree.body:
        if isinstance(statement, (ast.Import, ast.ImportFrom)) and not _is_marked(source, statement):
            unused += [(name, statement) for name in _bound_names(statement) if _mentions(source, name) == 1]
    if not unused:
        return
    names = ", ".join(f"`{name}`" for name, _ in unused)
    first = unused[0][1]
    lines = ", ".join(dict.fromkeys(str(statement.lineno) for _, statement in unused))
    yield finding_at(
        source,
        first,
        f"Unused {'import' if len(unused) == 1 else 'imports'}: {names}",
        f"{names} (line {lines}) {'is' if len(unused) == 1 else 'are'} imported from the standard library and never "
        "mentioned again in this file.",
        "Delete the unused names; ruff's F401 finds and mends such imports by itself.",
        category="dead_code",
        severity="low",
    )


def _is_marked(source: Source, statement: ast.stmt) -> bool:
    end = statement.end_lineno or statement.lineno
    # Any comment on an import tends to say why it is there.
    return any("#" in source.line(number) for number in range(statement.lineno, end + 1))


def _bound_names(statement: ast.Import | ast.ImportFrom) -> Iterator[str]:
    # Names of other modules of the same project may be imported from here by others; the standard library's are not.
    for alias in statement.names:
        module = alias.name if isinstance(statement, ast.Import) else statement.module or ""
        local = getattr(statement, "level", 0) > 0 or module.split(".")[0] not in sys.stdlib_module_names
        if not local and module != "__future__" and alias.name not in ("*", alias.asname):
            yield alias.asname or alias.name.split(".")[0]


def _mentions(source: Source, name: str) -> int:
    return len(re.findall(rf"(?<!\w){re.escape(name)}(?!\w)", source.text))


def unused_inner(source: Source, module: Module) -> Iterator[Finding]:
    """Inner functions and private methods that are never mentioned again."""
    for name, node, owner in module.functions:
        private = node.name.startswith("__") and not node.name.endswith("__") and owner is not None
        inner = owner is None and "." in name and node.col_offset > 0
        if node.decorator_list or not (private or inner) or _mentions(source, node.name) > 1:
            continue
        yield finding_at(
            source,
            node,
            f"`{name}` is never used",
            f"`{node.name}` can only be reached from inside this file, and nothing in it mentions the name again.",
            "Delete it, or call it where it was meant to be called.",
            category="dead_code",
            severity="low",
        )


def repeated_conditions(source: Source, module: Module) -> Iterator[Finding]:
    """Arms of an if chain whose condition was already asked."""
    for node in module.nodes:
        if not isinstance(node, ast.If):
            continue
        link, seen = node, {ast.dump(node.test)}
        while is_elif(link, link.orelse) and isinstance(link.orelse[0], ast.If):
            link = link.orelse[0]
            condition = ast.dump(link.test)
            if condition in seen and not any(isinstance(n, (ast.Call, ast.NamedExpr)) for n in ast.walk(link.test)):
                why = f"`{ast.unparse(link.test)}` was already asked further up the same chain, so this arm never runs."
                title = f"An elif repeats an earlier condition at line {link.lineno}"
                yield finding_at(
                    source, link, title, why, "Mend the condition or delete the arm.",
                    category="dead_code", severity="medium",
                )  # fmt: skip
            seen.add(condition)


def redefinitions(source: Source, module: Module) -> Iterator[Finding]:
    """Functions that are replaced before anything uses them."""
    scopes: list[ast.Module | ast.ClassDef] = [module.tree, *(n for n in module.nodes if isinstance(n, ast.ClassDef))]
    for scope in scopes:
        first: dict[str, FunctionNode] = {}
        for statement in scope.body:
            if not isinstance(statement, FunctionNode):
                continue
            earlier = first.get(statement.name)
            plain = earlier is not None and not statement.decorator_list and not earlier.decorator_list
            if earlier is not None and plain and statement.name != "_" and not _used_between(scope, earlier, statement):
                yield finding_at(
                    source,
                    earlier,
                    f"`{statement.name}` is defined twice: the one at line {earlier.lineno} is never used",
                    f"Line {statement.lineno} defines `{statement.name}` again in the same scope and replaces it.",
                    "Delete one of the two, or rename it if both are meant.",
                    category="dead_code",
                    severity="medium",
                )
            first[statement.name] = statement


def _used_between(scope: ast.Module | ast.ClassDef, earlier: FunctionNode, later: FunctionNode) -> bool:
    between = (s for s in scope.body if earlier.lineno < s.lineno < later.lineno)
    return any(isinstance(n, ast.Name) and n.id == earlier.name for s in between for n in ast.walk(s))

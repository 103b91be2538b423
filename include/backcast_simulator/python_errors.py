"""How one Python module hides errors or slips into them: certain from its syntax tree alone."""

from __future__ import annotations

import ast
import re
from collections import Counter
from typing import TYPE_CHECKING

from backcast_simulator.findings import Finding, Source, finding_at
from backcast_simulator.python_functions import FunctionNode, Module, own_nodes

if TYPE_CHECKING:
    from collections.abc import Iterator

_MUTATING = frozenset({
    "add", "append", "appendleft", "clear", "discard", "extend", "insert", "pop", "popitem", "remove", "reverse",
    "setdefault", "sort", "update",
})  # fmt: skip
_MEANT = re.compile(r"(?i)safe|quiet|silent|suppress|ignore|swallow|best_effort|(\.|`)_?(is|has|can|supports)_")


def swallowed_errors(source: Source, module: Module) -> Iterator[Finding]:
    """Handlers that catch everything and do nothing."""
    where = module.where
    for node in module.nodes:
        if not isinstance(node, (ast.Try, ast.TryStar)) or all(
            isinstance(s, ast.Import | ast.ImportFrom) for s in node.body
        ):
            continue
        for handler in node.handlers:
            caught = _too_broad(handler)
            if caught is not None and _does_nothing(handler) and "__del__" not in where(handler):
                yield _swallowed(source, node, handler, caught, where(handler))


def _too_broad(handler: ast.ExceptHandler) -> str | None:
    if handler.type is None:
        return "a bare `except:`"
    names = [ast.unparse(t) for t in (handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type])]
    broad = next((name for name in names if name in ("Exception", "BaseException")), None)
    return None if broad is None else f"`except {broad}`"


def _does_nothing(handler: ast.ExceptHandler) -> bool:
    return all(isinstance(s, (ast.Pass, ast.Continue)) or _is_ellipsis(s) for s in handler.body)


def _is_ellipsis(statement: ast.stmt) -> bool:
    return isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)


def _swallowed(
    source: Source, tried: ast.Try | ast.TryStar, handler: ast.ExceptHandler, caught: str, where: str
) -> Finding:
    end = handler.end_lineno or handler.lineno
    explained = any("#" in source.line(n) for n in range(tried.lineno - 1, end + 2)) or bool(_MEANT.search(where))
    first = source.snippet(tried.body[0].lineno)
    interrupts = " It stops KeyboardInterrupt and SystemExit too." if "Base" in caught or "bare" in caught else ""
    finding = finding_at(
        source,
        handler,
        f"{where} drops every error with {caught}",
        f"Whatever goes wrong in lines {tried.lineno}-{tried.body[-1].end_lineno} (`{first}`) leaves no trace, "
        f"a mistyped name as much as the failure that was meant.{interrupts}",
        f"Catch only what `{first}` is known to raise, and log what is caught.",
        category="error_handling",
        severity="medium",
    )
    return finding.lowered("A comment or the name suggests that it is meant.") if explained else finding


def returns_in_finally(source: Source, module: Module) -> Iterator[Finding]:
    """Returns that discard the exception in flight."""
    where = module.where
    for node in module.nodes:
        for statement in getattr(node, "finalbody", ()):
            for inner in (statement, *own_nodes(statement)):
                if isinstance(inner, ast.Return):
                    yield finding_at(
                        source,
                        inner,
                        f"{where(inner)} returns from a `finally` block",
                        "A `return` in `finally` discards the exception in flight, whatever it is.",
                        "Return after the try statement, and let `finally` only clean up.",
                        category="error_handling",
                        severity="medium",
                    )


def mutable_defaults(source: Source, module: Module) -> Iterator[Finding]:
    """Default arguments that a function changes."""
    for name, node, _ in module.functions:
        arguments = [*node.args.posonlyargs, *node.args.args]
        with_default = list(zip(arguments[len(arguments) - len(node.args.defaults) :], node.args.defaults, strict=True))
        with_default += [(a, d) for a, d in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True) if d]
        for argument, default in with_default:
            changed = _changed_at(node, argument.arg) if _is_mutable(default) else None
            if changed is not None:
                yield finding_at(
                    source,
                    default,
                    f"`{name}` changes its mutable default for `{argument.arg}`",
                    f"The default `{ast.unparse(default)}` is made once and shared by all calls, and line {changed} "
                    "changes it: what one call leaves behind, the next one finds.",
                    f"Default `{argument.arg}` to None and make the new object in the body.",
                    category="error_handling",
                    severity="medium",
                )


def _is_mutable(node: ast.expr) -> bool:
    if isinstance(node, (ast.List, ast.Dict, ast.Set)):
        return True
    return isinstance(node, ast.Call) and ast.unparse(node) in ("list()", "dict()", "set()")


def _changed_at(function: FunctionNode, name: str) -> int | None:
    nodes = list(own_nodes(function))
    if any(isinstance(n, ast.Name) and n.id == name and isinstance(n.ctx, ast.Store) for n in nodes):
        return None
    for node in nodes:
        target: ast.expr | None = None
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _MUTATING:
            target = node.func.value
        elif isinstance(node, ast.Subscript) and isinstance(node.ctx, (ast.Store, ast.Del)):
            target = node.value
        if isinstance(target, ast.Name) and target.id == name:
            return target.lineno
    return None


def slips(source: Source, module: Module) -> Iterator[Finding]:
    """Assertions, comparisons, handlers and raises that do not do what they seem to."""
    where = module.where
    for node in module.nodes:
        if isinstance(node, ast.Assert) and isinstance(node.test, ast.Tuple) and node.test.elts:
            why = "An assertion about a tuple is always true, so this one checks nothing."
            yield _slip(source, node, f"Assertion on a tuple in {where(node)}", why, "Remove the parentheses.")
        elif isinstance(node, ast.Compare) and _is_literal_identity(node):
            why = f"`{ast.unparse(node)}` compares identity, which for strings and numbers depends on the interpreter."
            yield _slip(source, node, f"`is` with a literal in {where(node)}", why, "Compare with `==`.")
        elif isinstance(node, ast.ExceptHandler) and isinstance(node.type, ast.BoolOp):
            why = f"`{ast.unparse(node.type)}` evaluates to one class, so the others are not caught."
            yield _slip(source, node, f"`except` with `or` in {where(node)}", why, "Write the classes as a tuple.")
        elif (
            isinstance(node, ast.Raise) and node.exc is not None and ast.unparse(node.exc).startswith("NotImplemented(")
        ):
            why = "`NotImplemented` is no exception and cannot be called: this raises TypeError instead."
            yield _slip(source, node, f"`raise NotImplemented` in {where(node)}", why, "Raise NotImplementedError.")


def _slip(source: Source, node: ast.stmt | ast.expr | ast.ExceptHandler, title: str, why: str, remedy: str) -> Finding:
    return finding_at(source, node, title, why, remedy, category="error_handling", severity="medium")


def _is_literal_identity(node: ast.Compare) -> bool:
    sides = (node.left, *node.comparators)
    literal = any(isinstance(s, ast.Constant) and type(s.value) in (str, int, float, bytes) for s in sides)
    return literal and any(isinstance(op, (ast.Is, ast.IsNot)) for op in node.ops)


def duplicate_keys(source: Source, module: Module) -> Iterator[Finding]:
    """Keys that come twice in one dictionary display."""
    for node in module.nodes:
        if not isinstance(node, ast.Dict):
            continue
        keys = Counter(ast.unparse(k) for k in node.keys if isinstance(k, ast.Constant))
        for key, count in keys.items():
            if count > 1:
                entries = [k for k in node.keys if isinstance(k, ast.Constant) and ast.unparse(k) == key]
                lines = ", ".join(str(k.lineno) for k in entries)
                yield Finding(
                    f"Dictionary has the key {key} {count} times",
                    "error_handling",
                    "medium",
                    "minutes",
                    entries[0].lineno,
                    entries[-1].lineno,
                    source.quote(entries[0].lineno, entries[-1].lineno, most=1),
                    f"The key {key} stands at lines {lines}; only the last value is kept.",
                    "Keep the entry that is meant and delete the others.",
                )

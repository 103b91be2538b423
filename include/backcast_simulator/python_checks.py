"""What can be told for certain from one Python module: swallowed errors, dead code, and slips that are bugs."""

from __future__ import annotations

import ast
import re
import sys
from collections import Counter
from typing import TYPE_CHECKING

from backcast_simulator.findings import Category, Effort, Finding, Severity, Source, plural
from backcast_simulator.python_functions import FunctionNode, Module, is_docstring, is_elif, own_nodes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_MUTATING = frozenset({
    "add", "append", "appendleft", "clear", "discard", "extend", "insert", "pop", "popitem", "remove", "reverse",
    "setdefault", "sort", "update",
})  # fmt: skip
_ENDINGS = (ast.Return, ast.Raise, ast.Continue, ast.Break)
_HTTP_CALLS = re.compile(r"requests\.(get|post|put|patch|delete|head|request)")
_MEANT = re.compile(r"(?i)safe|quiet|silent|suppress|ignore|swallow|best_effort|(\.|`)_?(is|has|can|supports)_")
_BIG_CLASS_METHODS = 30
_BIG_CLASS_LINES = 500
_BIG_FILE_LINES = 1000
_LARGE_FUNCTIONS_SHOWN = 3


def check(source: Source, module: Module) -> Iterator[Finding]:
    """All findings of this module's checks."""
    checks: tuple[Callable[[Source, Module], Iterator[Finding]], ...] = (
        _swallowed_errors, _returns_in_finally, _mutable_defaults, _unreachable, _unused_imports, _unused_inner,
        _slips, _duplicate_keys, _repeated_conditions, _redefinitions, _dangerous_calls, _blocking_sleeps, _big_classes,
    )  # fmt: skip
    for one in checks:
        yield from one(source, module)


def _finding(  # noqa: PLR0913  the fields of a finding
    source: Source,
    node: ast.stmt | ast.expr | ast.ExceptHandler,
    title: str,
    why: str,
    suggestion: str,
    *,
    category: Category,
    severity: Severity,
    effort: Effort = "minutes",
) -> Finding:
    start, end = node.lineno, node.end_lineno or node.lineno
    return Finding(title, category, severity, effort, start, end, source.quote(start, end), why, suggestion)


def _swallowed_errors(source: Source, module: Module) -> Iterator[Finding]:
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
    finding = _finding(
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


def _returns_in_finally(source: Source, module: Module) -> Iterator[Finding]:
    where = module.where
    for node in module.nodes:
        for statement in getattr(node, "finalbody", ()):
            for inner in (statement, *own_nodes(statement)):
                if isinstance(inner, ast.Return):
                    yield _finding(
                        source,
                        inner,
                        f"{where(inner)} returns from a `finally` block",
                        "A `return` in `finally` discards the exception in flight, whatever it is.",
                        "Return after the try statement, and let `finally` only clean up.",
                        category="error_handling",
                        severity="medium",
                    )


def _mutable_defaults(source: Source, module: Module) -> Iterator[Finding]:
    for name, node, _ in module.functions:
        arguments = [*node.args.posonlyargs, *node.args.args]
        with_default = list(zip(arguments[len(arguments) - len(node.args.defaults) :], node.args.defaults, strict=True))
        with_default += [(a, d) for a, d in zip(node.args.kwonlyargs, node.args.kw_defaults, strict=True) if d]
        for argument, default in with_default:
            changed = _changed_at(node, argument.arg) if _is_mutable(default) else None
            if changed is not None:
                yield _finding(
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


def _unreachable(source: Source, module: Module) -> Iterator[Finding]:
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


def _unused_imports(source: Source, module: Module) -> Iterator[Finding]:
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
    yield _finding(
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


def _unused_inner(source: Source, module: Module) -> Iterator[Finding]:
    for name, node, owner in module.functions:
        private = node.name.startswith("__") and not node.name.endswith("__") and owner is not None
        inner = owner is None and "." in name and node.col_offset > 0
        if node.decorator_list or not (private or inner) or _mentions(source, node.name) > 1:
            continue
        yield _finding(
            source,
            node,
            f"`{name}` is never used",
            f"`{node.name}` can only be reached from inside this file, and nothing in it mentions the name again.",
            "Delete it, or call it where it was meant to be called.",
            category="dead_code",
            severity="low",
        )


def _slips(source: Source, module: Module) -> Iterator[Finding]:
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
    return _finding(source, node, title, why, remedy, category="error_handling", severity="medium")


def _is_literal_identity(node: ast.Compare) -> bool:
    sides = (node.left, *node.comparators)
    literal = any(isinstance(s, ast.Constant) and type(s.value) in (str, int, float, bytes) for s in sides)
    return literal and any(isinstance(op, (ast.Is, ast.IsNot)) for op in node.ops)


def _duplicate_keys(source: Source, module: Module) -> Iterator[Finding]:
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


def _repeated_conditions(source: Source, module: Module) -> Iterator[Finding]:
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
                yield _finding(
                    source, link, title, why, "Mend the condition or delete the arm.",
                    category="dead_code", severity="medium",
                )  # fmt: skip
            seen.add(condition)


def _redefinitions(source: Source, module: Module) -> Iterator[Finding]:
    scopes: list[ast.Module | ast.ClassDef] = [module.tree, *(n for n in module.nodes if isinstance(n, ast.ClassDef))]
    for scope in scopes:
        first: dict[str, FunctionNode] = {}
        for statement in scope.body:
            if not isinstance(statement, FunctionNode):
                continue
            earlier = first.get(statement.name)
            plain = earlier is not None and not statement.decorator_list and not earlier.decorator_list
            if earlier is not None and plain and statement.name != "_" and not _used_between(scope, earlier, statement):
                yield _finding(
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


def _dangerous_calls(source: Source, module: Module) -> Iterator[Finding]:
    where = module.where
    for node in module.nodes:
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func) if isinstance(node.func, (ast.Name, ast.Attribute)) else ""
        options = {k.arg: k.value for k in node.keywords}
        danger = _danger(called, node, options)
        if danger is not None:
            title, why, remedy = danger
            yield _finding(
                source, node, f"{title} in {where(node)}", why, remedy, category="security", severity="medium"
            )
        elif _HTTP_CALLS.fullmatch(called) and "timeout" not in options and None not in options:
            yield _finding(
                source,
                node,
                f"`{called}` without a timeout in {where(node)}",
                f"Without a timeout, a server that does not answer keeps {where(node)} waiting for ever.",
                "Pass `timeout=` in seconds.",
                category="error_handling",
                severity="medium",
            )


def _danger(called: str, node: ast.Call, options: dict[str | None, ast.expr]) -> tuple[str, str, str] | None:
    def is_(option: str, value: object) -> bool:
        found = options.get(option)
        return isinstance(found, ast.Constant) and found.value is value

    fixed = bool(node.args) and isinstance(node.args[0], ast.Constant)
    if called.startswith("subprocess.") and is_("shell", value=True) and node.args and not fixed:
        return (
            "A command built at run time goes to the shell",
            (
                f"`{called}` with shell=True hands `{ast.unparse(node.args[0])[:60]}` to the shell, which interprets "
                "every space, quote and `;` in it."
            ),
            "Pass a list of arguments and drop shell=True.",
        )
    last_name = called.rsplit(".", maxsplit=1)[-1]
    if last_name in ("get", "post", "request", "Session", "Client") and is_("verify", value=False):
        return (
            "TLS certificates are not verified",
            "With verify=False anybody on the way can read and change the traffic.",
            "Drop verify=False, or pass the path of the authority to trust.",
        )
    if called == "tempfile.mktemp":
        return (
            "`tempfile.mktemp` is used",
            "Between the choice of the name and the opening of the file another process can take it.",
            "Use tempfile.mkstemp or NamedTemporaryFile.",
        )
    if called == "yaml.load" and len(node.args) == 1 and not options:
        return ("`yaml.load` without a loader", "It can build any object a document names.", "Use yaml.safe_load.")
    return None


def _blocking_sleeps(source: Source, module: Module) -> Iterator[Finding]:
    for name, function, _ in module.functions:
        if not isinstance(function, ast.AsyncFunctionDef):
            continue
        for node in own_nodes(function):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "time.sleep":
                yield _finding(
                    source,
                    node,
                    f"`time.sleep` blocks the event loop in `{name}`",
                    f"`{name}` is a coroutine: while it sleeps here, nothing else on its loop runs.",
                    "Await asyncio.sleep instead.",
                    category="performance",
                    severity="medium",
                )


def _big_classes(source: Source, module: Module) -> Iterator[Finding]:
    for node in module.nodes:
        if not isinstance(node, ast.ClassDef):
            continue
        methods = [s for s in node.body if isinstance(s, FunctionNode)]
        end = node.end_lineno or node.lineno
        lines = end - node.lineno + 1
        if len(methods) < _BIG_CLASS_METHODS or lines < _BIG_CLASS_LINES:
            continue
        largest = sorted(
            (m for m in methods if not m.name.startswith("__")),
            key=lambda m: (m.lineno - (m.end_lineno or m.lineno), m.lineno),
        )
        shown = ", ".join(
            f"`{m.name}` ({plural((m.end_lineno or m.lineno) - m.lineno + 1, 'line')})"
            for m in largest[:_LARGE_FUNCTIONS_SHOWN]
        )
        state = len({n.attr for n in ast.walk(node) if isinstance(n, ast.Attribute) and _is_own_attribute(n)})
        yield Finding(
            f"Class `{node.name}` has {len(methods)} methods in {lines} lines",
            "design",
            "medium",
            "days",
            node.lineno,
            end,
            source.quote(node.lineno, end, most=1),
            f"`{node.name}` keeps {plural(state, 'attribute')} of state that any of its {len(methods)} methods can "
            f"change; the largest are {shown}.",
            "Find groups of methods that share some of that state and no other; move each into a class of its own.",
        )


def _is_own_attribute(node: ast.Attribute) -> bool:
    return isinstance(node.ctx, ast.Store) and isinstance(node.value, ast.Name) and node.value.id == "self"

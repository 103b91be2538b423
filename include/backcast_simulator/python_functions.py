"""Measures of Python functions, taken from the syntax tree."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from backcast_simulator.duplicates import Layout
from backcast_simulator.measured import Block, Measured, chosen_blocks

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backcast_simulator.findings import Source

FunctionNode = ast.FunctionDef | ast.AsyncFunctionDef

_SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Lambda)
_CONTROL = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.Try, ast.TryStar, ast.Match)
_BRANCHES = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.ExceptHandler, ast.IfExp)
_INLINE = (ast.IfExp, ast.BoolOp, ast.comprehension)


class Module:
    """A Python module's syntax tree, walked once."""

    def __init__(self, tree: ast.Module) -> None:
        self.tree = tree
        self.nodes: list[ast.AST] = list(ast.walk(tree))
        self.functions = list(functions_in(tree))

    def where(self, node: ast.AST) -> str:
        """The name of the innermost function around a node, quoted, for use in a sentence."""
        line = getattr(node, "lineno", 0)
        around = [(node.lineno, name) for name, node, _ in self.functions if node.lineno <= line <= last_line(node)]
        return f"`{max(around)[1]}`" if around else "module level code"


def last_line(node: ast.stmt | ast.expr | ast.ExceptHandler) -> int:
    """The number of the last line of a node."""
    return node.end_lineno or node.lineno


def functions_in(tree: ast.Module) -> Iterator[tuple[str, FunctionNode, ast.ClassDef | None]]:
    """Every function with its dotted name and, for a method, its class."""
    pending: list[tuple[ast.AST, str, ast.ClassDef | None]] = [(tree, "", None)]
    while pending:
        node, prefix, owner = pending.pop()
        for child in ast.iter_child_nodes(node):
            if isinstance(child, FunctionNode):
                yield prefix + child.name, child, owner
                pending.append((child, f"{prefix}{child.name}.", None))
            elif isinstance(child, ast.ClassDef):
                pending.append((child, f"{prefix}{child.name}.", child))
            else:
                pending.append((child, prefix, owner))


def own_nodes(function: ast.AST) -> Iterator[ast.AST]:
    """Everything inside a function but what belongs to functions and classes inside it."""
    pending = list(ast.iter_child_nodes(function))
    while pending:
        node = pending.pop()
        yield node
        if not isinstance(node, _SCOPES):
            pending.extend(ast.iter_child_nodes(node))


def measure(source: Source, module: Module) -> list[Measured]:
    """The measures of every function of a module, in the order of their lines."""
    measured = [_measure(source, name, node, owner) for name, node, owner in module.functions]
    return sorted(measured, key=lambda m: (m.start, m.end))


def _measure(source: Source, name: str, node: FunctionNode, owner: ast.ClassDef | None) -> Measured:
    depth, deepest_line = _depth(node.body, 0)
    end = last_line(node)
    ccn = 1 + sum(_branches(child) for child in own_nodes(node))
    return Measured(
        name=name,
        start=node.lineno,
        end=end,
        code_lines=len(_code_lines(source, node)),
        ccn=ccn,
        depth=depth,
        deepest_line=deepest_line or node.lineno,
        flat_branches=_longest_chain(node),
        positional=_positional(node, owner),
        blocks=_blocks(node, end - node.lineno + 1, ccn),
        returns=sum(isinstance(child, ast.Return) for child in own_nodes(node)),
        signature_is_given=_signature_is_given(node, owner),
        head_end=max(node.lineno, node.body[0].lineno - 1),
        inline_branches=sum(_branches(child) for child in own_nodes(node) if isinstance(child, _INLINE)),
    )


def _branches(node: ast.AST) -> int:
    if isinstance(node, _BRANCHES):
        return 1
    if isinstance(node, ast.BoolOp):
        return len(node.values) - 1
    if isinstance(node, ast.comprehension):
        return 1 + len(node.ifs)
    return int(isinstance(node, ast.match_case) and not _is_wildcard(node))


def _is_wildcard(case: ast.match_case) -> bool:
    return isinstance(case.pattern, ast.MatchAs) and case.pattern.pattern is None and case.guard is None


def is_docstring(statement: ast.stmt) -> bool:
    """Whether a statement is a bare string."""
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


def _code_lines(source: Source, node: FunctionNode) -> set[int]:
    inner = [child for child in ast.walk(node) if isinstance(child, ast.stmt) and child is not node]
    lines: set[int] = set(range(node.lineno, node.body[0].lineno))
    for statement in inner:
        if not is_docstring(statement) and not isinstance(statement, (*_CONTROL, *_SCOPES, ast.With, ast.AsyncWith)):
            lines.update(range(statement.lineno, (statement.end_lineno or statement.lineno) + 1))
        else:
            lines.update(() if is_docstring(statement) else (statement.lineno,))
    return {n for n in lines if source.line(n).strip() and not source.line(n).lstrip().startswith("#")}


def layout(module: Module) -> Layout:
    """Where the statements of functions are: no signatures, no docstrings."""
    function_of: dict[int, int] = {}
    statements: list[ast.stmt] = []
    # Inner functions come after the ones around them, so that their lines are their own.
    for _, node, _ in sorted(module.functions, key=lambda function: function[1].lineno):
        function_of.update(dict.fromkeys(range(node.lineno, last_line(node) + 1), 0))
        for statement in node.body[1:] if is_docstring(node.body[0]) else node.body:
            function_of.update(dict.fromkeys(range(statement.lineno, last_line(statement) + 1), node.lineno))
        statements += [child for child in own_nodes(node) if isinstance(child, ast.stmt)]
    return Layout(
        starts=frozenset(statement.lineno for statement in statements),
        ends=frozenset(last_line(statement) for statement in statements),
        function_of={line: function for line, function in function_of.items() if function},
    )


def _depth(body: list[ast.stmt], level: int) -> tuple[int, int]:
    deepest = (level, body[0].lineno if body and level else 0)
    for statement in body:
        for inner, inner_level in _bodies(statement, level):
            found = _depth(inner, inner_level)
            if found[0] > deepest[0]:
                deepest = found
    return deepest


def _bodies(statement: ast.stmt, level: int) -> Iterator[tuple[list[ast.stmt], int]]:
    if isinstance(statement, _SCOPES):
        return
    inner_level = level + 1 if isinstance(statement, _CONTROL) else level
    for field in ("body", "finalbody"):
        yield getattr(statement, field, []), inner_level
    orelse: list[ast.stmt] = getattr(statement, "orelse", [])
    yield orelse, level if is_elif(statement, orelse) else inner_level
    for part in (*getattr(statement, "handlers", ()), *getattr(statement, "cases", ())):
        yield part.body, inner_level


def is_elif(statement: ast.stmt, orelse: list[ast.stmt]) -> bool:
    """Whether the else branch of a statement is written as `elif`."""
    return (
        isinstance(statement, ast.If)
        and len(orelse) == 1
        and isinstance(orelse[0], ast.If)
        and orelse[0].col_offset == statement.col_offset
    )


def _longest_chain(node: FunctionNode) -> int:
    longest = 0
    for child in own_nodes(node):
        if isinstance(child, ast.Match):
            longest = max(longest, len(child.cases))
        elif isinstance(child, ast.If):
            arms, link = 1, child
            while is_elif(link, link.orelse) and isinstance(link.orelse[0], ast.If):
                arms, link = arms + 1, link.orelse[0]
            longest = max(longest, arms)
    return longest


def _blocks(node: FunctionNode, span: int, ccn: int) -> tuple[Block, ...]:
    candidates = [_block(n) for n in own_nodes(node) if isinstance(n, (*_CONTROL, ast.With, ast.AsyncWith))]
    return chosen_blocks(candidates, span, ccn)


def _block(node: ast.stmt) -> Block:
    if isinstance(node, ast.If):
        # The other arms of the chain are blocks of their own.
        branches = sum(_branches(inner) for statement in node.body for inner in (statement, *own_nodes(statement)))
        return Block(node.lineno, last_line(node.body[-1]), branches)
    return Block(node.lineno, last_line(node), sum(_branches(inner) for inner in own_nodes(node)))


def _positional(node: FunctionNode, owner: ast.ClassDef | None) -> tuple[str, ...]:
    names = [argument.arg for argument in (*node.args.posonlyargs, *node.args.args)]
    bound = owner is not None and not any(ast.unparse(d) == "staticmethod" for d in node.decorator_list)
    return tuple(names[1:] if bound else names)


def _signature_is_given(node: FunctionNode, owner: ast.ClassDef | None) -> bool:
    if node.name.startswith("__") and node.name.endswith("__"):
        return True
    overrides = owner is not None and bool(owner.bases)
    framework = [d for d in node.decorator_list if ast.unparse(d) not in ("staticmethod", "classmethod")]
    return overrides or bool(framework)

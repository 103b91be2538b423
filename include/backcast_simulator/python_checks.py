"""All checks of one Python module, and the one of its classes."""

from __future__ import annotations

import ast
from typing import TYPE_CHECKING

from backcast_simulator.findings import Finding, Source, plural
from backcast_simulator.python_calls import blocking_sleeps, dangerous_calls
from backcast_simulator.python_dead_code import (
    redefinitions,
    repeated_conditions,
    unreachable,
    unused_imports,
    unused_inner,
)
from backcast_simulator.python_errors import (
    duplicate_keys,
    mutable_defaults,
    returns_in_finally,
    slips,
    swallowed_errors,
)
from backcast_simulator.python_functions import FunctionNode, Module
from backcast_simulator.python_security import holes, secrets

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_BIG_CLASS_METHODS = 30
_BIG_CLASS_LINES = 500
_LARGE_FUNCTIONS_SHOWN = 3


def check(source: Source, module: Module) -> Iterator[Finding]:
    """All findings of this module's checks."""
    checks: tuple[Callable[[Source, Module], Iterator[Finding]], ...] = (
        swallowed_errors, returns_in_finally, mutable_defaults, unreachable, unused_imports, unused_inner, slips,
        duplicate_keys, repeated_conditions, redefinitions, dangerous_calls, holes, secrets,
        blocking_sleeps, _big_classes,
    )  # fmt: skip
    for one in checks:
        yield from one(source, module)


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

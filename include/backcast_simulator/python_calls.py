"""Calls in one Python module that are dangerous, wait for ever or block an event loop."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from backcast_simulator.findings import Finding, Source, finding_at
from backcast_simulator.python_functions import Module, own_nodes

if TYPE_CHECKING:
    from collections.abc import Iterator

_HTTP_CALLS = re.compile(r"requests\.(get|post|put|patch|delete|head|request)")


def dangerous_calls(source: Source, module: Module) -> Iterator[Finding]:
    """Calls that open a hole, or wait without a limit."""
    where = module.where
    for node in module.nodes:
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func) if isinstance(node.func, (ast.Name, ast.Attribute)) else ""
        options = {k.arg: k.value for k in node.keywords}
        danger = _danger(called, node, options)
        if danger is not None:
            title, why, remedy = danger
            yield finding_at(
                source, node, f"{title} in {where(node)}", why, remedy, category="security", severity="medium"
            )
        elif _HTTP_CALLS.fullmatch(called) and "timeout" not in options and None not in options:
            yield finding_at(
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


def blocking_sleeps(source: Source, module: Module) -> Iterator[Finding]:
    """Sleeps that keep a whole event loop waiting."""
    for name, function, _ in module.functions:
        if not isinstance(function, ast.AsyncFunctionDef):
            continue
        for node in own_nodes(function):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "time.sleep":
                yield finding_at(
                    source,
                    node,
                    f"`time.sleep` blocks the event loop in `{name}`",
                    f"`{name}` is a coroutine: while it sleeps here, nothing else on its loop runs.",
                    "Await asyncio.sleep instead.",
                    category="performance",
                    severity="medium",
                )

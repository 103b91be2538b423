"""Holes in one Python module: what it runs, loads, hashes, writes down or leaves open."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from backcast_simulator.findings import Finding, Severity, Source, finding_at

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backcast_simulator.python_functions import Module

_UNPICKLERS = frozenset({
    "pickle.load", "pickle.loads", "cPickle.loads", "dill.load", "dill.loads", "marshal.loads", "shelve.open",
    "jsonpickle.decode",
})  # fmt: skip
_UNSAFE_LOADERS = re.compile(r"(yaml\.)?(Unsafe|Full)?Loader")
_WEAK_HASHES = frozenset({"hashlib.md5", "hashlib.sha1"})
_SECRET_NAME = re.compile(r"(?i)(^|_)(password|passwd|pwd|secret|api_?key|access_?key|auth_?token|private_?key)$")
_PASSWORD = re.compile(r"(?i)passw|pwd|secret|credential")
_PLACEHOLDER = re.compile(
    r"(?i)^$|^[<{$%].*|.*(example|changeme|change_me|your[-_ ]|placeholder|dummy|xxx|\*\*\*).*|^\W+$"
)
_SHORTEST_SECRET = 6


@dataclass(frozen=True, slots=True)
class _Hole:
    title: str
    why: str
    remedy: str
    severity: Severity = "medium"


def holes(source: Source, module: Module) -> Iterator[Finding]:
    """Calls that run or load what somebody else may have written, and weak hashes of passwords."""
    for node in module.nodes:
        if isinstance(node, ast.Call) and isinstance(node.func, (ast.Name, ast.Attribute)):
            where = module.where(node)
            hole = _hole(ast.unparse(node.func), node, where)
            if hole is not None:
                yield finding_at(
                    source,
                    node,
                    f"{hole.title} in {where}",
                    hole.why,
                    hole.remedy,
                    category="security",
                    severity=hole.severity,
                )


def _hole(called: str, node: ast.Call, where: str) -> _Hole | None:
    first = node.args[0] if node.args else None
    shown = ast.unparse(first)[:60] if first is not None else ""
    built = first is not None and not isinstance(first, ast.Constant)
    if called in ("eval", "exec") and built:
        why = f"`{called}` runs `{shown}` as Python: whoever decides what it holds decides what this process does."
        return _Hole(f"`{called}` of a value", why, "Parse the value (ast.literal_eval, json), or look it up.", "high")
    if called in ("os.system", "os.popen") and built:
        why = f"The shell interprets every space, quote and `;` in `{shown}`."
        return _Hole("A command built at run time goes to the shell", why, "Use subprocess.run with a list.")
    if called in _UNPICKLERS and first is not None:
        why = f"`{called}` calls whatever `{shown}` names while it loads: a forged value runs code here."
        return _Hole(f"`{called}` of data", why, "Use JSON, or check a signature of the data before it is loaded.")
    if called == "yaml.load" and _loads_anything(node):
        why = f"This loader builds any object that `{shown}` names."
        return _Hole("`yaml.load` with an unsafe loader", why, "Use yaml.safe_load.", "high")
    if called in _WEAK_HASHES and _PASSWORD.search(f"{shown} {where}"):
        why = f"`{called}` is fast, and without a salt: stolen hashes of passwords are soon turned back."
        return _Hole("A password is hashed with a weak hash", why, "Use hashlib.scrypt, argon2 or bcrypt.", "high")
    return _hole_in_query(called, first)


def _loads_anything(node: ast.Call) -> bool:
    options = {k.arg: k.value for k in node.keywords}
    loader = options.get("Loader") or (node.args[1] if len(node.args) > 1 else None)
    return loader is not None and bool(_UNSAFE_LOADERS.fullmatch(ast.unparse(loader)))


def _hole_in_query(called: str, query: ast.expr | None) -> _Hole | None:
    if called.rsplit(".", maxsplit=1)[-1] not in ("execute", "executemany", "executescript"):
        return None
    values = query.values if isinstance(query, ast.JoinedStr) else []
    text = "".join(str(part.value) for part in values if isinstance(part, ast.Constant))
    if not any(isinstance(v, ast.FormattedValue) for v in values) or not re.match(
        r"(?i)\s*(select|insert|update|delete)\b", text
    ):
        return None
    why = "What is formatted into the statement is read as SQL: a quote in it ends the value, and the rest is run."
    return _Hole("An SQL statement is formatted", why, "Pass the values as parameters of the statement.", "high")


def secrets(source: Source, module: Module) -> Iterator[Finding]:
    """Names of secrets that are given their value in the source."""
    for node in module.nodes:
        if not isinstance(node, (ast.Assign, ast.AnnAssign)) or node.value is None:
            continue
        value = node.value
        for name in _names(node):
            if _SECRET_NAME.search(name) and _is_secret(value, name):
                yield finding_at(
                    source,
                    node,
                    f"`{name}` has its value in the source",
                    f"Whoever can read the repository, or its history, knows `{name}`; it cannot be changed without "
                    "a new release.",
                    "Read it from the environment or a secret store, and replace the one that was published.",
                    category="security",
                    severity="high",
                )


def _names(node: ast.Assign | ast.AnnAssign) -> list[str]:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return [ast.unparse(target).rsplit(".", maxsplit=1)[-1] for target in targets]


def _is_secret(value: ast.expr, name: str) -> bool:
    if not isinstance(value, ast.Constant) or not isinstance(value.value, str):
        return False
    text = value.value
    # One word in small letters under such a name is mostly a label: a form's field, a header, a scheme.
    label = text.replace("_", "").replace("-", "").isalpha() and text.islower()
    return (
        len(text) >= _SHORTEST_SECRET
        and not label
        and text != name
        and not _PLACEHOLDER.match(text)
        and " " not in text
    )

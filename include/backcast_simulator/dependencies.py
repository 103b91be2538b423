"""The offline adviser on dependencies: it asks for the tools that it is given, and answers from what they bring.

It lists versions, reads one file, and then says what simple static analysis can: what no version is fixed for, and what
is fixed differently in two files.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from posixpath import basename
from typing import TYPE_CHECKING, Any

import orjson

from backcast_simulator.tool_results import brought

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

LIST_VERSIONS = "list_versions"
READ_FILE = "read_file"
MOST_ADVICE = 25
_NO_MODEL = "No model was asked."
_UPPER_BOUND = re.compile(r"<|~=|==|\^")
_SEPARATORS = re.compile(r"[-_.]+")
# What a text is cut at, so that it is not the whole line any more.
_CUT_TEXT = 200


@dataclass(frozen=True, slots=True)
class _Package:
    file: str
    name: str
    version: str | None
    wanted: str
    text: str

    @property
    def family(self) -> str:
        """Whose package it is: a name means something else elsewhere."""
        name = basename(self.file)
        if name in {"package-lock.json", "npm-shrinkwrap.json"}:
            return "npm"
        return {"Cargo.lock": "Rust", "go.mod": "Go", "go.sum": "Go"}.get(name, "Python")

    @property
    def key(self) -> tuple[str, str]:
        return self.family, _SEPARATORS.sub("-", self.name).lower()


def is_about_dependencies(params: dict[str, Any]) -> bool:
    """Whether these parameters give the tools that the adviser works with."""
    return {LIST_VERSIONS, READ_FILE} <= {tool.get("name") for tool in params.get("tools") or []}


def next_tool(params: dict[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """The tool that is to be called next, and with what; None when it is time to answer."""
    if not is_about_dependencies(params) or (params.get("tool_choice") or {}).get("type") == "none":
        return None
    results = brought(params)
    listed = [content for name, content in results if name == LIST_VERSIONS]
    if not listed:
        return LIST_VERSIONS, {}
    if any(name == READ_FILE for name, _ in results):
        return None
    path = _worth_reading(list(_packages(listed)))
    return None if path is None else (READ_FILE, {"path": path})


def advise(params: dict[str, Any]) -> str:
    """The advice as JSON text: `{"summary": ..., "advice": [...]}`."""
    results = brought(params)
    packages = list(_packages(content for name, content in results if name == LIST_VERSIONS))
    read = "\n".join(content for name, content in results if name == READ_FILE)
    advice = [*_loose(packages), *_conflicting(packages), *_without_hashes(packages, read)][:MOST_ADVICE]
    summary = f"{len(packages)} entries in {len({one.file for one in packages})} files were looked at. {_NO_MODEL}"
    return orjson.dumps({"summary": summary, "advice": advice}).decode()


def _packages(contents: Iterable[str]) -> Iterator[_Package]:
    for content in contents:
        for line in content.split("\n"):
            one = _object(line)
            if isinstance(one.get("file"), str) and isinstance(one.get("package"), str):
                version = one.get("version")
                yield _Package(
                    one["file"],
                    one["package"],
                    version if isinstance(version, str) else None,
                    str(one.get("wanted", "")),
                    str(one.get("text", "")),
                )


def _object(line: str) -> dict[str, Any]:
    try:
        parsed: object = orjson.loads(line)
    except orjson.JSONDecodeError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _worth_reading(packages: list[_Package]) -> str | None:
    loose = Counter(one.file for one in packages if one.version is None)
    named = Counter(one.file for one in packages)
    return next((file for file, _ in (*loose.most_common(1), *named.most_common(1))), None)


def _loose(packages: list[_Package]) -> Iterator[dict[str, str]]:
    for one in packages:
        if one.version is None and not one.wanted.startswith("@") and not _UPPER_BOUND.search(one.wanted):
            asked = f"`{one.wanted}`" if one.wanted else "no version at all"
            yield from _advice(
                one,
                "unpinned",
                "low" if one.wanted else "medium",
                f"{one.name} has no upper bound" if one.wanted else f"{one.name} is not pinned",
                f"{one.file} asks for {asked}, so that the next installation may bring another one. {_NO_MODEL}",
                f"Fix the version of {one.name}, or bound it from above.",
            )


def _conflicting(packages: list[_Package]) -> Iterator[dict[str, str]]:
    fixed: dict[tuple[str, str], dict[str, _Package]] = {}
    for one in packages:
        # The sums of Go are there for versions that are not used.
        if one.version is not None and one.family != "Go":
            fixed.setdefault(one.key, {}).setdefault(one.file, one)
    for files in fixed.values():
        first, *others = files.values()
        other = next((each for each in others if each.version != first.version), None)
        if other is not None:
            yield from _advice(
                first,
                "conflict",
                "medium",
                f"{first.name} is fixed to two versions",
                f"{first.file} has {first.version}, {other.file} has {other.version}. {_NO_MODEL}",
                "Use one version in both files, or say why they differ.",
            )


def _without_hashes(packages: list[_Package], read: str) -> Iterator[dict[str, str]]:
    pinned = [one for one in packages if one.version is not None and one.family == "Python"]
    for one in pinned:
        if basename(one.file).endswith(".txt") and one.text in read and "--hash=" not in read:
            yield from _advice(
                one,
                "unpinned",
                "low",
                f"{one.file} pins versions, but no hashes",
                f"Whoever can replace a file at the index replaces {one.name}, too. {_NO_MODEL}",
                "Write the hashes down as well, as `pip-compile --generate-hashes` and `uv pip compile` do.",
            )
            return


def _advice(one: _Package, kind: str, severity: str, title: str, why: str, suggestion: str) -> Iterator[dict[str, str]]:  # noqa: PLR0913, PLR0917  what advice is made of
    if one.text and len(one.text) < _CUT_TEXT:
        yield {
            "title": title,
            "kind": kind,
            "severity": severity,
            "package": one.name,
            "path": one.file,
            "evidence": one.text,
            "why": why,
            "suggestion": suggestion,
        }

"""The offline checker of findings: it reads the passage by the tools that it is given, and decides by a fixed rule.

No model is asked, and nothing is understood: verified, refuted and unclear come in fixed shares, so that whoever works
with the answers meets all of them.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import orjson

from backcast_simulator.prompts import attributes_of, sha256_of_text, text_of
from backcast_simulator.tool_results import brought

if TYPE_CHECKING:
    from collections.abc import Iterable

READ_FILE = "read_file"
SEARCH = "search"
# Of a hundred findings, by a hash of path, category and quotation: so many are refuted, and then so many unclear.
REFUTED, UNCLEAR = 20, 10
_FINDING = re.compile(
    r"""^<finding-(?P<fence>[0-9a-f]{12})(?P<attributes>(?:\s+[\w-]+=(?:"[^"]*"|'[^']*'))*)\s*>\n"""
    r"(?P<body>.*?)\n</finding-(?P=fence)>",
    re.DOTALL | re.MULTILINE,
)
_NUMBERED = re.compile(r"^(\d+)\| (.*)$")
_NAME = re.compile(r"\b(?:def|class|func|fn|function)\s+(\w+)")
_AROUND = 20
_NO_MODEL = "No model was asked."


def is_about_a_finding(params: dict[str, Any]) -> bool:
    """Whether these parameters show a finding, and give the tool to read what it is about."""
    return READ_FILE in _tools(params) and _finding(params) is not None


def next_tool(params: dict[str, Any]) -> tuple[str, dict[str, Any]] | None:
    """The tool that is to be called next, and with what; None when it is time to answer.

    The passage is read with what is around it; when it begins within a function, that one's name is searched for.
    """
    finding = _finding(params)
    if finding is None or READ_FILE not in _tools(params) or (params.get("tool_choice") or {}).get("type") == "none":
        return None
    results = brought(params)
    read = [content for name, content in results if name == READ_FILE]
    if not read:
        first, last = _lines(finding)
        return READ_FILE, {"path": finding["path"], "first_line": max(1, first - _AROUND), "last_line": last + _AROUND}
    names = [found[1] for line in _numbered(read).values() if (found := _NAME.search(line))]
    if names and SEARCH in _tools(params) and not any(name == SEARCH for name, _ in results):
        return SEARCH, {"pattern": names[-1]}
    return None


def check(params: dict[str, Any]) -> str:
    """The verdict as JSON text: `{"verdict": ..., "reason": ..., "evidence": [...]}`."""
    finding = _finding(params) or {}
    path, quoted = str(finding.get("path")), str(finding.get("evidence", "")).strip("\n").split("\n")
    at = _place(_numbered(content for name, content in brought(params) if name == READ_FILE), quoted)
    if at is None:
        return _answer("unclear", "What the finding quotes was not among the lines that were read.", [])
    evidence = [{"path": path, "line_start": at, "line_end": at + len(quoted) - 1, "quote": "\n".join(quoted)}]
    share = int(sha256_of_text("\0".join((path, str(finding.get("category")), "\n".join(quoted))))[:8], 16) % 100
    if share < REFUTED:
        return _answer("refuted", "The quoted lines stand there; this one is of the share that is refuted.", evidence)
    if share < REFUTED + UNCLEAR:
        return _answer("unclear", "The quoted lines stand there; this one is of the share left unclear.", evidence)
    return _answer("verified", "The quoted lines stand at the place that the finding names.", evidence)


def _answer(verdict: str, reason: str, evidence: list[dict[str, Any]]) -> str:
    return orjson.dumps({"verdict": verdict, "reason": f"{reason} {_NO_MODEL}", "evidence": evidence}).decode()


def _tools(params: dict[str, Any]) -> set[object]:
    return {tool.get("name") for tool in params.get("tools") or []}


def _finding(params: dict[str, Any]) -> dict[str, Any] | None:
    """The finding that the first message shows, with the path that its tag names."""
    messages = params.get("messages")
    first = messages[0] if isinstance(messages, list) and messages else {}
    shown = _FINDING.search(text_of(first.get("content"))) if isinstance(first, dict) else None
    if shown is None:
        return None
    try:
        finding: object = orjson.loads(shown["body"])
    except orjson.JSONDecodeError:
        return None
    path = attributes_of(shown["attributes"]).get("path")
    return {**finding, "path": path} if isinstance(finding, dict) and path else None


def _lines(finding: dict[str, Any]) -> tuple[int, int]:
    first, last = finding.get("line_start"), finding.get("line_end")
    first = first if isinstance(first, int) and first > 0 else 1
    return first, last if isinstance(last, int) and last >= first else first


def _numbered(contents: Iterable[str]) -> dict[int, str]:
    """The lines that were read, by their numbers."""
    found = (_NUMBERED.match(line) for content in contents for line in content.split("\n"))
    return {int(one[1]): one[2] for one in found if one}


def _place(lines: dict[int, str], quoted: list[str]) -> int | None:
    """The number of the line at which the quoted ones stand one after the other."""
    wanted = [line.strip() for line in quoted]
    if not any(wanted):
        return None
    starts = (number for number, line in lines.items() if line.strip() == wanted[0])
    return next(
        (at for at in starts if [lines.get(at + more, "").strip() for more in range(len(wanted))] == wanted), None
    )

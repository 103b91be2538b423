"""What a commit's own `.gitattributes` files say about vendored and generated files.

`git check-attr --source` would say it too, but only from git 2.40 on.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from posixpath import dirname
from typing import TYPE_CHECKING

from pathspec.patterns.gitignore import GitIgnorePatternError
from pathspec.patterns.gitignore.spec import GitIgnoreSpecPattern

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

VENDORED = "linguist-vendored"
GENERATED = "linguist-generated"

_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"\s*(.*)')

_UNESCAPE = re.compile(r"\\(.)")


@dataclass(frozen=True, slots=True)
class _Rule:
    pattern: GitIgnoreSpecPattern
    values: Mapping[str, bool | None]

    def matches(self, path: str) -> bool:
        found = self.pattern.match_file(path)
        # Unlike an ignore pattern, an attribute pattern that matches a folder says nothing about the files in it.
        return found is not None and found.match.groupdict().get("ps_d") is None


class Attributes:
    """The two attributes, looked up by path; None where nothing is said."""

    def __init__(self, files: Iterable[tuple[str, str]]) -> None:
        self._rules = {dirname(path): _parse(text) for path, text in files}

    def get(self, path: str, name: str) -> bool | None:
        """The attribute's value: the deepest file decides, and in it the last line."""
        folder = dirname(path)
        while True:
            inside = path[len(folder) + 1 :] if folder else path
            for rule in self._rules.get(folder, ()):
                if name in rule.values and rule.matches(inside):
                    return rule.values[name]
            if not folder:
                return None
            folder = dirname(folder)


def _parse(text: str) -> tuple[_Rule, ...]:
    """The rules of one file that concern us, last line first."""
    rules = (_parse_line(line.strip()) for line in text.splitlines())
    return tuple(rule for rule in rules if rule is not None)[::-1]


def _parse_line(line: str) -> _Rule | None:
    quoted = _QUOTED.match(line)
    pattern, *words = [_UNESCAPE.sub(r"\1", quoted[1]), *quoted[2].split()] if quoted else line.split() or [""]
    values = dict(_parse_value(word) for word in words)
    ours = {name: value for name, value in values.items() if name in (VENDORED, GENERATED)}
    # Comments, macros and negative patterns, which git ignores too.
    if not ours or line.startswith(("#", "[attr]", "!")):
        return None
    try:
        return _Rule(GitIgnoreSpecPattern(pattern), ours)
    except GitIgnorePatternError:
        return None


def _parse_value(word: str) -> tuple[str, bool | None]:
    if word.startswith(("-", "!")):
        return word[1:], False if word[0] == "-" else None
    name, _, value = word.partition("=")
    return name, value.lower() != "false"

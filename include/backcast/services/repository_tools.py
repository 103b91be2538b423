"""The tools that a model may use on a repository: read a file, search, and list the versions in lock files.

They see the tracked files of one commit. There is no path out of these, no network, and a limit on bytes and on time.
"""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from posixpath import basename
from typing import TYPE_CHECKING, Any, Final

from backcast.domain.addressing import says, says_after
from backcast.domain.lines import split_lines
from backcast.domain.lock_files import Locked, LockFileError, is_lock_file, locked, same_package
from backcast.domain.tools import Tool, ToolInputError, as_data, bounded
from backcast.sources.tracked import NotReadableError, TrackedFiles

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

READ_FILE: Final = "read_file"
SEARCH: Final = "search"
LIST_VERSIONS: Final = "list_versions"

_LONGEST_PATH: Final = 4_096
_LONGEST_LINE: Final = 1_000
_MOST_HITS: Final = 100
_MOST_SUGGESTIONS: Final = 5
_SUSPICIONS_KEPT: Final = 50


@dataclass(frozen=True, slots=True)
class ToolLimits:
    """How much a tool does.

    Attributes:
        result_bytes: a model is shown at most so many, the marks around them aside.
        file_bytes: larger files are not read.
        seconds: for a search, and for reading lock files.
    """

    result_bytes: int = 24_000
    file_bytes: int = 5_000_000
    seconds: float = 10.0


@dataclass(frozen=True, slots=True)
class Suspicion:
    """A line that a model was shown and that seems to speak to it."""

    path: str
    line: int
    what: str


@dataclass
class RepositoryTools:
    """The tools over the tracked files of one commit.

    Attributes:
        files: what they see.
        limits: how much they do.
        now: a clock that only moves forward, in seconds.
        suspicions: lines that they showed and that seem to speak to a model.
    """

    files: TrackedFiles
    limits: ToolLimits = field(default_factory=ToolLimits)
    now: Callable[[], float] = time.monotonic
    suspicions: dict[tuple[str, int], Suspicion] = field(default_factory=dict)

    def tools(self) -> tuple[Tool, ...]:
        """Return them, as a model is told of them."""
        return (
            Tool(LIST_VERSIONS, _ABOUT_LIST_VERSIONS, _schema({"package": _PACKAGE}), self._list_versions),
            Tool(
                READ_FILE,
                _ABOUT_READ_FILE,
                _schema({"path": _PATH, "first_line": _LINE, "last_line": _LINE}, "path"),
                self._read_file,
            ),
            Tool(SEARCH, _ABOUT_SEARCH, _schema({"pattern": _PATTERN, "path": _PATH}, "pattern"), self._search),
        )

    def lock_files(self) -> list[str]:
        """Return the paths of the files that say which versions are used."""
        return [path for path in self.files.paths() if is_lock_file(path)]

    def _read_file(self, given: Mapping[str, Any]) -> str:
        path, first = given["path"], given.get("first_line", 1)
        lines = split_lines(self._text(path))
        last = min(given.get("last_line", len(lines)), len(lines))
        if lines and not 1 <= first <= last:
            raise ToolInputError(f"{_shown(path)} has lines 1 to {len(lines)}: ask for some of these, the first first.")
        numbered = [f"{number}| {_cut(lines[number - 1])}" for number in range(first, last + 1)]
        shown, left = bounded(numbered, self.limits.result_bytes)
        self._watch((path, first + offset, lines[first - 1 + offset]) for offset in range(len(shown)))
        end = first + len(shown) - 1
        more = f" Go on with first_line {end + 1}." if left else ""
        told = f"{json.dumps(path)}, lines {first} to {end} of {len(lines)}.{more}" if lines else f"{path} is empty."
        return as_data(READ_FILE, "\n".join([told, *shown]))

    def _search(self, given: Mapping[str, Any]) -> str:
        pattern, below = given["pattern"].lower(), given.get("path", "")
        if below:
            self._require_below(below)
        until = self.now() + self.limits.seconds
        hits: list[tuple[str, int, str]] = []
        searched, note = 0, ""
        for path in self.files.paths(below):
            if self.now() > until:
                note = f" It was stopped after {self.limits.seconds:g} s: name a folder to search the rest."
                break
            searched += 1
            hits += self._hits(path, pattern, _MOST_HITS + 1 - len(hits))
            if len(hits) > _MOST_HITS:
                note = f" These are the first {_MOST_HITS}: ask for something rarer, or name a folder."
                break
        lines = [f"{path}:{number}| {_cut(line)}" for path, number, line in hits[:_MOST_HITS]]
        shown, left = bounded(lines, self.limits.result_bytes)
        self._watch(hits[: len(shown)])
        cut = f" {left} more lines did not fit." if left else ""
        return as_data(SEARCH, "\n".join([f"{len(lines)} lines in {searched} files searched.{note}{cut}", *shown]))

    def _hits(self, path: str, pattern: str, most: int) -> Iterator[tuple[str, int, str]]:
        try:
            text = self.files.read(path, self.limits.file_bytes)
        except NotReadableError:
            return
        if pattern not in text.lower():
            return
        for number, line in enumerate(split_lines(text), 1):
            if pattern in line.lower():
                yield path, number, line
                most -= 1
                if most <= 0:
                    return

    def _list_versions(self, given: Mapping[str, Any]) -> str:
        wanted = given.get("package", "")
        until = self.now() + self.limits.seconds
        found: list[Locked] = []
        files: dict[str, int | str] = {}
        for path in self.lock_files():
            if self.now() > until:
                files[path] = f"not read: {self.limits.seconds:g} s were over"
                continue
            try:
                entries = locked(path, self.files.read(path, self.limits.file_bytes))
            except (LockFileError, NotReadableError) as error:
                files[path] = f"not read: {error}"
                continue
            files[path] = len(entries)
            found += [entry for entry in entries if not wanted or same_package(entry.package, wanted)]
        # What is not fixed is what a longer list must not lose.
        found.sort(key=lambda entry: entry.version is not None)
        lines = [json.dumps(entry.view(), ensure_ascii=False) for entry in found]
        files_told = json.dumps({"files": files}, ensure_ascii=False)
        shown, left = bounded([files_told, *lines], self.limits.result_bytes)
        self._watch((entry.file, entry.line or 1, entry.text) for entry in found[: max(0, len(shown) - 1)])
        more = [json.dumps({"left_out": left, "hint": "name a package, or read the file"})] if left else []
        return as_data(LIST_VERSIONS, "\n".join([*shown, *more]))

    def _text(self, path: str) -> str:
        try:
            return self.files.read(path, self.limits.file_bytes)
        except NotReadableError as error:
            raise ToolInputError(f"{_shown(path)} cannot be read: {error}.{self._suggested(path)}") from None

    def _require_below(self, path: str) -> None:
        if next(self.files.paths(path), None) is None:
            raise ToolInputError(f"There is no file below {_shown(path)} that can be read.{self._suggested(path)}")

    def _suggested(self, path: str) -> str:
        name = basename(path.rstrip("/"))
        known = [each for each in self.files.paths() if name and basename(each) == name][:_MOST_SUGGESTIONS]
        there = f" There is {', '.join(map(json.dumps, known))}." if known else ""
        return f"{there} Paths are relative to the root of the repository, such as src/app.py."

    def _watch(self, lines: Iterator[tuple[str, int, str]] | list[tuple[str, int, str]]) -> None:
        before = "", 0, ""
        for path, number, line in lines:
            if len(self.suspicions) >= _SUSPICIONS_KEPT:
                return
            text = line[:_LONGEST_LINE]
            earlier = before[2] if before[:2] == (path, number - 1) else ""
            # A name is shown as well, and may be a sentence.
            if what := says_after(earlier, text) or says(path):
                self.suspicions.setdefault((path, number), Suspicion(path, number, what))
            before = path, number, text


def _shown(path: str) -> str:
    return json.dumps(path[:200])


def _cut(line: str) -> str:
    return line if len(line) <= _LONGEST_LINE else f"{line[:_LONGEST_LINE]} [cut, {len(line):,} characters]"


def _schema(properties: Mapping[str, Any], *required: str) -> dict[str, Any]:
    return {
        "type": "object",
        "additionalProperties": False,
        "properties": dict(properties),
        "required": list(required),
    }


_PATH: Final = {
    "type": "string",
    "minLength": 1,
    "maxLength": _LONGEST_PATH,
    "description": "Relative to the root of the repository, such as src/app.py.",
}
_LINE: Final = {"type": "integer", "minimum": 1, "description": "Counted from 1, inclusive."}
_PATTERN: Final = {
    "type": "string",
    "minLength": 2,
    "maxLength": 200,
    "description": "Text to look for as it stands, within one line, in any letter case. No regular expression.",
}
_PACKAGE: Final = {
    "type": "string",
    "minLength": 1,
    "maxLength": 200,
    "description": "Only this package; without it, all of them.",
}
_ABOUT_LIST_VERSIONS: Final = (
    "Lists the packages that the repository's lock files and lists of requirements name, with file, line and version: "
    "first how many each file has, then one JSON object a line. A version of null means that several would do, as "
    "`wanted` says."
)
_ABOUT_READ_FILE: Final = "Returns lines of a tracked file, numbered; those that are asked for, or as many as fit."
_ABOUT_SEARCH: Final = (
    "Searches the tracked text files, or those of one folder or file, and returns the lines that hold the text, with "
    "path and number."
)

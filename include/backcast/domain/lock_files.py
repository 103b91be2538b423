"""Which packages a repository asks for, and in which versions, as its lock files and lists of requirements say."""

from __future__ import annotations

import json
import re
import tomllib
from dataclasses import dataclass
from posixpath import basename, dirname
from typing import TYPE_CHECKING, Any, Final

from backcast.domain.lines import split_lines

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

_REQUIREMENTS: Final = re.compile(r"(?:[\w.-]*requirements|constraints)[\w.-]*\.(?:txt|in)", re.IGNORECASE)
_IN_REQUIREMENTS_FOLDER: Final = re.compile(r"[\w.-]+\.(?:txt|in)")
_REQUIREMENT: Final = re.compile(
    r"(?P<name>[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?)[ \t]*(?:\[[^\]]*\])?[ \t]*(?P<wanted>[^;#\\]*)"
)
_EXACT: Final = re.compile(r"===?[ \t]*([^\s,*]+)")
_HASH: Final = re.compile(r"(?<!\S)--\S.*")
_GO_REQUIREMENT: Final = re.compile(r"(?:require[ \t]+)?(?P<name>[^\s()/]+\.[^\s()]+)[ \t]+(?P<version>v[^\s]+)")
_PACKAGE_HEADER: Final = "[[package]]"
_LONGEST_TEXT: Final = 200
_LONGEST_LINE: Final = 2_000
_STRING: Final = re.compile(r'"[^"]*"|\'[^\']*\'')
_MOST_PARTS: Final = 16
_SAME_NAME: Final = re.compile(r"[-_.]+")


class LockFileError(ValueError):
    """A lock file cannot be read; the text says why."""


@dataclass(frozen=True, slots=True)
class Locked:
    """A package as one file names it.

    Attributes:
        file: the file's path.
        line: where it is named, from 1; None where that is not known.
        package: as it is written there.
        version: the one that is fixed; None where several would do.
        wanted: what is asked for instead, such as `>=2`; empty where any version would do.
        text: what stands in that line, cut when it is long.
    """

    file: str
    line: int | None
    package: str
    version: str | None
    wanted: str
    text: str

    def view(self) -> dict[str, Any]:
        """Return it as a model is shown it."""
        asked = {"version": self.version} if self.version is not None else {"version": None, "wanted": self.wanted}
        return {"file": self.file, "line": self.line, "package": self.package, **asked, "text": self.text}


def is_lock_file(path: str) -> bool:
    """Whether `locked` can read a file of this path."""
    return _reader(path) is not None


def locked(path: str, text: str) -> list[Locked]:
    """Return the packages that a file names, in its order.

    Raises:
        LockFileError: it is not of the form that its name promises.
    """
    read = _reader(path)
    if read is None:
        raise LockFileError("it is no lock file that is known here")
    try:
        return list(read(path, text))
    except LockFileError:
        raise
    except tomllib.TOMLDecodeError as error:
        raise LockFileError(f"it is not TOML: {error}") from error
    except json.JSONDecodeError as error:
        raise LockFileError(f"it is not JSON: {error}") from error
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError) as error:
        raise LockFileError("it does not hold what a file of this name holds") from error


def same_package(one: str, other: str) -> bool:
    """Whether two names mean one package: letter case, and which of `-`, `_` and `.` stands there, do not matter."""
    return _plain(one) == _plain(other)


def _plain(name: str) -> str:
    return _SAME_NAME.sub("-", name).lower()


def _reader(path: str) -> Callable[[str, str], Iterator[Locked]] | None:
    name = basename(path)
    if name in _BY_NAME:
        return _BY_NAME[name]
    in_folder = basename(dirname(path)) == "requirements" and _IN_REQUIREMENTS_FOLDER.fullmatch(name)
    return _requirements if in_folder or _REQUIREMENTS.fullmatch(name) else None


def _requirements(path: str, text: str) -> Iterator[Locked]:
    for number, line in _sensible_lines(text):
        stated = _HASH.sub("", line.strip())
        match = _REQUIREMENT.match(stated)
        # Options begin with a dash, and what is only a file or an address names no package.
        if match is None or stated.startswith("-") or (match.end() < len(stated) and stated[match.end()] not in ";#\\"):
            continue
        wanted = match["wanted"].strip()
        if wanted and wanted[0] not in "=<>!~@":
            continue
        exact = _EXACT.fullmatch(wanted)
        yield Locked(path, number, match["name"], exact[1] if exact else None, wanted, _cut(line))


def _sensible_lines(text: str) -> Iterator[tuple[int, str]]:
    # A pattern may take the square of a line's length, and nobody asks for a package in so long a one.
    return ((number, line) for number, line in enumerate(split_lines(text), 1) if len(line) <= _LONGEST_LINE)


def _toml_lock(path: str, text: str) -> Iterator[Locked]:
    lines = split_lines(text)
    for number, text_of_line in enumerate(lines, 1):
        if text_of_line.count(".") > _MOST_PARTS and _STRING.sub("", text_of_line).count(".") > _MOST_PARTS:
            # A key of so many parts, whose reader takes the square of that in time and memory.
            raise LockFileError(f"its line {number} is none of a lock file")
    packages = tomllib.loads(text).get("package", [])
    headers = [number for number, line in enumerate(lines, 1) if line.strip() == _PACKAGE_HEADER]
    places: list[int | None] = [*headers] if len(headers) == len(packages) else [None] * len(packages)
    for package, header in zip(packages, places, strict=True):
        # A package that is the project itself may have no version.
        if "version" in package:
            line = _line_after(lines, header, f'version = "{package["version"]}"')
            said = _cut(lines[line - 1]) if line else ""
            yield Locked(path, line, str(package["name"]), str(package["version"]), "", said)


def _line_after(lines: list[str], header: int | None, wanted: str) -> int | None:
    if header is None:
        return None
    for number in range(header, min(header + 10, len(lines))):
        if lines[number].strip() == wanted:
            return number + 1
    return None


def _package_lock(path: str, text: str) -> Iterator[Locked]:
    parsed = json.loads(text)
    lines = split_lines(text)
    starts = {line.strip(): number for number, line in reversed([*enumerate(lines, 1)])}
    if "packages" in parsed:
        for place, package in parsed["packages"].items():
            _, installed, name = place.rpartition("node_modules/")
            # The others are the project itself and its workspaces.
            if installed and "version" in package:
                yield _of_npm(path, lines, starts, place, name, package)
    else:
        yield from _nested(path, lines, starts, parsed.get("dependencies", {}))


def _nested(
    path: str, lines: list[str], starts: Mapping[str, int], dependencies: Mapping[str, Any]
) -> Iterator[Locked]:
    for name, package in dependencies.items():
        if "version" in package:
            yield _of_npm(path, lines, starts, name, name, package)
        yield from _nested(path, lines, starts, package.get("dependencies", {}))


def _of_npm(  # noqa: PLR0913, PLR0917  where it stands, and what
    path: str, lines: list[str], starts: Mapping[str, int], place: str, name: str, package: Mapping[str, Any]
) -> Locked:
    version = str(package["version"])
    line = _line_after(lines, starts.get(f"{json.dumps(place)}: {{"), f'"version": {json.dumps(version)},')
    return Locked(path, line, name, version, "", _cut(lines[line - 1]) if line else "")


def _go_mod(path: str, text: str) -> Iterator[Locked]:
    required = False
    for number, line in _sensible_lines(text):
        stated = line.split("//", 1)[0].strip()
        if stated in {"require (", "require("}:
            required = True
        elif stated == ")":
            required = False
        elif (required or stated.startswith("require")) and (match := _GO_REQUIREMENT.fullmatch(stated)):
            yield Locked(path, number, match["name"], match["version"], "", _cut(line))


def _go_sum(path: str, text: str) -> Iterator[Locked]:
    for number, line in _sensible_lines(text):
        parts = line.split()
        # The sums of a module's own go.mod are there for more versions than are used.
        if len(parts) == 3 and not parts[1].endswith("/go.mod"):  # noqa: PLR2004  module, version, sum
            yield Locked(path, number, parts[0], parts[1], "", _cut(line))


def _cut(line: str) -> str:
    return line.strip()[:_LONGEST_TEXT]


_BY_NAME: Final[Mapping[str, Callable[[str, str], Iterator[Locked]]]] = {
    "uv.lock": _toml_lock,
    "poetry.lock": _toml_lock,
    "pdm.lock": _toml_lock,
    "Cargo.lock": _toml_lock,
    "package-lock.json": _package_lock,
    "npm-shrinkwrap.json": _package_lock,
    "go.mod": _go_mod,
    "go.sum": _go_sum,
}

"""Lock files and lists of requirements say which packages, in which versions, on which lines."""

from __future__ import annotations

import json

import pytest

from backcast.domain.lock_files import LockFileError, is_lock_file, locked, same_package

NPM = json.dumps(
    {
        "packages": {
            "": {"name": "app", "version": "1.0.0"},
            "packages/own": {"version": "1.0.0"},
            "node_modules/left-pad": {"version": "1.3.0", "resolved": "x"},
            "node_modules/a/node_modules/left-pad": {"version": "1.1.0", "resolved": "x"},
        }
    },
    indent=2,
)
OLD_NPM = json.dumps(
    {"dependencies": {"a": {"version": "1.0.0", "dependencies": {"b": {"version": "2.0.0"}}}}}, indent=2
)
TOML = (
    '[[package]]\nname = "a"\nversion = "1.2"\n\n[[package]]\nname = "own"\n\n[[package]]\nname = "b"\nversion = "3"\n'
)
REQUIREMENTS = (
    "# comment\n-r other.txt\n--hash=sha256:aa\nrequests[socks]==2.31.0 \\\n    --hash=sha256:bb\n"
    "flask>=2 ; python_version > '3'\nclick\nown @ https://example.org/own.zip\n./local\nattrs==23.*\n"
)
GO = (
    "module x\n\nrequire (\n\tgolang.org/x/net v0.17.0 // indirect\n)\nrequire example.org/y v1.0.0\n"
    "replace (\n\ta.org/b v1.0.0 => ./b\n)\n"
)


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        (
            "requirements.txt",
            REQUIREMENTS,
            [
                (4, "requests", "2.31.0", "==2.31.0"),
                (6, "flask", None, ">=2"),
                (7, "click", None, ""),
                (8, "own", None, "@ https://example.org/own.zip"),
                (10, "attrs", None, "==23.*"),
            ],
        ),
        ("uv.lock", TOML, [(3, "a", "1.2", ""), (10, "b", "3", "")]),
        ("sub/Cargo.lock", TOML, [(3, "a", "1.2", ""), (10, "b", "3", "")]),
        ("package-lock.json", NPM, [(11, "left-pad", "1.3.0", ""), (15, "left-pad", "1.1.0", "")]),
        ("package-lock.json", OLD_NPM, [(4, "a", "1.0.0", ""), (None, "b", "2.0.0", "")]),
        ("go.mod", GO, [(4, "golang.org/x/net", "v0.17.0", ""), (6, "example.org/y", "v1.0.0", "")]),
        ("go.sum", "a.org/b v1.0.0 h1:x\na.org/b v0.9.0/go.mod h1:y\n", [(1, "a.org/b", "v1.0.0", "")]),
    ],
)
def test_each_kind_of_file_is_read(path: str, text: str, expected: list[tuple[int, str, str | None, str]]) -> None:
    found = locked(path, text)
    assert [(one.line, one.package, one.version, one.wanted) for one in found] == expected
    lines = text.split("\n")
    assert all(one.text == lines[one.line - 1].strip() for one in found if one.line)


def test_files_are_known_by_their_names() -> None:
    known = ("requirements.txt", "a/dev-requirements.txt", "requirements/ci.txt", "constraints.txt", "x/poetry.lock")
    assert all(map(is_lock_file, known))
    assert not any(map(is_lock_file, ("notes.txt", "requirements.md", "requirements/a/b.py", "lock")))
    assert same_package("Foo_Bar", "foo-bar")


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("uv.lock", "= broken"),
        ("uv.lock", "package = 3"),
        # Without a limit, these two kilobytes times a hundred take all memory.
        ("uv.lock", "a." * 1_000 + "b = 1\n"),
        ("uv.lock", "x = " + "9" * 10_000),
        ("uv.lock", '[[package]]\nversion = "1"\n'),
        ("package-lock.json", "{"),
        ("package-lock.json", "[]"),
        ("package-lock.json", '{"packages": {"node_modules/x": 3}}'),
        ("package-lock.json", '{"dependencies": ' * 100_000),
        ("main.py", ""),
    ],
)
def test_a_file_that_is_not_what_its_name_says_is_refused(path: str, text: str) -> None:
    with pytest.raises(LockFileError):
        locked(path, text)


def test_a_line_that_would_take_a_pattern_long_is_passed_over() -> None:
    assert locked("go.mod", "require " + "a." * 500_000 + "\n") == []
    assert locked("requirements.txt", "a" + "-" * 1_000_000 + "!\n") == []

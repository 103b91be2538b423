"""Which programming language a file is written in, by its name and, failing that, its first line."""

from __future__ import annotations

import io
from posixpath import basename

from identify.identify import parse_shebang, tags_from_filename, tags_from_interpreter

# In this order, because `identify` may give several tags: a `.h` file is C unless its name says more, `.mm` is not C++.
_LANGUAGES = {
    "python": "python",
    "pyi": "python",
    "scons": "python",
    "javascript": "javascript",
    "jsx": "jsx",
    "ts": "typescript",
    "tsx": "tsx",
    "vue": "vue",
    "svelte": "svelte",
    "java": "java",
    "kotlin": "kotlin",
    "scala": "scala",
    "groovy": "groovy",
    "c": "c",
    "objective-c": "objective-c",
    "objective-c++": "objective-c++",
    "c++": "c++",
    "cuda": "cuda",
    "c#": "c#",
    "f#": "f#",
    "vb": "visual-basic",
    "go": "go",
    "rust": "rust",
    "zig": "zig",
    "nim": "nim",
    "crystal": "crystal",
    "swift": "swift",
    "dart": "dart",
    "ruby": "ruby",
    "php": "php",
    "perl": "perl",
    "lua": "lua",
    "r": "r",
    "julia": "julia",
    "sql": "sql",
    "shell": "shell",
    "powershell": "powershell",
    "batch": "batch",
    "elixir": "elixir",
    "erlang": "erlang",
    "haskell": "haskell",
    "elm": "elm",
    "ocaml": "ocaml",
    "clojure": "clojure",
    "coffee": "coffeescript",
    "fortran": "fortran",
    "pascal": "pascal",
    "solidity": "solidity",
    "asm": "assembly",
    "verilog": "verilog",
    "vhdl": "vhdl",
}


def language_by_name(path: str) -> str | None:
    """The language that the file's name says, if it names one."""
    return _language(tags_from_filename(path))


def is_binary_by_name(path: str) -> bool:
    """Whether the file's name already says that it is no text."""
    return "binary" in tags_from_filename(path)


def may_be_script(path: str, *, executable: bool) -> bool:
    """Whether the file's name says nothing, so that its first line may."""
    return not tags_from_filename(path) and (executable or "." not in basename(path))


def language_by_shebang(content: bytes) -> str | None:
    """The language of the interpreter that the first line names, if it names one."""
    command = parse_shebang(io.BytesIO(content))
    return _language(tags_from_interpreter(command[0])) if command else None


def _language(tags: set[str]) -> str | None:
    return next((language for tag, language in _LANGUAGES.items() if tag in tags), None)

"""The tree-sitter grammars of the languages that documents are written in."""

from __future__ import annotations

from functools import cache
from importlib import import_module

from tree_sitter import Language

# The languages of sources/languages.py whose grammars are kept up and come with wheels for all platforms; for each the
# module that holds its grammar and the function that gives it. What is not here is split by its indentation.
_GRAMMARS = {
    "python": ("tree_sitter_python", "language"),
    "javascript": ("tree_sitter_javascript", "language"),
    "jsx": ("tree_sitter_javascript", "language"),
    "typescript": ("tree_sitter_typescript", "language_typescript"),
    "tsx": ("tree_sitter_typescript", "language_tsx"),
    "java": ("tree_sitter_java", "language"),
    "kotlin": ("tree_sitter_kotlin", "language"),
    "scala": ("tree_sitter_scala", "language"),
    "c": ("tree_sitter_c", "language"),
    "objective-c": ("tree_sitter_objc", "language"),
    "c++": ("tree_sitter_cpp", "language"),
    # A superset of C++ of which only the launch of a kernel is not understood.
    "cuda": ("tree_sitter_cpp", "language"),
    "c#": ("tree_sitter_c_sharp", "language"),
    "go": ("tree_sitter_go", "language"),
    "rust": ("tree_sitter_rust", "language"),
    "zig": ("tree_sitter_zig", "language"),
    "swift": ("tree_sitter_swift", "language"),
    "ruby": ("tree_sitter_ruby", "language"),
    "php": ("tree_sitter_php", "language_php"),
    "lua": ("tree_sitter_lua", "language"),
    "julia": ("tree_sitter_julia", "language"),
    "sql": ("tree_sitter_sql", "language"),
    "shell": ("tree_sitter_bash", "language"),
    "powershell": ("tree_sitter_powershell", "language"),
    "elixir": ("tree_sitter_elixir", "language"),
    "haskell": ("tree_sitter_haskell", "language"),
    "ocaml": ("tree_sitter_ocaml", "language_ocaml"),
}
LANGUAGES = frozenset(_GRAMMARS)


@cache
def grammar(language: str) -> Language | None:
    """Return the grammar of a language, or None if there is none. It is loaded when it is first asked for."""
    if language not in _GRAMMARS:
        return None
    module, function = _GRAMMARS[language]
    return Language(getattr(import_module(module), function)())

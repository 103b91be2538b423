"""Measures of functions in languages other than Python: lizard's counts, kept only where they stand up."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import lizard

from backcast_simulator.measured import Block, Measured, chosen_blocks

if TYPE_CHECKING:
    from backcast_simulator.findings import Source

# What `language` says, for paths whose ending lizard does not know.
_SUFFIXES = {
    "c": "c", "c++": "cpp", "cpp": "cpp", "c#": "cs", "csharp": "cs", "go": "go", "java": "java",
    "javascript": "js", "jsx": "jsx", "kotlin": "kt", "lua": "lua", "objective-c": "m", "perl": "pl", "php": "php",
    "python": "py", "r": "r", "ruby": "rb", "rust": "rs", "scala": "scala", "swift": "swift", "tsx": "tsx",
    "typescript": "ts", "zig": "zig",
}  # fmt: skip
# In these, lizard's counts are of dialects that it reads poorly, or of things that are no functions.
_UNRELIABLE = frozenset({"sql", "pks", "pkb", "pls", "plb", "pck", "st", "ttcn", "ttcnpp", "f", "for", "es", "r"})
_BRACES = frozenset({
    "c", "cc", "cjs", "cpp", "cs", "cxx", "go", "h", "hh", "hpp", "java", "js", "jsx", "kt", "kts", "m", "mjs", "mm",
    "php", "rs", "scala", "sol", "swift", "ts", "tsx", "vue", "zig",
})  # fmt: skip

_ENDS = frozenset({"lua", "rb"})

_CLOSER = re.compile(r"(\}(?!.*\{$)|end\b)")
_STRING = re.compile(r""""(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*'|`(?:[^`\\]|\\.)*`""")
_COMMENT = re.compile(r"//.*|/\*.*?\*/|/\*.*|^\s*\*.*")
_CONTROL = re.compile(r"\b(if|else|for|foreach|while|do|switch|match|select|try|catch|loop|guard|when)\b")
_ARM = re.compile(r"^\s*(case\b.*[:{]|default\s*:|(\}\s*)?else\s+if\b|.*=>\s*\S)")
_BRANCH = re.compile(r"\b(if|for|while|case|catch|when)\b|&&|\|\|")
_RETURN = re.compile(r"^\s*return\b")
_COMMENT_LINE = re.compile(r"^\s*(//|/\*|\*|#(?!\s*(if|else|endif|define|include|pragma)))")
_SHORTEST_PLAUSIBLE = 3


def knows(source: Source) -> bool:
    """Whether the language is one whose functions can be told reliably."""
    return _lizard_name(source) is not None


def measure(source: Source) -> list[Measured]:
    """The measures of every function whose counts stand up; an empty list for an unknown language."""
    name = _lizard_name(source)
    if name is None:
        return []
    try:
        found = _analyzer().analyze_source_code(name, source.text).function_list
    except Exception:  # noqa: BLE001  a reader may fail on any input; the other checks still have their say
        return []
    functions = sorted(found, key=lambda f: (f.start_line, -f.end_line))
    return [_measured(source, f) for f in functions if _stands_up(source, f)]


@lru_cache(maxsize=1)
def _analyzer() -> Any:  # noqa: ANN401  lizard has no types
    return lizard.FileAnalyzer(lizard.get_extensions([]))


def _lizard_name(source: Source) -> str | None:
    for suffix in (source.suffix, _SUFFIXES.get(source.language, "")):
        if suffix and suffix not in _UNRELIABLE and lizard.get_reader_for(f"x.{suffix}") is not None:
            return f"x.{suffix}"
    return None


def _short(name: str) -> str:
    return re.split(r"::|\.|->", name)[-1].strip("~ *&")


def _stands_up(source: Source, f: Any) -> bool:  # noqa: ANN401  lizard has no types
    short = _short(f.name)
    if not re.fullmatch(r"[A-Za-z_$][\w$]*[!?]?", short):
        return False
    if not 1 <= f.start_line < f.end_line <= len(source.lines) or f.length < _SHORTEST_PLAUSIBLE:
        return False
    # Some declarations put the return type on the line before the name.
    head = " ".join(source.line(n) for n in range(f.start_line, f.start_line + 2))
    return re.search(rf"(?<![\w$]){re.escape(short)}(?![\w$])", head) is not None and _ends_there(source, f)


def _ends_there(source: Source, f: Any) -> bool:  # noqa: ANN401  lizard has no types
    """Whether the first closer at the function's own indentation stands on its last line.

    Where a template or a regular expression confuses lizard, a function swallows the ones that follow it.
    """
    if source.suffix not in _BRACES | _ENDS:
        return True
    margin = _indentation(source.line(f.start_line))
    for number in range(f.start_line + 1, len(source.lines) + 1):
        text = source.line(number).strip()
        if _CLOSER.match(text) and _indentation(source.line(number)) <= margin:
            return bool(number == f.end_line)
    return False


def _indentation(line: str) -> int:
    return len(line) - len(line.lstrip())


def _bare(line: str) -> str:
    return _COMMENT.sub("", _STRING.sub('""', line))


def _measured(source: Source, f: Any) -> Measured:  # noqa: ANN401  lizard has no types
    numbers = range(f.start_line, f.end_line + 1)
    blocks, depth, deepest = _nesting(source, f.start_line, f.end_line) if source.suffix in _BRACES else ([], 0, 0)
    arms = sum(_ARM.match(source.line(n)) is not None for n in numbers)
    code = [n for n in numbers if source.line(n).strip() and not _COMMENT_LINE.match(source.line(n))]
    return Measured(
        name=f.name.strip(),
        start=f.start_line,
        end=f.end_line,
        code_lines=len(code),
        ccn=f.cyclomatic_complexity,
        depth=depth,
        deepest_line=deepest or f.start_line,
        flat_branches=arms,
        positional=_parameters(source, f),
        blocks=chosen_blocks(blocks, f.end_line - f.start_line + 1, f.cyclomatic_complexity),
        returns=sum(_RETURN.match(source.line(n)) is not None for n in numbers),
        signature_is_given=_is_constructor(source, f),
    )


def _parameters(source: Source, f: Any) -> tuple[str, ...]:  # noqa: ANN401  lizard has no types
    # lizard takes generics, closures and destructuring apart as if they were parameters.
    if source.suffix not in ("c", "cc", "cpp", "h", "hpp", "java", "cs") or re.search(
        r"[<({]", f.long_name[len(f.name) + 1 :]
    ):
        return ()
    return tuple(p.strip("*&[] ") for p in f.parameters if p.strip())


def _is_constructor(source: Source, f: Any) -> bool:  # noqa: ANN401  lizard has no types
    parts = re.split(r"::|\.", f.name)
    is_method_of_same_name = len(parts) > 1 and parts[-1] == parts[-2]
    above = source.line(f.start_line - 1) + source.line(f.start_line)
    return is_method_of_same_name or parts[-1] in ("constructor", "__construct", "init") or "override" in above.lower()


def _nesting(source: Source, start: int, end: int) -> tuple[list[Block], int, int]:
    """The control blocks in braces, the greatest depth of them and the first line at that depth."""
    opened: list[tuple[int, bool]] = []
    blocks: list[Block] = []
    deepest = (0, 0)
    in_comment = False
    for number in range(start, end + 1):
        line, in_comment = _code_of(source.line(number), in_comment=in_comment)
        position = 0
        for brace in re.finditer(r"[{}]", line):
            if brace.group() == "{":
                header = line[position : brace.start()]
                opened.append((number, bool(_CONTROL.search(header))))
                depth = sum(control for _, control in opened)
                deepest = max(deepest, (depth, -number))
            elif opened:
                first, control = opened.pop()
                if control:
                    blocks.append(Block(first, number, _branches(source, first, number)))
            position = brace.end()
    return blocks, deepest[0], -deepest[1]


def _code_of(line: str, *, in_comment: bool) -> tuple[str, bool]:
    if in_comment:
        return (line.split("*/", 1)[1], False) if "*/" in line else ("", True)
    bare = _STRING.sub('""', line)
    opens = bare.rfind("/*") > bare.rfind("*/")
    return _COMMENT.sub("", bare), opens


def _branches(source: Source, start: int, end: int) -> int:
    return sum(len(_BRANCH.findall(_bare(source.line(n)))) for n in range(start + 1, end + 1))

"""Documents are split where their structure is outermost, and each part shows what it needs to be understood."""

from __future__ import annotations

from pathlib import Path

import pytest

from backcast.chunking import LineRange, Splitting, Unsplittable, parsing, split
from backcast.chunking.grammars import LANGUAGES, grammar
from backcast.domain.lines import number_lines, split_lines

_SAMPLES = Path(__file__).parent.parent / "data" / "chunking"
_FILES = {
    "inventory.py": "python",
    "queue.js": "javascript",
    "cache.go": "go",
    "Ledger.java": "java",
    "parser.rs": "rust",
    "ring.c": "c",
    "guide.md": "markdown",
}


def _sample(name: str) -> str:
    return (_SAMPLES / f"{name}.txt").read_text(encoding="utf-8")


def _split(text: str, language: str, budget: int, overlap: int = 0) -> Splitting:
    """Split with a token a character, so that what fits can be seen."""
    return split(text, language, budget_tokens=budget, count_tokens=len, overlap_lines=overlap)


def _firsts(text: str, language: str, budget: int) -> list[str]:
    """Return the first line of each part but the first."""
    lines = split_lines(text)
    return [lines[chunk.first - 1].strip() for chunk in _split(text, language, budget).chunks[1:]]


@pytest.mark.parametrize("language", sorted(LANGUAGES))
def test_each_grammar_loads_and_parses(language: str) -> None:
    assert grammar(language) is not None
    text = "a = 1\n\n" * 20
    assert len(_split(text, language, 100).chunks) > 1


@pytest.mark.parametrize(
    ("name", "budget", "firsts"),
    [
        ("inventory.py", 800, ["@property", "def dump("]),
        ("queue.js", 400, ["add(job) {", "next() {", "done(value) {", "export const readAll = (paths) => {"]),
        (
            "cache.go",
            800,
            ["// Get moves what it finds to the front.", "// Put drops what was used the longest time ago."],
        ),
        ("Ledger.java", 800, ["public BigDecimal balance()"]),
        ("parser.rs", 800, ["/// Reads digits.", "pub fn sum(&mut self) -> Result<u64, ParseError> {"]),
        ("ring.c", 800, ["size_t ring_read(struct ring *ring, unsigned char *out, size_t most)"]),
        ("guide.md", 400, ["## Use"]),
        ("guide.md", 240, ["## Install", "## Use"]),
        ("guide.md", 200, ["Then check it:", "## Use", "Old style"]),
    ],
)
def test_parts_start_at_methods_functions_and_sections(name: str, budget: int, firsts: list[str]) -> None:
    assert _firsts(_sample(name), _FILES[name], budget) == firsts


@pytest.mark.parametrize(
    ("name", "budget", "head"),
    [
        ("inventory.py", 800, ["@dataclass", "class Inventory:"]),
        ("queue.js", 800, ["export class Queue extends EventEmitter {"]),
        ("Ledger.java", 800, ["public final class Ledger"]),
        ("parser.rs", 800, ["impl<'a> Parser<'a> {"]),
    ],
)
def test_a_part_of_a_class_shows_imports_and_the_head_of_the_class(name: str, budget: int, head: list[str]) -> None:
    text = _sample(name)
    lines = split_lines(text)
    numbered = split_lines(number_lines(text))
    last_method = next(c for c in _split(text, _FILES[name], budget).chunks[1:] if lines[c.first - 1].startswith(" "))
    context = [n for part in last_method.context for n in range(part.first, part.last + 1)]
    for line in head:
        assert any(lines[n - 1] == line for n in context)
    assert any(lines[n - 1].startswith(("import", "use ")) for n in context)
    assert last_method.numbered.split("\n")[0] == numbered[context[0] - 1]


def test_a_function_too_large_is_split_at_its_statements_and_shows_where_it_is() -> None:
    body = "".join(f"        self.value_{i} = compute(\n            {i},\n        )\n" for i in range(20))
    text = f"class A:\n    def f(\n        self,\n    ) -> None:\n{body}"
    chunks = _split(text, "python", 600).chunks
    assert len(chunks) > 2
    for chunk in chunks[1:]:
        assert split_lines(text)[chunk.first - 1].startswith("        self.value_")
        assert chunk.context == (LineRange(1, 4),)


def test_a_long_string_is_split_at_its_blank_lines() -> None:
    paragraph = "some words of a long text\n" * 4 + "\n"
    text = 'TEXT = """\n' + paragraph * 8 + '"""\n'
    lines = split_lines(text)
    chunks = _split(text, "python", 400).chunks
    assert len(chunks) > 2
    assert all(lines[chunk.first - 2] == "" for chunk in chunks[1:])


def test_nested_functions_stay_whole_as_long_as_they_fit() -> None:
    inner = "".join(f"    def inner_{i}():\n        a = {i}\n        return a\n\n" for i in range(9))
    text = f"def outer():\n{inner}    return inner_1\n"
    assert all(first.startswith("def inner_") for first in _firsts(text, "python", 300))


def test_a_file_that_fits_is_one_part_without_anything_around_it() -> None:
    text = _sample("cache.go")
    (chunk,) = _split(text, "go", 5000, overlap=3).chunks
    assert (chunk.first, chunk.last, chunk.shown_first, chunk.context) == (1, 58, 1, ())
    assert chunk.numbered == number_lines(text)


def test_parts_overlap_by_so_many_lines() -> None:
    chunks = _split(_sample("cache.go"), "go", 800, overlap=3).chunks
    assert len(chunks) > 1
    assert [chunk.first - chunk.shown_first for chunk in chunks] == [0] + [3] * (len(chunks) - 1)
    assert all(chunk.text.count("\n") == chunk.last - chunk.shown_first for chunk in chunks)


def test_two_thousand_lines_that_take_two_and_a_half_budgets_are_three_parts() -> None:
    functions = "".join(f"def f{i}(a, b):\n    c = a + {i}\n    d = b * c\n    return d\n\n" for i in range(400))
    text = f"import os\n\n{functions}"
    budget = len(number_lines(text)) * 2 // 5
    assert len(_split(text, "python", budget, overlap=10).chunks) == 3


@pytest.mark.parametrize("language", ["python", "javascript", "cobol", "markdown"])
def test_an_empty_file_has_no_parts(language: str) -> None:
    assert _split("", language, 10) == Splitting(())


def test_a_line_longer_than_the_budget_is_said_and_the_rest_still_gets_its_parts() -> None:
    text = "import a from 'a';\n" + "f(1);" * 200 + "\n" + "function g() {\n  return 2;\n}\n"
    splitting = _split(text, "javascript", 100)
    assert splitting.unsplittable == (Unsplittable(2, len("2| ") + 1000),)
    assert [(chunk.first, chunk.last) for chunk in splitting.chunks] == [(1, 1), (3, 5)]


def test_a_minified_file_of_one_line_has_no_part_when_it_does_not_fit() -> None:
    splitting = _split("!function(){" + "var a=1;" * 500 + "}()", "javascript", 1000)
    assert not splitting.chunks
    assert [unsplittable.line for unsplittable in splitting.unsplittable] == [1]


def test_a_line_that_only_just_fits_gives_up_its_overlap_and_its_context() -> None:
    text = "import os\n\n\ndef f():\n" + "".join(f"    x = '{c * 90}'\n" for c in "abcd")
    chunks = _split(text, "python", 105, overlap=2).chunks
    assert [(chunk.first, chunk.shown_first, chunk.context) for chunk in chunks[-4:]] == [
        (n, n, ()) for n in range(5, 9)
    ]


@pytest.mark.parametrize("name", sorted(_FILES))
def test_line_ends_of_windows_change_nothing_but_themselves(name: str) -> None:
    text = _sample(name)
    unix = _split(text, _FILES[name], 800)
    windows = split(
        text.replace("\n", "\r\n"),
        _FILES[name],
        budget_tokens=800,
        count_tokens=lambda shown: len(shown.replace("\r", "")),
        overlap_lines=0,
    )
    assert [chunk.text for chunk in unix.chunks] == [chunk.text.replace("\r", "") for chunk in windows.chunks]


def test_form_feeds_and_line_separators_are_no_lines() -> None:
    text = "import os\n\x0c\n\nX = 'a\u2028b\x85c'\n\x0c\ndef f():\n    return 1\n\x0c\ndef g():\n    return 2\n"
    chunks = _split(text, "python", 60).chunks
    lines = text.split("\n")
    assert [lines[chunk.first - 1] for chunk in chunks[-2:]] == ["def f():", "def g():"]


@pytest.mark.parametrize("language", ["python", "java", "sql"])
def test_what_cannot_be_parsed_is_split_by_blank_lines_and_indentation(language: str) -> None:
    text = "".join(f"%% section {i} ((\n    ]] deeper {{\n    '' deeper\n\n" for i in range(12))
    assert all(first.startswith("%% section") for first in _firsts(text, language, 200))
    assert _split(text, language, 200) == _split(text, "cobol", 200)


def test_what_takes_too_long_to_parse_is_split_by_blank_lines_and_indentation(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "import os\n\n" + "".join(f"def f{i}(\n    a,\n):\n    return {i}\n\n" for i in range(200))
    by_syntax = _split(text, "python", 200)
    monkeypatch.setattr(parsing, "_LONGEST_SECONDS", -1.0)
    assert _split(text, "python", 200) == _split(text, "cobol", 200) != by_syntax


def test_an_unknown_language_shows_the_lines_that_enclose_a_part() -> None:
    body = "".join(f"        statement number {i}\n" for i in range(30))
    text = f"PROGRAM demo\n    PROCEDURE one\n{body}    END\nEND\n"
    chunks = _split(text, "cobol", 400).chunks
    assert len(chunks) > 2
    assert all(chunk.context == (LineRange(1, 2),) for chunk in chunks[1:-1])


def test_a_fenced_example_is_neither_a_section_nor_split_as_long_as_it_fits() -> None:
    text = "# Title\n\nText.\n\n```sh\n# first\n\n# second\n```\n\n# Next\n\nText.\n"
    assert _firsts(text, "markdown", 90) == ["# Next"]


def test_sections_of_restructuredtext_and_html_are_found() -> None:
    rst = "=====\nTitle\n=====\n\nText of it.\n\nOne\n---\n\nText one.\n\nTwo\n---\n\nText two.\n"
    html = "<h1>Title</h1>\n<p>Text.</p>\n<h2>One</h2>\n<p>Text one.</p>\n<h2>Two</h2>\n<p>Text two.</p>\n"
    assert _firsts(rst, "rst", 70) == ["One", "Two"]
    assert _firsts(html, "html", 60) == ["<h2>One</h2>", "<h2>Two</h2>"]


def test_paragraphs_of_plain_text_stay_whole() -> None:
    text = "".join(f"Paragraph {i} begins\nand ends.\n\n" for i in range(9))
    assert all(first.startswith("Paragraph") for first in _firsts(text, "text", 100))


def test_a_counter_is_asked_a_few_times_for_each_part() -> None:
    asked = []

    def count(shown: str) -> int:
        asked.append(shown)
        return len(shown) // 3

    text = "".join(f"def f{i}(a):\n    return a + {i}\n\n" for i in range(1000))
    splitting = split(text, "python", budget_tokens=500, count_tokens=count, overlap_lines=5)
    assert len(asked) < 3 * len(splitting.chunks)


@pytest.mark.parametrize(("budget", "overlap"), [(0, 0), (-1, 0), (1, -1)])
def test_a_budget_or_an_overlap_that_makes_no_sense_is_refused(budget: int, overlap: int) -> None:
    with pytest.raises(ValueError, match="cannot split"):
        _split("a\n", "python", budget, overlap)


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("c", "#ifndef A_H\n#define A_H\n\n#include <a.h>\n\n" + "int f(void) {\n  return 1;\n}\n\n" * 20 + "#endif\n"),
        ("c#", "namespace A\n{\n  using B;\n\n" + "  class C\n  {\n    int F;\n  }\n\n" * 20 + "}\n"),
        ("rust", "mod a {\n  use b::c;\n\n" + "  fn f() -> u8 {\n    1\n  }\n\n" * 20 + "}\n"),
    ],
)
def test_imports_are_shown_that_stand_in_what_encloses_a_whole_file(language: str, text: str) -> None:
    [wanted] = [
        n for n, line in enumerate(split_lines(text), 1) if line.strip() in {"#include <a.h>", "using B;", "use b::c;"}
    ]
    late = _split(text, language, 400).chunks[-1]
    assert any(lines.first <= wanted <= lines.last for lines in late.context)


@pytest.mark.parametrize("language", ["elixir", "julia", "lua", "ocaml", "ruby", "shell", "swift"])
@pytest.mark.parametrize("unclosed", ["'", '"', "`", "<<EOF"])
def test_what_is_not_closed_at_the_end_makes_no_part_of_its_own(language: str, unclosed: str) -> None:
    text = "x = 1\n" * 6 + f"cat {unclosed}rest of it\n}}\n"
    chunks = _split(text, language, 30).chunks
    assert all(chunk.first <= chunk.last <= 8 for chunk in chunks)

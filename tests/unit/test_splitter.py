"""What a failed request asked about is split into parts that cover it, each with the document's line numbers."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest

from backcast.chunking import split, split_apart
from backcast.chunking.apart import estimating
from backcast.domain.failures import Cause
from backcast.domain.lines import number_lines, split_lines
from backcast.domain.parts import Part
from backcast.services.estimate import prompt_bytes
from backcast.services.parts import Splitter, shown_part
from backcast.settings import load_prompt

FUNCTION = "    def method_{0}(self, value):\n        first = value + {0}\n        return first * {0}\n\n"
DOCUMENT = "import os\n\n\nclass Large:\n" + "".join(FUNCTION.format(number) for number in range(300))
LINES = len(split_lines(DOCUMENT))


def splitter(**more: Any) -> Splitter:
    prompt = load_prompt("nightly_tech_debt", "v1")
    run = {**asdict(prompt), "model": "claude-haiku-4-5", "examples": {}, "cache_ttl": None}
    return Splitter({**run, **more})


def failed(text: str = DOCUMENT, part: Part | None = None, times: float = 10) -> dict[str, Any]:
    """Return a request about a text, or a part of it, that the API counted so many times more tokens of than fit."""
    return {
        "body": text,
        "language": "python",
        "part": asdict(part) if part else None,
        "variant": "standard",
        "max_tokens": 8192,
        "detail": f"invalid_request_error: prompt is too long: {int(times * 10_000)} tokens > 10000 maximum",
    }


def parts(*asked: Any, cause: Cause = Cause.TOO_LONG, **more: Any) -> list[Part]:
    found = splitter().parts(failed(*asked, **more), cause)
    assert not isinstance(found, str), found
    return found


def covered(found: list[Part]) -> list[int]:
    return [number for part in found for number in range(part.first, part.last + 1)]


def test_the_parts_cover_the_document_and_weigh_what_they_show() -> None:
    found = parts()
    assert len(found) > 1
    assert covered(found) == list(range(1, LINES + 1))
    for part in found:
        assert part.bytes == len(shown_part(DOCUMENT, part).encode())


@pytest.mark.parametrize("which", [0, 1, -1])
def test_a_part_that_is_split_again_is_covered_by_its_own_parts_with_the_same_numbers(which: int) -> None:
    whole = parts(times=4)[which]
    found = parts(part=whole)
    assert len(found) > 1
    assert covered(found) == list(range(whole.first, whole.last + 1))
    numbered = split_lines(number_lines(DOCUMENT))
    for part in found:
        shown = split_lines(shown_part(DOCUMENT, part))
        assert shown[-1] == numbered[part.last - 1]
        assert numbered[part.first - 1] in shown
        assert part.bytes == len(shown_part(DOCUMENT, part).encode())
        # What it belongs to is still shown.
        assert {"import os", "class Large:"} <= {line.partition("| ")[2] for line in shown}


def test_a_prompt_says_which_lines_to_report_on() -> None:
    part = Part(2, 3, 40, 60, 35, ((1, 1),), 0)
    assert part.told().startswith("This is part 2 of 3: report on lines 40 to 60 only,")


def test_an_answer_that_is_too_long_is_asked_for_in_halves() -> None:
    found = parts(cause=Cause.TRUNCATED)
    assert len(found) == 2
    assert all(0.35 < (part.last - part.first) / LINES < 0.65 for part in found)


def test_a_line_of_more_than_half_a_document_is_a_part_of_its_own_when_the_answer_was_too_long() -> None:
    text = DOCUMENT + f"TABLE = '{'x' * 2 * len(DOCUMENT)}'\n"
    assert covered(parts(text, cause=Cause.TRUNCATED)) == list(range(1, LINES + 2))


def test_a_long_line_goes_without_what_stands_around_it() -> None:
    """The context that its part had is given up before the line is."""
    imports = "".join(f"import module_{number}\n" for number in range(60))
    text = f"{imports}VALUE = '{'x' * 3000}'\nOTHER = 1\n"
    size = prompt_bytes(text)
    whole = Part(2, 2, 61, 62, 61, ((1, 60),), size)
    is_split = [
        not isinstance(splitter().parts(failed(text, whole, 1 + tenths / 20), Cause.TOO_LONG), str)
        for tenths in range(1, 21)
    ]
    # What is split when little fits is split when more does.
    assert is_split == sorted(is_split, reverse=True)
    assert len(set(is_split)) == 2


@pytest.mark.parametrize(
    ("schema", "why"),
    [
        ('{"properties": {"verdict": {}}}', "could not be merged"),
        ('{"properties": {"findings": {}, "risk": {}}}', "merged"),
    ],
)
def test_what_could_not_be_merged_is_not_split(schema: str, why: str) -> None:
    found = splitter(answer_schema=schema).parts(failed(), Cause.TOO_LONG)
    assert isinstance(found, str)
    assert why in found


def test_what_would_take_too_many_parts_is_not_split() -> None:
    found = splitter().parts(failed(DOCUMENT * 20, times=200), Cause.TOO_LONG)
    assert isinstance(found, str)
    assert found.endswith("parts, and at most 100 are asked about")


@pytest.mark.parametrize("language", ["python", "markdown", "cobol"])
def test_apart_it_is_split_the_same(language: str) -> None:
    how = {"budget_tokens": 300, "overlap_lines": 5}
    apart = split_apart(DOCUMENT, language, wider=1, **how)
    assert apart == split(DOCUMENT, language, count_tokens=estimating(1), **how)
    assert len(apart.chunks) > 1


def test_what_kills_the_parser_is_split_all_the_same(caplog: pytest.LogCaptureFixture) -> None:
    # Each line has the parser weigh more ways to make sense of it, until no memory is left.
    text = "a =>\n" * 10_000
    chunks = split_apart(text, "java", budget_tokens=5000, wider=0, overlap_lines=0).chunks
    assert [(chunks[0].first, chunks[-1].last), len(chunks) > 1] == [(1, 10_000), True]
    assert "split by its indentation" in caplog.text

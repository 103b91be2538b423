"""How large parts may be, what they show, and how a document that was split is told."""

from __future__ import annotations

import pytest

from backcast.chunking import split
from backcast.domain.failures import Cause
from backcast.domain.lineage import Step, StepPart, told
from backcast.domain.lines import number_lines, split_lines
from backcast.domain.parts import Part, budget_tokens
from backcast.domain.pricing import estimate_tokens
from backcast.services.parts import shown_part
from backcast_simulator.prompts import find_document

TEXT = "import os\n\n\n" + "".join(f"def f{number}():\n    return {number}\n\n\n" for number in range(200))


def tokens(text: str) -> int:
    return estimate_tokens(len(text.encode()))


@pytest.mark.parametrize(
    ("cause", "detail", "room", "expected"),
    [
        # The window as we estimate it, less a twentieth.
        (Cause.TOO_LONG, "", 600, 475),
        # The API counted half as many tokens again as we did.
        (Cause.TOO_LONG, "invalid_request_error: prompt is too long: 1650 tokens > 900 maximum", 900, 475),
        # Our estimate says that it fits, or that nothing does.
        (Cause.TOO_LONG, "stop_reason model_context_window_exceeded", 2000, 500),
        (Cause.TOO_LONG, "", 50, 500),
        # Half, and what is shown around it.
        (Cause.TRUNCATED, "stop_reason max_tokens", 600, 600),
    ],
)
def test_a_part_has_what_fits_or_half(cause: Cause, detail: str, room: int, expected: int) -> None:
    assert budget_tokens(cause, detail, shown_tokens=1000, other_tokens=100, room=room) == expected


def test_a_part_is_shown_again_as_it_was_when_it_was_split() -> None:
    splitting = split(TEXT, "python", budget_tokens=tokens(TEXT) // 2, count_tokens=tokens, overlap_lines=10)
    assert len(splitting.chunks) > 1
    for number, chunk in enumerate(splitting.chunks, 1):
        context = tuple((lines.first, lines.last) for lines in chunk.context)
        part = Part(number, len(splitting.chunks), chunk.first, chunk.last, chunk.shown_first, context, 0)
        assert shown_part(TEXT, part) == chunk.numbered


def test_what_is_shown_is_part_of_the_identity_of_an_answer() -> None:
    part = Part(1, 2, 1, 10, 1, (), 100)
    other = Part(1, 2, 1, 11, 1, (), 100)
    assert part.answer_key("k") == Part(2, 5, 1, 10, 1, (), 90).answer_key("k")
    assert len({part.answer_key("k"), other.answer_key("k"), part.answer_key("l")}) == 3


def step(number: int, first: int, last: int, state: str = "accepted", cause: str | None = None) -> Step:
    part: StepPart = {"number": number, "count": 2, "first": first, "last": last}
    return Step(2, "split", 100, synchronous=False, state=state, cause=cause, part=part)


def test_a_lineage_tells_of_parts_only_what_went_wrong() -> None:
    whole = Step(1, None, 100, synchronous=False, state="failed", cause="too_long")
    first, second = step(1, 1, 50), step(2, 51, 100)
    assert told([whole, first, second]) == "r1: too_long → r2 split in 2 parts: answered"
    late = Step(4, "same_again", 100, synchronous=True, state="accepted", cause=None, part=second.part)
    assert told([whole, first, step(2, 51, 100, "failed", "passing"), late]) == (
        "r1: too_long → r2 split in 2 parts: answered, but lines 51 to 100 r2: passing → r4 same_again synchronously: "
        "answered"
    )
    assert told([whole, first, step(2, 51, 100, "open")], "budget: none left") == (
        "r1: too_long → r2 split in 2 parts: not all answered, but lines 51 to 100 r2: budget: none left"
    )
    again = step(2, 51, 100, "failed", "too_long")
    assert told([whole, first, again, step(1, 51, 70), step(2, 71, 100)]) == (
        "r1: too_long → r2 split in 2 parts: answered, but lines 51 to 100 r2: too_long"
    )


def test_the_simulator_reads_the_numbers_of_a_part() -> None:
    part = Part(2, 2, 40, 60, 35, ((1, 1),), 0)
    fence = "0" * 12
    document = find_document(f'<document-{fence} path="a.py">\n{shown_part(TEXT, part)}\n</document-{fence}>')
    assert document is not None
    assert document.numbers == (1, 2, *range(35, 61))
    lines = split_lines(TEXT)
    shown = zip(document.numbers, document.lines, strict=True)
    assert all(lines[number - 1] == line for number, line in shown if number != 2)
    whole = find_document(f'<document-{fence} path="a.py">\n{number_lines(TEXT)}\n</document-{fence}>')
    assert whole is not None
    assert whole.numbers == ()

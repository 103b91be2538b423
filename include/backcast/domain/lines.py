"""Lines of a document, as prompts number them and answers quote them."""

from __future__ import annotations


def split_lines(text: str) -> list[str]:
    r"""Split on ``\n`` only, as git and editors count lines; ``str.splitlines`` also splits on U+2028 and others."""
    lines = text.split("\n")
    if lines and lines[-1] == "":
        lines.pop()
    return lines


def number_lines(text: str) -> str:
    """Return the text with `N| ` before each line, N counted from 1 and right-aligned."""
    lines = split_lines(text)
    width = len(str(len(lines)))
    return "\n".join(f"{number:>{width}}| {line}" for number, line in enumerate(lines, 1))


def quote_is_at(lines: list[str], quote: str, line_start: int, line_end: int) -> bool:
    """Tell whether the quoted lines stand one after the other within `line_start..line_end` (1-based, inclusive).

    Leading and trailing blanks of a line do not count, since answers often drop indentation; blank lines around
    the quote do not either. An empty quote is no evidence.
    """
    if not 1 <= line_start <= line_end <= len(lines):
        return False
    return passage_at(lines[line_start - 1 : line_end], quote) is not None


def passage_at(lines: list[str], quote: str) -> int | None:
    """Return at which of the lines, counted from 0, quoted lines begin to stand one after the other; None: nowhere.

    Blanks count as in `quote_is_at`. The time is that of reading both, even where all lines are alike.
    """
    wanted = [line.strip() for line in split_lines(quote.strip())]
    if not any(wanted):
        return None
    passage = _joined(lines)
    at = passage.find(_joined(wanted))
    return None if at < 0 else passage.count("\n", 0, at)


def _joined(lines: list[str]) -> str:
    return "\n".join(["", *(line.strip() for line in lines), ""])

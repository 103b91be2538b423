"""Splits a document into parts that each fit a budget of tokens."""

from __future__ import annotations

from backcast.chunking.chunks import Chunk, LineRange, Outline, Splitting, TokenCounter, Unsplittable
from backcast.chunking.grammars import grammar
from backcast.chunking.headings import PROSE
from backcast.chunking.indentation import indented
from backcast.chunking.packing import Packer
from backcast.chunking.prose import outline_of_prose
from backcast.chunking.sheet import Sheet
from backcast.chunking.surroundings import Surroundings
from backcast.chunking.syntax import outline_by_syntax
from backcast.domain.lines import split_lines


def split(text: str, language: str, *, budget_tokens: int, count_tokens: TokenCounter, overlap_lines: int) -> Splitting:
    """Split a document at the outermost boundaries that let each part fit.

    Code is split by its syntax, prose by headings and paragraphs, and what is neither or cannot be parsed, or not in
    about a second, by blank lines and indentation; where there is nothing else, between lines, but never within one.

    Args:
        text: the document; its lines end with line feeds. One without lines has no parts.
        language: as `sources.languages` names them, or `markdown`, `rst`, `html`, `text`; it may be any other.
        budget_tokens: the most that a part may have as it is shown, `Chunk.numbered`.
        count_tokens: counts the tokens of a text. It is called a few times for each part.
        overlap_lines: how many lines before each part are shown with it, unless they take too much of the budget.

    Returns:
        The parts, and each line that does not fit even by itself.

    Raises:
        ValueError: the budget is less than 1, or the overlap negative.
    """
    if budget_tokens < 1 or overlap_lines < 0:
        raise ValueError(f"cannot split into {budget_tokens} tokens with {overlap_lines} lines of overlap")
    lines = split_lines(text)
    if not lines:
        return Splitting(())
    sheet = Sheet(lines)
    everything = LineRange(1, len(lines))
    whole = sheet.chunk(everything, 1, ())
    tokens = count_tokens(whole.numbered)
    if tokens <= budget_tokens:
        return Splitting((whole,))
    outline = _outline(text, language, lines)
    budget = sheet.weight(everything) * budget_tokens // tokens
    surroundings = Surroundings(sheet, outline.shared, overlap_lines, budget)
    parts = list(Packer(surroundings, budget_tokens, count_tokens).pack(outline.blocks))
    return Splitting(
        tuple(part for part in parts if isinstance(part, Chunk)),
        tuple(part for part in parts if isinstance(part, Unsplittable)),
    )


def _outline(text: str, language: str, lines: list[str]) -> Outline:
    plain = indented(lines)
    if language in PROSE:
        return outline_of_prose(language, plain)
    known = grammar(language)
    parsed = outline_by_syntax(text, known, plain) if known and len(lines) > 1 else None
    return parsed or Outline([plain.block(LineRange(1, len(lines)))])

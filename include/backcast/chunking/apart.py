"""Splits code in a process of its own: what is no code of its language can take a parser all memory, or crash it."""

from __future__ import annotations

import logging
import subprocess
import sys
from typing import Any, Final

import orjson

from backcast.chunking.chunks import LineRange, Splitting, TokenCounter, Unsplittable
from backcast.chunking.grammars import LANGUAGES
from backcast.chunking.sheet import Sheet
from backcast.chunking.splitting import split
from backcast.domain.lines import split_lines
from backcast.domain.pricing import estimate_tokens

# Ten megabytes of code take some seconds and half a gigabyte.
LONGEST_SECONDS: Final = 30
MOST_BYTES: Final = 2 * 1024**3
_log = logging.getLogger(__name__)


def estimating(wider: int) -> TokenCounter:
    """Return what estimates the tokens of lines, whose numbers are so many digits wider where they are sent."""
    return lambda text: estimate_tokens(len(text.encode()) + wider * (text.count("\n") + 1))


def split_apart(text: str, language: str, *, budget_tokens: int, wider: int, overlap_lines: int) -> Splitting:
    """Split as `split` does, by estimated tokens; where the parser fails, by blank lines and indentation.

    Args:
        text: as in `split`, and language, budget and overlap, too.
        language: see `text`.
        budget_tokens: see `text`.
        wider: by how many digits the lines' numbers are wider where they are sent.
        overlap_lines: see `text`.
    """
    how = {"budget_tokens": budget_tokens, "overlap_lines": overlap_lines}
    if language in LANGUAGES:
        try:
            done = subprocess.run(
                [sys.executable, "-P", "-m", "backcast.chunking"],
                input=orjson.dumps({"text": text, "language": language, "wider": wider, **how}),
                capture_output=True,
                timeout=LONGEST_SECONDS,
                check=True,
            )
            return _splitting(text, orjson.loads(done.stdout))
        except (subprocess.SubprocessError, orjson.JSONDecodeError) as error:
            _log.warning("A document in %s is split by its indentation, since its parser failed: %s", language, error)
            language = ""
    return split(text, language, count_tokens=estimating(wider), **how)


def told(splitting: Splitting) -> bytes:
    """Return a splitting as JSON, without the lines."""
    chunks = [(c.first, c.last, c.shown_first, [(r.first, r.last) for r in c.context]) for c in splitting.chunks]
    return orjson.dumps({"chunks": chunks, "unsplittable": [(u.line, u.tokens) for u in splitting.unsplittable]})


def _splitting(text: str, parts: dict[str, list[tuple[Any, ...]]]) -> Splitting:
    sheet = Sheet(split_lines(text))
    chunks = [
        sheet.chunk(LineRange(first, last), shown_first, tuple(LineRange(*lines) for lines in context))
        for first, last, shown_first, context in parts["chunks"]
    ]
    return Splitting(tuple(chunks), tuple(Unsplittable(*line) for line in parts["unsplittable"]))

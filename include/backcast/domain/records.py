"""Answers that are records: rows of whatever fields a workflow's schema gives them, each with its evidence."""

from __future__ import annotations

import json
import re
import sys
import unicodedata
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Final, Literal

from backcast.domain.documents import NO_TEXT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from backcast.domain.report import FirstAttempts, Retried, SkippedDocuments, Spend, Totals, UnansweredDocument

RECORDS: Final = "records"
# What an answer says of what could not be read; no field of a record.
NOTE: Final = "unreadable"
_EVIDENCE: Final = "evidence"

_LONGEST_PIECE: Final = 1_000
_HYPHENATED: Final = re.compile(r"(?<=[^\W\d_])[-\u2010][^\S\n]*\n\s*(?=[^\W\d_])")
_ALIKE: Final = str.maketrans(
    dict.fromkeys("\u2018\u2019\u201a\u201b\u2032", "'")
    | dict.fromkeys("\u201c\u201d\u201e\u201f\u2033", '"')
    | dict.fromkeys("\u2010\u2011\u2012\u2013\u2014\u2015\u2212", "-")
)

Seen = Literal["there", "not there", "cannot be seen"]


def asks_for_records(answer_schema: str) -> bool:
    """Whether answers by this schema (JSON text) are records, and no findings: it has a list `records` on top."""
    records = json.loads(answer_schema).get("properties", {}).get(RECORDS)
    return isinstance(records, dict) and records.get("type") == "array"


def problem_of_records(schema: Any) -> str | None:  # noqa: ANN401  any JSON
    """Why nobody could tell whether answers by a schema are records; None when one can."""
    properties = schema.get("properties") if isinstance(schema, dict) else None
    records = properties.get(RECORDS) if isinstance(properties, dict) else None
    if records is None or (isinstance(records, dict) and records.get("type") == "array"):
        return None
    return f'{RECORDS} has to be a list: {{"type": "array", "items": …}}. For a document without any it is empty.'


def evidence_in(value: Any) -> Iterator[str]:  # noqa: ANN401  any JSON
    """Yield every text that is called `evidence` in a record, or is in a list called so, however deep."""
    if isinstance(value, dict):
        for name, inner in value.items():
            quotes = inner if isinstance(inner, list) else [inner]
            if name == _EVIDENCE:
                yield from (quote for quote in quotes if isinstance(quote, str))
            yield from evidence_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from evidence_in(inner)


class Text:
    """What a document says, for whoever looks for quotes in it."""

    def __init__(self, document: str) -> None:
        self._compact = _compact(document)
        # Nobody quotes a hyphen that only breaks a line.
        self._joined = _compact(_HYPHENATED.sub("", document))
        self._has_gaps = NO_TEXT in document

    def look_for(self, quote: str) -> Seen:
        """Say whether a quote stands anywhere in it.

        Blanks and line ends do not count: text layers of PDFs, and tables, have them where no reader sees any. Nor does
        it which of several marks that look alike a quote or a dash is. Where a document has parts that are no text, a
        quote that is not found may stand there. An empty quote is no evidence.
        """
        wanted = _compact(quote)
        if wanted and (wanted in self._compact or wanted in self._joined):
            return "there"
        return "cannot be seen" if wanted and self._has_gaps else "not there"

    def proves(self, record: Any) -> bool:  # noqa: ANN401  any JSON
        """Whether a record quotes anything, and every quote was found."""
        quotes = list(evidence_in(record))
        return bool(quotes) and all(self.look_for(quote) == "there" for quote in quotes)


def _compact(text: str) -> str:
    # Decomposed, and piece by piece: composing takes a time that grows with the square of a run of marks.
    words = (word[at : at + _LONGEST_PIECE] for word in text.split() for at in range(0, len(word), _LONGEST_PIECE))
    return _invisible().sub("", "".join(unicodedata.normalize("NFKD", word) for word in words).translate(_ALIKE))


@cache
def _invisible() -> re.Pattern[str]:
    # Formats, such as soft hyphens and marks of no width, cannot be seen either.
    formats = (
        character for character in map(chr, range(sys.maxunicode + 1)) if unicodedata.category(character) == "Cf"
    )
    return re.compile(f"[\\s{''.join(map(re.escape, formats))}]+")


@dataclass(frozen=True, slots=True)
class ExtractedDocument:
    """A document whose rows this run wrote: how many, how many of them nobody could check, and what was not readable.

    `speaks_to_the_model` says what its text does that no document has to do; None when it seems harmless.
    """

    path: str
    rows: int
    unverified: int
    unreadable: str = ""
    speaks_to_the_model: str | None = None


@dataclass(frozen=True, slots=True)
class ExtractionReport:
    """What a run that extracts rows has to report, beside the rows themselves; times are in UTC.

    `documents` are those whose rows the run wrote; of the others that have an answer, an earlier run wrote them.
    `snapshot` is the hash of all names and contents, `as_of` when the newest was changed.
    """

    workflow: str
    run_id: int
    source: str
    snapshot: str
    as_of: datetime
    model: str
    prompt_version: str
    simulated: bool
    opened_at: datetime
    published_at: datetime
    deadline: datetime
    interim: bool
    totals: Totals
    spend: Spend
    first_attempts: FirstAttempts
    documents: tuple[ExtractedDocument, ...]
    unanswered: tuple[UnansweredDocument, ...]
    skipped: tuple[SkippedDocuments, ...]
    retried: tuple[Retried, ...] = ()

    @property
    def rows(self) -> int:
        """How many rows the run wrote."""
        return sum(document.rows for document in self.documents)

    @property
    def unverified(self) -> int:
        """How many of them quote what nobody could look up."""
        return sum(document.unverified for document in self.documents)

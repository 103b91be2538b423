"""Answers that are records: rows of whatever fields a workflow's schema gives them, each with its evidence."""

from __future__ import annotations

import json
import unicodedata
from dataclasses import dataclass
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

Seen = Literal["there", "not there", "cannot be seen"]


def asks_for_records(answer_schema: str) -> bool:
    """Whether answers by this schema (JSON text) are records, and no findings: it has a list `records` on top."""
    records = json.loads(answer_schema).get("properties", {}).get(RECORDS)
    return isinstance(records, dict) and records.get("type") == "array"


def evidence_in(value: Any) -> Iterator[str]:  # noqa: ANN401  any JSON
    """Yield every text that is called `evidence` in a record, however deep."""
    if isinstance(value, dict):
        for name, inner in value.items():
            if name == _EVIDENCE and isinstance(inner, str):
                yield inner
            else:
                yield from evidence_in(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from evidence_in(inner)


class Text:
    """What a document says, for whoever looks for quotes in it."""

    def __init__(self, document: str) -> None:
        self._compact = _compact(document)
        self._has_gaps = NO_TEXT in document

    def look_for(self, quote: str) -> Seen:
        """Say whether a quote stands anywhere in it.

        Blanks and line ends do not count: text layers of PDFs, and tables, have them where no reader sees any. Where a
        document has parts that are no text, a quote that is not found may stand there. An empty quote is no evidence.
        """
        wanted = _compact(quote)
        if wanted and wanted in self._compact:
            return "there"
        return "cannot be seen" if wanted and self._has_gaps else "not there"

    def proves(self, record: Any) -> bool:  # noqa: ANN401  any JSON
        """Whether every quote of a record was found."""
        return all(self.look_for(quote) == "there" for quote in evidence_in(record))


def _compact(text: str) -> str:
    # Formats, such as soft hyphens and marks of no width, cannot be seen either.
    return "".join(
        character
        for character in unicodedata.normalize("NFKC", text)
        if not character.isspace() and unicodedata.category(character) != "Cf"
    )


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

"""Writes the rows that the documents of a run were found to hold, each once, and says how that went."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import orjson

from backcast.domain.records import NOTE, RECORDS, ExtractedDocument, ExtractionReport, Text
from backcast.ledger.connection import Connection, Row, sql
from backcast.ledger.copy import copy_in_chunks, stream
from backcast.services.acceptance import parse_answer
from backcast.services.addressings import suspicious_documents
from backcast.services.outcomes import told_of_every_run, unanswered

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence


def lock_rows(connection: Connection, run: Row) -> None:
    """Hold the rows of a run's workflow until the transaction ends, before it is said when it was published.

    Of two runs that publish at once one has to see the other's rows, and which of them came last.
    """
    connection.execute(sql("lock_rows"), {"workflow": run["workflow"]})


def store_rows(connection: Connection, run: Row) -> list[ExtractedDocument]:
    """Store the rows of a run that are new, and return the documents that they are of.

    What a document says is written for each path that it has, unless the run published last that had an answer for this
    path had the same one: a document that is found again adds nothing, and one that has changed back does.

    Args:
        connection: in the transaction that publishes the run, which holds the rows by `lock_rows`.
        run: the run, all of whose documents are settled.
    """
    written: list[ExtractedDocument] = []
    suspicious = {document.path: document.what for document in suspicious_documents(connection, run["run_id"])}
    copy_in_chunks(connection, "copy_rows", _rows(connection, run, suspicious, written))
    return written


def _rows(
    connection: Connection, run: Row, suspicious: Mapping[str, str], written: list[ExtractedDocument]
) -> Iterator[tuple[object, ...]]:
    run_id, schema = run["run_id"], orjson.loads(run["answer_schema"])
    for row in stream(connection, "answers_to_extract", {"run_id": run_id}, at_a_time=50):
        answer = parse_answer(orjson.loads(row["raw"])["message"], schema, exact=True)
        text, records = Text(row["body"]), answer.get(RECORDS) or []
        verified = [text.proves(record) for record in records]
        note = answer.get(NOTE)
        written.append(
            ExtractedDocument(
                path=row["path"],
                rows=len(verified),
                unverified=verified.count(False),
                unreadable=note if isinstance(note, str) else "",
                speaks_to_the_model=suspicious.get(row["path"]),
            )
        )
        for position, (record, proved) in enumerate(zip(records, verified, strict=True), 1):
            yield run_id, row["document_id"], position, json.dumps(_storable(record), ensure_ascii=False), proved


def _storable(value: Any) -> Any:  # noqa: ANN401  any JSON
    # PostgreSQL cannot hold NUL, which JSON can.
    match value:
        case str():
            return value.replace("\0", "\N{REPLACEMENT CHARACTER}")
        case list():
            return [_storable(item) for item in value]
        case dict():
            return {_storable(name): _storable(item) for name, item in value.items()}
    return value


def rows_as_lines(connection: Connection, run_id: int) -> Iterator[bytes]:
    """Yield the rows that a run wrote, each as a line of JSON that says which document it is from."""
    for row in stream(connection, "rows_of_run", {"run_id": run_id}):
        # As the ledger writes it, whose numbers may be larger than 64 bits.
        yield orjson.dumps(row | {"row": orjson.Fragment(row["row"])}, option=orjson.OPT_APPEND_NEWLINE)


def extraction_report(connection: Connection, run: Row, written: Sequence[ExtractedDocument]) -> ExtractionReport:
    """Return what a run has to report; `written` are the documents whose rows it wrote."""
    return ExtractionReport(
        **told_of_every_run(connection, run),
        source=run["repository"],
        snapshot=run["commit_id"],
        as_of=run["committed_at"],
        documents=tuple(written),
        unanswered=unanswered(connection, run["run_id"]),
    )

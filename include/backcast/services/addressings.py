"""Which documents of a run speak to the model: each content is searched once, however many runs have it."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final

from backcast.domain.addressing import SEARCH, addressing_of, says
from backcast.domain.report import SuspiciousDocument
from backcast.ledger.connection import Connection, sql
from backcast.ledger.copy import stream

if TYPE_CHECKING:
    from collections.abc import Iterator

_AT_A_TIME: Final = 500


def search_contents(connection: Connection, run_id: int) -> None:
    """Search the contents of a run that this search has not been through, and keep with each what it was found to say.

    Args:
        connection: in a transaction.
        run_id: the run, whose documents are stored.
    """
    given = {"run_id": run_id, "searched_by": SEARCH}
    rows = stream(connection, "contents_to_search", given, at_a_time=50)
    while chunk := [(row["content_hash"], addressing_of(row["body"])) for row in islice(rows, _AT_A_TIME)]:
        connection.execute(
            sql("store_addressings"),
            {
                "searched_by": SEARCH,
                "hashes": [content_hash for content_hash, _ in chunk],
                "lines": [found.line if found else None for _, found in chunk],
                "whats": [found.what if found else None for _, found in chunk],
            },
        )


def suspicious_documents(connection: Connection, run_id: int) -> tuple[SuspiciousDocument, ...]:
    """Return the documents of a run that speak to the model, by path, whether they have an answer or not.

    Those of a run that was collected by an earlier version are searched now.
    """
    search_contents(connection, run_id)
    return tuple(_suspicious(connection, run_id))


def _suspicious(connection: Connection, run_id: int) -> Iterator[SuspiciousDocument]:
    for row in stream(connection, "addressings_of_run", {"run_id": run_id}):
        if row["what"] is not None:
            yield SuspiciousDocument(row["path"], row["line"], row["what"])
        elif (what := says(row["path"])) is not None:
            yield SuspiciousDocument(row["path"], None, what)

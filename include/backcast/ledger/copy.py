"""Streams rows into a table with COPY, so that no list of all of them is ever in memory."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final

from backcast.ledger.connection import Connection, Row, sql

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

CHUNK_ROWS: Final = 1_000


def copy_in(connection: Connection, statement: str, rows: Iterable[Sequence[Any]]) -> int:
    """Copy rows by the named COPY statement and return how many there were."""
    count = 0
    with connection.cursor() as cursor, cursor.copy(sql(statement)) as copy:
        for row in rows:
            copy.write_row(row)
            count += 1
    return count


def copy_in_chunks(connection: Connection, statement: str, rows: Iterable[Sequence[Any]]) -> int:
    """Copy rows that are themselves read from this connection, which a single COPY would keep busy."""
    count = 0
    iterator = iter(rows)
    while chunk := list(islice(iterator, CHUNK_ROWS)):
        count += copy_in(connection, statement, chunk)
    return count


def stream(connection: Connection, name: str, parameters: Row, *, at_a_time: int = 500) -> Iterator[Row]:
    """Read the rows of the named query by a cursor of the server, so many at a time; needs a transaction."""
    with connection.cursor(name=name) as cursor:
        cursor.itersize = at_a_time
        cursor.execute(sql(name), parameters)
        yield from cursor

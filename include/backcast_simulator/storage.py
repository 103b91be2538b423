"""Where a simulator keeps what must outlive its memory: in a SQLite file, or in a temporary one."""

from __future__ import annotations

import sqlite3
import threading
import weakref
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypedDict, cast

import orjson

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

_FORMAT = 1
_SECONDS_TO_WAIT_FOR_ANOTHER = 1
_TABLES = """
CREATE TABLE IF NOT EXISTS batches (
    ordinal INTEGER PRIMARY KEY, id TEXT NOT NULL UNIQUE, life TEXT NOT NULL,
    custom_ids TEXT NOT NULL, latencies BLOB NOT NULL, digests BLOB NOT NULL, starts BLOB NOT NULL,
    errors TEXT NOT NULL, scripts TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS blocks (batch_id TEXT, number INTEGER, body BLOB, PRIMARY KEY (batch_id, number));
CREATE TABLE IF NOT EXISTS attempts (digest TEXT PRIMARY KEY, count INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS entries (number INTEGER PRIMARY KEY, list TEXT NOT NULL, value TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS notes (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""


class StoredColumns(TypedDict):
    """All requests of one batch but their parameters."""

    custom_ids: str
    latencies: bytes
    digests: bytes
    starts: bytes
    errors: bytes
    scripts: bytes


class Store:
    """The batches, blocks of requests, attempts, lists and notes of one simulator, by path.

    Without a path all of it is gone with the object; SQLite moves it to a temporary file when it grows.
    """

    def __init__(self, path: Path | None = None) -> None:
        self._lock = threading.RLock()
        self._connection = sqlite3.connect(
            path or "", check_same_thread=False, isolation_level=None, timeout=_SECONDS_TO_WAIT_FOR_ANOTHER
        )
        weakref.finalize(self, self._connection.close)
        self._connection.execute("PRAGMA locking_mode = EXCLUSIVE")
        # What is written survives the process, not a power cut.
        self._connection.execute("PRAGMA synchronous = OFF")
        self._connection.execute(f"PRAGMA journal_mode = {'MEMORY' if path is None else 'WAL'}")
        self._check_format(path)
        self._connection.executescript(_TABLES)
        # What is left of a create call in the midst of which the simulator was killed.
        self._connection.execute("DELETE FROM blocks WHERE batch_id NOT IN (SELECT id FROM batches)")

    def _check_format(self, path: Path | None) -> None:
        (version,) = self._connection.execute("PRAGMA user_version").fetchone()
        (tables,) = self._connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        if version != _FORMAT and tables:
            raise ValueError(f"{path} was not written by this version of the simulator")
        self._connection.execute(f"PRAGMA user_version = {_FORMAT}")

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All that is written within is kept, or none of it."""
        with self._lock:
            self._connection.execute("BEGIN")
            try:
                yield
            except BaseException:
                self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    def put_block(self, batch_id: str, number: int, body: bytes) -> None:
        """Keep a block of a batch's requests."""
        with self._lock:
            self._connection.execute("INSERT INTO blocks VALUES (?, ?, ?)", [batch_id, number, body])

    def block(self, batch_id: str, number: int) -> bytes:
        """A block of a batch's requests."""
        with self._lock:
            rows = self._connection.execute(
                "SELECT body FROM blocks WHERE batch_id = ? AND number = ?", [batch_id, number]
            )
            body: bytes = rows.fetchone()[0]
        return body

    def put_batch(self, batch_id: str, life: bytes, columns: StoredColumns) -> None:
        """Keep a new batch: what may change in it, and the columns of its requests."""
        with self._lock:
            self._connection.execute(
                "INSERT INTO batches (id, life, custom_ids, latencies, digests, starts, errors, scripts)"
                " VALUES (:id, :life, :custom_ids, :latencies, :digests, :starts, :errors, :scripts)",
                {"id": batch_id, "life": life, **columns},
            )

    def put_life(self, batch_id: str, life: bytes, latencies: bytes) -> None:
        """Keep what has changed in a batch."""
        with self._lock:
            self._connection.execute(
                "UPDATE batches SET life = ?, latencies = ? WHERE id = ?", [life, latencies, batch_id]
            )

    def batches(self) -> Iterator[tuple[str, bytes, StoredColumns]]:
        """Id, life and columns of all batches, oldest first."""
        with self._lock:
            rows = self._connection.execute(
                "SELECT id, life, custom_ids, latencies, digests, starts, errors, scripts FROM batches ORDER BY ordinal"
            ).fetchall()
        names = tuple(StoredColumns.__annotations__)
        for batch_id, life, *columns in rows:
            yield batch_id, life, cast("StoredColumns", dict(zip(names, columns, strict=True)))

    def put_attempts(self, counts: Iterable[tuple[str, int]]) -> None:
        """Keep how often each of these messages has come in."""
        with self._lock:
            self._connection.executemany("INSERT OR REPLACE INTO attempts VALUES (?, ?)", counts)

    def attempts(self) -> dict[str, int]:
        """How often each message has come in."""
        with self._lock:
            return dict(self._connection.execute("SELECT digest, count FROM attempts"))

    def append(self, name: str, value: object) -> None:
        """Add a JSON value to the list with this name."""
        with self._lock:
            self._connection.execute("INSERT INTO entries (list, value) VALUES (?, ?)", [name, orjson.dumps(value)])

    def entries(self, name: str) -> list[Any]:
        """The list with this name."""
        with self._lock:
            rows = self._connection.execute("SELECT value FROM entries WHERE list = ? ORDER BY number", [name])
            return [orjson.loads(value) for (value,) in rows]

    def note(self, name: str, value: object) -> None:
        """Keep a JSON value under this name, in place of any other."""
        with self._lock:
            self._connection.execute("INSERT OR REPLACE INTO notes VALUES (?, ?)", [name, orjson.dumps(value)])

    def noted(self, name: str) -> Any:  # noqa: ANN401  whatever JSON was kept
        """The value under this name, or None."""
        with self._lock:
            row = self._connection.execute("SELECT value FROM notes WHERE name = ?", [name]).fetchone()
        return None if row is None else orjson.loads(row[0])

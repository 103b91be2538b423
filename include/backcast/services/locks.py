"""Locks of the ledger that end with the process that holds them, however it ends."""

from __future__ import annotations

from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

import psycopg

from backcast.domain.errors import ApiError, InputError
from backcast.ledger.connection import sql

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backcast.ledger.connection import Connection, Row


@contextmanager
def held_batch(connection: Connection, batch_id: int) -> Iterator[None]:
    """Hold a batch.

    Raises:
        ApiError: another process holds it; a later call may get it.
    """
    with tried_batch(connection, batch_id) as held:
        if not held:
            raise ApiError(f"Another process works on batch {batch_id} just now. Try again in a minute.")
        yield


@contextmanager
def tried_batch(connection: Connection, batch_id: int) -> Iterator[bool]:
    """Hold a batch if nobody else does; yields whether that went well."""
    with _tried(connection, "batch", {"batch_id": batch_id}) as held:
        yield held


@contextmanager
def tried_rescue(connection: Connection, run_id: int) -> Iterator[bool]:
    """Hold the synchronous answering of a run if nobody else does; yields whether that went well."""
    with _tried(connection, "rescue", {"run_id": run_id}) as held:
        yield held


@contextmanager
def tried_checks(connection: Connection, run: Row) -> Iterator[bool]:
    """Hold the checks of a run's workflow and repository if nobody else does; yields whether that went well."""
    with _tried(connection, "checks", {"checks": f"{run['workflow']} {run['repository']}"}) as held:
        yield held


@contextmanager
def held_tests(connection: Connection, run_id: int) -> Iterator[None]:
    """Hold the running of what a run proposes.

    Raises:
        ApiError: another process holds it; a later call may get it.
    """
    with _tried(connection, "tests", {"run_id": run_id}) as held:
        if not held:
            raise ApiError(f"Another process runs the tests of run {run_id} just now. Try again in a minute.")
        yield


@contextmanager
def tried_workspace(connection: Connection, workspace: Row) -> Iterator[bool]:
    """Hold a workspace, by base URL and key fingerprint, if nobody else does; yields whether that went well."""
    name = f"{workspace['base_url']} {workspace['key_fingerprint']}"
    with _tried(connection, "workspace", {"workspace": name}) as held:
        yield held


@contextmanager
def held_files(connection: Connection, files: str) -> Iterator[None]:
    """Hold a file of requests and the file of its answers.

    Raises:
        InputError: another process holds them.
    """
    with _tried(connection, "files", {"files": files}) as held:
        if not held:
            raise InputError(f"Another process already runs {files}: wait until it is done, or end that one.")
        yield


@contextmanager
def _tried(connection: Connection, what: str, key: Row) -> Iterator[bool]:
    row = connection.execute(sql(f"try_lock_{what}"), key).fetchone()
    held = bool(row and row["locked"])
    try:
        yield held
    finally:
        if held:
            # At once, since the server notices a closed connection only a moment later. A broken one has no locks.
            with suppress(psycopg.Error):
                connection.execute(sql(f"unlock_{what}"), key)

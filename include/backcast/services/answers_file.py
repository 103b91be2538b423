"""Writes the answers to a file of requests: complete or not at all, and beside it what stayed without an answer."""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

import orjson

from backcast.domain.errors import InputError
from backcast.domain.lineage import Step, told
from backcast.ledger.copy import stream

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backcast.ledger.connection import Connection, Row

# What the API says of a request that it was never asked to answer.
_NEVER_ASKED = '{"type":"canceled"}'


def unanswered_file(output: Path) -> Path:
    """Return where it is said of each request without an answer why, beside the answers."""
    return output.with_name(f"{output.stem}.unanswered{output.suffix or '.jsonl'}")


def write_answers(connection: Connection, run_id: int, output: Path) -> None:
    """Write a row for each request of a run, `{"custom_id", "result"}`, in the order of its file.

    Args:
        connection: in a transaction.
        run_id: a run whose outcomes are settled.
        output: where to; it is there at once and whole, or not at all.

    Raises:
        InputError: it cannot be written; the message says why.
    """
    without = unanswered_file(output)
    with _whole_file(output) as answers, _whole_file(without, keep_empty=False) as reasons:
        for row in stream(connection, "request_results", {"run_id": run_id}):
            custom_id = orjson.dumps(row["custom_id"])
            answers.write(b'{"custom_id":%s,"result":%s}\n' % (custom_id, (row["raw"] or _NEVER_ASKED).encode()))
            if row["outcome"] != "answered":
                reasons.write(orjson.dumps(_reason(row), option=orjson.OPT_APPEND_NEWLINE))


def _reason(row: Row) -> Row:
    tried = told([Step(**step) for step in row["steps"]], row["left_because"])
    return {"custom_id": row["custom_id"], "reason": row["reason"], "attempts": row["attempts"], "tried": tried}


@contextmanager
def _whole_file(path: Path, *, keep_empty: bool = True) -> Iterator[IO[bytes]]:
    """Write a file beside its place, and move it there at the end."""
    draft = None
    try:
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False, mode="wb") as file:
            draft = Path(file.name)
            yield file.file
            file.flush()
            os.fsync(file.fileno())
            empty = file.tell() == 0
        if empty and not keep_empty:
            path.unlink(missing_ok=True)
        else:
            draft.chmod(0o666 & ~_umask())
            draft.replace(path)
    except OSError as error:
        raise InputError(
            f"{path} cannot be written: {error.strerror or error}. The answers are kept; mend that and run the same "
            "command again, which pays for nothing twice."
        ) from error
    finally:
        if draft is not None:
            with suppress(FileNotFoundError):
                draft.unlink()


def _umask() -> int:
    # There is no way to ask for it but to set it.
    mask = os.umask(0)
    os.umask(mask)
    return mask

"""Where runs stand, what is in doubt and what may have become of it, and what a person should look at."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Final

from backcast.domain.doubt import is_candidate
from backcast.domain.errors import InputError
from backcast.ledger.connection import Connection, Ledger, Row, sql
from backcast.ledger.runs import load_run
from backcast.services.doubt import intent_of, open_sightings
from backcast.services.lineages import retried_documents

if TYPE_CHECKING:
    from backcast.domain.report import Retried
    from backcast.services.open_run import Clock

RECENT: Final = timedelta(hours=48)


@dataclass(frozen=True, slots=True)
class Status:
    """Rows by column name, as JSON can hold them once times and decimals are text.

    runs: with their requests by state and their money in US$. batches: of these runs. in_doubt: intents without a known
    end, with the `candidates` that may be what became of them. gates: what the samples of these runs have shown.
    paid_twice: second batches. alerts: recent ones.
    """

    runs: list[Row]
    batches: list[Row]
    in_doubt: list[Row]
    gates: list[Row]
    paid_twice: list[Row]
    alerts: list[Row]


def read_status(ledger: Ledger, clock: Clock, run_id: int | None = None) -> Status:
    """Return where the run stands, or all runs that are not over or were opened in the last 48 hours.

    Raises:
        InputError: there is no such run.
    """
    since = clock() - RECENT
    with ledger.connect() as connection:
        runs = _rows(connection, "status_runs", run_id=run_id, since=since)
        if run_id is not None and not runs:
            raise InputError(f"The ledger has no run {run_id}. `backcast status` lists the recent ones.")
        run_ids = [row["run_id"] for row in runs]
        return Status(
            runs=runs,
            batches=_rows(connection, "status_batches", run_ids=run_ids),
            in_doubt=[
                {**row, "candidates": _candidates(connection, row)}
                for row in _rows(connection, "status_doubts", run_id=run_id)
            ],
            gates=_rows(connection, "status_gates", run_ids=run_ids),
            paid_twice=_rows(connection, "status_second", run_id=run_id),
            alerts=_rows(connection, "status_alerts", run_ids=run_ids, since=since),
        )


def read_failures(ledger: Ledger, run_id: int) -> list[Retried]:
    """Return the documents of a run that failed at least once, and how each went on.

    Raises:
        InputError: there is no such run.
    """
    with ledger.connect() as connection:
        load_run(connection, run_id)
        return list(retried_documents(connection, run_id))


def _rows(connection: Connection, query: str, **parameters: object) -> list[Row]:
    return connection.execute(sql(query), parameters).fetchall()


def _candidates(connection: Connection, doubt: Row) -> list[str]:
    workspace = {name: doubt[name] for name in ("base_url", "key_fingerprint")}
    intent = intent_of(doubt)
    return [seen.api_batch_id for seen in open_sightings(connection, workspace) if is_candidate(seen, intent)]

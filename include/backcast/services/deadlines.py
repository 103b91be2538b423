"""Deadlines at risk and missed: which runs owe a report, what is said of them, once for each run and kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from backcast.domain.deadlines import DeadlineKind, alerts_at
from backcast.ledger.connection import sql
from backcast.ledger.runs import find_run
from backcast.services.alerts import Message, raise_alert

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime

    from backcast.ledger.connection import Ledger, Row
    from backcast.services.open_run import Clock

_SHOWN: Final = 5
_IS: Final = {DeadlineKind.AT_RISK: "is at risk", DeadlineKind.MISSED: "has missed its deadline"}


def upcoming(ledger: Ledger, clock: Clock, run_ids: Iterable[int] | None = None) -> list[Message]:
    """Return the messages, not raised before, about these runs, or all that owe a report; the earliest first."""
    now = clock()
    open_ones = [
        message
        for row in _owing(ledger, run_ids)
        for message in _messages(row, now)
        if message.kind not in row["raised"]
    ]
    return sorted(open_ones, key=lambda message: (message.at, message.external_key))


def check_deadlines(ledger: Ledger, clock: Clock, run_ids: Iterable[int] | None = None) -> list[Message]:
    """Raise the alerts that are due, and return those that are new, to be sent to people.

    A run that is published, canceled, only an estimate, or was ended by hand owes nothing. What is missed is not said
    to be at risk any more.

    Args:
        ledger: where the runs are.
        clock: tells the time in UTC.
        run_ids: the runs to look at; all when it is None.
    """
    now = clock()
    due = [message for row in _owing(ledger, run_ids) for message in _messages(row, now) if message.at <= now]
    return [message for message in due if _raise(ledger, now, message)]


def find_opened(ledger: Ledger, external_key: str) -> int | None:
    """Return the ledger's run of a DAG run; None when its first task has not opened it."""
    with ledger.connect() as connection:
        return find_run(connection, external_key)


def alert_unopened(
    ledger: Ledger, clock: Clock, external_key: str, kind: DeadlineKind, conf: Mapping[str, Any] | None
) -> list[Message]:
    """Raise the alert about a DAG run whose first task never came to open it, and return it when it is new.

    Args:
        ledger: where alerts are kept.
        clock: tells the time in UTC.
        external_key: names the DAG run.
        kind: what has come.
        conf: what the DAG run was triggered with; an estimate owes nothing.
    """
    if (conf or {}).get("dry_run"):
        return []
    text = (
        f"{external_key} {_IS[kind]}, and its first task has not opened it yet, so that nothing was sent. Look in "
        "Airflow whether it is queued behind other runs, or why open_run failed; clear that task when it is mended."
    )
    message = Message(kind, clock(), external_key, None, text, external_key.split("/", maxsplit=1)[0])
    return [message] if _raise(ledger, message.at, message) else []


def _owing(ledger: Ledger, run_ids: Iterable[int] | None) -> list[Row]:
    with ledger.connect() as connection:
        return connection.execute(sql("runs_owing"), {"run_ids": None if run_ids is None else list(run_ids)}).fetchall()


def _raise(ledger: Ledger, now: datetime, message: Message) -> bool:
    with ledger.connect() as connection:
        return raise_alert(
            connection,
            now,
            kind=message.kind,
            subject=message.external_key,
            message=message.text,
            run_id=message.run_id,
            told=True,
        )


def _messages(row: Row, now: datetime) -> list[Message]:
    moments = alerts_at(row["deadline"])
    if moments[DeadlineKind.MISSED] <= now:
        del moments[DeadlineKind.AT_RISK]
    return [
        Message(kind, at, row["external_key"], row["run_id"], _text(kind, row), row["workflow"])
        for kind, at in moments.items()
    ]


def _text(kind: DeadlineKind, row: Row) -> str:
    run_id = row["run_id"]
    return (
        f"Run {run_id} of {row['workflow']} ({row['external_key']}) {_IS[kind]}: its report is due "
        f"{row['deadline']:%Y-%m-%d %H:%M} UTC and not published. Open: {_open(row)}. Look at `backcast status "
        f"{run_id}`; `backcast reconcile --finish {run_id}` does what can be done of the rest now, `backcast cancel "
        f"{run_id}` gives it up."
    )


def _open(row: Row) -> str:
    at_api: list[str] = row["at_api"]
    named = ", ".join(at_api[:_SHOWN]) + (f" and {len(at_api) - _SHOWN} more" if len(at_api) > _SHOWN else "")
    parts = [
        f"{row['open']} of {row['requests']} requests" if row["requests"] else "its documents",
        f"at the API {named}" if at_api else "",
        f"batches in doubt: {row['in_doubt']}" if row["in_doubt"] else "",
        f"held because {row['held_because']}" if row["held_because"] else "",
    ]
    return "; ".join(filter(None, parts))

"""Takes a prompt's pass back when a full run shows that its sample promised too much."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backcast.ledger.connection import Connection, Row, sql
from backcast.ledger.runs import sample_terms_of
from backcast.services.alerts import raise_alert

if TYPE_CHECKING:
    from datetime import datetime


def revoke_passes_if_worse(connection: Connection, now: datetime, run: Row) -> None:
    """Revoke the passes of a run's prompt and model when its first-pass rate is below the threshold.

    A run with fewer first requests than a sample has documents says less than the sample did.

    Args:
        connection: in a transaction that holds the run.
        now: the time in UTC.
        run: the run, all of whose requests are settled.
    """
    key, terms = {"run_id": run["run_id"]}, sample_terms_of(run)
    first = connection.execute(sql("first_answers"), key).fetchone() or {}
    judged, accepted = first["judged"], first["accepted"]
    if judged < terms.documents or accepted / judged >= terms.threshold:
        return
    if not connection.execute(sql("revoke_passes"), {**key, "now": now}).fetchall():
        return
    raise_alert(
        connection,
        now,
        kind="first_pass_below",
        subject=str(run["run_id"]),
        message=f"Of run {run['run_id']} {accepted} of {judged} answers were accepted at the first attempt, below the "
        f"threshold of {terms.threshold:g}: the prompt of {run['workflow']} is proved again before the next run.",
        run_id=run["run_id"],
    )

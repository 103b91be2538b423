"""The explicit acts: cancelling, letting a held run go on, and paying again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from backcast.domain.errors import InputError
from backcast.ledger.connection import Connection, Ledger, sql
from backcast.ledger.runs import load_run, lock_run

if TYPE_CHECKING:
    from backcast.anthropic_api.batches import MessageBatchesApi
    from backcast.services.open_run import Clock


@dataclass(frozen=True, slots=True)
class Canceled:
    """What became of a batch that was to be canceled; what it had finished is delivered and paid for."""

    batch_id: int
    api_batch_id: str | None
    what: str


def cancel_run(ledger: Ledger, api: MessageBatchesApi, clock: Clock, run_id: int) -> list[Canceled]:
    """Cancel a run: nothing more is sent, its batches are canceled, and what they had finished is kept.

    Raises:
        InputError: there is no such run, or it is over.
    """
    with ledger.connect() as connection:
        with connection.transaction():
            _require_not_over(connection, run_id)
            connection.execute(sql("cancel_run"), {"run_id": run_id, "now": clock()})
            withdrawn = connection.execute(sql("withdraw_batches"), {"run_id": run_id}).fetchall()
        batches = connection.execute(sql("cancelable_batches"), {"run_id": run_id}).fetchall()
        done = [Canceled(row["batch_id"], None, "withdrawn before it was sent") for row in withdrawn]
        for row in batches:
            if row["state"] == "submitted":
                done.append(_cancel(connection, api, clock, row["batch_id"], row["api_batch_id"]))
            else:
                done.append(Canceled(row["batch_id"], None, "in doubt: canceled when it is known which one it is"))
    return done


def cancel_batch(ledger: Ledger, api: MessageBatchesApi, clock: Clock, api_batch_id: str) -> Canceled:
    """Cancel one batch; its run goes on without what it had not finished.

    Raises:
        InputError: the ledger knows no such batch, or it has ended.
    """
    with ledger.connect() as connection:
        row = connection.execute(sql("batch_by_api_id"), {"api_batch_id": api_batch_id}).fetchone()
        if row is None:
            raise InputError(
                f"The ledger knows no batch {api_batch_id}, so it is not ours to cancel. `backcast status` lists ours."
            )
        if row["state"] != "submitted":
            raise InputError(f"Batch {api_batch_id} is {row['state']}: there is nothing left to cancel.")
        return _cancel(connection, api, clock, row["batch_id"], api_batch_id)


def _cancel(connection: Connection, api: MessageBatchesApi, clock: Clock, batch_id: int, api_batch_id: str) -> Canceled:
    connection.execute(sql("request_cancel"), {"batch_id": batch_id, "now": clock()})
    seen = api.cancel(api_batch_id)
    what = "had ended already" if seen.status == "ended" else "is being canceled"
    return Canceled(batch_id, api_batch_id, what)


def resubmit_run(ledger: Ledger, run_id: int, *, again: bool) -> list[int]:
    """Let a held run go on; with `again`, also give up what has no known end and return the ids of those batches.

    What is given up is sent again by the task that waits for it, or by whoever finishes the run. It may be paid twice.

    Raises:
        InputError: there is no such run, it is over, or there is nothing to do.
    """
    with ledger.transaction() as connection:
        _require_not_over(connection, run_id)
        run = load_run(connection, run_id)
        if run["canceled_at"] is not None:
            raise InputError(f"Run {run_id} was canceled, so nothing is sent for it any more. Trigger a new run.")
        connection.execute(sql("release_run"), {"run_id": run_id})
        given_up = connection.execute(sql("give_up_batches"), {"run_id": run_id}).fetchall() if again else []
        if not given_up and run["held_because"] is None:
            hint = "nothing of it is in doubt or unreadable" if again else "give --again to pay for it twice"
            raise InputError(f"Run {run_id} is not held, and {hint}. `backcast status {run_id}` says where it stands.")
    return [row["batch_id"] for row in given_up]


def _require_not_over(connection: Connection, run_id: int) -> None:
    state = lock_run(connection, run_id)
    if state not in ("open", "collected"):
        raise InputError(f"Run {run_id} is {state}: its outcomes are frozen. Trigger a new run instead.")

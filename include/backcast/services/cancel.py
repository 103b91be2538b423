"""The explicit acts: cancelling, letting a held run go on, and paying again."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from backcast.domain.doubt import may_be
from backcast.domain.errors import ApiError, InputError
from backcast.domain.scores import told
from backcast.ledger.connection import Connection, Ledger, Row, sql
from backcast.ledger.runs import load_run, lock_run
from backcast.services.doubt import intent_of, open_sightings, resolve_doubts
from backcast.services.rounds import withdraw

if TYPE_CHECKING:
    from backcast.anthropic_api.batches import MessageBatchesApi
    from backcast.domain.sampling import LetPass
    from backcast.services.open_run import Clock


@dataclass(frozen=True, slots=True)
class Canceled:
    """What became of a batch that was to be canceled; what it had finished is delivered and paid for.

    `failed` when it may go on at the API, so that cancelling has to be tried again.
    """

    batch_id: int
    api_batch_id: str | None
    what: str
    failed: bool = False


def cancel_run(
    ledger: Ledger, api: MessageBatchesApi, clock: Clock, run_id: int, *, exclusive: bool = False
) -> list[Canceled]:
    """Cancel a run: nothing more is sent, its batches are canceled, and what they had finished is kept.

    Called again, it tries those batches again that could not be canceled.

    Args:
        ledger: where the run is.
        api: the workspace of its batches.
        clock: tells the time in UTC.
        run_id: the run.
        exclusive: nobody else uses this workspace, so that a batch which only one in doubt can be may be canceled too.

    Raises:
        InputError: there is no such run, it is over, or it belongs to another workspace.
        ApiError: what is in doubt cannot be looked for now; the run is canceled all the same.
    """
    with ledger.connect() as connection:
        with connection.transaction():
            _require_not_over(connection, run_id)
            for row in _cancelable(connection, run_id):
                _require_workspace(api, row)
            connection.execute(sql("cancel_run"), {"run_id": run_id, "now": clock()})
            withdrawn = withdraw(connection, run_id, "the run was canceled", clock())
        done = [Canceled(batch_id, None, "withdrawn before it was sent") for batch_id in withdrawn]
        batches = _cancelable(connection, run_id)
        if exclusive and any(row["state"] != "submitted" for row in batches):
            resolve_doubts(ledger, api, clock)
            batches = [
                _with_candidate(connection, row) if row["state"] == "in_doubt" else row
                for row in _cancelable(connection, run_id)
            ]
        return done + [_try_to_cancel(connection, api, clock, row) for row in batches]


def cancel_lost_runs(ledger: Ledger, clock: Clock) -> list[int]:
    """Cancel every unfinished run on a simulator that is gone with its batches, so that no other run waits for them.

    Returns the ids of these runs. For a ledger whose simulated runs all used that simulator.
    """
    with ledger.transaction() as connection:
        lost = [row["run_id"] for row in connection.execute(sql("cancel_lost_runs"), {"now": clock()}).fetchall()]
        connection.execute(sql("doubt_lost_intents"))
        connection.execute(sql("give_up_lost_batches"))
        for run_id in lost:
            withdraw(connection, run_id, "the simulator that it was for is gone", clock())
    return lost


def cancel_batch(ledger: Ledger, api: MessageBatchesApi, clock: Clock, api_batch_id: str) -> Canceled:
    """Cancel one batch; its run goes on without what it had not finished.

    Raises:
        InputError: the ledger knows no such batch, it has ended, or it belongs to another workspace.
        ApiError: it cannot be canceled now.
    """
    with ledger.connect() as connection:
        row = connection.execute(sql("batch_by_api_id"), {"api_batch_id": api_batch_id}).fetchone()
        if row is None:
            raise InputError(
                f"The ledger knows no batch {api_batch_id}, so it is not ours to cancel. `backcast status` lists ours."
            )
        if row["state"] != "submitted":
            raise InputError(f"Batch {api_batch_id} is {row['state']}: there is nothing left to cancel.")
        _require_workspace(api, row)
        return _cancel(connection, api, clock, row)


def _cancelable(connection: Connection, run_id: int) -> list[Row]:
    return connection.execute(sql("cancelable_batches"), {"run_id": run_id}).fetchall()


def _require_workspace(api: MessageBatchesApi, row: Row) -> None:
    if {name: row[name] for name in api.workspace} != api.workspace:
        raise InputError(
            f"Batch {row['batch_id']} was sent to {row['base_url']} with the key {row['key_fingerprint']} (a "
            f"fingerprint), and ours is {api.key_fingerprint} at {api.base_url}: nothing was canceled. Set "
            "ANTHROPIC_BASE_URL and ANTHROPIC_API_KEY to those it was sent with."
        )


def _with_candidate(connection: Connection, doubted: Row) -> Row:
    """Add what the API calls a batch in doubt, when one listed batch may be it and can be no other one in doubt."""
    workspace = {name: doubted[name] for name in ("base_url", "key_fingerprint")}
    others = connection.execute(sql("status_doubts"), {"run_id": None}).fetchall()
    may_be_ours = [
        seen
        for seen in open_sightings(connection, workspace)
        if not seen.ended
        and [row["batch_id"] for row in others if may_be(seen, intent_of(row))] == [doubted["batch_id"]]
    ]
    return {**doubted, "api_batch_id": may_be_ours[0].api_batch_id} if len(may_be_ours) == 1 else doubted


def _try_to_cancel(connection: Connection, api: MessageBatchesApi, clock: Clock, row: Row) -> Canceled:
    if row["api_batch_id"] is None:
        return Canceled(row["batch_id"], None, "is in doubt: it is not sent again, and what it may answer is kept")
    try:
        return _cancel(connection, api, clock, row)
    except ApiError as error:
        return Canceled(row["batch_id"], row["api_batch_id"], f"could not be canceled: {error}", failed=True)


def _cancel(connection: Connection, api: MessageBatchesApi, clock: Clock, row: Row) -> Canceled:
    key = {"batch_id": row["batch_id"]}
    connection.execute(sql("request_cancel"), {**key, "now": clock()})
    try:
        seen = api.cancel(row["api_batch_id"])
    except ApiError:
        if _goes_on(api, row["api_batch_id"]):
            # Or else somebody's later cancel would pass for ours.
            connection.execute(sql("forget_cancel_request"), key)
        raise
    what = "had ended already" if seen.status == "ended" else "is being canceled"
    return Canceled(row["batch_id"], row["api_batch_id"], what)


def _goes_on(api: MessageBatchesApi, api_batch_id: str) -> bool:
    try:
        return api.retrieve(api_batch_id).cancel_initiated_at is None
    except ApiError:
        return False


def resubmit_run(
    ledger: Ledger, clock: Clock, run_id: int, *, again: bool, let_pass: LetPass | None = None
) -> list[int]:
    """Let a held run go on; with `again`, also give up what has no known end and return the ids of those batches.

    What is given up is sent again by the task that waits for it, or by whoever finishes the run. It may be paid twice.
    A run that was due meanwhile is due again, after as much time as it had. One whose sample failed goes on only when
    somebody lets it pass, which is written down.

    Raises:
        InputError: there is no such run, it is over, or there is nothing to do.
    """
    with ledger.transaction() as connection:
        _require_not_over(connection, run_id)
        run = load_run(connection, run_id)
        if run["canceled_at"] is not None:
            raise InputError(f"Run {run_id} was canceled, so nothing is sent for it any more. Trigger a new run.")
        _require_passed(connection, run_id, let_pass)
        connection.execute(sql("release_run"), {"run_id": run_id, "now": clock()})
        given_up = connection.execute(sql("give_up_batches"), {"run_id": run_id}).fetchall() if again else []
        if not given_up and run["held_because"] is None:
            raise InputError(
                f"Run {run_id} is not held, and {_hint(connection, run_id)}. `backcast status {run_id}` says where it "
                "stands."
            )
    return [row["batch_id"] for row in given_up]


def _require_passed(connection: Connection, run_id: int, let_pass: LetPass | None) -> None:
    """Let the sample of a run pass when somebody says why; refuse to let a run go on whose sample failed."""
    if let_pass is not None:
        connection.execute(sql("let_pass"), {"run_id": run_id, "let_pass": json.dumps(asdict(let_pass))})
        return
    found = connection.execute(sql("gate_of_run"), {"run_id": run_id}).fetchone()
    if found is not None and found["verdict"] == "failed":
        raise InputError(
            f"The sample of run {run_id} failed ({told(found['scores'])}): say why it may go on all the same, as in "
            f'`backcast resubmit {run_id} --let-pass "WHY"`.'
        )


def _hint(connection: Connection, run_id: int) -> str:
    row = connection.execute(sql("count_unsettled_batches"), {"run_id": run_id}).fetchone()
    if row and row["count"]:
        return f"{row['count']} of its batches have no known end: give --again to send them again, maybe paying twice"
    return "nothing of it is in doubt or unreadable"


def _require_not_over(connection: Connection, run_id: int) -> None:
    state = lock_run(connection, run_id)
    if state not in ("open", "collected"):
        raise InputError(f"Run {run_id} is {state}: its outcomes are frozen. Trigger a new run instead.")

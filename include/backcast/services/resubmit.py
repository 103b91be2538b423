"""Makes the requests of a later round: only what failed, each changed so that it can succeed."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

import orjson

from backcast.domain.failures import MAX_SPLITS, Cause, Means, NextAttempt, Remedy, Tried, Variant, next_attempt
from backcast.ledger.connection import Connection, Ledger, Row, sql
from backcast.ledger.copy import copy_in_chunks, stream
from backcast.ledger.runs import brings_its_own, load_run, lock_run
from backcast.services.budget import reserve
from backcast.services.fault_points import FaultPoint, reached
from backcast.services.holds import require_not_held
from backcast.services.kinds import variants_of_run
from backcast.services.open_work import weigh
from backcast.services.parts import Splitter
from backcast.settings import load_model

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backcast.services.open_run import Clock


@dataclass(slots=True)
class Resubmission:
    """How many failed requests go again, and how many are given up, by (cause, remedy)."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)


def resubmit_failures(ledger: Ledger, run_id: int, round_number: int) -> Resubmission:
    """Give each request that failed before this round its remedy: a child request in this round, or none.

    A second call finds that they have their children, and makes no more. A canceled run gets none.

    Raises:
        HeldError: the run is held.
    """
    with ledger.transaction() as connection:
        resubmission = resubmit_within(connection, run_id, round_number)
        reached(FaultPoint.RESUBMIT_BEFORE_COMMIT)
    reached(FaultPoint.RESUBMIT_COMMITTED)
    return resubmission


def resubmit_within(connection: Connection, run_id: int, round_number: int) -> Resubmission:
    """Do what `resubmit_failures` does, in a transaction of the caller's, which then holds the run."""
    resubmission = Resubmission()
    lock_run(connection, run_id)
    run = load_run(connection, run_id)
    if run["canceled_at"] is not None:
        return resubmission
    require_not_held(run)
    key = {"run_id": run_id, "round": round_number, "before": round_number, "synchronous": False}
    for row in connection.execute(sql("remedies_of_round"), key):
        resubmission.counts[row["cause"], row["remedy"]] += row["count"]
    decide(connection, run, key, resubmission)
    return resubmission


def lane(ledger: Ledger, clock: Clock, run_id: int) -> str:
    """Say whether what goes again goes as a batch or synchronously, and why the clock says so."""
    now = clock()
    with ledger.connect() as connection:
        last = weigh(connection, now, load_run(connection, run_id)).cutoffs
    if now >= last.batch_until:
        return f"synchronously: the last batch could have been sent at {last.batch_until:%Y-%m-%d %H:%M} UTC"
    sure = "certain to suffice" if now < last.rebatch_until else "canceled when it has not ended by then"
    return f"as a batch, {sure}: what has not ended at {last.cancel_at:%Y-%m-%d %H:%M} UTC is answered synchronously"


def decide(connection: Connection, run: Row, key: Row, resubmission: Resubmission) -> None:
    """Decide about each failure of a run that nobody has decided about, and reserve the money for what goes again.

    Args:
        connection: in a transaction that holds the run.
        run: the run.
        key: `run_id`; `before`, the round before which it failed; the `round` that tries again, and whether it is
            `synchronous`.
        resubmission: counts what was decided.
    """
    connection.execute(sql("create_remedies"))
    copy_in_chunks(connection, "copy_remedies", _remedies(connection, run, key, resubmission))
    connection.execute(sql("decide_failures"), key)
    connection.execute(sql("create_child_requests"), key)
    connection.execute(sql("drop_remedies"))
    connection.execute(sql("adopt_parts"), key)
    connection.execute(sql("release_split"), key)
    reserve(connection, run)


def _remedies(connection: Connection, run: Row, key: Row, resubmission: Resubmission) -> Iterator[tuple[Any, ...]]:
    variants, splitter = variants_of_run(run), Splitter(run)
    for row in stream(connection, "failed_requests", key, at_a_time=50):
        cause = Cause(row["cause"])
        forms = (Variant(row["variant"]), frozenset(Variant(variant) for variant in row["variants"]))
        # Nobody could merge the answers to parts of a request that brings its own parameters.
        splits = MAX_SPLITS if brings_its_own(run) else row["splits"]
        tried = Tried(row["attempts"], row["max_tokens"], *forms, splits=splits)
        means = Means(load_model(row["model"] or run["model"]).max_output_tokens, variants)
        following = next_attempt(cause, row["detail"], tried, means)
        if following.remedy is Remedy.SPLIT:
            parts = splitter.parts(row, cause)
            if isinstance(parts, str):
                connection.execute(sql("explain_failure"), {"request_id": row["request_id"], "why": parts})
                following = next_attempt(cause, row["detail"], replace(tried, splits=MAX_SPLITS), means)
            else:
                for part in parts:
                    shown = orjson.dumps(asdict(part)).decode()
                    yield *_again(row, following), shown, part.number, part.answer_key(row["document_key"])
        if following.remedy not in {Remedy.SPLIT, Remedy.GIVE_UP}:
            yield *_again(row, following), None, 0, None
        resubmission.counts[cause, following.remedy] += 1


def _again(failed: Row, following: NextAttempt) -> tuple[Any, ...]:
    return failed["request_id"], following.remedy, following.max_tokens, following.variant

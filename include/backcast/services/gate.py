"""The gate: a sample of a run is answered synchronously, and only when it shows a good prompt is anything submitted."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final, Literal

from backcast.domain.errors import ApiError, HeldError, InDoubtError
from backcast.domain.golden import total
from backcast.domain.pricing import BATCH_SHARE
from backcast.domain.sampling import Candidate, LetPass, choose
from backcast.domain.scores import Found, Projection, Scores, project, told
from backcast.labelled import load_labelled
from backcast.ledger.connection import Connection, Ledger, Row, sql
from backcast.ledger.copy import stream
from backcast.ledger.runs import let_pass_of, load_run, lock_run, sample_terms_of, settings_of
from backcast.services.alerts import raise_alert
from backcast.services.budget import reserve
from backcast.services.caching import costs_of
from backcast.services.claims import PUBLISH_WITHIN
from backcast.services.fault_points import FaultPoint, reached
from backcast.services.holds import goes_on, require_not_held
from backcast.services.rescue import rescue
from backcast.services.samples import labelled_sample
from backcast.services.scoring import SCORED_WITHIN, next_key, sample_name, sampled_answers, score

if TYPE_CHECKING:
    from datetime import datetime

    from backcast.anthropic_api.batches import MessageBatchesApi
    from backcast.services.calls import Pause
    from backcast.services.open_run import Clock

_WAIT_FOR_ANOTHER_SECONDS: Final = 30.0
# How many failing answers a message shows; all of them are in the ledger.
_SHOWN: Final = 5


@dataclass(frozen=True, slots=True)
class Gated:
    """What came of a run's gate.

    Attributes:
        verdict: `passed` or `let_pass`; None when there was nothing to prove.
        why: in a sentence.
        left: how many requests are left to be submitted.
        scores: as `Scores.view` tells them, with the `projection`; None when no sample was needed.
        waits: whether the sample is still being answered, so that nothing may be submitted yet.
    """

    verdict: Literal["passed", "let_pass"] | None
    why: str
    left: int
    scores: Row | None = None
    waits: bool = False

    def lines(self) -> list[str]:
        """Say it in words, a line for each."""
        said = [self.why]
        if self.scores is not None:
            said += [*told_of_projection(self.scores["projection"]), *failing(self.scores)]
        return [*said, told_of_rest(self.left)]


_WAITS: Final = Gated(None, "The sample is still being answered.", 0, waits=True)


def gate(  # noqa: PLR0913  a service is given its ledger, API and clock
    ledger: Ledger,
    api: MessageBatchesApi,
    clock: Clock,
    run_id: int,
    *,
    pause: Pause = asyncio.sleep,
    stop_at: datetime | None = None,
) -> Gated:
    """Prove a run's prompt on a sample before anything of it is submitted; safe to call again.

    A pass holds for other runs whose requests have the same prompt, model and shape and whose sample would not be
    larger, until the first-pass rate of one falls below the threshold.

    Args:
        ledger: where the run is.
        api: its workspace.
        clock: tells the time in UTC.
        run_id: the run.
        pause: waits for so many seconds.
        stop_at: no call is begun after this moment, and what waits then is left to a later call.

    Raises:
        HeldError: the sample shows that the prompt is not good enough; the run is held from now on.
        RefusedError: the key has no access, or there is no money; somebody must mend it.
        ApiError: calls for the sample had no known end; a later call asks about other documents.
    """
    with ledger.transaction() as connection:
        known = _known(connection, clock(), run_id)
        reached(FaultPoint.GATE_BEFORE_COMMIT)
    reached(FaultPoint.GATE_OPENED)
    if known is not None:
        return known
    while True:
        rescue(ledger, api, clock, run_id, final=False, pause=pause, stop_at=stop_at)
        if not _waits(ledger, run_id):
            break
        if stop_at is not None and clock() >= stop_at:
            return _WAITS
        # Another process answers them just now.
        asyncio.run(_wait(pause))
    try:
        labelled = _labelled(ledger, api, clock, run_id, pause, stop_at)
    except InDoubtError as error:
        if stop_at is None:
            # Or else the task would be done, and what follows it would submit.
            raise ApiError(f"The sample of run {run_id} is not answered yet: {error}") from error
        return _WAITS
    with ledger.transaction() as connection:
        gated = _judge(connection, clock(), run_id, labelled)
    reached(FaultPoint.GATE_JUDGED)
    if isinstance(gated, str):
        raise HeldError(gated)
    return gated


async def _wait(pause: Pause) -> None:
    await pause(_WAIT_FOR_ANOTHER_SECONDS)


def _waits(ledger: Ledger, run_id: int) -> bool:
    with ledger.connect() as connection:
        row = connection.execute(sql("sample_waits"), {"run_id": run_id}).fetchone()
    return bool(row and row["count"])


def _labelled(  # noqa: PLR0913, PLR0917  as `gate`
    ledger: Ledger, api: MessageBatchesApi, clock: Clock, run_id: int, pause: Pause, stop_at: datetime | None
) -> Found | None:
    """Return what the run's prompt finds in the labelled documents of its workflow.

    None when there are none, when none was answered, or when there is no time for them. Runs that are proved at the
    same time share the answers. What is paid for them counts for the run that asked first.
    """
    with ledger.connect() as connection:
        run = load_run(connection, run_id)
        answered = any(row["state"] != "open" for _, row in sampled_answers(connection, run_id))
        committed = connection.execute(sql("committed_money"), {"run_id": run_id}).fetchone() or {}
    documents = labelled_sample(load_labelled(run["workflow"]))
    late = clock() > run["deadline"] - PUBLISH_WITHIN - SCORED_WITHIN
    if not documents or not answered or late or not goes_on(run):
        return None
    settings = settings_of(run)
    most = settings.budget.run
    left = None if most is None else max(Decimal(0), most - committed["run_usd"])
    own = replace(settings, ref=run["external_key"], budget=replace(settings.budget, run=left))
    key = next_key(ledger, f"labelled {sample_name(api, own, documents)}")
    scored = score(ledger, api, clock, own, documents, external_key=key, pause=pause, stop_at=stop_at)
    return total(scored.answered.values()) if scored.answered else None


def _known(connection: Connection, now: datetime, run_id: int) -> Gated | None:
    """Return what is known of a run's gate; None when its sample is to be answered, which is taken now."""
    key = {"run_id": run_id}
    lock_run(connection, run_id)
    run = load_run(connection, run_id)
    if not goes_on(run):
        return Gated(None, "Nothing is to be submitted for this run.", 0)
    found = connection.execute(sql("gate_of_run"), key).fetchone()
    if found is not None and found["verdict"] is not None:
        return _judged_before(connection, run, found)
    require_not_held(run)
    if found is not None:
        _take_sample(connection, run)
        return None
    left = len(_bulk_sizes(connection, run_id))
    shown = min(left, sample_terms_of(run).documents)
    earlier = connection.execute(sql("standing_pass"), {**key, "documents": shown}).fetchone()
    if earlier is not None:
        why = f"The prompt passed in run {earlier['run_id']}, at {earlier['judged_at']:%Y-%m-%d %H:%M} UTC."
        return Gated("passed", why, left)
    if not _take_sample(connection, run):
        return Gated(None, "There is nothing to prove a prompt for.", left)
    connection.execute(sql("open_gate"), {**key, "now": now})
    return None


def _judged_before(connection: Connection, run: Row, found: Row) -> Gated:
    """Return what a gate said; of one that failed, the run was let go on since, or it would be held."""
    left = len(_bulk_sizes(connection, run["run_id"]))
    if found["verdict"] != "failed":
        return Gated(found["verdict"], f"The sample of this run has {found['verdict']}.", left, found["scores"])
    let_pass = let_pass_of(run)
    if let_pass is None:
        raise HeldError(_told_of_failure(run, found["scores"]))
    decided = {"run_id": run["run_id"], "decided_by": let_pass.by, "why": let_pass.why}
    connection.execute(sql("let_gate_pass"), decided)
    return Gated("let_pass", _told_of_let_pass(let_pass, found["scores"]), left, found["scores"])


def _bulk_sizes(connection: Connection, run_id: int) -> list[int]:
    """Return the sizes in bytes of what a run will submit once it may."""
    return [row["prompt_bytes"] for row in stream(connection, "bulk_sizes", {"run_id": run_id})]


def _take_sample(connection: Connection, run: Row) -> int:
    """Fill a run's sample up, of which some may have been lost, and return how many documents were added."""
    key, terms = {"run_id": run["run_id"]}, sample_terms_of(run)
    there = (connection.execute(sql("sample_size"), key).fetchone() or {})["count"]
    rows = connection.execute(sql("sample_candidates"), key).fetchall() if there < terms.documents else []
    request_of = {row["key"]: row.pop("request_id") for row in rows}
    chosen = choose([Candidate(**row) for row in rows], replace(terms, documents=terms.documents - there))
    connection.execute(sql("take_sample"), {"request_ids": [request_of[key] for key in chosen]})
    reserve(connection, run)
    return len(chosen)


def _judge(connection: Connection, now: datetime, run_id: int, labelled: Found | None) -> Gated | str:
    """Write down what the sample has shown; returns why the run is held from now on, if it is."""
    key = {"run_id": run_id}
    lock_run(connection, run_id)
    run = load_run(connection, run_id)
    found = connection.execute(sql("gate_of_run"), key).fetchone()
    if not goes_on(run) or found is None:
        return Gated(None, "Nothing is to be submitted for this run.", 0)
    if found["verdict"] is not None:
        return _judged_before(connection, run, found)
    rest = _bulk_sizes(connection, run_id)
    everything = list(sampled_answers(connection, run_id))
    sample = [(answer, row) for answer, row in everything if not row["lost"]]
    scores = Scores(tuple(answer for answer, row in sample if row["state"] != "open"), labelled)
    if rest and len(sample) < min(len(everything), sample_terms_of(run).documents):
        raise ApiError(
            f"Only {len(sample)} documents of the sample of run {run_id} could be asked about: calls for the others "
            "had no known end. The next try asks about others; clear this task when no try is left."
        )
    unanswered = None if scores.answers else next((answer.detail for answer, _ in everything), "it was taken over")
    if unanswered and not rest:
        connection.execute(sql("close_gate"), key)
        return Gated(None, f"None of the sample was answered: {unanswered}.", 0)
    sizes = [row["prompt_bytes"] for _, row in sample if row["state"] != "open"]
    view = scores.view() | {"projection": _projection(run, scores, sizes, rest).view(), "unanswered": unanswered}
    verdict, let_pass = _verdict(run, scores)
    decided = {"decided_by": let_pass and let_pass.by, "why": let_pass and let_pass.why}
    connection.execute(
        sql("judge_gate"), {**key, **decided, "now": now, "verdict": verdict, "scores": json.dumps(view)}
    )
    if verdict == "failed":
        return _hold(connection, now, run, view)
    why = _told_of_let_pass(let_pass, view) if let_pass else f"The prompt is good enough: {told(view)}."
    return Gated(verdict, why, len(rest), view)


def _verdict(run: Row, scores: Scores) -> tuple[Literal["passed", "let_pass", "failed"], LetPass | None]:
    if scores.passes(sample_terms_of(run).threshold):
        return "passed", None
    let_pass = let_pass_of(run)
    return ("let_pass", let_pass) if let_pass else ("failed", None)


def _projection(run: Row, scores: Scores, sizes: list[int], rest: list[int]) -> Projection:
    """Project from the sample what the rest will need, by what the sample cost of what it was estimated to."""
    costs = costs_of(run)
    expected = sum((costs.batch_usd(size) for size in sizes), Decimal(0))
    # Synchronous calls cost twice what a batch does; what was refused as it is costs nothing and says nothing of costs.
    share = scores.cost_usd * BATCH_SHARE / expected if expected else Decimal(0)
    estimated = sum((costs.batch_usd(size) for size in rest), Decimal(0))
    return project(scores.accepted, len(scores.answers), len(rest), estimated * (share or 1))


def _hold(connection: Connection, now: datetime, run: Row, view: Row) -> str:
    run_id, threshold = run["run_id"], sample_terms_of(run).threshold
    message = _told_of_failure(run, view)
    reason = f"its sample is below {threshold:g}: {_told(view)}"
    connection.execute(sql("hold_run"), {"run_id": run_id, "reason": reason})
    raise_alert(connection, now, kind="sample_failed", subject=str(run_id), message=message, run_id=run_id)
    return message


def _told(view: Row) -> str:
    return f"no answer, {view['unanswered']}" if view.get("unanswered") else told(view)


def _told_of_failure(run: Row, view: Row) -> str:
    run_id = run["run_id"]
    held = (
        f"Run {run_id} is held: its sample is below the threshold of {sample_terms_of(run).threshold:g}: "
        f"{_told(view)}. Nothing was submitted."
    )
    to_do = (
        f"Mend the prompt of {run['workflow']}, then `backcast cancel {run_id}` ends this run and a new one asks with "
        f'the new version; `backcast resubmit {run_id} --let-pass "WHY"` submits the rest as it is.'
    )
    return "\n".join([held, *told_of_projection(view["projection"]), *failing(view), to_do])


def _told_of_let_pass(let_pass: LetPass, view: Row) -> str:
    return f"Below the threshold ({told(view)}), and let pass by {let_pass.by}: {let_pass.why}"


def told_of_projection(projection: Row) -> list[str]:
    """Say what is expected of the rest of a run, in a line; nothing when nothing is left."""
    if not projection["requests"]:
        return []
    usd, least, most = (Decimal(projection[name]) for name in ("usd", "least_usd", "most_usd"))
    again = (
        f"Of {projection['requests']} more requests about {projection['retries']} would go again (with 95 % confidence "
        f"{projection['fewest_retries']} to {projection['most_retries']}); all of it about ${usd:.4f} (${least:.4f} to "
        f"${most:.4f})."
    )
    return [again]


def failing(view: Row) -> list[str]:
    """Say what was wrong with a sample, a line each: answers, with how they begin, and findings."""
    failures: list[dict[str, Any]] = view["failures"]
    labelled: dict[str, Any] = view["labelled"] or {}
    said = [
        f"{one['path']}: {one['cause']}: {one['detail']}"
        + (f"; it begins: {_one_line(one['shown'])}" if one["shown"] else "")
        for one in failures
    ]
    said += [f"missed: {line}" for line in labelled.get("missed", ())]
    said += [f"unwanted: {line}" for line in labelled.get("unwanted", ())]
    more = len(said) - _SHOWN
    return [*(f"  {line}" for line in said[:_SHOWN]), *([f"  and {more} more"] if more > 0 else [])]


def _one_line(text: str) -> str:
    return " ".join(text.split())


def told_of_rest(left: int) -> str:
    """Say what is left to be submitted after a gate."""
    return f"{left} requests are left to be submitted." if left else "Nothing is left to be submitted."

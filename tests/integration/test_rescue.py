"""Answering synchronously: no faster than allowed, written down before and after, and the earliest deadline first."""

from __future__ import annotations

import asyncio
import datetime as dt
import itertools
import threading
from typing import TYPE_CHECKING, Any

import pytest
from tests.stepped_night import DAY, SteppedNight
from tests.support import commit, git

from backcast.anthropic_api.batches import RefusedError
from backcast.domain.errors import HeldError, InputError
from backcast.ledger.connection import sql
from backcast.services.calls import MOST_LOST
from backcast.services.cancel import cancel_run
from backcast.services.claims import await_claims
from backcast.services.fault_points import FaultPoint, listen
from backcast.services.ingest import ingest
from backcast.services.locks import tried_rescue
from backcast.services.publish import publish
from backcast.services.reconcile import Folders, finish_run
from backcast.services.rescue import rescue
from backcast.services.resubmit import resubmit_failures
from backcast.services.rounds import plan_round
from backcast_simulator.outcomes import Odds
from backcast_simulator.rules import parse_rules
from backcast_simulator.settings import Settings
from backcast_simulator.weather import Weather

if TYPE_CHECKING:
    from pathlib import Path

    from backcast.ledger.connection import Ledger

DOCUMENTS = 12


class Killed(BaseException):
    """The process died here."""


@pytest.fixture
def night(ledger: Ledger, tmp_path: Path) -> SteppedNight:
    return SteppedNight(ledger, tmp_path, DOCUMENTS)


def due_soon(night: SteppedNight, key: str = "dag/1", **params: Any) -> int:
    """Return a run for which it is too late for a batch."""
    run_id = night.collected(key, **{"sla": "70m", **params})
    assert plan_round(night.ledger, night.now, run_id, 1) == []
    return run_id


def published(night: SteppedNight, run_id: int) -> dict[str, Any]:
    publish(night.ledger, night.now, run_id, reports=night.folder / "reports")
    return night.row("runs", run_id=run_id)


def calls(night: SteppedNight) -> list[dict[str, Any]]:
    with night.ledger.connect() as connection:
        return connection.execute(
            "SELECT calls.*, run_id FROM calls JOIN requests USING (request_id) ORDER BY sent_at, call_id"
        ).fetchall()


def states(night: SteppedNight) -> list[str]:
    return [call["state"] for call in calls(night)]


def test_no_more_is_asked_in_a_minute_than_the_workflow_allows(night: SteppedNight) -> None:
    run_id = due_soon(night)
    with night.ledger.connect() as connection:
        connection.execute("""UPDATE runs SET rescue = '{"requests_per_minute": 4}'""")
    assert night.rescue(run_id).answered == DOCUMENTS
    sent = [call["sent_at"] for call in calls(night)]
    apart = [(after - before).total_seconds() for before, after in itertools.pairwise(sent)]
    assert min(apart) >= 15


def test_more_tokens_take_more_of_a_minute(night: SteppedNight) -> None:
    run_id = due_soon(night)
    with night.ledger.connect() as connection:
        connection.execute("""UPDATE runs SET rescue = '{"tokens_per_minute": 20000}'""")
    night.rescue(run_id)
    sent = [call["sent_at"] for call in calls(night)]
    # About 1,500 tokens each, prompt and answer together.
    assert 30 < (sent[-1] - sent[0]).total_seconds() < 300


def test_the_limits_of_the_api_are_honoured_where_they_are_tighter_than_ours(ledger: Ledger, tmp_path: Path) -> None:
    night = SteppedNight(ledger, tmp_path, DOCUMENTS, Settings(messages_per_minute=3))
    run_id = due_soon(night)

    async def pause(seconds: float) -> None:
        # What is under way is answered in threads, which take real time.
        await asyncio.sleep(0.1)
        night.simulator.advance(seconds)

    assert night.rescue_with(pause, run_id).answered == DOCUMENTS
    # Its headers say when nothing is left, so that nothing has to be refused.
    assert states(night).count("refused") == 0
    assert len(night.paid()) == DOCUMENTS


@pytest.mark.parametrize(
    ("fault", "refused", "lost"),
    [
        ({"kind": "error", "status": 429, "type": "rate_limit_error", "retry_after": 20}, 3, 0),
        ({"kind": "error", "status": 529, "type": "overloaded_error"}, 3, 0),
        ({"kind": "error", "status": 500, "type": "api_error"}, 3, 0),
        ({"kind": "drop", "when": "before"}, 0, 3),
        ({"kind": "html", "status": 502}, 0, 3),
        ({"kind": "redirect"}, 0, 3),
    ],
)
def test_what_was_refused_or_lost_is_asked_again(
    night: SteppedNight, fault: dict[str, Any], refused: int, lost: int
) -> None:
    run_id = due_soon(night)
    night.faults({**fault, "endpoint": "messages", "times": 3})
    before = night.now()
    assert night.rescue(run_id).answered == DOCUMENTS
    assert (states(night).count("refused"), states(night).count("lost")) == (refused, lost)
    assert len(night.paid()) == DOCUMENTS
    # Nothing is hammered: the pause grows with each refusal, or is what the API says.
    assert (night.now() - before).total_seconds() >= 20


def test_an_answer_that_was_lost_may_have_been_paid_and_the_ledger_knows(night: SteppedNight) -> None:
    run_id = due_soon(night)
    night.faults({"kind": "drop", "when": "after", "endpoint": "messages", "times": 2})
    night.rescue(run_id)
    assert len(night.paid()) == DOCUMENTS + 2
    assert states(night).count("lost") == 2


def test_a_document_whose_calls_are_lost_again_and_again_is_left_with_its_reason(night: SteppedNight) -> None:
    run_id = due_soon(night)
    night.faults({"kind": "drop", "when": "after", "endpoint": "messages", "times": 1000})
    rescued = night.rescue(run_id)
    assert (rescued.answered, rescued.left) == (0, DOCUMENTS)
    assert len(night.paid()) == DOCUMENTS * MOST_LOST
    published(night, run_id)
    assert night.row("documents", path="module0.py")["reason"].startswith("lost: ")


def test_without_money_or_access_everything_holds_and_goes_on_when_it_is_mended(night: SteppedNight) -> None:
    run_id = due_soon(night)
    night.faults({"kind": "error", "status": 402, "type": "billing_error", "endpoint": "messages", "times": 1})
    with pytest.raises(RefusedError, match="402"):
        night.rescue(run_id)
    assert states(night).count("refused") == 1
    assert night.rescue(run_id).answered == DOCUMENTS
    assert len(night.paid()) == DOCUMENTS


@pytest.mark.parametrize("point", [point for point in FaultPoint if point.value.startswith("rescue.")])
@pytest.mark.parametrize("time", [1, 5])
def test_a_rescue_that_is_killed_goes_on_and_at_most_what_was_in_flight_is_paid_again(
    night: SteppedNight, point: FaultPoint, time: int
) -> None:
    run_id = due_soon(night)
    seen = 0

    def die(reached: FaultPoint) -> None:
        nonlocal seen
        seen += reached is point
        if reached is point and seen == time:
            raise Killed

    listen(die)
    try:
        while seen < time and night.rescue(run_id).waiting:
            pass
    except Killed:
        pass
    finally:
        listen(None)
    assert night.rescue(run_id).answered == DOCUMENTS
    done = published(night, run_id)
    assert (done["answered"], done["unanswered"]) == (DOCUMENTS, 0)
    assert len(night.paid()) <= DOCUMENTS + states(night).count("lost")


def test_of_two_rescues_of_one_run_one_works(night: SteppedNight) -> None:
    run_id = due_soon(night)
    with night.ledger.connect() as connection, tried_rescue(connection, run_id) as held:
        assert held
        assert night.rescue(run_id, final=False).waiting == DOCUMENTS
        # The last one waits for the other, since that may do less.
        assert night.rescue(run_id, stop_at=night.now() + dt.timedelta(minutes=5)).waiting == DOCUMENTS
    assert calls(night) == []
    assert night.rescue(run_id).waiting == 0


def test_an_answer_that_fails_is_remedied_synchronously_too(night: SteppedNight) -> None:
    night.simulator.set_rules(parse_rules([{"outcome": "truncated", "attempts": [1]}]))
    run_id = due_soon(night)
    assert night.rescue(run_id).answered == DOCUMENTS
    assert night.row("requests", remedy="more_max_tokens")["max_tokens"] == 16384
    assert published(night, run_id)["answered"] == DOCUMENTS


def test_a_canceled_run_is_asked_nothing_more(night: SteppedNight) -> None:
    run_id = due_soon(night)
    cancel_run(night.ledger, night.api, night.now, run_id)
    night.rescue(run_id)
    assert calls(night) == []
    assert published(night, run_id)["unanswered"] == DOCUMENTS


def test_three_overlapping_runs_share_their_documents_and_what_may_be_asked_the_earliest_deadline_first(
    night: SteppedNight,
) -> None:
    other = night._own_repository("other")
    later = due_soon(night, "dag/1", sla="72m")
    earlier = due_soon(night, "dag/2", sla="65m", repository=str(other))
    # It wants what both others have asked for, half each, and pays for none of it.
    third = night.collected("dag/3", sla="90m")
    assert plan_round(night.ledger, night.now, third, 1) == []
    with night.ledger.connect() as connection:
        at_work = [night.now(), night.api.key_fingerprint, earlier]
        connection.execute("UPDATE runs SET rescuing_at = %s, rescuing_key = %s WHERE run_id = %s", at_work)
        connection.execute("UPDATE requests SET reserved_usd = 0.01 WHERE run_id = %s", [earlier])
    turns: list[int] = []

    async def pause(seconds: float) -> None:
        if not turns:
            # The other process, which is at work on the run that is due earlier.
            turns.append(earlier)
            other_process = threading.Thread(target=night.rescue, args=[earlier])
            other_process.start()
            other_process.join()
        night.simulator.advance(seconds)

    night.rescue_with(pause, later)

    order = [call["run_id"] for call in calls(night)]
    assert order == [earlier] * DOCUMENTS + [later] * DOCUMENTS
    sent = [call["sent_at"] for call in calls(night)]
    # Fifty a minute for both together.
    assert (sent[-1] - sent[0]).total_seconds() >= (2 * DOCUMENTS - 2) * 1.2
    assert await_claims(night.ledger, night.now, third) == {}
    assert [published(night, run_id)["answered"] for run_id in (earlier, later)] == [DOCUMENTS, DOCUMENTS]
    assert published(night, third)["reused"] == DOCUMENTS
    assert len(night.paid()) == len(set(night.paid())) == 2 * DOCUMENTS


def test_the_cut_off_of_a_run_leaves_time_for_those_that_are_due_before_it(night: SteppedNight) -> None:
    alone = night.planned("dag/1")
    night.submit(alone)
    first = night.cancel_at(alone)
    other = night.planned("dag/2", sla="29h")
    night.submit(other)
    assert night.cancel_at(alone) < first


def do(night: SteppedNight, query: str, *parameters: Any) -> list[dict[str, Any]]:
    with night.ledger.connect() as connection:
        cursor = connection.execute(query, parameters)  # type: ignore[arg-type]  a test's own text
        return cursor.fetchall() if cursor.description else []


def test_nothing_is_asked_without_its_money_reserved(night: SteppedNight) -> None:
    run_id = night.collected(sla="70m")
    do(night, "UPDATE runs SET max_usd = 0.0001")
    do(night, "UPDATE requests SET reserved_usd = 0.000001")
    assert plan_round(night.ledger, night.now, run_id, 1) == []
    # After the last batch and before the cut-off, too.
    assert night.rescue(run_id, final=False).answered == 0
    assert night.paid() == []


def test_a_request_that_is_answered_synchronously_is_never_packed_into_a_batch_again(
    ledger: Ledger, tmp_path: Path
) -> None:
    night = SteppedNight(ledger, tmp_path, DOCUMENTS, Settings(odds=Odds(weather=Weather(median_hours=0.1))))
    first = night.planned("dag/1", sla="170m")
    night.submit(first)
    second = night.collected("dag/2", repository=str(night._own_repository("dag/2")), sla="5h")
    do(night, """UPDATE runs SET rescue = '{"requests_per_minute": 0.1}'""")
    assert plan_round(night.ledger, night.now, second, 1) == []
    night.simulator.advance(3600)
    ingest(night.ledger, night.api, night.now, first)
    # Now there would be time for a batch.
    assert plan_round(night.ledger, night.now, second, 1) == []


def test_a_retry_after_beyond_the_deadline_is_not_waited_for(night: SteppedNight) -> None:
    run_id = due_soon(night)
    fault = {"kind": "error", "status": 429, "type": "rate_limit_error", "retry_after": 7200}
    night.faults({**fault, "endpoint": "messages", "times": 1})
    night.rescue(run_id)
    deadline = night.row("runs", run_id=run_id)["deadline"]
    assert not [call for call in calls(night) if call["sent_at"] > deadline]
    assert night.now() < deadline
    assert published(night, run_id)["unanswered"] > 0


def test_a_claim_is_held_while_a_call_for_it_is_under_way(night: SteppedNight) -> None:
    first = due_soon(night)
    second: list[int] = []

    def cancel_in_mid_call(point: FaultPoint) -> None:
        if point is FaultPoint.RESCUE_CALL_ANSWERED and not second:
            second.append(0)
            cancel_run(night.ledger, night.api, night.now, first)
            second[0] = night.collected("dag/2", sla="70m")
            plan_round(night.ledger, night.now, second[0], 1)

    listen(cancel_in_mid_call)
    try:
        night.rescue(first)
    finally:
        listen(None)
    night.rescue(second[0])
    assert await_claims(night.ledger, night.now, second[0]) == {}
    night.rescue(second[0])
    assert len(night.paid()) == len(set(night.paid())) == DOCUMENTS


def test_a_lost_call_is_made_again_only_within_the_budget(night: SteppedNight) -> None:
    run_id = due_soon(night)
    do(night, "UPDATE runs SET max_usd = 1.0")
    night.faults({"kind": "drop", "when": "after", "endpoint": "messages", "times": 2 * DOCUMENTS})
    night.rescue(run_id)
    with night.ledger.connect() as connection:
        committed = connection.execute(sql("committed_money"), {"run_id": run_id}).fetchone() or {}
    assert 0 < committed["run_usd"] <= 1
    assert {row["left_because"][:7] for row in do(night, "SELECT * FROM requests WHERE left_because IS NOT NULL")} == {
        "budget:"
    }


def test_slow_answers_do_not_keep_it_from_asking_as_often_as_it_may(ledger: Ledger, tmp_path: Path) -> None:
    night = SteppedNight(ledger, tmp_path, 100)

    async def late(seconds: float) -> None:
        until = night.now() + dt.timedelta(seconds=seconds)
        while night.now() < until:
            before = night.now()
            for _ in range(100):
                await asyncio.sleep(0)
            if night.now() == before:
                night.simulator.advance(1)

    night.api = night.api_with("k", pause=late)
    run_id = due_soon(night, sla="20m")
    night.faults({"kind": "delay", "seconds": 100, "endpoint": "messages", "times": 1000})
    assert night.rescue(run_id).answered == 100


def test_a_held_run_asks_nothing_and_keeps_nobody_waiting(night: SteppedNight) -> None:
    run_id = due_soon(night)
    do(night, "UPDATE runs SET held_because = 'somebody must decide'")
    before = night.now()
    with pytest.raises(HeldError):
        night.rescue(run_id, final=False)
    assert night.now() == before
    assert do(night, "SELECT * FROM synchronous_capacity") == []


def test_a_run_that_was_opened_for_another_address_is_not_asked_here(night: SteppedNight) -> None:
    run_id = due_soon(night)
    elsewhere = night.api_with("k", base_url="http://elsewhere")
    with pytest.raises(InputError, match="was opened for http://simulated, and ours is http://elsewhere"):
        rescue(night.ledger, elsewhere, night.now, run_id, final=True, pause=night.pause)
    assert night.paid() == []


def test_what_the_api_says_with_a_nul_in_it_is_kept(night: SteppedNight) -> None:
    run_id = due_soon(night)
    said = {"kind": "error", "status": 529, "type": "overloaded_error", "message": "a \0 b"}
    night.faults({**said, "endpoint": "messages", "times": 1})
    assert night.rescue(run_id).answered == DOCUMENTS
    assert [call["note"] for call in calls(night) if call["state"] == "refused"] == ["529: a   b"]


def test_two_runs_that_want_what_the_other_has_do_not_wait_for_each_other(ledger: Ledger, tmp_path: Path) -> None:
    night = SteppedNight(ledger, tmp_path, 2)
    night.simulator.set_rules(parse_rules([{"outcome": "expired"}]))
    runs = []
    for name in ("a", "b"):
        folder = night.folder / name
        folder.mkdir()
        (folder / f"{name}.py").write_text(f"NAME = {name!r}\n")
        git(folder, "init", "-q")
        commit(folder, "first")
        runs.append(night.collected(f"dag/{name}", repository=str(folder), sla="70h"))
    # As when each had collected what a third run then gave up.
    for run_id, other, path in ((*runs, "b.py"), (*reversed(runs), "a.py")):
        do(
            night,
            "INSERT INTO documents (run_id, path, language, size, content_hash, answer_key) SELECT %s, path, language, "
            "size, content_hash, answer_key FROM documents WHERE run_id = %s AND path = %s",
            run_id,
            other,
            path,
        )
        do(night, "UPDATE runs SET collected = 2 WHERE run_id = %s", run_id)
    for number in (1, 2):
        for run_id in runs:
            if number > 1:
                resubmit_failures(night.ledger, run_id, number)
        batches = [b for run_id in runs for b in plan_round(night.ledger, night.now, run_id, number)]
        for batch_id in batches:
            night.submit(batch_id)
        night.simulator.advance(DAY + 60)
        for batch_id in batches:
            ingest(night.ledger, night.api, night.now, batch_id)
    night.simulator.set_rules([])
    folders = Folders(night.folder, night.folder, night.pause)
    said = [finish_run(night.ledger, night.api, night.now, run_id, folders) for run_id in (*runs, *runs)]
    assert [text.split(":")[0] for text in said[-2:]] == ["published", "published"]
    assert len(night.paid()) == 2

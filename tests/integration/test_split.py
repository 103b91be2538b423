"""A document that is too long is asked about in parts, and answered by what is found in them."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from tests.stepped_night import DAY, SteppedNight
from tests.support import WORKFLOW, commit

from backcast.ledger.connection import sql
from backcast.services import fault_points
from backcast.services.cancel import cancel_run
from backcast.services.claims import await_claims
from backcast.services.collect import collect
from backcast.services.fault_points import FaultPoint
from backcast.services.first_pass import first_pass_of_run
from backcast.services.ingest import ingest
from backcast.services.open_run import open_run
from backcast.services.publish import publish
from backcast.services.resubmit import resubmit_failures
from backcast.services.rounds import INHERITED_ROUND, plan_round
from backcast.services.status import read_failures
from backcast.settings import run_settings
from backcast_simulator.rules import parse_rules

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backcast.ledger.connection import Ledger

PARTS = 3
LINES = 2000
# Where the functions begin that the analyst finds too deeply nested.
TANGLED_AT = (101, 901, 1801)
TANGLE = "def tangled_{0}(a):\n" + "".join(
    f"    if a == {i}:\n        for x in range(a):\n            if x > {i} and a < {i}:\n"
    "                print(x, {0})\n"
    for i in range(12)
)
# 42,000 of 100,000 tokens: with what is shown around them, three parts.
TOO_LONG = {
    "match": "long.py",
    "when": {"prompt_lacks": "This is part"},
    "outcome": "invalid_request",
    "message": "prompt is too long: 100000 tokens > 42000 maximum",
}


def long_document(lines: int = LINES) -> str:
    text: list[str] = ["import os", ""]
    while len(text) < lines:
        if len(text) + 1 in TANGLED_AT:
            text += TANGLE.format(len(text)).splitlines()
        else:
            text.append(f"VALUE_{len(text)} = os.environ.get('VALUE_{len(text)}')")
    return "\n".join(text[:lines]) + "\n"


@pytest.fixture
def night(ledger: Ledger, tmp_path: Path) -> SteppedNight:
    night = SteppedNight(ledger, tmp_path, 1)
    (night.repository / "long.py").write_text(long_document())
    commit(night.repository, "a long one")
    return night


def rules(night: SteppedNight, *more: dict[str, Any]) -> None:
    night.simulator.set_rules(parse_rules([*more, TOO_LONG]))


def go_through(night: SteppedNight, run_id: int, *numbers: int) -> None:
    for number in numbers:
        if number == 2:
            resubmit_failures(night.ledger, run_id, number)
        for batch_id in plan_round(night.ledger, night.now, run_id, number):
            night.submit(batch_id)
            night.simulator.advance(DAY)
            ingest(night.ledger, night.api, night.now, batch_id)


def published(night: SteppedNight, run_id: int) -> dict[str, Any]:
    publish(night.ledger, night.now, run_id, reports=night.folder / "reports")
    return night.row("runs", run_id=run_id)


def whole_night(night: SteppedNight, **params: Any) -> dict[str, Any]:
    run_id = night.collected(sla="96h", **params)
    go_through(night, run_id, 1, 2)
    night.rescue(run_id)
    return published(night, run_id)


def rows(night: SteppedNight, query: str) -> list[dict[str, Any]]:
    with night.ledger.connect() as connection:
        return connection.execute(query).fetchall()  # type: ignore[arg-type]


def long_outcome(night: SteppedNight, run_id: int) -> dict[str, Any]:
    [row] = rows(night, f"SELECT * FROM documents WHERE path = 'long.py' AND run_id = {run_id}")
    return row


def parts(night: SteppedNight) -> list[dict[str, Any]]:
    return rows(night, "SELECT * FROM requests WHERE part_number > 0 ORDER BY (part ->> 'first')::integer, attempt")


def billed(night: SteppedNight) -> int:
    return len(night.simulator.bill()["requests"])


def no_claims(night: SteppedNight) -> bool:
    return not rows(night, "SELECT FROM requests WHERE claims")


@contextmanager
def killed_at(monkeypatch: pytest.MonkeyPatch, point: FaultPoint) -> Iterator[None]:
    def listener(reached: FaultPoint) -> None:
        if reached is point:
            raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(fault_points, "_listener", listener)
        with pytest.raises(KeyboardInterrupt):
            yield


def test_a_document_in_three_parts_is_answered_with_what_is_found_in_them(night: SteppedNight) -> None:
    rules(night)
    done = whole_night(night)
    assert (done["answered"], done["unanswered"]) == (2, 0)
    lines = [(part["part"]["first"], part["part"]["last"]) for part in parts(night)]
    assert len(lines) == PARTS
    assert lines[0][0] == 1
    assert lines[-1][1] == LINES
    assert all(last + 1 == first for (_, last), (first, _) in pairwise(lines))
    text = long_document().splitlines()
    found = rows(night, "SELECT * FROM findings")
    assert {at for at in TANGLED_AT if any(row["line_start"] == at for row in found)} == set(TANGLED_AT)
    for row in found:
        assert row["evidence"].splitlines()[0].strip() in "\n".join(text[row["line_start"] - 1 : row["line_end"]])
    # Each part once, and the other document.
    assert billed(night) == PARTS + 1
    assert len(set(night.paid())) == PARTS + 1
    assert no_claims(night)
    [failure] = read_failures(night.ledger, done["run_id"])
    assert failure.lineage == "r1: too_long → r2 split in 3 parts: answered"
    report = orjson.loads(Path(done["report_path"]).with_suffix(".json").read_bytes())
    assert report["spend"]["requests"] == PARTS + 2


def test_the_next_run_reuses_what_was_merged(night: SteppedNight) -> None:
    rules(night)
    whole_night(night)
    second = night.collected("dag/2")
    assert long_outcome(night, second)["outcome"] == "reused"
    assert published(night, second)["reused"] == 2
    assert billed(night) == PARTS + 1


def test_killed_before_the_parts_are_merged_it_merges_them_later_and_once(
    night: SteppedNight, monkeypatch: pytest.MonkeyPatch
) -> None:
    rules(night)
    run_id = night.collected(sla="96h")
    go_through(night, run_id, 1)
    with killed_at(monkeypatch, FaultPoint.RESUBMIT_BEFORE_COMMIT):
        resubmit_failures(night.ledger, run_id, 2)
    assert not parts(night)
    for _ in range(2):
        resubmit_failures(night.ledger, run_id, 2)
    with killed_at(monkeypatch, FaultPoint.INGEST_JUDGED):
        go_through(night, run_id, 2)
    assert not rows(night, "SELECT FROM requests WHERE remedy = 'merged'")
    for _ in range(2):
        assert published(night, run_id)["answered"] == 2
    assert len(rows(night, "SELECT FROM results WHERE result_type = 'merged'")) == 1
    assert billed(night) == PARTS + 1
    assert no_claims(night)


def test_another_run_waits_for_the_parts_and_asks_for_nothing(night: SteppedNight) -> None:
    rules(night)
    first = night.collected(sla="96h")
    go_through(night, first, 1)
    second = night.collected("dag/2", sla="96h")
    resubmit_failures(night.ledger, first, 2)
    [batch_id] = plan_round(night.ledger, night.now, first, 2)
    night.submit(batch_id)
    assert await_claims(night.ledger, night.now, second) == {first: 1}
    night.simulator.advance(DAY)
    ingest(night.ledger, night.api, night.now, batch_id)

    assert await_claims(night.ledger, night.now, second) == {}

    assert plan_round(night.ledger, night.now, second, INHERITED_ROUND) == []
    assert published(night, second)["reused"] == 2
    assert published(night, first)["answered"] == 2
    assert billed(night) == PARTS + 1


def test_a_part_that_is_refused_leaves_the_document_unanswered_and_its_parts_are_kept(night: SteppedNight) -> None:
    refused = {"when": {"prompt_contains": "This is part 2 of 3"}, "outcome": "refusal"}
    rules(night, refused)
    done = whole_night(night)
    assert (done["answered"], done["unanswered"]) == (1, 1)
    second = parts(night)[1]["part"]
    outcome = long_outcome(night, done["run_id"])
    assert outcome["reason"] == f"lines {second['first']} to {second['last']}: refused: stop_reason refusal"
    assert night.row("review_lane", answer_key=outcome["answer_key"])["cause"] == "refused"
    assert [part["state"] for part in parts(night)] == ["accepted", "failed", "accepted"]
    assert no_claims(night)
    [failure] = read_failures(night.ledger, done["run_id"])
    assert failure.lineage == (
        f"r1: too_long → r2 split in 3 parts: not all answered, but lines {second['first']} to {second['last']} "
        "r2: refused → r4 simplified_prompt synchronously: refused"
    )

    # Asked about again, only what had no answer is paid for.
    before = billed(night)
    with night.ledger.connect() as connection:
        connection.execute("UPDATE review_lane SET state = 'retry', decided_at = now()")
    rules(night)
    again = night.collected("dag/2", sla="96h")
    go_through(night, again, 1, 2)
    assert long_outcome(night, again)["outcome"] is None
    assert published(night, again)["answered"] == 1
    assert billed(night) == before + 1
    assert len(rows(night, "SELECT FROM results WHERE result_type = 'adopted'")) == PARTS - 1


def test_a_part_that_is_too_long_itself_is_split_once_more_and_no_further(night: SteppedNight) -> None:
    rules(night)
    run_id = night.collected(sla="144h")
    go_through(night, run_id, 1)
    resubmit_failures(night.ledger, run_id, 2)
    of_part = [{"prompt_contains": f"report on lines 1 to {part['part']['last']} only"} for part in parts(night)[:1]]
    rules(night, *({**TOO_LONG, "when": when} for when in of_part))
    go_through(night, run_id, 2)
    night.rescue(run_id)
    done = published(night, run_id)
    assert done["answered"] == 2
    assert max(part["attempt"] for part in parts(night)) == PARTS
    assert {at for at in TANGLED_AT if rows(night, f"SELECT FROM findings WHERE line_start = {at}")} == set(TANGLED_AT)
    assert no_claims(night)


def test_a_line_that_cannot_be_split_is_named_in_the_review_lane(night: SteppedNight) -> None:
    lines = [f"VALUE_{number} = {number}" for number in range(100)]
    lines[41] = f"TABLE = '{'x' * 4_000}'"
    (night.repository / "long.py").write_text("\n".join(lines) + "\n")
    commit(night.repository, "a long line")
    rules(night)
    done = whole_night(night)
    outcome = long_outcome(night, done["run_id"])
    assert outcome["outcome"] == "unanswered"
    assert "too_long: " in outcome["reason"]
    assert "line 42 alone has about" in outcome["reason"]
    assert night.row("review_lane", answer_key=outcome["answer_key"])["state"] == "open"
    assert not parts(night)
    assert no_claims(night)


def test_an_answer_that_is_too_long_for_the_model_is_asked_for_in_halves(night: SteppedNight) -> None:
    truncated = {"match": "long.py", "when": {"prompt_lacks": "This is part"}, "outcome": "truncated"}
    night.simulator.set_rules(parse_rules([truncated]))
    done = whole_night(night)
    assert (done["answered"], len(parts(night))) == (2, 2)
    [failure] = read_failures(night.ledger, done["run_id"])
    assert failure.lineage == (
        "r1: truncated → r2 more_max_tokens 16384: truncated → r4 split in 2 parts synchronously: answered"
    )


def split_and_sent(night: SteppedNight) -> tuple[int, int]:
    """Return a run whose parts are at the API, and their batch."""
    rules(night)
    run_id = night.collected(sla="96h")
    go_through(night, run_id, 1)
    resubmit_failures(night.ledger, run_id, 2)
    [batch_id] = plan_round(night.ledger, night.now, run_id, 2)
    return run_id, night.submit(batch_id)


def test_the_parts_of_a_run_that_was_left_are_waited_for_and_their_answer_is_reused(night: SteppedNight) -> None:
    first, batch_id = split_and_sent(night)
    second = night.collected("dag/2", sla="96h")
    with night.ledger.connect() as connection:
        connection.execute("UPDATE runs SET left_at = now() WHERE run_id = %s", [first])
    assert await_claims(night.ledger, night.now, second) == {first: 1}
    night.simulator.advance(DAY)
    # As the reconciliation does.
    ingest(night.ledger, night.api, night.now, batch_id)
    assert await_claims(night.ledger, night.now, second) == {}
    assert published(night, second)["reused"] == 2
    assert billed(night) == PARTS + 1
    assert no_claims(night)


def test_what_a_canceled_run_had_split_is_free_when_its_parts_have_ended(night: SteppedNight) -> None:
    first, batch_id = split_and_sent(night)
    second = night.collected("dag/2", sla="96h")
    cancel_run(night.ledger, night.api, night.now, first)
    assert await_claims(night.ledger, night.now, second) == {first: 1}
    night.simulator.advance(DAY)
    ingest(night.ledger, night.api, night.now, batch_id)
    assert await_claims(night.ledger, night.now, second) == {}
    go_through(night, second, INHERITED_ROUND)
    night.rescue(second)
    assert published(night, second)["unanswered"] == 0
    assert no_claims(night)
    # Whatever the canceled run had paid for is not paid for again.
    assert len(set(night.paid())) == billed(night)


def test_a_run_that_wants_everything_anew_asks_for_the_parts_again(night: SteppedNight) -> None:
    rules(night)
    whole_night(night)
    assert whole_night(night, key="dag/2", full="true")["answered"] == 2
    assert billed(night) == 2 * (PARTS + 1)


def test_parts_beyond_the_budget_are_left_and_said_so(night: SteppedNight) -> None:
    rules(night)
    run_id = night.collected(sla="96h")
    go_through(night, run_id, 1)
    with night.ledger.connect() as connection:
        # Enough for two parts.
        spent = (
            "(SELECT sum(coalesce(results.cost_usd, 0)) FROM results) + 1.7 * (SELECT max(reserved_usd) FROM requests)"
        )
        connection.execute(f"UPDATE runs SET max_usd = {spent}")  # type: ignore[arg-type]
    go_through(night, run_id, 2)
    night.rescue(run_id)
    done = published(night, run_id)
    states = [part["state"] for part in parts(night)]
    assert "open" in states
    assert done["unanswered"] == 1
    assert "budget: " in long_outcome(night, run_id)["reason"]
    assert long_outcome(night, run_id)["reason"].startswith("lines ")
    assert not rows(night, "SELECT FROM review_lane")
    assert no_claims(night)


def test_what_the_window_of_a_model_cannot_hold_goes_in_parts_that_it_can(night: SteppedNight) -> None:
    lines = [f"VALUE_{number} = '{'x' * 470}'" for number in range(3000)]
    (night.repository / "long.py").write_text("\n".join(lines) + "\n")
    commit(night.repository, "too long for the window")
    settings = run_settings(WORKFLOW, {"repository": str(night.repository), "model": "claude-haiku-4-5", "sla": "96h"})
    settings = replace(settings, selection=replace(settings.selection, max_document_bytes=5_000_000))
    run_id = open_run(night.ledger, night.api, night.now, settings, external_key="dag/1")
    collect(night.ledger, night.now, run_id, cache=night.folder)
    go_through(night, run_id, 1, 2)
    night.rescue(run_id)
    assert published(night, run_id)["answered"] == 2
    # By the API's own text, without a rule; the parts fit at once.
    [whole] = rows(night, "SELECT detail FROM requests WHERE cause = 'too_long'")
    assert "prompt is too long: " in whole["detail"]
    assert len(parts(night)) == PARTS


@pytest.mark.parametrize("ended", ["left", "canceled"])
def test_what_was_answered_of_a_run_that_ended_before_it_merged_is_merged_by_the_next_one(
    night: SteppedNight, monkeypatch: pytest.MonkeyPatch, ended: str
) -> None:
    first, batch_id = split_and_sent(night)
    night.simulator.advance(DAY)
    with killed_at(monkeypatch, FaultPoint.INGEST_JUDGED):
        ingest(night.ledger, night.api, night.now, batch_id)
    if ended == "canceled":
        cancel_run(night.ledger, night.api, night.now, first)
    else:
        with night.ledger.connect() as connection:
            connection.execute("UPDATE runs SET left_at = now() WHERE run_id = %s", [first])
    second = night.collected("dag/2", sla="96h")
    assert await_claims(night.ledger, night.now, second) == {}
    assert published(night, second)["reused"] == 2
    assert billed(night) == PARTS + 1
    assert no_claims(night)


def test_a_published_run_keeps_what_it_has_split_while_its_parts_are_at_the_api(night: SteppedNight) -> None:
    first, batch_id = split_and_sent(night)
    with night.ledger.connect() as connection:
        connection.execute(sql("leave_unresolved"), {"run_id": first})
    assert published(night, first)["unanswered"] == 1
    second = night.collected("dag/2", sla="96h")
    # What was sent first is over by now, its parts were sent a day later.
    night.simulator.advance(DAY / 8)
    assert await_claims(night.ledger, night.now, second) == {first: 1}
    night.simulator.advance(DAY)
    ingest(night.ledger, night.api, night.now, batch_id)
    assert await_claims(night.ledger, night.now, second) == {}
    assert published(night, second)["reused"] == 2
    assert billed(night) == PARTS + 1


def test_a_part_has_as_many_attempts_as_a_document_that_is_not_too_long(night: SteppedNight) -> None:
    rules(night, {"when": {"prompt_contains": "This is part 2 of 3"}, "outcome": "malformed", "attempts": [1, 2]})
    done = whole_night(night)
    assert done["answered"] == 2
    [failure] = read_failures(night.ledger, done["run_id"])
    assert failure.lineage.endswith(
        "r2: malformed → r4 worked_example synchronously: malformed → r4 simplified_prompt synchronously: answered"
    )


def test_what_another_run_has_paid_for_is_no_retry(night: SteppedNight) -> None:
    rules(night, {"when": {"prompt_contains": "This is part 2 of 3"}, "outcome": "refusal"})
    done = whole_night(night)
    with night.ledger.connect() as connection:
        [row] = connection.execute(sql("unanswered_documents"), {"run_id": done["run_id"]}).fetchall()
        connection.execute("UPDATE review_lane SET state = 'retry', decided_at = now()")
    # The whole document, its parts, and one of these once more.
    assert row["attempts"] == 1 + PARTS + 1
    rules(night)
    again = night.collected("dag/2", sla="96h")
    go_through(night, again, 1, 2)
    published(night, again)
    with night.ledger.connect() as connection:
        [rate] = first_pass_of_run(connection, again)
    assert rate.retries == 1

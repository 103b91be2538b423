"""Runs of a file of requests, in a simulated time: in time when that was asked for, and never at full price unasked."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pytest
from tests.stepped_night import SteppedNight

from backcast.services.request_runs import RequestRun, answer, begin, finish
from backcast_simulator.rules import parse_rules

if TYPE_CHECKING:
    from pathlib import Path

    from backcast.ledger.connection import Ledger
    from backcast.services.request_runs import Answered

REQUESTS = 5
# Cut-offs leave minutes, where batches alone leave hours.
LOOKS_APART = {True: 600.0, False: 7200.0}


@pytest.fixture
def night(ledger: Ledger, tmp_path: Path) -> SteppedNight:
    return SteppedNight(ledger, tmp_path)


def run(night: SteppedNight, *rules: dict[str, Any], **asked: Any) -> Answered:
    lines = (
        json.dumps(
            {
                "custom_id": f"r{number}",
                "params": {
                    "model": "claude-haiku-4-5",
                    "max_tokens": 1000,
                    "messages": [{"role": "user", "content": f"question {number}"}],
                },
            }
        )
        for number in range(REQUESTS)
    )
    requests, output = night.folder / "r.jsonl", night.folder / "a.jsonl"
    requests.write_text("\n".join(lines))
    night.simulator.set_rules(parse_rules(list(rules)))
    run_id, _ = begin(night.ledger, night.api, night.now, RequestRun(requests=requests, output=output, **asked))

    def wait() -> None:
        night.simulator.advance(LOOKS_APART["sla" in asked])

    answer(night.ledger, night.api, night.now, run_id, wait=wait, pause=night.pause)
    return finish(night.ledger, night.now, run_id, output)


def kinds(night: SteppedNight) -> list[str]:
    return [charge["kind"] for charge in night.simulator.bill()["requests"]]


def test_what_no_batch_answers_in_time_is_answered_synchronously_before_the_deadline(night: SteppedNight) -> None:
    done = run(night, {"outcome": "expired", "attempts": [1]}, sla=timedelta(hours=20))
    assert (done.answered, kinds(night)) == (REQUESTS, ["synchronous"] * REQUESTS)
    assert night.now() < night.row("runs", run_id=done.run_id)["deadline"]
    rows = [json.loads(line) for line in (night.folder / "a.jsonl").read_text().splitlines()]
    assert [row["custom_id"] for row in rows] == [f"r{number}" for number in range(REQUESTS)]
    assert {row["result"]["type"] for row in rows} == {"succeeded"}


def test_without_a_deadline_what_passes_goes_again_as_batches_and_never_at_full_price(night: SteppedNight) -> None:
    done = run(night, {"match": "question 3", "outcome": "expired", "attempts": [1, 2, 3, 4]})
    assert (done.answered, kinds(night)) == (REQUESTS, ["batch"] * REQUESTS)


def test_what_never_passes_is_given_up_with_its_reason(night: SteppedNight) -> None:
    done = run(night, {"match": "question 3", "outcome": "expired"})
    assert (done.answered, done.unanswered, kinds(night)) == (REQUESTS - 1, 1, ["batch"] * (REQUESTS - 1))
    [line] = (night.folder / "a.unanswered.jsonl").read_text().splitlines()
    told = json.loads(line)
    assert told | {"tried": ""} == {"custom_id": "r3", "reason": "passing: expired", "attempts": 6, "tried": ""}
    assert told["tried"].startswith("r1: passing → r2 same_again: passing → r5 same_again: passing → ")


def test_a_paused_turn_goes_on(night: SteppedNight) -> None:
    done = run(night, {"match": "question 3", "outcome": "pause_turn", "attempts": [1]})
    assert (done.answered, len(kinds(night))) == (REQUESTS, REQUESTS + 1)

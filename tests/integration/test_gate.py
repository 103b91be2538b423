"""A sample is answered before anything is submitted, and only when it shows a good prompt the rest goes."""

from __future__ import annotations

import asyncio
import shutil
from collections import Counter
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from tests.stepped_night import DAY, SteppedNight
from tests.support import WORKFLOW, commit

from backcast.domain.errors import ApiError, HeldError, InputError
from backcast.domain.sampling import LetPass
from backcast.labelled import load_labelled
from backcast.services.cancel import cancel_run, resubmit_run
from backcast.services.claims import await_claims
from backcast.services.gate import Gated, gate
from backcast.services.ingest import ingest
from backcast.services.publish import publish
from backcast.services.rounds import INHERITED_ROUND, plan_round
from backcast.services.status import read_status
from backcast.settings import workflows_folder
from backcast_simulator.rules import parse_rules

if TYPE_CHECKING:
    from pathlib import Path

    from backcast.ledger.connection import Ledger

DOCUMENTS = 40
WHY = LetPass("ada", "The old prompt was worse.")


@pytest.fixture
def labelled_night(ledger: Ledger, tmp_path: Path) -> SteppedNight:
    return SteppedNight(ledger, tmp_path, DOCUMENTS)


@pytest.fixture
def night(labelled_night: SteppedNight, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SteppedNight:
    """A night of a workflow that has no labelled documents."""
    workflows = tmp_path / "workflows"
    shutil.copytree(workflows_folder(), workflows, ignore=shutil.ignore_patterns("sample"))
    monkeypatch.setenv("BACKCAST_WORKFLOWS", str(workflows))
    return labelled_night


def prove(night: SteppedNight, run_id: int) -> Gated:
    return gate(night.ledger, night.api, night.now, run_id, pause=night.pause)


def rules(night: SteppedNight, *rules: dict[str, Any]) -> None:
    night.simulator.set_rules(parse_rules(list(rules)))


def kinds(night: SteppedNight) -> Counter[str]:
    return Counter(charge["kind"] for charge in night.simulator.bill()["requests"])


def test_ten_documents_are_answered_at_once_and_the_others_go_as_a_batch(night: SteppedNight) -> None:
    run_id = night.collected()
    gated = prove(night, run_id)
    assert (gated.verdict, gated.left) == ("passed", DOCUMENTS - 10)
    assert kinds(night) == {"synchronous": 10}

    run = night.through(run_id)
    assert (run["answered"], run["unanswered"]) == (DOCUMENTS, 0)
    assert kinds(night) == {"synchronous": 10, "batch": DOCUMENTS - 10}
    assert len(set(night.paid())) == DOCUMENTS


def test_what_is_asked_of_the_sample_is_what_a_batch_would_ask(
    night: SteppedNight, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[dict[str, Any]] = []
    answer = night.simulator.answer

    def overheard(body: bytes, *others: Any) -> Any:
        asked.append(orjson.loads(body))
        return answer(body, *others)

    monkeypatch.setattr(night.simulator, "answer", overheard)
    run_id = night.collected(max_documents=12)
    prove(night, run_id)
    for batch_id in plan_round(night.ledger, night.now, run_id, 1):
        night.submit(batch_id)
    [batch] = night.simulator._own_batches()
    shapes = [{**request.params, "messages": None} for request in batch.requests]
    sent = [{**params, "messages": None} for params in asked]
    assert len(sent) == 10
    assert all(params == shapes[0] for params in [*shapes, *sent])


def test_a_pass_holds_for_the_next_run_with_the_same_prompt_and_model(night: SteppedNight) -> None:
    prove(night, night.collected())
    (night.repository / "more.py").write_text("MORE = 1\n")
    commit(night.repository, "more")
    second = night.collected("dag/2")
    night.simulator.advance(1)
    asked = kinds(night)
    gated = prove(night, second)
    assert gated.verdict == "passed"
    assert gated.why.startswith("The prompt passed in run 1, at 2026-11-24 22:0")
    assert kinds(night) == asked


def test_another_model_is_proved_anew(night: SteppedNight) -> None:
    prove(night, night.collected())
    second = night.collected("dag/2", model="claude-haiku-5-5")
    assert prove(night, second).verdict == "passed"
    assert kinds(night) == {"synchronous": 20}


def test_below_the_threshold_nothing_is_submitted_and_the_failing_answers_are_shown(night: SteppedNight) -> None:
    rules(night, {"match": "module1", "outcome": "malformed", "text": "I am\n no JSON"})
    run_id = night.collected()
    for _ in range(2):
        with pytest.raises(HeldError) as held:
            prove(night, run_id)
        said = str(held.value)
        assert f"Run {run_id} is held: its sample is below the threshold of 0.9" in said
        assert ".py: malformed: the answer is not JSON" in said
        assert "it begins: I am no JSON" in said
        assert "Of 30 more requests about " in said
    with pytest.raises(HeldError):
        night.rescue(run_id)
    assert kinds(night) == {"synchronous": 10}
    assert night.calls("POST").count("/v1/messages/batches") == 0
    alert = night.row("alerts", kind="sample_failed")
    assert alert["message"] == said
    assert alert["run_id"] == run_id

    shown = read_status(night.ledger, night.now, run_id).gates
    assert [(row["verdict"], row["scores"]["documents"]) for row in shown] == [("failed", 10)]


def test_what_a_person_lets_pass_goes_on_and_is_kept_with_who_and_why(night: SteppedNight) -> None:
    rules(night, {"match": "module", "outcome": "refusal"})
    run_id = night.collected()
    with pytest.raises(HeldError):
        prove(night, run_id)
    with pytest.raises(InputError, match=r"The sample of run 1 failed \(0 of 10 accepted\): say why.*--let-pass"):
        resubmit_run(night.ledger, night.now, run_id, again=False)
    resubmit_run(night.ledger, night.now, run_id, again=False, let_pass=WHY)
    gated = prove(night, run_id)
    assert (gated.verdict, gated.left) == ("let_pass", 30)
    assert gated.why == "Below the threshold (0 of 10 accepted), and let pass by ada: The old prompt was worse."
    kept = night.row("gates", run_id=run_id)
    assert (kept["decided_by"], kept["why"]) == (WHY.by, WHY.why)

    # It holds for this run alone.
    second = night.collected("dag/2", repository=str(night._own_repository("dag/2")))
    with pytest.raises(HeldError):
        prove(night, second)


def test_a_run_that_is_told_beforehand_is_let_pass_at_once(night: SteppedNight) -> None:
    rules(night, {"match": "module", "outcome": "refusal"})
    run_id = night.collected()
    with night.ledger.connect() as connection:
        connection.execute('UPDATE runs SET let_pass = \'{"by": "ada", "why": "x"}\'')
    assert prove(night, run_id).verdict == "let_pass"


def test_another_run_takes_over_from_one_whose_sample_failed(night: SteppedNight) -> None:
    rules(night, {"match": "module", "outcome": "refusal"})
    first = night.collected()
    with pytest.raises(HeldError):
        prove(night, first)
    rules(night)
    second = night.collected("dag/2")
    assert prove(night, second).left == 30
    assert night.through(second)["answered"] == DOCUMENTS


def test_a_sample_that_is_the_whole_run_leaves_nothing_to_submit_and_says_so(night: SteppedNight) -> None:
    run_id = night.collected(max_documents=10)
    assert prove(night, run_id).lines()[-1] == "Nothing is left to be submitted."
    assert plan_round(night.ledger, night.now, run_id, 1) == []
    assert night.through(run_id)["answered"] == 10
    assert kinds(night) == {"synchronous": 10}


def test_what_is_known_already_needs_no_sample(night: SteppedNight) -> None:
    run_id = night.collected(max_documents=3)
    prove(night, run_id)
    night.through(run_id)
    with night.ledger.connect() as connection:
        connection.execute("DELETE FROM gates")
    gated = prove(night, night.collected("dag/2", max_documents=3))
    assert (gated.verdict, gated.left) == (None, 0)


def test_a_full_run_below_the_threshold_takes_the_pass_back(night: SteppedNight) -> None:
    run_id = night.collected()
    prove(night, run_id)
    # What passes by itself says nothing of the prompt.
    rules(
        night,
        {"match": "module2", "attempts": [1], "outcome": "expired"},
        {"match": "module3", "attempts": [1], "outcome": "malformed"},
        {"match": "module1", "attempts": [1], "outcome": "malformed"},
    )
    run = night.through(run_id)
    assert run["answered"] == DOCUMENTS
    assert night.row("gates", run_id=run_id)["revoked_at"] == run["published_at"]
    assert "is proved again before the next run" in night.row("alerts", kind="first_pass_below")["message"]

    second = night.collected("dag/2", repository=str(night._own_repository("dag/2")))
    asked = kinds(night)["synchronous"]
    rules(night)
    assert prove(night, second).verdict == "passed"
    assert kinds(night)["synchronous"] == asked + 10


def test_what_passes_by_itself_takes_no_pass_back(night: SteppedNight) -> None:
    run_id = night.collected()
    prove(night, run_id)
    rules(night, {"match": "module", "attempts": [1], "outcome": "expired"})
    night.through(run_id)
    assert night.row("gates", run_id=run_id)["revoked_at"] is None


def test_what_failed_before_is_in_the_next_sample(night: SteppedNight) -> None:
    run_id = night.collected()
    prove(night, run_id)
    rules(night, {"match": "module17", "outcome": "malformed"})
    night.through(run_id)
    for path in night.repository.glob("*.py"):
        path.write_text(f"{path.read_text()}# changed\n")
    commit(night.repository, "changed")
    second = night.collected("dag/2", model="claude-opus-5-5")
    prove(night, second)
    with night.ledger.connect() as connection:
        row = connection.execute(
            "SELECT sampled FROM requests JOIN documents USING (document_id) WHERE requests.run_id = %s AND path = %s",
            [second, "module17.py"],
        ).fetchone()
    assert row == {"sampled": True}


def test_what_other_runs_gave_up_is_proved_too(night: SteppedNight) -> None:
    first = night.collected()
    second = night.collected("dag/2")
    assert prove(night, second).verdict is None
    cancel_run(night.ledger, night.api, night.now, first)
    assert await_claims(night.ledger, night.now, second) == {}
    assert prove(night, second).left == 30
    [batch] = plan_round(night.ledger, night.now, second, INHERITED_ROUND)
    assert night.row("batches", batch_id=batch)["request_count"] == 30


def test_a_run_that_is_only_to_be_estimated_has_no_sample(night: SteppedNight) -> None:
    assert prove(night, night.collected(dry_run=True)).verdict is None
    assert kinds(night) == {}


def test_nothing_is_paid_for_by_a_prompt_that_is_not_proved(night: SteppedNight) -> None:
    run_id = night.collected()
    with night.ledger.connect() as connection:
        connection.execute("UPDATE runs SET simulated = false")
        connection.execute("UPDATE requests SET simulated = false")
    with pytest.raises(InputError, match="is not proved on a sample, so nothing is submitted"):
        plan_round(night.ledger, night.now, run_id, 1)
    prove(night, run_id)
    assert len(plan_round(night.ledger, night.now, run_id, 1)) == 1


def test_a_gate_too_late_for_batches_does_not_hold_the_report(night: SteppedNight) -> None:
    run_id = night.collected()
    deadline = night.row("runs", run_id=run_id)["deadline"]
    night.simulator.advance((deadline - night.now()).total_seconds() - 60)
    gated = prove(night, run_id)
    assert (gated.verdict, gated.left) == (None, 0)
    assert "None of the sample was answered: no time" in gated.why
    publish(night.ledger, night.now, run_id, reports=night.folder / "reports")


def test_a_late_run_is_proved_before_all_of_it_is_answered_synchronously(night: SteppedNight) -> None:
    rules(night, {"match": "module", "outcome": "malformed"})
    run_id = night.collected()
    deadline = night.row("runs", run_id=run_id)["deadline"]
    night.simulator.advance((deadline - night.now()).total_seconds() - 3600)
    with pytest.raises(HeldError):
        prove(night, run_id)
    assert kinds(night) == {"synchronous": 10}


def test_a_budget_too_small_for_the_sample_holds_the_run_and_says_so(night: SteppedNight) -> None:
    run_id = night.collected()
    with night.ledger.connect() as connection:
        connection.execute("UPDATE runs SET max_usd = 0.0001")
    with pytest.raises(HeldError, match=r"no answer, budget: the US\$ 0.0001 of this run does not cover"):
        prove(night, run_id)


def test_a_sample_of_which_calls_were_lost_is_filled_up_by_the_next_try(night: SteppedNight) -> None:
    run_id = night.collected()
    night.faults({"kind": "drop", "endpoint": "messages", "when": "before", "times": 32})
    with pytest.raises(ApiError, match="Only 0 documents of the sample of run 1 could be asked about"):
        prove(night, run_id)
    gated = prove(night, run_id)
    assert gated.verdict == "passed"
    assert gated.scores is not None
    assert gated.scores["documents"] == 10
    assert gated.left < DOCUMENTS - 10


def test_what_an_answer_holds_can_always_be_kept(night: SteppedNight) -> None:
    rules(night, {"match": "module", "outcome": "malformed", "text": "a\0b"})
    run_id = night.collected()
    with pytest.raises(HeldError, match="it begins: a b"):
        prove(night, run_id)


def test_two_gates_of_a_run_at_once_ask_once(night: SteppedNight) -> None:
    run_id = night.collected()

    async def pause(seconds: float) -> None:
        await night.pause(seconds)

    async def both() -> list[Gated]:
        one = asyncio.to_thread(prove, night, run_id)
        other = asyncio.to_thread(prove, night, run_id)
        return list(await asyncio.gather(one, other))

    assert {gated.verdict for gated in asyncio.run(both())} == {"passed"}
    assert kinds(night) == {"synchronous": 10}


def test_labelled_documents_are_part_of_the_proof_and_are_asked_about_once(labelled_night: SteppedNight) -> None:
    night = labelled_night
    run_id = night.collected()
    gated = prove(night, run_id)
    labelled = len(load_labelled(WORKFLOW))
    assert gated.why == "The prompt is good enough: 10 of 10 accepted, precision 1.00, recall 1.00."
    assert kinds(night) == {"synchronous": 10 + labelled}
    with night.ledger.connect() as connection:
        connection.execute("DELETE FROM gates")
    second = night.collected("dag/2", repository=str(night._own_repository("dag/2")))
    prove(night, second)
    assert kinds(night) == {"synchronous": 20 + labelled}
    run = night.through(run_id)
    assert (run["collected"], run["answered"]) == (DOCUMENTS, DOCUMENTS)


def test_a_prompt_that_misses_what_must_be_found_is_held_though_its_answers_have_the_right_form(
    labelled_night: SteppedNight,
) -> None:
    night = labelled_night
    must = [document for document in load_labelled(WORKFLOW) if document.must][:2]
    nothing = {"outcome": "answer", "text": '{"findings": []}'}
    rules(night, *({"match": f'path="{document.path}"', **nothing} for document in must))
    run_id = night.collected()
    with pytest.raises(HeldError) as held:
        prove(night, run_id)
    said = str(held.value)
    assert "10 of 10 accepted, precision 1.00, recall 0.87" in said
    for document in must:
        assert f"missed: {document.name}" in said


@pytest.mark.parametrize(
    ("message", "rule"),
    [
        ("mystery: Extra inputs are not permitted", {}),
        ("model: claude-none-1", {"error_type": "not_found_error"}),
        ("output_config.format.schema: For 'string' type, property 'minLength' is not supported", {}),
        ("max_tokens: 900000 > 128000, which is the maximum allowed number of output tokens for it", {}),
        ("prompt is too long: 1200000 tokens > 1000000 maximum", {}),
    ],
)
def test_a_wrong_configuration_is_caught_before_a_batch_is_sent(
    night: SteppedNight, message: str, rule: dict[str, Any]
) -> None:
    outcome = "errored" if rule else "invalid_request"
    rules(night, {"match": "module", "outcome": outcome, "message": message, **rule})
    run_id = night.collected()
    with pytest.raises(HeldError) as held:
        prove(night, run_id)
    assert message in str(held.value)
    assert kinds(night) == {}
    assert night.calls("POST").count("/v1/messages/batches") == 0
    # Mended, the rest goes.
    rules(night)
    resubmit_run(night.ledger, night.now, run_id, again=False, let_pass=WHY)
    [batch_id] = [prove(night, run_id) and plan_round(night.ledger, night.now, run_id, 1)[0]]
    night.submit(batch_id)
    night.simulator.advance(DAY)
    ingest(night.ledger, night.api, night.now, batch_id)
    assert night.row("batches", batch_id=batch_id)["succeeded"] == 30

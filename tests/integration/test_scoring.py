"""A prompt is scored on a sample: each document answered once, whatever dies, and no other run is disturbed."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import anthropic
import httpx2
import pytest
from tests.stepped_night import SteppedNight
from tests.support import WORKFLOW, commit

from backcast.anthropic_api.batches import MessageBatchesApi
from backcast.domain.errors import InputError
from backcast.domain.golden import Expectation, LabelledDocument
from backcast.domain.rescue import RescueTerms
from backcast.ledger.connection import sql
from backcast.services.claims import await_claims
from backcast.services.fault_points import FaultPoint, listen
from backcast.services.first_pass import first_pass
from backcast.services.preview import first_round
from backcast.services.publish import publish
from backcast.services.reconcile import Folders, finish_run
from backcast.services.scoring import SCORED_WITHIN, SampleDocument, Scored, next_key, score
from backcast.services.status import read_status
from backcast.settings import run_settings
from backcast_simulator.catalogue import MODELS
from backcast_simulator.rules import parse_rules
from backcast_simulator.transport import SimulatorTransport

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from backcast.domain.workflow import RunSettings
    from backcast.ledger.connection import Ledger

BARE_EXCEPT = "def read(path):\n    try:\n        return open(path).read()\n    except:\n        pass\n"


class Killed(BaseException):
    """The process died here."""


@pytest.fixture
def night(ledger: Ledger, tmp_path: Path) -> SteppedNight:
    return SteppedNight(ledger, tmp_path)


def sample_of(night: SteppedNight) -> list[SampleDocument]:
    return [
        SampleDocument(path.name, "python", path.read_text()) for path in sorted(night.repository.glob("module*.py"))
    ]


def labelled(name: str = "bare_except", must: tuple[Expectation, ...] = (Expectation((2, 5)),)) -> SampleDocument:
    document = LabelledDocument(name, f"{name}.py", "python", BARE_EXCEPT, must)
    return SampleDocument(document.path, document.language, document.text, document)


def settings_of(night: SteppedNight, **params: Any) -> RunSettings:
    return run_settings(WORKFLOW, {"repository": str(night.repository), **params})


def scored(
    night: SteppedNight, sample: list[SampleDocument], key: str = "s", settings: RunSettings | None = None
) -> Scored:
    asked = settings or settings_of(night)
    return score(night.ledger, night.api, night.now, asked, sample, external_key=key, pause=night.pause)


def rules(night: SteppedNight, *given: dict[str, Any]) -> None:
    night.simulator.set_rules(parse_rules(list(given)))


def died_at(point: FaultPoint, work: Callable[[], object]) -> None:
    """Let a piece of work die the first time that it reaches a point."""
    seen = False

    def die(reached: FaultPoint) -> None:
        nonlocal seen
        if reached is point and not seen:
            seen = True
            raise Killed

    listen(die)
    try:
        with pytest.raises(Killed):
            work()
    finally:
        listen(None)


def test_each_document_is_answered_once_and_its_failure_shown(night: SteppedNight) -> None:
    rules(night, {"match": "VALUE = 1", "outcome": "malformed", "text": "Here is what I found."})
    first = scored(night, sample_of(night))
    answers = {answer.path: answer for answer in first.scores.answers}
    assert {path: answer.accepted for path, answer in answers.items()} == {
        "module0.py": True,
        "module1.py": False,
        "module2.py": True,
    }
    failed = answers["module1.py"]
    assert (failed.cause, failed.shown) == ("malformed", "Here is what I found.")
    assert failed.detail
    assert failed.detail.startswith("the answer is not JSON")
    assert all(answer.seconds is not None and answer.output_tokens > 0 for answer in answers.values())
    bill = night.simulator.bill()["requests"]
    assert first.scores.cost_usd == sum((Decimal(str(charge["cost_usd"])) for charge in bill), Decimal(0))
    # What failed does not go again, and what is scored is only read.
    night.simulator.advance(86_400)
    assert scored(night, sample_of(night)) == first
    assert len(night.paid()) == 3
    assert night.row("runs", run_id=first.run_id)["state"] == "scored"


def test_a_request_has_the_shape_that_it_has_in_a_batch(ledger: Ledger, tmp_path: Path) -> None:
    night, sent = SteppedNight(ledger, tmp_path, documents=60), list[dict[str, Any]]()

    async def note(request: httpx2.Request) -> None:
        sent.append(json.loads(await request.aread()))

    async def connect() -> anthropic.AsyncAnthropic:
        transport = SimulatorTransport(night.simulator)
        http = httpx2.AsyncClient(transport=transport, event_hooks={"request": [note]})
        return anthropic.AsyncAnthropic(api_key="k", base_url="http://simulated", http_client=http, max_retries=0)

    night.api = MessageBatchesApi(night.api._client, connect)
    settings = settings_of(night)
    # Long enough for what a batch shares to be cached.
    long = replace(settings.prompt, system_template=f"{settings.prompt.system_template}\n{'Be thorough. ' * 2000}")
    settings = replace(settings, prompt=long)
    scored(night, sample_of(night)[:3], settings=settings)
    with first_round(settings, night.folder, None).body as body:
        batched = [request["params"] for request in json.load(body)["requests"]]
    assert len(sent) == 3
    assert all(params in batched for params in sent)
    assert all("cache_control" in params["system"][0] for params in sent)


def test_labelled_documents_are_held_against_their_labels_and_paid_for_once(night: SteppedNight) -> None:
    whole = labelled("other", (Expectation((1, 1), ("unused_code",), "nothing is there"),))
    other = replace(whole, text=f"{BARE_EXCEPT}\n# other\n")
    sample = [labelled(), other, *sample_of(night)]
    first = scored(night, sample)
    found = first.scores.labelled
    assert found is not None
    assert (found.documents, found.expected, found.found) == (2, 2, 1)
    assert found.missed == ("other (other.py), line 1: unused_code: nothing is there",)
    paid = len(night.paid())
    # Other labels are held against the same answers, and another sample with the same documents asks for none of them.
    relabelled = scored(night, [labelled(must=()), *sample[1:]])
    assert (relabelled.run_id, relabelled.scores.labelled and relabelled.scores.labelled.expected) == (first.run_id, 1)
    more = scored(night, [labelled(), other], key="another")
    assert (more.reused, more.scores.labelled) == (2, found)
    assert len(night.paid()) == paid == 5


def test_a_labelled_document_that_gets_no_answer_is_missed(night: SteppedNight) -> None:
    rules(night, {"match": "def read", "outcome": "refusal"})
    found = scored(night, [labelled()]).scores.labelled
    assert found is not None
    assert (found.expected, found.found, found.recall) == (1, 0, 0.0)


def test_an_answer_counts_for_later_runs_and_one_that_took_remedies_says_nothing_good(night: SteppedNight) -> None:
    rules(night, {"match": "VALUE = 0", "outcome": "malformed", "attempts": [1]})
    run = night.through(night.collected())
    assert run["answered"] == 3
    paid = len(night.paid())
    again = scored(night, sample_of(night))
    assert (again.reused, again.scores.accepted, len(night.paid())) == (2, 3, paid + 1)
    assert [answer.seconds is None for answer in again.scores.answers] == [False, True, True]
    scored(night, [SampleDocument("more.py", "python", "MORE = 1\n")], key="more")
    (night.repository / "more.py").write_text("MORE = 1\n")
    commit(night.repository, "second")
    assert night.through(night.collected("dag/2"))["reused"] == 4
    assert len(night.paid()) == paid + 2


def test_what_another_run_asks_for_is_left_out_and_not_waited_for(night: SteppedNight) -> None:
    night.submit(night.planned())
    more = SampleDocument("more.py", "python", "MORE = 1\n")
    first = scored(night, [*sample_of(night), more])
    assert first.left_out == ("module0.py", "module1.py", "module2.py")
    assert [answer.path for answer in first.scores.answers] == ["more.py"]
    assert next_key(night.ledger, "s") == "s #1"
    assert scored(night, [*sample_of(night), more], "s #1").left_out == first.left_out
    assert next_key(night.ledger, "s") == "s #2"
    assert len(night.paid()) == 1


def test_a_labelled_document_is_scored_while_a_run_asks_for_the_same_content(night: SteppedNight) -> None:
    (night.repository / "module0.py").write_text(BARE_EXCEPT)
    commit(night.repository, "second")
    night.submit(night.planned())
    assert scored(night, [labelled()]).scores.accepted == 1


@pytest.mark.parametrize(
    "point",
    [
        FaultPoint.OPEN_PREFLIGHTED,
        FaultPoint.COLLECT_BEFORE_COMMIT,
        FaultPoint.COLLECT_COMMITTED,
        FaultPoint.RESCUE_BEFORE_COMMIT,
        FaultPoint.RESCUE_COMMITTED,
        FaultPoint.RESCUE_CALL_WRITTEN,
        FaultPoint.RESCUE_CALL_ANSWERED,
        FaultPoint.RESCUE_ANSWER_STORED,
        FaultPoint.PUBLISH_COMMITTED,
    ],
)
@pytest.mark.parametrize("away", [timedelta(), timedelta(hours=3)])
def test_killed_at_any_point_it_goes_on_and_pays_again_only_for_what_was_in_flight(
    night: SteppedNight, point: FaultPoint, away: timedelta
) -> None:
    sample = [labelled(), *sample_of(night)]
    died_at(point, lambda: scored(night, sample))
    night.simulator.advance(away.total_seconds())
    after = scored(night, sample)
    assert (after.scores.accepted, after.left_out) == (4, ())
    with night.ledger.connect() as connection:
        lost = connection.execute("SELECT FROM calls WHERE state = 'lost'").fetchall()
    assert 4 <= len(night.paid()) <= 4 + len(lost)
    assert not lost or point.startswith(("rescue.call", "rescue.answer"))
    assert scored(night, sample) == after


def test_a_dead_sample_keeps_no_content_and_no_money_from_others(night: SteppedNight) -> None:
    died_at(FaultPoint.COLLECT_COMMITTED, lambda: scored(night, sample_of(night)))
    waiting = night.collected()
    assert sum(await_claims(night.ledger, night.now, waiting).values()) == 3
    night.simulator.advance(SCORED_WITHIN.total_seconds() + 1)
    assert await_claims(night.ledger, night.now, waiting) == {}
    with night.ledger.connect() as connection:
        row = connection.execute(sql("committed_money"), {"run_id": 1}).fetchone()
    assert row
    assert row["run_usd"] == 0
    # It goes on all the same, without what is asked for elsewhere now.
    assert scored(night, sample_of(night)).left_out == ("module0.py", "module1.py", "module2.py")


def test_what_a_dead_sample_gave_back_it_asks_for_again_when_nobody_else_does(night: SteppedNight) -> None:
    more = [SampleDocument("more.py", "python", "MORE = 1\n")]
    died_at(FaultPoint.COLLECT_COMMITTED, lambda: scored(night, more))
    night.simulator.advance(SCORED_WITHIN.total_seconds() + 1)
    night.collected()
    assert night.row("requests", sampled=True)["claims"] is False
    assert scored(night, more).scores.accepted == 1


def test_what_fails_does_not_go_again_however_late_it_is(night: SteppedNight) -> None:
    rules(night, {"outcome": "malformed"})
    # One each five minutes, so that the time in which a run would still wait for batches passes.
    slow = replace(settings_of(night), rescue=RescueTerms(requests_per_minute=0.2))
    assert scored(night, sample_of(night), settings=slow).scores.causes == {"malformed": 3}
    assert len(night.paid()) == 3


def test_runs_reports_and_rates_of_the_workflow_are_as_if_there_was_no_sample(night: SteppedNight) -> None:
    first = night.through(night.collected())
    rates = first_pass(night.ledger, night.now, timedelta(days=1))
    sample = [SampleDocument("more.py", "python", "MORE = 1\n")]
    run_id = scored(night, sample).run_id
    assert first_pass(night.ledger, night.now, timedelta(days=1)) == rates
    with night.ledger.connect() as connection:
        assert connection.execute(sql("unfinished_runs")).fetchall() == []
        assert connection.execute(sql("runs_owing"), {"run_ids": None}).fetchall() == []
    folders = Folders(night.folder, night.folder)
    with pytest.raises(InputError, match="is a sample that a prompt is scored on"):
        finish_run(night.ledger, night.api, night.now, run_id, folders)
    again = night.collected("dag/2")
    report = publish(night.ledger, night.now, again, reports=night.folder / "reports").report
    assert report
    told = json.loads(report.with_suffix(".json").read_bytes())
    assert told["previous_published_at"] == first["published_at"].isoformat().replace("+00:00", "Z")
    night.simulator.advance(3 * 86_400)
    assert read_status(night.ledger, night.now).runs == []


def test_the_budget_of_the_month_counts_samples_and_what_it_does_not_cover_is_tried_again(night: SteppedNight) -> None:
    settings = settings_of(night)
    cost = scored(night, sample_of(night), settings=settings).scores.cost_usd
    assert cost > 0
    poor = replace(settings, budget=replace(settings.budget, month=cost))
    more = [SampleDocument("more.py", "python", "MORE = 1\n")]
    key = next_key(night.ledger, "poor")
    [answer] = scored(night, more, key, poor).scores.answers
    assert (answer.accepted, answer.cause) == (False, None)
    assert answer.detail
    assert answer.detail.startswith("budget: the US$")
    assert next_key(night.ledger, "poor") == "poor #2"
    assert len(night.paid()) == 3


def test_a_key_names_one_sample_and_a_sample_no_path_twice(night: SteppedNight) -> None:
    scored(night, sample_of(night))
    with pytest.raises(InputError, match="is of another sample, prompt or model"):
        scored(night, sample_of(night)[:2])
    with pytest.raises(InputError, match=r"Two documents of the sample are called 'module0.py'"):
        scored(night, sample_of(night)[:1] * 2, key="t")


def structured_schema() -> str:
    node = {"type": "object", "properties": {"in": {"$ref": "#/$defs/node"}}, "additionalProperties": False}
    findings = {"type": "array", "items": {"$ref": "#/$defs/node"}}
    return json.dumps({
        "type": "object",
        "properties": {"findings": findings},
        "required": ["findings"],
        "additionalProperties": False,
        "$defs": {"node": node},
    })  # fmt: skip


@pytest.mark.parametrize(
    ("wrong", "cause", "words"),
    [
        ("model", "our_fault", "not_found_error: model: claude-sonnet-5-5"),
        ("parameter", "our_fault", "invalid_request_error: output_config: Extra inputs are not permitted"),
        ("schema", "our_fault", "Circular reference detected: #/$defs/node"),
        ("max_tokens", "limit_too_high", "max_tokens: 999999 > 128000"),
        ("prompt", "too_long", "prompt is too long: "),
    ],
)
def test_what_can_get_no_answer_at_all_is_shown_in_the_words_of_the_api(
    night: SteppedNight, monkeypatch: pytest.MonkeyPatch, wrong: str, cause: str, words: str
) -> None:
    settings, sample = settings_of(night), sample_of(night)[:2]
    if wrong == "model":
        monkeypatch.delitem(MODELS, settings.model.name)
    elif wrong == "parameter":
        # A gateway that does not know structured outputs, whatever the list of models says.
        message = "output_config: Extra inputs are not permitted"
        rules(night, {"when": {"structured": True}, "outcome": "invalid_request", "message": message})
    elif wrong == "schema":
        settings = replace(settings, prompt=replace(settings.prompt, answer_schema=structured_schema()))
    elif wrong == "max_tokens":
        settings = replace(settings, max_tokens=999_999)
    else:
        text = "word " * 1_500_000
        sample = [SampleDocument("long.txt", "text", text), SampleDocument("longer.txt", "text", f"{text}more")]
    scores = scored(night, sample, settings=settings).scores
    assert scores.causes == {cause: 2}
    assert all(words in (answer.detail or "") for answer in scores.answers)
    assert not scores.passes(0.01)
    assert (scores.cost_usd, night.paid()) == (0, [])

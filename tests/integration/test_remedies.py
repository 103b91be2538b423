"""Only what failed goes again, changed so that it can succeed."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from tests.stepped_night import SteppedNight
from tests.support import WORKFLOW, commit

from backcast.ledger.connection import sql
from backcast.ledger.runs import load_run
from backcast.services.acceptance import Judge
from backcast.services.first_pass import first_pass
from backcast.services.open_run import open_run
from backcast.services.prompts import builder_of, params_of
from backcast.services.resubmit import lane
from backcast.services.routing import is_synchronous
from backcast.services.status import read_failures
from backcast.settings import load_prompt, run_settings, workflow_names
from backcast_simulator.rules import parse_rules
from backcast_simulator.settings import Readings, Settings

if TYPE_CHECKING:
    from backcast.domain.workflow import PromptVersion
    from backcast.ledger.connection import Ledger

DOCUMENTS = 3
TANGLED = "def tangled(a):\n" + "".join(
    f"    if a == {i}:\n        for x in range(a):\n            if x > {i} and a < {i}:\n                print(x)\n"
    for i in range(12)
)
EXAMPLES = [(workflow, example) for workflow in workflow_names() for example in load_prompt(workflow, "v1").examples]


@pytest.fixture
def night(ledger: Ledger, tmp_path: Path) -> SteppedNight:
    return SteppedNight(ledger, tmp_path, DOCUMENTS)


def go_through(night: SteppedNight, *rules: dict[str, Any]) -> dict[str, Any]:
    night.simulator.set_rules(parse_rules(list(rules)))
    return night.through(night.collected(sla="96h"))


def lineages(night: SteppedNight) -> set[tuple[tuple[str | None, str | None], ...]]:
    """Return how each document's requests went on: the remedy and the cause of each."""
    with night.ledger.connect() as connection:
        rows = connection.execute(
            "SELECT array_agg(ARRAY[remedy, cause] ORDER BY attempt) AS steps FROM requests GROUP BY run_id, answer_key"
        ).fetchall()
    return {tuple((remedy, cause) for remedy, cause in row["steps"]) for row in rows}


def test_a_malformed_answer_is_shown_an_example(night: SteppedNight) -> None:
    done = go_through(night, {"outcome": "malformed", "attempts": [1]})
    assert done["answered"] == DOCUMENTS
    assert lineages(night) == {((None, "malformed"), ("worked_example", None))}
    with night.ledger.connect() as connection:
        run = load_run(connection, done["run_id"])
    build = builder_of(run)
    params = build("a.py", "python", "0" * 64, "VALUE = 1\n", 100, "worked_example")
    asked, answered, own = params["messages"]
    assert (asked["role"], answered["role"], own["role"]) == ("user", "assistant", "user")
    assert orjson.loads(answered["content"])["findings"]
    assert "VALUE = 1" in own["content"]
    # What all requests share is the same, so that the prompt cache can hold it.
    assert params["system"] == build("b.py", "python", "1" * 64, "VALUE = 2\n", 100)["system"]


def test_what_is_malformed_again_gets_the_simplified_prompt_synchronously(night: SteppedNight) -> None:
    done = go_through(night, {"outcome": "malformed", "attempts": [1, 2]})
    assert done["answered"] == DOCUMENTS
    assert lineages(night) == {((None, "malformed"), ("worked_example", "malformed"), ("simplified_prompt", None))}
    assert night.row("requests", remedy="simplified_prompt")["synchronous"]
    line = "r1: malformed → r2 worked_example: malformed → r4 simplified_prompt synchronously: answered"
    told = orjson.loads(Path(done["report_path"]).with_suffix(".json").read_bytes())["first_attempts"]
    assert (told["requests"], told["accepted"], told["retries"]) == (DOCUMENTS, 0, 2 * DOCUMENTS)
    [rate] = first_pass(night.ledger, night.now, timedelta(days=30))
    assert (rate.language, rate.rate, dict(rate.causes)) == ("python", 0, {"malformed": DOCUMENTS})
    with night.ledger.connect() as connection:
        cost = (
            connection.execute(
                "SELECT sum(cost_usd) AS usd FROM results JOIN requests USING (request_id) WHERE parent_id IS NOT NULL"
            ).fetchone()
            or {}
        )
    assert rate.retries_usd == cost["usd"] > 0
    failures = read_failures(night.ledger, done["run_id"])
    assert [(failure.path, failure.answered, failure.lineage) for failure in failures] == [
        (f"module{number}.py", True, line) for number in range(DOCUMENTS)
    ]
    report = Path(done["report_path"])
    assert line in report.read_text().replace("\\", "")
    assert orjson.loads(report.with_suffix(".json").read_bytes())["retried"][0]["lineage"] == line


@pytest.mark.parametrize(("outcome", "cause"), [("refusal", "refused"), ("unsupported", "unsupported_claim")])
def test_a_refusal_and_an_unsupported_claim_get_the_simplified_prompt_once(
    night: SteppedNight, outcome: str, cause: str
) -> None:
    # With something to be found, whose quote can then be wrong.
    (night.repository / "module0.py").write_text(TANGLED)
    commit(night.repository, "tangle it")
    done = go_through(night, {"match": "module0", "outcome": outcome})
    assert done["unanswered"] == 1
    assert lineages(night) == {((None, None),), ((None, cause), ("simplified_prompt", cause))}


def test_a_paused_turn_is_sent_back_and_goes_on(night: SteppedNight) -> None:
    night.simulator.set_rules(parse_rules([{"outcome": "pause_turn", "attempts": [1, 2]}]))
    run_id = night.collected(sla="96h")
    done = night.through(run_id)
    assert (done["answered"], len(night.paid())) == (DOCUMENTS, 3 * DOCUMENTS)
    assert lineages(night) == {((None, "paused"), ("continue", "paused"), ("continue", None))}
    with night.ledger.connect() as connection:
        first, again, last = (
            row["request_id"]
            for row in connection.execute(
                "SELECT request_id FROM requests JOIN documents USING (document_id) WHERE path = 'module0.py' "
                "ORDER BY attempt"
            )
        )
        sent = {
            id_: connection.execute(sql("request_to_call"), {"request_id": id_}).fetchone() for id_ in (again, last)
        }
        build = builder_of(load_run(connection, run_id))
    turns = [orjson.loads(night.row("results", request_id=id_)["raw"])["message"]["content"] for id_ in (first, again)]
    for request_id, paused in ((again, turns[0]), (last, [*turns[0], *turns[1]])):
        asked, written = params_of(build, sent[request_id] or {})["messages"]
        assert (asked["role"], written) == ("user", {"role": "assistant", "content": paused})
    # The money for what goes back with it was reserved too.
    reserved = [night.row("requests", request_id=id_)["reserved_usd"] for id_ in (first, again)]
    assert reserved[0] < reserved[1] < 2 * reserved[0]


@pytest.mark.parametrize(
    ("workflow", "example"), EXAMPLES, ids=[f"{name}-{shown.language}" for name, shown in EXAMPLES]
)
def test_an_example_is_an_answer_that_would_be_accepted(workflow: str, example: Any) -> None:
    prompt: PromptVersion = load_prompt(workflow, "v1")
    message = {"content": [{"type": "text", "text": example.answer}], "stop_reason": "end_turn"}
    verdict = Judge(prompt.answer_schema).verdict({"type": "succeeded", "message": message}, example.document)
    assert verdict.answer is not None, verdict.detail
    assert prompt.simplified_template


def test_it_says_whether_what_goes_again_goes_as_a_batch_and_why(night: SteppedNight) -> None:
    run_id = night.collected()
    said = [lane(night.ledger, night.now, run_id)]
    for hours in (8, 21):
        night.simulator.advance(hours * 3600)
        said.append(lane(night.ledger, night.now, run_id))
    assert [text.split(":")[0] for text in said] == [
        "as a batch, certain to suffice",
        "as a batch, canceled when it has not ended by then",
        "synchronously",
    ]


def test_every_workflow_that_is_sent_as_batches_has_an_example_and_a_simplified_prompt() -> None:
    batched = {workflow for workflow in workflow_names() if not is_synchronous(workflow)}
    assert {workflow for workflow, _ in EXAMPLES} == batched


def test_the_api_is_asked_to_keep_to_the_schema_where_the_model_can(ledger: Ledger, tmp_path: Path) -> None:
    settings = Settings(readings=Readings(enum_casing="varied"))
    night = SteppedNight(ledger, tmp_path, DOCUMENTS, settings)
    (night.repository / "module0.py").write_text(TANGLED)
    commit(night.repository, "tangle it")
    done = go_through(night)
    assert (done["structured"], done["answered"]) == (True, DOCUMENTS)
    # Whatever casing came back, a finding has that of the schema.
    with night.ledger.connect() as connection:
        found = connection.execute("SELECT DISTINCT severity, effort FROM findings").fetchall()
        run = load_run(connection, done["run_id"])
    assert found
    assert all(text == text.lower() for row in found for text in row.values())
    params = builder_of(run)("a.py", "python", "0" * 64, "VALUE = 1\n", 100)
    assert params["output_config"]["format"]["type"] == "json_schema"
    assert "output_config" not in builder_of({**run, "structured": False})(
        "a.py", "python", "0" * 64, "VALUE = 1\n", 100
    )


def test_a_workflow_may_do_without(night: SteppedNight) -> None:
    settings = replace(run_settings(WORKFLOW, {"repository": str(night.repository)}), structured=False)
    run_id = open_run(night.ledger, night.api, night.now, settings, external_key="dag/1")
    assert night.row("runs", run_id=run_id)["structured"] is False

"""Rows are neither lost nor doubled by what happens to documents, schemas and answers at the edges."""

from __future__ import annotations

import json
import shutil
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest
from jsonschema import Draft202012Validator
from tests.integration.test_extraction import WORKFLOW, Extraction, bodies_of, record, told
from tests.pdfs import pdf_of
from tests.stepped_night import DAY

from backcast.ledger.copy import stream
from backcast.services.claims import await_claims
from backcast.services.ingest import ingest
from backcast.services.review_lane import decide_item, list_items
from backcast.services.rounds import plan_round
from backcast.settings import run_settings, workflows_folder
from backcast_simulator.rules import parse_rules

if TYPE_CHECKING:
    from typing import LiteralString

    from backcast.ledger.connection import Ledger


@pytest.fixture
def night(ledger: Ledger, tmp_path: Path) -> Extraction:
    return Extraction(ledger, tmp_path)


def paths(run: dict[str, Any]) -> list[str]:
    return [line["path"] for line in told(Path(run["report_path"]).parent)]


def test_a_document_that_changes_back_has_its_rows_again_without_being_asked_about(night: Extraction) -> None:
    invoice = night.inbox / "invoice-4711.txt"
    first, other = invoice.read_text(), invoice.read_text().replace("2026-11-01", "2026-12-01")
    night.run("dag/1")
    invoice.write_text(other)
    assert paths(night.run("dag/2")) == ["invoice-4711.txt"]
    invoice.write_text(first)
    asked = len(night.paid())
    back = night.run("dag/3")
    assert len(night.paid()) == asked
    assert paths(back) == ["invoice-4711.txt"]
    assert paths(night.run("dag/4")) == []
    page = (Path(__file__).resolve().parents[2] / "docs" / "extraction.md").read_text()
    query = page.split("```sql\n")[1].split("```")[0].replace("NOT simulated", "simulated")
    with night.ledger.connect() as connection:
        last = connection.execute(cast("LiteralString", query)).fetchall()
    assert sorted(row["path"] for row in last) == ["invoice-4711.txt", "order-30052.html", "service-agreement.md"]
    dates = [row["row"]["dates"][-1]["date"] for row in night.rows(back["run_id"])]
    assert dates == ["2026-11-01"]


def test_requests_are_packed_by_what_they_send_of_their_documents(night: Extraction) -> None:
    (night.inbox / "many-lines.txt").write_text("1\n" * 50_000)
    # Most of it comes after its end, and its text layer, which is not sent, is far smaller.
    (night.inbox / "large.pdf").write_bytes(pdf_of(["a page"]) + b"%" * 300_000)
    run_id = night.opened("dag/1")
    with night.ledger.transaction() as connection:
        sizes = [row["size"] for row in stream(connection, "unpacked_requests", {"run_id": run_id, "round": 1})]
    lengths = sorted(len(json.dumps(body["messages"])) for body in bodies_of(night, run_id))
    for size, length in zip(sorted(sizes)[-2:], lengths[-2:], strict=True):
        # What is not counted is the margin's.
        assert size < length < 1.5 * size


def test_a_sample_of_a_repository_is_one_of_the_folder_that_is_named(tmp_path: Path) -> None:
    assert run_settings(WORKFLOW, {"repository": str(tmp_path)}).repository == str(tmp_path)
    assert run_settings(WORKFLOW, {"repository": "s3://bucket/inbox"}).source == "object_store"
    assert run_settings(WORKFLOW, {"repository": "/a", "path": "/b"}).repository == "/b"


def test_a_document_in_the_review_lane_has_rows_when_it_is_asked_about_again(night: Extraction) -> None:
    night.answers([record("made up")], about="invoice-4711.txt")
    (night.inbox / "photo.png").write_bytes(b"no text")
    first = night.through(night.opened("dag/1"))
    assert paths(first) == ["order-30052.html", "service-agreement.md"]
    [item] = list_items(night.ledger, everything=False)
    report = json.loads((Path(first["report_path"]).parent / "report.json").read_bytes())
    schema = json.loads(files("backcast.reports").joinpath("extraction.schema.json").read_bytes())
    Draft202012Validator.check_schema(schema)
    assert [error.message for error in Draft202012Validator(schema).iter_errors(report)] == []
    assert (len(report["unanswered"]), len(report["skipped"]), len(report["retried"])) == (1, 1, 1)
    night.simulator.set_rules([])
    assert paths(night.through(night.opened("dag/2"))) == []
    decide_item(night.ledger, night.now, item["item_id"], "retry")
    assert paths(night.through(night.opened("dag/3"))) == ["invoice-4711.txt"]


def test_rows_of_runs_that_overlap_are_written_once_by_whichever_is_published_first(night: Extraction) -> None:
    first = night.opened("dag/1")
    [batch] = plan_round(night.ledger, night.now, first, 1)
    night.submit(batch)
    shutil.copy(night.inbox / "invoice-4711.txt", night.inbox / "copy.txt")
    second = night.opened("dag/2")
    night.simulator.advance(DAY)
    ingest(night.ledger, night.api, night.now, batch)
    assert await_claims(night.ledger, night.now, second) == {}
    written = [sorted(row["path"] for row in night.rows(night.through(run)["run_id"])) for run in (second, first)]
    assert written == [["copy.txt", "invoice-4711.txt", "order-30052.html", "service-agreement.md"], []]


def own_schema(night: Extraction, monkeypatch: pytest.MonkeyPatch, **changed: Any) -> None:
    """Let the workflow have this answer schema; `changed` replaces its top."""
    folder = night.folder / "workflows" / WORKFLOW
    shutil.copytree(workflows_folder() / WORKFLOW, folder)
    schema = {"type": "object", "properties": {"records": {"type": "array"}}} | changed
    (folder / "schema.json").write_text(json.dumps(schema))
    shutil.rmtree(folder / "examples")
    with (folder / "workflow.yaml").open("a") as file:
        # Or else the simulator makes every answer fit.
        file.write("structured_outputs: false\n")
    monkeypatch.setenv("BACKCAST_WORKFLOWS", str(folder.parent))


def one_document(night: Extraction, text: str = "INVOICE\n") -> None:
    shutil.rmtree(night.inbox)
    night.inbox.mkdir()
    (night.inbox / "invoice.txt").write_text(text)


def answered(night: Extraction, text: str) -> dict[str, Any]:
    """Go through a run whose only document gets this answer."""
    night.simulator.set_rules(parse_rules([{"match": "invoice.txt", "outcome": "answer", "text": text}]))
    return night.through(night.opened("dag/1"))


@pytest.mark.parametrize(
    ("text", "outcome", "rows"),
    [
        ("{}", "answered", 0),
        ('{"records": []}', "answered", 0),
        ("[]", "unanswered", 0),
        ('{"records": [' + "[" * 400 + "]" * 400 + "]}", "unanswered", 0),
        ('{"records": [{"evidence": ["INVOICE"]}]}', "answered", 1),
        ('{"records": [{"evidence": ["INVOICE", "made up"]}]}', "unanswered", 0),
        ('{"records": ["INVOICE", null, 1e308]}', "answered", 3),
        ('{"records": [1e400]}', "unanswered", 0),
    ],
)
def test_whatever_an_own_schema_lets_pass_can_be_published(
    night: Extraction, monkeypatch: pytest.MonkeyPatch, text: str, outcome: str, rows: int
) -> None:
    own_schema(night, monkeypatch, type=["object", "array"])
    one_document(night)
    run = answered(night, text)
    assert night.row("documents", run_id=run["run_id"])["outcome"] == outcome
    assert len(night.rows(run["run_id"])) == rows


def test_a_number_is_written_as_the_answer_has_it(night: Extraction, monkeypatch: pytest.MonkeyPatch) -> None:
    own_schema(night, monkeypatch)
    one_document(night)
    numbers = "[123456789012345678901234567890, 0.1, 1e30, -0.0, 12.50]"
    run = answered(night, '{"records": [' + numbers + "]}")
    line = (Path(run["report_path"]).parent / "rows.jsonl").read_text()
    assert json.loads(line)["row"] == [123456789012345678901234567890, 0.1, 10**30, 0.0, 12.5]


def test_a_row_that_quotes_nothing_is_not_verified(night: Extraction, monkeypatch: pytest.MonkeyPatch) -> None:
    own_schema(night, monkeypatch)
    one_document(night)
    run = answered(night, '{"records": [{"total": "5"}, {"evidence": null}, {"evidence": "INVOICE"}]}')
    assert [row["verified"] for row in night.rows(run["run_id"])] == [False, False, True]

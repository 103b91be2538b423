"""The JSON report is what its schema says."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from importlib.resources import files
from typing import TYPE_CHECKING, Any

import pytest
from jsonschema import Draft202012Validator, ValidationError

from backcast.domain.report import (
    Beside,
    Finding,
    Report,
    ReportRef,
    SeenFinding,
    SkippedDocuments,
    Spend,
    SuspiciousDocument,
    Totals,
    UnansweredDocument,
)
from backcast.reports.json_report import SCHEMA_VERSION, render_json

if TYPE_CHECKING:
    from collections.abc import Iterator

AT = datetime(2026, 5, 1, 6, 0, 0, 123_456, tzinfo=timezone(timedelta(hours=2)))
SUSPICIOUS = (SuspiciousDocument("a.py", 7, "shouts"), SuspiciousDocument("b.py", None, "whispers"))


@pytest.fixture(scope="module", name="schema")
def _schema() -> Any:
    return json.loads(files("backcast.reports").joinpath("report.schema.json").read_bytes())


def report(**changes: object) -> Report:
    finding = Finding("f", "new", "a.py", 1, 2, "design", "low", "hours", "Title", "Why", "What", "x = 1\n")
    fields: dict[str, Any] = {
        "workflow": "nightly_tech_debt",
        "run_id": 1,
        "repository": "/srv/shop",
        "ref": "HEAD",
        "commit": "ab" * 20,
        "committed_at": AT,
        "model": "claude-sonnet-5-5",
        "prompt_version": "v1",
        "simulated": True,
        "opened_at": AT,
        "published_at": AT,
        "deadline": AT,
        "previous_published_at": None,
        "totals": Totals(4, 1, 1, 1, 1),
        "spend": Spend(1, 2, 3, 4, 5, Decimal("1E-7"), Decimal("0.10")),
        "findings": (finding,),
        "fixed": (),
        "unanswered": (UnansweredDocument("b.py", "expired twice", 2),),
        "skipped": (SkippedDocuments("binary", 1, ("c.png",)),),
    }
    return Report(**(fields | changes))


def beside() -> Beside:
    [finding] = report().findings
    seen = SeenFinding(7, AT, finding)
    fixed = SeenFinding(7, AT, replace(finding, status="fixed"))
    return Beside("nightly_tech_debt", AT, (ReportRef(7, AT, "ab" * 20),), (seen,), (fixed,))


def test_a_report_is_valid_against_the_schema(schema: Any) -> None:
    Draft202012Validator.check_schema(schema)
    content = json.loads(render_json(report()))
    Draft202012Validator(schema).validate(content)
    Draft202012Validator(schema).validate(json.loads(render_json(report(previous_published_at=AT))))
    Draft202012Validator(schema).validate(json.loads(render_json(report(beside=beside()))))
    assert content["schema_version"] == SCHEMA_VERSION == schema["properties"]["schema_version"]["const"]


def test_the_schema_names_every_field_and_no_other(schema: Any) -> None:
    content = json.loads(render_json(report(suspicious=SUSPICIOUS)))
    Draft202012Validator(schema).validate(content)
    # Only where findings are checked is there anything to say of it.
    assert list(schema["properties"]) == [*content, "audit"]
    with pytest.raises(ValidationError):
        Draft202012Validator(schema).validate(content | {"surprise": 1})
    assert all("description" in node for node in _properties(schema))


def test_suspicious_documents_are_listed_only_when_there_are_some() -> None:
    assert "suspicious" not in json.loads(render_json(report()))
    told = json.loads(render_json(report(suspicious=SUSPICIOUS)))["suspicious"]
    assert told == [{"path": "a.py", "line": 7, "what": "shouts"}, {"path": "b.py", "line": None, "what": "whispers"}]


def test_times_are_utc_and_money_is_exact() -> None:
    content = json.loads(render_json(report()))
    assert content["published_at"] == "2026-05-01T04:00:00Z"
    assert content["spend"]["cost_usd"] == "0.0000001"
    assert content["spend"]["synchronous_usd"] == "0.10"
    assert datetime.fromisoformat(content["deadline"]).tzinfo == UTC


def test_the_same_report_gives_the_same_bytes() -> None:
    assert render_json(report()) == render_json(report())
    assert render_json(report()).startswith(b'{\n  "schema_version": 1,\n  "workflow"')


def _properties(node: object) -> Iterator[dict[str, object]]:
    if isinstance(node, dict):
        yield from node.get("properties", {}).values()
        for value in node.values():
            yield from _properties(value)

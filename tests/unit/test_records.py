"""Records are told from findings by their schema, and their quotes are looked up where the document has text."""

from __future__ import annotations

import json

import pytest

from backcast.domain.records import Text, asks_for_records, evidence_in
from backcast.domain.workflow import document_hash
from backcast.settings import load_prompt


@pytest.mark.parametrize(
    ("document", "quote", "seen"),
    [
        ("Total:\n  EUR 12.50\n", "Total: EUR 12.50", "there"),
        ("Betrag: 12\u00a0\u20ac, \ufb01x", "12 \u20ac, fix", "there"),
        ("Rech\u00adnung", "Rechnung", "there"),
        ("Total: EUR 12.50", "Total: EUR 21.50", "not there"),
        ("Total: EUR 12.50", " \n", "not there"),
        ("Total\f\ufffc", "Invoice", "cannot be seen"),
        ("Total\f\ufffc", "", "not there"),
    ],
)
def test_a_quote_is_looked_for_without_regard_to_blanks(document: str, quote: str, seen: str) -> None:
    assert Text(document).look_for(quote) == seen


def test_every_evidence_of_a_record_counts_however_deep_it_is() -> None:
    record = {"a": {"evidence": "one"}, "b": [{"evidence": "two", "c": [{"evidence": "three"}]}], "evidence": 4}
    assert list(evidence_in(record)) == ["one", "two", "three"]
    assert Text("one two three").proves(record)
    assert not Text("one two").proves(record)


def test_a_workflow_asks_for_records_when_its_schema_has_a_list_of_them_on_top() -> None:
    assert asks_for_records(load_prompt("document_extraction", "v1").answer_schema)
    assert not asks_for_records(load_prompt("nightly_tech_debt", "v1").answer_schema)
    assert not asks_for_records(json.dumps({"properties": {"records": {"type": "string"}}}))


def test_the_worked_example_quotes_its_own_document() -> None:
    for example in load_prompt("document_extraction", "v1").examples:
        assert Text(example.document).proves(json.loads(example.answer))


def test_a_pdf_is_not_the_text_that_has_the_same_bytes() -> None:
    assert document_hash("%PDF-1.4") != document_hash("%PDF-1.4", b"%PDF-1.4")
    assert document_hash("read so", b"%PDF-1.4") == document_hash("read otherwise", b"%PDF-1.4")

"""Records are told from findings by their schema, and their quotes are looked up where the document has text."""

from __future__ import annotations

import json
import time

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
        ("the inter-\n  national and well-known", "international and well-known", "there"),
        ("the inter-\n  national", "inter-national", "there"),
        ("Total: 12 -\n13", "12 13", "not there"),
        ("the \u201ccustomer\u2019s\u201d year 2026\u20132027", '"customer\'s" year 2026-2027', "there"),
        ("Total -5.00", "Total 5.00", "not there"),
        ("Mu\u0308ller", "M\u00fcller", "there"),
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


def test_quotes_in_a_list_are_evidence_and_a_record_that_quotes_nothing_proves_nothing() -> None:
    assert list(evidence_in({"evidence": ["one", {"evidence": "two"}, None]})) == ["one", "two"]
    assert not Text("one").proves({"total": "1"})
    assert not Text("one").proves({"evidence": None})


def test_a_text_of_marks_that_combine_takes_no_time_that_grows_with_its_square() -> None:
    # As it is, a tenth of a second; composed at once, a minute.
    began = time.process_time()
    assert Text("a" + "\u0301\u0316" * 150_000 + " end").look_for("end") == "there"
    assert time.process_time() - began < 10


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

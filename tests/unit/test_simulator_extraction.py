"""The offline analyst extracts rows by patterns, quotes a line for each, and says that it reads no PDF."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import orjson
import pytest
from tests.pdfs import pdf_of

from backcast.domain.records import Text
from backcast.services.prompts import request_builder
from backcast.settings import load_prompt, workflows_folder
from backcast_simulator.answers import AnalystAnswerer
from backcast_simulator.extraction import extract
from backcast_simulator.prompts import input_tokens
from backcast_simulator.validation import params_problem

INBOX = workflows_folder() / "document_extraction" / "inbox"


def asked(language: str, text: str, pdf: bytes | None = None) -> dict[str, Any]:
    prompt = load_prompt("document_extraction", "v1")
    build = request_builder(model="claude-sonnet-5-5", prompt=prompt, structured=True)
    return build(f"a.{language}", language, "0" * 64, text, 8192, pdf=pdf)


def test_every_field_of_a_text_is_found_with_a_line_that_says_so() -> None:
    text = (INBOX / "invoice-4711.txt").read_text()
    answer = orjson.loads(AnalystAnswerer().answer(asked("text", text)))
    [record] = answer["records"]
    without = {
        name: [tuple(value for key, value in one.items() if key != "evidence") for one in record[name]]
        for name in ("references", "parties", "contacts", "dates", "amounts")
    }
    assert record["document_type"] == {"value": "invoice", "evidence": "INVOICE"}
    assert without == {
        "references": [("invoice_number", "RE-4711")],
        "parties": [("seller", "Harbour Tools Ltd"), ("buyer", "Meadow Bikes GmbH")],
        "contacts": [("accounts@harbour-tools.example",)],
        "dates": [("issued", "2026-10-02"), ("due", "2026-11-01")],
        "amounts": [
            ("other", "1188.00", "GBP"),
            ("net", "1188.00", "GBP"),
            ("tax", "237.60", "GBP"),
            ("total", "1425.60", "GBP"),
        ],
    }
    assert Text(text).proves(record)


@pytest.mark.parametrize(
    ("line", "kind", "date"),
    [
        ("Payable until 3.11.2026", "ends", "2026-11-03"),
        ("signed March 12, 2026", "issued", "2026-03-12"),
        ("from 1 Sept. 2026", None, None),
        ("due 31 February 2026", None, None),
    ],
)
def test_dates_are_read_in_several_forms_and_never_made_up(line: str, kind: str | None, date: str | None) -> None:
    [record], _ = extract("text", line)
    assert [(one["kind"], one["date"]) for one in record["dates"]] == ([(kind, date)] if date else [])


@pytest.mark.parametrize(
    ("shown", "amount", "currency"),
    [
        ("1.234,50 \u20ac", "1234.50", "EUR"),
        ("$1,234.50", "1234.50", "USD"),
        ("CHF 1'200", "1200", "CHF"),
        ("EUR 5", "5", "EUR"),
    ],
)
def test_amounts_are_plain_decimals(shown: str, amount: str, currency: str) -> None:
    [record], _ = extract("text", f"Total {shown}")
    assert [(one["kind"], one["amount"], one["currency"]) for one in record["amounts"]] == [("total", amount, currency)]


def test_a_pdf_is_weighed_but_not_read_which_is_said() -> None:
    params = asked("pdf", "Invoice 7", pdf_of(["Invoice 7"], ["Total EUR 5"]))
    assert params_problem(params, "2023-06-01") is None
    assert input_tokens(params) - input_tokens(asked("text", "Invoice 7")) > 4_500
    answer = orjson.loads(AnalystAnswerer().answer(params))
    assert answer["records"] == []
    assert "no attached PDF" in answer["unreadable"]


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ({"type": "base64", "media_type": "application/pdf", "data": "?"}, "source.data: Input should be valid base64"),
        ({"type": "base64", "media_type": "application/pdf", "data": b64encode(b"no").decode()}, "was not valid"),
        ({"type": "base64", "media_type": "text/html", "data": ""}, "source.media_type: Input should be"),
        (None, "source: Field required"),
    ],
)
def test_a_document_block_that_is_no_pdf_is_refused(source: dict[str, str] | None, said: str) -> None:
    params = asked("pdf", "", pdf_of(["x"]))
    params["messages"][-1]["content"][0]["source"] = source
    problem = params_problem(params, "2023-06-01")
    assert problem is not None
    assert said in problem.message


def test_a_schema_of_other_records_gets_none_rather_than_wrong_ones() -> None:
    params = asked("text", "INVOICE 12")
    items = params["output_config"]["format"]["schema"]["properties"]["records"]["items"]
    items["required"] = [*items["required"], "colour"]
    assert orjson.loads(AnalystAnswerer().answer(params))["records"] == []

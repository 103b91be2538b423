"""Extraction in Airflow: triggered by REST, batched, and rows in the ledger and in a file beside the report."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.acceptance.nights import batches_of, finish
from tests.pdfs import pdf_of

from backcast.ledger.connection import Ledger
from backcast.local.follow import wait_for_dag
from backcast.settings import workflows_folder

if TYPE_CHECKING:
    from backcast.local.stack import Stack

EXTRACTION = "document_extraction"


def reported(stack: Stack, workflow: str, dag_run_id: str, **form: Any) -> Path:
    """Trigger a DAG, wait for its end, and return the folder of its report."""
    wait_for_dag(stack, workflow)
    stack.airflow.trigger(workflow, dag_run_id, form)
    finish(stack, dag_run_id, workflow)
    return Path(stack.options.reports or "", workflow, "latest").resolve(strict=True)


def rows_of(stack: Stack) -> list[dict[str, Any]]:
    with Ledger(stack.ledger).connect() as connection:
        return connection.execute(
            'SELECT path, position, verified, "row" FROM extracted_rows JOIN documents USING (document_id) '
            "ORDER BY path, position"
        ).fetchall()


def test_documents_of_a_folder_become_rows_in_the_ledger_and_beside_the_report(stack: Stack, tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    shutil.copytree(workflows_folder() / EXTRACTION / "inbox", inbox)
    for number in range(12):
        (inbox / f"invoice-{number}.txt").write_text(
            f"INVOICE\n\nInvoice no. RE-{number}\nDate: 2026-10-12\nTotal: EUR {number}250.00\n"
        )
    (inbox / "scan.pdf").write_bytes(pdf_of(["INVOICE", "Invoice no. RE-90210"]))
    (inbox / "picture.png").write_bytes(b"\x89PNG")

    folder = reported(stack, EXTRACTION, "extracted", path=str(inbox))
    report = json.loads((folder / "report.json").read_bytes())
    assert (report["totals"]["answered"], report["totals"]["skipped"]) == (16, 1)
    assert [batch["state"] for batch in batches_of(stack, "extracted", EXTRACTION)] == ["ingested"]
    told = [json.loads(line) for line in (folder / "rows.jsonl").read_text().splitlines()]
    rows = rows_of(stack)
    assert {row["path"] for row in rows} >= {f"invoice-{number}.txt" for number in range(12)}
    assert [(row["path"], row["position"], row["row"]) for row in told] == [
        (row["path"], row["position"], row["row"]) for row in rows
    ]

    (inbox / "late.txt").write_text("INVOICE\n\nInvoice no. RE-LATE\nDate: 2026-11-01\nTotal: EUR 9.00\n")
    again = reported(stack, EXTRACTION, "extracted-again", path=str(inbox))
    told = [json.loads(line) for line in (again / "rows.jsonl").read_text().splitlines()]
    assert {row["path"] for row in told} == {"late.txt"}

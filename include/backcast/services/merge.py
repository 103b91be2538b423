"""Merges the answers about the parts of a document into the answer about all of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import orjson

from backcast.chunking import PartFindings, merge_findings
from backcast.ledger.connection import Connection, Row, sql
from backcast.services.acceptance import parse_answer

if TYPE_CHECKING:
    from datetime import datetime


def merge_parts(connection: Connection, now: datetime, run: Row) -> None:
    """Store the answer about each document of a run whose parts are all answered; safe to call again.

    What was split in vain is not claimed any longer.

    Args:
        connection: in a transaction that holds the run.
        now: the time in UTC.
        run: the run.
    """
    key = {"run_id": run["run_id"]}
    connection.execute(sql("adopt_parts"), key)
    schema = orjson.loads(run["answer_schema"])
    for row in connection.execute(sql("parts_to_merge"), key).fetchall():
        merged = _merged(row, schema)
        connection.execute(sql("store_merged"), {"split_id": row["split_id"], "raw": merged, "now": now})
    connection.execute(sql("release_split"), key)


def _merged(row: Row, schema: Any) -> str:  # noqa: ANN401  any JSON
    answers = [parse_answer(orjson.loads(raw)["message"], schema) for raw in row["answers"]]
    parts = [
        PartFindings(first, last, tuple(answer["findings"]))
        for first, last, answer in zip(row["firsts"], row["lasts"], answers, strict=True)
    ]
    text = orjson.dumps({**answers[0], "findings": merge_findings(parts)}).decode()
    message = {
        "type": "message",
        "role": "assistant",
        "content": [{"type": "text", "text": text}],
        "stop_reason": "end_turn",
    }
    return orjson.dumps({"type": "merged", "message": message}).decode()

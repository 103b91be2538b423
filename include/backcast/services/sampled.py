"""Reads what became of the documents of a sample."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import orjson

from backcast.domain.scores import SampledAnswer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from backcast.ledger.connection import Row

_SHOWN_CHARACTERS: Final = 200


def sampled_answers(rows: Iterable[Row]) -> tuple[SampledAnswer, ...]:
    """Return what became of each document of a sample that got an answer, from rows of `sampled_answers`."""
    return tuple(_answer(row) for row in rows if row["state"] != "open")


def _answer(row: Row) -> SampledAnswer:
    return SampledAnswer(
        path=row["path"],
        language=row["language"],
        accepted=row["state"] == "accepted",
        cause=row["cause"],
        detail=row["detail"],
        shown=_beginning(row["raw"]) if row["raw"] else None,
        input_tokens=row["input_tokens"] + row["cached_tokens"],
        output_tokens=row["output_tokens"],
        seconds=row["seconds"],
        cost_usd=row["cost_usd"],
    )


def _beginning(raw: str) -> str:
    """Return how an answer begins, in one line; what is no answer has no text."""
    message = orjson.loads(raw).get("message") or {}
    text = "".join(block.get("text", "") for block in message.get("content", []) if block.get("type") == "text")
    return " ".join(text.split())[:_SHOWN_CHARACTERS]

"""One look at a batch, for whoever waits for it."""

from __future__ import annotations

from enum import StrEnum
from typing import TypeAlias

import anthropic

AsyncClient: TypeAlias = anthropic.AsyncAnthropic


class Look(StrEnum):
    """What one look at a batch showed; `unreadable` says nothing about the batch."""

    ENDED = "ended"
    RUNNING = "running"
    NOT_FOUND = "not_found"
    UNREADABLE = "unreadable"


async def look_at_batch(client: AsyncClient, api_batch_id: str) -> tuple[Look, str]:
    """Look at a batch once and return what was seen, with a few words about it."""
    try:
        batch = await client.messages.batches.retrieve(api_batch_id)
    except anthropic.NotFoundError as error:
        return Look.NOT_FOUND, str(error)
    except anthropic.AnthropicError as error:
        return Look.UNREADABLE, str(error)
    return (Look.ENDED if batch.processing_status == "ended" else Look.RUNNING), batch.processing_status

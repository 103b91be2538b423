"""Takes a round as far as it can be taken now; never waits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backcast.domain.errors import WaitsError
from backcast.services.ingest import ingest
from backcast.services.rounds import plan_round
from backcast.services.waiting import awaited_batch

if TYPE_CHECKING:
    from backcast.anthropic_api.batches import MessageBatchesApi
    from backcast.ledger.connection import Ledger
    from backcast.services.open_run import Clock


def waiting_in_round(ledger: Ledger, api: MessageBatchesApi, clock: Clock, run_id: int, round_number: int) -> int:
    """Ingest what has ended of a round, and return how many of its batches have not."""
    batches = plan_round(ledger, clock, run_id, round_number)
    return sum(not _ingested(ledger, api, clock, batch_id) for batch_id in batches)


def _ingested(ledger: Ledger, api: MessageBatchesApi, clock: Clock, batch_id: int) -> bool:
    try:
        awaited = awaited_batch(ledger, api, clock, batch_id)
    except WaitsError:
        return False
    if awaited.api_batch_id is None:
        return awaited.ended
    if not awaited.ended and api.retrieve(awaited.api_batch_id).ended_at is None:
        return False
    ingest(ledger, api, clock, awaited.batch_id)
    return True

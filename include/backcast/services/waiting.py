"""What a wait needs to know of its batch, and what can be done about one that is not at the API for certain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from backcast.domain.errors import ApiError, InDoubtError, InputError
from backcast.ledger.connection import Ledger, Row, sql
from backcast.services.cutoffs import keep_cutoffs
from backcast.services.doubt import resolve_doubts
from backcast.services.submit import submit

if TYPE_CHECKING:
    from datetime import datetime

    from backcast.anthropic_api.batches import MessageBatchesApi
    from backcast.services.open_run import Clock


@dataclass(frozen=True, slots=True)
class AwaitedBatch:
    """The batch that now stands for the one asked for.

    `api_batch_id` and `submitted_at` are None while it is in doubt; `ended` when there is nothing to wait for. Its run
    must be looked at again at `look_at`, so that its cut-offs are kept.
    """

    batch_id: int
    api_batch_id: str | None
    submitted_at: datetime | None
    ended: bool
    doubt: str = ""
    look_at: datetime | None = None


def awaited_batch(ledger: Ledger, api: MessageBatchesApi, clock: Clock, batch_id: int) -> AwaitedBatch:
    """Return what to wait for; a batch in doubt is looked for first, and sent again when it never arrived.

    The cut-offs of its run are kept meanwhile.

    Raises:
        ApiError: the batch cannot be sent or looked for now; a later call goes on.
        HeldError: its run is held.
    """
    try:
        current_id = _sent(ledger, api, clock, batch_id)
    except (ApiError, InDoubtError) as error:
        # The clock goes on while the API is away, or does not say.
        keep_cutoffs(ledger, api, clock, _load(ledger, batch_id)["run_id"])
        ended = bool(_load(ledger, batch_id)["nothing_awaited"])
        if isinstance(error, ApiError) and not ended:
            raise
        return AwaitedBatch(batch_id, None, None, ended=ended, doubt=str(error))
    look_at = keep_cutoffs(ledger, api, clock, _load(ledger, current_id)["run_id"])
    row = _load(ledger, current_id)
    ended = row["state"] in ("ended", "ingested", "withdrawn") or row["nothing_awaited"]
    return AwaitedBatch(current_id, row["api_batch_id"], row["submitted_at"], ended, look_at=look_at)


def _sent(ledger: Ledger, api: MessageBatchesApi, clock: Clock, batch_id: int) -> int:
    try:
        return submit(ledger, api, clock, batch_id)
    except InDoubtError:
        resolve_doubts(ledger, api, clock)
        return submit(ledger, api, clock, batch_id)


def _load(ledger: Ledger, batch_id: int) -> Row:
    with ledger.connect() as connection:
        row = connection.execute(sql("batch"), {"batch_id": batch_id}).fetchone()
    if row is None:
        raise InputError(f"The ledger has no batch {batch_id}.")
    return row

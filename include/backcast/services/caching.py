"""Decides whether the API is asked to keep what all requests of a run share."""

from __future__ import annotations

from typing import Final

from backcast.domain.caching import BATCH_TTL, Caching, Hits, not_cached
from backcast.ledger.connection import Connection, Row, sql
from backcast.ledger.runs import prompt_of_row
from backcast.services.estimate import CostModel, caching_for
from backcast.settings import load_model

# The calls are under way side by side, and what one writes can be read only when its answer begins.
_SAMPLE: Final = "all of a sample is asked at once, before any of it could be read"


def settle_caching(connection: Connection, run: Row) -> Caching:
    """Decide for what a run is about to send, as far as it is in the ledger by now, and keep that with the run.

    Args:
        connection: in a transaction that holds the run.
        run: the run, which does not bring its own parameters.
    """
    caching = not_cached(_SAMPLE) if run["kind"] == "sample" else _for_batches(connection, run)
    decided = {"run_id": run["run_id"], "ttl": caching.ttl, "why": caching.why}
    connection.execute(sql("set_caching"), decided)
    return caching


def _for_batches(connection: Connection, run: Row) -> Caching:
    found = connection.execute(sql("cache_hits"), {"run_id": run["run_id"], "ttl": BATCH_TTL}).fetchone() or {}
    hits = Hits(found["measured"], int(found["read_tokens"]), int(found["written_tokens"]))
    return caching_for(load_model(run["model"]), prompt_of_row(run), found["sending"], hits)


def costs_of(run: Row) -> CostModel:
    """Return what estimates the requests of a run, as its row tells it."""
    return CostModel(load_model(run["model"]), prompt_of_row(run), run["cache_ttl"])

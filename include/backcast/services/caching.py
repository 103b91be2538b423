"""Decides whether the API is asked to keep what all requests of a run share."""

from __future__ import annotations

from backcast.domain.caching import BATCH_TTL, Caching, Hits
from backcast.ledger.connection import Connection, Row, sql
from backcast.ledger.runs import prompt_of_row
from backcast.services.estimate import CostModel, caching_for
from backcast.settings import load_model


def settle_caching(connection: Connection, run: Row) -> Caching:
    """Decide for what a run is about to send, as far as it is in the ledger by now, and keep that with the run.

    Args:
        connection: in a transaction that holds the run.
        run: the run, which does not bring its own parameters.
    """
    found = connection.execute(sql("cache_hits"), {"run_id": run["run_id"], "ttl": BATCH_TTL}).fetchone() or {}
    hits = Hits(found["measured"], int(found["read_tokens"]), int(found["written_tokens"]))
    # What the few of a sample would save by it does not matter: they stand for the many of a batch, shape for shape.
    requests = None if run["kind"] == "sample" else found["sending"]
    caching = caching_for(load_model(run["model"]), prompt_of_row(run), requests, hits)
    decided = {"run_id": run["run_id"], "ttl": caching.ttl, "why": caching.why}
    connection.execute(sql("set_caching"), decided)
    return caching


def costs_of(run: Row) -> CostModel:
    """Return what estimates the requests of a run, as its row tells it."""
    return CostModel(load_model(run["model"]), prompt_of_row(run), run["cache_ttl"])

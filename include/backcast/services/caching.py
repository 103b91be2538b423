"""Decides whether the API is asked to keep what all requests of a run share."""

from __future__ import annotations

from backcast.domain.caching import BATCH_TTL, Caching, Hits
from backcast.ledger.connection import Connection, Row, sql
from backcast.ledger.runs import prompt_of_row
from backcast.services.estimate import CostModel, caching_for
from backcast.settings import load_model


def settle_caching(connection: Connection, run: Row, *, as_of_many: bool = False) -> Caching:
    """Decide for what a run is about to send, as far as it is in the ledger by now, and keep that with the run.

    Args:
        connection: in a transaction that holds the run.
        run: the run, which does not bring its own parameters.
        as_of_many: whether its requests are to have the shape of those of a large run, however few they are.
    """
    key = {"run_id": run["run_id"], "ttl": BATCH_TTL}
    found = connection.execute(sql("cache_hits"), key).fetchone() or {}
    hits = Hits(found["measured"], int(found["read_tokens"]), int(found["written_tokens"]))
    requests = None if as_of_many else found["sending"]
    caching = caching_for(load_model(run["model"]), prompt_of_row(run), requests, hits)
    connection.execute(sql("set_cache_ttl"), {**key, "ttl": caching.ttl})
    return caching


def costs_of(run: Row) -> CostModel:
    """Return what estimates the requests of a run, as its row tells it."""
    return CostModel(load_model(run["model"]), prompt_of_row(run), run["cache_ttl"])

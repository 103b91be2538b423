"""All batches of one simulator, and how often each message has come in. The time is passed in."""

from __future__ import annotations

import datetime as dt
import threading
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from backcast_simulator.batch import CANCEL_SETTLES_IN, RETENTION, WINDOW, Batch, Outcome, Status, rfc3339
from backcast_simulator.caching import PromptCache, prefixes_of
from backcast_simulator.catalogue import MODELS, CachedTokens
from backcast_simulator.chance import draw
from backcast_simulator.columns import Request, Requests
from backcast_simulator.errors import invalid, not_found
from backcast_simulator.examples import WITHOUT_EXAMPLE, lacks_example
from backcast_simulator.outcomes import Odds, Rule, rule_for
from backcast_simulator.paging import MAX_PAGE, paginate
from backcast_simulator.prompts import last_user_text, sha256_of_params, sha256_of_text
from backcast_simulator.settings import DEFAULT_WORKSPACE, Readings
from backcast_simulator.storage import Store
from backcast_simulator.validation import batch_params_problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = [
    "CANCEL_SETTLES_IN", "MAX_PAGE", "RETENTION", "WINDOW", "Batch", "Batches", "Outcome", "Request", "Requests",
    "Status", "paginate", "rfc3339",
]  # fmt: skip


class Batches:
    """All batches of one simulator, and how often each message has come in; kept in `store`.

    `prepare` and `rule_for` may be called from several threads at once; for all else the caller holds a lock.
    """

    def __init__(self, odds: Odds, store: Store | None = None) -> None:
        self.odds = odds
        self.rules: list[Rule] = []
        self.needs_example: frozenset[str] = frozenset()
        self._store = store or Store()
        self._batches = {
            batch_id: Batch.from_life(batch_id, Requests.from_columns(batch_id, self._store, columns), life)
            for batch_id, life, columns in self._store.batches()
        }
        self._attempts: Counter[str] = Counter(self._store.attempts())
        self._attempts_lock = threading.Lock()
        self._cache = PromptCache()
        self._prepared = len(self._batches)

    def all(self) -> list[Batch]:
        """Every batch ever accepted, deleted ones too, oldest first."""
        return list(self._batches.values())

    def rule_for(self, params: dict[str, Any]) -> Rule | None:
        """Count one more request with this last user message, and find the rule that decides about it.

        Where none does, it is the one for a request that lacks an example, if it does.
        """
        text = last_user_text(params)
        digest = sha256_of_text(text)
        rule = self._next_rule(params, text, digest)
        self._store.put_attempts([(digest, self._attempts[digest])])
        return WITHOUT_EXAMPLE if rule is None and lacks_example(params, self.needs_example) else rule

    def _next_rule(self, params: dict[str, Any], text: str, digest: str) -> Rule | None:
        with self._attempts_lock:
            self._attempts[digest] += 1
            attempt = self._attempts[digest]
        return rule_for(self.rules, params, text, attempt)

    def create(  # noqa: PLR0913  a batch and its time, workspace and headers
        self,
        batch_id: str,
        pairs: Iterable[tuple[str, dict[str, Any]]],
        now: dt.datetime,
        *,
        version: str,
        betas: frozenset[str] = frozenset(),
        workspace: str = DEFAULT_WORKSPACE,
    ) -> Batch:
        """Accept a batch of (custom_id, params) pairs that have passed the checks at create."""
        return self.register(Batch(batch_id, now, self.prepare(batch_id, pairs, version, betas), workspace))

    def prepare(
        self, batch_id: str, pairs: Iterable[tuple[str, dict[str, Any]]], version: str, betas: frozenset[str]
    ) -> Requests:
        """Decide the fates of the requests of a batch to be."""
        with self._attempts_lock:
            self._prepared += 1
            factor = self.odds.weather.batch_factor(self.odds.seed, self._prepared)
        requests = Requests(batch_id, self._store)
        for custom_id, params in pairs:
            requests.add(self._accept(custom_id, params, (version, betas), factor))
        requests.close()
        return requests

    def _accept(
        self, custom_id: str, params: dict[str, Any], headers: tuple[str, frozenset[str]], factor: float
    ) -> Request:
        fingerprint = sha256_of_params(params)
        text = last_user_text(params)
        digest = sha256_of_text(text)
        problem = batch_params_problem(params, *headers)
        fate = self.odds.fate(custom_id, problem, self._next_rule(params, text, digest), factor)
        if fate.script is None and fate.error is None and lacks_example(params, self.needs_example):
            fate = replace(fate, script=WITHOUT_EXAMPLE)
        return Request(custom_id, params, fate, fingerprint, digest)

    def register(self, batch: Batch) -> Batch:
        """Take in a batch whose requests are prepared."""
        self._use_cache(batch)
        digests = batch.requests.message_digests()
        with self._store.transaction():
            self._store.put_batch(batch.id, batch.life(), batch.requests.columns())
            self._store.put_attempts((digest, self._attempts[digest]) for digest in digests)
        self._batches[batch.id] = batch
        return batch

    def _use_cache(self, batch: Batch) -> None:
        requests = batch.requests
        requests.cacheable.sort(key=lambda entry: requests.latencies[entry[0]])
        for index, model, prefixes in requests.cacheable:
            moment = batch.created_at + dt.timedelta(microseconds=requests.latencies[index])
            lucky = draw(self.odds.seed, "cache", requests.custom_ids[index]) < self.odds.cache_hit_share
            requests.cached[index] = self._cache.use(batch.workspace, MODELS[model], prefixes, moment, lucky=lucky)
        requests.cacheable = []

    def use_cache(self, params: dict[str, Any], now: dt.datetime, workspace: str = DEFAULT_WORKSPACE) -> CachedTokens:
        """What the prompt cache has to do with a message that is answered now."""
        return self._cache.use(workspace, MODELS[params["model"]], prefixes_of(params), now)

    def save(self, batch: Batch) -> None:
        """Keep what has changed in a batch."""
        self._store.put_life(batch.id, batch.life(), batch.requests.latencies.tobytes())

    def get(self, batch_id: str, now: dt.datetime | None = None, workspace: str = DEFAULT_WORKSPACE) -> Batch:
        """The batch with this id; a 404 when there is none (any more), or none that this workspace sees."""
        batch = self._batches.get(batch_id)
        if batch is None or batch.deleted or batch.workspace != workspace:
            raise not_found(f"Message batch {batch_id} not found.")
        if now is not None and batch.is_hidden(now):
            raise not_found(f"Message batch {batch_id} not found.")
        return batch if now is None else batch.settle(now)

    def cancel(
        self,
        batch_id: str,
        now: dt.datetime,
        workspace: str = DEFAULT_WORKSPACE,
        readings: Readings | None = None,
    ) -> Batch:
        """Initiate cancellation. A second cancel changes nothing, and one of an ended batch is refused by default."""
        batch = self.get(batch_id, now, workspace)
        if batch.status(now) == "ended":
            if readings is not None and readings.cancel_ended == "return":
                return batch
            raise invalid(f"Batch {batch_id} cannot be canceled: its processing has ended.")
        if batch.cancel_initiated_at is None:
            batch.cancel_initiated_at = now
            self.save(batch)
        return batch

    def delete(self, batch_id: str, now: dt.datetime, workspace: str = DEFAULT_WORKSPACE) -> None:
        """Delete an ended batch; a 400 while it is in progress. What it cost stays on the bill."""
        batch = self.get(batch_id, now, workspace)
        if batch.status(now) != "ended":
            raise invalid("In progress batches cannot be deleted. Cancel the batch first and wait until it has ended.")
        batch.deleted = True
        self.save(batch)

    def results(
        self,
        batch_id: str,
        now: dt.datetime,
        workspace: str = DEFAULT_WORKSPACE,
        readings: Readings | None = None,
    ) -> tuple[Batch, Iterator[list[Request]]]:
        """An ended batch and its requests, in parts and in an order that is not theirs; an error before the end."""
        batch = self.get(batch_id, now, workspace)
        if batch.status(now) != "ended":
            text = f"Results for batch {batch_id} are not available: it has not ended."
            early_400 = readings is not None and readings.early_results == "invalid_request"
            raise invalid(text) if early_400 else not_found(text)
        if now >= batch.created_at + RETENTION:
            raise not_found(f"Results for batch {batch_id} are no longer available.")
        return batch, batch.requests.shuffled(self.odds.seed)

    def page(
        self,
        limit: int,
        after_id: str | None,
        before_id: str | None,
        now: dt.datetime | None = None,
        workspace: str = DEFAULT_WORKSPACE,
    ) -> tuple[list[Batch], bool]:
        """One page, newest first, and whether there are more in the direction of travel."""
        newest_first = [
            batch if now is None else batch.settle(now)
            for batch in reversed(self._batches.values())
            if batch.workspace == workspace and (not batch.deleted if now is None else batch.is_listed(now))
        ]
        return paginate(newest_first, limit, after_id, before_id)

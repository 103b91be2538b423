"""Batches and what becomes of them. A pure state machine: no I/O, and the time is passed in."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeVar

from backcast_simulator.chance import draw
from backcast_simulator.errors import invalid, not_found
from backcast_simulator.outcomes import Fate, Odds, Rule, rule_for
from backcast_simulator.prompts import last_user_text, sha256_of_params, sha256_of_text
from backcast_simulator.validation import batch_params_problem

WINDOW = dt.timedelta(hours=24)
RETENTION = dt.timedelta(days=29)
CANCEL_SETTLES_IN = dt.timedelta(seconds=25)
MAX_PAGE = 1000

Outcome = Literal["processing", "succeeded", "errored", "canceled", "expired"]
Status = Literal["in_progress", "canceling", "ended"]


@dataclass(frozen=True, slots=True)
class Request:
    """One accepted request of a batch, with its fate and its fingerprints (SHA-256, hex)."""

    custom_id: str
    params: dict[str, Any]
    fate: Fate
    params_sha256: str
    document_sha256: str


@dataclass(slots=True)
class Batch:
    """One batch. All that changes after its creation is that it is canceled or deleted."""

    id: str
    created_at: dt.datetime
    requests: list[Request]
    cancel_initiated_at: dt.datetime | None = None
    deleted: bool = False
    _finishes_at: dt.datetime | None = field(default=None, repr=False)

    @property
    def expires_at(self) -> dt.datetime:
        """The end of the window: what is unfinished then expires."""
        return self.created_at + WINDOW

    @property
    def ends_at(self) -> dt.datetime:
        """When processing ends, as things stand: with the last request, by cancellation or by expiry."""
        if self._finishes_at is None:
            self._finishes_at = max(self._request_ends_at(request) for request in self.requests)
        if self.cancel_initiated_at is None:
            return self._finishes_at
        return min(self._finishes_at, self.cancel_initiated_at + CANCEL_SETTLES_IN)

    def _request_ends_at(self, request: Request) -> dt.datetime:
        if request.fate.latency is None:
            return self.expires_at
        return min(self.created_at + request.fate.latency, self.expires_at)

    def status(self, now: dt.datetime) -> Status:
        """The processing_status at this time."""
        if now >= self.ends_at:
            return "ended"
        return "in_progress" if self.cancel_initiated_at is None else "canceling"

    def outcome(self, request: Request, now: dt.datetime) -> Outcome:
        """What has become of a request by this time, whether or not the batch shows it yet."""
        latency = request.fate.latency
        last_moment = min(self.cancel_initiated_at or self.expires_at, self.expires_at)
        if latency is not None and self.created_at + latency <= min(now, last_moment):
            return "errored" if request.fate.error else "succeeded"
        if now < self.ends_at:
            return "processing"
        return "expired" if self.ends_at >= self.expires_at or self.cancel_initiated_at is None else "canceled"

    def counts(self, now: dt.datetime) -> dict[str, int]:
        """The request_counts at this time: all are `processing` until the whole batch has ended."""
        if self.status(now) == "ended":
            tally = Counter(self.outcome(request, now) for request in self.requests)
        else:
            tally = Counter({"processing": len(self.requests)})
        return {name: tally[name] for name in ("processing", "succeeded", "errored", "canceled", "expired")}

    def view(self, now: dt.datetime, base_url: str) -> dict[str, Any]:
        """The MessageBatch object; `base_url` is the origin that its results_url starts with."""
        ended = self.status(now) == "ended"
        archived = now >= self.created_at + RETENTION
        url = f"{base_url}/v1/messages/batches/{self.id}/results"
        return {
            "id": self.id,
            "type": "message_batch",
            "processing_status": self.status(now),
            "request_counts": self.counts(now),
            "created_at": rfc3339(self.created_at),
            "expires_at": rfc3339(self.expires_at),
            "ended_at": rfc3339(self.ends_at) if ended else None,
            "archived_at": rfc3339(self.created_at + RETENTION) if archived else None,
            "cancel_initiated_at": rfc3339(self.cancel_initiated_at) if self.cancel_initiated_at else None,
            "results_url": url if ended and not archived else None,
        }


def rfc3339(moment: dt.datetime) -> str:
    """A time as the API writes it, in UTC with microseconds."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


class Batches:
    """All batches of one simulator, and how often each message has come in."""

    def __init__(self, odds: Odds) -> None:
        self.odds = odds
        self.rules: list[Rule] = []
        self._batches: dict[str, Batch] = {}
        self._attempts: Counter[str] = Counter()

    def all(self) -> list[Batch]:
        """Every batch ever accepted, deleted ones too, oldest first."""
        return list(self._batches.values())

    def rule_for(self, params: dict[str, Any]) -> Rule | None:
        """Count one more request with this last user message, and find the rule that decides about it."""
        text = last_user_text(params)
        return self._next_rule(text, sha256_of_text(text))

    def _next_rule(self, text: str, digest: str) -> Rule | None:
        self._attempts[digest] += 1
        return rule_for(self.rules, text, self._attempts[digest])

    def create(
        self,
        batch_id: str,
        pairs: list[tuple[str, dict[str, Any]]],
        now: dt.datetime,
        *,
        version: str,
        betas: frozenset[str] = frozenset(),
    ) -> Batch:
        """Accept a batch of (custom_id, params) pairs that have passed the checks at create."""
        requests = [self._accept(custom_id, params, version, betas) for custom_id, params in pairs]
        batch = Batch(batch_id, now, requests)
        self._batches[batch_id] = batch
        return batch

    def _accept(self, custom_id: str, params: dict[str, Any], version: str, betas: frozenset[str]) -> Request:
        text = last_user_text(params)
        digest = sha256_of_text(text)
        problem = batch_params_problem(params, version, betas)
        fate = self.odds.fate(custom_id, problem, self._next_rule(text, digest))
        return Request(custom_id, params, fate, sha256_of_params(params), digest)

    def get(self, batch_id: str) -> Batch:
        """The batch with this id; a 404 when there is none (any more)."""
        batch = self._batches.get(batch_id)
        if batch is None or batch.deleted:
            raise not_found(f"Message batch {batch_id} not found.")
        return batch

    def cancel(self, batch_id: str, now: dt.datetime) -> Batch:
        """Initiate cancellation; a 400 once processing has ended. A second cancel changes nothing."""
        batch = self.get(batch_id)
        if batch.status(now) == "ended":
            raise invalid(f"Batch {batch_id} cannot be canceled: its processing has ended.")
        if batch.cancel_initiated_at is None:
            batch.cancel_initiated_at = now
        return batch

    def delete(self, batch_id: str, now: dt.datetime) -> None:
        """Delete an ended batch; a 400 while it is in progress. What it cost stays on the bill."""
        batch = self.get(batch_id)
        if batch.status(now) != "ended":
            raise invalid("In progress batches cannot be deleted. Cancel the batch first and wait until it has ended.")
        batch.deleted = True

    def results(self, batch_id: str, now: dt.datetime) -> tuple[Batch, list[Request]]:
        """An ended batch and its requests in an order that is not theirs; a 404 while it is in progress."""
        batch = self.get(batch_id)
        if batch.status(now) != "ended":
            raise not_found(f"Results for batch {batch_id} are not available: it has not ended.")
        if now >= batch.created_at + RETENTION:
            raise not_found(f"Results for batch {batch_id} are no longer available.")
        return batch, sorted(batch.requests, key=lambda r: draw(self.odds.seed, "order", r.custom_id))

    def page(self, limit: int, after_id: str | None, before_id: str | None) -> tuple[list[Batch], bool]:
        """One page, newest first, and whether there are more in the direction of travel."""
        newest_first = [batch for batch in reversed(self._batches.values()) if not batch.deleted]
        return paginate(newest_first, limit, after_id, before_id)


class _Identified(Protocol):
    @property
    def id(self) -> str: ...


T = TypeVar("T", bound=_Identified)


def paginate(items: list[T], limit: int, after_id: str | None, before_id: str | None) -> tuple[list[T], bool]:
    """The part of a list that a page shows, by the `id`s of its items, and whether more follows."""
    if not 1 <= limit <= MAX_PAGE:
        bound = "greater than or equal to 1" if limit < 1 else f"less than or equal to {MAX_PAGE}"
        raise invalid(f"limit: Input should be {bound}")
    ids = [item.id for item in items]
    for name, value in (("after_id", after_id), ("before_id", before_id)):
        if value is not None and value not in ids:
            raise invalid(f"{name}: no object with id {value}")
    if before_id is not None:
        end = ids.index(before_id)
        start = max(0, end - limit)
        return items[start:end], start > 0
    start = 0 if after_id is None else ids.index(after_id) + 1
    return items[start : start + limit], start + limit < len(items)

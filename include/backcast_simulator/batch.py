"""One batch and what becomes of it. Pure: no I/O of its own, and the time is passed in."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import orjson

from backcast_simulator.settings import DEFAULT_WORKSPACE, Readings

if TYPE_CHECKING:
    from backcast_simulator.columns import Request, Requests

WINDOW = dt.timedelta(hours=24)
RETENTION = dt.timedelta(days=29)
CANCEL_SETTLES_IN = dt.timedelta(seconds=25)
_END_OF_TIME = dt.datetime.max.replace(tzinfo=dt.UTC)

Outcome = Literal["processing", "succeeded", "errored", "canceled", "expired"]
Status = Literal["in_progress", "canceling", "ended"]


def rfc3339(moment: dt.datetime) -> str:
    """A time as the API writes it, in UTC with microseconds."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@dataclass(slots=True)
class Quirks:
    """What a fault has done to a batch.

    It may never end; somebody else cancels it at `canceled_at`; it is not listed before `listed_from`; and in each of
    the spans of `hidden` the API answers 404 when asked for it by its id. A cancel takes `cancel_settles_in`.
    """

    never_ends: bool = False
    canceled_at: dt.datetime | None = None
    listed_from: dt.datetime | None = None
    hidden: list[tuple[dt.datetime, dt.datetime]] = field(default_factory=list)
    cancel_settles_in: dt.timedelta = CANCEL_SETTLES_IN


@dataclass(slots=True)
class Batch:
    """One batch. All that changes after its creation is that it is canceled or deleted, or a fault befalls it."""

    id: str
    created_at: dt.datetime
    requests: Requests
    workspace: str = DEFAULT_WORKSPACE
    stranger: bool = False
    cancel_initiated_at: dt.datetime | None = None
    deleted: bool = False
    quirks: Quirks = field(default_factory=Quirks)
    _finishes_at: dt.datetime | None = field(default=None, repr=False)

    @property
    def expires_at(self) -> dt.datetime:
        """The end of the window: what is unfinished then expires."""
        return self.created_at + WINDOW

    @property
    def ends_at(self) -> dt.datetime:
        """When processing ends, as things stand: with the last request, by cancellation or by expiry."""
        if self._finishes_at is None:
            slowest = self.requests.slowest()
            self._finishes_at = self.expires_at if slowest is None else min(self.created_at + slowest, self.expires_at)
        finishes_at = _END_OF_TIME if self.quirks.never_ends else self._finishes_at
        if self.cancel_initiated_at is None:
            return finishes_at
        return min(finishes_at, self.cancel_initiated_at + self.quirks.cancel_settles_in)

    def settle(self, now: dt.datetime) -> Batch:
        """Let happen what a fault has planned for a time up to now."""
        planned = self.quirks.canceled_at
        if planned is not None and now >= planned:
            self.quirks.canceled_at = None
            if self.cancel_initiated_at is None and planned < self.ends_at:
                self.cancel_initiated_at = planned
        return self

    def let_expire(self, share: float, now: dt.datetime) -> None:
        """Let this share of the requests never finish, the slowest ones first."""
        self.requests.let_last_ones_expire(share, now - self.created_at)
        self._finishes_at = None

    def is_hidden(self, now: dt.datetime) -> bool:
        """Whether the API does not know it for the moment when asked by its id."""
        return any(start <= now < end for start, end in self.quirks.hidden)

    def is_listed(self, now: dt.datetime) -> bool:
        """Whether a list shows it."""
        return not self.deleted and (self.quirks.listed_from is None or now >= self.quirks.listed_from)

    def status(self, now: dt.datetime) -> Status:
        """The processing_status at this time."""
        if now >= self.ends_at:
            return "ended"
        return "in_progress" if self.cancel_initiated_at is None else "canceling"

    def outcome(self, request: Request, now: dt.datetime) -> Outcome:
        """What has become of a request by this time, whether or not the batch shows it yet."""
        latency = request.fate.latency
        if latency is not None and latency <= self._time_to_work(now):
            return "errored" if request.fate.error else "succeeded"
        return self._outcome_of_the_rest(now)

    def _time_to_work(self, now: dt.datetime) -> dt.timedelta:
        return min(now, self.cancel_initiated_at or self.expires_at, self.expires_at) - self.created_at

    def _outcome_of_the_rest(self, now: dt.datetime) -> Outcome:
        if now < self.ends_at:
            return "processing"
        return "expired" if self.cancel_initiated_at is None or self.ends_at >= self.expires_at else "canceled"

    def unfinished(self, now: dt.datetime) -> int:
        """How many requests still wait in the queue."""
        if now >= self.ends_at:
            return 0
        return len(self.requests) - sum(self.requests.done_within(self._time_to_work(now)))

    def counts(self, now: dt.datetime, readings: Readings | None = None) -> dict[str, int]:
        """The request_counts: by one reading all are `processing` until the batch has ended, by the other they move."""
        tally = dict.fromkeys(("processing", "succeeded", "errored", "canceled", "expired"), 0)
        moving = readings is not None and readings.counts == "moving"
        if self.status(now) == "ended" or moving:
            tally["succeeded"], tally["errored"] = self.requests.done_within(self._time_to_work(now))
        tally[self._outcome_of_the_rest(now)] = len(self.requests) - tally["succeeded"] - tally["errored"]
        return tally

    def view(self, now: dt.datetime, base_url: str, readings: Readings | None = None) -> dict[str, Any]:
        """The MessageBatch object; `base_url` is the origin that its results_url starts with."""
        ended = self.status(now) == "ended"
        archived = now >= self.created_at + RETENTION
        url = f"{base_url}/v1/messages/batches/{self.id}/results"
        return {
            "id": self.id,
            "type": "message_batch",
            "processing_status": self.status(now),
            "request_counts": self.counts(now, readings),
            "created_at": rfc3339(self.created_at),
            "expires_at": rfc3339(self.expires_at),
            "ended_at": rfc3339(self.ends_at) if ended else None,
            "archived_at": rfc3339(self.created_at + RETENTION) if archived else None,
            "cancel_initiated_at": rfc3339(self.cancel_initiated_at) if self.cancel_initiated_at else None,
            "results_url": url if ended and not archived else None,
        }

    def life(self) -> bytes:
        """All but the requests, as JSON, to be kept."""
        quirks = self.quirks
        return orjson.dumps(
            {
                "created_at": self.created_at,
                "workspace": self.workspace,
                "stranger": self.stranger,
                "cancel_initiated_at": self.cancel_initiated_at,
                "deleted": self.deleted,
                "never_ends": quirks.never_ends,
                "canceled_at": quirks.canceled_at,
                "listed_from": quirks.listed_from,
                "hidden": quirks.hidden,
                "cancel_settles_in": quirks.cancel_settles_in.total_seconds(),
            }
        )

    @classmethod
    def from_life(cls, batch_id: str, requests: Requests, life: bytes) -> Batch:
        """The batch that was kept."""
        kept = orjson.loads(life)
        return cls(
            id=batch_id,
            created_at=dt.datetime.fromisoformat(kept["created_at"]),
            requests=requests,
            workspace=kept["workspace"],
            stranger=kept["stranger"],
            cancel_initiated_at=_moment(kept["cancel_initiated_at"]),
            deleted=kept["deleted"],
            quirks=Quirks(
                kept["never_ends"],
                _moment(kept["canceled_at"]),
                _moment(kept["listed_from"]),
                [(dt.datetime.fromisoformat(start), dt.datetime.fromisoformat(end)) for start, end in kept["hidden"]],
                dt.timedelta(seconds=kept["cancel_settles_in"]),
            ),
        )


def _moment(text: str | None) -> dt.datetime | None:
    return None if text is None else dt.datetime.fromisoformat(text)

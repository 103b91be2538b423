"""What a run may do when the clock no longer allows a batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from backcast.domain.capacity import Rate
from backcast.domain.sla import LONGEST_SLA, Cutoffs, Terms, cutoffs

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime, timedelta

# How much of its time a run that is too large to be answered synchronously leaves to its batches first: most end
# within hours, and what is canceled sooner is paid at full price.
_LEFT_TO_BATCHES = 4


@dataclass(frozen=True, slots=True)
class RescueTerms:
    """How a run's documents are answered synchronously.

    Attributes:
        requests_per_minute: what the API may be asked synchronously.
        tokens_per_minute: the same in tokens, input and output together.
        when_unresolved: what is done at the end with a batch of which nobody knows whether it was accepted: `leave`
            lists its documents as unanswered and keeps a late answer, `pay_again` answers them synchronously, which
            may pay for them twice.
        first: patterns as in .gitignore; documents that match an earlier one are answered first when not all fit.
    """

    requests_per_minute: float = Rate().requests_per_minute
    tokens_per_minute: float = Rate().tokens_per_minute
    when_unresolved: Literal["leave", "pay_again"] = "leave"
    first: tuple[str, ...] = ()

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> RescueTerms:
        """Return the terms given by name, in a workflow's file or in the ledger, and the usual ones for the rest."""
        return cls(**{**given, "first": tuple(given.get("first", ()))})

    @property
    def rate(self) -> Rate:
        """What may be asked synchronously."""
        return Rate(self.requests_per_minute, self.tokens_per_minute)


def cutoffs_for(opened_at: datetime, deadline: datetime, drain: timedelta) -> Cutoffs:
    """Return the last moments of a run, for what is open now and may have to be answered synchronously.

    What cannot be answered synchronously in the whole of the run's time is given a part of it as batches first; it is
    then canceled batch by batch. Such batches are sent until the last moment, since nothing else could answer them.

    Args:
        opened_at: when the run began.
        deadline: when it is due.
        drain: how long it takes to answer what is open, of this run and of all that are due no later: they share what
            may be asked.
    """
    terms = terms_of(opened_at, deadline)
    last = cutoffs(terms.with_drain(drain), deadline)
    if last.cancel_at > opened_at:
        return last
    whole = cutoffs(terms, deadline)
    earliest = opened_at + (whole.fetch_at - opened_at) / _LEFT_TO_BATCHES
    return Cutoffs(
        deadline=deadline,
        cancel_at=max(opened_at, earliest),
        rebatch_until=last.rebatch_until,
        batch_until=whole.batch_until,
        fetch_at=whole.fetch_at,
    )


def terms_of(opened_at: datetime, deadline: datetime) -> Terms:
    """Return the terms of a run: its SLA is the time that it has."""
    return Terms(sla=min(deadline - opened_at, LONGEST_SLA))


def unresolved_until(opened_at: datetime, deadline: datetime, drain: timedelta) -> datetime:
    """Return until when it is waited for what has no known end, when that is to be answered synchronously after all.

    Not before what is canceled at the last moment should have ended.

    Args:
        opened_at: when the run began.
        deadline: when it is due.
        drain: how long it takes to answer what has no known end.
    """
    terms = terms_of(opened_at, deadline)
    ended = cutoffs(terms, deadline).fetch_at + terms.settle + terms.ingest
    return max(ended, publish_at(opened_at, deadline) - drain)


def publish_at(opened_at: datetime, deadline: datetime) -> datetime:
    """Return the moment at which a run is published with what it has."""
    return deadline - terms_of(opened_at, deadline).publish


def last_call_at(opened_at: datetime, deadline: datetime, longest_call: timedelta) -> datetime:
    """Return the last moment at which a synchronous call is begun that is to be in the report."""
    return publish_at(opened_at, deadline) - longest_call

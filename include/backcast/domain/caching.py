"""Prompt caching: whether it pays that the API keeps what all requests of a run share.

A token that is written to the cache costs more than one that is not, one that is read from it far less. In a batch
hits are best effort, since its requests run side by side: from 30 to 98 % is what the API's documentation has seen.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from backcast.domain.pricing import CACHE_WRITE_SHARES, Ttl

if TYPE_CHECKING:
    from collections.abc import Callable

    from backcast.domain.pricing import Model

# What the documentation suggests for batches: one may well take longer than five minutes between two requests.
BATCH_TTL: Final[Ttl] = "1h"
# The middle of what the documentation has seen, of which neither end is known to be likelier. Where it is wrong the
# ledger knows it after one run; what all share has cost that run twice as much at worst.
EXPECTED_HIT_SHARE: Final = Decimal("0.64")
# Fewer tell too little, since the first ones always write.
LEAST_MEASURED: Final = 50
_LEAST_SHARING: Final = 2


@dataclass(frozen=True, slots=True)
class Hits:
    """What earlier requests of a prompt version and model that asked for caching read and wrote, in tokens."""

    requests: int
    read_tokens: int
    written_tokens: int


@dataclass(frozen=True, slots=True)
class Caching:
    """What was decided.

    Attributes:
        ttl: for how long the API is to keep what all requests share; None: it is not asked to.
        hit_share: the share of requests that read it rather than write it, expected or measured, from 0 to 1.
        saved_share: what is saved of the price of what all requests share, from 0 to 1; 0 without a ttl.
        why: a sentence without its full stop.
    """

    ttl: Ttl | None
    hit_share: Decimal
    saved_share: Decimal
    why: str

    @property
    def pays(self) -> bool:
        """Whether it pays."""
        return self.ttl is not None


def decide(model: Model, prefix_tokens: int, requests: int | None, hits: Hits | None = None) -> Caching:
    """Decide whether the API is asked to keep what all requests of a run share.

    Args:
        model: whom they go to.
        prefix_tokens: how long that is, rather too low than too high: what is too short for the model is not cached,
            and then the saving that was promised never comes.
        requests: how many there are; None: many.
        hits: of earlier requests, where the ledger has any.
    """
    if prefix_tokens < model.least_cacheable_tokens:
        return not_cached(
            f"what all requests share has about {prefix_tokens} tokens, and {model.name} caches nothing below "
            f"{model.least_cacheable_tokens}"
        )
    if requests is not None and requests < _LEAST_SHARING:
        return not_cached("it takes more than one request to share anything")
    measured = hits if hits is not None and hits.requests >= LEAST_MEASURED else None
    if measured is not None and not measured.read_tokens + measured.written_tokens:
        return not_cached(f"nothing was cached of {measured.requests} earlier requests that asked for it")
    share, needed = _hit_share(requests, measured), break_even(model, BATCH_TTL)
    if share <= needed:
        return not_cached(
            f"{_told(share, requests, measured, math.floor)}, and it takes {_percent(needed, math.ceil)}", share
        )
    saved = saved_share(model, BATCH_TTL, share)
    return Caching(
        BATCH_TTL,
        share,
        saved,
        f"what all requests share is cached for {BATCH_TTL}: {_told(share, requests, measured, math.ceil)}, and it "
        f"takes {_percent(needed, math.floor)}; that saves {_percent(saved, math.floor)} of what it would cost",
    )


def break_even(model: Model, ttl: Ttl) -> Decimal:
    """Return the share of requests, from 0 to 1, that must read what is cached for it to cost as much as without."""
    written = CACHE_WRITE_SHARES[ttl]
    return (written - 1) / (written - model.cache_read_share)


def saved_share(model: Model, ttl: Ttl, hit_share: Decimal) -> Decimal:
    """Return what is saved of the price of what all requests share, when this share of them reads it.

    Below 0: it costs so much more.
    """
    return 1 - (hit_share * model.cache_read_share + (1 - hit_share) * CACHE_WRITE_SHARES[ttl])


def not_cached(why: str, hit_share: Decimal = Decimal(0)) -> Caching:
    """Return the decision not to cache, for this reason."""
    return Caching(None, hit_share, Decimal(0), f"caching does not pay: {why}")


def _hit_share(requests: int | None, measured: Hits | None) -> Decimal:
    # The first request of a run finds nothing, whatever the others do.
    others = Decimal(requests - 1) / requests if requests is not None else Decimal(1)
    if measured is None:
        return EXPECTED_HIT_SHARE * others
    return min(others, Decimal(measured.read_tokens) / (measured.read_tokens + measured.written_tokens))


def _told(share: Decimal, requests: int | None, measured: Hits | None, rounded: Callable[[Decimal], int]) -> str:
    if measured is not None:
        return f"{_percent(share, rounded)} of reads hit"
    told = f"{_percent(share, rounded)} of reads are expected to hit"
    return told if requests is None else f"with {requests} requests {told}"


def _percent(share: Decimal, rounded: Callable[[Decimal], int]) -> str:
    return f"{rounded(100 * share)} %"

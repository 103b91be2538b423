"""Says what a file of requests would cost, before anything is sent."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Final

import orjson

from backcast.domain.errors import ApiError
from backcast.domain.pricing import estimate_tokens

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backcast.anthropic_api.batches import MessageBatchesApi
    from backcast.services.collect_requests import RequestFile

# The API counts one request a call.
_COUNTED: Final = 20


@dataclass(frozen=True, slots=True)
class RequestEstimate:
    """What a file of requests would cost, in US dollars, as batches and all at once.

    `counted` is of how many requests the API has counted the tokens; the rest is estimated by these, or by its length.
    """

    requests: int
    input_tokens: int
    cost_usd: Decimal
    synchronous_usd: Decimal
    counted: int


def estimate_requests(file: RequestFile, api: MessageBatchesApi | None) -> RequestEstimate:
    """Check every request of a file, and estimate what they cost.

    Args:
        file: not read yet.
        api: counts the tokens of some; None: nobody does.

    Raises:
        InputError: a line is wrong.
    """
    sample = _evenly(params for _, params in file.lines())
    counted = _counted(api, sample) if api else []
    told = sum(counted)
    by_length = sum(estimate_tokens(len(params)) for params in sample[: len(counted)])
    share = Decimal(told) / by_length if by_length else Decimal(1)
    return RequestEstimate(
        requests=file.requests,
        input_tokens=int(file.input_tokens * share),
        cost_usd=file.usd(share),
        synchronous_usd=file.usd(share, synchronous=True),
        counted=len(counted),
    )


def _evenly(all_params: Iterator[bytes]) -> list[bytes]:
    """Return some of very many, evenly spread."""
    sample: list[bytes] = []
    apart = 1
    for position, params in enumerate(all_params):
        if position % apart == 0:
            sample.append(params)
        if len(sample) == 2 * _COUNTED:
            sample, apart = sample[::2], 2 * apart
    return sample[:: -(-len(sample) // _COUNTED) or 1]


def _counted(api: MessageBatchesApi, sample: list[bytes]) -> list[int]:
    counted: list[int] = []
    # What could be counted is better than nothing, and an estimate needs no API.
    with suppress(ApiError):
        for params in sample:
            counted.append(api.count_tokens(orjson.loads(params)))  # noqa: PERF401  those before an error are kept
    return counted

"""What Anthropic would have charged, request by request."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from backcast_simulator.answers import Answerer, Reply, reply
from backcast_simulator.catalogue import MODELS, NOTHING_CACHED, PRICES_READ_ON, CachedTokens
from backcast_simulator.prompts import document_text, input_tokens, sha256_of_params, sha256_of_text

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Iterable, Iterator

    from backcast_simulator.core import Batch


@dataclass(frozen=True, slots=True)
class Charge:
    """One billed request: what was sent (as SHA-256, hex), how many tokens and how many US$.

    The document is the one in the prompt, without its line numbers, or else the whole last user message. The tokens
    are those of the answer's `usage`: `input_tokens` are the uncached rest.
    """

    batch_id: str | None
    custom_id: str | None
    kind: Literal["batch", "synchronous"]
    model: str
    params_sha256: str
    document_sha256: str
    input_tokens: int
    output_tokens: int
    cost_usd: float
    cache_creation_input_tokens: int = 0
    cache_read_input_tokens: int = 0


def synchronous_charge(params: dict[str, Any], answer: Reply, cached: CachedTokens = NOTHING_CACHED) -> Charge:
    """What a synchronous message costs."""
    return _charge(
        params,
        answer,
        kind="synchronous",
        params_sha256=sha256_of_params(params),
        cached=cached,
    )


def batch_charges(batches: Iterable[Batch], answerer: Answerer, now: dt.datetime) -> Iterator[Charge]:
    """What the requests cost that have succeeded by now; errored, canceled and expired ones cost nothing."""
    for batch in batches:
        for request in batch.requests:
            if batch.outcome(request, now) == "succeeded":
                yield _charge(
                    request.params,
                    reply(request.params, request.fate.script, answerer),
                    kind="batch",
                    params_sha256=request.params_sha256,
                    ids=(batch.id, request.custom_id),
                    cached=request.cached,
                )


def _charge(  # noqa: PLR0913  the fields of a charge
    params: dict[str, Any],
    answer: Reply,
    *,
    kind: Literal["batch", "synchronous"],
    params_sha256: str,
    ids: tuple[str | None, str | None] = (None, None),
    cached: CachedTokens = NOTHING_CACHED,
) -> Charge:
    tokens = input_tokens(params)
    model = MODELS[params["model"]]
    cost = model.cost_usd(tokens, answer.output_tokens, kind, cached)
    return Charge(
        batch_id=ids[0],
        custom_id=ids[1],
        kind=kind,
        model=model.id,
        params_sha256=params_sha256,
        document_sha256=sha256_of_text(document_text(params)),
        input_tokens=tokens - cached.total,
        output_tokens=answer.output_tokens,
        cost_usd=cost,
        cache_creation_input_tokens=cached.written_5m + cached.written_1h,
        cache_read_input_tokens=cached.read,
    )


def statement(charges: Iterable[Charge]) -> dict[str, Any]:
    """The bill as JSON: the requests and the totals."""
    rows = list(charges)
    return {
        "requests": [asdict(charge) for charge in rows],
        "totals": {
            "requests": len(rows),
            "input_tokens": sum(charge.input_tokens for charge in rows),
            "output_tokens": sum(charge.output_tokens for charge in rows),
            "cost_usd": sum(charge.cost_usd for charge in rows),
        },
        "prices_read_on": PRICES_READ_ON.isoformat(),
    }

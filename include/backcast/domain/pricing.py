"""What tokens cost. Prices are US dollars a million tokens; amounts are US dollars as Decimal."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal, TypeAlias

# For how long the API keeps what it was asked to cache.
Ttl: TypeAlias = Literal["5m", "1h"]

_MILLION = Decimal(1_000_000)
BATCH_SHARE = Decimal("0.5")
# What a token written to the cache costs, as a share of one that is not.
CACHE_WRITE_SHARES: Final[dict[Ttl, Decimal]] = {"5m": Decimal("1.25"), "1h": Decimal(2)}
# An English text or a source file has three to four characters a token, and whatever needs more bytes a character has
# more tokens a character; each bound is for where the other would make an estimate look better than it is.
BYTES_A_TOKEN = 3
_MOST_BYTES_A_TOKEN = 4


@dataclass(frozen=True, slots=True)
class Price:
    """List prices for requests whose whole prompt has at most `up_to_input_tokens` tokens (None: any length)."""

    input: Decimal
    output: Decimal
    up_to_input_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class Model:
    """A model's limits in tokens and its prices, shortest prompts first.

    Of a prompt, what is shorter than `least_cacheable_tokens` is not cached, whatever is asked.
    """

    name: str
    max_input_tokens: int
    max_output_tokens: int
    prices: tuple[Price, ...]
    cache_read_share: Decimal = Decimal("0.1")
    least_cacheable_tokens: int = 4096


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one answer, as the API counts them: `input_tokens` is the uncached rest only."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_5m_tokens: int = 0
    cache_write_1h_tokens: int = 0

    @property
    def cache_write_tokens(self) -> int:
        """Tokens written to the cache, for however long."""
        return self.cache_write_5m_tokens + self.cache_write_1h_tokens

    @property
    def prompt_tokens(self) -> int:
        """Tokens of the whole prompt, cached or not."""
        return self.input_tokens + self.cache_read_tokens + self.cache_write_tokens


def price_for(model: Model, prompt_tokens: int) -> Price:
    """Return the price that holds for a prompt of this length, the last one when none is long enough."""
    for price in model.prices:
        if price.up_to_input_tokens is None or prompt_tokens <= price.up_to_input_tokens:
            return price
    return model.prices[-1]


def synchronous_cost(model: Model, usage: Usage) -> Decimal:
    """Return what the usage costs at the synchronous list price."""
    price = price_for(model, usage.prompt_tokens)
    input_equivalents = (
        usage.input_tokens
        + usage.cache_read_tokens * model.cache_read_share
        + usage.cache_write_5m_tokens * CACHE_WRITE_SHARES["5m"]
        + usage.cache_write_1h_tokens * CACHE_WRITE_SHARES["1h"]
    )
    return (input_equivalents * price.input + usage.output_tokens * price.output) / _MILLION


def batch_cost(model: Model, usage: Usage) -> Decimal:
    """Return what the usage costs in a batch: half of everything, cache discounts included."""
    return synchronous_cost(model, usage) * BATCH_SHARE


def estimate_tokens(length: int) -> int:
    """Estimate the tokens of a text from its length in bytes, rather too high than too low."""
    return -(-length // BYTES_A_TOKEN)


def least_tokens(length: int) -> int:
    """Estimate the tokens of a text from its length in bytes, rather too low than too high."""
    return length // _MOST_BYTES_A_TOKEN

"""The models the simulator knows: their limits in tokens, their list prices, and what these come to."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any, Literal

PRICES_READ_ON = dt.date(2026, 11, 1)
OUTPUT_300K_BETA = "output-300k-2026-03-24"
_EXTENDED_OUTPUT_TOKENS = 300_000
_BATCH_SHARE_OF_PRICE = 0.5
_WRITE_5M_SHARE_OF_PRICE = 1.25
_WRITE_1H_SHARE_OF_PRICE = 2.0


@dataclass(frozen=True, slots=True)
class CachedTokens:
    """What a prompt cache had to do with one request, in tokens of its prompt: read, and written for 5 min or 1 h."""

    read: int = 0
    written_5m: int = 0
    written_1h: int = 0

    @property
    def total(self) -> int:
        """All that is not the uncached rest."""
        return self.read + self.written_5m + self.written_1h


NOTHING_CACHED = CachedTokens()


@dataclass(frozen=True, slots=True)
class Price:
    """US$ a million tokens, synchronous; `up_to` is the longest prompt, in tokens, that it holds for."""

    input: float
    output: float
    up_to: int | None = None


@dataclass(frozen=True, slots=True)
class Model:
    """One model: its limits in tokens, and its prices, the one for the shortest prompts first."""

    id: str
    display_name: str
    line: str
    released: dt.date
    max_input_tokens: int
    max_tokens: int
    prices: tuple[Price, ...]
    extended_output: bool = True
    least_cacheable: int = 512
    read_share_of_price: float = 0.1

    def output_limit(self, betas: frozenset[str]) -> int:
        """The most that `max_tokens` may be in a batch that was created with these betas."""
        if self.extended_output and OUTPUT_300K_BETA in betas:
            return _EXTENDED_OUTPUT_TOKENS
        return self.max_tokens

    def cost_usd(
        self,
        input_tokens: int,
        output_tokens: int,
        kind: Literal["batch", "synchronous"],
        cached: CachedTokens = NOTHING_CACHED,
    ) -> float:
        """What one request costs; the whole request is charged at the price its prompt length selects.

        `input_tokens` is the length of the whole prompt, of which `cached` is a part.
        """
        price = next(p for p in self.prices if p.up_to is None or input_tokens <= p.up_to)
        weighed = (
            input_tokens
            - cached.total
            + cached.read * self.read_share_of_price
            + cached.written_5m * _WRITE_5M_SHARE_OF_PRICE
            + cached.written_1h * _WRITE_1H_SHARE_OF_PRICE
        )
        full = (weighed * price.input + output_tokens * price.output) / 1_000_000
        return full * _BATCH_SHARE_OF_PRICE if kind == "batch" else full

    def view(self) -> dict[str, Any]:
        """The model as `GET /v1/models/{id}` describes it."""
        return {
            "id": self.id,
            "type": "model",
            "display_name": self.display_name,
            "created_at": f"{self.released.isoformat()}T00:00:00Z",
            "lifecycle": "active",
            "line": self.line,
            "deprecated_at": None,
            "retires_at": None,
            "max_input_tokens": self.max_input_tokens,
            "max_tokens": self.max_tokens,
            "capabilities": _capabilities(),
        }


def _supported(*, supported: bool = True) -> dict[str, Any]:
    return {"supported": supported}


def _capabilities() -> dict[str, Any]:
    no = _supported(supported=False)
    return {
        "batch": _supported(),
        "citations": no,
        "code_execution": no,
        "context_management": {
            **no,
            "clear_thinking_20251015": no,
            "clear_tool_uses_20250919": no,
            "compact_20260112": no,
        },
        "effort": {**no, "low": no, "medium": no, "high": no, "xhigh": no, "max": no},
        "image_input": no,
        "pdf_input": _supported(),
        "server_tools": {**no, "code_execution": no, "web_search": no},
        "structured_outputs": _supported(),
        "thinking": {
            **_supported(),
            "types": {"adaptive": _supported(), "between_tools": no, "disabled": _supported(), "enabled": _supported()},
        },
    }


MODELS = {
    model.id: model
    for model in (
        Model(
            id="claude-opus-5-5",
            display_name="Claude Opus 5.5",
            line="opus",
            released=dt.date(2026, 9, 1),
            max_input_tokens=1_000_000,
            max_tokens=128_000,
            prices=(Price(4, 20),),
            read_share_of_price=0.05,
        ),
        Model(
            id="claude-sonnet-5-5",
            display_name="Claude Sonnet 5.5",
            line="sonnet",
            released=dt.date(2026, 9, 1),
            max_input_tokens=1_000_000,
            max_tokens=128_000,
            prices=(Price(2, 10),),
        ),
        Model(
            id="claude-haiku-5-5",
            display_name="Claude Haiku 5.5",
            line="haiku",
            released=dt.date(2026, 9, 1),
            max_input_tokens=1_000_000,
            max_tokens=128_000,
            prices=(Price(0.10, 0.50, up_to=100_000), Price(0.50, 2.50)),
        ),
        Model(
            id="claude-haiku-4-5",
            display_name="Claude Haiku 4.5",
            line="haiku",
            released=dt.date(2025, 10, 1),
            max_input_tokens=200_000,
            max_tokens=64_000,
            prices=(Price(1, 5),),
            extended_output=False,
            least_cacheable=4096,
        ),
    )
}

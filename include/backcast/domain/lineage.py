"""How a document came to its answer: the requests about it, one after the other, in a line that people read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from backcast.domain.failures import Remedy

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True, slots=True)
class Step:
    """One request of a lineage.

    Attributes:
        round: the round in which it went.
        remedy: what was changed before it was sent; None for the first one.
        max_tokens: what it was sent with.
        synchronous: whether it was asked synchronously.
        state: open, accepted or failed.
        cause: why it failed; None when it did not.
    """

    round: int
    remedy: str | None
    max_tokens: int
    synchronous: bool
    state: str
    cause: str | None


def told(steps: Sequence[Step], left_because: str | None = None) -> str:
    """Return a lineage as in `r1 truncated → r2 more_max_tokens 16384: answered`.

    Args:
        steps: the requests about a document, the first one first.
        left_because: why the last one has no answer, when it was left without one.
    """
    return " → ".join(_told(step, left_because) for step in steps)


def _told(step: Step, left_because: str | None) -> str:
    changed = step.remedy or ""
    if step.remedy in {Remedy.MORE_MAX_TOKENS, Remedy.CLAMP_MAX_TOKENS}:
        changed += f" {step.max_tokens}"
    where = "synchronously" if step.synchronous else ""
    ended = step.cause or ("answered" if step.state == "accepted" else left_because or "open")
    return f"{' '.join(filter(None, (f'r{step.round}', changed, where)))}: {ended}"

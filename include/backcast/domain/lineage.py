"""How a document came to its answer: the requests about it, one after the other, in a line that people read."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, TypedDict

from backcast.domain.failures import Remedy

if TYPE_CHECKING:
    from collections.abc import Sequence


class StepPart(TypedDict):
    """Which part of its document a request is about: its number among so many, its first and last line."""

    number: int
    count: int
    first: int
    last: int


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
        part: the part of the document that it is about; None for all of it.
    """

    round: int
    remedy: str | None
    max_tokens: int
    synchronous: bool
    state: str
    cause: str | None
    part: StepPart | None = None


def told(steps: Sequence[Step], left_because: str | None = None) -> str:
    """Return a lineage as in `r1: truncated → r2 more_max_tokens 16384: answered`.

    Where the document was split, the parts that were not answered at once follow: `r1: too_long → r2 split in 3 parts:
    answered, but lines 701 to 1400 r2: malformed → r4 worked_example: answered`.

    Args:
        steps: the requests about a document, the first one first; then those about each of its parts.
        left_because: why the last one has no answer, when it was left without one.
    """
    whole = [_told(step, left_because) for step in steps if step.part is None]
    of_parts = [step for step in steps if step.part is not None]
    return " → ".join([*whole, _split(of_parts, left_because)] if of_parts else whole)


def _split(steps: Sequence[Step], left_because: str | None) -> str:
    first = steps[0]
    count = first.part["count"] if first.part else 0
    parts = [list(part) for _, part in groupby(steps, key=_lines)]
    # A part that was split again is answered by its own parts.
    answered = all(part[-1].state == "accepted" or _is_split(part, parts) for part in parts)
    others = [
        f"lines {part[0].part['first']} to {part[0].part['last']} "
        + " → ".join(_told(step, left_because, part=True) for step in part)
        for part in parts
        if part[0].part and (len(part) > 1 or part[0].state != "accepted")
    ]
    where = " synchronously" if first.synchronous else ""
    ended = "answered" if answered else "not all answered"
    return f"r{first.round} {Remedy.SPLIT} in {count} parts{where}: {', but '.join([ended, *others])}"


def _lines(step: Step) -> tuple[int, int]:
    return (step.part["first"], step.part["last"]) if step.part else (0, 0)


def _is_split(part: Sequence[Step], parts: Sequence[Sequence[Step]]) -> bool:
    first, last = _lines(part[0])
    return any(other is not part and first <= _lines(other[0])[0] and _lines(other[0])[1] <= last for other in parts)


def _told(step: Step, left_because: str | None, *, part: bool = False) -> str:
    changed = step.remedy or ""
    if step.remedy in {Remedy.MORE_MAX_TOKENS, Remedy.CLAMP_MAX_TOKENS}:
        changed += f" {step.max_tokens}"
    if part and step.remedy == Remedy.SPLIT:
        changed = ""
    where = "synchronously" if step.synchronous else ""
    left = left_because if step.state == "open" else None
    ended = step.cause or ("answered" if step.state == "accepted" else left or "open")
    return f"{' '.join(filter(None, (f'r{step.round}', changed, where)))}: {ended}"

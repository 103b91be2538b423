"""Which part of a document a request asks about, and how large the parts of one that is too long may be."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from backcast.domain.failures import Cause
from backcast.domain.workflow import digest

if TYPE_CHECKING:
    from collections.abc import Mapping

# Tokens are not spread evenly over a document, so that parts keep away from the limit by one in so many.
_MARGIN = 20
_TOO_LONG = re.compile(r"prompt is too long: (\d+) tokens > (\d+)")


@dataclass(frozen=True, slots=True)
class Part:
    """Lines of a document, counted from 1, that one request asks about.

    Attributes:
        number: which of its siblings it is, from 1.
        count: how many they are.
        first: its first line.
        last: its last line.
        shown_first: the first line that is shown; from there to `first` it overlaps with the part before.
        context: first and last lines of what is shown ahead of these.
        bytes: what all of it takes as a prompt shows it.
    """

    number: int
    count: int
    first: int
    last: int
    shown_first: int
    context: tuple[tuple[int, int], ...]
    bytes: int

    @classmethod
    def stored(cls, row: Mapping[str, Any]) -> Part:
        """Return a part as the ledger holds it."""
        return cls(**{**row, "context": tuple((first, last) for first, last in row["context"])})

    @property
    def ranges(self) -> tuple[tuple[int, int], ...]:
        """First and last lines of all that is shown, in order."""
        return (*self.context, (self.shown_first, self.last))

    def told(self) -> str:
        """Say in a prompt which lines to report on."""
        return (
            f"This is part {self.number} of {self.count}: report on lines {self.first} to {self.last} "
            "only, by the numbers that they have here. The other lines are shown so that you see what these belong to."
        )

    def answer_key(self, document_key: str) -> str:
        """Return the identity of the answer about this part: the document's, and all lines that are shown."""
        shown = (f"{first}-{last}" for first, last in self.ranges)
        return digest(document_key, str(self.first), str(self.last), *shown)


def budget_tokens(cause: Cause, detail: str, *, shown_tokens: int, other_tokens: int, room: int) -> int:
    """Return how many tokens a part may have, by our own estimate of tokens, as it is shown.

    The API says by how much a prompt was too long; that is surer than our estimate, which is corrected by it.

    Args:
        cause: why it is split: too long for the window, or its answer too long for the model.
        detail: the API's own text.
        shown_tokens: what was shown of the document.
        other_tokens: what is sent beside it.
        room: the tokens that the window leaves to a prompt.
    """
    half = max(1, -(-shown_tokens // 2))
    if cause is not Cause.TOO_LONG:
        # Halves, each with what is shown around it.
        return max(1, shown_tokens * 3 // 5)
    said = _TOO_LONG.search(detail)
    counted, limit = map(int, said.groups()) if said else (0, 0)
    estimated = shown_tokens + other_tokens
    prompt = min(room, limit or room) * estimated // counted if counted > limit else room
    budget = (prompt - other_tokens) * (_MARGIN - 1) // _MARGIN
    return budget if 0 < budget < shown_tokens else half

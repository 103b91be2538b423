"""What a sample shows of a prompt, and what follows from it for the whole run. Money in US dollars."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import asdict, dataclass
from decimal import Decimal
from statistics import median
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

# Of a normal distribution, 95 % lies within so many standard deviations.
_Z = 1.96


@dataclass(frozen=True, slots=True)
class SampledAnswer:
    """What became of one document of a sample.

    `seconds` is how long its call took, None when its answer was known; `shown` is how the answer begins, where it was
    not accepted.
    """

    path: str
    language: str
    accepted: bool
    cause: str | None = None
    detail: str | None = None
    shown: str | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    seconds: float | None = None
    cost_usd: Decimal = Decimal(0)


@dataclass(frozen=True, slots=True)
class Found:
    """What was found in labelled documents, and what should have been.

    Attributes:
        documents: how many are labelled.
        expected: passages that must be found.
        found: how many of them were.
        right: findings that were expected.
        wrong: findings that were neither expected nor allowed.
        forbidden: of those, how many must not be found.
        missed: what must be found and was not, a line each.
        unwanted: what was found and should not have been, a line each.
    """

    documents: int
    expected: int
    found: int
    right: int
    wrong: int
    forbidden: int = 0
    missed: tuple[str, ...] = ()
    unwanted: tuple[str, ...] = ()

    @property
    def precision(self) -> float:
        """The share of findings that are right, 0 to 1; 1 when nothing was found."""
        return self.right / (self.right + self.wrong) if self.right + self.wrong else 1.0

    @property
    def recall(self) -> float:
        """The share of what must be found that was, 0 to 1; 1 when nothing must be."""
        return self.found / self.expected if self.expected else 1.0


@dataclass(frozen=True, slots=True)
class Scores:
    """The scores of a prompt on a sample; `labelled` when documents of it say what must be found in them."""

    answers: tuple[SampledAnswer, ...]
    labelled: Found | None = None

    @property
    def accepted(self) -> int:
        """How many answers were accepted."""
        return sum(answer.accepted for answer in self.answers)

    @property
    def rate(self) -> float:
        """The share of answers that were accepted, 0 to 1; 0 when there are none."""
        return self.accepted / len(self.answers) if self.answers else 0.0

    @property
    def least(self) -> float:
        """The lowest of the scores, 0 to 1: accepted answers; where documents are labelled, precision and recall."""
        if self.labelled is None:
            return self.rate
        return min(self.rate, self.labelled.precision, self.labelled.recall)

    @property
    def causes(self) -> Counter[str]:
        """How many answers were not accepted, by cause."""
        return Counter(answer.cause or "unanswered" for answer in self.answers if not answer.accepted)

    @property
    def cost_usd(self) -> Decimal:
        """What the answers cost."""
        return sum((answer.cost_usd for answer in self.answers), Decimal(0))

    @property
    def seconds(self) -> float | None:
        """The median time of a call."""
        times = [answer.seconds for answer in self.answers if answer.seconds is not None]
        return median(times) if times else None

    def passes(self, threshold: float) -> bool:
        """Whether every score reaches the threshold, with something answered at all."""
        return bool(self.answers) and self.least >= threshold

    def view(self) -> dict[str, Any]:
        """Return them as JSON can hold them."""
        labelled = self.labelled
        view: dict[str, Any] = _without_nul(
            {
                "documents": len(self.answers),
                "accepted": self.accepted,
                "rate": round(self.rate, 4),
                "causes": dict(self.causes),
                "precision": None if labelled is None else round(labelled.precision, 4),
                "recall": None if labelled is None else round(labelled.recall, 4),
                "labelled": None if labelled is None else asdict(labelled),
                "input_tokens": sum(answer.input_tokens for answer in self.answers),
                "output_tokens": sum(answer.output_tokens for answer in self.answers),
                "seconds": self.seconds,
                "cost_usd": str(self.cost_usd),
                "failures": [
                    {name: value for name, value in asdict(answer).items() if name in _SHOWN_OF_FAILURES}
                    for answer in self.answers
                    if not answer.accepted
                ],
            }
        )
        return view


_SHOWN_OF_FAILURES = ("path", "language", "cause", "detail", "shown")


def _without_nul(value: Any) -> Any:  # noqa: ANN401  any JSON
    """Return it as PostgreSQL's JSON can hold it, which has no NUL, as what a model writes may have."""
    match value:
        case str():
            return value.replace("\0", " ")
        case dict():
            return {name: _without_nul(item) for name, item in value.items()}
        case list() | tuple():
            return [_without_nul(item) for item in value]
    return value


@dataclass(frozen=True, slots=True)
class Projection:
    """What a run is expected to need after its first requests, and between which bounds, with 95 % confidence."""

    requests: int
    retries: int
    fewest_retries: int
    most_retries: int
    usd: Decimal
    least_usd: Decimal
    most_usd: Decimal

    def view(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return {name: str(value) if isinstance(value, Decimal) else value for name, value in asdict(self).items()}


def project(accepted: int, judged: int, requests: int, usd: Decimal) -> Projection:
    """Project from a sample how many of so many requests have to go again, once each, and what all of it costs.

    Args:
        accepted: of the sample.
        judged: the size of the sample.
        requests: how many go to the API.
        usd: what they cost once.

    Returns:
        Each failure is counted as one more request of the same cost. The bounds are Wilson's, which hold for a sample
        of a handful.
    """
    failed = 1 - accepted / judged if judged else 1.0
    low, high = wilson(judged - accepted, judged)

    def all_of_it(share: float) -> Decimal:
        return usd * (1 + Decimal(str(round(share, 6))))

    return Projection(
        requests=requests,
        retries=_rounded(requests * failed),
        fewest_retries=math.floor(requests * low),
        most_retries=math.ceil(requests * high),
        usd=all_of_it(failed),
        least_usd=all_of_it(low),
        most_usd=all_of_it(high),
    )


def wilson(failed: int, judged: int) -> tuple[float, float]:
    """Return between which shares, 0 to 1, the share of failures lies with 95 % confidence."""
    if not judged:
        return 0.0, 1.0
    share, square = failed / judged, _Z * _Z / judged
    middle = (share + square / 2) / (1 + square)
    reach = _Z * math.sqrt(share * (1 - share) / judged + square / (4 * judged)) / (1 + square)
    return max(0.0, middle - reach), min(1.0, middle + reach)


def _rounded(number: float) -> int:
    # Binary fractions such as 1 - 0.9 are off by a hair.
    return math.ceil(round(number, 6))


def told(scores: Mapping[str, Any]) -> str:
    """Say what `Scores.view` holds in a line: "9 of 10 accepted, precision 0.95, recall 1.00"."""
    said = [f"{scores['accepted']} of {scores['documents']} accepted"]
    said += [f"{name} {scores[name]:.2f}" for name in ("precision", "recall") if scores.get(name) is not None]
    return ", ".join(said)

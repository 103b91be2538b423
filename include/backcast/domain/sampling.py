"""Which documents stand for all of a run: few, but of every format and size, with the odd ones among them."""

from __future__ import annotations

import hashlib
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

# So that edge cases and other formats keep their places beside what failed before.
_SHARE_OF_EARLIER_FAILURES = 2
_SIZES = 3


@dataclass(frozen=True, slots=True)
class SampleTerms:
    """How a prompt is proved before anything is submitted.

    Attributes:
        documents: how many are asked about synchronously first, 5 to 10.
        threshold: the share of answers that must be accepted, above 0 and at most 1.
        seed: another seed chooses other documents; the same one always the same.
    """

    documents: int = 10
    threshold: float = 0.9
    seed: int = 0

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> SampleTerms:
        """Return the terms given by name, in a workflow's file or in the ledger, and the usual ones for the rest."""
        return cls(**given)


@dataclass(frozen=True, slots=True)
class LetPass:
    """Who lets a run go on although its sample says otherwise, and why."""

    by: str
    why: str


@dataclass(frozen=True, slots=True)
class Candidate:
    """A document that may be in a sample.

    Attributes:
        key: tells it from all others, whatever it is called.
        language: its format.
        size: in bytes.
        odd: how many of its bytes are not ASCII.
        failed_before: whether it was not accepted at the first attempt in an earlier run.
        suspicious: whether it speaks to the model, so that its answer says little of the prompt.
    """

    key: str
    language: str
    size: int
    odd: int = 0
    failed_before: bool = False
    suspicious: bool = False


def choose(candidates: Sequence[Candidate], terms: SampleTerms) -> list[str]:
    """Return the keys of a sample: what failed before, the edge cases, and then of each format and size its share.

    All of them when there are no more than are asked for, and a suspicious one only when there are not enough others:
    who writes a document must not decide whether a prompt is good enough. The order of the candidates does not matter.
    """
    chosen: dict[str, Candidate] = {}
    for suspicious in (False, True):
        _choose([one for one in candidates if one.suspicious == suspicious], terms, chosen)
    return list(chosen)


def _choose(candidates: Sequence[Candidate], terms: SampleTerms, chosen: dict[str, Candidate]) -> None:
    """Add candidates until there are as many as are asked for, or no more."""
    ranked = sorted(candidates, key=_by_seed(terms.seed))
    failed = [one for one in ranked if one.failed_before]
    for one in failed[: (terms.documents - len(chosen)) // _SHARE_OF_EARLIER_FAILURES]:
        chosen[one.key] = one
    for one in _edge_cases(ranked):
        if len(chosen) < terms.documents:
            chosen[one.key] = one
    _fill(chosen, ranked, terms.documents)


def _by_seed(seed: int) -> Callable[[Candidate], str]:
    return lambda one: hashlib.sha256(f"{seed}/{one.key}".encode()).hexdigest()


def _edge_cases(ranked: Sequence[Candidate]) -> Iterable[Candidate]:
    if ranked:
        yield max(ranked, key=lambda one: one.size)
        yield min(ranked, key=lambda one: one.size)
        oddest = max(ranked, key=lambda one: one.odd)
        if oddest.odd:
            yield oddest


def _fill(chosen: dict[str, Candidate], ranked: Sequence[Candidate], wanted: int) -> None:
    """Add one at a time of the format and size that has the fewest in the sample for how many there are."""
    stratum = _strata(ranked)
    formats = Counter(one.language for one in ranked)
    strata = Counter(stratum[one.key] for one in ranked)
    while len(chosen) < wanted and any(one.key not in chosen for one in ranked):
        has_format = Counter(one.language for one in chosen.values())
        has_stratum = Counter(stratum[key] for key in chosen if key in stratum)

        def share(
            one: Candidate, has_format: Counter[str] = has_format, has_stratum: Counter[tuple[str, int]] = has_stratum
        ) -> tuple[bool, float, float]:
            own = stratum[one.key]
            return (
                not has_format[one.language],
                formats[one.language] / (has_format[one.language] + 1),
                strata[own] / (has_stratum[own] + 1),
            )

        # Of equals, the first in the seed's order.
        best = max((one for one in ranked if one.key not in chosen), key=share)
        chosen[best.key] = best


def _strata(ranked: Sequence[Candidate]) -> dict[str, tuple[str, int]]:
    """Return format and size, small, middle or large, of each candidate."""
    by_size = sorted(ranked, key=lambda one: (one.size, one.key))
    return {one.key: (one.language, index * _SIZES // len(by_size)) for index, one in enumerate(by_size)}

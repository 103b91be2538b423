"""A prompt that is refined: its versions scored on one sample, each next one proposed from the failures of the best."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from backcast.domain.scores import Projection, Scores

MOST_VERSIONS: Final = 3
MOST_ITERATIONS: Final = 3
# What a version would mean is told of so many documents.
OF_DOCUMENTS: Final = 1000


@dataclass(frozen=True, slots=True)
class ScoredVersion:
    """A version and what the sample shows of it.

    Attributes:
        version: its name.
        prompt_hash: tells it from all others.
        scores: on the sample.
        projection: what `OF_DOCUMENTS` documents like those of the sample would need as batches.
        run_id: the ledger's run that answered the sample.
        iteration: by which proposal it came, from 1; 0 for the versions that there were.
    """

    version: str
    prompt_hash: str
    scores: Scores
    projection: Projection
    run_id: int
    iteration: int = 0

    def view(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return {
            "version": self.version,
            "prompt_hash": self.prompt_hash,
            "iteration": self.iteration,
            "run_id": self.run_id,
            "least": round(self.scores.least, 4),
            "scores": self.scores.view(),
            "projection": self.projection.view(),
        }


@dataclass(frozen=True, slots=True)
class ProposedVersion:
    """What the model proposed.

    Attributes:
        iteration: from 1.
        parent: the version from whose failures it was made.
        version: how it is called; None when it cannot be used.
        why: what the model says about it.
        notes: what was left out of it, or why it cannot be used, a sentence each.
        run_id: the ledger's run that asked for it.
        cost_usd: what asking for it cost.
    """

    iteration: int
    parent: str
    version: str | None
    why: str
    notes: tuple[str, ...]
    run_id: int
    cost_usd: Decimal

    def view(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return {
            "iteration": self.iteration,
            "parent": self.parent,
            "version": self.version,
            "why": self.why,
            "notes": list(self.notes),
            "run_id": self.run_id,
            "cost_usd": str(self.cost_usd),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Refined:
    """How a refinement went.

    Attributes:
        workflow: whose prompt it is.
        key: tells this refinement from all others of the workflow.
        model: which answered, and proposed.
        threshold: the share that every score must reach.
        active: the hash of the version that runs are sent with.
        formats: how many documents of each language the sample has.
        labelled: how many of them say what must be found in them.
        versions: in the order in which they were scored.
        proposals: in the order in which they were made.
        ended: why it went no further, a sentence.
        simulated: whether no model was asked.
    """

    workflow: str
    key: str
    model: str
    threshold: float
    active: str
    formats: Mapping[str, int]
    labelled: int
    versions: tuple[ScoredVersion, ...]
    proposals: tuple[ProposedVersion, ...] = ()
    ended: str = ""
    simulated: bool = False

    @property
    def best(self) -> ScoredVersion:
        """The version with the best scores."""
        return best_of(self.versions)

    @property
    def passes(self) -> bool:
        """Whether the best version reaches the threshold."""
        return self.best.scores.passes(self.threshold)

    @property
    def promotes(self) -> bool:
        """Whether there is something to promote: the best version is not the active one."""
        return self.best.prompt_hash != self.active

    @property
    def cost_usd(self) -> Decimal:
        """What answering the sample and asking for proposals cost."""
        scored = sum((scored.scores.cost_usd for scored in self.versions), Decimal(0))
        return scored + sum((proposal.cost_usd for proposal in self.proposals), Decimal(0))

    def view(self) -> dict[str, Any]:
        """Return it as JSON can hold it."""
        return {
            "workflow": self.workflow,
            "key": self.key,
            "model": self.model,
            "simulated": self.simulated,
            "threshold": self.threshold,
            "documents": sum(self.formats.values()),
            "formats": dict(self.formats),
            "labelled": self.labelled,
            "active": self.active,
            "best": self.best.version,
            "best_hash": self.best.prompt_hash,
            "passes": self.passes,
            "promotes": self.promotes,
            "ended": self.ended,
            "cost_usd": str(self.cost_usd),
            "versions": [scored.view() for scored in self.versions],
            "proposals": [proposal.view() for proposal in self.proposals],
        }


def best_of(versions: Iterable[ScoredVersion]) -> ScoredVersion:
    """Return the version with the highest least score; of equals the most accepted, the cheapest, the first one."""
    return max(versions, key=lambda one: (one.scores.least, one.scores.rate, -one.projection.usd))

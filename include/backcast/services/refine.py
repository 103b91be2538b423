"""Refines a prompt: scores versions on one sample, and lets the model propose the next from what the best fails on."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from backcast.domain.errors import InputError
from backcast.domain.pricing import BATCH_SHARE
from backcast.domain.refinement import (
    MOST_ITERATIONS,
    MOST_VERSIONS,
    OF_DOCUMENTS,
    ProposedVersion,
    Refined,
    ScoredVersion,
    best_of,
)
from backcast.domain.scores import project
from backcast.domain.workflow import digest
from backcast.labelled import load_labelled
from backcast.ledger.connection import Connection, Ledger, sql
from backcast.reports.refinement_files import refinement_folder, write_proposal, write_refinement
from backcast.services.estimate import CostModel, prompt_bytes
from backcast.services.proposal_request import failures_of
from backcast.services.proposals import propose
from backcast.services.samples import labelled_sample, repository_sample
from backcast.services.scoring import SampleDocument, sample_hash, score
from backcast.services.versions import current_prompt, find_version
from backcast.settings import load_prompt, prompt_versions, run_settings

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from backcast.anthropic_api.batches import MessageBatchesApi
    from backcast.domain.scores import Scores
    from backcast.domain.workflow import PromptVersion, RunSettings
    from backcast.services.open_run import Clock
    from backcast.services.reconcile import Folders

_FAILED_WITHIN: Final = timedelta(days=30)


@dataclass(frozen=True, slots=True, kw_only=True)
class Refinement:
    """What a person asks for.

    Attributes:
        workflow: whose prompt is refined.
        versions: which are scored side by side; none: the active one and the newest others.
        repository: path or URL of what the sample is taken of; None: the workflow's.
        ref: branch, tag or commit of it; None: the workflow's.
        documents: how many of it are in the sample; None: as many as prove a prompt before a run.
        iterations: how often the next version may be proposed.
        key: names this refinement: the same one goes on with what was begun, and pays for nothing twice. None: what is
            asked for names it.
    """

    workflow: str
    versions: tuple[str, ...] = ()
    repository: str | None = None
    ref: str | None = None
    documents: int | None = None
    iterations: int = MOST_ITERATIONS
    key: str | None = None

    def __post_init__(self) -> None:
        if len(self.versions) > MOST_VERSIONS:
            raise InputError(
                f"{len(self.versions)} versions are too many to read side by side: name {MOST_VERSIONS} at most."
            )
        if not 0 <= self.iterations <= MOST_ITERATIONS:
            raise InputError(f"iterations is {self.iterations}: write 0 to {MOST_ITERATIONS}.")


@dataclass(frozen=True, slots=True)
class Refining:
    """A refinement with where its report is."""

    refined: Refined
    report: Path


def refine(ledger: Ledger, api: MessageBatchesApi, clock: Clock, ask: Refinement, folders: Folders) -> Refining:
    """Refine a prompt and write the report; safe to call again with the same key, after whatever ended it.

    Nothing is promoted: that is a person's decision.

    Args:
        ledger: where answers and versions are kept.
        api: who answers and proposes.
        clock: tells the time in UTC.
        ask: what is asked for.
        folders: where clones are kept and reports are written, and how calls wait for their turn.

    Raises:
        InputError: what is asked for cannot be done; nothing was paid.
        ApiError: the API cannot be reached, or refuses; a later call goes on.
        ReportError: the files cannot be written; a later call writes them, and pays for nothing again.
    """
    return _Loop(ledger, api, clock, ask, folders).go()


class _Loop:
    """One refinement: what it was asked, and what it has found out up to now."""

    def __init__(self, ledger: Ledger, api: MessageBatchesApi, clock: Clock, ask: Refinement, folders: Folders) -> None:
        self._ledger, self._api, self._clock, self._ask, self._folders = ledger, api, clock, ask, folders
        asked: dict[str, Any] = {"repository": ask.repository, "ref": ask.ref}
        self._settings = run_settings(ask.workflow, asked)
        with ledger.connect() as connection:
            self._active = current_prompt(connection, ask.workflow, self._settings.prompt)
            self._prompts = _versions(connection, ask, self._active)
        self._key, self._sample = self._named_sample()
        self._folder = refinement_folder(folders.reports, ask.workflow, self._key)
        self._scored: list[ScoredVersion] = []
        self._proposals: list[ProposedVersion] = []
        self._simulated = False

    def _named_sample(self) -> tuple[str, list[SampleDocument]]:
        """Return what names this refinement, and its sample: the one that it was begun with, if it was."""
        labelled = labelled_sample(load_labelled(self._ask.workflow))
        if self._ask.key is not None:
            known = _known_sample(self._ledger, self._ask.key, labelled)
            return self._ask.key, known or self._new_sample(labelled)
        sample = self._new_sample(labelled)
        hashes = [prompt.prompt_hash for prompt in self._prompts]
        model = self._settings.model.name
        name = digest(self._api.base_url, model, sample_hash(sample), str(self._ask.iterations), *hashes)
        return f"refine {self._ask.workflow} {name[:12]}", sample

    def _new_sample(self, labelled: Sequence[SampleDocument]) -> list[SampleDocument]:
        since = self._clock() - _FAILED_WITHIN
        with self._ledger.connect() as connection:
            key = {"workflow": self._ask.workflow, "since": since}
            rows = connection.execute(sql("failed_contents"), key).fetchall()
        chosen = repository_sample(
            self._settings,
            self._folders.cache,
            documents=self._ask.documents,
            beside=labelled,
            failed={row["content_hash"] for row in rows},
        )
        return [*labelled, *chosen]

    def go(self) -> Refining:
        for prompt in self._prompts:
            self._score(prompt, 0)
        ended = self._improve()
        refined = Refined(
            workflow=self._ask.workflow,
            key=self._key,
            model=self._settings.model.name,
            threshold=self._settings.sample.threshold,
            active=self._active.prompt_hash,
            formats=dict(Counter(document.language for document in self._sample).most_common()),
            labelled=sum(document.labelled is not None for document in self._sample),
            versions=tuple(self._scored),
            proposals=tuple(self._proposals),
            ended=ended,
            simulated=self._simulated,
        )
        return Refining(refined, write_refinement(refined, self._folder))

    def _improve(self) -> str:
        """Propose and score until there is nothing to gain, and say why no further."""
        threshold = self._settings.sample.threshold
        for iteration in range(1, self._ask.iterations + 1):
            best = best_of(self._scored)
            if best.scores.passes(threshold):
                return f"{best.version} reaches the threshold of {threshold:.0%}."
            failures = failures_of(best.scores, self._sample)
            if not failures:
                return f"Nothing that {best.version} failed on can be shown to a model, so nothing was proposed."
            parent = next(prompt for prompt in self._prompts if prompt.prompt_hash == best.prompt_hash)
            proposal = propose(
                self._ledger,
                self._api,
                self._clock,
                replace(self._settings, prompt=parent),
                failures,
                languages={document.language for document in self._sample},
                external_key=f"{self._key}/proposal {iteration}",
                pause=self._folders.pause,
            )
            prompt = proposal.prompt
            notes = (*proposal.notes, *_taken_from_labelled(parent, prompt, self._sample))
            self._proposals.append(
                ProposedVersion(
                    iteration=iteration,
                    parent=parent.version,
                    version=prompt.version if prompt else None,
                    why=proposal.why,
                    notes=notes,
                    run_id=proposal.run_id,
                    cost_usd=proposal.cost_usd,
                )
            )
            if prompt is None:
                return f"Proposal {iteration} cannot be scored: {proposal.notes[-1]}"
            if any(prompt.prompt_hash == known.prompt_hash for known in self._prompts):
                return f"Proposal {iteration} is {prompt.version}, which was scored already."
            self._prompts.append(prompt)
            write_proposal(parent, prompt, self._folder)
            self._score(prompt, iteration)
        best = best_of(self._scored)
        if best.scores.passes(threshold):
            return f"{best.version} reaches the threshold of {threshold:.0%}."
        return f"No version reaches the threshold of {threshold:.0%} after {self._ask.iterations} proposals."

    def _score(self, prompt: PromptVersion, iteration: int) -> None:
        settings = replace(self._settings, prompt=prompt)
        key = f"{self._key}/{prompt.prompt_hash[:16]}"
        pause = self._folders.pause
        scored = score(self._ledger, self._api, self._clock, settings, self._sample, external_key=key, pause=pause)
        self._simulated = scored.simulated
        self._scored.append(
            ScoredVersion(
                version=prompt.version,
                prompt_hash=prompt.prompt_hash,
                scores=scored.scores,
                projection=project(
                    scored.scores.accepted,
                    len(scored.scores.answers),
                    OF_DOCUMENTS,
                    _usd_each(scored.scores, settings, self._sample) * OF_DOCUMENTS,
                ),
                run_id=scored.run_id,
                iteration=iteration,
            )
        )


def _known_sample(ledger: Ledger, key: str, labelled: Sequence[SampleDocument]) -> list[SampleDocument]:
    """Return the sample that a refinement of this key was begun with; none when it was not."""
    known = {(one.path, one.text): one for one in labelled}
    with ledger.connect() as connection:
        rows = connection.execute(sql("sample_of_refinement"), {"prefix": f"{key}/"}).fetchall()
    return [
        known.get((row["path"], row["body"]))
        or SampleDocument(row["path"], row["language"], row["body"], pdf=row["pdf"])
        for row in rows
    ]


def _versions(connection: Connection, ask: Refinement, active: PromptVersion) -> list[PromptVersion]:
    """Return what is scored side by side: what is named, or else the active version and the newest other files."""
    if ask.versions:
        named = [find_version(connection, ask.workflow, name) for name in ask.versions]
    else:
        named = [active, *(load_prompt(ask.workflow, name) for name in reversed(prompt_versions(ask.workflow)))]
    # The same text under two names is one version.
    different: dict[str, PromptVersion] = {}
    for prompt in named:
        different.setdefault(prompt.prompt_hash, prompt)
    return list(different.values())[:MOST_VERSIONS]


def _taken_from_labelled(
    parent: PromptVersion, prompt: PromptVersion | None, sample: Sequence[SampleDocument]
) -> list[str]:
    """Say which new examples show a document that the version is scored by, so that its score says less."""
    new = [example for example in prompt.examples if example not in parent.examples] if prompt else []
    return [
        f"The example of {example.language} shows a passage of the labelled document {one.labelled.name}, so what is "
        "found there says little of this version."
        for example in new
        for one in sample
        if one.labelled is not None and example.document.strip() in one.text
    ]


def _usd_each(scores: Scores, settings: RunSettings, sample: Sequence[SampleDocument]) -> Decimal:
    """Return what a document costs once in a batch: as it was billed, or estimated when every answer was known."""
    billed = [answer.cost_usd for answer in scores.answers if answer.cost_usd]
    if billed:
        return sum(billed, Decimal(0)) / len(billed) * BATCH_SHARE
    costs = CostModel(settings.model, settings.prompt)
    return sum((costs.batch_usd(prompt_bytes(one.text)) for one in sample), Decimal(0)) / len(sample)

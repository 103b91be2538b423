"""What a report of proposed tests says, apart from how it is rendered."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from datetime import datetime

    from backcast.domain.report import FirstAttempts, Retried, SkippedDocuments, Spend, Totals, UnansweredDocument

Ran = Literal["passed", "not run"]


@dataclass(frozen=True, slots=True)
class OfferedTests:
    """Files of tests that are offered for one document.

    Attributes:
        document: the path of what is tested.
        files: where they belong, in the patch.
        covers: what they cover, in the words of their author.
        tests: how many tests stand in them, as far as that is seen without running them.
        imports: `checked`; or `not checked`, where the repository's modules were not known.
        ran: `passed`; or `not run`, and `why_not_run` says why.
        passed: how many tests have passed, parametrised ones each; None when they were not run.
        seconds: how long that took.
    """

    document: str
    files: tuple[str, ...]
    covers: tuple[str, ...]
    tests: int
    imports: Literal["checked", "not checked"]
    ran: Ran
    passed: int | None
    seconds: float | None
    why_not_run: str


@dataclass(frozen=True, slots=True)
class NotOffered:
    """A document whose tests failed a check to the last, with what was wrong."""

    document: str
    error: str
    attempts: int


@dataclass(frozen=True, slots=True)
class NothingToTest:
    """A document of which its answer says why nothing is worth testing."""

    document: str
    note: str


@dataclass(frozen=True, slots=True)
class GenerationReport:
    """A report in full; times are timezone-aware, in UTC.

    `run_tests` says whether tests were to be run. `patch_files` are the files of the patch, which `git apply` takes at
    `commit`. `totals` are those of the documents; what is not offered is among those that are unanswered, and is not in
    `unanswered` here.
    """

    workflow: str
    run_id: int
    repository: str
    ref: str
    commit: str
    committed_at: datetime
    model: str
    prompt_version: str
    simulated: bool
    opened_at: datetime
    published_at: datetime
    deadline: datetime
    interim: bool
    run_tests: bool
    totals: Totals
    spend: Spend
    first_attempts: FirstAttempts
    offered: tuple[OfferedTests, ...]
    not_offered: tuple[NotOffered, ...]
    nothing_to_test: tuple[NothingToTest, ...]
    unanswered: tuple[UnansweredDocument, ...]
    skipped: tuple[SkippedDocuments, ...]
    retried: tuple[Retried, ...]

    @property
    def patch_files(self) -> int:
        """How many files the patch makes."""
        return sum(len(one.files) for one in self.offered)

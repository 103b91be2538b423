"""What the DAG that reviews a diff is declared with, and its one task."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from airflow.sdk import Param, get_current_context, task
from airflow.sdk.exceptions import AirflowFailException

from backcast.domain.reviews import SEVERITIES
from backcast.orchestration.explaining import explained
from backcast.orchestration.form import answering_params, repository_param
from backcast.orchestration.recording import tell_ledger

if TYPE_CHECKING:
    from pathlib import Path

    from backcast.domain.reviews import Review

WORKFLOW: Final = "pre_merge_review"
_TIMEOUT: Final = timedelta(minutes=5)
_log = logging.getLogger(__name__)

_DOCUMENTATION: Final = """### Review before a merge

Reviews what a branch changes, at once and synchronously: `git diff --merge-base BASE HEAD`, file by file, each answer
streamed. It never waits for a batch, and the ledger is told only afterwards, so that its money counts.

Trigger it by hand with a repository and two refs, or by REST, `POST /api/v2/dags/pre_merge_review/dagRuns` with
`{"logical_date": null, "conf": {"repository": "…", "base": "main", "head": "mine"}}`. It has no
schedule. The review lands in `reports/pre_merge_review/` as Markdown, SARIF and JSON; the task returns its folder. With
`fail_on` the task fails when something at least so severe was found, or when some of it has no answer. The command
`backcast review` does the same without Airflow. A run that is cleared reviews, and pays, anew.
"""


def review_dag() -> dict[str, Any]:
    """Return the arguments of Airflow's `DAG`; it starts unpaused, since it does nothing until somebody asks."""
    return {
        "dag_id": WORKFLOW,
        "schedule": None,
        "catchup": False,
        "max_active_runs": 16,
        "is_paused_upon_creation": False,
        "default_args": {"owner": "backcast", "retries": 0},
        "params": review_params(),
        "tags": ["backcast", "synchronous"],
        "doc_md": _DOCUMENTATION,
    }


def review_params() -> dict[str, Param]:
    """Return the form. What is left empty comes from the environment or from the workflow."""
    return {
        **repository_param(),
        "base": Param("main", type="string", minLength=1, title="Base", description="What it is to be merged into."),
        "head": Param(
            "HEAD", type="string", minLength=1, title="Head", description="The branch, tag or commit to review."
        ),
        "fail_on": Param(
            None,
            type=["null", "string"],
            enum=[None, *SEVERITIES],
            # The form would call it "null".
            values_display={"null": "never"},
            title="Fail on",
            description="Fail when something at least so severe is found, or something has no answer.",
        ),
        **answering_params("reviews", "What it does not cover is not asked about."),
    }


@task
@explained
def review() -> str:
    """Review the diff, write the report, tell the ledger, and fail where the form asks for it."""
    from backcast.orchestration import clients
    from backcast.reports.review_files import write_review
    from backcast.services.review import review_changes
    from backcast.settings import cache_folder, reports_folder, run_settings

    context = get_current_context()
    params = context["params"]
    settings = run_settings(WORKFLOW, {**params, "ref": params["head"]})
    reviewed = review_changes(
        clients.api(), clients.now, settings, base=params["base"], cache=cache_folder(), timeout=_TIMEOUT
    )
    found = reviewed.review
    folder = write_review(found, reports_folder() / WORKFLOW, reviewed.opened_at)
    _log.info("%s", found.summary())
    _log.info("Review: %s", folder)
    tell_ledger(settings, reviewed, "review")
    return _outcome(found, folder, params["fail_on"])


def _outcome(found: Review, folder: Path, fail_on: str | None) -> str:
    if fail_on is None:
        return str(folder)
    from backcast.domain.reviews import severity_of

    bad = found.at_or_above(severity_of(fail_on))
    if bad:
        first = bad[0]
        raise AirflowFailException(
            f"{len(bad)} findings at or above {fail_on}, first {first.path}:{first.line_start}: {first.title}. {folder}"
        )
    if found.unanswered:
        missing = found.unanswered[0]
        raise AirflowFailException(
            f"{len(found.unanswered)} not answered, first {missing.where}: {missing.reason}. {folder}"
        )
    return str(folder)

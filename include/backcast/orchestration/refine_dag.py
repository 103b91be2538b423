"""What the DAG that refines a prompt is declared with, and its tasks: refine, a person approves, promote."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final

from airflow.providers.standard.operators.hitl import ApprovalOperator
from airflow.sdk import Param, get_current_context, task
from airflow.sdk.exceptions import AirflowSkipException

from backcast.orchestration.explaining import explained
from backcast.orchestration.form import default_args
from backcast.settings import approval_timeout, workflow_names

if TYPE_CHECKING:
    from airflow.sdk import Context

_log = logging.getLogger(__name__)

_DOCUMENTATION: Final = """### Refine a prompt

Scores versions of a workflow's prompt on one sample, answered synchronously: how many answers are accepted, and, where
documents are labelled, precision and recall. While none reaches the workflow's threshold, the model proposes the next
version from the failures of the best, up to three times. The versions stand side by side in
`reports/WORKFLOW/refinements/`, with a picture of the scores, and each proposal as files and as a diff to be read.

Then a person decides, under *Required Actions*: approved, the best version is promoted, and runs that start from
then on are sent with it. Rejected, or not answered in time (`BACKCAST_APPROVAL_TIMEOUT`, 3 days unless told otherwise),
nothing changes. There is nothing to approve when the active version is the best.

Clearing a task is safe: what was answered is not paid for again.
"""
_REFINE: Final = "refine"
_APPROVE: Final = "approve"
_ANSWER: Final = "answer"


def refine_dag() -> dict[str, Any]:
    """Return the arguments of Airflow's `DAG`; it is started by hand."""
    return {
        "dag_id": "refine_prompt",
        "schedule": None,
        "catchup": False,
        "max_active_runs": 4,
        "default_args": default_args(),
        "params": _params(),
        "tags": ["backcast"],
        "doc_md": _DOCUMENTATION,
    }


def _params() -> dict[str, Param]:
    names = workflow_names()
    return {
        "workflow": Param(
            names[0] if names else None,
            type="string",
            enum=names,
            title="Workflow",
            description="Whose prompt is refined.",
        ),
        "versions": Param(
            None,
            type=["null", "array"],
            items={"type": "string"},
            maxItems=3,
            title="Versions",
            description="Which are scored side by side, one a line, 3 at most. Empty: the active one and the newest "
            "others.",
        ),
        "repository": Param(
            None,
            type=["null", "string"],
            title="Repository",
            description="Path or URL of the git repository that the sample is taken of, beside the labelled documents. "
            "Empty: the one that the workflow names.",
        ),
        "ref": Param(
            None, type=["null", "string"], title="Ref", description="Branch, tag or commit. Empty: the workflow's."
        ),
        "documents": Param(
            None,
            type=["null", "integer"],
            minimum=1,
            maximum=100,
            title="Documents",
            description="How many of the repository are in the sample; each is answered once with every version, at "
            "full price. Empty: as many as prove a prompt before a run.",
        ),
        "iterations": Param(
            3,
            type="integer",
            minimum=0,
            maximum=3,
            title="Iterations",
            description="How often the model may propose the next version. 0: the versions are only compared.",
        ),
        "why": Param(
            None,
            type=["null", "string"],
            title="Why",
            description="What is written down with a promotion. Empty: the scores.",
        ),
    }


class PromotionApproval(ApprovalOperator):
    """Asks a person whether the best version is promoted; skipped when it is the active one already."""

    def execute(self, context: Context) -> Any:
        """Ask, unless there is nothing to promote."""
        if not context["ti"].xcom_pull(task_ids=_REFINE)["promotes"]:
            raise AirflowSkipException("There is nothing to approve: no version is better than the active one.")
        return super().execute(context)

    def execute_complete(self, context: Context, event: dict[str, Any]) -> Any:
        """Take the answer, and keep it: a rejection skips what follows and then returns nothing."""
        context["ti"].xcom_push(key=_ANSWER, value=_answer(event))
        return super().execute_complete(context, event)


def _answer(event: dict[str, Any]) -> dict[str, Any]:
    """Return whether it was approved, and by whom; by nobody when nobody answered in time."""
    by = event.get("responded_by_user") or {}
    return {"approved": event.get("chosen_options") == [ApprovalOperator.APPROVE], "by": by.get("name") or by.get("id")}


@task(task_id=_REFINE)
@explained
def refine() -> dict[str, Any]:
    """Score versions on one sample, let the model propose the next ones, and say how they compare."""
    from backcast.orchestration import clients
    from backcast.reports.refinement import approval_text
    from backcast.services.reconcile import Folders
    from backcast.services.refine import Refinement
    from backcast.services.refine import refine as service
    from backcast.settings import cache_folder, reports_folder

    context = get_current_context()
    dag_run, params = context["dag_run"], context["params"]
    ask = Refinement(
        workflow=params["workflow"],
        versions=tuple(params["versions"] or ()),
        repository=params["repository"],
        ref=params["ref"],
        documents=params["documents"],
        iterations=params["iterations"],
        key=f"{dag_run.dag_id}/{dag_run.run_id}",
    )
    folders = Folders(cache_folder(), reports_folder())
    refining = service(clients.ledger(), clients.api(), clients.now, ask, folders)
    refined = refining.refined
    _log.info("%s", refined.ended)
    for one in refined.versions:
        _log.info("%s: %s accepted of %s.", one.version, one.scores.accepted, len(one.scores.answers))
    _log.info("Report: %s", refining.report)
    subject, body = approval_text(refined, str(refining.report))
    return {
        "workflow": refined.workflow,
        "version": refined.best.version,
        "prompt_hash": refined.best.prompt_hash,
        "scores": refined.best.scores.view(),
        "promotes": refined.promotes,
        "subject": subject,
        "body": body,
    }


@task
@explained
def promote(best: dict[str, Any]) -> None:
    """Make the approved version the one that runs are sent with."""
    from backcast.domain.scores import told
    from backcast.orchestration import clients
    from backcast.services.versions import declared_prompt
    from backcast.services.versions import promote as service

    context = get_current_context()
    answer = context["ti"].xcom_pull(task_ids=_APPROVE, key=_ANSWER)
    # A task that was marked successful by hand has no answer.
    if not answer or not answer["approved"] or not answer["by"]:
        raise AirflowSkipException(f"{best['version']} was not approved by a person: nothing changes.")
    why = context["params"]["why"] or told(best["scores"])
    workflow, version = best["workflow"], best["version"]
    service(
        clients.ledger(),
        clients.now,
        workflow,
        best["prompt_hash"],
        by=answer["by"],
        why=why,
        declared=declared_prompt(workflow),
        scores=best["scores"],
    )
    _log.info("%s is now the active version of %s, by %s: %s", version, workflow, answer["by"], why)


@task(trigger_rule="none_failed")
@explained
def conclude(best: dict[str, Any]) -> str:
    """Say what became of the best version."""
    answer = get_current_context()["ti"].xcom_pull(task_ids=_APPROVE, key=_ANSWER)
    said = f"{best['version']} {_became(best, answer)}."
    _log.info("%s", said)
    return said


def _became(best: dict[str, Any], answer: dict[str, Any] | None) -> str:
    if not best["promotes"]:
        return "is active already, and the best: nothing changes"
    if not answer or not answer["by"]:
        return "was not approved in time: nothing changes"
    if answer["approved"]:
        return f"is the active version, approved by {answer['by']}"
    return f"was rejected by {answer['by']}: nothing changes"


def refine_stages() -> None:
    """Put the tasks into the DAG that is being defined."""
    best: Any = refine()
    told = "{{ ti.xcom_pull(task_ids='refine')"
    approval = PromotionApproval(
        task_id=_APPROVE,
        subject=f"{told}['subject'] }}}}",
        body=f"{told}['body'] }}}}",
        # Whoever does not answer has not approved.
        defaults=ApprovalOperator.REJECT,
        response_timeout=approval_timeout(),
    )
    best >> approval >> promote(best) >> conclude(best)

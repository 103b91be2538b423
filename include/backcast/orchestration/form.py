"""The form that a manual trigger shows, and what all batch DAGs have in common."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any

from airflow.sdk import Param

from backcast.services.scheduling import scheduling_of, why_broken
from backcast.settings import load_workflow
from backcast.workflow_files import FILE_SOURCES

if TYPE_CHECKING:
    from collections.abc import Mapping


def default_args(priority: int = 0) -> dict[str, Any]:
    """Return the arguments of every task: an owner, retries for what may pass by itself, and who goes first."""
    return {
        "priority_weight": 1 + priority,
        # Airflow's own rule adds what comes after a task, by which a long DAG would go before an important one.
        "weight_rule": "absolute",
        "owner": "backcast",
        "retries": 3,
        "retry_delay": timedelta(seconds=30),
        "retry_exponential_backoff": True,
        "max_retry_delay": timedelta(minutes=10),
    }


def batch_params(workflow: str | None = None) -> dict[str, Param]:
    """Return the form of a batch DAG. What is left empty comes from the environment or from the workflow.

    Args:
        workflow: whose documents it names; None when its file cannot be used.
    """
    of_files = workflow is not None and load_workflow(workflow)["source"]["kind"] in FILE_SOURCES
    return {**(_folder_params() if of_files else _repository_params()), **_shared_params()}


def _folder_params() -> dict[str, Param]:
    return {
        "path": Param(
            None,
            type=["null", "string"],
            title="Folder",
            description="Path of another folder on the workers, or the URL of one in an object store, such as "
            "s3://bucket/inbox. Empty: BACKCAST_DOCUMENTS, or the workflow's own.",
        )
    }


def _repository_params() -> dict[str, Param]:
    return {
        **repository_param(),
        "ref": Param(
            None, type=["null", "string"], title="Ref", description="Branch, tag or commit. Empty: the workflow's."
        ),
    }


def _shared_params() -> dict[str, Param]:
    return {
        "include": Param(
            None,
            type=["null", "array"],
            items={"type": "string"},
            title="Only these files",
            description="Patterns as in .gitignore, one a line, such as src/ or *.py. Empty: every file.",
        ),
        "exclude": Param(
            None,
            type=["null", "array"],
            items={"type": "string"},
            title="Not these files",
            description="Patterns as in .gitignore, one a line, such as tests/fixtures/.",
        ),
        "max_documents": Param(
            None,
            type=["null", "integer"],
            minimum=1,
            title="At most so many documents",
            description="Takes the first ones in path order. Empty: all.",
        ),
        "deadline": Param(
            None,
            type=["null", "string"],
            format="date-time",
            title="Due",
            description=(
                "When the report is due, such as 2026-11-27T08:00+01:00: at least 10 minutes ahead and at most 28 "
                "days. Without a zone it is taken as UTC. Empty: the workflow's SLA from now on."
            ),
        ),
        **answering_params(
            "answers",
            "For first pass, retries and synchronous answers together. What it does not cover stays unanswered.",
        ),
        "let_pass": Param(
            None,
            type=["null", "string"],
            title="Let pass, because",
            description="Why the rest is to be submitted even when the sample is below the threshold; kept with your "
            "name. Empty: such a run stops after its sample.",
        ),
        "dry_run": Param(
            False,  # noqa: FBT003  Param takes its default by position
            type="boolean",
            title="Estimate only",
            description="Collects the documents and says what they would cost; sends nothing.",
        ),
        "full": Param(
            False,  # noqa: FBT003  as above
            type="boolean",
            title="Ask about everything again",
            description="Sends every document, also those whose content already has an accepted answer. Costs more.",
        ),
    }


def _documentation_of_broken(workflow: str, why: str) -> str:
    quoted = "\n".join(f"    {line}" for line in why.splitlines())
    return (
        f"### {workflow.replace('_', ' ')}\n\n**It has no schedule, and no run of it can be opened: the workflow is "
        f"broken.**\n\n{quoted}\n\nRuns that are open go on. `backcast check` says whether it is mended."
    )


def repository_param() -> dict[str, Param]:
    """Return the part of a form that says which repository is looked into."""
    return {
        "repository": Param(
            None,
            type=["null", "string"],
            title="Repository",
            description="Path or URL of a git repository. Empty: BACKCAST_REPOSITORY, or the workflow's own.",
        )
    }


def answering_params(does: str, bound: str) -> dict[str, Param]:
    """Return the part of a form that says who answers what, and for how much.

    Args:
        does: what the model does, as in "answers".
        bound: what the bound on money means, in sentences.
    """
    return {
        "model": Param(
            None, type=["null", "string"], title="Model", description=f"Model that {does}. Empty: the workflow's."
        ),
        "prompt": Param(
            None,
            type=["null", "string"],
            title="Prompt version",
            description="Such as v2, which stands in prompts/v2.md.j2. Empty: the workflow's.",
        ),
        "max_usd": Param(
            None,
            type=["null", "number"],
            minimum=0,
            title="At most so many US$",
            description=f"{bound} Empty: the workflow's budget.",
        ),
    }


def documentation(workflow: str) -> str:
    """Return what the DAG's page says of it; of a workflow that cannot be used, why."""
    if broken := why_broken(workflow):
        return _documentation_of_broken(workflow, broken)
    declared, scheduling = load_workflow(workflow), scheduling_of(workflow)
    starts = f"It {scheduling.schedule}." if scheduling.schedule else f"It has no schedule. {scheduling.why_not}"
    return (
        f"### {declared['name'].replace('_', ' ')}\n\n"
        f"{declared['description']}{_for_whom(declared)}\n\n**{starts}**\n\n"
        "Proves its prompt on a sample, which is answered at once, unless it has passed before. Then it sends one "
        "request a document to the Message Batches API, at half the price, and waits without a worker slot. "
        "What fails goes again in a second round. What no batch has answered when the clock allows no more is answered "
        f"synchronously, at full price, so that the report is on time. It lands in `reports/{declared['name']}/`, due "
        f"when the slot of its run says; that of a run by hand {declared['sla']} after it was opened, unless the form "
        f"says when. An alert is raised when that is at risk, and when it is missed.{_checks(declared)}\n\n"
        f"Trigger it by hand to choose {_what(declared)}, or to estimate the cost without sending anything. Clearing a "
        "task is safe: a batch that was sent is found again, and not paid twice. Of a rescue that is cleared while it "
        "runs, the calls under way may be."
    )


def _checks(declared: Mapping[str, Any]) -> str:
    if "tests" not in declared:
        return ""
    return (
        " What is proposed is checked before it is offered: it parses, imports what there is, and is run where "
        "`tests.run` or `BACKCAST_RUN_TESTS` says so. What fails goes again in the second round, with its error."
    )


def _what(declared: Mapping[str, Any]) -> str:
    return "another folder" if declared["source"]["kind"] in FILE_SOURCES else "the repository"


def _for_whom(declared: Mapping[str, Any]) -> str:
    consumers = declared.get("consumers", [])
    return f" For {', '.join(consumers)}." if consumers else ""

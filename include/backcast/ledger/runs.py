"""Runs: opened once for each external key, collected once, published once."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, cast

from backcast.domain.documents import Selection
from backcast.domain.errors import InputError
from backcast.domain.outlines import Outline
from backcast.domain.rescue import RescueTerms
from backcast.domain.sampling import LetPass, SampleTerms
from backcast.domain.static_checks import SandboxTerms
from backcast.domain.workflow import Budget, PromptVersion, RunSettings, WorkedExample
from backcast.ledger.connection import Connection, Row, sql
from backcast.settings import load_model

if TYPE_CHECKING:
    from datetime import datetime


def find_run(connection: Connection, external_key: str) -> int | None:
    """Return the id of the run that was opened for this key, if one was."""
    row = connection.execute(sql("run_by_external_key"), {"external_key": external_key}).fetchone()
    return row["run_id"] if row else None


def insert_run(  # noqa: PLR0913  a run is written whole or not at all
    connection: Connection,
    settings: RunSettings,
    *,
    external_key: str,
    repository: str,
    simulated: bool,
    base_url: str,
    opened_at: datetime,
) -> int:
    """Open a run, or return the one that another task opened for the same key meanwhile."""
    insert_prompt(connection, settings.workflow, settings.prompt, opened_at)
    row = connection.execute(
        sql("insert_run"),
        {
            "workflow": settings.workflow,
            "external_key": external_key,
            "repository": repository,
            "ref": settings.ref,
            "model": settings.model.name,
            "prompt_hash": settings.prompt.prompt_hash,
            "max_tokens": settings.max_tokens,
            "selection": json.dumps(asdict(settings.selection)),
            "dry_run": settings.dry_run,
            "full_run": settings.full,
            "simulated": simulated,
            "base_url": base_url,
            "opened_at": opened_at,
            "deadline": settings.deadline or opened_at + settings.sla,
            "rescue": json.dumps(asdict(settings.rescue)),
            "max_usd": settings.budget.run,
            "max_usd_a_month": settings.budget.month,
            "max_usd_for_retries": settings.budget.retries,
            "interim": settings.interim,
            "structured": settings.structured,
            "kind": settings.kind,
            "sample": json.dumps(asdict(settings.sample)),
            "let_pass": json.dumps(asdict(settings.let_pass)) if settings.let_pass else None,
            "source": settings.source,
            "tests": json.dumps(asdict(settings.tests)),
        },
    ).fetchone()
    return row["run_id"] if row else cast("int", find_run(connection, external_key))


def insert_prompt(connection: Connection, workflow: str, prompt: PromptVersion, now: datetime) -> None:
    """Keep the text of a prompt version, unless it is known."""
    connection.execute(
        sql("insert_prompt_version"),
        {
            "prompt_hash": prompt.prompt_hash,
            "workflow": workflow,
            "version": prompt.version,
            "system_template": prompt.system_template,
            "document_template": prompt.document_template,
            "answer_schema": prompt.answer_schema,
            "simplified_template": prompt.simplified_template,
            "examples": json.dumps({example.language: asdict(example) for example in prompt.examples}),
            "now": now,
        },
    )


def load_run(connection: Connection, run_id: int) -> Row:
    """Return a run with its prompt version.

    Raises:
        InputError: there is no such run.
    """
    row = connection.execute(sql("run"), {"run_id": run_id}).fetchone()
    if row is None:
        raise InputError(f"The ledger has no run {run_id}.")
    return row


def lock_run(connection: Connection, run_id: int) -> str:
    """Hold a run until the transaction ends and return its state."""
    row = connection.execute(sql("lock_run"), {"run_id": run_id}).fetchone()
    if row is None:
        raise InputError(f"The ledger has no run {run_id}.")
    return str(row["state"])


def rescue_terms_of(run: Row) -> RescueTerms:
    """Return how a run's documents may be answered synchronously."""
    return RescueTerms.of(run["rescue"])


def sample_terms_of(run: Row) -> SampleTerms:
    """Return how a run's prompt is proved before anything is submitted."""
    return SampleTerms.of(run["sample"])


def test_terms_of(run: Row) -> SandboxTerms:
    """Return how the tests that a run proposes are checked."""
    return SandboxTerms.of(run["tests"])


def outline_of_run(connection: Connection, run_id: int) -> Outline | None:
    """Return what a run's repository held when it was collected; None when that was not kept."""
    row = connection.execute(sql("outline_of_run"), {"run_id": run_id}).fetchone()
    return Outline.of(row["outline"]) if row else None


def let_pass_of(run: Row) -> LetPass | None:
    """Return who lets a run go on whatever its sample says, if anybody does."""
    return LetPass(**run["let_pass"]) if run["let_pass"] else None


def prompt_of_row(row: Row) -> PromptVersion:
    """Return the prompt version that a row tells of: one of `prompt_versions`, or a run's or a batch's."""
    stored: dict[str, dict[str, str]] = row["examples"]
    return PromptVersion(
        version=row["prompt_version"] if "prompt_version" in row else row["version"],
        system_template=row["system_template"],
        document_template=row["document_template"],
        answer_schema=row["answer_schema"],
        simplified_template=row["simplified_template"],
        # In the order of the files, which the hash depends on and JSON of the ledger does not keep.
        examples=tuple(WorkedExample(**stored[language]) for language in sorted(stored)),
    )


def settings_of(run: Row) -> RunSettings:
    """Return what a run of a workflow was asked to do."""
    return RunSettings(
        workflow=run["workflow"],
        repository=run["repository"],
        ref=run["ref"],
        selection=selection_of(run),
        sla=run["deadline"] - run["opened_at"],
        model=load_model(run["model"]),
        max_tokens=run["max_tokens"],
        prompt=prompt_of_row(run),
        rescue=rescue_terms_of(run),
        budget=Budget(run=run["max_usd"], month=run["max_usd_a_month"], retries=run["max_usd_for_retries"]),
        structured=run["structured"],
        sample=sample_terms_of(run),
        source=run["source"],
        tests=test_terms_of(run),
    )


def brings_its_own(row: Row) -> bool:
    """Whether the run that a row tells of, a run's or a batch's, is one of requests that bring their own parameters."""
    return bool(row["kind"] == "requests")


def selection_of(run: Row) -> Selection:
    """Return what of its source a run wants."""
    stored: dict[str, Any] = run["selection"]
    # What an earlier version did not know has its usual value.
    return Selection(**{**stored, "include": tuple(stored["include"]), "exclude": tuple(stored["exclude"])})

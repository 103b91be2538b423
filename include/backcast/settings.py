"""Reads workflows and settings: run parameters over `BACKCAST_*` environment over `workflow.yaml` over defaults."""

from __future__ import annotations

import os
import re
from dataclasses import fields, replace
from decimal import Decimal, InvalidOperation
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, get_args

import yaml

from backcast.domain.audit import CheckTerms
from backcast.domain.deadlines import parse_deadline
from backcast.domain.documents import Selection, is_url
from backcast.domain.durations import parse_duration
from backcast.domain.errors import InputError
from backcast.domain.findings import categories_of
from backcast.domain.pricing import Model, Price
from backcast.domain.report import ReportSettings
from backcast.domain.rescue import RescueTerms
from backcast.domain.sampling import SampleTerms
from backcast.domain.static_checks import Sandbox, SandboxTerms
from backcast.domain.workflow import Budget, RunSettings
from backcast.precedence import Found, Layers, Origin, Setting
from backcast.prompt_files import read_check_prompt, read_prompt, versions_in
from backcast.workflow_files import (
    FILE_SOURCES,
    SCHEMA,
    check_terms_in,
    deprecations,
    facts_of,
    read_workflow_file,
)
from backcast.yaml_errors import key_lines

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta

    from backcast.domain.documents import Source
    from backcast.domain.routing import Declared
    from backcast.domain.workflow import PromptVersion

_TESTS_VARIABLES: Final = {
    "run": "BACKCAST_RUN_TESTS",
    "sandbox": "BACKCAST_TESTS_SANDBOX",
    "python": "BACKCAST_TESTS_PYTHON",
}
# What a run is told. Settings without a parameter and a variable stand in `workflow.yaml` alone.
_OF_A_RUN: Final = (
    Setting("name"),
    Setting("description"),
    Setting("consumers", default=()),
    Setting("blocking", default=False),
    Setting("client_tools", default=()),
    Setting("server_tools", default=()),
    Setting("opportunistic", default=False),
    Setting("priority", default=0),
    Setting("notifications", default=()),
    Setting("sla", parameter="sla", variable="BACKCAST_SLA"),
    Setting("due"),
    Setting("every"),
    Setting("slots"),
    Setting("model", parameter="model", variable="BACKCAST_MODEL"),
    Setting("max_tokens"),
    Setting("prompt", parameter="prompt"),
    Setting("structured_outputs", default=True),
    Setting("source.kind"),
    Setting("source.repository", parameter="repository", variable="BACKCAST_REPOSITORY", default="."),
    Setting("source.ref", parameter="ref", variable="BACKCAST_REF", default="HEAD"),
    Setting("source.path", parameter="path", variable="BACKCAST_DOCUMENTS"),
    Setting("source.include", parameter="include", default=()),
    Setting("source.exclude", parameter="exclude", default=()),
    Setting("source.max_document_bytes", default=200_000),
    Setting("source.max_pdf_bytes", default=Selection().max_pdf_bytes),
    Setting("source.max_pdf_pages", default=Selection().max_pdf_pages),
    Setting("source.untested_only", default=False),
    Setting("source.max_documents", parameter="max_documents", variable="BACKCAST_MAX_DOCUMENTS"),
    Setting("budget.run", parameter="max_usd", variable="BACKCAST_MAX_USD"),
    Setting("budget.retries"),
    Setting("budget.month", variable="BACKCAST_MAX_USD_A_MONTH"),
    *(
        Setting(f"tests.{field.name}", variable=_TESTS_VARIABLES.get(field.name), default=field.default)
        for field in fields(SandboxTerms)
    ),
    *(Setting(f"rescue.{field.name}", default=field.default) for field in fields(RescueTerms)),
    *(Setting(f"report.{field.name}", default=field.default) for field in fields(ReportSettings)),
    *(Setting(f"sample.{field.name}", default=field.default) for field in fields(SampleTerms)),
    # Without defaults: where none of them is declared, nothing is checked.
    *(Setting(f"check.{field.name}") for field in fields(CheckTerms)),
)
# What every workflow on a machine is told, by the environment alone.
_OF_A_MACHINE: Final = (
    Setting("workflows", variable="BACKCAST_WORKFLOWS"),
    Setting("reports", variable="BACKCAST_REPORTS", default="reports"),
    Setting("home", variable="BACKCAST_HOME"),
    Setting("poll_interval", variable="BACKCAST_POLL_INTERVAL", default="60"),
    Setting("exclusive", variable="BACKCAST_EXCLUSIVE", default="false"),
    Setting("schedules", variable="BACKCAST_SCHEDULES", default="true"),
    Setting("alerts", variable="BACKCAST_ALERTS"),
    Setting("approval_timeout", variable="BACKCAST_APPROVAL_TIMEOUT", default="3d"),
    Setting("ledger", variable="BACKCAST_LEDGER"),
)


def resolve_machine() -> dict[str, Found]:
    """Return what every workflow on this machine is told, by name, as text, with where it came from."""
    return Layers({}, os.environ, {}, {}).resolve(_OF_A_MACHINE)


def _of_machine(name: str) -> str | None:
    value: str | None = resolve_machine()[name].value
    return value


# In a wheel the workflows of this project lie inside the package, as examples; in a checkout beside it.
_PACKAGE: Final = Path(__file__).resolve().parent
_EXAMPLES: Final = _PACKAGE / "workflows"
_DATE: Final = re.compile(r"-\d{8}$")


def workflows_folder() -> Path:
    """Return where workflows are declared: `BACKCAST_WORKFLOWS`, or those of this project, which a wheel brings."""
    configured = _of_machine("workflows")
    if configured:
        return Path(configured)
    return _EXAMPLES if _EXAMPLES.is_dir() else _PACKAGE.parent / "workflows"


def own_workflows_folder() -> Path:
    """Return where workflows of one's own may be written.

    Raises:
        InputError: those that a wheel brings are examples, which the next installation replaces.
    """
    folder = workflows_folder()
    if folder == _EXAMPLES:
        raise InputError("Where are your workflows to be? Set BACKCAST_WORKFLOWS to a folder of your own.")
    return folder


def checkout_dags() -> Path | None:
    """Return the folder of the DAG files in a checkout of this project; None in a wheel."""
    folder = _PACKAGE.parents[1] / "dags"
    return None if _EXAMPLES.is_dir() or not folder.is_dir() else folder


def schema_file() -> Path:
    """Return where the schema of workflow files stands, for editors."""
    return _PACKAGE / SCHEMA


def reports_folder() -> Path:
    """Return where reports are written: `BACKCAST_REPORTS`, or `reports` in the working directory."""
    return Path(_of_machine("reports") or "").resolve()


def cache_folder() -> Path:
    """Return where clones are kept: below `BACKCAST_HOME`, or the user's cache folder."""
    home = _of_machine("home")
    if home:
        return Path(home).resolve() / "git"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "backcast" / "git"


def poll_interval_seconds() -> float:
    """Return how long to wait between two looks at a batch, in seconds: `BACKCAST_POLL_INTERVAL`, or 60."""
    text = _of_machine("poll_interval") or ""
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0
    if seconds <= 0:
        raise InputError(f"BACKCAST_POLL_INTERVAL is {text!r}: write a number of seconds above 0.")
    return seconds


def exclusive_workspace() -> bool:
    """Return whether nobody else uses the API's workspace: `BACKCAST_EXCLUSIVE`, `true` or `false`, which is usual."""
    return _switch("exclusive")


def schedules_on() -> bool:
    """Return whether DAGs start by themselves: `BACKCAST_SCHEDULES`, `true`, which is usual, or `false`."""
    return _switch("schedules")


def alert_connections(workflow: str | None = None) -> list[str]:
    """Return the ids of the Airflow connections by which alerts are sent, each once.

    Those that `BACKCAST_ALERTS` names, separated by commas, hear of everything; those of a workflow's `notifications`,
    of what is about its runs.

    Args:
        workflow: whose alerts they are; None when they are about none.

    Raises:
        InputError: there is no such workflow, or its file is wrong.
    """
    everywhere = [name.strip() for name in (_of_machine("alerts") or "").split(",") if name.strip()]
    return list(dict.fromkeys([*everywhere, *(load_workflow(workflow).get("notifications", ()) if workflow else ())]))


def approval_timeout() -> timedelta:
    """Return how long a promotion waits for a person's approval: `BACKCAST_APPROVAL_TIMEOUT`, or 3 days."""
    try:
        return parse_duration(_of_machine("approval_timeout") or "")
    except ValueError as error:
        raise InputError(f"BACKCAST_APPROVAL_TIMEOUT cannot be used: {error}") from error


def _switch(name: str) -> bool:
    text = (_of_machine(name) or "").lower()
    if text not in {"true", "false"}:
        raise InputError(f"BACKCAST_{name.upper()} is {text!r}: write true or false.")
    return text == "true"


def load_model(name: str) -> Model:
    """Return a model's limits and prices.

    Raises:
        InputError: the model has no entry, so what it would cost is not known.
    """
    known = _models()
    if name not in known:
        raise InputError(f"The model {name!r} is not known here. Choose one of {', '.join(sorted(known))}.")
    entry = known[name]
    prices = tuple(
        Price(Decimal(price["input"]), Decimal(price["output"]), price.get("up_to_input_tokens"))
        for price in entry["prices"]
    )
    return Model(
        name,
        entry["max_input_tokens"],
        entry["max_output_tokens"],
        prices,
        cache_read_share=Decimal(entry.get("cache_read_share", "0.1")),
        least_cacheable_tokens=entry["least_cacheable_tokens"],
    )


def model_names() -> list[str]:
    """Return the names of the models whose prices are known."""
    return sorted(_models())


def model_of_message(name: str | None, usual: Model) -> Model:
    """Return the model that an answer names, which may be by its date; the usual one when that is not known."""
    known = plain_model_name(name or "")
    return load_model(known) if known in _models() else usual


def plain_model_name(name: str) -> str:
    """Return a model's name without its date, `-20251001`."""
    return _DATE.sub("", name)


@cache
def _models() -> dict[str, Any]:
    text = (resources.files("backcast") / "models.yaml").read_text(encoding="utf-8")
    models: dict[str, Any] = yaml.safe_load(text)["models"]
    return models


def workflow_names() -> list[str]:
    """Return the names of the workflows that are declared: the folders that have a `workflow.yaml`."""
    return sorted(path.parent.name for path in workflows_folder().glob("*/workflow.yaml"))


def load_workflow(name: str) -> dict[str, Any]:
    """Return `workflow.yaml` of a workflow, checked against the schema of workflow files.

    Raises:
        InputError: there is no such workflow, or its file is wrong.
    """
    return _read_workflow(name)[0]


def workflow_file(name: str) -> Path:
    """Return where a workflow is declared, whether or not it is there."""
    return workflows_folder() / name / "workflow.yaml"


def _read_workflow(name: str) -> tuple[dict[str, Any], str]:
    """Return what a workflow declares, and the text that declares it."""
    most_tokens = {model: load_model(model).max_output_tokens for model in model_names()}
    return read_workflow_file(workflow_file(name), most_tokens)


def workflow_notes(name: str) -> list[str]:
    """Return what is read no more of a workflow's file, with its lines.

    Raises:
        InputError: there is no such workflow, or its file is wrong.
    """
    return list(deprecations(workflow_file(name), *_read_workflow(name)))


def declared_facts(name: str) -> Declared:
    """Return what decides about the API that a workflow belongs on; its SLA may come from `BACKCAST_SLA`.

    Raises:
        InputError: there is no such workflow, or its file is wrong.
    """
    return replace(facts_of(load_workflow(name)), sla=workflow_sla(name))


def load_prompt(workflow: str, version: str) -> PromptVersion:
    """Return a version of a workflow's prompt, with its answer schema and worked examples, from its files.

    Raises:
        InputError: there is no such version, or one of its files cannot be used; the message names file and line.
    """
    try:
        return read_prompt(workflows_folder() / workflow, version)
    except InputError as error:
        raise InputError(f"The prompt {version!r} of workflow {workflow!r} cannot be used: {error}") from error


def load_check_prompt(workflow: str) -> PromptVersion:
    """Return the prompt by which a workflow's findings are checked, from its files, with the schema of the answers.

    Raises:
        InputError: one of its files is not there or cannot be used; the message names it.
    """
    try:
        return read_check_prompt(workflows_folder() / workflow)
    except InputError as error:
        raise InputError(f"The findings of workflow {workflow!r} cannot be checked: {error}") from error


def check_terms(workflow: str) -> CheckTerms | None:
    """Return how a workflow's findings are checked, as `workflow.yaml` says now; None when they are not.

    Raises:
        InputError: there is no such workflow, or its file is wrong.
    """
    return check_terms_in(load_workflow(workflow))


def prompt_versions(workflow: str) -> list[str]:
    """Return the versions of a workflow's prompt that have files, in natural order: v2 before v10."""
    return versions_in(workflows_folder() / workflow)


def report_settings(workflow: str) -> ReportSettings:
    """Return how a workflow's report is put together, as `workflow.yaml` says now.

    Raises:
        InputError: there is no such workflow, or its file is wrong.
    """
    return _report_settings(workflow, resolve(workflow, {}))


def _report_settings(workflow: str, found: Mapping[str, Found]) -> ReportSettings:
    beside = found["report.beside"].value
    others = [name for name in workflow_names() if name != workflow]
    if beside is not None and beside not in others:
        raise InputError(
            f"{workflow_file(workflow)}:{found['report.beside'].line or 1}: report.beside: {beside!r} is no other "
            f"workflow. Name one of {', '.join(others) or 'none'}."
        )
    return ReportSettings(first=found["report.first"].value, beside=beside)


def resolve(workflow: str, params: Mapping[str, Any]) -> dict[str, Found]:
    """Return every value that a run of a workflow would have, by its name in `workflow.yaml`, and where it came from.

    They are as they were written: only `run_settings` says whether each can be used.

    Raises:
        InputError: there is no such workflow, or its file is wrong.
    """
    declared, text = _read_workflow(workflow)
    return Layers(params, os.environ, declared, key_lines(text)).resolve(_OF_A_RUN)


def run_settings(workflow: str, params: Mapping[str, Any]) -> RunSettings:
    """Weigh run parameters, environment, `workflow.yaml` and defaults into the settings of one run.

    Raises:
        InputError: a value cannot be used; the message names it.
    """
    found = resolve(workflow, params)
    value = {name: one.value for name, one in found.items()}
    # Nothing of it is kept for the run, but a mistake in it is better said before anything is paid.
    _report_settings(workflow, found)
    source, named = _source(workflow, found)
    prompt = _prompt(workflow, found["prompt"])
    _require_checkable(workflow, prompt)
    return RunSettings(
        workflow=workflow,
        repository=named,
        ref=str(value["source.ref"]) if source == "git" else "",
        selection=Selection(
            include=tuple(value["source.include"]),
            exclude=tuple(value["source.exclude"]),
            max_document_bytes=value["source.max_document_bytes"],
            max_documents=_max_documents(value["source.max_documents"]),
            max_pdf_bytes=value["source.max_pdf_bytes"],
            max_pdf_pages=value["source.max_pdf_pages"],
            untested_only=value["source.untested_only"],
        ),
        sla=_sla(found),
        model=load_model(str(value["model"])),
        max_tokens=value["max_tokens"],
        prompt=prompt,
        prompt_is_given=found["prompt"].origin is Origin.PARAMETER,
        dry_run=bool(params.get("dry_run")),
        full=bool(params.get("full")),
        structured=value["structured_outputs"],
        rescue=RescueTerms.of({field.name: value[f"rescue.{field.name}"] for field in fields(RescueTerms)}),
        budget=_budget(value),
        sample=SampleTerms.of({field.name: value[f"sample.{field.name}"] for field in fields(SampleTerms)}),
        deadline=parse_deadline(str(params["deadline"])) if params.get("deadline") else None,
        source=source,
        tests=_tests(found),
    )


def _prompt(workflow: str, found: Found) -> PromptVersion:
    try:
        return load_prompt(workflow, str(found.value))
    except InputError as error:
        if found.line is None:
            raise
        raise InputError(f"{workflow_file(workflow)}:{found.line}: prompt: {error}") from error


def _require_checkable(workflow: str, prompt: PromptVersion) -> None:
    if check_terms(workflow) is None:
        return
    if not categories_of(prompt.answer_schema):
        raise InputError(
            f"{workflow_file(workflow)}: check: the answers of this workflow have no findings with a category, so that "
            "there is nothing to check. Leave it out, or let schema.json ask for findings."
        )
    load_check_prompt(workflow)


def workflow_sla(workflow: str) -> timedelta:
    """Return how long a run may take unless it is told otherwise: `BACKCAST_SLA`, or what `workflow.yaml` says."""
    return _sla(resolve(workflow, {}))


def _sla(found: Mapping[str, Found]) -> timedelta:
    try:
        return parse_duration(str(found["sla"].value))
    except ValueError as error:
        raise InputError(f"The SLA cannot be used: {error}") from error


def _budget(value: Mapping[str, Any]) -> Budget:
    return Budget(
        run=_usd("max_usd", value["budget.run"]),
        month=_usd("max_usd_a_month", value["budget.month"]),
        retries=_usd("budget.retries", value["budget.retries"]),
    )


def _tests(found: Mapping[str, Found]) -> SandboxTerms:
    """Return how proposed tests are checked; what the environment says is text."""
    run, sandbox = str(found["tests.run"].value).lower(), str(found["tests.sandbox"].value)
    if run not in {"true", "false"}:
        raise InputError(f"BACKCAST_RUN_TESTS is {found['tests.run'].value!r}: write true or false.")
    if sandbox not in get_args(Sandbox):
        raise InputError(f"BACKCAST_TESTS_SANDBOX is {sandbox!r}: write {' or '.join(get_args(Sandbox))}.")
    return SandboxTerms.of(
        {
            **{field.name: found[f"tests.{field.name}"].value for field in fields(SandboxTerms)},
            "run": run == "true",
            "sandbox": sandbox,
        }
    )


def _usd(name: str, given: object) -> Decimal | None:
    if given is None:
        return None
    try:
        amount = Decimal(str(given))
    except InvalidOperation:
        amount = Decimal(-1)
    if not amount.is_finite() or amount < 0:
        raise InputError(f"{name} is {given!r}: write an amount in US$ such as 12.50.")
    return amount


def _source(workflow: str, found: Mapping[str, Found]) -> tuple[Source, str]:
    """Return what the documents come from, and its name; a path or URL that a person gives may be of the other kind."""
    if found["source.kind"].value not in FILE_SOURCES:
        return "git", _repository(workflow, found["source.repository"])
    path, asked = found["source.path"], found["source.repository"]
    if asked.origin is Origin.PARAMETER and path.origin is not Origin.PARAMETER:
        # Commands that take a sample of "a repository" mean wherever the documents are.
        path = asked
    named = str(path.value)
    if is_url(named):
        return "object_store", named
    if path.origin is Origin.FILE:
        # Relative to the file that names it, not to whatever directory a worker runs in.
        return "folder", str(workflows_folder().resolve() / workflow / named)
    return "folder", str(Path(named).expanduser().resolve())


def _repository(workflow: str, found: Found) -> str:
    if found.value != "." or found.origin is Origin.PARAMETER:
        return str(found.value)
    # "." in a workflow file means the repository that holds it, not whatever directory a worker runs in.
    folder = workflows_folder().resolve() / workflow
    holder = next((parent for parent in folder.parents if (parent / ".git").exists()), None)
    # A wheel may be installed below a repository, which holds it and yet has nothing to do with its examples.
    if holder is None or folder.is_relative_to(_EXAMPLES):
        raise InputError(
            f"Which repository is meant? {folder / 'workflow.yaml'} means '.', the repository that holds it, and no "
            "repository does. Name one in the DAG run's form, in BACKCAST_REPOSITORY, or in a workflow of your own."
        )
    return str(holder)


def _max_documents(given: object) -> int | None:
    if given is None:
        return None
    try:
        most = int(str(given))
    except ValueError:
        most = 0
    if most < 1:
        raise InputError(f"max_documents is {given!r}: write a whole number of at least 1.")
    return most

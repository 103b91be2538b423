"""Reads workflows and settings: run parameters over `BACKCAST_*` environment over `workflow.yaml` over defaults."""

from __future__ import annotations

import json
import os
from decimal import Decimal, InvalidOperation
from functools import cache
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml

from backcast.domain.deadlines import parse_deadline
from backcast.domain.documents import Selection
from backcast.domain.durations import parse_duration
from backcast.domain.errors import InputError
from backcast.domain.pricing import Model, Price
from backcast.domain.report import ReportSettings
from backcast.domain.rescue import RescueTerms
from backcast.domain.workflow import Budget, PromptVersion, RunSettings, WorkedExample
from backcast.yaml_errors import schema_errors

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import timedelta


# In a wheel the workflows of this project lie inside the package, as examples; in a checkout beside it.
_PACKAGE: Final = Path(__file__).resolve().parent
_EXAMPLES: Final = _PACKAGE / "workflows"


def workflows_folder() -> Path:
    """Return where workflows are declared: `BACKCAST_WORKFLOWS`, or those of this project, which a wheel brings."""
    configured = os.environ.get("BACKCAST_WORKFLOWS")
    if configured:
        return Path(configured)
    return _EXAMPLES if _EXAMPLES.is_dir() else _PACKAGE.parent / "workflows"


def reports_folder() -> Path:
    """Return where reports are written: `BACKCAST_REPORTS`, or `reports` in the working directory."""
    return Path(os.environ.get("BACKCAST_REPORTS") or "reports").resolve()


def cache_folder() -> Path:
    """Return where clones are kept: below `BACKCAST_HOME`, or the user's cache folder."""
    home = os.environ.get("BACKCAST_HOME")
    if home:
        return Path(home).resolve() / "git"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "backcast" / "git"


def poll_interval_seconds() -> float:
    """Return how long to wait between two looks at a batch, in seconds: `BACKCAST_POLL_INTERVAL`, or 60."""
    text = os.environ.get("BACKCAST_POLL_INTERVAL", "60")
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0
    if seconds <= 0:
        raise InputError(f"BACKCAST_POLL_INTERVAL is {text!r}: write a number of seconds above 0.")
    return seconds


def exclusive_workspace() -> bool:
    """Return whether nobody else uses the API's workspace: `BACKCAST_EXCLUSIVE`, `true` or `false`, which is usual."""
    return _switch("BACKCAST_EXCLUSIVE", "false")


def schedules_on() -> bool:
    """Return whether DAGs start by themselves: `BACKCAST_SCHEDULES`, `true`, which is usual, or `false`."""
    return _switch("BACKCAST_SCHEDULES", "true")


def alert_connections() -> list[str]:
    """Return the ids of the Airflow connections that alerts are sent to: `BACKCAST_ALERTS`, separated by commas."""
    return [name.strip() for name in os.environ.get("BACKCAST_ALERTS", "").split(",") if name.strip()]


def _switch(name: str, usual: str) -> bool:
    text = (os.environ.get(name) or usual).lower()
    if text not in {"true", "false"}:
        raise InputError(f"{name} is {text!r}: write true or false.")
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
    share = Decimal(entry.get("cache_read_share", "0.1"))
    return Model(name, entry["max_input_tokens"], entry["max_output_tokens"], prices, share)


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
    path = workflows_folder() / name / "workflow.yaml"
    try:
        text = path.read_text(encoding="utf-8")
        declared = yaml.safe_load(text)
    except FileNotFoundError:
        raise InputError(f"There is no workflow {name!r}: {path} does not exist.") from None
    except yaml.YAMLError as error:
        raise InputError(f"{path} is not YAML: {error}") from error
    schema = json.loads((resources.files("backcast") / "workflow.schema.json").read_text(encoding="utf-8"))
    wrong = schema_errors(text, schema)
    if wrong:
        listed = "\n".join(f"{path}:{line}: {message}" for line, message in wrong)
        raise InputError(f"{name} is no workflow that can be used:\n{listed}")
    return dict(declared)


def load_prompt(workflow: str, version: str) -> PromptVersion:
    """Return a version of a workflow's prompt with its answer schema, from the workflow's folder."""
    folder = workflows_folder() / workflow
    try:
        schema = json.loads((folder / "schema.json").read_text(encoding="utf-8"))
        return PromptVersion(
            version=version,
            system_template=(folder / "prompts" / f"{version}.md.j2").read_text(encoding="utf-8"),
            document_template=(folder / "prompts" / "document.md.j2").read_text(encoding="utf-8"),
            # Without blanks, since it travels in every request.
            answer_schema=json.dumps(schema, separators=(",", ":")),
            simplified_template=_text_if_any(folder / "prompts" / "simplified.md.j2"),
            examples=_examples(folder / "examples"),
        )
    except OSError as error:
        raise InputError(f"The prompt {version!r} of workflow {workflow!r} cannot be read: {error}") from error
    except json.JSONDecodeError as error:
        raise InputError(f"schema.json, or answer.json of an example, in {folder} is not JSON: {error}") from error


def report_settings(workflow: str) -> ReportSettings:
    """Return how a workflow's report is put together, as `workflow.yaml` says now.

    Raises:
        InputError: there is no such workflow, or its file is wrong.
    """
    return _report_settings(workflow, load_workflow(workflow))


def _report_settings(workflow: str, declared: Mapping[str, Any]) -> ReportSettings:
    report = declared.get("report", {})
    beside = report.get("beside")
    others = [name for name in workflow_names() if name != workflow]
    if beside is not None and beside not in others:
        path = workflows_folder() / workflow / "workflow.yaml"
        raise InputError(
            f"{path}: report.beside: {beside!r} is no other workflow. Name one of {', '.join(others) or 'none'}."
        )
    return ReportSettings(first=report.get("first", "pays_off"), beside=beside)


def _text_if_any(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


def _examples(folder: Path) -> tuple[WorkedExample, ...]:
    """Read `LANGUAGE/document.txt` and `LANGUAGE/answer.json` of each language that has them."""
    return tuple(
        WorkedExample(
            language=path.name,
            document=(path / "document.txt").read_text(encoding="utf-8"),
            answer=json.dumps(json.loads((path / "answer.json").read_text(encoding="utf-8")), separators=(",", ":")),
        )
        for path in sorted(folder.glob("*/"))
    )


def run_settings(workflow: str, params: Mapping[str, Any]) -> RunSettings:
    """Weigh run parameters, environment, `workflow.yaml` and defaults into the settings of one run.

    Raises:
        InputError: a value cannot be used; the message names it.
    """
    declared = load_workflow(workflow)
    # Nothing of it is kept for the run, but a mistake in it is better said before anything is paid.
    _report_settings(workflow, declared)
    source = declared["source"]
    sla = _sla(params, declared)
    return RunSettings(
        workflow=workflow,
        repository=_repository(workflow, params, source),
        ref=str(_first(params, "ref", source["ref"])),
        selection=Selection(
            include=_patterns(params, "include", source),
            exclude=_patterns(params, "exclude", source),
            max_document_bytes=source["max_document_bytes"],
            max_documents=_max_documents(params, source),
        ),
        sla=sla,
        model=load_model(str(_first(params, "model", declared["model"]))),
        max_tokens=declared["max_tokens"],
        prompt=load_prompt(workflow, declared["prompt"]),
        dry_run=bool(params.get("dry_run")),
        full=bool(params.get("full")),
        structured=declared.get("structured_outputs", True),
        rescue=RescueTerms.of(declared.get("rescue", {})),
        budget=_budget(params, declared),
        deadline=parse_deadline(str(params["deadline"])) if params.get("deadline") else None,
    )


def workflow_sla(workflow: str) -> timedelta:
    """Return how long a run may take unless it is told otherwise: `BACKCAST_SLA`, or what `workflow.yaml` says."""
    return _sla({}, load_workflow(workflow))


def _sla(params: Mapping[str, Any], declared: Mapping[str, Any]) -> timedelta:
    try:
        return parse_duration(str(_first(params, "sla", declared["sla"])))
    except ValueError as error:
        raise InputError(f"The SLA cannot be used: {error}") from error


def _budget(params: Mapping[str, Any], declared: Mapping[str, Any]) -> Budget:
    given: dict[str, Any] = declared.get("budget", {})
    month = os.environ.get("BACKCAST_MAX_USD_A_MONTH") or given.get("month")
    run = params.get("max_usd")
    return Budget(
        run=_usd("max_usd", _first({}, "max_usd", given.get("run")) if run is None else run),
        month=_usd("max_usd_a_month", month),
        retries=_usd("budget.retries", given.get("retries")),
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


def _first(params: Mapping[str, Any], name: str, declared: Any) -> Any:  # noqa: ANN401  YAML holds anything
    return params.get(name) or os.environ.get(f"BACKCAST_{name.upper()}") or declared


def _repository(workflow: str, params: Mapping[str, Any], source: Mapping[str, Any]) -> str:
    repository = str(_first(params, "repository", source["repository"]))
    if repository != "." or params.get("repository"):
        return repository
    # "." in a workflow file means the repository that holds it, not whatever directory a worker runs in.
    folder = workflows_folder().resolve() / workflow
    holder = next((parent for parent in folder.parents if (parent / ".git").exists()), None)
    # A wheel may be installed below a repository, which holds it and yet has nothing to do with its examples.
    if holder is None or folder.is_relative_to(_EXAMPLES):
        raise InputError(
            f"Which repository is meant? {folder / 'workflow.yaml'} says '.', the repository that holds it, and no "
            "repository does. Name one in the DAG run's form, in BACKCAST_REPOSITORY, or in a workflow of your own."
        )
    return str(holder)


def _patterns(params: Mapping[str, Any], name: str, source: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(params.get(name) or source.get(name) or ())


def _max_documents(params: Mapping[str, Any], source: Mapping[str, Any]) -> int | None:
    wanted = _first(params, "max_documents", source.get("max_documents"))
    return int(wanted) if wanted else None

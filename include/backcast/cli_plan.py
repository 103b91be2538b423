"""The command that says what a schedule promises, before anything is paid."""

from __future__ import annotations

import io
import sys
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import orjson
import pendulum
from rich.console import Console
from rich.text import Text

from backcast.domain.durations import told
from backcast.domain.errors import InputError
from backcast.labelled import load_labelled
from backcast.prompt_files import files_of
from backcast.services.planning import plan_ahead
from backcast.services.routing import is_synchronous
from backcast.services.scheduling import starts_by_itself
from backcast.settings import (
    declared_facts,
    load_prompt,
    load_workflow,
    prompt_versions,
    resolve,
    run_settings,
    workflow_file,
    workflow_names,
    workflow_notes,
    workflows_folder,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from backcast.domain.plan import Plan, PlannedRun
    from backcast.domain.workflow import PromptVersion
    from backcast.services.planning import Planned

_PROBLEMS: Final = 1
_RUNS_SHOWN: Final = 12
_RUNS_DRAWN: Final = 4
_BAR: Final = 60
_SVG_WIDTH: Final = 110
_LEGEND: Final = [
    ("━", "cyan", "window"),
    ("─", "cyan", "still hoping"),
    ("▒", "yellow", "canceled, rescued"),
    ("│", "red", "due"),
]


@click.command()
@click.argument("workflow", required=False)
@click.option("--sla", help="How long a run may take: 30h.")
@click.option("--window", help="How long the API may take for a batch: 24h.")
@click.option("--every", help="How far apart submissions are wished to be: 6h. As far as is safe, unless told.")
@click.option("--due", help="When a report is due: '08:00 Europe/Berlin', 'Mon-Fri 08:00 UTC'. Rolling without it.")
@click.option("--requests", type=click.IntRange(0, 10**9), help="Requests of a report, or of an interval: 300.")
@click.option("--input-tokens", type=click.IntRange(min=1), help="Of a request, on average: 2700.")
@click.option("--output-tokens", type=click.IntRange(min=1), help="Of an answer, on average: 800.")
@click.option("--requests-per-minute", type=float, help="What may be asked synchronously: 50.")
@click.option("--tokens-per-minute", type=float, help="What may be asked and answered synchronously: 100000.")
@click.option("--model", help="Whose prices to reckon with.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--svg", type=click.Path(dir_okay=False, path_type=Path), help="Also draw it into this file.")
def plan(*, workflow: str | None, as_json: bool, svg: Path | None, **given: Any) -> None:  # noqa: ANN401  as click has it
    """Show when WORKFLOW submits and when it stops hoping, computed backward from its deadline.

    Without a workflow, of the SLA that is given, or of 30 hours. Exit 2 when the SLA cannot hold.
    """
    planned = plan_ahead(workflow, given, datetime.now(UTC))
    if as_json:
        click.echo(orjson.dumps(_as_json(planned), option=orjson.OPT_INDENT_2, default=_plain).decode())
    else:
        _print(Console(highlight=False), planned)
    if svg is not None:
        recorded = Console(record=True, width=_SVG_WIDTH, file=io.StringIO(), highlight=False)
        _print(recorded, planned)
        svg.write_text(recorded.export_svg(title=f"backcast plan {workflow or ''}".strip()), encoding="utf-8")
        if not as_json:
            click.echo(f"Drawn into {svg}.")


@click.command()
def check() -> None:
    """Check that every workflow can be read and that its SLA can hold, as before a deployment. Exit 1 if not.

    Every version of its prompt, and its labelled documents, are read, too.
    """
    failed = False
    for name in workflow_names():
        try:
            settings = run_settings(name, {})
            load_labelled(name)
            prompts = [load_prompt(name, version) for version in prompt_versions(name)]
            says = _says(name)
            notes = [*workflow_notes(name), *(_schema_notes(name, prompts) if settings.structured else ())]
        except InputError as error:
            failed = True
            click.echo(f"{name}: {error}", err=True)
        else:
            click.echo(f"{name}: {says}")
            for note in notes:
                click.echo(note, err=True)
    sys.exit(_PROBLEMS if failed else 0)


def _schema_notes(name: str, prompts: Iterable[PromptVersion]) -> Iterator[str]:
    """Yield which answer schemas the API cannot be told, each once."""
    from backcast.anthropic_api.structured import output_config  # noqa: PLC0415  two seconds

    schemas = {files_of(workflows_folder() / name, one.version).schema: one.answer_schema for one in prompts}
    for file, schema in schemas.items():
        if not output_config(schema):
            yield (
                f"{file}: the API cannot be told this schema, so that only the prompt asks for it. Give each property "
                "one `type`, or an `enum` or `anyOf` of such; or write `structured_outputs: false` in workflow.yaml."
            )


def _says(name: str) -> str:
    """Say when a workflow starts, and what it keeps to.

    Raises:
        InputError: it cannot keep to it, or contradicts itself.
    """
    try:
        return _planned(name)
    except InputError as error:
        line = resolve(name, {})["sla"].line
        where = "" if line is None else f"{workflow_file(name)}:{line}: sla: "
        raise InputError(f"{where}{error}") from error


def _planned(name: str) -> str:
    by_itself = starts_by_itself(load_workflow(name))
    if is_synchronous(name):
        due = declared_facts(name).due
        return f"is answered synchronously, {f'due {due}' if due else 'by schedule' if by_itself else 'on demand'}"
    planned = plan_ahead(name, {}, datetime.now(UTC))
    return str(planned.plan.schedule) if by_itself else "is started by hand"


def _as_json(planned: Planned) -> dict[str, Any]:
    plan = planned.plan
    return {
        "buffer": plan.terms.buffer,
        "reserve": plan.terms.reserve,
        "longest_interval": plan.terms.longest_interval,
        "interval": plan.schedule.interval,
        "missing_reserve": plan.missing,
        "minimum_sla": plan.terms.minimum_sla,
        "terms": asdict(plan.terms),
        "schedule": str(plan.schedule),
        "runs": [asdict(run) for run in plan.runs],
        "worst_case": [asdict(step) for step in plan.worst],
        "runs_at_once": plan.runs_at_once,
        "whole_rounds": plan.rounds,
        "batches": plan.batches,
        "guaranteed": plan.guaranteed,
        "faster_by": plan.faster_by,
        "cost_usd": asdict(planned.cost),
    }


def _plain(value: object) -> object:
    # Durations in seconds; money as text, so that no digit is lost.
    return value.total_seconds() if isinstance(value, timedelta) else str(value)


def _print(console: Console, planned: Planned) -> None:
    for line in _lines(planned):
        console.print(Text(line), soft_wrap=True)
    console.print()
    for row in _timeline(planned.plan, _zone(planned)):
        console.print(row, soft_wrap=True)


def _lines(planned: Planned) -> Iterator[str]:
    plan, terms, wish = planned.plan, planned.plan.terms, planned.wish
    yield f"{told(terms.sla)} \N{MINUS SIGN} {told(terms.window)} = {told(terms.buffer)} buffer"
    if terms.window < wish.window:
        yield (
            f"          opportunistic: a batch is tried for {told(terms.window)} of its {told(wish.window)}; what it "
            "has not answered then is asked synchronously"
        )
    yield (
        f"reserve   {told(terms.reserve)} = {told(terms.overhead)} overhead + {told(terms.settle)} settling + "
        f"{told(terms.drain)} to answer {wish.work.requests} requests synchronously + {told(terms.margin)} margin"
    )
    yield from _interval_lines(planned)
    yield f"schedule  {plan.schedule}; at most {plan.runs_at_once} runs at once"
    yield f"rounds    {plan.rounds} with a whole window" + (
        f"; sent in {plan.batches} batches, to be canceled one after the other" if plan.batches > 1 else ""
    )
    yield f"cost      ${planned.cost.least_usd:,.2f} to ${planned.cost.most_usd:,.2f} for {wish.work.requests} requests"
    yield from _guarantee_lines(planned)
    yield ""
    yield from _run_lines(plan, _zone(planned))
    yield ""
    yield "worst case: nothing of the last batch of this report comes before its window ends"
    yield from (f"  {_local(step.at, _zone(planned))}  {step.what}" for step in plan.worst)


def _interval_lines(planned: Planned) -> Iterator[str]:
    plan, terms, wish = planned.plan, planned.plan.terms, planned.wish
    interval = plan.schedule.interval
    if terms.longest_interval > timedelta():
        why = "as asked" if wish.every == interval else "the longest part of a day that fits"
        yield f"interval  at most {told(terms.longest_interval)}; {told(interval)} is {why}"
    if plan.missing:
        yield (
            f"          {told(wish.every or timedelta())} would use up {told(plan.missing)} of the reserve, so that a "
            f"batch which takes its whole window leaves too little: {told(interval)} instead"
        )


def _guarantee_lines(planned: Planned) -> Iterator[str]:
    plan, rate = planned.plan, planned.wish.rate
    if plan.guaranteed:
        yield "in time   guaranteed, even when nothing of any batch comes"
        return
    yield "in time   NOT guaranteed in the worst case: what is open cannot all be answered synchronously"
    if plan.faster_by is None:
        yield "          no rate is fast enough: a single call takes longer than what is left. Give the SLA more time"
        return
    enough = rate.times(plan.faster_by)
    yield (
        f"          {plan.faster_by:.1f} times the rate would do: {enough.requests_per_minute:,.0f} requests and "
        f"{enough.tokens_per_minute:,.0f} tokens a minute"
    )


def _run_lines(plan: Plan, zone: str) -> Iterator[str]:
    yield f"{'submitted':<22}{'rebatch until':<22}{'canceled at':<22}due, in {zone}"
    for run in plan.runs[:_RUNS_SHOWN]:
        moments = (run.at, run.cutoffs.rebatch_until, run.cutoffs.cancel_at, run.cutoffs.deadline)
        yield "".join(f"{_local(moment, zone):<22}" for moment in moments).rstrip()
    if len(plan.runs) > _RUNS_SHOWN:
        yield f"… {len(plan.runs) - _RUNS_SHOWN} more within 7 days"


def _timeline(plan: Plan, zone: str) -> Iterator[Text]:
    # Those that are open together: a weekend in between would leave no room for the rest.
    drawn = [run for run in plan.runs[:_RUNS_DRAWN] if run.at < plan.runs[0].cutoffs.deadline]
    start, end = drawn[0].at, max(run.cutoffs.deadline for run in drawn)
    yield Text(f"{_local(start, zone):<{_BAR + 2 - len(_local(end, zone))}}{_local(end, zone)}")
    for run in drawn:
        yield _bar(run, plan.terms.window, start, end)
    yield Text("  ").join(Text.assemble((mark, style), f" {what}") for mark, style, what in _LEGEND)


def _bar(run: PlannedRun, window: timedelta, start: datetime, end: datetime) -> Text:
    def column(moment: datetime) -> int:
        return round((moment - start) / (end - start) * _BAR)

    cancel_at, deadline = run.cutoffs.cancel_at, run.cutoffs.deadline
    windowed = min(run.at + window, cancel_at)
    begin, first, second, last = map(column, (run.at, windowed, cancel_at, deadline))
    return Text.assemble(
        " " * begin,
        ("━" * (first - begin), "cyan"),
        ("─" * (second - first), "cyan"),
        ("▒" * max(1, last - second), "yellow"),
        ("│", "red"),
    )


def _zone(planned: Planned) -> str:
    return planned.wish.due.zone if planned.wish.due else "UTC"


def _local(moment: datetime, zone: str) -> str:
    return pendulum.instance(moment).in_timezone(zone).format("ddd YYYY-MM-DD HH:mm")

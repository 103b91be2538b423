"""The command that scores a version of a workflow's prompt, as in CI."""

from __future__ import annotations

import sys
import threading
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import click

from backcast.cli_options import json_option, now, own_ledger_option
from backcast.domain.errors import BackcastError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backcast.domain.scores import SampledAnswer
    from backcast.domain.workflow import RunSettings
    from backcast.ledger.connection import Ledger
    from backcast.services.scoring import SampleDocument, Scored

_BELOW: Final = 1
_LOOK_SECONDS: Final = 0.5
_COLUMNS: Final = ["document", "accepted", "cause", "found", "wrong", "seconds", "usd"]
_OF_LABELLED: Final = {"found", "wrong"}


@dataclass(frozen=True, slots=True)
class _Asked:
    """What is scored: a version of a workflow's prompt, on which documents, and what every score has to reach."""

    settings: RunSettings
    sample: list[SampleDocument]
    threshold: float


@click.command()
@click.argument("workflow")
@click.option("--prompt", help="Version of the prompt; the one that the workflow's files declare, unless told.")
@click.option("--model", help="Who answers; the workflow's model, unless told.")
@click.option("--repository", help="Path or URL of a git repository, of which a sample is scored, too.")
@click.option("--ref", help="Branch, tag or commit of the repository; the workflow's unless told.")
@click.option("--documents", type=click.IntRange(1, 100), help="How many of the repository; the workflow's `sample`.")
@click.option(
    "--threshold",
    type=click.FloatRange(0, 1, min_open=True),
    help="What every score has to reach; the workflow's `sample`.",
)
@own_ledger_option
@json_option
def score(  # noqa: PLR0913  one parameter for each option
    *,
    workflow: str,
    prompt: str | None,
    model: str | None,
    repository: str | None,
    ref: str | None,
    documents: int | None,
    threshold: float | None,
    ledger: str | None,
    as_json: bool,
) -> None:
    """Score a version of WORKFLOW's prompt: how many answers are accepted, and what they find of what they should.

    Asks about the labelled documents that the workflow ships; about a sample of a repository's documents, too, when
    there are none, or when --repository, --ref or --documents is given. Each is asked about once, synchronously, at
    full price, in the shape that a batch sends. The same command again shows the answers that it has, and pays nothing.

    Exit code 0 when the share of accepted answers, precision and recall all reach the threshold, 1 when one does not, 2
    for wrong input.
    """
    given = {"prompt": prompt, "model": model, "repository": repository, "ref": ref}
    asked = _asked(workflow, given, documents, threshold)
    scored = _scored(asked, ledger)
    passed = _passed(asked, scored)
    if as_json:
        _print_json(asked, scored, passed=passed)
    else:
        _tell(asked, scored, passed=passed)
    if not passed:
        sys.exit(_BELOW)


def _asked(workflow: str, given: dict[str, Any], documents: int | None, threshold: float | None) -> _Asked:
    from backcast.labelled import load_labelled
    from backcast.services.samples import labelled_sample, repository_sample
    from backcast.settings import cache_folder, run_settings, workflow_file

    sample = labelled_sample(load_labelled(workflow))
    if not sample or given["repository"] or given["ref"] or documents:
        settings = run_settings(workflow, given)
        sample += repository_sample(settings, cache_folder(), documents=documents, beside=sample)
    else:
        # That is where all of it comes from; which repository the workflow is for does not matter.
        settings = run_settings(workflow, {**given, "repository": str(workflow_file(workflow).parent)})
    return _Asked(settings, sample, settings.sample.threshold if threshold is None else threshold)


def _scored(asked: _Asked, dsn: str | None) -> Scored:
    from backcast.anthropic_api.batches import api_from_environment
    from backcast.local.own_ledger import own_ledger
    from backcast.local.signals import Interrupted, ending_in_order
    from backcast.services.scoring import next_key, sample_name, score

    api = api_from_environment()
    name = f"backcast score {sample_name(api, asked.settings, asked.sample)}"
    try:
        with ending_in_order(), own_ledger(dsn) as ledger:
            key = next_key(ledger, name)
            with _showing(ledger, key):
                return score(ledger, api, now, asked.settings, asked.sample, external_key=key)
    except Interrupted as interrupt:
        click.echo("Stopped. What has an answer is kept; the same command goes on with the rest.", err=True)
        sys.exit(interrupt.exit_code)


@contextmanager
def _showing(ledger: Ledger, external_key: str) -> Iterator[None]:
    """Show on a terminal how many answers there are."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from backcast.ledger.progress import read_progress

    console = Console(stderr=True)
    if not console.is_terminal:
        yield
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task, over = bar.add_task("Waiting for answers", total=None), threading.Event()

        def look() -> None:
            while not over.wait(_LOOK_SECONDS):
                with suppress(BackcastError):
                    far = read_progress(ledger.dsn, external_key)
                    if far is not None:
                        bar.update(task, total=far.requests, completed=far.requests_answered)

        looking = threading.Thread(target=look, daemon=True)
        looking.start()
        try:
            yield
        finally:
            over.set()
            looking.join()


def _passed(asked: _Asked, scored: Scored) -> bool:
    labelled = {document.path for document in asked.sample if document.labelled is not None}
    return scored.scores.passes(asked.threshold) and not labelled.intersection(scored.left_out)


def _print_json(asked: _Asked, scored: Scored, *, passed: bool) -> None:
    from backcast.cli_tables import print_json

    print_json({
        "workflow": asked.settings.workflow,
        "version": scored.version,
        "prompt_hash": scored.prompt_hash,
        "model": asked.settings.model.name,
        "simulated": scored.simulated,
        "run_id": scored.run_id,
        "threshold": asked.threshold,
        "passed": passed,
        "reused": scored.reused,
        "left_out": scored.left_out,
        **scored.scores.view(),
    })  # fmt: skip


def _tell(asked: _Asked, scored: Scored, *, passed: bool) -> None:
    from backcast.cli_tables import print_table
    from backcast.domain.scores import told

    scores = scored.scores
    by = f"{asked.settings.model.name}{', played by a simulator' if scored.simulated else ''}"
    title = f"{asked.settings.workflow} {scored.version} ({scored.prompt_hash[:12]}), {by}"
    columns = [name for name in _COLUMNS if scored.found or name not in _OF_LABELLED]
    print_table(title, [_row(answer, scored) for answer in scores.answers], columns)
    for answer in scores.answers:
        if not answer.accepted:
            click.echo(f"{answer.path}: {': '.join(filter(None, (answer.cause or 'unanswered', answer.detail)))}")
            if answer.shown:
                click.echo(f"    it began: {answer.shown!r}")
    if scores.labelled is not None:
        for line in scores.labelled.missed:
            click.echo(f"missed: {line}")
        for line in scores.labelled.unwanted:
            click.echo(f"unwanted: {line}")
    for path in scored.left_out:
        click.echo(f"left out: {path}, which another run is asking about; the same command asks later")
    reaches = "reaches" if passed else "does not reach"
    known = f"; {scored.reused} answers were known" if scored.reused else ""
    click.echo(f"{told(scores.view())}: {reaches} {asked.threshold:g}. US$ {scores.cost_usd:.4f}{known}.")


def _row(answer: SampledAnswer, scored: Scored) -> dict[str, Any]:
    found = scored.found.get(answer.path)
    return {
        "document": answer.path,
        "accepted": "yes" if answer.accepted else "no",
        "cause": answer.cause,
        "found": None if found is None else f"{found.found}/{found.expected}",
        "wrong": None if found is None else found.wrong,
        "seconds": f"{answer.seconds:.1f}" if answer.seconds is not None else "known" if answer.accepted else None,
        "usd": f"{answer.cost_usd:.4f}",
    }

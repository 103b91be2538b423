"""The command that reviews a diff before it is merged, by hand or in CI."""

from __future__ import annotations

import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Final

import click

from backcast.cli_options import json_option, now
from backcast.domain.reviews import SEVERITIES

if TYPE_CHECKING:
    from backcast.domain.reviews import Review, Severity
    from backcast.domain.workflow import RunSettings
    from backcast.services.review import Reviewed

_WORKFLOW: Final = "pre_merge_review"
_FOUND: Final = 1
_UNANSWERED: Final = 3
_SECONDS: Final = 120.0


@click.command()
@click.option("--base", default="main", show_default=True, help="What it is to be merged into: branch, tag or commit.")
@click.option("--head", default="HEAD", show_default=True, help="What is reviewed: branch, tag or commit.")
@click.option("--repository", default=".", help="Path or URL of the git repository; where you are, unless told.")
@click.option("--model", help="Who reviews; the workflow's model, unless told.")
@click.option("--prompt", help="Version of the prompt; the one that the workflow's files declare, unless told.")
@click.option("--max-usd", type=click.FloatRange(min=0), help="The most that it may cost; else the workflow's budget.")
@click.option(
    "--timeout",
    type=click.FloatRange(min=0, min_open=True, max=3600),
    default=_SECONDS,
    show_default=True,
    help="Seconds in which all of it has to be answered.",
)
@click.option(
    "--fail-on", type=click.Choice(SEVERITIES), default="high", show_default=True, help="Exit code 1 from here."
)
@click.option(
    "--format",
    "output",
    type=click.Choice(["text", "sarif", "github"]),
    default="text",
    help="text for people, sarif for code hosts and editors, github for annotations of GitHub Actions.",
)
@click.option("--ledger", envvar="BACKCAST_LEDGER", help="DSN of a ledger that is told afterwards what it cost.")
@json_option
def review(  # noqa: PLR0913  one parameter for each option
    *,
    base: str,
    head: str,
    repository: str,
    model: str | None,
    prompt: str | None,
    max_usd: float | None,
    timeout: float,
    fail_on: Severity,
    output: str,
    ledger: str | None,
    as_json: bool,
) -> None:
    """Review what a branch changes, at once: `git diff --merge-base BASE HEAD`, file by file, at full price.

    Only what is committed is looked at. Nothing waits for a batch or a ledger.

    Exit code 0 when nothing at or above --fail-on was found and all was answered, 1 when something was found, 2 for
    wrong input, 3 when nothing was found and some of it has no answer.
    """
    from backcast.settings import run_settings

    if as_json and output != "text":
        raise click.UsageError("--json and --format say two things: give one of them.")
    given = {"model": model, "prompt": prompt, "max_usd": max_usd, "repository": repository, "ref": head}
    settings = run_settings(_WORKFLOW, given)
    reviewed = _reviewed(settings, base, timedelta(seconds=timeout))
    _print(reviewed.review, "json" if as_json else output)
    # What people wait for is there; a pipe gets it before the ledger is told.
    sys.stdout.flush()
    _record(ledger, settings, reviewed)
    if reviewed.review.at_or_above(fail_on):
        sys.exit(_FOUND)
    if reviewed.review.unanswered:
        sys.exit(_UNANSWERED)


def _reviewed(settings: RunSettings, base: str, timeout: timedelta) -> Reviewed:
    from backcast.anthropic_api.batches import api_from_environment
    from backcast.services.review import review_changes
    from backcast.settings import cache_folder

    return review_changes(api_from_environment(), now, settings, base=base, cache=cache_folder(), timeout=timeout)


def _record(dsn: str | None, settings: RunSettings, reviewed: Reviewed) -> None:
    if not dsn:
        return
    from backcast.anthropic_api.batches import api_from_environment
    from backcast.ledger.connection import Ledger
    from backcast.services.review_record import record_in_time

    why = record_in_time(Ledger(dsn), api_from_environment().base_url, settings, reviewed)
    if why:
        click.echo(f"backcast: the ledger does not know of this review: {why}", err=True)


def _print(review: Review, output: str) -> None:
    from backcast.reports.review import review_annotations, review_json

    match output:
        case "json":
            click.echo(review_json(review), nl=False)
        case "sarif":
            from backcast.reports.review_sarif import review_sarif

            click.echo(review_sarif(review), nl=False)
        case "github":
            for line in review_annotations(review):
                click.echo(line)
            click.echo(review.summary())
        case _:
            _print_text(review)


def _print_text(review: Review) -> None:
    from rich.console import Console
    from rich.text import Text

    from backcast.reports.escaping import flat, printable

    console = Console(highlight=False, soft_wrap=True)
    styles = {"critical": "bold red", "high": "red", "medium": "yellow", "low": "cyan"}
    path = None
    for finding in review.findings:
        if finding.path != path:
            path = finding.path
            console.print(Text(f"\n{flat(path)}", style="bold"))
        lines = (
            f"{finding.line_start}-{finding.line_end}" if finding.line_end > finding.line_start else finding.line_start
        )
        console.print(
            Text.assemble(
                f"  {lines}  ", (finding.severity, styles[finding.severity]), f" {flat(finding.category)}  ",
                (flat(finding.title), "bold"),
            )
        )  # fmt: skip
        # After a bar, since lines of the diff could be commands to a CI that reads this.
        for line in finding.evidence.split("\n"):
            console.print(Text(f"      | {printable(line.expandtabs(4))}", style="dim"))
        console.print(Text(f"      {flat(finding.why)}"))
        console.print(Text(f"      Do: {flat(finding.suggestion)}"))
    for missing in review.unanswered:
        console.print(Text(f"\nnot answered: {flat(missing.where)}: {flat(missing.reason)}", style="red"))
    for left_out in review.left_out:
        console.print(Text(f"left out: {flat(left_out.where)}: {flat(left_out.reason)}", style="dim"))
    if review.simulated:
        console.print(Text("\nNo model was asked: a simulator answered."))
    console.print(Text(f"\n{review.summary()}."))

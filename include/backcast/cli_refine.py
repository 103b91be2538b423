"""The command that refines a prompt without Airflow: scores, lets the model propose, asks, and promotes."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import click

from backcast.cli_options import current_user, json_option, now, own_ledger_option
from backcast.cli_tables import print_json, print_table
from backcast.domain.refinement import MOST_ITERATIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backcast.domain.refinement import Refined
    from backcast.ledger.connection import Ledger
    from backcast.services.refine import Refining

_BELOW: Final = 1
_BAR: Final = 40
_COLUMNS: Final = [
    "version",
    "least_score",
    "accepted",
    "precision",
    "recall",
    "not_accepted",
    "seconds",
    "cost",
    "of_1,000_again",
    "of_1,000_bill",
]


@click.command()
@click.argument("workflow")
@click.option("--versions", help="Which to score side by side: v1,v2. The active one and the newest, unless told.")
@click.option("--repository", help="Path or URL that the sample is taken of. The workflow's, unless told.")
@click.option("--ref", help="Branch, tag or commit of it.")
@click.option("--documents", type=click.IntRange(1, 100), help="How many of it are in the sample.")
@click.option(
    "--iterations",
    type=click.IntRange(0, MOST_ITERATIONS),
    default=MOST_ITERATIONS,
    show_default=True,
    help="How often the model may propose the next version.",
)
@click.option("--anew", is_flag=True, help="Begin anew, and pay anew, though the same was asked for before.")
@click.option("--promote/--no-promote", default=None, help="Promote the best version, or do not, and do not ask.")
@click.option("--by", help="Who promotes it; you, unless told.")
@click.option("--why", help="What is written down with a promotion. The scores, unless told.")
@own_ledger_option
@json_option
def refine(  # noqa: PLR0913  what can be said about a refinement
    *,
    workflow: str,
    versions: str | None,
    repository: str | None,
    ref: str | None,
    documents: int | None,
    iterations: int,
    anew: bool,
    promote: bool | None,
    by: str | None,
    why: str | None,
    ledger: str | None,
    as_json: bool,
) -> None:
    """Score versions of WORKFLOW's prompt on one sample, and let the model propose the next from what failed.

    The same command again, after whatever ended it, goes on and pays for nothing twice. What is proposed lies below the
    reports folder, as files and as a diff. Nothing is promoted unless a person says so.

    Exit code 0 when the best version reaches the workflow's threshold, 1 when it does not, 2 for wrong input.
    """
    from backcast.anthropic_api.batches import api_from_environment
    from backcast.local.own_ledger import own_ledger
    from backcast.services.reconcile import Folders
    from backcast.services.refine import Refinement
    from backcast.services.refine import refine as service
    from backcast.settings import cache_folder, reports_folder

    ask = Refinement(
        workflow=workflow,
        versions=tuple(name.strip() for name in (versions or "").split(",") if name.strip()),
        repository=repository,
        ref=ref,
        documents=documents,
        iterations=iterations,
        key=f"refine {workflow} {now():%Y-%m-%dT%H%M%S.%fZ}" if anew else None,
    )
    api = api_from_environment()
    with _saying_how_it_goes_on(), own_ledger(ledger) as own:
        refining = service(own, api, now, ask, Folders(cache_folder(), reports_folder()))
        if not as_json:
            _tell(refining)
        promoted = refining.refined.promotes and _promoted(
            own, refining.refined, by, why, wanted=promote, ask=not as_json
        )
    if as_json:
        print_json({**refining.refined.view(), "report": str(refining.report), "promoted": promoted})
    elif refining.refined.promotes:
        click.echo(_said(refining.refined, promoted=promoted))
    sys.exit(0 if refining.refined.passes else _BELOW)


@contextmanager
def _saying_how_it_goes_on() -> Iterator[None]:
    from backcast.local.signals import Interrupted, ending_in_order

    try:
        with ending_in_order():
            yield
    except Interrupted as interrupt:
        click.echo("Stopped. What has an answer is kept; the same command goes on with the rest.", err=True)
        sys.exit(interrupt.exit_code)


def _tell(refining: Refining) -> None:
    from backcast.reports.refinement import consequence

    refined = refining.refined
    print_table(f"{refined.workflow}: versions side by side", _rows(refined), _COLUMNS)
    _draw(refined)
    if refined.simulated:
        click.echo("No model was asked: a simulator answered.")
    for proposal in refined.proposals:
        if proposal.version:
            click.echo(f"{proposal.parent} to {proposal.version}: {proposal.why}")
        for note in proposal.notes:
            click.echo(f"  {note}")
    click.echo(f"{refined.ended} {consequence(refined)}")
    click.echo(f"Report, and each proposal as files and as a diff: {refining.report}")


def _rows(refined: Refined) -> list[dict[str, Any]]:
    from backcast.reports import wording

    rows = []
    for one in refined.versions:
        scores, labelled, projected = one.scores, one.scores.labelled, one.projection
        values = [
            one.version + (" (active)" if one.prompt_hash == refined.active else ""),
            wording.share(scores.least),
            f"{scores.accepted} of {len(scores.answers)}",
            labelled and wording.share(labelled.precision),
            labelled and wording.share(labelled.recall),
            ", ".join(f"{count} {cause}" for cause, count in scores.causes.most_common()) or "none",
            wording.seconds(scores.seconds),
            wording.usd(scores.cost_usd),
            f"{projected.retries} ({projected.fewest_retries} to {projected.most_retries})",
            wording.usd(projected.usd),
        ]
        rows.append(dict(zip(_COLUMNS, values, strict=True)))
    return rows


def _draw(refined: Refined) -> None:
    """Draw the least score of each version, and the threshold."""
    from rich.bar import Bar
    from rich.console import Console
    from rich.table import Table

    from backcast.reports import wording

    picture = Table.grid(padding=(0, 1))
    for one in refined.versions:
        share = one.scores.least
        colour = "green" if share >= refined.threshold else "red"
        picture.add_row(one.version, Bar(1, 0, share, width=_BAR, color=colour), wording.share(share))
    picture.add_row("", f"{'▲':>{round(refined.threshold * _BAR)}}", f"threshold {wording.share(refined.threshold)}")
    Console(highlight=False).print(picture)


def _promoted(  # noqa: PLR0913  what is written down, and how it is decided
    ledger: Ledger, refined: Refined, by: str | None, why: str | None, *, wanted: bool | None, ask: bool
) -> bool:
    """Promote the best version if a person wants it, and return whether it was."""
    from backcast.domain.scores import told
    from backcast.services.versions import declared_prompt
    from backcast.services.versions import promote as service

    best = refined.best
    if wanted is None and ask and sys.stdin.isatty():
        wanted = click.confirm(f"Promote {best.version}, so that runs are sent with it from now on?", default=False)
    if not wanted:
        return False
    scores = best.scores.view()
    service(
        ledger,
        now,
        refined.workflow,
        best.prompt_hash,
        by=by or current_user(),
        why=why or told(scores),
        declared=declared_prompt(refined.workflow),
        scores=scores,
    )
    return True


def _said(refined: Refined, *, promoted: bool) -> str:
    version = refined.best.version
    if promoted:
        return f"{version} is promoted: runs that are opened from now on use it."
    return f"{version} is not promoted: `backcast promote {refined.workflow} {version} --why ...` does so."

"""The command that answers a file of requests, without Airflow."""

from __future__ import annotations

import gc
import sys
import tempfile
import time
from contextlib import contextmanager
from dataclasses import asdict
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from backcast.cli_options import json_option, now, own_ledger_option
from backcast.domain.durations import parse_duration
from backcast.domain.errors import HeldError, InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import timedelta

    from backcast.ledger.connection import Ledger
    from backcast.services.request_runs import Answered, RequestRun

UNANSWERED: Final = 3
_FIRST_LOOK_SECONDS: Final = 0.5
_FILE: Final = click.Path(exists=True, dir_okay=False, readable=True, path_type=Path, resolve_path=True)


@click.command()
@click.argument("requests", type=_FILE)
@click.option(
    "--output",
    "-o",
    required=True,
    type=click.Path(path_type=Path, resolve_path=True),
    help="Where the answers go, one line each; must not exist.",
)
@click.option("--sla", help="By when, such as 30h: what no batch answers in time is answered at once, at full price.")
@click.option("--max-usd", type=click.FloatRange(min=0), help="The most that it may cost, in US$.")
@click.option("--allow-tool-stop", is_flag=True, help="Take the call of a tool, which nobody runs, for an answer.")
@click.option("--anew", is_flag=True, help="Begin anew, and cancel what an earlier run of this has in flight.")
@click.option("--resubmit", is_flag=True, help="Let a run that is held go on.")
@click.option("--dry-run", is_flag=True, help="Check the requests, and say what they would cost; send nothing.")
@own_ledger_option
@json_option
def run(  # noqa: PLR0913  what can be said about a run
    *,
    requests: Path,
    output: Path,
    sla: str | None,
    max_usd: float | None,
    allow_tool_stop: bool,
    anew: bool,
    resubmit: bool,
    dry_run: bool,
    ledger: str | None,
    as_json: bool,
) -> None:
    """Answer the REQUESTS of a file, one `{"custom_id", "params"}` a line, as batches: half price, within a day.

    The same command again, after whatever ended it, goes on with the same run and pays for nothing twice. What passes
    by itself, what was truncated, and what does not fit a JSON schema of its own goes again, changed.

    Exit code 0 when every request has an answer, 3 when some have none, 2 for wrong input.
    """
    with _keeping_all():
        from backcast.services.request_runs import RequestRun

    asked = RequestRun(
        requests=requests,
        output=output,
        sla=_sla(sla),
        max_usd=None if max_usd is None else Decimal(str(max_usd)),
        allow_tool_stop=allow_tool_stop,
        anew=anew,
    )
    if dry_run:
        _estimate(asked, as_json=as_json)
        return
    _require_place(output)
    ended = _answered(asked, ledger, resubmit=resubmit)
    _tell(ended, output, as_json=as_json)
    if ended.unanswered:
        sys.exit(UNANSWERED)


def _sla(text: str | None) -> timedelta | None:
    try:
        return parse_duration(text) if text else None
    except ValueError as error:
        raise InputError(f"--sla cannot be used: {error}") from error


def _require_place(output: Path) -> None:
    """Say at once, and not after a day, that answers cannot be written."""
    try:
        with tempfile.TemporaryFile(dir=output.parent):
            pass
    except OSError as error:
        raise InputError(f"{output} cannot be written: {error.strerror or error}.") from None


def _answered(asked: RequestRun, dsn: str | None, *, resubmit: bool) -> Answered:
    from backcast.anthropic_api.batches import api_from_environment
    from backcast.domain.request_runs import Course
    from backcast.local.own_ledger import own_ledger
    from backcast.local.signals import Interrupted, ending_in_order
    from backcast.services.cancel import resubmit_run
    from backcast.services.locks import held_files
    from backcast.services.request_runs import answer, begin, ended, finish

    api = api_from_environment()
    try:
        with (
            ending_in_order(),
            own_ledger(dsn) as ledger,
            ledger.connect() as connection,
            held_files(connection, f"{asked.requests} into {asked.output}"),
        ):
            run_id, what = begin(ledger, api, now, asked)
            if what is Course.DONE:
                return ended(ledger, run_id)
            if resubmit:
                resubmit_run(ledger, now, run_id, again=False)
            if what is not Course.WRITE:
                with _looking(ledger, run_id) as wait:
                    answer(ledger, api, now, run_id, wait=wait)
            return finish(ledger, now, run_id, asked.output)
    except HeldError as error:
        raise HeldError(f"{error} The same command with --resubmit does so, too.") from error
    except Interrupted as interrupt:
        click.echo("Stopped. What was sent goes on at the API; the same command goes on with it.", err=True)
        sys.exit(interrupt.exit_code)


@contextmanager
def _keeping_all() -> Iterator[None]:
    """Collect no garbage while the SDK is imported: it makes none, and looking for it takes a quarter of a second."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


@contextmanager
def _looking(ledger: Ledger, run_id: int) -> Iterator[Callable[[], None]]:
    """Give what waits for the next look, ever longer, and shows how far the run is."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    from backcast.services.request_runs import progress
    from backcast.settings import poll_interval_seconds

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    pause, longest = _FIRST_LOOK_SECONDS, poll_interval_seconds()
    with Progress(*columns, console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task("Waiting for batches", total=None)

        def wait() -> None:
            nonlocal pause
            if console.is_terminal:
                far = progress(ledger, run_id)
                bar.update(task, total=far["requests"], completed=far["answered"])
            time.sleep(min(pause, longest))
            pause *= 1.5

        yield wait


def _tell(ended: Answered, output: Path, *, as_json: bool) -> None:
    from backcast.cli_tables import print_json
    from backcast.services.answers_file import unanswered_file

    without = unanswered_file(output) if ended.unanswered else None
    if as_json:
        print_json({**asdict(ended), "output": str(output), "unanswered_file": str(without) if without else None})
        return
    simulated = " by a simulator, which no model was asked for" if ended.simulated else ""
    click.echo(
        f"{ended.answered:,} of {ended.requests:,} requests are answered{simulated}: {output}\n"
        f"US$ {ended.cost_usd:.4f}; all at once it would have been US$ {ended.synchronous_usd:.4f}."
    )
    if without:
        click.echo(f"{ended.unanswered:,} have no answer: {without} says why.")


def _estimate(asked: RequestRun, *, as_json: bool) -> None:
    from backcast.anthropic_api.batches import api_from_environment
    from backcast.cli_tables import print_json
    from backcast.services.collect_requests import RequestFile
    from backcast.services.estimate_requests import estimate_requests

    try:
        api = api_from_environment()
    except InputError:
        # An estimate needs no key, it is only better with one.
        api = None
    told = estimate_requests(RequestFile(asked.requests, asked.allow_tool_stop), api)
    if as_json:
        print_json(asdict(told))
        return
    by = f"as the API counted {told.counted} of them" if told.counted else "by their length"
    click.echo(
        f"{told.requests:,} requests of about {told.input_tokens:,} tokens, {by}: about US$ {told.cost_usd:.4f} as "
        f"batches, US$ {told.synchronous_usd:.4f} all at once. Nothing was sent."
    )

"""The `backcast` command."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import NoReturn

import click

from backcast.cli_alerts import alert
from backcast.cli_config import config
from backcast.cli_doctor import doctor
from backcast.cli_failures import failures
from backcast.cli_operations import cancel, reconcile, resubmit, status
from backcast.cli_plan import check, plan
from backcast.cli_requests import requests
from backcast.cli_review import review_lane
from backcast.domain.errors import BackcastError, InputError
from backcast.ledger.migrate import migrate as migrate_ledger
from backcast.local.options import Api, NightOptions, StackOptions

_USAGE = 2
_FAILURE = 1
_OF_THE_SIMULATOR = ("lizard", "starlette", "uvicorn")


class _Group(click.Group):
    """Says what a person can mend in one line, without a traceback: exit code 2 for wrong input, else 1."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except BackcastError as error:
            _fail(str(error), _USAGE if isinstance(error, InputError) else _FAILURE)


def _fail(message: str, code: int) -> NoReturn:
    click.echo(f"backcast: {message}", err=True)
    sys.exit(code)


@click.group(cls=_Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="backcast")
def main() -> None:
    """LLM document jobs on Anthropic's Message Batches API, at half price and still on time."""


for _command in (
    plan,
    check,
    config,
    doctor,
    requests,
    status,
    alert,
    reconcile,
    cancel,
    resubmit,
    failures,
    review_lane,
):
    main.add_command(_command)


@main.command()
@click.option("--ledger", envvar="BACKCAST_LEDGER", required=True, help="DSN: postgresql://user:password@host/db.")
def migrate(ledger: str) -> None:
    """Bring the ledger's tables up to date."""
    migrate_ledger(ledger)
    click.echo("The ledger is up to date.")


def _stack_options(command: click.decorators.FC) -> click.decorators.FC:
    for option in reversed(
        [
            click.option(
                "--api",
                envvar="API",
                type=click.Choice([api.value for api in Api]),
                default=Api.SIMULATOR.value,
                show_default=True,
                help="Who answers: the simulator, or the real API, which costs money.",
            ),
            click.option(
                "--home", envvar="BACKCAST_HOME", type=click.Path(path_type=Path), help="Where state is kept."
            ),
            click.option("--airflow-port", envvar="AIRFLOW_PORT", type=click.IntRange(1, 65535)),
            click.option("--simulator-port", envvar="SIMULATOR_PORT", type=click.IntRange(1, 65535)),
            click.option(
                "--simulator-speed",
                envvar="SIMULATOR_SPEED",
                type=click.FloatRange(min=0, min_open=True),
                help="How many simulated seconds pass in a real one.",
            ),
        ]
    ):
        command = option(command)
    return command


@main.command()
@click.option("--repository", envvar="REPO", help="Path or URL of a git repository; this project unless told.")
@click.option("--ref", envvar="REF", help="Branch, tag or commit; HEAD unless told.")
@click.option("--max-documents", envvar="MAX_DOCUMENTS", type=click.IntRange(min=1))
@click.option("--yes", is_flag=True, help="Spend the estimated cost without asking (YES=1).")
@click.option("--resume", envvar="RESUME", help="Follow this DAG run instead of triggering a new one.")
@_stack_options
def night(  # noqa: PLR0913  one parameter for each option
    *,
    repository: str | None,
    ref: str | None,
    max_documents: int | None,
    yes: bool,
    resume: str | None,
    api: str,
    home: Path | None,
    airflow_port: int | None,
    simulator_port: int | None,
    simulator_speed: float | None,
) -> None:
    """Start everything, run nightly_tech_debt once, show its report, and stop everything."""
    # Only a checkout has these commands and what they need, which `_stack` finds out.
    stack = _stack(api, home, airflow_port, simulator_port, simulator_speed)
    from backcast.local.night import run_night

    sys.exit(
        run_night(
            NightOptions(
                stack=stack,
                repository=repository or None,
                ref=ref or None,
                max_documents=max_documents,
                yes=yes or os.environ.get("YES") == "1",
                resume=resume or None,
            )
        )
    )


@main.command()
@click.option("--schedules", is_flag=True, help="Let DAGs also start by themselves (SCHEDULES=1).")
@_stack_options
def up(  # noqa: PLR0913  as above
    *,
    schedules: bool,
    api: str,
    home: Path | None,
    airflow_port: int | None,
    simulator_port: int | None,
    simulator_speed: float | None,
) -> None:
    """Start everything and leave it running until Ctrl-C."""
    stack = _stack(api, home, airflow_port, simulator_port, simulator_speed)
    from backcast.local.night import up as run_up

    sys.exit(run_up(replace(stack, schedules=schedules or os.environ.get("SCHEDULES") == "1")))


@main.command(context_settings={"ignore_unknown_options": True, "help_option_names": []}, add_help_option=False)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
def simulator(arguments: tuple[str, ...]) -> None:
    """Run a Message Batches API on a local port; no model is asked."""
    missing = [name for name in _OF_THE_SIMULATOR if find_spec(name) is None]
    if missing:
        raise InputError(f"The simulator needs {', '.join(missing)}: install backcast with its extra `simulator`.")
    # A program of its own, which must not share a line of code with what it tests.
    os.execv(sys.executable, [sys.executable, "-m", "backcast_simulator", *arguments])  # noqa: S606  our interpreter


def _stack(
    api: str, home: Path | None, airflow_port: int | None, simulator_port: int | None, simulator_speed: float | None
) -> StackOptions:
    return StackOptions(
        home=home,
        api=Api(api),
        airflow_port=airflow_port,
        simulator_port=simulator_port,
        simulator_speed=simulator_speed,
    )

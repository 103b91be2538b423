"""The commands that start something on this machine, and the one that migrates the ledger."""

from __future__ import annotations

import os
import sys
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import click

from backcast.domain.errors import InputError
from backcast.local.options import Api, NightOptions, StackOptions

_OF_THE_SIMULATOR = ("lizard", "starlette", "uvicorn")


@click.command()
@click.option("--ledger", envvar="BACKCAST_LEDGER", required=True, help="DSN: postgresql://user:password@host/db.")
def migrate(ledger: str) -> None:
    """Bring the ledger's tables up to date."""
    from backcast.ledger.migrate import migrate as migrate_ledger

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


@click.command()
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


@click.command()
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


@click.command(context_settings={"ignore_unknown_options": True, "help_option_names": []}, add_help_option=False)
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

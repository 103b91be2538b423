"""What `docker-compose.yaml` runs beside Airflow and the simulator: a check before everything, and the demo."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import click
import httpx2

from backcast.domain.errors import BackcastError, InputError
from backcast.local.airflow_api import AirflowApi, AirflowAwayError
from backcast.local.display import Display
from backcast.local.environment import ADMIN
from backcast.local.follow import external_key, failures, follow, wait_for_dag
from backcast.local.options import Api, StackOptions
from backcast.local.summary import published_lines

if TYPE_CHECKING:
    from collections.abc import Mapping

    from backcast.ledger.progress import RunProgress

DAG: Final = "nightly_tech_debt"
SIMULATOR: Final = "simulator"
"""The host name of the simulator's container."""

_START_SECONDS: Final = 30.0
_POLL_SECONDS: Final = 0.5
_REPORT_LINES: Final = 24
_PATIENCE: Final = 10
_PAUSE_SECONDS: Final = 5.0


@dataclass(frozen=True, slots=True)
class Containers:
    """The other containers, as the demo sees them: an Airflow, and a ledger by its DSN."""

    airflow: AirflowApi
    ledger: str
    since: datetime = field(default_factory=lambda: datetime.now(UTC))

    def check(self) -> None:
        """Do nothing: the engine starts again what dies."""


def check_address(url: str, key: str, wait_seconds: float = _START_SECONDS) -> str:
    """Look whether there is an API to ask, and return what to say of it.

    The real one is not asked: what it does not answer now, tasks try again.

    Raises:
        InputError: no key for the real API, or no simulator where one is named.
    """
    if urlsplit(url).hostname != SIMULATOR:
        if not key:
            raise InputError(
                f"ANTHROPIC_API_KEY in .env is empty, and {url} wants one. Write it there; or, without a key and "
                f"without cost, write BACKCAST_API_URL=http://{SIMULATOR}:8790 and start "
                "`docker compose --profile demo up`."
            )
        return f"Requests go to {url}: every run is paid for."
    give_up = time.monotonic() + wait_seconds
    while not is_simulator(url):
        if time.monotonic() > give_up:
            raise InputError(
                f"BACKCAST_API_URL names the simulator, and nobody answers at {url}. Start it, too: `docker compose "
                "--profile demo up`. Or ask Anthropic's API, where every run is paid for: write "
                "BACKCAST_API_URL=https://api.anthropic.com, BACKCAST_POLL_INTERVAL=60 and ANTHROPIC_API_KEY=sk-ant-… "
                "into .env."
            )
        time.sleep(_POLL_SECONDS)
    return f"Requests go to the simulator at {url}: no model is asked, and nothing is charged."


def is_simulator(url: str) -> bool:
    """Tell whether a simulator answers at this address."""
    try:
        answer = httpx2.get(f"{url}/simulator/health", timeout=5.0, trust_env=False)
    except (httpx2.HTTPError, httpx2.InvalidURL):
        return False
    return answer.status_code == HTTPStatus.OK and "x-backcast-simulator" in answer.headers


def run_demo(site: Containers, api_url: str, display: Display, **form: object) -> int:
    """Trigger one run through Airflow's REST API, follow it, and show its report; return the exit code.

    Args:
        site: where it runs.
        api_url: which API its requests go to.
        display: what is told to a person.
        form: what the DAG's form says, if anything.

    Raises:
        InputError: another API than a simulator is asked.
        BackcastError: Airflow does not answer, or does not know the DAG.
    """
    if not is_simulator(api_url):
        raise InputError(
            f"The demo runs against the simulator only, and BACKCAST_API_URL in .env is {api_url}, where it would cost "
            f"money. Nothing was triggered. Write BACKCAST_API_URL=http://{SIMULATOR}:8790 there for a demo."
        )
    wait_for_dag(site, DAG)
    dag_run_id = f"demo-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    site.airflow.trigger(DAG, dag_run_id, form)
    display.say(f"Run {dag_run_id} of {DAG} started")
    state, progress = _follow(site, dag_run_id, display)
    display.close()
    if state == "success" and progress is not None and progress.state == "published":
        _show(progress, display)
        return 0
    display.say(f"{external_key(DAG, dag_run_id)} ended as {state}, and no report was published.")
    for line in failures(site, DAG, dag_run_id):
        display.say(line)
    return 1


def _follow(
    site: Containers, dag_run_id: str, display: Display, pause_seconds: float = _PAUSE_SECONDS
) -> tuple[str, RunProgress | None]:
    """Follow a run to its end, also while Airflow's container is replaced or too busy to answer."""
    for _ in range(_PATIENCE):
        try:
            return follow(site, DAG, dag_run_id, display)
        except AirflowAwayError as error:
            display.say(f"{error}. The run goes on; looking again.")
            time.sleep(pause_seconds)
    return follow(site, DAG, dag_run_id, display)


def _show(progress: RunProgress, display: Display) -> None:
    for line in published_lines(progress, StackOptions(project=Path.cwd(), api=Api.SIMULATOR), datetime.now(UTC)):
        display.say(line)
    if progress.report_path is not None:
        display.say("It begins:\n")
        for line in Path(progress.report_path).read_text(encoding="utf-8").splitlines()[:_REPORT_LINES]:
            display.say(line)


def _demo(env: Mapping[str, str]) -> int:
    login = (ADMIN, env["AIRFLOW_ADMIN_PASSWORD"])
    with Display() as display, AirflowApi(env["AIRFLOW_URL"], *login) as airflow:
        return run_demo(Containers(airflow, env["BACKCAST_LEDGER"]), env["BACKCAST_API_URL"], display)


@click.command()
@click.argument("what", type=click.Choice(["check", "demo"]))
def main(what: str) -> None:
    """Do the work of one of the containers that end by themselves."""
    try:
        if what == "check":
            click.echo(check_address(os.environ["BACKCAST_API_URL"], os.environ["ANTHROPIC_API_KEY"]))
        else:
            sys.exit(_demo(os.environ))
    except BackcastError as error:
        click.echo(f"backcast: {error}", err=True)
        sys.exit(2 if isinstance(error, InputError) else 1)


if __name__ == "__main__":
    main()

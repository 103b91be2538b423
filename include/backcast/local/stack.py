"""Starts PostgreSQL, the simulator and Airflow together, and stops all of it."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from http import HTTPStatus
from importlib import metadata
from typing import TYPE_CHECKING, Final

import httpx2

from backcast.domain.errors import BackcastError
from backcast.ledger.connection import Ledger
from backcast.ledger.migrate import migrate
from backcast.local.airflow_api import AirflowApi
from backcast.local.environment import (
    ADMIN,
    Ports,
    admin_password,
    airflow_url,
    simulator_url,
    stack_environment,
)
from backcast.local.leftovers import end_leftover
from backcast.local.lock import held_home
from backcast.local.options import Api
from backcast.local.ports import HOST, choose_port, free_ports
from backcast.local.postgres import running_postgres
from backcast.local.private import write_private
from backcast.local.signals import ending_in_order, shut_ears
from backcast.local.supervisor import Program, Supervisor, supervised
from backcast.services.cancel import cancel_lost_runs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from backcast.local.options import StackOptions
    from backcast.local.postgres import PostgresServer

AIRFLOW_PORT: Final = 8080
SIMULATOR_PORT: Final = 8790
SIMULATOR_SPEED: Final = 1440.0
START_SECONDS: Final = 180.0

_POLL_SECONDS: Final = 0.25


@dataclass(frozen=True, slots=True)
class Stack:
    """A stack that is up. `since` is when its start began: what is older in Airflow is of an earlier session."""

    options: StackOptions
    server: PostgresServer
    ports: Ports
    supervisor: Supervisor
    airflow: AirflowApi
    since: datetime

    @property
    def ledger(self) -> str:
        """The ledger's DSN."""
        return self.server.dsn("backcast")

    def check(self) -> None:
        """Look whether everything runs, or is about to.

        Raises:
            BackcastError: a part was given up.
        """
        self.supervisor.check()

    @property
    def url(self) -> str:
        """Where Airflow's pages are."""
        return airflow_url(self.ports)

    @property
    def login(self) -> tuple[str, str]:
        """User and password for these pages."""
        return ADMIN, admin_password(self.options.api_home)


def choose_ports(options: StackOptions, say: Callable[[str], None]) -> Ports:
    """Choose where things listen, and say where a usual port is taken.

    Raises:
        InputError: a port that was asked for is taken.
    """
    airflow = choose_port(options.airflow_port, AIRFLOW_PORT, "AIRFLOW_PORT")
    others = frozenset({airflow})
    wanted = options.simulator_port if options.api is Api.SIMULATOR else None
    simulator = choose_port(wanted, SIMULATOR_PORT, "SIMULATOR_PORT", taken=others)
    if options.airflow_port is None and airflow != AIRFLOW_PORT:
        say(f"Port {AIRFLOW_PORT} is taken: Airflow uses {airflow}")
    if options.api is Api.SIMULATOR and wanted is None and simulator != SIMULATOR_PORT:
        say(f"Port {SIMULATOR_PORT} is taken: the simulator uses {simulator}")
    worker_logs, trigger_logs = free_ports(2)
    return Ports(airflow, simulator, worker_logs, trigger_logs)


@contextmanager
def running_stack(options: StackOptions, say: Callable[[str], None]) -> Iterator[Stack]:
    """Run everything for the length of a `with` block; `say` gets a line for each step.

    Raises:
        InputError: another stack runs in this home, or a port that was asked for is taken.
        BackcastError: a part does not start.
    """
    # Entered first and left last: no signal breaks off the clean-up.
    with ending_in_order(), ExitStack() as parts:
        try:
            yield _start(parts, options, say)
        finally:
            shut_ears()


def _start(parts: ExitStack, options: StackOptions, say: Callable[[str], None]) -> Stack:
    """Start one part after the other; `parts` ends them in reverse."""
    home = options.api_home
    parts.enter_context(held_home(home))
    if end_leftover(home):
        say("Stopped what an earlier, killed session had left running")
    ports = choose_ports(options, say)
    since = datetime.now(UTC)
    say("Starting PostgreSQL")
    server = parts.enter_context(running_postgres(home))
    env = stack_environment(options, server, ports, os.environ)
    _migrate(server, env, say)
    say("Starting Airflow" + (" and the simulator" if options.api is Api.SIMULATOR else ""))
    supervisor = parts.enter_context(supervised(stack_programs(options, ports), home, env))
    airflow = parts.enter_context(AirflowApi(airflow_url(ports), ADMIN, admin_password(home)))
    stack = Stack(options, server, ports, supervisor, airflow, since)
    _wait_until_up(stack)
    _fail_orphans(stack, say)
    return stack


def stack_programs(options: StackOptions, ports: Ports) -> list[Program]:
    """Return what the supervisor keeps running."""
    airflow = ["python", "-m", "airflow"]
    programs = [
        Program("api-server", [*airflow, "api-server"], stopwaitsecs=2),
        Program("scheduler", [*airflow, "scheduler"]),
        Program("dag-processor", [*airflow, "dag-processor"]),
        Program("triggerer", [*airflow, "triggerer"]),
    ]
    if options.api is Api.SIMULATOR:
        programs.insert(0, Program("simulator", simulator_command(options, ports.simulator)))
    return programs


def simulator_command(options: StackOptions, port: int) -> list[str]:
    """Return how the simulator is started."""
    speed = options.simulator_speed or SIMULATOR_SPEED
    where = ["--host", HOST, "--port", str(port), "--speed", f"{speed:g}"]
    odds = options.simulator_odds
    shares = ["--errored-share", f"{odds.errored:g}", "--expired-share", f"{odds.expired:g}"]
    return ["python", "-m", "backcast_simulator", *where, *shares]


def _migrate(server: PostgresServer, env: dict[str, str], say: Callable[[str], None]) -> None:
    """Bring both databases up to date; Airflow's is left alone when this version has already done it."""
    done, version = server.folder / "airflow-version", metadata.version("apache-airflow")
    if not done.exists() or done.read_text(encoding="utf-8") != version:
        say("Preparing Airflow's database (only the first time)")
        _migrate_airflow(env)
        write_private(done, version)
    migrate(server.dsn("backcast"))


def _migrate_airflow(env: dict[str, str]) -> None:
    command = [sys.executable, "-m", "airflow", "db", "migrate"]
    # A session of its own, as for everything: on Ctrl-C we end it, and it does not print a traceback of its own.
    with subprocess.Popen(  # noqa: S603  our own interpreter
        command,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            output, _ = process.communicate()
        except BaseException:
            process.kill()
            raise
    if process.returncode != 0:
        raise BackcastError("`airflow db migrate` failed:\n" + "\n".join(output.splitlines()[-15:]))


def _wait_until_up(stack: Stack) -> None:
    deadline = time.monotonic() + START_SECONDS
    missing = _missing(stack)
    while missing:
        stack.check()
        if time.monotonic() > deadline:
            logs = stack.options.api_home / "logs"
            raise BackcastError(f"{', '.join(missing)} did not start within {START_SECONDS:.0f} s: see {logs}")
        time.sleep(_POLL_SECONDS)
        missing = _missing(stack)


def _missing(stack: Stack) -> list[str]:
    missing = stack.airflow.unhealthy(stack.since)
    if stack.options.api is Api.SIMULATOR and not _answers(f"{simulator_url(stack.ports)}/simulator/health"):
        missing.append("simulator")
    return missing


def _answers(url: str) -> bool:
    try:
        return httpx2.get(url, timeout=2.0, trust_env=False).status_code == HTTPStatus.OK
    except httpx2.HTTPError:
        return False


def _fail_orphans(stack: Stack, say: Callable[[str], None]) -> None:
    """Close the runs of a session that was killed: their batches were in a simulator that is gone."""
    if stack.options.api is not Api.SIMULATOR:
        return
    for dag_id, dag_run_id in stack.airflow.unfinished_runs(stack.since):
        say(f"Marking run {dag_run_id} of {dag_id} failed: its simulator is gone")
        stack.airflow.fail_run(dag_id, dag_run_id)
    # Also those that Airflow had ended before, or else new runs would wait for what they had in flight.
    cancel_lost_runs(Ledger(stack.ledger), lambda: datetime.now(UTC))

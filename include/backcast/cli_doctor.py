"""The command that checks an installation."""

from __future__ import annotations

import logging
import os
import sys
from contextlib import ExitStack, contextmanager, redirect_stdout, suppress
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Final

import click

from backcast.cli_options import json_option, now
from backcast.cli_tables import print_json
from backcast.domain.checkup import Check, State, any_failed
from backcast.domain.errors import InputError
from backcast.settings import alert_connections, workflow_names, workflows_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from backcast.services.doctor import ApiSource

_PROBLEMS: Final = 1
_ELSEWHERE: Final = "Airflow is not set up here. Run `backcast doctor` where its scheduler or a worker runs."


@click.command()
@json_option
@click.option("--ledger", envvar="BACKCAST_LEDGER", help="DSN: postgresql://user:password@host/db.")
def doctor(*, as_json: bool, ledger: str | None) -> None:
    """Check key, API, models, clock, ledger, Airflow's connections, alerts and disk: a line each. Exit 1 if one fails.

    API and ledger are those of the environment and, where Airflow is set up, of its connections. What cannot be
    checked here is skipped, with how to have it checked. Nothing is sent or changed.
    """
    with _quiet():
        checks = list(_checks(ledger))
    if as_json:
        print_json({"checks": [asdict(check) for check in checks]})
    else:
        for check in checks:
            click.echo(f"{check.state:<8} {check.name}: {check.told}")
    sys.exit(_PROBLEMS if any_failed(checks) else 0)


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what Airflow prints while it is imported, and what it logs of each call, away from the checks."""
    before = logging.root.manager.disable
    logging.disable(logging.INFO)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        logging.disable(before)


def _checks(ledger: str | None) -> Iterator[Check]:
    from backcast.orchestration import checkup
    from backcast.services import doctor as service

    airflow = checkup.is_set_up(os.environ)
    with ExitStack() as stack:
        if airflow:
            stack.enter_context(checkup.as_operator())
        connections = _usable(airflow=airflow)
        yield from _api_checks(by_airflow="anthropic_default" in connections)
        yield from _ledger_checks(ledger, by_airflow="backcast_ledger" in connections)
        yield from _airflow_checks(airflow=airflow)
        yield from service.isolated("disk", service.check_disk)


def _usable(*, airflow: bool) -> set[str]:
    """Return which of Airflow's connections can be looked at; why not is said by their own checks."""
    from backcast.orchestration import checkup

    found = set[str]()
    for conn_id in checkup.connections() if airflow else ():
        try:
            if checkup.has_connection(conn_id):
                found.add(conn_id)
        except Exception:  # noqa: BLE001, S112  its own check says what is wrong
            continue
    return found


def _api_checks(*, by_airflow: bool) -> Iterator[Check]:
    from backcast.anthropic_api.batches import api_from_environment
    from backcast.orchestration import checkup
    from backcast.services.doctor import ApiSource, check_apis

    sources: list[ApiSource] = []
    if os.environ.get("ANTHROPIC_API_KEY") or os.environ.get("ANTHROPIC_AUTH_TOKEN"):
        sources.append(ApiSource("environment", api_from_environment))
    if by_airflow:
        sources.append(ApiSource("anthropic_default", checkup.api))
    if not sources:
        yield Check("API", State.SKIPPED, "There is no key. Set ANTHROPIC_API_KEY to have it checked.")
    workflows = workflow_names()
    if not workflows:
        told = f"There is no workflow in {workflows_folder()}. Set BACKCAST_WORKFLOWS to the folder that holds them."
        yield Check("workflows", State.FAILED, told)
    yield from check_apis(sources, now, workflows)


def _ledger_checks(ledger: str | None, *, by_airflow: bool) -> Iterator[Check]:
    from backcast.orchestration import checkup
    from backcast.services.doctor import check_ledger, isolated

    if ledger:
        yield from isolated("ledger", lambda: check_ledger(lambda: ledger, "--ledger or BACKCAST_LEDGER"))
    elif by_airflow:
        yield from isolated("ledger", lambda: check_ledger(checkup.ledger_dsn, "the connection backcast_ledger"))
    else:
        yield Check("ledger", State.SKIPPED, "None is given. Set BACKCAST_LEDGER to have it checked.")


def _airflow_checks(*, airflow: bool) -> Iterator[Check]:
    from backcast.orchestration import checkup
    from backcast.services.doctor import isolated

    alerting = _alerting()
    if not airflow:
        yield Check("Airflow's connections", State.SKIPPED, _ELSEWHERE)
    else:
        for conn_id in checkup.connections():
            yield from isolated(f"Airflow connection {conn_id}", partial(_one, checkup.check_connection, conn_id))
    if not alerting:
        told = "Neither BACKCAST_ALERTS nor a workflow's notifications name a connection, so alerts stay in the ledger."
        yield Check("alerts", State.SKIPPED, told)
    elif not airflow:
        yield Check("alerts", State.SKIPPED, _ELSEWHERE)
    else:
        for conn_id in alerting:
            yield from isolated(f"alerts by {conn_id}", partial(_one, checkup.check_alerts, conn_id))


def _alerting() -> list[str]:
    named = alert_connections()
    for workflow in workflow_names():
        # A broken workflow is named by a check of its own.
        with suppress(InputError):
            named += alert_connections(workflow)
    return list(dict.fromkeys(named))


def _one(check: Callable[[str], Check], conn_id: str) -> list[Check]:
    return [check(conn_id)]

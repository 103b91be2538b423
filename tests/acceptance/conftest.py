"""One stack for all acceptance tests: real Airflow, PostgreSQL and the simulator."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from tests.acceptance.nights import DAG, RECONCILE, REFINE, SPEED, prove_the_prompt

from backcast.local.follow import wait_for_dag
from backcast.local.options import SimulatorOdds, StackOptions
from backcast.local.ports import free_ports
from backcast.local.stack import Stack, running_stack

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    airflow_port, simulator_port = free_ports(2)
    options = StackOptions(
        home=tmp_path_factory.mktemp("home"),
        airflow_port=airflow_port,
        simulator_port=simulator_port,
        simulator_speed=SPEED,
        simulator_odds=SimulatorOdds(errored=0, expired=0),
        reports=tmp_path_factory.mktemp("reports"),
    )
    with running_stack(options, print) as running:
        for dag_id in (DAG, RECONCILE, REFINE):
            wait_for_dag(running, dag_id)
        # What these tests send is few, and would all be in a sample.
        prove_the_prompt(running, tmp_path_factory.mktemp("proof"))
        yield running

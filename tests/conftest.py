"""A real PostgreSQL for the session with a migrated ledger for each test, and a real simulator over HTTP."""

from __future__ import annotations

import socket
import subprocess
import sys
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
from tests.support import RunningSimulator, wait_until

from backcast.ledger.connection import Ledger
from backcast.ledger.migrate import migrate
from backcast.local.postgres import PostgresServer, running_postgres

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

PROJECT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    with running_postgres(tmp_path_factory.mktemp("home"), ephemeral=True) as server:
        migrate(server.dsn("backcast"))
        yield server


@pytest.fixture
def empty_database(postgres: PostgresServer) -> Iterator[str]:
    """The DSN of a database of this test's own, with nothing in it."""
    with _database(postgres, "template1") as dsn:
        yield dsn


@pytest.fixture
def ledger(postgres: PostgresServer) -> Iterator[Ledger]:
    """A migrated ledger of this test's own."""
    with _database(postgres, "backcast") as dsn:
        yield Ledger(dsn)


@contextmanager
def _database(server: PostgresServer, template: str) -> Iterator[str]:
    name = f"test_{uuid.uuid4().hex}"
    with psycopg.connect(server.dsn("postgres"), autocommit=True) as connection:
        connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        yield server.dsn(name)
        connection.execute(f'DROP DATABASE "{name}" WITH (FORCE)')


@pytest.fixture
def start_simulator(tmp_path: Path) -> Iterator[Callable[..., RunningSimulator]]:
    """Start simulators that end with the test; the arguments are those of its command line."""
    started: list[subprocess.Popen[bytes]] = []

    def start(*arguments: str) -> RunningSimulator:
        with socket.create_server(("127.0.0.1", 0)) as probe:
            port = probe.getsockname()[1]
        log = (tmp_path / f"simulator-{port}.log").open("wb")
        command = [sys.executable, "-m", "backcast_simulator", "--port", str(port), *arguments]
        started.append(subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT))
        simulator = RunningSimulator(f"http://127.0.0.1:{port}")
        wait_until(lambda: simulator.http.get("/simulator/health").is_success)
        return simulator

    yield start
    for process in started:
        process.terminate()
        process.wait(timeout=10)


@pytest.fixture
def simulator(start_simulator: Callable[..., RunningSimulator]) -> RunningSimulator:
    """A simulator in which a day passes in less than two seconds."""
    return start_simulator("--speed", "50000")

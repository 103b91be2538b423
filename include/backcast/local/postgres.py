"""A PostgreSQL server of our own: made on first use, found again after a crash, stopped at the end.

Nothing but the standard library is imported, so that tests and clean-up can use this module for next to nothing.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from backcast.domain.errors import BackcastError
from backcast.local.binaries import Account, account, programs, state_folder
from backcast.local.ports import HOST, free_ports
from backcast.local.private import kept_secret
from backcast.local.processes import command_line, is_alive

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

USER: Final = "backcast"
DATABASES: Final = ("airflow", "backcast")

_START_ATTEMPTS: Final = 5
_STOP_SECONDS: Final = 30
_PASSWORD_SETTING: Final = {"PGCONNECT_TIMEOUT": "10"}


@dataclass(frozen=True, slots=True)
class PostgresServer:
    """A running server; all of it is below `state`."""

    state: Path
    port: int
    password: str = field(repr=False)

    @property
    def folder(self) -> Path:
        """What is kept here comes and goes together with the data."""
        return self.state / "cluster"

    def dsn(self, database: str) -> str:
        """Return the URL of a database, password included."""
        return f"postgresql://{USER}:{self.password}@{HOST}:{self.port}/{database}"


@dataclass(frozen=True, slots=True)
class _Cluster:
    """The files of a server, whether it runs or not."""

    state: Path
    account: Account
    programs: Path
    log: Path

    @property
    def folder(self) -> Path:
        return self.state / "cluster"

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def run(self, program: str, *arguments: str | Path, **environment: str) -> str:
        """Run one of PostgreSQL's programs, and return what it printed."""
        done = self.account.run([self.programs / program, *arguments], env=_clean(environment), cwd=self.state)
        if done.returncode != 0:
            raise BackcastError(f"PostgreSQL's {program} failed: {(done.stdout or '').strip()}")
        return done.stdout


@contextmanager
def running_postgres(
    home: Path, *, databases: Sequence[str] = DATABASES, ephemeral: bool = False
) -> Iterator[PostgresServer]:
    """Run the server of `home` for the length of a `with` block; `ephemeral` trades durability for speed, for tests.

    Raises:
        BackcastError: it does not start; the message holds what it said.
    """
    home.mkdir(parents=True, exist_ok=True)
    as_account, state = account(), state_folder(home)
    state.mkdir(mode=0o755, parents=True, exist_ok=True)
    as_account.give(state)
    cluster = _Cluster(state, as_account, programs(state, as_account), home / "logs" / "postgres.log")
    cluster.log.parent.mkdir(exist_ok=True)
    secret = home / "secrets" / "postgres"
    if not secret.exists():
        _put_aside(cluster)
    password = kept_secret(secret)
    try:
        _initialise(cluster, password)
        _end_leftover(cluster)
        port = _start(cluster, ephemeral=ephemeral)
        try:
            _create_databases(cluster, port, password, databases)
            yield PostgresServer(state, port, password)
        finally:
            _stop(cluster)
    finally:
        if ephemeral:
            remove_postgres(home)


def remove_postgres(home: Path) -> None:
    """End the server of `home` if one is left, and delete its data, wherever that is."""
    state = state_folder(home)
    pid = _leftover(state / "cluster" / "data")
    if pid is not None:
        _end(pid)
    shutil.rmtree(state, ignore_errors=True)


def _put_aside(cluster: _Cluster) -> None:
    """Keep, but do not use, the database of a home that somebody deleted: its password is gone."""
    if cluster.folder.exists():
        _end_leftover(cluster)
        cluster.folder.rename(cluster.state / f"cluster-without-home-{time.time_ns()}")


def _initialise(cluster: _Cluster, password: str) -> None:
    if cluster.folder.exists():
        return
    draft = cluster.state / "cluster.new"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir()
    cluster.account.give(draft)
    # A file, because the account may not open a pipe of ours, and an argument would be seen by everybody.
    with tempfile.NamedTemporaryFile("w", dir=cluster.state, prefix="password-") as file:
        file.write(password)
        file.flush()
        cluster.account.give(Path(file.name))
        cluster.run(
            "initdb",
            f"--pgdata={draft / 'data'}",
            f"--username={USER}",
            f"--pwfile={file.name}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--locale=C",
            "--no-instructions",
        )
    # Renamed last: what was begun and not finished is never taken for a database.
    draft.rename(cluster.folder)


def _start(cluster: _Cluster, *, ephemeral: bool) -> int:
    for attempt in range(1, _START_ATTEMPTS + 1):
        port = free_ports(1)[0]
        if _try_start(cluster, port, ephemeral=ephemeral):
            return port
        # Somebody took the port meanwhile, or processes of a killed server are still letting go of its memory.
        time.sleep(0.2 * attempt)
    last = cluster.log.read_text(encoding="utf-8", errors="replace").splitlines()[-5:]
    raise BackcastError(f"PostgreSQL does not start; {cluster.log} ends with:\n" + "\n".join(last))


def _try_start(cluster: _Cluster, port: int, *, ephemeral: bool) -> bool:
    # No socket file: its path may be too long, and Airflow's asynchronous engine trips over it.
    settings = {"listen_addresses": HOST, "port": port, "unix_socket_directories": "", "max_connections": 200}
    if ephemeral:
        settings |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
    options = " ".join(f"-c {name}={value}" for name, value in settings.items())
    command: list[str | Path] = [cluster.programs / "pg_ctl", "start", "-w", "-s", "-D", cluster.data, "-o", options]
    # The server inherits this file as its output: it need not be allowed to open it.
    with cluster.log.open("a", encoding="utf-8") as log:
        return cluster.account.run(command, env=_clean({}), cwd=cluster.state, stdout=log.fileno()).returncode == 0


def _stop(cluster: _Cluster) -> None:
    """Stop the server if it runs; for one that does not stop, recovery at the next start is the lesser evil."""
    for mode in ("fast", "immediate"):
        if _leftover(cluster.data) is None:
            return
        stop = ("stop", "-w", "-s", "-t", str(_STOP_SECONDS), "-m", mode, "-D", cluster.data)
        # It may end between our look and pg_ctl's, which then complains; only the next look counts.
        with suppress(BackcastError):
            cluster.run("pg_ctl", *stop)


def _end_leftover(cluster: _Cluster) -> None:
    """Stop a server that outlived its owner; forget a process id that now belongs to somebody else."""
    _stop(cluster)
    noted = _noted_pid(cluster.data)
    # PostgreSQL and pg_ctl would take that somebody for the server. The note of a dead server stays: PostgreSQL
    # finds in it whether processes of that server still hold on to the data.
    if noted is not None and is_alive(noted):
        (cluster.data / "postmaster.pid").unlink()


def _noted_pid(data: Path) -> int | None:
    try:
        return int((data / "postmaster.pid").read_text(encoding="utf-8").split("\n", 1)[0])
    except (OSError, ValueError):
        return None


def _leftover(data: Path) -> int | None:
    """Return the process id of the server that runs on `data`, if one does."""
    pid = _noted_pid(data)
    return pid if pid is not None and is_alive(pid) and str(data) in command_line(pid) else None


def _end(pid: int) -> None:
    fast, immediate = 2, 3  # SIGINT, SIGQUIT: PostgreSQL's signals for a fast and an immediate shutdown
    for signal in (fast, immediate):
        os.kill(pid, signal)
        deadline = time.monotonic() + _STOP_SECONDS
        while is_alive(pid) and time.monotonic() < deadline:
            time.sleep(0.05)
        if not is_alive(pid):
            return


def _create_databases(cluster: _Cluster, port: int, password: str, databases: Sequence[str]) -> None:
    statements = [
        f"SELECT 'CREATE DATABASE \"{name}\"' WHERE NOT EXISTS "  # noqa: S608  our own names, and DDL takes no parameters
        f"(SELECT FROM pg_database WHERE datname = '{name}') \\gexec\n"
        for name in databases
    ]
    with tempfile.NamedTemporaryFile("w", dir=cluster.state, prefix="databases-") as script:
        script.writelines(statements)
        script.flush()
        cluster.account.give(Path(script.name))
        where = ("-h", HOST, "-p", str(port), "-U", USER, "-d", "postgres")
        cluster.run(
            "psql",
            "-X",
            "-q",
            "-v",
            "ON_ERROR_STOP=1",
            *where,
            "-f",
            script.name,
            PGPASSWORD=password,
            **_PASSWORD_SETTING,
        )


def _clean(environment: dict[str, str]) -> dict[str, str]:
    # Without the caller's PG* variables, which would send psql elsewhere, and without a locale that may not exist here.
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_", "LANG"))}
    return kept | {"LC_ALL": "C"} | environment

"""The embedded PostgreSQL survives what happens to servers on laptops."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest

from backcast.local.binaries import account, programs, state_folder
from backcast.local.postgres import PostgresServer, remove_postgres, running_postgres
from backcast.local.processes import is_alive, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

OWNER = """
import sys, time
from pathlib import Path
from backcast.local.postgres import running_postgres
with running_postgres(Path(sys.argv[1])) as server:
    print(server.dsn("backcast"), flush=True)
    time.sleep(60)
"""


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "home"
    remove_postgres(tmp_path / "home")


def _pid(home: Path) -> int:
    return int((state_folder(home) / "cluster" / "data" / "postmaster.pid").read_text().splitlines()[0])


def _add_row(server: PostgresServer) -> int:
    with psycopg.connect(server.dsn("backcast")) as connection:
        connection.execute("CREATE TABLE IF NOT EXISTS kept (at timestamptz DEFAULT now())")
        connection.execute("INSERT INTO kept DEFAULT VALUES")
        row = connection.execute("SELECT count(*) FROM kept").fetchone()
    assert row is not None
    return int(row[0])


def test_rows_are_there_after_a_stop_and_after_a_kill(home: Path) -> None:
    with running_postgres(home) as server:
        assert _add_row(server) == 1
        pid = _pid(home)
    assert wait_until(lambda: not is_alive(pid), 5.0)
    with running_postgres(home) as server:
        assert _add_row(server) == 2
        os.kill(_pid(home), signal.SIGKILL)
    with running_postgres(home) as server:
        assert _add_row(server) == 3


def test_a_server_whose_owner_was_killed_is_ended_before_the_next_starts(home: Path) -> None:
    owner = subprocess.Popen([sys.executable, "-c", OWNER, str(home)], stdout=subprocess.PIPE, text=True)
    assert owner.stdout is not None
    assert owner.stdout.readline().startswith("postgresql://")
    owner.kill()
    owner.communicate()
    left = _pid(home)
    assert is_alive(left)
    with running_postgres(home) as server:
        assert not is_alive(left)
        assert _add_row(server) == 1


def test_a_noted_process_id_that_belongs_to_somebody_else_now_is_forgotten(home: Path) -> None:
    with running_postgres(home) as server:
        _add_row(server)
    note = state_folder(home) / "cluster" / "data" / "postmaster.pid"
    note.write_text(f"{os.getpid()}\n{note.parent}\n0\n5432\n\n127.0.0.1\n\n\n")
    with running_postgres(home) as server:
        assert _add_row(server) == 2


def test_a_password_is_wanted_and_kept_for_its_owner(home: Path) -> None:
    with running_postgres(home) as server:
        assert (home / "secrets" / "postgres").stat().st_mode & 0o777 == 0o600
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(server.dsn("backcast").replace(server.password, "guess"))
        assert server.password not in repr(server)


def test_a_deleted_home_starts_afresh_and_its_database_is_kept_aside(home: Path) -> None:
    with running_postgres(home) as server:
        assert _add_row(server) == 1
    shutil.rmtree(home / "secrets")
    with running_postgres(home) as server:
        assert _add_row(server) == 1
    assert len(list(state_folder(home).glob("cluster-without-home-*"))) == 1


def test_the_callers_own_database_settings_lead_nowhere(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGHOST", "db.example.invalid")
    monkeypatch.setenv("PGSSLMODE", "require")
    monkeypatch.setenv("LC_ALL", "xx_YY.UTF-8")
    with running_postgres(home, databases=["one"]) as server:
        monkeypatch.undo()
        with psycopg.connect(server.dsn("one")) as connection:
            assert connection.info.dbname == "one"


def test_an_ephemeral_server_leaves_nothing(home: Path) -> None:
    with running_postgres(home, ephemeral=True) as server:
        pid = _pid(home)
        assert server.folder.exists()
    assert wait_until(lambda: not is_alive(pid), 5)
    assert not state_folder(home).exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the server as somebody else")
def test_root_runs_it_as_nobody_and_copies_programs_that_nobody_cannot_reach(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running_postgres(home, databases=[]):
        assert Path(f"/proc/{_pid(home)}").stat().st_uid != 0
    hidden = tmp_path / "hidden"
    hidden.mkdir(mode=0o700)
    package = programs(state_folder(home), account()).parents[1]
    shutil.copytree(package, hidden / package.name)
    libraries = package.with_name(f"{package.name}.libs")
    shutil.copytree(libraries, hidden / libraries.name)
    monkeypatch.setattr("backcast.local.binaries._package_folder", lambda: hidden / package.name)
    with running_postgres(home) as server:
        assert _add_row(server) == 1
    assert list(state_folder(home).glob("programs-*"))
    assert hidden.stat().st_mode & 0o777 == 0o700

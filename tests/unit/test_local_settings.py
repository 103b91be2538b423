"""Ports, secrets and the environment of what is started on one machine."""

from __future__ import annotations

import json
import os
import socket
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from backcast.domain.errors import InputError
from backcast.local.environment import Ports, stack_environment
from backcast.local.lock import held_home
from backcast.local.options import Api, StackOptions
from backcast.local.ports import HOST, choose_port, free_ports, is_free
from backcast.local.postgres import PostgresServer
from backcast.local.private import kept_secret

PORTS = Ports(airflow=8080, simulator=8790, worker_logs=1, trigger_logs=2)


def _options(tmp_path: Path, api: Api = Api.SIMULATOR) -> StackOptions:
    return StackOptions(project=tmp_path, home=tmp_path / "home", api=api)


def _environment(tmp_path: Path, api: Api = Api.SIMULATOR, **caller: str) -> dict[str, str]:
    server = PostgresServer(tmp_path, 5555, "s3cret")
    return stack_environment(_options(tmp_path, api), server, PORTS, caller)


def _taken() -> socket.socket:
    listener = socket.socket()
    listener.bind((HOST, 0))
    listener.listen()
    return listener


def test_a_chosen_port_that_is_taken_is_refused_with_one_to_choose_instead() -> None:
    with closing(_taken()) as listener:
        port = listener.getsockname()[1]
        with pytest.raises(InputError, match=rf"port {port} is taken: choose another, .*AIRFLOW_PORT=\d+ make run"):
            choose_port(port, 8080, "AIRFLOW_PORT")


def test_a_usual_port_that_is_taken_gives_way_to_the_next_free_one() -> None:
    with closing(_taken()) as listener:
        port = listener.getsockname()[1]
        chosen = choose_port(None, port, "AIRFLOW_PORT")
        assert chosen > port
        assert is_free(chosen)


def test_a_port_given_to_another_part_is_not_given_twice() -> None:
    port = free_ports(1)[0]
    assert choose_port(None, port, "SIMULATOR_PORT", taken=frozenset({port})) > port
    with pytest.raises(InputError, match="is taken"):
        choose_port(port, 8790, "SIMULATOR_PORT", taken=frozenset({port}))


def test_a_secret_is_made_once_and_is_for_its_owner_only(tmp_path: Path) -> None:
    path = tmp_path / "secrets" / "one"
    secret = kept_secret(path)
    assert len(secret) > 20
    assert kept_secret(path) == secret
    assert path.stat().st_mode & 0o777 == 0o600


def test_each_api_has_a_home_of_its_own(tmp_path: Path) -> None:
    homes = {_options(tmp_path, api).api_home for api in Api}
    assert homes == {tmp_path / "home" / "simulator", tmp_path / "home" / "anthropic"}


def test_an_exported_key_alone_reaches_nothing(tmp_path: Path) -> None:
    env = _environment(tmp_path, ANTHROPIC_API_KEY="sk-ant-real", ANTHROPIC_BASE_URL="https://api.example")
    assert "sk-ant-real" not in json.dumps(env)
    assert json.loads(env["AIRFLOW_CONN_ANTHROPIC_DEFAULT"])["host"] == "http://127.0.0.1:8790"
    assert env["BACKCAST_POLL_INTERVAL"] == "2"


def test_the_real_api_is_reached_through_the_connection_and_looked_at_once_a_minute(tmp_path: Path) -> None:
    env = _environment(tmp_path, Api.ANTHROPIC, ANTHROPIC_API_KEY="sk-ant-real")
    assert json.loads(env["AIRFLOW_CONN_ANTHROPIC_DEFAULT"]) == {"conn_type": "anthropic", "password": "sk-ant-real"}
    assert env["BACKCAST_POLL_INTERVAL"] == "60"
    assert "ANTHROPIC_API_KEY" not in env


def test_no_dag_starts_by_itself_unless_it_was_asked_for(tmp_path: Path) -> None:
    assert _environment(tmp_path, BACKCAST_SCHEDULES="true")["BACKCAST_SCHEDULES"] == "false"
    asked = replace(_options(tmp_path), schedules=True)
    env = stack_environment(asked, PostgresServer(tmp_path, 5555, "s3cret"), PORTS, {})
    assert env["BACKCAST_SCHEDULES"] == "true"
    assert env["AIRFLOW__CORE__PLUGINS_FOLDER"] == str(tmp_path / "plugins")


def test_settings_of_the_callers_own_airflow_and_database_stay_outside(tmp_path: Path) -> None:
    env = _environment(
        tmp_path,
        AIRFLOW__CORE__EXECUTOR="CeleryExecutor",
        AIRFLOW_CONN_X="postgres://x",
        PGSSLMODE="require",
        HOME="/h",
    )
    assert env["AIRFLOW__CORE__EXECUTOR"] == "LocalExecutor"
    assert not {"AIRFLOW_CONN_X", "PGSSLMODE"} & env.keys()
    assert env["HOME"] == "/h"


def test_a_proxy_is_not_asked_for_what_is_on_this_machine(tmp_path: Path) -> None:
    env = _environment(tmp_path, http_proxy="http://proxy", NO_PROXY="example.com")
    assert env["NO_PROXY"] == env["no_proxy"] == "example.com,127.0.0.1,localhost"


def test_airflows_only_user_is_known_beforehand(tmp_path: Path) -> None:
    env = _environment(tmp_path)
    path = Path(env["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE"])
    assert path.stat().st_mode & 0o777 == 0o600
    assert json.loads(path.read_text()).keys() == {"admin"}
    assert env["AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS"] == "admin:admin"


def test_keys_stay_the_same_between_starts(tmp_path: Path) -> None:
    names = ("AIRFLOW__CORE__FERNET_KEY", "AIRFLOW__API_AUTH__JWT_SECRET", "AIRFLOW__API__SECRET_KEY")
    first, second = _environment(tmp_path), _environment(tmp_path)
    assert [first[name] for name in names] == [second[name] for name in names]
    assert len({first[name] for name in names}) == 3


def test_a_home_is_held_by_one_and_says_by_whom(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with (
        held_home(home),
        pytest.raises(InputError, match=f"already runs in .*, started by process {os.getpid()}"),
        held_home(home),
    ):
        pass
    with held_home(home):
        assert home.stat().st_mode & 0o777 == 0o700

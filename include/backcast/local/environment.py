"""The environment that Airflow, its tasks and the simulator get: settings, connections and secrets.

Secrets travel here and never on a command line, which every user of the machine can read.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from backcast.local.options import Api
from backcast.local.ports import HOST
from backcast.local.private import kept_secret, write_private

if TYPE_CHECKING:
    from collections.abc import Mapping

    from backcast.local.options import StackOptions
    from backcast.local.postgres import PostgresServer

ADMIN: Final = "admin"

# What the caller has set for another Airflow, another database or another API must not reach ours.
_FOREIGN: Final = ("AIRFLOW", "ANTHROPIC_", "PG", "BACKCAST_", "SUPERVISOR_")
_LOCAL_HOSTS: Final = f"{HOST},localhost"


@dataclass(frozen=True, slots=True)
class Ports:
    """Where things listen."""

    airflow: int
    simulator: int
    worker_logs: int
    trigger_logs: int


def airflow_url(ports: Ports) -> str:
    """Return where a person and our own calls find Airflow."""
    return f"http://{HOST}:{ports.airflow}"


def simulator_url(ports: Ports) -> str:
    """Return where the simulator listens."""
    return f"http://{HOST}:{ports.simulator}"


def admin_password(home: Path) -> str:
    """Return the password of Airflow's only user, made once and kept."""
    return kept_secret(home / "secrets" / "airflow_admin", lambda: secrets.token_urlsafe(12))


def stack_environment(
    options: StackOptions, server: PostgresServer, ports: Ports, caller: Mapping[str, str]
) -> dict[str, str]:
    """Return the whole environment of everything that is started."""
    home = options.api_home
    inherited = {name: value for name, value in caller.items() if not name.startswith(_FOREIGN)}
    return (
        inherited
        | _process_settings(caller)
        | _airflow_settings(options, server, ports)
        | _airflow_secrets(home)
        | _connections(options, server, ports, caller)
        | _backcast_settings(options, server)
    )


def _process_settings(caller: Mapping[str, str]) -> dict[str, str]:
    # `airflow` starts `airflow`, and finds it on PATH. A proxy must not be asked for what is on this machine.
    no_proxy = ",".join(filter(None, (caller.get("no_proxy") or caller.get("NO_PROXY"), _LOCAL_HOSTS)))
    return {
        "PATH": os.pathsep.join((str(Path(sys.executable).parent), caller.get("PATH", os.defpath))),
        "NO_PROXY": no_proxy,
        "no_proxy": no_proxy,
        "PYTHONUNBUFFERED": "1",
    }


def _airflow_settings(options: StackOptions, server: PostgresServer, ports: Ports) -> dict[str, str]:
    database = server.dsn("airflow").removeprefix("postgresql://")
    settings = {
        "CORE__DAGS_FOLDER": options.project / "dags",
        "CORE__PLUGINS_FOLDER": options.project / "plugins",
        "CORE__EXECUTOR": "LocalExecutor",
        # Each is a process of its own, and this is one machine.
        "CORE__PARALLELISM": 8,
        "CORE__LOAD_EXAMPLES": False,
        # On a laptop nobody wants to look for a switch; elsewhere a new DAG starts paused.
        "CORE__DAGS_ARE_PAUSED_AT_CREATION": False,
        "CORE__EXECUTION_API_SERVER_URL": f"{airflow_url(ports)}/execution/",
        "CORE__SIMPLE_AUTH_MANAGER_USERS": f"{ADMIN}:admin",
        "CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE": _passwords_file(options.api_home),
        "DATABASE__SQL_ALCHEMY_CONN": f"postgresql+psycopg2://{database}",
        "DATABASE__SQL_ALCHEMY_CONN_ASYNC": f"postgresql+asyncpg://{database}",
        "API__HOST": HOST,
        "API__PORT": ports.airflow,
        "API__BASE_URL": airflow_url(ports),
        "API__WORKERS": 1,
        "LOGGING__BASE_LOG_FOLDER": options.api_home / "airflow" / "logs",
        "LOGGING__WORKER_LOG_SERVER_PORT": ports.worker_logs,
        "LOGGING__TRIGGER_LOG_SERVER_PORT": ports.trigger_logs,
        "LOGGING__COLORED_CONSOLE_LOG": False,
        # A second of idleness between two looks makes a short chain of tasks take five times as long.
        "SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": 0.1,
        # Seconds until a task is taken up again that could not tell how it ended, because the database was away.
        "SCHEDULER__TASK_INSTANCE_HEARTBEAT_TIMEOUT": 120,
    }
    prefixed = {f"AIRFLOW__{name}": str(value) for name, value in settings.items()}
    return {"AIRFLOW_HOME": str(options.api_home / "airflow")} | prefixed


def _airflow_secrets(home: Path) -> dict[str, str]:
    kept = home / "secrets"
    return {
        "AIRFLOW__CORE__FERNET_KEY": kept_secret(
            kept / "airflow_fernet", lambda: base64.urlsafe_b64encode(os.urandom(32)).decode()
        ),
        # Longer than 512 bits: what the tokens' signature is made from.
        "AIRFLOW__API_AUTH__JWT_SECRET": kept_secret(kept / "airflow_jwt", lambda: secrets.token_urlsafe(64)),
        "AIRFLOW__API__SECRET_KEY": kept_secret(kept / "airflow_api"),
    }


def _passwords_file(home: Path) -> Path:
    path = home / "secrets" / "airflow_passwords.json"
    # Written by us beforehand: Airflow would make the file readable by everybody and print the password.
    write_private(path, json.dumps({ADMIN: admin_password(home)}))
    return path


def _connections(
    options: StackOptions, server: PostgresServer, ports: Ports, caller: Mapping[str, str]
) -> dict[str, str]:
    if options.api is Api.ANTHROPIC:
        key, host = caller.get("ANTHROPIC_API_KEY", ""), caller.get("ANTHROPIC_BASE_URL", "")
    else:
        key, host = "sk-simulator", simulator_url(ports)
    anthropic = {"conn_type": "anthropic", "password": key} | ({"host": host} if host else {})
    ledger = {
        "conn_type": "postgres",
        "host": HOST,
        "port": server.port,
        "login": "backcast",
        "password": server.password,
        "schema": "backcast",
    }
    return {
        "AIRFLOW_CONN_ANTHROPIC_DEFAULT": json.dumps(anthropic),
        "AIRFLOW_CONN_BACKCAST_LEDGER": json.dumps(ledger),
    }


def _backcast_settings(options: StackOptions, server: PostgresServer) -> dict[str, str]:
    return {
        "BACKCAST_HOME": str(options.api_home),
        "BACKCAST_LEDGER": server.dsn("backcast"),
        "BACKCAST_REPORTS": str(options.reports or options.project / "reports"),
        "BACKCAST_WORKFLOWS": str(options.project / "include" / "workflows"),
        "BACKCAST_SCHEDULES": "true" if options.schedules else "false",
        # Simulated hours pass in seconds; the real API takes minutes at best.
        "BACKCAST_POLL_INTERVAL": "2" if options.api is Api.SIMULATOR else "60",
    }

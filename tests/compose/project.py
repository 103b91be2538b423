"""A project of Docker Compose of its own: started from docker-compose.yaml, looked into, and removed."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from tests.support import commit, git

from backcast.local.airflow_api import AirflowApi
from backcast.local.env_file import write_env_file
from backcast.local.ports import free_ports

if TYPE_CHECKING:
    from collections.abc import Callable

PROJECT = Path(__file__).resolve().parents[2]
FILE = PROJECT / "docker-compose.yaml"


def compose_command() -> list[str]:
    """How Docker Compose is called here."""
    for command in (["docker", "compose"], ["docker-compose"]):
        if shutil.which(command[0]) and _runs([*command, "version"]):
            return command
    pytest.fail("neither `docker compose` nor `docker-compose` runs here: install Docker with Compose")


def _runs(command: list[str]) -> bool:
    return subprocess.run(command, capture_output=True, check=False).returncode == 0


class Project:
    """One project, with an `.env` and a repository in `folder`."""

    def __init__(self, folder: Path) -> None:
        (port,) = free_ports(1)
        self.name = f"backcast-test-{port}"
        self.url = f"http://127.0.0.1:{port}"
        self.env_file = folder / ".env"
        self.repository = folder / "repository"
        self.repository.mkdir()
        git(self.repository, "init", "-q")
        self.plant("first", 12)
        # A day in half a minute.
        settings = {"AIRFLOW_PORT": port, "BACKCAST_CHECKOUT": self.repository, "SIMULATOR_SPEED": 2880}
        self.env_file.write_text("".join(f"{name}={value}\n" for name, value in settings.items()), encoding="utf-8")
        write_env_file(self.env_file)
        self._values = dict(re.findall(r"^(\w+)=(.*)$", self.env_file.read_text(encoding="utf-8"), re.MULTILINE))
        self._compose = [*compose_command(), "-p", self.name, "-f", str(FILE), "--project-directory", str(PROJECT)]
        self._compose += ["--profile", "demo", "--env-file"]

    def plant(self, name: str, documents: int) -> None:
        """Commit documents that no run has seen."""
        for number in range(documents):
            (self.repository / f"{name}_{number}.py").write_text(f"NAME = {name!r}\nNUMBER = {number}\n")
        commit(self.repository, name)

    def compose(self, *arguments: str, seconds: float = 120, check: bool = True) -> str:
        """Run a command of Docker Compose, and return what it said."""
        done = self.attempt(*arguments, seconds=seconds)
        assert done.returncode == 0 or not check, done.stdout
        return done.stdout

    def attempt(
        self, *arguments: str, seconds: float = 120, env_file: Path | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command that may fail; what it said on either stream is in `stdout`."""
        # What a person has exported for another project would go before .env.
        env = {name: value for name, value in os.environ.items() if name not in self._values}
        command = [*self._compose, str(env_file or self.env_file), *arguments]
        said = subprocess.STDOUT
        return subprocess.run(
            command, env=env, stdout=subprocess.PIPE, stderr=said, text=True, timeout=seconds, check=False
        )

    def wait(self, reached: Callable[[], bool], seconds: float) -> None:
        """Look once a second: each look starts a process."""
        give_up = time.monotonic() + seconds
        while not reached():
            if time.monotonic() > give_up:
                raise TimeoutError(f"not reached within {seconds} s")
            time.sleep(1)

    def airflow(self) -> AirflowApi:
        """Airflow's REST API through the port that is published."""
        return AirflowApi(self.url, "admin", self._values["AIRFLOW_ADMIN_PASSWORD"])

    def containers(self) -> dict[str, dict[str, Any]]:
        """What the engine says of each container, by the name of its service."""
        label = "com.docker.compose"
        listed = _docker("ps", "-aq", "--filter", f"label={label}.project={self.name}").split()
        found = json.loads(_docker("inspect", *listed)) if listed else []
        return {one["Config"]["Labels"][f"{label}.service"]: one for one in found}

    def leftovers(self, kind: str) -> list[str]:
        """The volumes or networks that belong to the project."""
        listed = _docker(kind, "ls", "-q", "--filter", f"label=com.docker.compose.project={self.name}")
        return listed.split()

    def simulator(self, path: str, body: object = None) -> Any:
        """Ask the simulator, from inside its container: it can be reached from nowhere else."""
        script = (
            "import sys, urllib.request as u; body = sys.argv[2].encode() or None;"
            "print(u.urlopen(u.Request('http://127.0.0.1:8790' + sys.argv[1], body)).read().decode())"
        )
        sent = "" if body is None else json.dumps(body)
        return json.loads(self.compose("exec", "-T", "simulator", "python", "-c", script, path, sent))

    def report(self) -> str:
        """The latest report, as a person reads it."""
        return self.compose("exec", "-T", "scheduler", "cat", "/reports/nightly_tech_debt/latest/report.md")


def _docker(*arguments: str) -> str:
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, check=True).stdout

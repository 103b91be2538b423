"""A team's own Airflow: a fresh environment with stock Airflow, into which a wheel of this project is installed."""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markdown_it import MarkdownIt

from backcast.local import stack as local
from backcast.local.airflow_api import AirflowApi
from backcast.local.environment import ADMIN, Ports, admin_password, airflow_url, stack_environment
from backcast.local.supervisor import supervised

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from backcast.local.options import StackOptions
    from backcast.local.postgres import PostgresServer

PROJECT = Path(__file__).resolve().parents[2]
SECTION = "Into the Airflow you have"
# Airflow as its makers ship it, with what it needs for a PostgreSQL.
STOCK = ("apache-airflow[postgres]==3.3.2", "apache-airflow-providers-anthropic==1.2.0", "asyncpg")

_NOBODY = "http://127.0.0.1:1"
_LOCKED = re.compile(r"^([\w.-]+==[^ ]+(?: ;[^\\]*)?) \\$", re.MULTILINE)
_VERSIONS = "import importlib.metadata as m, json; print(json.dumps({d.name: d.version for d in m.distributions()}))"
# What whoever runs the tests has set for their own Python, Airflow or API must not reach the team's.
_FOREIGN = ("AIRFLOW", "ANTHROPIC_", "BACKCAST_", "PYTHON", "VIRTUAL_ENV")


def readme_block(language: str) -> list[str]:
    """The lines of the one code block in this language that the README's section has."""
    tokens = MarkdownIt("commonmark").parse((PROJECT / "README.md").read_text(encoding="utf-8"))
    headings = [index for index, token in enumerate(tokens) if token.type == "heading_open" and token.tag == "h2"]
    start = next(index for index in headings if tokens[index + 1].content == SECTION)
    end = min((index for index in headings if index > start), default=len(tokens))
    (block,) = (token for token in tokens[start:end] if token.type == "fence" and token.info == language)
    return block.content.splitlines()


def build_wheel(folder: Path) -> Path:
    """Build as `make wheel` does, with the pinned builder."""
    python = ["--no-build-isolation", "--python", sys.executable]
    _run([_uv(), "build", "--quiet", "--wheel", *python, "--out-dir", folder, PROJECT], _plain_environment())
    (wheel,) = folder.glob("backcast-*-py3-none-any.whl")
    return wheel


class Environment:
    """A virtual environment of the team's."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.bin = folder, folder / "bin"
        _run([sys.executable, "-m", "venv", "--without-pip", folder], _plain_environment())
        locked = _LOCKED.findall((PROJECT / "requirements.txt").read_text(encoding="utf-8"))
        # The versions of today: nobody's release of tomorrow fails the test, and nothing is fetched twice.
        self._constraints = folder / "constraints.txt"
        self._constraints.write_text("\n".join(locked) + "\n", encoding="utf-8")

    def install(self, *packages: str | Path) -> None:
        """Install by uv, or else by pip, which may know an index that uv does not."""
        wanted = ["--quiet", "--constraint", self._constraints, *packages]
        try:
            _run([_uv(), "pip", "install", "--python", self.folder, *wanted], _plain_environment())
        except AssertionError:
            pip = [sys.executable, "-m", "pip", "--python", self.bin / "python"]
            _run([*pip, "install", *wanted], _plain_environment())

    def versions(self) -> dict[str, str]:
        """What is installed, by name."""
        versions: dict[str, str] = json.loads(_run([self.bin / "python", "-c", _VERSIONS], _plain_environment()))
        return versions


@dataclass(frozen=True, slots=True)
class Team:
    """An environment with the wheel, an Airflow project with the DAG file of the README, and where both keep data."""

    environment: Environment
    options: StackOptions
    server: PostgresServer
    ports: Ports

    @property
    def folder(self) -> Path:
        return self.options.project

    def env(self, api: str = _NOBODY, **more: str) -> dict[str, str]:
        """What the team's processes are told: nothing in it leads back to this checkout."""
        caller = _plain_environment(ANTHROPIC_API_KEY="sk-simulator", ANTHROPIC_BASE_URL=api)
        env = stack_environment(self.options, self.server, self.ports, caller)
        del env["BACKCAST_WORKFLOWS"]
        path = os.pathsep.join((str(self.environment.bin), caller["PATH"]))
        return env | {"PATH": path, "BACKCAST_POLL_INTERVAL": "1", **more}

    def run(self, *command: str, code: int = 0, **env: str) -> str:
        return _run(command, self.env(**env), code=code, cwd=self.folder)

    @contextmanager
    def airflow(self, env: dict[str, str]) -> Iterator[local.Stack]:
        """Run the team's scheduler, triggerer and so on for the length of a `with` block."""
        since, home = datetime.now(UTC), self.options.api_home
        programs = local.stack_programs(self.options, self.ports)
        with (
            supervised(programs, home, env) as supervisor,
            AirflowApi(airflow_url(self.ports), ADMIN, admin_password(home)) as airflow,
        ):
            stack = local.Stack(self.options, self.server, self.ports, supervisor, airflow, since)
            local._wait_until_up(stack)
            yield stack


def json_of(printed: str) -> Any:
    """The JSON in the last line: Airflow may warn of something before."""
    return json.loads(printed.splitlines()[-1])


def _run(command: Sequence[str | Path], env: Mapping[str, str], *, code: int = 0, cwd: Path | None = None) -> str:
    """Run a command, and return what it printed: both streams when it was to fail."""
    # By `env`, since Popen looks for a program on the path of this process.
    done = subprocess.run(["/usr/bin/env", *command], env=env, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == code, f"{shlex.join(map(str, command))}: {done.returncode}\n{done.stdout}{done.stderr}"
    return done.stdout if code == 0 else done.stdout + done.stderr


def _plain_environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    # As scripts/bootstrap.sh has it: a company's certificates, and no cache without a home to put it in.
    kept["UV_SYSTEM_CERTS"] = "1"
    if not os.access(os.environ.get("HOME", ""), os.W_OK):
        kept["UV_NO_CACHE"] = kept["PIP_NO_CACHE_DIR"] = "1"
    return kept | more


def _uv() -> Path:
    return Path(sys.executable).with_name("uv")

"""What a person can say about a night on this machine."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import backcast
from backcast.domain.errors import InputError


class Api(StrEnum):
    """Which Message Batches API is asked."""

    SIMULATOR = "simulator"
    ANTHROPIC = "anthropic"


def project_folder() -> Path:
    """Return the checkout that holds `dags/`, `plugins/` and this package.

    Raises:
        InputError: the package is installed without the project around it.
    """
    folder = Path(backcast.__file__).resolve().parents[2]
    if not (folder / "dags").is_dir():
        raise InputError(f"{folder} holds no dags/: run this from a checkout of Backcast, with `make run`.")
    return folder


@dataclass(frozen=True, slots=True)
class SimulatorOdds:
    """The shares of requests that end without an answer: a few, as in a real night."""

    errored: float = 0.03
    expired: float = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class StackOptions:
    """Where everything runs. A port of None means the usual one, or the next that is free.

    DAGs start by themselves only when `schedules` says so: nobody expects a command to send what it was not asked for.
    """

    project: Path = field(default_factory=project_folder)
    home: Path | None = None
    api: Api = Api.SIMULATOR
    airflow_port: int | None = None
    simulator_port: int | None = None
    simulator_speed: float | None = None
    simulator_odds: SimulatorOdds = SimulatorOdds()
    reports: Path | None = None
    schedules: bool = False

    @property
    def base(self) -> Path:
        """The folder that was asked for, or the usual one."""
        return (self.home or self.project / ".backcast").expanduser().resolve()

    def home_of(self, api: Api) -> Path:
        """Return the folder for all state of one API: simulated answers must never pass for a model's."""
        return self.base / api

    @property
    def api_home(self) -> Path:
        """The folder for all state of this stack."""
        return self.home_of(self.api)


@dataclass(frozen=True, slots=True, kw_only=True)
class NightOptions:
    """One run: what is analysed, and on which stack; `resume` names a DAG run to follow instead of a new one."""

    stack: StackOptions = field(default_factory=StackOptions)
    repository: str | None = None
    ref: str | None = None
    max_documents: int | None = None
    yes: bool = False
    resume: str | None = None
    dag_id: str = "nightly_tech_debt"

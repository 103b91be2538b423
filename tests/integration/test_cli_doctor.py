"""`backcast doctor` says in a line each what is well and what to do, whatever is broken."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import anthropic
import httpx2
import pytest
from click.testing import CliRunner, Result
from tests.simulated import START, Simulated
from tests.support import API_KEY, RunningSimulator

from backcast.anthropic_api.batches import MessageBatchesApi
from backcast.cli import main
from backcast.domain.checkup import Check, State
from backcast.domain.errors import InputError
from backcast.ledger.connection import HEAD
from backcast.services.doctor import ApiSource, check_apis, check_disk, isolated

if TYPE_CHECKING:
    import datetime as dt
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from backcast.ledger.connection import Ledger

WORKFLOW = "nightly_tech_debt"


@pytest.fixture
def doctor(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Result]:
    for name in list(os.environ):
        if name.startswith(("AIRFLOW", "ANTHROPIC", "BACKCAST")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    return lambda *arguments, **environment: CliRunner().invoke(main, ["doctor", *arguments], env=environment)


def found(done: Result) -> dict[str, tuple[str, str]]:
    assert "Traceback" not in done.output
    return checks_in(done.stdout)


def checks_in(text: str) -> dict[str, tuple[str, str]]:
    return {check["name"]: (check["state"], check["told"]) for check in json.loads(text)["checks"]}


def test_what_is_well_is_ok(doctor: Callable[..., Result], simulator: RunningSimulator, ledger: Ledger) -> None:
    done = doctor(
        "--json", ANTHROPIC_API_KEY=API_KEY, ANTHROPIC_BASE_URL=simulator.base_url, BACKCAST_LEDGER=ledger.dsn
    )
    assert done.exit_code == 0, done.output
    states = {name: state for name, (state, _) in found(done).items()}
    skipped = {"clock", "Airflow's connections", "alerts"}
    assert states == {name: "skipped" if name in skipped else "ok" for name in states}
    assert {"API by environment", "ledger", "PostgreSQL", "ledger's revision", "disk"} <= states.keys()
    assert {f"{what} of {WORKFLOW}" for what in ("model", "batches")} <= states.keys()


def test_what_is_not_given_is_skipped_with_what_to_give(doctor: Callable[..., Result], tmp_path: Path) -> None:
    done = doctor()
    assert done.exit_code == 0, done.output
    lines = done.stdout.splitlines()
    assert "skipped  API: There is no key. Set ANTHROPIC_API_KEY to have it checked." in lines
    assert "skipped  ledger: None is given. Set BACKCAST_LEDGER to have it checked." in lines
    assert any(line.startswith("skipped  Airflow's connections: Airflow is not set up here") for line in lines)
    assert all(line.startswith(("ok ", "skipped ")) for line in lines)
    # Airflow makes itself a home where it is imported.
    assert not (tmp_path / "airflow").exists()


def test_each_failure_is_a_line_of_its_own_without_a_password(
    doctor: Callable[..., Result], tmp_path: Path, start_simulator: Any
) -> None:
    strict = start_simulator("--api-key", "another")
    away = "postgresql://u:hunter2@127.0.0.1:1/x"
    done = doctor(ANTHROPIC_API_KEY="sk-ant-wrong", ANTHROPIC_BASE_URL=strict.base_url, BACKCAST_LEDGER=away)
    assert done.exit_code == 1
    lines = done.stdout.splitlines()
    assert any(line.startswith("failed   API by environment:") and "does not take the key" in line for line in lines)
    assert any(line.startswith("failed   ledger: The ledger is not reachable") for line in lines)
    assert any(line.startswith(f"skipped  batches of {WORKFLOW}:") for line in lines)
    assert "hunter2" not in done.output
    nowhere = doctor(
        "--json",
        ANTHROPIC_API_KEY=API_KEY,
        ANTHROPIC_BASE_URL="http://127.0.0.1:1",
        BACKCAST_LEDGER="nonsense hunter2",
        BACKCAST_WORKFLOWS=str(tmp_path),
    )
    checks = found(nowhere)
    assert "cannot be reached" in checks["API by environment"][1]
    assert checks["ledger"][0] == "failed"
    assert "cannot be read" in checks["ledger"][1]
    assert checks["workflows"][0] == "failed"
    assert "hunter2" not in nowhere.output


def test_a_ledger_that_is_not_migrated_names_the_remedy(doctor: Callable[..., Result], empty_database: str) -> None:
    done = doctor("--json", "--ledger", empty_database)
    assert done.exit_code == 1
    checks = found(done)
    assert (checks["ledger"][0], checks["PostgreSQL"][0]) == ("ok", "ok")
    assert checks["ledger's revision"] == ("failed", f"is not migrated, and this needs {HEAD}. Run `backcast migrate`.")


def test_a_model_that_is_unknown_or_at_its_end_fails_only_its_own_check(doctor: Callable[..., Result]) -> None:
    checks = found(doctor("--json", BACKCAST_MODEL="claude-nonesuch"))
    assert checks[f"model of {WORKFLOW}"][0] == "failed"
    assert "not known here" in checks[f"model of {WORKFLOW}"][1]
    assert checks["disk"][0] == "ok"


def beside_airflow(home: Path, **environment: str) -> dict[str, tuple[str, str]]:
    """Return the checks of a process of its own, since Airflow keeps to the home that it is first imported with."""
    inherited = {name: os.environ[name] for name in ("PATH", "PYTHONPATH", "HOME") if name in os.environ}
    told = {"AIRFLOW_HOME": str(home), "AIRFLOW__CORE__LOAD_EXAMPLES": "false", **environment}
    command = [sys.executable, "-c", "from backcast.cli import main; main()", "doctor", "--json"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=inherited | told)
    assert done.returncode == 1, done.stderr
    assert "Traceback" not in done.stderr
    return checks_in(done.stdout)


def test_airflows_connections_are_looked_at_where_it_is_set_up(simulator: RunningSimulator, tmp_path: Path) -> None:
    connections = {
        "ANTHROPIC_DEFAULT": {"conn_type": "anthropic", "password": API_KEY, "host": simulator.base_url},
        "BACKCAST_LEDGER": {"conn_type": "sqlite", "host": "x"},
        "MAIL": {"conn_type": "smtp", "extra": {"to": "team@example.com"}},
        # A password this short makes Airflow print a warning where the checks are printed.
        "NOBODY": {"conn_type": "smtp", "password": "x"},
        "CHAT": {"conn_type": "slackwebhook"},
    }
    environment = {f"AIRFLOW_CONN_{name}": json.dumps(connection) for name, connection in connections.items()}
    checks = beside_airflow(tmp_path, BACKCAST_ALERTS="mail, nobody, chat, nonesuch", **environment)
    assert checks["API by anthropic_default"][0] == checks[f"batches of {WORKFLOW}"][0] == "ok"
    assert checks["Airflow connection anthropic_default"][0] == "ok"
    for name in ("Airflow connection backcast_ledger", "ledger"):
        assert checks[name][0] == "failed"
        assert "must be of type postgres" in checks[name][1]
    assert checks["alerts by mail"][0] == "ok"
    for name, said in (("nobody", "names nobody"), ("chat", "providers-slack"), ("nonesuch", "BACKCAST_ALERTS")):
        state, told = checks[f"alerts by {name}"]
        assert (state, said in told) == ("failed", True), told


def test_connections_in_airflows_database_are_found_and_a_missing_one_says_how_to_add_it(tmp_path: Path) -> None:
    environment = {**os.environ, "AIRFLOW_HOME": str(tmp_path), "AIRFLOW__CORE__LOAD_EXAMPLES": "false"}
    add = ["connections", "add", "anthropic_default", "--conn-type", "anthropic", "--conn-host", "http://127.0.0.1:1"]
    for arguments in (["db", "migrate"], [*add, "--conn-password", API_KEY]):
        subprocess.run([sys.executable, "-m", "airflow", *arguments], capture_output=True, check=True, env=environment)
    checks = beside_airflow(tmp_path)
    assert checks["Airflow connection anthropic_default"][0] == "ok"
    assert "http://127.0.0.1:1 cannot be reached" in checks["API by anthropic_default"][1]
    state, told = checks["Airflow connection backcast_ledger"]
    assert (state, "airflow connections add backcast_ledger --conn-type postgres" in told) == ("failed", True)


class Real(httpx2.BaseTransport):
    """A simulator that passes for the real API, and may be made to say something else of its models."""

    def __init__(self, simulated: Simulated, **model: Any) -> None:
        self.inner, self.model, self.dated, self.lacks = simulated.transport(), model, True, "?"

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        url = str(request.url).replace(self.lacks, "claude-nonesuch") if self.lacks in request.url.path else request.url
        answer = self.inner.handle_request(httpx2.Request(request.method, url, headers=request.headers))
        answer.read()
        headers = {name: answer.headers[name] for name in ("content-type", "date") if self.dated or name != "date"}
        body = answer.json()
        return httpx2.Response(answer.status_code, headers=headers, json=body | self.model if "id" in body else body)


def looked(transport: Real, ahead: float = 0) -> dict[str, Check]:
    """Return the checks of an API at this transport, with a clock that is so many seconds ahead of its."""

    async def never() -> anthropic.AsyncAnthropic:
        raise AssertionError

    def make() -> MessageBatchesApi:
        http = httpx2.Client(transport=transport)
        return MessageBatchesApi(anthropic.Anthropic(api_key="k", base_url="http://real", http_client=http), never)

    def clock() -> dt.datetime:
        return START + timedelta(seconds=ahead)

    return {check.name: check for check in check_apis([ApiSource("test", make)], clock, [WORKFLOW])}


@pytest.mark.parametrize(
    ("ahead", "state"), [(0, State.OK), (60, State.WARNING), (-60, State.WARNING), (400, State.FAILED)]
)
def test_our_clock_is_compared_with_the_apis(ahead: float, state: State) -> None:
    assert looked(Real(Simulated()), ahead)["clock"].state is state


def test_an_api_without_a_date_has_no_clock_to_compare_with() -> None:
    transport = Real(Simulated())
    transport.dated = False
    assert looked(transport)["clock"].state is State.SKIPPED


def test_what_the_api_says_of_a_model_is_what_counts() -> None:
    no = {"supported": False}
    assert looked(Real(Simulated(), capabilities={"batch": no}))[f"batches of {WORKFLOW}"].state is State.FAILED
    assert looked(Real(Simulated(), capabilities=None))[f"batches of {WORKFLOW}"].state is State.OK
    for ends, state in (("2026-12-24T00:00:00Z", State.WARNING), ("2026-11-25T00:00:00Z", State.FAILED)):
        seen = looked(Real(Simulated(), lifecycle="deprecated", retires_at=ends))[f"model of {WORKFLOW}"]
        assert (seen.state, ends[:10] in seen.told) == (state, True)


def test_a_model_that_the_api_lacks_is_said() -> None:
    transport = Real(Simulated())
    transport.lacks = "claude-sonnet-5-5"
    checks = looked(transport)
    assert checks["API by test"].state is checks[f"model of {WORKFLOW}"].state is State.OK
    lacks = checks[f"batches of {WORKFLOW}"]
    assert (lacks.state, "has no model 'claude-sonnet-5-5'" in lacks.told) == (State.FAILED, True)


@pytest.mark.parametrize("error", [RuntimeError("a\n  b"), InputError("a b"), SystemExit("a b")])
def test_whatever_a_check_raises_is_a_failure_after_what_it_had_found(error: BaseException) -> None:
    def check() -> Iterator[Check]:
        yield Check("first", State.OK, "well")
        raise error

    first, failed = isolated("second", check)
    assert (first.state, failed.name, failed.state) == (State.OK, "second", State.FAILED)
    assert failed.told.endswith("a b")


def test_what_is_raised_is_told_without_a_password() -> None:
    def check() -> list[Check]:
        raise RuntimeError("could not open postgresql://u:hunter2@h/d")

    [failed] = isolated("ledger", check)
    assert failed.told == "RuntimeError: could not open postgresql://u:***@h/d"


def test_folders_on_one_file_system_are_checked_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("BACKCAST_HOME", str(tmp_path / "home" / "not" / "there"))
    monkeypatch.setenv("BACKCAST_REPORTS", str(tmp_path))
    [disk] = check_disk()
    assert all(what in disk.told for what in ("reports in", "clones in", "BACKCAST_HOME in"))

"""What we ask Airflow through its REST API: is it up, does it know the DAG, how is the run."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import httpx2

from backcast.domain.errors import BackcastError

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

_PARTS: Final = ("metadatabase", "scheduler", "triggerer", "dag_processor")
_TIMEOUT: Final = 30.0
UNFINISHED: Final = ("queued", "running")


class AirflowAwayError(BackcastError):
    """Airflow does not answer now; it may a moment later."""


@dataclass(frozen=True, slots=True)
class TaskState:
    """One task instance of a run."""

    task_id: str
    map_index: int
    state: str | None
    try_number: int


class AirflowApi:
    """Airflow's REST API on this machine, as its only user."""

    def __init__(self, url: str, user: str, password: str, transport: httpx2.BaseTransport | None = None) -> None:
        # No environment: a proxy has no business between two processes of one machine.
        self._client = httpx2.Client(base_url=url, timeout=_TIMEOUT, trust_env=False, transport=transport)
        self._login = {"username": user, "password": password}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._client.close()

    def unhealthy(self, since: datetime) -> list[str]:
        """Return which parts have not reported since this moment; all of them while nobody answers."""
        try:
            answer = self._client.get("/api/v2/monitor/health", timeout=5.0)
            parts = answer.raise_for_status().json()
        except (httpx2.HTTPError, ValueError):
            return list(_PARTS)
        return [part for part in _PARTS if not _is_up(parts.get(part) or {}, part, since)]

    def import_errors(self, since: datetime) -> list[tuple[str, str]]:
        """Return the DAG files that could not be read since this moment, each with its traceback."""
        errors = self._get("/api/v2/importErrors", limit=100)["import_errors"]
        fresh = [error for error in errors if datetime.fromisoformat(error["timestamp"]) >= since]
        return [(error["filename"], error["stack_trace"].rstrip()) for error in fresh]

    def knows_dag(self, dag_id: str, since: datetime) -> bool:
        """Tell whether the DAG was read from its file since this moment; what is known from before may be stale."""
        answer = self._request("GET", f"/api/v2/dags/{quote(dag_id)}")
        if answer.status_code == HTTPStatus.NOT_FOUND:
            return False
        parsed = _checked(answer).get("last_parsed_time")
        return parsed is not None and datetime.fromisoformat(parsed) >= since

    def trigger(self, dag_id: str, dag_run_id: str, conf: dict[str, Any]) -> None:
        """Start a run now."""
        body = {"dag_run_id": dag_run_id, "logical_date": None, "conf": conf}
        _checked(self._request("POST", f"/api/v2/dags/{quote(dag_id)}/dagRuns", json=body))

    def run_state(self, dag_id: str, dag_run_id: str) -> str | None:
        """Return the state of a run, or None if there is no such run."""
        answer = self._request("GET", _run_path(dag_id, dag_run_id))
        return None if answer.status_code == HTTPStatus.NOT_FOUND else str(_checked(answer)["state"])

    def fail_run(self, dag_id: str, dag_run_id: str) -> None:
        """Mark a run, and whatever of it is unfinished, failed."""
        _checked(self._request("PATCH", _run_path(dag_id, dag_run_id), json={"state": "failed"}))

    def clear_failed(self, dag_id: str, dag_run_id: str) -> None:
        """Let the failed tasks of a run, and what came after them, run again."""
        body = {"dry_run": False, "only_failed": True}
        _checked(self._request("POST", f"{_run_path(dag_id, dag_run_id)}/clear", json=body))

    def unfinished_runs(self, before: datetime | None = None) -> list[tuple[str, str]]:
        """Return DAG and id of every run that is queued or running; only what was due `before`, if that is given."""
        earlier = {"run_after_lt": before.isoformat()} if before else {}
        runs = self._get("/api/v2/dags/~/dagRuns", state=list(UNFINISHED), limit=100, **earlier)["dag_runs"]
        return [(run["dag_id"], run["dag_run_id"]) for run in runs]

    def tasks(self, dag_id: str, dag_run_id: str) -> list[TaskState]:
        """Return the task instances of a run."""
        found = self._get(f"{_run_path(dag_id, dag_run_id)}/taskInstances", limit=500)["task_instances"]
        return [TaskState(one["task_id"], one["map_index"], one["state"], one["try_number"]) for one in found]

    def task_log(self, dag_id: str, dag_run_id: str, task: TaskState) -> list[str]:
        """Return the lines that a task logged in its last try, levels first; tracebacks are lines of their own."""
        path = f"{_run_path(dag_id, dag_run_id)}/taskInstances/{quote(task.task_id)}/logs/{task.try_number}"
        content = self._get(path, map_index=task.map_index, full_content=True)["content"]
        return [line for entry in content for line in _log_lines(entry)]

    def _get(self, path: str, **query: Any) -> dict[str, Any]:  # noqa: ANN401  as httpx2 takes them
        return _checked(self._request("GET", path, params=query))

    def _request(self, method: str, path: str, **arguments: Any) -> httpx2.Response:  # noqa: ANN401  as httpx2
        try:
            answer = self._client.request(method, path, **arguments)
            if answer.status_code == HTTPStatus.UNAUTHORIZED:
                # Not logged in yet, or for longer than a token lives: a night may take a day.
                self._log_in()
                answer = self._client.request(method, path, **arguments)
        except httpx2.HTTPError as error:
            raise AirflowAwayError(f"Airflow does not answer {method} {path}: {error!r}") from error
        return answer

    def _log_in(self) -> None:
        token = _checked(self._client.post("/auth/token", json=self._login))["access_token"]
        self._client.headers["Authorization"] = f"Bearer {token}"


def _run_path(dag_id: str, dag_run_id: str) -> str:
    return f"/api/v2/dags/{quote(dag_id)}/dagRuns/{quote(dag_run_id)}"


def _checked(answer: httpx2.Response) -> dict[str, Any]:
    if answer.is_success:
        return dict(answer.json())
    request = answer.request
    raise BackcastError(
        f"Airflow refused {request.method} {request.url.path}: {answer.status_code} {answer.text[:500]}"
    )


def _is_up(told: dict[str, Any], part: str, since: datetime) -> bool:
    if told.get("status") != "healthy":
        return False
    # A heartbeat of the last session counts as healthy for half a minute.
    beat = told.get(f"latest_{part}_heartbeat")
    return part == "metadatabase" or (beat is not None and datetime.fromisoformat(beat) >= since)


def _log_lines(entry: str | dict[str, Any]) -> list[str]:
    if isinstance(entry, str):
        return entry.splitlines()
    lines = f"{entry.get('level', ''):8} {entry.get('event', '')}".strip().splitlines()
    for error in entry.get("error_detail") or ():
        frames = [frame for frame in error.get("frames") or () if "site-packages" not in frame["filename"]]
        lines += [f"  {frame['filename']}:{frame['lineno']} in {frame['name']}" for frame in frames]
        lines.append(f"{error.get('exc_type')}: {error.get('exc_value')}")
    return lines

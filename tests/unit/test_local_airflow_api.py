"""Airflow's REST API as we read it: what is stale does not count, and a login is renewed."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import httpx2
import pytest

from backcast.domain.errors import BackcastError
from backcast.local.airflow_api import AirflowApi, TaskState

if TYPE_CHECKING:
    from collections.abc import Callable

SINCE = datetime(2026, 5, 1, 6, tzinfo=UTC)
BEFORE, AFTER = (SINCE - timedelta(seconds=5)).isoformat(), (SINCE + timedelta(seconds=5)).isoformat()


def _api(answer: Callable[[httpx2.Request], httpx2.Response]) -> AirflowApi:
    return AirflowApi("http://airflow", "admin", "pw", transport=httpx2.MockTransport(answer))


def _always(body: dict[str, Any], status: int = 200) -> AirflowApi:
    return _api(lambda _: httpx2.Response(status, json=body))


def test_a_part_is_up_only_once_it_has_reported_in_this_session() -> None:
    health = {
        "metadatabase": {"status": "healthy"},
        "scheduler": {"status": "healthy", "latest_scheduler_heartbeat": AFTER},
        "triggerer": {"status": "healthy", "latest_triggerer_heartbeat": BEFORE},
        "dag_processor": {"status": None, "latest_dag_processor_heartbeat": None},
    }
    assert _always(health).unhealthy(SINCE) == ["triggerer", "dag_processor"]
    assert len(_always({}, status=503).unhealthy(SINCE)) == 4


def test_import_errors_and_dags_of_an_earlier_session_do_not_count() -> None:
    errors = [
        {"timestamp": BEFORE, "filename": "old.py", "stack_trace": "x"},
        {"timestamp": AFTER, "filename": "new.py", "stack_trace": "Traceback\n"},
    ]
    assert _always({"import_errors": errors}).import_errors(SINCE) == [("new.py", "Traceback")]
    assert _always({"last_parsed_time": AFTER}).knows_dag("d", SINCE)
    assert not _always({"last_parsed_time": BEFORE}).knows_dag("d", SINCE)
    assert not _always({}, status=404).knows_dag("d", SINCE)


def test_a_login_that_ran_out_is_renewed() -> None:
    logins = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        if request.url.path == "/auth/token":
            logins.append(json.loads(request.content))
            return httpx2.Response(201, json={"access_token": f"t{len(logins)}"})
        good = request.headers.get("Authorization") == "Bearer t2"
        return httpx2.Response(200, json={"state": "running"}) if good else httpx2.Response(401, json={})

    api = _api(answer)
    with pytest.raises(BackcastError, match="401"):
        api.run_state("d", "r")
    assert api.run_state("d", "r") == "running"
    assert logins == [{"username": "admin", "password": "pw"}] * 2


def test_a_run_is_triggered_now_and_by_name() -> None:
    sent = []

    def answer(request: httpx2.Request) -> httpx2.Response:
        sent.append((request.method, request.url.path, json.loads(request.content)))
        return httpx2.Response(200, json={})

    _api(answer).trigger("d", "r-1", {"repository": "/r"})
    body = {"dag_run_id": "r-1", "logical_date": None, "conf": {"repository": "/r"}}
    assert sent == [("POST", "/api/v2/dags/d/dagRuns", body)]


def test_a_refusal_says_what_airflow_said() -> None:
    with pytest.raises(BackcastError, match=r"Airflow refused POST /api/v2/dags/d/dagRuns: 409 .*exists"):
        _always({"detail": "exists"}, status=409).trigger("d", "r", {})


def test_a_traceback_is_told_without_the_frames_of_packages() -> None:
    frames = [
        {"filename": "/v/site-packages/airflow/x.py", "lineno": 1, "name": "run"},
        {"filename": "/p/dags/d.py", "lineno": 7, "name": "a"},
    ]
    entries = [
        {"event": "hello", "level": "info"},
        {
            "event": "Task failed",
            "level": "error",
            "error_detail": [{"exc_type": "ValueError", "exc_value": "no", "frames": frames}],
        },
    ]
    lines = _always({"content": entries}).task_log("d", "r", TaskState("t", -1, "failed", 1))
    assert lines == ["info     hello", "error    Task failed", "  /p/dags/d.py:7 in a", "ValueError: no"]

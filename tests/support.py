"""What several tests use: a night through the services, a repository, and a simulator's controls."""

from __future__ import annotations

import json
import subprocess
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import anthropic
import httpx2

from backcast.anthropic_api.batches import MessageBatchesApi
from backcast.services.collect import collect
from backcast.services.ingest import ingest
from backcast.services.open_run import open_run
from backcast.services.publish import publish
from backcast.services.resubmit import resubmit_failures
from backcast.services.rounds import plan_round
from backcast.services.submit import submit
from backcast.settings import run_settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from backcast.ledger.connection import Ledger

API_KEY = "sk-ant-test"
WORKFLOW = "nightly_tech_debt"


def api_at(base_url: str) -> MessageBatchesApi:
    async def connect() -> anthropic.AsyncAnthropic:
        return anthropic.AsyncAnthropic(api_key=API_KEY, base_url=base_url)

    return MessageBatchesApi(anthropic.Anthropic(api_key=API_KEY, base_url=base_url), connect)


def clock() -> datetime:
    return datetime.now(UTC)


class Night:
    """Calls the services one after the other, as the DAG does."""

    def __init__(self, ledger: Ledger, base_url: str, folder: Path) -> None:
        self.ledger, self.api, self.folder = ledger, api_at(base_url), folder

    def open(self, key: str, **params: Any) -> int:
        return open_run(self.ledger, self.api, clock, run_settings(WORKFLOW, params), external_key=key)

    def round(self, run_id: int, number: int) -> list[int]:
        batches = [
            submit(self.ledger, self.api, clock, batch_id)
            for batch_id in plan_round(self.ledger, clock, run_id, number)
        ]
        for batch_id in batches:
            self.wait(batch_id)
            ingest(self.ledger, self.api, clock, batch_id)
        return batches

    def wait(self, batch_id: int) -> None:
        with self.ledger.connect() as connection:
            row = connection.execute("SELECT * FROM batches WHERE batch_id = %s", [batch_id]).fetchone()
        assert row
        wait_until(lambda: self.api.retrieve(row["api_batch_id"]).ended_at is not None)

    def publish(self, run_id: int) -> dict[str, Any]:
        report = publish(self.ledger, clock, run_id, reports=self.folder / "reports").report
        assert report
        parsed: dict[str, Any] = json.loads(report.with_suffix(".json").read_bytes())
        return parsed

    def whole(self, key: str, **params: Any) -> tuple[int, dict[str, Any]]:
        run_id = self.open(key, **params)
        collect(self.ledger, clock, run_id, cache=self.folder / "cache")
        self.round(run_id, 1)
        resubmit_failures(self.ledger, run_id, 2)
        self.round(run_id, 2)
        return run_id, self.publish(run_id)


def prove(ledger: Ledger, run_id: int) -> None:
    """Let a run pass without a sample, so that all of it is submitted."""
    with ledger.connect() as connection:
        connection.execute(
            "INSERT INTO gates (run_id, opened_at, judged_at, verdict, scores) "
            "VALUES (%s, now(), now(), 'passed', '{}') ON CONFLICT DO NOTHING",
            [run_id],
        )


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=Test", "-c", "user.email=test@example.org"]
    subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True)


def commit(folder: Path, message: str) -> None:
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", message)


class RunningSimulator:
    """A simulator in a process of its own, with the calls that tests need."""

    def __init__(self, base_url: str) -> None:
        self.base_url = base_url
        self.http = httpx2.Client(base_url=base_url, timeout=30)

    def rules(self, *rules: dict[str, Any]) -> None:
        self.http.post("/simulator/rules", json=list(rules)).raise_for_status()

    def faults(self, **faults: Any) -> None:
        self.http.post("/simulator/faults", json=faults).raise_for_status()

    def bill(self) -> list[dict[str, Any]]:
        requests: list[dict[str, Any]] = self.http.get("/simulator/bill").raise_for_status().json()["requests"]
        return requests

    def log(self) -> list[dict[str, Any]]:
        body = self.http.get("/simulator/log").raise_for_status().json()
        calls: list[dict[str, Any]] = body["calls"] if isinstance(body, dict) else body
        return calls


def wait_until(reached: Callable[[], bool], seconds: float = 30) -> None:
    give_up = time.monotonic() + seconds
    while True:
        try:
            if reached():
                return
        except httpx2.HTTPError:
            pass
        if time.monotonic() > give_up:
            raise TimeoutError(f"not reached within {seconds} s")
        time.sleep(0.05)

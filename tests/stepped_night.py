"""A night on a simulator in this process, whose clock is stepped by the test and is everybody's."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import anthropic
import httpx2
import pytest
from tests.simulated import START
from tests.support import WORKFLOW, commit, git

from backcast.anthropic_api.batches import MessageBatchesApi
from backcast.domain.errors import InDoubtError
from backcast.ledger.runs import load_run
from backcast.services.collect import collect
from backcast.services.doubt import resolve_doubts
from backcast.services.ingest import ingest
from backcast.services.open_run import open_run
from backcast.services.open_work import weigh
from backcast.services.publish import publish
from backcast.services.rescue import Rescued, rescue
from backcast.services.resubmit import resubmit_failures
from backcast.services.rounds import plan_round
from backcast.services.submit import submit
from backcast.settings import run_settings
from backcast_simulator.answers import answerer_named
from backcast_simulator.clock import SteppedClock
from backcast_simulator.faults import parse_faults
from backcast_simulator.settings import Settings
from backcast_simulator.simulator import Simulator
from backcast_simulator.transport import SimulatorTransport

if TYPE_CHECKING:
    import datetime as dt
    from pathlib import Path

    from backcast.ledger.connection import Ledger
    from backcast_simulator.fault_layer import Pause

DAY = 86_400.0


class SteppedNight:
    """A simulator in this process whose clock is everybody's, and the services on it."""

    def __init__(self, ledger: Ledger, folder: Path, documents: int = 3, settings: Settings | None = None) -> None:
        self.ledger, self.folder = ledger, folder
        self.simulator = Simulator(
            SteppedClock(START),
            answerer_named("analyst"),
            settings or Settings(workspaces={"k": "w", "l": "w"}),
        )
        self.api = self.api_with("k")
        self.repository = folder / "repository"
        self.repository.mkdir()
        for number in range(documents):
            (self.repository / f"module{number}.py").write_text(f"VALUE = {number}\n")
        git(self.repository, "init", "-q")
        commit(self.repository, "first")

    def api_with(self, key: str, base_url: str = "http://simulated", pause: Pause = asyncio.sleep) -> MessageBatchesApi:
        async def connect() -> anthropic.AsyncAnthropic:
            http = httpx2.AsyncClient(transport=SimulatorTransport(self.simulator, pause))
            return anthropic.AsyncAnthropic(api_key=key, base_url=base_url, http_client=http, max_retries=0)

        http = httpx2.Client(transport=SimulatorTransport(self.simulator))
        client = anthropic.Anthropic(api_key=key, base_url=base_url, http_client=http, max_retries=0)
        return MessageBatchesApi(client, connect)

    def now(self) -> dt.datetime:
        return self.simulator.clock.now()

    def collected(self, key: str = "dag/1", api: MessageBatchesApi | None = None, **params: Any) -> int:
        settings = run_settings(WORKFLOW, {"repository": str(self.repository), **params})
        run_id = open_run(self.ledger, api or self.api, self.now, settings, external_key=key)
        collect(self.ledger, self.now, run_id, cache=self.folder)
        return run_id

    def planned(self, key: str = "dag/1", api: MessageBatchesApi | None = None, **params: Any) -> int:
        """Return the only batch of a run's first round; every run but `dag/1` has documents of its own."""
        run_id = self.collected(key, api, repository=str(self._own_repository(key)), **params)
        return plan_round(self.ledger, self.now, run_id, 1)[0]

    def _own_repository(self, key: str) -> Path:
        folder = self.folder / key.replace("/", "-")
        if key == "dag/1":
            return self.repository
        if not folder.exists():
            folder.mkdir()
            for file in self.repository.glob("*.py"):
                (folder / file.name).write_text(f"{file.read_text()}# {key}\n")
            git(folder, "init", "-q")
            commit(folder, "first")
        return folder

    def submit(self, batch_id: int, api: MessageBatchesApi | None = None) -> int:
        return submit(self.ledger, api or self.api, self.now, batch_id)

    def rescue(self, run_id: int, *, final: bool = True, **more: Any) -> Rescued:
        return rescue(self.ledger, self.api, self.now, run_id, final=final, pause=self.pause, **more)

    def through(self, run_id: int, seconds: float = DAY) -> dict[str, Any]:
        """Go through a run's rounds, whose batches each get so many seconds, publish it, and return it."""
        for number in (1, 2):
            if number > 1:
                resubmit_failures(self.ledger, run_id, number)
            for batch_id in plan_round(self.ledger, self.now, run_id, number):
                self.submit(batch_id)
                self.simulator.advance(seconds)
                ingest(self.ledger, self.api, self.now, batch_id)
        self.rescue(run_id)
        publish(self.ledger, self.now, run_id, reports=self.folder / "reports")
        return self.row("runs", run_id=run_id)

    def rescue_with(self, pause: Pause, run_id: int) -> Rescued:
        return rescue(self.ledger, self.api, self.now, run_id, final=True, pause=pause)

    def cancel_at(self, batch_id: int) -> dt.datetime:
        with self.ledger.connect() as connection:
            run = load_run(connection, self.row("batches", batch_id=batch_id)["run_id"])
            return weigh(connection, self.now(), run).cutoffs.cancel_at

    async def pause(self, seconds: float) -> None:
        self.simulator.advance(seconds)
        # So that what is under way is answered meanwhile.
        for _ in range(50):
            await asyncio.sleep(0)

    def lose(self, batch_id: int, api: MessageBatchesApi | None = None, **fault: Any) -> None:
        self.faults({"kind": "drop", "when": "after"} | fault)
        with pytest.raises(InDoubtError):
            self.submit(batch_id, api)

    def faults(self, *faults: dict[str, Any]) -> None:
        self.simulator.set_faults(parse_faults(list(faults)))

    def look(self, api: MessageBatchesApi | None = None) -> list[str]:
        return [found.what for found in resolve_doubts(self.ledger, api or self.api, self.now)]

    def row(self, table: str, **where: Any) -> dict[str, Any]:
        [(column, value)] = where.items()
        with self.ledger.connect() as connection:
            query = f"SELECT * FROM {table} WHERE {column} = %s"
            return connection.execute(query, [value]).fetchone() or {}  # type: ignore[arg-type]

    def paid(self) -> list[str]:
        return sorted(charge["document_sha256"] for charge in self.simulator.bill()["requests"])

    def calls(self, method: str) -> list[str]:
        return [call["path"] for call in self.simulator.calls if call["method"] == method]

"""A world made by a seed: documents, weather, faults, deaths and outages, around the real services.

The services, the SDK and PostgreSQL are real; the API is the simulator in this process, and its clock is everybody's.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import random
import re
from collections import Counter
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import anthropic
import httpx2
import psycopg
from tests.simulated import START
from tests.support import prove

from backcast.anthropic_api.batches import MessageBatchesApi
from backcast.domain.errors import ApiError, BackcastError, HeldError, InDoubtError, LedgerError
from backcast.domain.lines import number_lines
from backcast.domain.parts import Part
from backcast.domain.sampling import LetPass
from backcast.ledger.connection import Ledger
from backcast.services.cancel import cancel_run, resubmit_run
from backcast.services.claims import await_claims
from backcast.services.collect import collect
from backcast.services.fault_points import FaultPoint, listen
from backcast.services.gate import gate
from backcast.services.ingest import ingest
from backcast.services.open_run import open_run
from backcast.services.parts import shown_part
from backcast.services.publish import publish
from backcast.services.reconcile import Folders, mark_left, reconcile
from backcast.services.rescue import rescue
from backcast.services.resubmit import resubmit_failures
from backcast.services.rounds import INHERITED_ROUND, plan_round
from backcast.services.submit import submit
from backcast.services.waiting import awaited_batch
from backcast.settings import run_settings
from backcast_simulator.answers import answerer_named
from backcast_simulator.clock import SteppedClock
from backcast_simulator.faults import parse_faults
from backcast_simulator.outcomes import Odds
from backcast_simulator.rules import parse_rules
from backcast_simulator.settings import Readings, Settings
from backcast_simulator.simulator import Simulator
from backcast_simulator.transport import SimulatorTransport
from backcast_simulator.weather import WEATHERS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from backcast.ledger.connection import Connection

LONGEST_NIGHT = dt.timedelta(days=12)


class Killed(BaseException):
    """The process died here."""


class FlakyLedger(Ledger):
    """A ledger that nobody can connect to while it is away.

    A connection that ended well is used again, since most of a simulated night would be spent in connecting; one that
    a death ended is closed, as the process's own would be.
    """

    away = False

    def __init__(self, dsn: str) -> None:
        super().__init__(dsn)
        object.__setattr__(self, "idle", [])

    @contextmanager
    def connect(self) -> Iterator[Connection]:
        if type(self).away:
            raise LedgerError("The ledger is not reachable.")
        idle: list[tuple[Any, Connection]] = self.idle  # type: ignore[attr-defined]
        manager, connection = idle.pop() if idle else (super().connect(), None)
        connection = connection or manager.__enter__()
        try:
            yield connection
            connection.execute("SELECT pg_advisory_unlock_all()")
        except BaseException as error:
            if not manager.__exit__(type(error), error, error.__traceback__):
                raise
        else:
            idle.append((manager, connection))

    def go_away(self) -> None:
        type(self).away = True
        for manager, _ in self.idle:  # type: ignore[attr-defined]
            manager.__exit__(None, None, None)
        self.idle.clear()  # type: ignore[attr-defined]


CREATE_FAULTS: list[dict[str, Any]] = [
    {"kind": "drop", "when": "after"},
    {"kind": "drop", "when": "before"},
    {"kind": "error", "status": 500, "type": "api_error"},
    {"kind": "error", "status": 529, "type": "overloaded_error"},
    {"kind": "error", "status": 408, "type": "timeout_error"},
    {"kind": "error", "status": 409, "type": "conflict_error"},
    {"kind": "error", "status": 429, "type": "rate_limit_error", "retry_after": 5},
    {"kind": "error", "status": 429, "type": "rate_limit_error"},
    {"kind": "error", "status": 402, "type": "billing_error"},
    {"kind": "html", "status": 502},
    {"kind": "redirect"},
    {"kind": "repeat"},
]
OTHER_FAULTS: list[dict[str, Any]] = [
    {"kind": "error", "endpoint": "list", "status": 500},
    {"kind": "drop", "endpoint": "list", "when": "before"},
    {"kind": "error", "endpoint": "retrieve", "status": 404, "type": "not_found_error"},
    {"kind": "error", "endpoint": "results", "status": 404, "type": "not_found_error"},
    {"kind": "error", "endpoint": "models", "status": 529, "type": "overloaded_error"},
    {"kind": "error", "endpoint": "messages", "status": 529, "type": "overloaded_error"},
    {"kind": "error", "endpoint": "messages", "status": 429, "type": "rate_limit_error", "retry_after": 30},
    {"kind": "drop", "endpoint": "messages", "when": "after"},
    {"kind": "html", "endpoint": "messages", "status": 502},
    {"kind": "error", "endpoint": "cancel", "status": 500},
    {"kind": "list_lag", "seconds": 600},
    {"kind": "not_found", "seconds": 60},
    {"kind": "expires", "share": 0.5},
    {"kind": "canceled", "after_seconds": 1200},
    {"kind": "rows", "missing": 1},
    {"kind": "rows", "repeated": 2},
    {"kind": "rows", "unknown": 2},
    {"kind": "rows", "broken_last": True},
    {"kind": "rows", "cut": True},
]
_NUMBERS = re.compile(r"^ *\d+\| ?", re.MULTILINE)
TOO_LONG = "prompt is too long: 300000 tokens > 200000 maximum"
LIMIT_TOO_HIGH = "max_tokens: 8192 > 4096, which is the maximum allowed number of output tokens for a-model"
RULES: list[dict[str, Any]] = [
    {"share": 0.3, "attempts": [1], "outcome": "errored", "error_type": "overloaded_error"},
    {"share": 0.3, "attempts": [1], "outcome": "truncated"},
    {"share": 0.2, "attempts": [1], "outcome": "expired"},
    {"share": 0.2, "outcome": "malformed"},
    {"share": 0.3, "attempts": [1], "outcome": "malformed"},
    {"share": 0.2, "outcome": "unsupported"},
    {"share": 0.1, "outcome": "refusal"},
    {"share": 0.1, "outcome": "invalid_request"},
    {"share": 0.5, "when": {"prompt_lacks": "This is part"}, "outcome": "invalid_request", "message": TOO_LONG},
    {"share": 0.3, "when": {"prompt_lacks": "This is part"}, "outcome": "model_context_window_exceeded"},
    # Until it is split.
    {"share": 0.3, "when": {"prompt_lacks": "This is part"}, "outcome": "truncated"},
    {"share": 0.3, "attempts": [1], "outcome": "pause_turn"},
    {"share": 0.1, "outcome": "tool_use"},
    {"share": 0.3, "when": {"max_tokens_at_least": 4097}, "outcome": "invalid_request", "message": LIMIT_TOO_HIGH},
]
PAUSES = [0.0, 1.0, 30.0, 61.0, 300.0, 900.0, 3600.0, 4 * 3600.0]


@dataclass
class Task:
    """What one task of a DAG does; calling it again is always allowed. `done` is True when the next one may start."""

    name: str
    call: Callable[[], bool]


@dataclass
class Run:
    """A run and the tasks that are left of it.

    Nobody works on an abandoned one but the reconciliation, and nobody at all on one that somebody ended by hand.
    """

    key: str
    repository: Path
    run_id: int | None = None
    tasks: list[Task] = field(default_factory=list)
    abandoned: bool = False
    left: bool = False
    failures: int = 0


class World:
    """One simulated night, or several nights in one another's way."""

    def __init__(self, seed: int, ledger: Ledger, repositories: list[Path], folder: Path) -> None:
        self.random = random.Random(seed)
        self.ledger = FlakyLedger(ledger.dsn)
        self.folders = Folders(folder / "cache", folder / "reports", self._pause)
        self.simulator = self._simulator(seed)
        self.transport = SimulatorTransport(self.simulator, self._pause)
        http = httpx2.Client(transport=self.transport)
        client = anthropic.Anthropic(api_key="k", base_url="http://simulated", http_client=http, max_retries=0)
        self.api = MessageBatchesApi(client, self._connect)
        self.admin = psycopg.connect(ledger.dsn, autocommit=True, options="-c search_path=backcast")
        self.deaths = self.random.choice([0, 2, 6])
        self.outages = self.random.choice([0, 0, 2])
        self.interventions = self.random.choice([0, 0, 1, 3])
        self.story: list[str] = []
        self.reconciled_at = START
        self.runs = [
            Run(f"dag/{number}", self.random.choice(repositories)) for number in range(self.random.choice([1, 1, 2, 3]))
        ]
        for run in self.runs:
            run.tasks = [Task("open", lambda run=run: self._open(run))]

    def _simulator(self, seed: int) -> Simulator:
        readings = Readings(
            counts=self.random.choice(["at_end", "moving"]), cancel_ended=self.random.choice(["refuse", "return"])
        )
        weather = WEATHERS[self.random.choice(sorted(WEATHERS))]
        settings = Settings(odds=Odds(seed=seed, weather=weather), readings=readings)
        simulator = Simulator(SteppedClock(START), answerer_named("analyst"), settings)
        simulator.set_rules(parse_rules(self.random.sample(RULES, self.random.choice([0, 1, 2]))))
        return simulator

    async def _pause(self, seconds: float) -> None:
        self.simulator.advance(seconds)

    async def _connect(self) -> anthropic.AsyncAnthropic:
        http = httpx2.AsyncClient(transport=SimulatorTransport(self.simulator, self._pause))
        return anthropic.AsyncAnthropic(api_key="k", base_url="http://simulated", http_client=http, max_retries=0)

    def now(self) -> dt.datetime:
        return self.simulator.clock.now()

    def live(self) -> None:
        """Let everything happen until every run is over."""
        until = START + LONGEST_NIGHT
        listen(self._strike)
        try:
            while not self._over():
                assert self.now() < until, "the runs never ended"
                self._happen()
                self.simulator.advance(self.random.choice(PAUSES))
                self.check()
        finally:
            listen(None)
            FlakyLedger.away = False
        # What a proxy repeated is found when the listings of a day have passed. What is left is read meanwhile, after
        # the faults that are still in the way.
        for _ in range(12):
            self.simulator.advance(8 * 3600)
            reconcile(self.ledger, self.api, self.now, self.folders)
        self.check()
        self.check_bill()

    def _over(self) -> bool:
        return all(run.left or (run.run_id is not None and self._state(run) == "published") for run in self.runs)

    def _state(self, run: Run) -> str:
        return self._one("SELECT state FROM runs WHERE run_id = %s", run.run_id)

    def _one(self, query: str, *parameters: object) -> Any:
        row = self.admin.execute(query, parameters).fetchone()  # type: ignore[arg-type]
        return row[0] if row else None

    def _happen(self) -> None:
        if self.interventions and self.random.random() < 0.05:
            self.interventions -= 1
            self._intervene()
        if self.random.random() < 0.25:
            self._misfortune()
        waiting = [run for run in self.runs if run.tasks and not run.abandoned and not run.left]
        if not waiting or self.now() - self.reconciled_at > dt.timedelta(hours=2) or self.random.random() < 0.25:
            self.reconciled_at = self.now()
            abandoned = [run.run_id for run in self.runs if run.abandoned and not run.left and run.run_id is not None]
            self._try("reconcile", lambda: bool(self._reconcile(abandoned)))
            return
        run = self.random.choice(waiting)
        if self._try(f"{run.key} {run.tasks[0].name}", run.tasks[0].call):
            run.tasks.pop(0)
            run.failures = 0
        elif run.run_id is not None and run.failures > 12:
            run.abandoned = True

    def _reconcile(self, abandoned: list[int]) -> bool:
        mark_left(self.ledger, self.now, [run.run_id for run in self.runs if run.left and run.run_id is not None])
        done = reconcile(self.ledger, self.api, self.now, self.folders, abandoned)
        self.story += done.lines() + done.problems
        if any("is held" in problem for problem in done.problems):
            self._decide()
        return True

    def _misfortune(self) -> None:
        kind = self.random.random()
        if kind < 0.5:
            fault = {**self.random.choice(CREATE_FAULTS), "times": 1}
        elif kind < 0.9:
            fault = {**self.random.choice(OTHER_FAULTS), "times": self.random.choice([1, 1, 3])}
        else:
            sizes = self.admin.execute("SELECT request_count FROM batches ORDER BY batch_id").fetchall() or [(1,)]
            self.simulator.add_strangers(self.random.choice(sizes)[0], self.random.choice([1, 2]))
            return
        self.story.append(f"fault {fault}")
        self.simulator.set_faults(parse_faults([fault]))

    def _intervene(self) -> None:
        """Be the person who ends a run by hand, clears it again, or cancels it."""
        run = self.random.choice(self.runs)
        if self.random.random() < 0.7 or run.run_id is None:
            run.left = not run.left
            self.story.append(f"{run.key} {'marked failed by hand' if run.left else 'cleared'}")
        elif not FlakyLedger.away and self._state(run) != "published":
            self._try("cancel", lambda: bool(cancel_run(self.ledger, self.api, self.now, run.run_id or 0)))

    def _strike(self, point: FaultPoint) -> None:
        if self.deaths and self.random.random() < 0.1:
            self.deaths -= 1
            self.story.append(f"died at {point}")
            raise Killed(point)
        if self.outages and self.random.random() < 0.05:
            self.outages -= 1
            self.story.append(f"the ledger went away at {point}")
            self.ledger.go_away()
            self.admin.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND application_name = 'backcast'"
            )

    def _try(self, what: str, call: Callable[[], bool]) -> bool:
        done, how = False, ""
        try:
            done = call()
        except Killed:
            how = "killed"
        except HeldError as error:
            how = str(error)
            self._decide()
        except BackcastError as error:
            how = str(error)
            if isinstance(error, ApiError | LedgerError | InDoubtError):
                self._count_failure(what)
            else:
                raise
        FlakyLedger.away = FlakyLedger.away and self.random.random() < 0.5
        self.story.append(f"{self.now():%d %H:%M:%S} {what}: {how or done}")
        return done

    def _count_failure(self, what: str) -> None:
        for run in self.runs:
            run.failures += what.startswith(run.key + " ")

    def _decide(self) -> None:
        """Be the person who looks at a held run."""
        if FlakyLedger.away:
            return
        for (run_id,) in self.admin.execute(
            "SELECT run_id FROM runs WHERE held_because IS NOT NULL AND state IN ('open', 'collected')"
        ).fetchall():
            try:
                if self.random.random() < 0.7:
                    resubmit_run(
                        self.ledger, self.now, run_id, again=False, let_pass=LetPass("somebody", "It is good enough.")
                    )
                else:
                    cancel_run(self.ledger, self.api, self.now, run_id)
            except ApiError as error:
                self.story.append(f"could not be canceled now: {error}")

    def _open(self, run: Run) -> bool:
        settings = run_settings("nightly_tech_debt", {"repository": str(run.repository), "full": False})
        run.run_id = open_run(self.ledger, self.api, self.now, settings, external_key=run.key)
        if self.random.random() < 0.7:
            # Of a small run the sample would be all there is.
            prove(self.ledger, run.run_id)
        run.tasks += [
            Task("collect", lambda: bool(self._collect(run.run_id or 0))),
            Task("gate", lambda: self._gate(run.run_id or 0)),
            Task("plan 1", lambda: self._plan(run, 1)),
            Task("resubmit", lambda: bool(resubmit_failures(self.ledger, run.run_id or 0, 2))),
            Task("plan 2", lambda: self._plan(run, 2)),
            Task("rescue", lambda: self._rescue(run.run_id or 0, final=True)),
            Task("claims", lambda: not await_claims(self.ledger, self.now, run.run_id or 0)),
            Task("gate inherited", lambda: self._gate(run.run_id or 0)),
            Task("plan 3", lambda: self._plan(run, INHERITED_ROUND)),
            Task("rescue inherited", lambda: self._rescue(run.run_id or 0, final=True)),
            Task("publish", lambda: self._publish(run.run_id or 0)),
        ]
        return True

    def _gate(self, run_id: int) -> bool:
        gate(self.ledger, self.api, self.now, run_id, pause=self._pause)
        return True

    def _collect(self, run_id: int) -> bool:
        collect(self.ledger, self.now, run_id, cache=self.folders.cache)
        return True

    def _plan(self, run: Run, number: int) -> bool:
        batches = plan_round(self.ledger, self.now, run.run_id or 0, number)
        tasks = []
        for batch_id in batches:
            tasks += [
                Task(f"submit {batch_id}", lambda batch_id=batch_id: self._submit(batch_id)),
                Task(f"wait {batch_id}", lambda batch_id=batch_id: self._wait(batch_id)),
                Task(f"ingest {batch_id}", lambda batch_id=batch_id: self._ingest(batch_id)),
                Task(f"rescue {batch_id}", lambda: self._rescue(run.run_id or 0, final=False)),
            ]
        run.tasks[1:1] = tasks
        return True

    def _submit(self, batch_id: int) -> bool:
        with suppress(InDoubtError):
            submit(self.ledger, self.api, self.now, batch_id)
        return True

    def _wait(self, batch_id: int) -> bool:
        awaited = awaited_batch(self.ledger, self.api, self.now, batch_id)
        if awaited.ended or awaited.api_batch_id is None:
            return awaited.ended
        return self.api.retrieve(awaited.api_batch_id).ended_at is not None

    def _ingest(self, batch_id: int) -> bool:
        awaited = awaited_batch(self.ledger, self.api, self.now, batch_id)
        ingest(self.ledger, self.api, self.now, awaited.batch_id)
        return True

    def _rescue(self, run_id: int, *, final: bool) -> bool:
        rescue(self.ledger, self.api, self.now, run_id, final=final, pause=self._pause)
        return True

    def _publish(self, run_id: int) -> bool:
        publish(self.ledger, self.now, run_id, reports=self.folders.reports)
        return True

    def _own_batches(self) -> list[Any]:
        return self.simulator._own_batches()

    def check(self) -> None:
        """What must hold at every moment: whatever the API holds was written down before it was sent."""
        known = dict(self.admin.execute("SELECT nonce, state FROM batches").fetchall())
        for batch in self._own_batches():
            nonces = {request.custom_id.split("-")[-2] for request in batch.requests}
            assert len(nonces) == 1, nonces
            state = known.get(nonces.pop())
            assert state not in (None, "planned", "withdrawn", "refused"), (batch.id, state)

        assert not self._one(
            "SELECT count(*) FROM batches JOIN gates USING (run_id) WHERE intended_at > gates.opened_at "
            "AND (verdict IS NULL OR verdict = 'failed')"
        ), "something was submitted before its sample had passed"

    def check_bill(self) -> None:
        """What must hold in the end: every charge is a stored result of its own, or reported as paid twice."""
        second = {row[0] for row in self.admin.execute("SELECT api_batch_id FROM sightings WHERE verdict = 'second'")}
        stored = {
            row[0]: row[1:]
            for row in self.admin.execute(
                "SELECT results.wire_id, batches.api_batch_id, result_type, cost_usd "
                "FROM results JOIN batches USING (batch_id)"
            )
        }
        for charge in self.simulator.bill()["requests"]:
            if charge["batch_id"] in second or charge["kind"] == "synchronous":
                continue
            assert charge["custom_id"] in stored, f"{charge} was paid for and is not in the ledger"
            api_batch_id, result_type, cost = stored[charge["custom_id"]]
            assert api_batch_id == charge["batch_id"], f"{charge['custom_id']} was paid for twice, and nobody knows it"
            assert result_type in ("succeeded", "missing"), result_type
            assert result_type == "missing" or abs(float(cost) - charge["cost_usd"]) < 1e-9
        assert not self._one(
            "SELECT count(*) FROM (SELECT FROM results WHERE verdict = 'accepted' AND result_type <> 'adopted' "
            "GROUP BY answer_key "
            "HAVING count(*) > 1) AS twice"
        ), "two runs paid for one answer"
        self._check_synchronous()
        repeated = self._repeated()
        assert len(second) <= repeated, "more was paid twice than a proxy repeated"

    def _check_synchronous(self) -> None:
        """Each synchronous charge is a stored answer, or a call that was written down and has no known end.

        Of a run that somebody ended by hand nobody says that its last call was lost.
        """
        called = self.admin.execute(
            "SELECT body, part FROM calls JOIN requests USING (request_id) JOIN documents USING (document_id) "
            "JOIN contents USING (content_hash) WHERE calls.state <> 'refused'"
        ).fetchall()
        # The bill knows a document without the numbers of its lines, and without the newline at its end.
        shown = (shown_part(body, Part.stored(part)) if part else number_lines(body) for body, part in called)
        known = Counter(hashlib.sha256(_NUMBERS.sub("", text).encode()).hexdigest() for text in shown)
        charges = self.simulator.bill()["requests"]
        charged = Counter(charge["document_sha256"] for charge in charges if charge["kind"] == "synchronous")
        assert charged <= known, f"synchronous calls were paid for that the ledger does not know: {charged - known}"

    def _repeated(self) -> int:
        return sum("'kind': 'repeat'" in line for line in self.story)

    def tell(self) -> str:
        """What happened last, and what the ledger and the API hold; for whoever looks into a failure."""
        tables = [
            "SELECT batch_id, run_id, round, state, nonce, request_count, api_batch_id, server_time, note FROM batches",
            "SELECT api_batch_id, verdict, batch_id, request_count, created_at, ended FROM sightings",
        ]
        lines = [" ".join(map(str, row)) for table in tables for row in self.admin.execute(table).fetchall()]
        lines += [f"{batch.id} {batch.created_at} {batch.requests[0].custom_id}" for batch in self._own_batches()]
        return "\n".join([*self.story[-80:], "", *lines])

    def close(self) -> None:
        self.ledger.go_away()
        FlakyLedger.away = False
        self.admin.close()
        self.transport.close()

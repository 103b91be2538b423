"""`backcast requests` shows what would be sent, byte for byte but for the nonce, and changes nothing."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import anthropic
import httpx2
import orjson
import pytest
from click.testing import CliRunner, Result
from tests.stepped_night import SteppedNight
from tests.support import WORKFLOW, commit

from backcast.anthropic_api.batches import MessageBatchesApi, RefusedError
from backcast.cli import main
from backcast.domain.errors import HeldError, InputError
from backcast.domain.wire_ids import nonce_of, slug, wire_id
from backcast.ledger.connection import sql
from backcast.services.ingest import ingest
from backcast.services.preview import Preview, next_round
from backcast.services.resubmit import resubmit_failures
from backcast.services.rounds import plan_round
from backcast_simulator.rules import parse_rules
from backcast_simulator.transport import SimulatorTransport

if TYPE_CHECKING:
    from pathlib import Path

    from backcast.ledger.connection import Ledger

DOCUMENTS = 4
CUSTOM_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
FAILURES = [
    {"match": "module0", "outcome": "malformed", "attempts": [1]},
    {"match": "module1", "outcome": "truncated", "attempts": [1]},
    {"match": "module2", "outcome": "refusal", "attempts": [1, 2]},
]


class Recorder(httpx2.AsyncBaseTransport):
    """Passes requests on to a simulator, and keeps the bodies of the create calls."""

    def __init__(self, inner: SimulatorTransport) -> None:
        self.inner = inner
        self.bodies: list[bytes] = []

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        body = await request.aread()
        if request.method == "POST" and request.url.path.endswith("/batches"):
            self.bodies.append(body)
        return await self.inner.handle_async_request(request)


class RecordedNight(SteppedNight):
    """A night of which each create call is kept."""

    def __init__(self, ledger: Ledger, folder: Path) -> None:
        super().__init__(ledger, folder, DOCUMENTS)
        recorder = self.recorder = Recorder(SimulatorTransport(self.simulator))

        async def connect() -> anthropic.AsyncAnthropic:
            http = httpx2.AsyncClient(transport=recorder)
            return anthropic.AsyncAnthropic(api_key="k", base_url="http://simulated", http_client=http, max_retries=0)

        http = httpx2.Client(transport=SimulatorTransport(self.simulator))
        client = anthropic.Anthropic(api_key="k", base_url="http://simulated", http_client=http, max_retries=0)
        self.api = MessageBatchesApi(client, connect)

    def first_pass(self, *rules: dict[str, Any]) -> int:
        """Return a run whose first round has come back."""
        self.simulator.set_rules(parse_rules(list(rules)))
        run_id = self.collected(sla="96h")
        [batch_id] = plan_round(self.ledger, self.now, run_id, 1)
        self.submit(batch_id)
        self.simulator.advance(86_400)
        ingest(self.ledger, self.api, self.now, batch_id)
        return run_id

    def preview(self, run_id: int, limit: int | None = None) -> tuple[list[dict[str, Any]], str]:
        """Return the requests of the next round and what is said about them, and see that nothing was changed."""
        before = rows_of(self.ledger)
        shown = next_round(self.ledger, self.now, WORKFLOW, run_id, limit)
        assert rows_of(self.ledger) == before
        return requests_in(shown), " ".join(shown.notes)


@pytest.fixture
def night(ledger: Ledger, tmp_path: Path) -> RecordedNight:
    return RecordedNight(ledger, tmp_path)


def rows_of(ledger: Ledger) -> dict[str, list[str]]:
    with ledger.connect() as connection:
        tables = connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'backcast'").fetchall()
        return {
            row["tablename"]: sorted(map(str, connection.execute(f'SELECT * FROM "{row["tablename"]}"').fetchall()))  # type: ignore[arg-type]
            for row in tables
        }


def requests_in(preview: Preview) -> list[dict[str, Any]]:
    with preview.body as body:
        requests: list[dict[str, Any]] = orjson.loads(body.read())["requests"]
    assert len(requests) == preview.requests
    return requests


def requests(*arguments: str, **environment: str | None) -> Result:
    nothing = dict.fromkeys(("BACKCAST_LEDGER", "ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"))
    return CliRunner().invoke(main, ["requests", WORKFLOW, *arguments], env={**nothing, **environment})


def without_nonce(body: dict[str, Any] | list[dict[str, Any]]) -> list[tuple[str, bytes]]:
    listed = body if isinstance(body, list) else body["requests"]
    return [
        (request["custom_id"].replace(nonce_of(request["custom_id"]) or "?", "NONCE"), orjson.dumps(request["params"]))
        for request in listed
    ]


def test_a_first_round_is_shown_as_it_is_then_sent(night: RecordedNight) -> None:
    (night.repository / "again.py").write_text("VALUE = 1\n")
    (night.repository / "image.bin").write_bytes(b"\0")
    commit(night.repository, "add the same once more, and what is no source")
    shown = requests("--repository", str(night.repository), "--limit", "0")
    assert shown.exit_code == 0, shown.output

    night.submit(plan_round(night.ledger, night.now, night.collected(), 1)[0])

    [sent] = night.recorder.bodies
    assert without_nonce(orjson.loads(shown.stdout)) == without_nonce(orjson.loads(sent))
    assert len(orjson.loads(sent)["requests"]) == DOCUMENTS


def test_ids_are_unique_and_as_the_api_wants_them_and_it_takes_the_body(night: RecordedNight) -> None:
    shown = requests("--repository", str(night.repository))
    ids = [request["custom_id"] for request in orjson.loads(shown.stdout)["requests"]]
    assert len(set(ids)) == DOCUMENTS
    assert all(CUSTOM_ID.fullmatch(id_) for id_ in ids)
    assert night.api.create(iter([shown.stdout_bytes]), timedelta(minutes=1)).request_count == DOCUMENTS


def test_an_id_is_made_here_as_the_ledger_makes_it(ledger: Ledger) -> None:
    parts = (slug("a_workflow"), "0123456789abcdef", 3, "00ff00ff00", 7)
    with ledger.connect() as connection:
        row = connection.execute("SELECT wire_id(%s, %s, %s, %s, %s) AS id", parts).fetchone()
    assert row == {"id": wire_id(*parts)}


def test_hints_go_to_stderr_and_a_limit_to_the_first_ones(night: RecordedNight) -> None:
    shown = requests("--repository", str(night.repository), "--limit", "2")
    assert [line(request) for request in orjson.loads(shown.stdout)["requests"]] == ["VALUE = 0", "VALUE = 1"]
    assert "The first 2 requests; --limit 0 shows all." in shown.stderr
    assert "output_config" in shown.stderr
    assert "The first" not in requests("--repository", str(night.repository), "--limit", str(DOCUMENTS)).stderr


def line(request: dict[str, Any]) -> str:
    found = re.search(r"VALUE = \d", request["params"]["messages"][-1]["content"])
    return found[0] if found else ""


def test_where_nothing_is_left_to_analyse_it_says_why(night: RecordedNight, tmp_path: Path) -> None:
    for file in night.repository.glob("*.py"):
        file.rename(file.with_suffix(".bin"))
    commit(night.repository, "leave no source")
    empty = requests("--repository", str(night.repository))
    assert (empty.exit_code, empty.stdout) == (2, "")
    assert f"is left to analyse: {DOCUMENTS} not source code" in empty.stderr
    assert requests("--repository", str(tmp_path / "nowhere")).exit_code == 2
    assert requests("--repository", str(night.repository), "--ref", "nonesuch").exit_code == 2


def test_the_next_round_is_shown_with_its_remedies_as_it_is_then_sent(night: RecordedNight) -> None:
    run_id = night.first_pass(*FAILURES)

    shown, said = night.preview(run_id)

    assert len(shown) == 3
    for told in ("malformed -> worked_example", "truncated -> more_max_tokens", "refused -> simplified_prompt"):
        assert f"{told}: 1" in said
    resubmit_failures(night.ledger, run_id, 2)
    assert without_nonce(night.preview(run_id)[0]) == without_nonce(shown)
    [batch_id] = plan_round(night.ledger, night.now, run_id, 2)
    assert without_nonce(night.preview(run_id)[0]) == without_nonce(shown)
    night.submit(batch_id)
    assert without_nonce(orjson.loads(night.recorder.bodies[-1])) == without_nonce(shown)
    nothing, said = night.preview(run_id)
    assert nothing == []
    assert f"Nothing: no failure of run {run_id} would go again in a batch." in said
    assert "3 requests were sent and have no result yet" in said


def test_what_the_api_refused_is_shown_under_new_ids(night: RecordedNight) -> None:
    run_id = night.first_pass(*FAILURES)
    resubmit_failures(night.ledger, run_id, 2)
    [batch_id] = plan_round(night.ledger, night.now, run_id, 2)
    night.faults({"kind": "error", "endpoint": "create", "status": 400})
    with pytest.raises(RefusedError):
        night.submit(batch_id)
    refused = orjson.loads(night.recorder.bodies[-1])["requests"]

    shown, _ = night.preview(run_id, limit=2)

    assert without_nonce(shown) == without_nonce(refused)[:2]
    assert shown[0]["custom_id"] != refused[0]["custom_id"]


def test_what_no_batch_may_answer_any_more_is_counted(night: RecordedNight) -> None:
    run_id = night.first_pass(*FAILURES)
    resubmit_failures(night.ledger, run_id, 2)
    [batch_id] = plan_round(night.ledger, night.now, run_id, 2)
    night.simulator.set_rules(parse_rules([{"outcome": "malformed"}]))
    night.submit(batch_id)
    night.simulator.advance(86_400)
    ingest(night.ledger, night.api, night.now, batch_id)
    shown, said = night.preview(run_id)
    assert shown == []
    assert "3 more go synchronously, at full price" in said


def test_when_it_is_too_late_for_a_batch_all_go_synchronously(night: RecordedNight) -> None:
    run_id = night.first_pass(*FAILURES)
    night.simulator.advance(3 * 86_400 - 600)
    shown, said = night.preview(run_id)
    assert shown == []
    assert "3 more go synchronously" in said


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("UPDATE runs SET canceled_at = now()", "was canceled"),
        ("UPDATE runs SET state = 'estimated', dry_run = true", "is an estimate only"),
    ],
)
def test_of_a_run_that_is_over_nothing_goes_again(night: RecordedNight, change: Any, said: str) -> None:
    run_id = night.collected()
    with night.ledger.connect() as connection:
        connection.execute(change)
    shown, told = night.preview(run_id)
    assert shown == []
    assert f"Nothing: run {run_id} {said}" in told


def test_a_held_run_sends_nothing_and_says_what_to_decide(night: RecordedNight) -> None:
    run_id = night.first_pass(*FAILURES)
    with night.ledger.connect() as connection:
        connection.execute("UPDATE runs SET held_because = 'somebody must decide'")
    with pytest.raises(HeldError, match="backcast resubmit"):
        night.preview(run_id)
    with pytest.raises(InputError, match=f"Run {run_id} is of the workflow {WORKFLOW}"):
        next_round(night.ledger, night.now, "weekly_code_audit", run_id, None)


def test_the_command_reads_the_run_from_the_ledger(night: RecordedNight) -> None:
    run_id = night.collected()
    done = requests("--retry-of", str(run_id), BACKCAST_LEDGER=night.ledger.dsn)
    assert (done.exit_code, orjson.loads(done.stdout)) == (0, {"requests": []})
    assert f"backcast: Nothing: no failure of run {run_id}" in done.stderr
    unknown = requests("--retry-of", "77", "--ledger", night.ledger.dsn)
    assert (unknown.exit_code, unknown.stderr) == (2, "backcast: The ledger has no run 77.\n")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--retry-of", "1"], "--retry-of needs the ledger"),
        (["--retry-of", "1", "--ref", "main", "--ledger", "postgresql://x"], "leave them out"),
        (["--limit", "-1"], "Invalid value"),
    ],
)
def test_what_cannot_be_asked_together_is_a_usage_error(arguments: list[str], said: str) -> None:
    done = requests(*arguments)
    assert (done.exit_code, said in done.stderr) == (2, True)


def test_the_count_of_what_is_in_flight_is_of_one_run(night: RecordedNight) -> None:
    night.submit(night.planned())
    with night.ledger.connect() as connection:
        for run_id, count in ((1, DOCUMENTS), (2, 0)):
            assert connection.execute(sql("requests_in_flight"), {"run_id": run_id}).fetchone() == {"count": count}

"""A batch is sent once: refusals close the intent, anything without a known end holds it."""

from __future__ import annotations

import http.server
import json
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import anthropic
import pytest
from tests.support import Night, api_at, clock, commit, git

from backcast.anthropic_api.batches import MessageBatchesApi, RefusedError
from backcast.domain.errors import ApiError, InDoubtError, InputError
from backcast.services import submit as submit_module
from backcast.services.collect import collect
from backcast.services.open_run import open_run
from backcast.services.rounds import plan_round
from backcast.services.submit import submit
from backcast.settings import run_settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from backcast.ledger.connection import Ledger


@pytest.fixture
def night(ledger: Ledger, simulator: Any, tmp_path: Path) -> Night:
    return Night(ledger, simulator.base_url, tmp_path)


@pytest.fixture
def planned(night: Night, tmp_path: Path) -> int:
    folder = tmp_path / "repository"
    folder.mkdir()
    (folder / "a.py").write_text("VALUE = 1\n")
    git(folder, "init", "-q")
    commit(folder, "first")
    run_id = night.open("dag/1", repository=str(folder))
    collect(night.ledger, clock, run_id, cache=tmp_path)
    [batch_id] = plan_round(night.ledger, clock, run_id, 1)
    return batch_id


def state(ledger: Ledger, batch_id: int) -> dict[str, Any]:
    with ledger.connect() as connection:
        return connection.execute("SELECT * FROM batches WHERE batch_id = %s", [batch_id]).fetchone() or {}


def creates(simulator: Any) -> int:
    return sum(call["method"] == "POST" and call["path"].endswith("/messages/batches") for call in simulator.log())


def test_the_intent_is_written_before_the_create_and_the_id_after(night: Night, planned: int) -> None:
    submit(night.ledger, night.api, clock, planned)

    row = state(night.ledger, planned)
    assert row["state"] == "submitted"
    assert row["api_batch_id"].startswith("msgbatch_")
    assert row["intended_at"] < row["send_by"]
    assert row["key_fingerprint"] == night.api.key_fingerprint
    assert "sk-ant" not in json.dumps(row, default=str)


@pytest.mark.parametrize(
    "fault",
    [
        {"drop_create": "after", "times": 1},
        {"drop_create": "before", "times": 1},
        {"html_create": 502, "times": 1},
        {"refuse_create": {"status": 529, "type": "overloaded_error", "message": "Overloaded"}, "times": 1},
        {"refuse_create": {"status": 409, "type": "conflict_error", "message": "Conflict"}, "times": 1},
    ],
)
def test_a_create_without_a_known_end_is_held_and_never_simply_sent_again(
    night: Night, planned: int, simulator: Any, fault: dict[str, Any]
) -> None:
    simulator.faults(**fault)
    for _ in range(2):
        with pytest.raises(InDoubtError, match=r"in doubt.*not sent again.*custom_ids of its results contain"):
            submit(night.ledger, night.api, clock, planned)

    assert state(night.ledger, planned)["state"] == "in_doubt"
    assert creates(simulator) == 1


@pytest.mark.parametrize(
    ("status", "error_type"), [(400, "invalid_request_error"), (402, "billing_error"), (403, "permission_error")]
)
def test_a_refusal_closes_the_intent_and_the_next_call_sends_under_new_ids(
    night: Night, planned: int, simulator: Any, status: int, error_type: str
) -> None:
    refusal = {"status": status, "type": error_type, "message": "Your credit balance is too low"}
    simulator.faults(refuse_create=refusal, times=1)
    with pytest.raises(RefusedError, match="credit balance is too low"):
        submit(night.ledger, night.api, clock, planned)
    assert state(night.ledger, planned)["state"] == "refused"

    replacement = submit(night.ledger, night.api, clock, planned)

    assert replacement != planned
    assert submit(night.ledger, night.api, clock, planned) == replacement
    assert state(night.ledger, replacement)["nonce"] != state(night.ledger, planned)["nonce"]
    night.wait(replacement)
    assert [request["custom_id"].split("-")[-2] for request in simulator.bill()] == [
        state(night.ledger, replacement)["nonce"]
    ]


def test_a_sender_that_died_leaves_its_batch_in_doubt(
    night: Night, planned: int, simulator: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def die(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(submit_module, "_confirm", die)
    with pytest.raises(KeyboardInterrupt):
        submit(night.ledger, night.api, clock, planned)
    monkeypatch.undo()

    with pytest.raises(InDoubtError, match="died before it wrote down the answer"):
        submit(night.ledger, night.api, clock, planned)
    assert creates(simulator) == 1


def test_two_tasks_at_once_send_once(night: Night, planned: int, simulator: Any) -> None:
    with night.ledger.connect() as connection:
        connection.execute("SELECT pg_advisory_lock(hashtext('backcast batch'), %s)", [planned])
        with pytest.raises(ApiError, match="Another process works on batch"):
            submit(night.ledger, night.api, clock, planned)
    assert creates(simulator) == 0


def test_an_intent_that_is_too_old_is_not_sent(night: Night, planned: int, simulator: Any) -> None:
    times = iter([datetime.now(UTC), datetime.now(UTC), datetime.now(UTC) + timedelta(hours=1)])
    with pytest.raises(ApiError, match="was not sent within"):
        submit(night.ledger, night.api, lambda: next(times), planned)
    assert creates(simulator) == 0
    assert submit(night.ledger, night.api, clock, planned) != planned


@contextmanager
def silent_server(create_answer: bytes | None) -> Iterator[str]:
    """An API that has the model, and answers a create with these bytes, or drips one for five seconds."""
    closing = threading.Event()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.answer(json.dumps({"id": "claude-sonnet-5-5", "type": "model"}).encode())

        def do_POST(self) -> None:
            if create_answer is not None:
                self.answer(create_answer)
                return
            self.send_response(200)
            self.end_headers()
            # Always another byte within the read timeout: only a limit on the whole call ends this in time.
            for _ in range(100):
                if closing.wait(0.05):
                    break
                self.wfile.write(b" ")

        def answer(self, body: bytes) -> None:
            self.send_response(200)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    closing.set()
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.mark.parametrize("answer", [b"not JSON", b"{}", b'{"id": 7}', b"[]"])
def test_an_unreadable_2xx_is_in_doubt(night: Night, planned: int, answer: bytes) -> None:
    with silent_server(answer) as url, pytest.raises(InDoubtError):
        submit(night.ledger, api_at(url), clock, planned)
    assert state(night.ledger, planned)["state"] == "in_doubt"


def test_a_create_ends_in_time_although_every_read_does(
    night: Night, planned: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(submit_module, "CREATE_TIMEOUT", timedelta(seconds=0.3))
    with silent_server(None) as url, pytest.raises(InDoubtError, match=r"no answer within 0\.3 s"):
        submit(night.ledger, api_at(url), clock, planned)


def settings() -> Any:
    return run_settings("nightly_tech_debt", {"repository": "/r"})


def test_an_api_that_is_not_there_is_said_before_anything_is_done(ledger: Ledger) -> None:
    with pytest.raises(ApiError, match=r"cannot be reached.*anthropic_default"):
        open_run(ledger, _without_retries("http://127.0.0.1:1"), clock, settings(), external_key="k")


def test_a_key_that_is_not_taken_is_said_before_anything_is_done(ledger: Ledger, start_simulator: Any) -> None:
    strict = start_simulator("--api-key", "another")
    with pytest.raises(RefusedError, match="does not take the key"):
        open_run(ledger, api_at(strict.base_url), clock, settings(), external_key="k")


def test_a_model_that_the_api_lacks_is_said_before_anything_is_done(night: Night) -> None:
    with pytest.raises(InputError, match="has no model 'claude-nonesuch'"):
        night.api.preflight("claude-nonesuch")


def test_credentials_in_a_url_are_not_kept(night: Night) -> None:
    with pytest.raises(InputError, match="holds credentials") as error:
        night.open("k", repository="https://user:secret@example.org/repository.git")
    assert "secret" not in str(error.value)


def _without_retries(url: str) -> MessageBatchesApi:
    async def connect() -> anthropic.AsyncAnthropic:
        return anthropic.AsyncAnthropic(api_key="k", base_url=url)

    return MessageBatchesApi(anthropic.Anthropic(api_key="k", base_url=url, max_retries=0), connect)

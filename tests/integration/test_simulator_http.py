"""The simulator over HTTP, spoken to by the real SDK."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import anthropic
import httpx2
import pytest
import uvicorn
from tests.simulated import DAY
from tests.support import wait_until

from backcast_simulator.answers import answerer_named
from backcast_simulator.app import build_app
from backcast_simulator.clock import SteppedClock
from backcast_simulator.simulator import Settings, Simulator

if TYPE_CHECKING:
    from collections.abc import Iterator

    from anthropic.types.messages.batch_create_params import Request

MODEL = "claude-sonnet-5-5"


class Server:
    """A simulator behind a real server in a thread; its clock stands still until `wait` moves it."""

    def __init__(self, api_keys: frozenset[str] = frozenset()) -> None:
        listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        simulator = Simulator(SteppedClock(), answerer_named("analyst"), Settings(api_keys=api_keys))
        config = uvicorn.Config(build_app(simulator), log_level="warning", lifespan="off")
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, kwargs={"sockets": [listener]})
        self._thread.start()

    def client(self, key: str = "any") -> anthropic.Anthropic:
        return anthropic.Anthropic(base_url=self.url, api_key=key, max_retries=0)

    def control(self, path: str, body: object = None) -> Any:
        url = f"{self.url}/simulator/{path}"
        answer = httpx2.get(url) if body is None else httpx2.post(url, json=body)
        return answer.raise_for_status().json()

    def wait(self, seconds: float) -> None:
        self.control("clock", {"advance_seconds": seconds})

    def stop(self) -> None:
        self._server.should_exit = True
        self._thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server()
    yield running
    running.stop()


def request(custom_id: str, text: str = "hello", **changes: Any) -> Request:
    params: Any = {"model": MODEL, "max_tokens": 4096, "messages": [{"role": "user", "content": text}], **changes}
    return {"custom_id": custom_id, "params": params}


DOCUMENT = """Review this.
<document-0123456789ab path="src/a.py" language="python">
1| import os
2| def f(x):
3|     try:
4|         return g(x)
5|     except Exception:
6|         pass
</document-0123456789ab>
"""


def test_a_batch_from_create_to_delete(server: Server) -> None:
    client = server.client()
    created = client.messages.batches.create(
        requests=[request("doc", DOCUMENT), request("echo"), request("bad", model="claude-none")]
    )
    assert created.id.startswith("msgbatch_simulator_")
    server.wait(DAY)
    batch = client.messages.batches.retrieve(created.id)
    assert batch.processing_status == "ended"
    assert (batch.request_counts.succeeded, batch.request_counts.errored) == (2, 1)
    rows = {row.custom_id: row.result for row in client.messages.batches.results(created.id)}
    document = rows["doc"]
    assert document.type == "succeeded"
    assert document.message.id.startswith("msg_simulator_")
    assert document.message.usage.service_tier == "batch"
    block = document.message.content[0]
    assert block.type == "text"
    titles = [finding["title"] for finding in json.loads(block.text)["findings"]]
    assert titles == ["`f` drops every error with `except Exception`", "Unused import: `os`"]
    bad = rows["bad"]
    assert bad.type == "errored"
    assert (bad.error.error.type, bad.error.error.message) == ("not_found_error", "model: claude-none")
    assert client.messages.batches.delete(created.id).type == "message_batch_deleted"
    with pytest.raises(anthropic.NotFoundError):
        client.messages.batches.retrieve(created.id)
    bill = server.control("bill")
    assert {charge["custom_id"] for charge in bill["requests"]} == {"doc", "echo"}
    assert bill["totals"]["cost_usd"] > 0


def test_cancel_and_results_too_early(server: Server) -> None:
    client = server.client()
    batch = client.messages.batches.create(requests=[request("a")])
    answer = httpx2.get(f"{server.url}/v1/messages/batches/{batch.id}/results", headers={"x-api-key": "k"})
    assert (answer.status_code, answer.json()["error"]["type"]) == (404, "not_found_error")
    assert client.messages.batches.cancel(batch.id).processing_status == "canceling"
    with pytest.raises(anthropic.BadRequestError, match="In progress batches cannot be deleted"):
        client.messages.batches.delete(batch.id)
    assert server.control("bill")["requests"] == []


def test_list_goes_through_all_pages(server: Server) -> None:
    client = server.client()
    ids = [client.messages.batches.create(requests=[request("a")]).id for _ in range(5)]
    assert [batch.id for batch in client.messages.batches.list(limit=2)] == ids[::-1]
    newer = client.messages.batches.list(limit=1, before_id=ids[1])
    assert [batch.id for batch in newer.data] == [ids[2]]


def test_the_asynchronous_client(server: Server) -> None:
    async def run() -> list[str]:
        async with anthropic.AsyncAnthropic(base_url=server.url, api_key="any", max_retries=0) as client:
            batch = await client.messages.batches.create(requests=[request("a"), request("b")])
            assert (await client.messages.batches.retrieve(batch.id)).processing_status == "in_progress"
            await asyncio.to_thread(server.wait, DAY)
            assert (await client.messages.batches.retrieve(batch.id)).processing_status == "ended"
            return [row.custom_id async for row in await client.messages.batches.results(batch.id)]

    assert sorted(asyncio.run(run())) == ["a", "b"]


def test_messages_count_tokens_and_models(server: Server) -> None:
    client = server.client()
    message = client.messages.create(model=MODEL, max_tokens=10, messages=[{"role": "user", "content": "hello"}])
    assert (message.stop_reason, message.usage.output_tokens) == ("max_tokens", 10)
    assert server.control("bill")["requests"][0]["kind"] == "synchronous"
    count = client.messages.count_tokens(model=MODEL, messages=[{"role": "user", "content": "x" * 35}])
    assert count.input_tokens == 10
    model = client.models.retrieve(MODEL)
    assert (model.max_input_tokens, model.max_tokens) == (1_000_000, 128_000)
    assert model.capabilities is not None
    assert model.capabilities.batch.supported
    assert MODEL in [model.id for model in client.models.list(limit=2)]
    with pytest.raises(anthropic.NotFoundError, match="model: claude-none"):
        client.models.retrieve("claude-none")


def test_keys() -> None:
    server = Server(frozenset({"right"}))
    try:
        assert server.client("right").models.retrieve(MODEL).id == MODEL
        with pytest.raises(anthropic.AuthenticationError):
            server.client("wrong").models.retrieve(MODEL)
        url = f"{server.url}/v1/models"
        assert httpx2.get(url).status_code == 401
        assert httpx2.get(url, headers={"x-api-key": "right"}).status_code == 200
        assert server.control("health")["status"] == "ok"
    finally:
        server.stop()


def test_every_answer_says_that_no_model_was_asked_and_every_error_has_the_envelope(server: Server) -> None:
    for method, path in (("GET", "/v1/nothing"), ("PUT", "/v1/messages"), ("GET", "/v1/models")):
        answer = httpx2.request(method, server.url + path, headers={"x-api-key": "k"})
        assert answer.headers["x-backcast-simulator"] == "no model was asked"
        assert answer.headers["request-id"].startswith("req_")
        if answer.status_code >= 400:
            assert answer.json()["type"] == "error"
            assert answer.json()["request_id"] == answer.headers["request-id"]


def test_a_chunked_body_and_one_that_is_too_large(server: Server) -> None:
    headers = {"x-api-key": "k"}
    body = json.dumps({"requests": [request("a")]}).encode()
    chunks = (body[i : i + 7] for i in range(0, len(body), 7))
    assert httpx2.post(f"{server.url}/v1/messages/batches", content=chunks, headers=headers).status_code == 200
    too_large = (b" " * (1 << 20) for _ in range(33))
    answer = httpx2.post(f"{server.url}/v1/messages", content=too_large, headers=headers, timeout=60)
    assert (answer.status_code, answer.json()["error"]["type"]) == (413, "request_too_large")


def test_scripted_outcomes(server: Server) -> None:
    outcomes = ["errored", "expired", "truncated", "refusal", "malformed", "invalid_request", "answer"]
    server.control("rules", [{"match": f"<{name}>", "outcome": name, "text": "forty-two"} for name in outcomes])
    client = server.client()
    batch = client.messages.batches.create(requests=[request(name, f"<{name}>") for name in outcomes])
    server.wait(DAY)
    rows = {row.custom_id: row.result for row in client.messages.batches.results(batch.id)}
    stops = {name: row.message.stop_reason for name, row in rows.items() if row.type == "succeeded"}
    assert stops == {"truncated": "max_tokens", "refusal": "refusal", "malformed": "end_turn", "answer": "end_turn"}
    assert {name: rows[name].type for name in ("errored", "expired", "invalid_request")} == {
        "errored": "errored",
        "expired": "expired",
        "invalid_request": "errored",
    }


def test_faults_at_create(server: Server) -> None:
    client = server.client()
    refusal = {"status": 402, "type": "billing_error", "message": "Your credit balance is too low"}
    server.control("faults", {"refuse_create": refusal})
    with pytest.raises(anthropic.APIStatusError, match="credit balance") as refused:
        client.messages.batches.create(requests=[request("a")])
    assert refused.value.status_code == 402
    server.control("faults", {"html_create": 502})
    with pytest.raises(anthropic.InternalServerError):
        client.messages.batches.create(requests=[request("a")])
    for when, accepted in (("before", 0), ("after", 1)):
        server.control("faults", {"drop_create": when})
        with pytest.raises(anthropic.APIConnectionError):
            client.messages.batches.create(requests=[request("a")])
        assert len(client.messages.batches.list().data) == accepted
    assert [call["status"] for call in server.control("log") if call["path"] == "/v1/messages/batches"][:3:2] == [
        402,
        None,
    ]
    client.messages.batches.create(requests=[request("a")])


def run_cli(*arguments: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "backcast_simulator", *arguments]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True)


def test_the_command_line_refuses_other_hosts_unless_told_and_taken_ports_and_stops_on_sigterm() -> None:
    process = run_cli("--host", "0.0.0.0")
    assert "not a loopback address" in process.communicate(timeout=20)[1]
    assert process.returncode == 2
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        process = run_cli("--port", str(port))
        assert "choose another with --port" in process.communicate(timeout=20)[1]
        assert process.returncode == 2
    process = run_cli("--port", str(port), "--host", "0.0.0.0", "--beyond-loopback")
    assert process.stderr is not None
    assert "no model is asked" in process.stderr.readline()
    wait_until(lambda: httpx2.get(f"http://127.0.0.1:{port}/simulator/health").status_code == 200)
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=5)
    assert process.returncode in (0, -signal.SIGTERM)

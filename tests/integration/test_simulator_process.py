"""The simulator as a process of its own: its options, its state in a file through a kill, its faults and its size."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import anthropic
import httpx2
import pytest
from tests.simulated import DAY, params, requests
from tests.support import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

STEPPED = ("--clock", "stepped", "--answers", "echo")


class Running:
    def __init__(self, process: subprocess.Popen[bytes], port: int) -> None:
        self.process = process
        self.url = f"http://127.0.0.1:{port}"
        self.http = httpx2.Client(base_url=self.url, headers={"x-api-key": "any"}, timeout=60)
        self.client = self.client_with("any")

    def client_with(self, key: str) -> anthropic.Anthropic:
        return anthropic.Anthropic(api_key=key, base_url=self.url, max_retries=0)

    def post(self, path: str, body: object) -> Any:
        return self.http.post(f"/simulator/{path}", json=body).raise_for_status().json()

    def get(self, path: str) -> Any:
        return self.http.get(f"/simulator/{path}").raise_for_status().json()

    def wait(self, seconds: float) -> None:
        self.post("clock", {"advance_seconds": seconds})


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    return port


@contextmanager
def running(*arguments: str) -> Iterator[Running]:
    port = _free_port()
    command = [sys.executable, "-m", "backcast_simulator", "--port", str(port), *arguments]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    try:
        simulator = Running(process, port)
        wait_until(lambda: simulator.http.get("/simulator/health").is_success)
        yield simulator
    finally:
        process.kill()
        process.wait(timeout=10)


def test_a_killed_simulator_comes_back_with_its_batches_its_bill_and_its_clock(tmp_path: Path) -> None:
    state = ("--state", str(tmp_path / "state"))
    with running(*STEPPED, *state) as before:
        before.post("rules", [{"match": "hello", "attempts": [6], "outcome": "refusal"}])
        done = before.client.messages.batches.create(requests=requests(3))
        before.wait(DAY)
        open_one = before.client.messages.batches.create(requests=requests(2))
        before.client.messages.create(**params("another message"))
        bill, clock = before.get("bill"), before.get("clock")
        views = before.http.get("/v1/messages/batches").json()
        before.process.send_signal(signal.SIGKILL)
        before.process.wait(timeout=10)
    with running(*STEPPED, *state) as after:
        assert (after.get("bill"), after.get("clock")) == (bill, clock)
        found = after.http.get("/v1/messages/batches").json()
        assert json.dumps(found).replace(after.url, "") == json.dumps(views).replace(before.url, "")
        assert len(list(after.client.messages.batches.results(done.id))) == 3
        assert after.client.messages.batches.retrieve(open_one.id).processing_status == "in_progress"
        sixth = after.client.messages.create(**params())
        assert sixth.stop_reason == "refusal"
        after.wait(DAY)
        assert after.client.messages.batches.retrieve(open_one.id).request_counts.succeeded == 2


def test_time_runs_as_fast_as_told() -> None:
    with running("--speed", "1000000", "--answers", "echo") as simulator:
        batch = simulator.client.messages.batches.create(requests=requests(20))
        wait_until(lambda: simulator.client.messages.batches.retrieve(batch.id).processing_status == "ended")
        ended = simulator.client.messages.batches.retrieve(batch.id)
        assert ended.ended_at is not None
        assert ended.request_counts.succeeded == 20
        assert (ended.ended_at - ended.created_at).total_seconds() > 600


def test_languages_that_need_an_example_are_named_on_the_command_line() -> None:
    with running(*STEPPED, "--needs-example", "go, YAML") as simulator:
        assert simulator.get("settings")["needs_example"] == ["go", "yaml"]


def test_a_state_is_one_simulators_at_a_time(tmp_path: Path) -> None:
    state = ("--state", str(tmp_path / "state"))
    with running(*STEPPED, *state):
        second = run("--port", str(_free_port()), *state)
    assert second.returncode == 2
    assert "database is locked" in second.stderr


def test_a_simulator_killed_during_a_create_comes_back_without_the_half_of_it(tmp_path: Path) -> None:
    state = ("--state", str(tmp_path / "state"))
    with running(*STEPPED, *state) as before:
        body = json.dumps({"requests": requests(20_000)}).encode()
        with socket.create_connection(("127.0.0.1", int(before.url.rsplit(":", 1)[1]))) as connection:
            head = (
                f"POST /v1/messages/batches HTTP/1.1\r\nhost: x\r\nx-api-key: k\r\ncontent-length: {len(body)}\r\n\r\n"
            )
            connection.sendall(head.encode() + body)
            wait_until(lambda: (tmp_path / "state-wal").stat().st_size > 200_000)
            before.process.kill()
            before.process.wait(timeout=10)
    with running(*STEPPED, *state) as after:
        found = [batch.request_counts.processing for batch in after.client.messages.batches.list()]
        assert found in ([], [20_000])
        whole = after.client.messages.batches.create(requests=requests(2))
        after.wait(DAY)
        assert len(list(after.client.messages.batches.results(whole.id))) == 2


def test_twenty_thousand_requests_in_little_memory() -> None:
    with running(*STEPPED) as simulator:
        text = "x = 'y{'\\n" * 100
        each = (
            b'{"custom_id":"r%d","params":{"model":"claude-sonnet-5-5","max_tokens":99,"messages":'
            b'[{"role":"user","content":"%d %b"}]}}' % (number, number, text.encode())
            for number in range(20_000)
        )
        body = b'{"requests":[' + b",".join(each) + b"]}"
        started = time.monotonic()
        batch = simulator.http.post("/v1/messages/batches", content=body).raise_for_status().json()
        simulator.wait(DAY)
        rows, first = 0, 0.0
        reading = time.monotonic()
        with simulator.http.stream("GET", f"/v1/messages/batches/{batch['id']}/results") as answer:
            for part in answer.iter_bytes():
                first = first or time.monotonic() - reading
                rows += part.count(b"\n")
        assert rows == 20_000
        assert first < 1
        assert time.monotonic() - started < 30
        assert _peak_megabytes(simulator.process.pid) < 250


def _peak_megabytes(pid: int) -> float:
    status = Path(f"/proc/{pid}/status")
    if not status.exists():
        pytest.skip("this system does not say how much memory a process used")
    peak = re.search(r"VmHWM:\s+(\d+) kB", status.read_text())
    assert peak is not None
    return int(peak[1]) / 1024


def test_faults_over_real_connections() -> None:
    with running(*STEPPED) as simulator:
        batch = simulator.client.messages.batches.create(requests=requests(50))
        simulator.wait(DAY)
        simulator.post("faults", {"kind": "rows", "cut": True})
        with pytest.raises(httpx2.RemoteProtocolError):
            list(simulator.client.messages.batches.results(batch.id))
        assert len(list(simulator.client.messages.batches.results(batch.id))) == 50
        simulator.post("faults", [{"kind": "delay", "seconds": 0.3}, {"kind": "repeat"}])
        started = time.monotonic()
        simulator.client.messages.batches.create(requests=requests())
        assert time.monotonic() - started > 0.3
        simulator.post("faults", {"kind": "delay", "seconds": 5})
        with pytest.raises(anthropic.APITimeoutError):
            simulator.client.messages.batches.create(requests=requests(), timeout=0.2)
        simulator.post("faults", [{"kind": "drop", "when": "before", "endpoint": "retrieve"}])
        with pytest.raises(anthropic.APIConnectionError):
            simulator.client.messages.batches.retrieve(batch.id)
        assert len(simulator.client.messages.batches.list().data) == 3


def test_keys_of_two_workspaces_and_a_tier() -> None:
    keys = ("--api-key", "one", "--api-key", "two=other")
    with running(*STEPPED, *keys, "--tier", "start", "--reading", "poll_retry_after=ten") as simulator:
        batch = simulator.client_with("two").messages.batches.create(requests=requests())
        answer = simulator.client_with("two").messages.batches.with_raw_response.retrieve(batch.id)
        assert answer.headers["retry-after"] == "10"
        assert answer.headers["anthropic-ratelimit-requests-remaining"] == "998"
        with pytest.raises(anthropic.NotFoundError):
            simulator.client_with("one").messages.batches.retrieve(batch.id)
        with pytest.raises(anthropic.AuthenticationError):
            simulator.client.messages.batches.retrieve(batch.id)
        assert [call["workspace"] for call in simulator.get("log")[-3:]] == ["other", "default", None]


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "backcast_simulator", *arguments]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=30)


def test_help_explains_the_knobs_in_groups() -> None:
    text = run("--help").stdout
    titles = ["Where it listens:", "Time:", "Outcomes:", "Limits:", "What no source settles:", "State:"]
    assert [text.index(title) for title in titles] == sorted(text.index(title) for title in titles)
    for option in ("--clock", "--weather", "--tier", "--spend-limit", "--reading", "--state", "--api-key"):
        assert option in text


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--weather", "sunny"), "--weather: sunny is neither a weather"),
        (("--reading", "counts=never"), "--reading: settings.counts: one of at_end, moving is expected"),
        (("--reading", "color"), "--reading: settings.color: one of counts"),
        (("--needs-example", "go,"), "--needs-example 'go,': languages with a comma between them are expected"),
        (("--state", "/"), "is a directory"),
        (("--spend-limit", "-1"), "--spend-limit"),
    ],
)
def test_an_option_that_is_wrong_is_refused_with_a_reason(arguments: tuple[str, ...], message: str) -> None:
    refused = run("--port", str(_free_port()), *arguments)
    assert refused.returncode == 2
    assert message in refused.stderr

"""A simulator in this process with a clock that the test moves, and the SDK's clients for it."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import anthropic
import httpx2

from backcast_simulator.answers import answerer_named
from backcast_simulator.clock import SteppedClock
from backcast_simulator.faults import parse_faults
from backcast_simulator.settings import Settings
from backcast_simulator.simulator import Simulator
from backcast_simulator.transport import SimulatorTransport

if TYPE_CHECKING:
    from collections.abc import Callable

    from anthropic.types.messages import MessageBatch
    from anthropic.types.messages.batch_create_params import Request

START = dt.datetime(2026, 11, 24, 22, tzinfo=dt.UTC)
MODEL = "claude-sonnet-5-5"
DAY = 86_400


def params(text: str = "hello", **changes: Any) -> dict[str, Any]:
    return {"model": MODEL, "max_tokens": 100, "messages": [{"role": "user", "content": text}], **changes}


def requests(count: int = 1, name: str = "r") -> list[Request]:
    wanted: Any = params()
    return [{"custom_id": f"{name}{number}", "params": wanted} for number in range(count)]


class Simulated:
    """`paused` are the seconds that late answers would have taken."""

    def __init__(self, **settings: Any) -> None:
        self.simulator = Simulator(SteppedClock(START), answerer_named("echo"), Settings(**settings))
        self.paused: list[float] = []
        self.on_pause: Callable[[], None] = lambda: None
        self.client = self.client_with("any")

    def transport(self) -> SimulatorTransport:
        async def pause(seconds: float) -> None:
            self.paused.append(seconds)
            self.on_pause()

        return SimulatorTransport(self.simulator, pause)

    def client_with(self, key: str) -> anthropic.Anthropic:
        http = httpx2.Client(transport=self.transport(), follow_redirects=False)
        return anthropic.Anthropic(api_key=key, base_url="http://simulated", http_client=http, max_retries=0)

    def call(self, method: str, path: str, **arguments: Any) -> httpx2.Response:
        with httpx2.Client(transport=self.transport(), base_url="http://simulated") as http:
            return http.request(method, path, headers={"x-api-key": "any"}, **arguments)

    def create(self, count: int = 1, name: str = "r") -> MessageBatch:
        return self.client.messages.batches.create(requests=requests(count, name))

    def retrieve(self, batch_id: str) -> MessageBatch:
        return self.client.messages.batches.retrieve(batch_id)

    def fault(self, kind: str, **options: Any) -> None:
        self.simulator.set_faults(parse_faults([{"kind": kind, **options}]))

    def wait(self, seconds: float) -> None:
        self.simulator.advance(seconds)

    def rows(self, batch_id: str) -> list[str]:
        return [row.custom_id for row in self.client.messages.batches.results(batch_id)]

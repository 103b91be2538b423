"""A simulated night in one process: the real SDK, a stepped clock, and no network."""

from __future__ import annotations

import asyncio
import datetime as dt
import threading
from typing import Any

import anthropic
import httpx2
import pytest
from tests.simulated import DAY, MODEL, START, Simulated, params, requests


def test_a_night_passes_in_no_time() -> None:
    world = Simulated()
    batch = world.create(1000)
    assert batch.created_at == START
    hours = 0
    while world.retrieve(batch.id).processing_status != "ended":
        world.wait(3600)
        hours += 1
    assert 0 < hours < 24
    assert sorted(world.rows(batch.id)) == sorted(f"r{number}" for number in range(1000))
    assert [call["time"] for call in world.simulator.calls][:2] == ["2026-11-24T22:00:00.000000Z"] * 2
    assert dt.datetime.fromisoformat(world.simulator.calls[-1]["time"]) == START + dt.timedelta(hours=hours)


def test_bodies_are_streamed_both_ways() -> None:
    world = Simulated()
    parts = [b'{"requests":[', b'{"custom_id":"a","params":{}}', b"]}"]
    batch = world.client.post(
        "/v1/messages/batches",
        cast_to=httpx2.Response,
        content=iter(parts),
        options={"headers": {"content-type": "application/json"}},
    )
    assert batch.status_code == 200
    big = world.create(2000)
    world.wait(DAY)
    with world.client.messages.batches.with_streaming_response.results(big.id) as answer:
        first = next(answer.iter_bytes())
    assert 1 < first.count(b"\n") < 2000
    with world.client.messages.stream(model=MODEL, max_tokens=50, messages=params()["messages"]) as stream:
        assert "".join(stream.text_stream).startswith("No model was asked")


def test_the_asynchronous_client() -> None:
    world = Simulated()

    async def night() -> list[str]:
        http = httpx2.AsyncClient(transport=world.transport())
        async with anthropic.AsyncAnthropic(api_key="any", http_client=http, max_retries=0) as client:
            batch = await client.messages.batches.create(requests=requests(3))
            world.wait(DAY)
            world.fault("drop", endpoint="retrieve")
            with pytest.raises(anthropic.APIConnectionError):
                await client.messages.batches.retrieve(batch.id)
            return sorted([row.custom_id async for row in await client.messages.batches.results(batch.id)])

    assert asyncio.run(night()) == ["r0", "r1", "r2"]


def test_the_thread_for_synchronous_calls_ends_with_the_transport() -> None:
    world = Simulated()
    others = set(threading.enumerate())
    transport = world.transport()
    with httpx2.Client(transport=transport) as http:
        http.get("http://simulated/simulator/health")
        (thread,) = [each for each in threading.enumerate() if each not in others and each.daemon]
    thread.join(timeout=10)
    assert not thread.is_alive()


def test_the_clock_is_moved_by_http_too() -> None:
    world = Simulated()
    answer = world.call("POST", "/simulator/clock", json={"advance_seconds": 90})
    assert answer.json() == {"now": "2026-11-24T22:01:30.000000Z"}
    wrong_bodies: list[Any] = [{}, {"advance_seconds": -1}, {"advance_seconds": "1"}, {"advance_seconds": 1, "x": 1}, 3]
    for wrong in wrong_bodies:
        assert world.call("POST", "/simulator/clock", json=wrong).status_code == 400
    assert world.call("GET", "/simulator/clock").json() == answer.json()

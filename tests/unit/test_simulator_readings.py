"""Where no source settles what the API does: the real SDK under both readings."""

from __future__ import annotations

from typing import Any

import anthropic
import pytest
from tests.simulated import DAY, Simulated, params, requests

from backcast_simulator.errors import ApiError
from backcast_simulator.settings import READINGS, Readings, change_readings


def under(**readings: Any) -> Simulated:
    return Simulated(readings=Readings(**readings))


def test_every_reading_is_a_choice_of_two_and_its_first_value_is_the_default() -> None:
    assert all(len(values) == 2 for values in READINGS.values())
    assert change_readings(Readings(), {name: values[0] for name, values in READINGS.items()}) == Readings()


@pytest.mark.parametrize(("reading", "moving"), [("at_end", False), ("moving", True)])
def test_counts_until_the_end(reading: str, moving: bool) -> None:
    world = under(counts=reading)
    batch = world.create(50)
    world.wait(0.6 * 3600)
    counts = world.retrieve(batch.id).request_counts
    assert (counts.processing < 50) is moving
    assert counts.processing + counts.succeeded == 50
    world.wait(DAY)
    assert world.retrieve(batch.id).request_counts.succeeded == 50


def test_cancel_of_an_ended_batch() -> None:
    for reading in READINGS["cancel_ended"]:
        world = under(cancel_ended=reading)
        batch = world.create()
        world.wait(DAY)
        if reading == "refuse":
            with pytest.raises(anthropic.BadRequestError, match="cannot be canceled"):
                world.client.messages.batches.cancel(batch.id)
        else:
            again = world.client.messages.batches.cancel(batch.id)
            assert (again.processing_status, again.cancel_initiated_at) == ("ended", None)
        assert world.retrieve(batch.id).request_counts.succeeded == 1


@pytest.mark.parametrize(("reading", "start"), [("null", ""), ("workerreq", "workerreq_")])
def test_the_request_id_of_an_errored_row(reading: str, start: str) -> None:
    world = under(error_request_id=reading)
    bad: Any = {"custom_id": "bad", "params": {"model": "claude-none", "max_tokens": 1, "messages": []}}
    batch = world.client.messages.batches.create(requests=[bad])
    world.wait(DAY)
    (row,) = world.client.messages.batches.results(batch.id)
    assert row.result.type == "errored"
    assert (row.result.error.request_id or "").startswith(start)
    assert (row.result.error.request_id is None) is (reading == "null")


@pytest.mark.parametrize(("reading", "status"), [("not_found", 404), ("invalid_request", 400)])
def test_results_before_the_end(reading: str, status: int) -> None:
    world = under(early_results=reading)
    batch = world.create()
    assert world.call("GET", f"/v1/messages/batches/{batch.id}/results").status_code == status
    with pytest.raises(anthropic.AnthropicError, match="results_url"):
        world.client.messages.batches.results(batch.id)


@pytest.mark.parametrize(("reading", "content_type"), [("envelope", "application/json"), ("html", "text/html")])
def test_a_body_that_is_too_large(reading: str, content_type: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backcast_simulator.batch_routes.MAX_BATCH_BYTES", 1000)
    world = under(too_large=reading)
    with pytest.raises(anthropic.RequestTooLargeError) as refused:
        world.client.messages.batches.create(requests=requests(50))
    assert refused.value.response.headers["content-type"].startswith(content_type)


@pytest.mark.parametrize(("reading", "content_type"), [("envelope", "application/json"), ("html", "text/html")])
def test_a_message_that_is_too_large(reading: str, content_type: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backcast_simulator.message_routes.MAX_MESSAGE_BYTES", 1000)
    world = under(too_large=reading)
    for path in ("/v1/messages", "/v1/messages/count_tokens"):
        answer = world.call("POST", path, json=params("x" * 1000))
        assert answer.status_code == 413
        assert answer.headers["content-type"].startswith(content_type)


@pytest.mark.parametrize(("reading", "header"), [("none", None), ("ten", "10")])
def test_a_poll_may_say_when_to_poll_again(reading: str, header: str | None) -> None:
    world = under(poll_retry_after=reading)
    batch = world.create()
    answer = world.client.messages.batches.with_raw_response.retrieve(batch.id)
    assert answer.headers.get("retry-after") == header
    world.wait(DAY)
    assert "retry-after" not in world.client.messages.batches.with_raw_response.retrieve(batch.id).headers


def test_readings_change_while_it_runs() -> None:
    world = Simulated()
    answer = world.call("POST", "/simulator/settings", json={"counts": "moving"})
    assert answer.json()["readings"]["counts"] == "moving"
    assert world.call("GET", "/simulator/settings").json()["choices"]["counts"] == ["at_end", "moving"]
    wrong_bodies: list[Any] = [{"counts": "sometimes"}, {"counts": ["moving"]}, {"weather": "calm"}, []]
    for wrong in wrong_bodies:
        assert world.call("POST", "/simulator/settings", json=wrong).status_code == 400
    with pytest.raises(ApiError, match=r"settings\.counts: one of at_end, moving is expected"):
        change_readings(Readings(), {"counts": 1})

"""Faults on request, as the real SDK meets them; no test waits for anything."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import httpx2
import pytest
from tests.simulated import DAY, Simulated, requests

from backcast_simulator.errors import ApiError
from backcast_simulator.faults import parse_faults


@pytest.fixture
def world() -> Simulated:
    return Simulated()


@pytest.mark.parametrize(
    ("status", "error_type", "caught"),
    [
        (408, "timeout_error", anthropic.APIStatusError),
        (409, "conflict_error", anthropic.ConflictError),
        (429, "rate_limit_error", anthropic.RateLimitError),
        (500, "api_error", anthropic.InternalServerError),
        (504, "timeout_error", anthropic.APIStatusError),
        (529, "overloaded_error", anthropic.APIStatusError),
    ],
)
def test_an_error_is_answered_as_often_as_asked_and_nothing_is_accepted(
    world: Simulated, status: int, error_type: str, caught: type[anthropic.APIStatusError]
) -> None:
    world.fault("error", status=status, type=error_type, times=2)
    for _ in range(2):
        with pytest.raises(caught) as refused:
            world.create()
        assert refused.value.status_code == status
        assert refused.value.response.json()["error"]["type"] == error_type
        assert "retry-after" not in refused.value.response.headers
    assert world.client.messages.batches.list().data == []
    world.create()


@pytest.mark.parametrize(
    ("error_type", "status"),
    [
        ("invalid_request_error", 400),
        ("authentication_error", 401),
        ("billing_error", 402),
        ("permission_error", 403),
        ("not_found_error", 404),
        ("conflict_error", 409),
        ("request_too_large", 413),
        ("rate_limit_error", 429),
        ("api_error", 500),
        ("timeout_error", 504),
        ("overloaded_error", 529),
    ],
)
def test_each_type_of_error_has_its_status(world: Simulated, error_type: str, status: int) -> None:
    world.fault("error", type=error_type, endpoint="any", message="told so", details={"a": 1})
    answer = world.call("GET", "/v1/models")
    assert answer.status_code == status
    assert answer.json()["error"] == {"type": error_type, "message": "told so", "details": {"a": 1}}


def test_a_429_may_say_when_to_come_again(world: Simulated) -> None:
    world.fault("error", status=429, type="rate_limit_error", retry_after=7, endpoint="list")
    with pytest.raises(anthropic.RateLimitError) as refused:
        world.client.messages.batches.list()
    assert refused.value.response.headers["retry-after"] == "7"


def test_an_error_may_be_about_one_endpoint_and_one_batch(world: Simulated) -> None:
    first, second = world.create(), world.create()
    world.fault("error", status=404, type="not_found_error", endpoint="retrieve", batch=first.id, times=1)
    assert world.retrieve(second.id).id == second.id
    with pytest.raises(anthropic.NotFoundError):
        world.retrieve(first.id)
    assert world.retrieve(first.id).id == first.id


@pytest.mark.parametrize(
    ("limit", "status", "words"),
    [("tier", 429, "spend limit"), ("customer", 400, "You have reached your specified API usage limits")],
)
def test_spend_limits_as_a_fault(world: Simulated, limit: str, status: int, words: str) -> None:
    world.fault("spend_limit", limit=limit)
    with pytest.raises(anthropic.APIStatusError, match=words) as refused:
        world.create()
    assert refused.value.status_code == status
    assert "retry-after" not in refused.value.response.headers
    details = refused.value.response.json()["error"].get("details")
    assert details == ({"error_code": "enforced_spend_limit_reached"} if limit == "tier" else None)


def test_a_proxy_may_answer_in_html_or_send_elsewhere(world: Simulated) -> None:
    world.fault("html", status=502)
    with pytest.raises(anthropic.InternalServerError) as refused:
        world.create()
    assert refused.value.response.headers["content-type"].startswith("text/html")
    world.fault("redirect", status=302, location="https://elsewhere.invalid/login")
    answer = world.call("POST", "/v1/messages/batches", json={"requests": requests()})
    assert (answer.status_code, answer.headers["location"]) == (302, "https://elsewhere.invalid/login")
    assert world.client.messages.batches.list().data == []


@pytest.mark.parametrize(("when", "accepted"), [("before", 0), ("after", 1)])
def test_a_connection_is_dropped_before_or_after_the_batch_is_accepted(
    world: Simulated, when: str, accepted: int
) -> None:
    world.fault("drop", when=when)
    with pytest.raises(anthropic.APIConnectionError):
        world.create()
    assert len(world.client.messages.batches.list().data) == accepted


def test_a_late_answer_is_accepted_before_it_is_late(world: Simulated) -> None:
    listed_meanwhile: list[int] = []
    world.on_pause = lambda: listed_meanwhile.append(len(world.simulator.page(20, None, None, "")["data"]))
    world.fault("delay", seconds=900)
    world.create()
    assert world.paused == [900]
    assert listed_meanwhile == [1]


def test_a_proxy_that_repeats_a_create_makes_two_batches_of_it(world: Simulated) -> None:
    world.fault("repeat")
    answered = world.create(3)
    ids = [batch.id for batch in world.client.messages.batches.list()]
    assert len(ids) == 2
    assert ids[0] == answered.id
    creates = [call for call in world.simulator.calls if call["method"] == "POST"]
    assert len(creates) == 2
    world.wait(DAY)
    assert len(world.simulator.bill()["requests"]) == 6


def test_a_list_may_lag_behind_a_create(world: Simulated) -> None:
    world.fault("list_lag", seconds=60)
    batch = world.create()
    world.wait(59)
    assert world.client.messages.batches.list().data == []
    assert world.retrieve(batch.id).id == batch.id
    world.wait(1)
    assert [each.id for each in world.client.messages.batches.list()] == [batch.id]


def test_a_fresh_batch_and_one_in_mid_life_may_not_be_found_for_a_while(world: Simulated) -> None:
    world.simulator.set_faults(
        parse_faults(
            [
                {"kind": "not_found", "seconds": 5},
                {"kind": "not_found", "from_seconds": 3600, "seconds": 5},
            ]
        )
    )
    batch = world.create()
    with pytest.raises(anthropic.NotFoundError):
        world.retrieve(batch.id)
    world.wait(5)
    assert world.retrieve(batch.id).id == batch.id
    world.wait(3595)
    with pytest.raises(anthropic.NotFoundError):
        world.retrieve(batch.id)
    world.wait(5)
    assert world.retrieve(batch.id).id == batch.id
    world.wait(DAY)
    world.fault("not_found", batch=batch.id, seconds=5)
    assert world.call("GET", f"/v1/messages/batches/{batch.id}/results").status_code == 404
    world.wait(5)
    assert world.rows(batch.id) == ["r0"]


def ended(world: Simulated, count: int = 20) -> str:
    batch_id = world.create(count).id
    world.wait(DAY)
    return batch_id


def test_rows_may_be_missing_repeated_and_unknown(world: Simulated) -> None:
    batch_id = ended(world)
    whole = world.rows(batch_id)
    world.fault("rows", missing=2, repeated=3, unknown=1)
    odd = world.rows(batch_id)
    assert odd[0] == "unknown-0"
    assert set(whole) - set(odd) == set(whole[:2])
    assert len(odd) == 1 + 20 - 2 + 3
    assert world.rows(batch_id) == whole


def test_results_may_be_cut_in_mid_row_or_end_with_a_broken_one(world: Simulated) -> None:
    batch_id = ended(world)
    world.fault("rows", cut=True)
    with pytest.raises(httpx2.RemoteProtocolError):
        world.rows(batch_id)
    world.fault("rows", broken_last=True)
    with pytest.raises(json.JSONDecodeError):
        world.rows(batch_id)
    assert len(world.rows(batch_id)) == 20


def test_a_batch_may_never_end(world: Simulated) -> None:
    world.fault("never_ends")
    batch, other = world.create(), world.create()
    world.wait(10 * DAY)
    assert world.retrieve(batch.id).processing_status == "in_progress"
    assert world.retrieve(other.id).processing_status == "ended"


@pytest.mark.parametrize("kind", ["never_ends", "expires", "canceled", "slow_cancel"])
def test_no_fault_brings_a_batch_back_that_has_ended(world: Simulated, kind: str) -> None:
    batch = world.create(3)
    world.client.messages.batches.cancel(batch.id)
    world.wait(60)
    ended_then = world.retrieve(batch.id)
    with pytest.raises(ApiError, match=f"{kind} cannot happen to batch {batch.id}: its processing has ended"):
        world.fault(kind, batch=batch.id)
    assert world.retrieve(batch.id) == ended_then
    assert ended_then.processing_status == "ended"


def test_a_batch_may_expire_in_part(world: Simulated) -> None:
    world.fault("expires", share=0.25)
    batch = world.create(20)
    world.wait(DAY)
    counts = world.retrieve(batch.id).request_counts
    assert (counts.succeeded, counts.expired) == (15, 5)


def test_what_is_done_does_not_expire_afterwards(world: Simulated) -> None:
    world.simulator.change_settings({"counts": "moving"})
    batch = world.create(40)
    world.wait(0.6 * 3600)
    done = world.retrieve(batch.id).request_counts.succeeded
    assert 0 < done < 40
    world.fault("expires", batch=batch.id)
    world.wait(DAY)
    counts = world.retrieve(batch.id).request_counts
    assert (counts.succeeded, counts.expired) == (done, 40 - done)
    with pytest.raises(ApiError, match="not found"):
        world.fault("expires", batch="msgbatch_none")


def test_somebody_else_may_cancel_a_batch_now_or_later(world: Simulated) -> None:
    world.fault("canceled", after_seconds=600)
    later, now = world.create(3), world.create(3)
    world.fault("canceled", batch=now.id)
    assert world.retrieve(now.id).processing_status == "canceling"
    world.wait(599)
    assert world.retrieve(later.id).processing_status == "in_progress"
    world.wait(60)
    canceled = world.retrieve(later.id)
    assert canceled.cancel_initiated_at is not None
    assert (canceled.cancel_initiated_at - canceled.created_at).total_seconds() == 600
    assert canceled.processing_status == "ended"


def test_a_cancel_may_take_long(world: Simulated) -> None:
    world.fault("slow_cancel", seconds=600)
    batch = world.create(3)
    world.client.messages.batches.cancel(batch.id)
    world.wait(599)
    assert world.retrieve(batch.id).processing_status == "canceling"
    world.wait(1)
    assert world.retrieve(batch.id).request_counts.canceled == 3


def test_the_log_says_when_each_call_came_and_when_it_was_answered(world: Simulated) -> None:
    world.on_pause = lambda: world.wait(900)
    world.fault("delay", seconds=900)
    world.create()
    world.fault("drop", endpoint="list")
    assert world.call("GET", "/v1/models").status_code == 200
    with pytest.raises(anthropic.APIConnectionError):
        world.client.messages.batches.list()
    late, fine, dropped = world.call("GET", "/simulator/log").json()
    assert (late["method"], late["path"], late["status"]) == ("POST", "/v1/messages/batches", 200)
    assert (late["time"], late["answered_at"]) == ("2026-11-24T22:00:00.000000Z", "2026-11-24T22:15:00.000000Z")
    assert (fine["status"], dropped["status"]) == (200, None)
    assert len({call["request_id"] for call in (late, fine, dropped)}) == 3


def test_strangers_put_batches_into_the_workspace_that_are_not_on_our_bill(world: Simulated) -> None:
    answer = world.call("POST", "/simulator/strangers", json={"requests": 7, "count": 2})
    assert answer.status_code == 200
    listed = world.client.messages.batches.list().data
    assert {batch.id for batch in listed} == set(answer.json()["ids"])
    assert [batch.request_counts.processing for batch in listed] == [7, 7]
    world.wait(DAY)
    assert world.simulator.bill()["requests"] == []
    assert len(world.rows(listed[0].id)) == 7


def test_faults_over_http(world: Simulated) -> None:
    posted = [{"kind": "error", "endpoint": "create", "times": 3}, {"kind": "never_ends"}]
    answer = world.call("POST", "/simulator/faults", json=posted).json()
    assert answer["create_calls"] == 3
    assert [fault["kind"] for fault in answer["faults"]] == ["error", "never_ends"]
    assert world.call("POST", "/simulator/faults", json={}).json()["faults"] == []
    assert set(world.call("GET", "/simulator/faults").json()["kinds"]) >= {"error", "drop", "rows", "never_ends"}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("no", "a JSON object or a list"),
        ([1], r"faults\.0: Input should be a valid dictionary"),
        ({"kind": "flood"}, r"faults\.kind: one of error, "),
        ({"kind": "error", "times": 0}, r"faults\.times: a positive integer"),
        ({"kind": "error", "status": 99}, r"faults\.status: an HTTP status"),
        ({"kind": "error", "endpoint": "teapot"}, r"faults\.endpoint: one of any, create"),
        ({"kind": "delay", "seconds": -1}, r"faults\.seconds: a number that is not negative"),
        ({"kind": "drop", "when": "never"}, r"faults\.when: before or after"),
        ({"kind": "repeat", "status": 500}, r"faults\.status: Extra inputs.*nothing more"),
        ({"refuse_create": 1}, r"faults\.refuse_create: an object with status"),
        ({"oops": 1}, r"faults\.oops: Extra inputs"),
    ],
)
def test_a_fault_that_is_wrong_is_refused_with_its_place(body: Any, message: str) -> None:
    with pytest.raises(ApiError, match=message):
        parse_faults(body)

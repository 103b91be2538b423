"""The router: batch where nobody waits and nothing must be run in mid-answer, synchronous where somebody does."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from backcast.domain.audit import CheckTerms
from backcast.domain.capacity import Rate, Work
from backcast.domain.plan import Wish, make_plan
from backcast.domain.routing import Api, Declared, contradictions, route
from backcast.domain.schedule import parse_due
from backcast.domain.sla import SlaError, Terms, with_hoped_window

H, M = timedelta(hours=1), timedelta(minutes=1)
DUE = parse_due("Mon-Fri 08:00 Europe/Berlin")


@pytest.mark.parametrize(
    ("facts", "api", "waits", "why"),
    [
        ({"sla": 30 * H, "due": DUE}, Api.BATCH, "nobody: due Mon-Fri 08:00", "6 h left, of which 1 h 10 min are"),
        ({"sla": 30 * H}, Api.BATCH, "nobody: answered within 30 h", "half the price"),
        ({"sla": 25 * H + 10 * M, "due": DUE}, Api.BATCH, "nobody", "1 h 10 min left, of which 1 h 10 min"),
        ({"sla": 25 * H + 9 * M}, Api.SYNCHRONOUS, "nobody", "less than the 25 h 10 min that a batch needs"),
        ({"sla": 5 * M, "blocking": True}, Api.SYNCHRONOUS, "somebody, at most 5 min", "a batch may take 24 h"),
        # Whoever waits is not helped by a batch that would be in time.
        ({"sla": 72 * H, "blocking": True}, Api.SYNCHRONOUS, "somebody, at most 72 h", "Somebody waits"),
        ({"sla": 72 * H, "client_tools": ("grep", "ls"), "due": DUE}, Api.SYNCHRONOUS, "nobody", "must run grep, ls"),
        ({"sla": 72 * H, "server_tools": ("web_search",)}, Api.BATCH, "nobody", "Inside it, the API runs web_search."),
        ({"sla": 12 * H, "due": DUE, "opportunistic": True}, Api.BOTH, "nobody", "tried for 10 h 45 min"),
        ({"sla": 30 * H, "due": DUE, "opportunistic": True}, Api.BATCH, "nobody", "half the price"),
    ],
)
def test_the_facts_decide_about_the_api(facts: dict[str, Any], api: Api, waits: str, why: str) -> None:
    routed = route(Declared(**facts))
    assert routed.api is api
    assert waits in routed.waits
    assert why in routed.why
    assert list(contradictions(Declared(**facts))) == []


@pytest.mark.parametrize("when", [{"due": DUE}, {"every": 4 * H}])
def test_what_starts_by_itself_with_too_short_an_sla_is_refused_with_both_ways_out(when: dict[str, Any]) -> None:
    with pytest.raises(SlaError, match=r"25h1[05]m or more\. Or write `opportunistic: true`"):
        route(Declared(sla=24 * H, **when))


@pytest.mark.parametrize(
    ("facts", "keys"),
    [
        (
            {"blocking": True, "due": DUE, "every": H, "slots": 1, "opportunistic": True},
            "due every slots opportunistic",
        ),
        ({"client_tools": ("ls",), "slots": 1, "every": H, "opportunistic": True}, "every slots opportunistic"),
        # Weekly, and with tools: started by itself, asked synchronously.
        ({"client_tools": ("ls",), "due": DUE}, ""),
        ({"slots": 1}, "slots"),
        ({"every": H, "opportunistic": True}, "opportunistic"),
        ({"client_tools": ("ls",), "server_tools": ("ls",)}, "client_tools"),
        ({"client_tools": ("ls",), "check": CheckTerms()}, "check"),
        ({"blocking": True, "check": CheckTerms()}, "check"),
        ({"check": CheckTerms(), "due": DUE, "slots": 1}, ""),
    ],
)
def test_what_cannot_be_true_together_is_named_by_its_key(facts: dict[str, Any], keys: str) -> None:
    assert " ".join(key for key, _ in contradictions(Declared(sla=30 * H, **facts))) == keys


@pytest.mark.parametrize("facts", [{"sla": 72 * H, "due": DUE}, {"sla": 12 * H, "due": DUE, "opportunistic": True}])
def test_a_check_with_tools_is_a_synchronous_step_of_what_stays_a_batch(facts: dict[str, Any]) -> None:
    check = CheckTerms(top=7, client_tools=("read_file", "search"))
    without, routed = route(Declared(**facts)), route(Declared(**facts, check=check))
    assert (routed.api, routed.waits, without.steps) == (without.api, without.waits, ())
    [step] = routed.steps
    assert (step.name, step.api) == ("check_findings", Api.SYNCHRONOUS)
    assert "at most 7 findings" in step.why
    assert "must run read_file, search in mid-answer" in step.why
    assert routed.why == f"{without.why} {step.why}"
    assert str(routed) == f"{without.api}, then check_findings synchronous"


def test_a_batch_that_is_tried_gets_what_the_sla_has_left_for_it() -> None:
    assert with_hoped_window(Terms(sla=12 * H, drain=20 * M)).window == 10 * H + 25 * M
    assert with_hoped_window(Terms(sla=30 * H)).window == 24 * H
    # What cannot all be answered synchronously does not keep a batch from being tried.
    assert with_hoped_window(Terms(sla=12 * H, drain=60 * H)).window == 10 * H + 45 * M
    assert with_hoped_window(Terms(sla=95 * M)).window == 20 * M
    with pytest.raises(SlaError, match="Write 1h35m or more, or leave out `opportunistic`"):
        with_hoped_window(Terms(sla=94 * M))


def test_the_plan_of_a_batch_that_is_tried_cancels_it_in_time() -> None:
    wish = Wish(12 * H, 24 * H, Work(300, 1_050_000), Rate(), due=DUE, opportunistic=True)
    now = datetime(2026, 11, 25, 12, tzinfo=UTC)
    plan = make_plan(wish, now)
    assert str(plan.schedule) == "submits 12 h before Mon-Fri 08:00 Europe/Berlin"
    assert [step.what for step in plan.worst][:2] == ["submitted", "canceled"]
    assert plan.worst[1].at - plan.worst[0].at < 12 * H
    assert plan.worst[-2].at <= plan.worst[-1].at
    assert (plan.rounds, plan.guaranteed) == (0, True)
    with pytest.raises(SlaError, match="cannot hold"):
        make_plan(Wish(12 * H, 24 * H, Work(300, 1_050_000), Rate(), due=DUE), now)

"""What a simulator keeps in a file, and finds there again."""

from __future__ import annotations

import datetime as dt
import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from backcast_simulator.answers import answerer_named
from backcast_simulator.clock import RunningClock, SteppedClock, resumed_at
from backcast_simulator.faults import parse_faults
from backcast_simulator.rules import parse_rules
from backcast_simulator.simulator import CallHeaders, Settings, Simulator
from backcast_simulator.storage import Store

if TYPE_CHECKING:
    from pathlib import Path

HEADERS = CallHeaders("2026-10-21")
START = dt.datetime(2026, 11, 24, 22, tzinfo=dt.UTC)


def opened(path: Path) -> Simulator:
    store = Store(path)
    kept = store.noted("clock")
    return Simulator(
        SteppedClock(START if kept is None else resumed_at(kept)), answerer_named("echo"), Settings(), store
    )


def body(*custom_ids: str) -> bytes:
    params = b'{"model":"claude-sonnet-5-5","max_tokens":50,"messages":[{"role":"user","content":"see a.py"}]}'
    each = (b'{"custom_id":"%b","params":%b}' % (custom_id.encode(), params) for custom_id in custom_ids)
    return b'{"requests":[' + b",".join(each) + b"]}"


def test_everything_is_there_again(tmp_path: Path) -> None:
    path = tmp_path / "state"
    before = opened(path)
    before.set_rules(parse_rules([{"match": "a.py", "attempts": [2], "outcome": "errored"}]))
    faults = [{"kind": kind} for kind in ("slow_cancel", "not_found", "list_lag")]
    before.set_faults(parse_faults([{"kind": "canceled", "after_seconds": 90_000}, *faults]))
    first = before.create(body(*(f"r{number}" for number in range(600))), HEADERS, "")
    deleted, canceled = (before.create(body("x"), HEADERS, "") for _ in range(2))
    before.cancel(canceled["id"], "")
    before.advance(86_400)
    before.delete(deleted["id"])
    before.answer(b'{"model":"claude-sonnet-5-5","max_tokens":9,"messages":[{"role":"user","content":"x"}]}', HEADERS)

    def seen(simulator: Simulator) -> tuple[Any, ...]:
        return (
            simulator.clock.now(),
            simulator.page(20, None, None, ""),
            simulator.bill(),
            b"".join(simulator.results(first["id"])),
            simulator.rules(),
        )

    expected = seen(before)
    before.close()
    after = opened(path)
    assert seen(after) == expected
    assert len(after.bill()["requests"]) > 600
    again = after.create(body("y"), HEADERS, "")
    after.advance(86_400)
    counts = after.retrieve(again["id"], "")["request_counts"]
    assert counts["succeeded"] == 1, "it is the third message of its kind or later, not the second again"


def test_a_batch_that_was_not_accepted_in_full_is_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    simulator = opened(tmp_path / "state")
    monkeypatch.setattr(Store, "put_batch", _fail)
    with pytest.raises(RuntimeError):
        simulator.create(body("a"), HEADERS, "")
    monkeypatch.undo()
    simulator.close()
    again = opened(tmp_path / "state")
    assert again.page(20, None, None, "")["data"] == []
    again.close()
    with closing(sqlite3.connect(tmp_path / "state")) as file:
        assert file.execute("SELECT count(*) FROM blocks").fetchone() == (0,)


def _fail(*_: object) -> None:
    raise RuntimeError


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.sqlite"
    with sqlite3.connect(path) as other:
        other.execute("CREATE TABLE t (x)")
    other.close()
    with pytest.raises(ValueError, match="was not written by this version"):
        Store(path)


def test_a_running_clock_went_on_while_nobody_looked() -> None:
    kept = RunningClock(1000, START).kept()
    kept["real"] = (dt.datetime.fromisoformat(kept["real"]) - dt.timedelta(seconds=10)).isoformat()
    assert dt.timedelta(seconds=9_900) < resumed_at(kept) - START < dt.timedelta(seconds=60_000)
    clock = RunningClock(1, START)
    clock.advance(dt.timedelta(days=1))
    assert clock.now() >= START + dt.timedelta(days=1)
    assert resumed_at(SteppedClock(START).kept()) == START

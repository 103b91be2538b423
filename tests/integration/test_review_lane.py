"""What was given up is looked at by a person, and not asked about again until then."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import orjson
import pytest
from click.testing import CliRunner, Result
from tests.stepped_night import SteppedNight
from tests.support import commit

from backcast.cli import main
from backcast_simulator.rules import parse_rules

if TYPE_CHECKING:
    from backcast.ledger.connection import Ledger

DOCUMENTS = 3
REFUSED = {"match": "module1", "outcome": "refusal"}


@pytest.fixture
def night(ledger: Ledger, tmp_path: Path) -> SteppedNight:
    night = SteppedNight(ledger, tmp_path, DOCUMENTS)
    night.simulator.set_rules(parse_rules([REFUSED]))
    return night


def whole(night: SteppedNight, key: str, **params: Any) -> dict[str, Any]:
    return night.through(night.collected(key, sla="96h", **params))


def review_lane(night: SteppedNight, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["review-lane", *arguments], env={"BACKCAST_LEDGER": night.ledger.dsn})


def listed(night: SteppedNight, *arguments: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = orjson.loads(review_lane(night, "list", "--json", *arguments).stdout)["items"]
    return items


def test_what_was_given_up_is_kept_with_all_that_came_back(night: SteppedNight) -> None:
    assert review_lane(night, "list").stdout == "Nothing waits in the review lane.\n"
    done = whole(night, "dag/1")
    assert done["unanswered"] == 1

    [item] = listed(night)
    assert (item["path"], item["cause"], item["state"]) == ("module1.py", "refused", "open")
    assert "module1.py" in review_lane(night, "list").stdout
    shown = review_lane(night, "show", str(item["item_id"])).stdout
    assert "r1 first in a batch: refused" in shown
    assert "r2 simplified_prompt in a batch: refused" in shown
    attempts = orjson.loads(review_lane(night, "show", str(item["item_id"]), "--json").stdout)["attempts"]
    assert [orjson.loads(attempt["raw"])["message"]["stop_reason"] for attempt in attempts] == ["refusal", "refusal"]

    file = Path(done["report_path"]).with_name("review-lane.json")
    [kept] = orjson.loads(file.read_bytes())["items"]
    assert kept["path"] == "module1.py"
    assert [attempt["result"]["message"]["stop_reason"] for attempt in kept["attempts"]] == ["refusal", "refusal"]


def test_it_is_not_asked_about_again_until_somebody_says_so(night: SteppedNight) -> None:
    whole(night, "dag/1")
    paid = len(night.paid())
    again = whole(night, "dag/2")
    assert (again["reused"], again["unanswered"]) == (2, 1)
    assert len(night.paid()) == paid
    [item] = listed(night)
    with night.ledger.connect() as connection:
        row = (
            connection.execute(
                "SELECT reason FROM documents WHERE run_id = %s AND outcome = 'unanswered'", [again["run_id"]]
            ).fetchone()
            or {}
        )
    assert row["reason"] == f"in the review lane: item {item['item_id']}, refused"

    night.simulator.set_rules([])
    assert "asked about again by the next run" in review_lane(night, "retry", str(item["item_id"])).stdout
    third = whole(night, "dag/3")
    assert (third["answered"], third["reused"], third["unanswered"]) == (1, 2, 0)
    assert listed(night) == []


def test_what_is_dismissed_is_skipped_until_it_changes(night: SteppedNight) -> None:
    whole(night, "dag/1")
    [item] = listed(night)
    assert review_lane(night, "dismiss", str(item["item_id"]), "--note", "a test vector").exit_code == 0
    assert listed(night) == []
    assert listed(night, "--all")[0]["note"] == "a test vector"
    second = whole(night, "dag/2")
    assert (second["reused"], second["skipped"], second["unanswered"]) == (2, 1, 0)

    night.simulator.set_rules([])
    (night.repository / "module1.py").write_text("VALUE = 'changed'\n")
    commit(night.repository, "change it")
    assert whole(night, "dag/3")["answered"] == 1


def test_a_full_run_asks_about_everything(night: SteppedNight) -> None:
    whole(night, "dag/1")
    night.simulator.set_rules([])
    assert whole(night, "dag/2", full=True)["answered"] == DOCUMENTS


def test_what_passes_by_itself_is_asked_again_the_next_time(night: SteppedNight) -> None:
    night.simulator.set_rules(parse_rules([{"outcome": "errored", "error_type": "not_found_error"}]))
    assert whole(night, "dag/1")["unanswered"] == DOCUMENTS
    assert listed(night) == []
    night.simulator.set_rules([])
    assert whole(night, "dag/2")["answered"] == DOCUMENTS


def test_what_cannot_be_decided_is_said(night: SteppedNight) -> None:
    unknown = review_lane(night, "show", "7")
    assert (unknown.exit_code, unknown.stderr) == (
        2,
        "backcast: The review lane has no item 7. `backcast review-lane list --all` lists them.\n",
    )
    whole(night, "dag/1")
    [item] = listed(night)
    assert review_lane(night, "dismiss", str(item["item_id"])).exit_code == 0
    again = review_lane(night, "dismiss", str(item["item_id"]))
    assert (again.exit_code, "is dismissed already" in again.stderr) == (2, True)

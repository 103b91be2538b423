"""A run in which every cause comes up: what can be answered is answered, and little more is paid than once for each."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any

from tests.stepped_night import DAY, SteppedNight
from tests.support import commit

from backcast_simulator.rules import parse_rules

if TYPE_CHECKING:
    from pathlib import Path

    from backcast.ledger.connection import Ledger

DOCUMENTS = 200
SHARE = 10
# By what they are named after, so that each cause comes up for exactly 5 %.
RULES: list[dict[str, Any]] = [
    {"match": "truncated_", "outcome": "truncated", "attempts": [1]},
    {"match": "malformed_", "outcome": "malformed", "attempts": [1]},
    {"match": "refused_", "outcome": "refusal"},
    {"match": "errored_", "outcome": "errored", "error_type": "overloaded_error", "attempts": [1]},
    {"match": "expired_", "outcome": "expired", "attempts": [1]},
    {
        "match": "long_",
        "when": {"prompt_lacks": "This is part"},
        "outcome": "invalid_request",
        "message": "prompt is too long: 10000 tokens > 9000 maximum",
    },
]
KINDS = ["truncated", "malformed", "refused", "errored", "expired", "long"]
MOST_PARTS = 3


def test_all_but_what_is_refused_is_answered_and_at_most_a_quarter_more_is_paid(ledger: Ledger, tmp_path: Path) -> None:
    night = SteppedNight(ledger, tmp_path, 1)
    (night.repository / "module0.py").unlink()
    for number in range(DOCUMENTS):
        kind = KINDS[number // SHARE] if number < SHARE * len(KINDS) else "plain"
        lines = 100 if kind == "long" else 1
        text = "".join(f"VALUE_{line} = {number}\n" for line in range(lines))
        (night.repository / f"{kind}_{number}.py").write_text(text)
    commit(night.repository, "the mix")
    night.simulator.set_rules(parse_rules(RULES))

    run_id = night.collected(sla="72h")
    run = night.through(run_id, DAY + 60)
    assert (run["answered"], run["unanswered"]) == (DOCUMENTS - SHARE, SHARE)
    billed = night.simulator.bill()["requests"]
    assert len(billed) <= 1.25 * DOCUMENTS
    with ledger.connect() as connection:
        rows = connection.execute(
            "SELECT path, array_agg(coalesce(cause, 'accepted') ORDER BY attempt) AS causes "
            "FROM requests JOIN documents USING (document_id) WHERE remedy IS DISTINCT FROM 'merged' GROUP BY path"
        ).fetchall()
    parts = Counter(len(row["causes"]) - 1 for row in rows if row["causes"][0] == "too_long")
    assert sum(parts.values()) == SHARE
    assert max(parts) <= MOST_PARTS
    rows = [row for row in rows if row["causes"][0] != "too_long"]
    # No accepted document goes again, and none goes again for what it did not fail of.
    assert all("accepted" not in row["causes"][:-1] for row in rows)
    assert Counter(tuple(row["causes"]) for row in rows) == {
        ("accepted",): DOCUMENTS - SHARE * len(KINDS),
        ("truncated", "accepted"): SHARE,
        ("malformed", "accepted"): SHARE,
        ("refused", "refused"): SHARE,
        ("passing", "accepted"): 2 * SHARE,
    }
    # Errored and expired ones and what was too long were not billed, the other failures twice.
    more_parts = sum((count - 1) * documents for count, documents in parts.items())
    assert len(billed) == DOCUMENTS + 3 * SHARE + more_parts

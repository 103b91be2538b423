"""Documents that need an example: answered malformed without one, in batches and synchronously alike."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from tests.simulated import DAY, MODEL, START, Simulated

from backcast_simulator.answers import answerer_named
from backcast_simulator.clock import SteppedClock, resumed_at
from backcast_simulator.outcomes import Odds
from backcast_simulator.rules import parse_rules
from backcast_simulator.settings import Settings
from backcast_simulator.simulator import Simulator
from backcast_simulator.storage import Store

if TYPE_CHECKING:
    from pathlib import Path

    import anthropic

SCHEMA = {
    "type": "object",
    "properties": {"findings": {"type": "array", "items": {"type": "string"}}},
    "required": ["findings"],
    "additionalProperties": False,
}
GO = "package a\n\nfunc A() {}"
ANSWERED = '{"findings": []}'


def shown(language: str, text: str = GO, fence: str = "0123456789ab") -> str:
    lines = "\n".join(f"{number}| {line}" for number, line in enumerate(text.split("\n"), 1))
    return f'<document-{fence} path="a" language="{language}">\n{lines}\n</document-{fence}>'


def asked(language: str = "go", *earlier: str, system: str = "Review.", **changes: Any) -> dict[str, Any]:
    """A request about a document, after turns about documents in the languages of `earlier`."""
    turns = [
        turn
        for name in earlier
        for turn in ({"role": "user", "content": shown(name)}, {"role": "assistant", "content": ANSWERED})
    ]
    return {
        "model": MODEL,
        "max_tokens": 1000,
        "system": [{"type": "text", "text": system}],
        "messages": [*turns, {"role": "user", "content": shown(language)}],
        "output_config": {"format": {"type": "json_schema", "schema": SCHEMA}},
        **changes,
    }


class World(Simulated):
    """As `Simulated`, with the analyst's answers."""

    def __init__(self, needs_example: str = "", store: Store | None = None, **settings: Any) -> None:
        super().__init__()
        kept = None if store is None else store.noted("clock")
        languages = frozenset(needs_example.split())
        self.simulator = Simulator(
            SteppedClock(START if kept is None else resumed_at(kept)),
            answerer_named("analyst"),
            Settings(needs_example=languages, **settings),
            store,
        )
        self.client = self.client_with("any")

    def batch(self, *requests: dict[str, Any]) -> str:
        sent: Any = [{"custom_id": f"r{number}", "params": params} for number, params in enumerate(requests)]
        return self.client.messages.batches.create(requests=sent).id

    def batch_is_well(self, batch_id: str) -> list[bool]:
        """By request, in the order they were sent in."""
        rows = {row.custom_id: row.result for row in self.client.messages.batches.results(batch_id)}
        results = [rows[name] for name in sorted(rows)]
        return [is_well(result.message) for result in results if result.type == "succeeded"]

    def both_ways(self, *requests: dict[str, Any]) -> list[bool]:
        """Whether each is answered well; the batch and the synchronous API must agree."""
        batch_id = self.batch(*requests)
        self.wait(DAY)
        synchronous = [is_well(self.client.messages.create(**params)) for params in requests]
        assert self.batch_is_well(batch_id) == synchronous
        return synchronous


def is_well(message: anthropic.types.Message) -> bool:
    (block,) = message.content
    assert message.stop_reason == "end_turn"
    assert block.type == "text"
    try:
        return bool(json.loads(block.text) == {"findings": []})
    except json.JSONDecodeError:
        return False


def test_an_example_of_the_same_language_in_the_system_prompt_or_in_an_earlier_turn_is_needed() -> None:
    lead = "Such as this:\n"
    assert World("go yaml").both_ways(
        asked("go"),
        asked("python"),
        asked("go", "python", system=lead + shown("python")),
        asked("go", system=lead + shown("python") + "\n" + shown("go", fence="ba9876543210")),
        asked("go", "python", "go"),
        asked("yaml", "go"),
    ) == [False, True, False, True, True, False]


def test_none_is_needed_unless_told_and_of_all_languages_when_told_so() -> None:
    assert World().both_ways(asked("go"), asked("python")) == [True, True]
    assert World("all").both_ways(asked("go"), asked("python"), asked("go", "go")) == [False, False, True]


def test_what_stands_in_the_document_itself_or_after_it_is_no_example_before_it() -> None:
    inner = asked("go")
    inner["messages"][0]["content"] = shown("go", text='<document-ffffffffffff language="go">\n\n</document-f>')
    twice = asked("go")
    twice["messages"][0]["content"] += "\n\n" + shown("go", fence="ba9876543210")
    open_ended = asked("go", system='As in\n<document-ffffffffffff language="go">\nand so on')
    in_another = asked("go", system=shown("text", text="x").replace("1| x", shown("go", fence="ba9876543210")))
    assert World("go").both_ways(inner, twice, open_ended, in_another) == [False] * 4


def test_without_a_document_in_the_last_user_message_no_example_is_needed() -> None:
    tool_loop = asked("go")
    tool_loop["messages"] += [{"role": "assistant", "content": ANSWERED}, {"role": "user", "content": "Go on."}]
    assert World("all").both_ways(asked("go", messages=[{"role": "user", "content": "hello"}]), tool_loop) == [True] * 2


def test_a_rule_that_applies_goes_before_it_and_a_request_that_fails_anyway_fails() -> None:
    world = World("go")
    world.simulator.set_rules(parse_rules([{"match": "package", "attempts": [1, 2], "outcome": "answer"}]))
    assert world.both_ways(asked("go")) == [True]
    assert world.both_ways(asked("go")) == [False]
    unlucky = World("go", odds=Odds(errored_share=1.0))
    batch_id = unlucky.batch(asked("go"))
    unlucky.wait(DAY)
    assert unlucky.retrieve(batch_id).request_counts.errored == 1


def test_a_malformed_answer_is_billed() -> None:
    world = World("go")
    world.both_ways(asked("go"))
    assert [(row["kind"], row["output_tokens"] > 1) for row in world.simulator.bill()["requests"]] == [
        ("batch", True),
        ("synchronous", True),
    ]


def test_it_changes_while_it_runs_and_only_for_what_comes_in_afterwards() -> None:
    world = World()
    before = world.batch(asked("go"))
    answer = world.call("POST", "/simulator/settings", json={"needs_example": ["YAML", "go"], "counts": "moving"})
    assert (answer.json()["needs_example"], answer.json()["readings"]["counts"]) == (["go", "yaml"], "moving")
    after = world.batch(asked("go"))
    world.call("POST", "/simulator/settings", json={"needs_example": []})
    world.wait(DAY)
    assert (world.batch_is_well(before), world.batch_is_well(after)) == ([True], [False])
    assert world.call("GET", "/simulator/settings").json()["needs_example"] == []


@pytest.mark.parametrize("wrong", ["go", ["go", ""], [1], None, {"go": True}])
def test_a_list_that_is_wrong_is_refused_and_nothing_is_changed(wrong: object) -> None:
    world = World("go")
    answer = world.call("POST", "/simulator/settings", json={"needs_example": wrong, "counts": "moving"})
    assert answer.status_code == 400
    assert answer.json()["error"]["message"].startswith("settings.needs_example: a list of languages is expected")
    assert world.simulator.settings == Settings(needs_example=frozenset({"go"}))


def test_what_was_decided_about_a_batch_is_kept_in_a_file(tmp_path: Path) -> None:
    store = Store(tmp_path / "state")
    before = World("go", store)
    batch_id = before.batch(asked("go"), asked("go", "go"))
    before.simulator.close()
    again = World("", Store(tmp_path / "state"))
    again.wait(DAY)
    assert again.batch_is_well(batch_id) == [False, True]
    assert is_well(again.client.messages.create(**asked("go")))

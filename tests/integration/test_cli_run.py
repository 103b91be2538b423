"""`backcast run` answers a file of requests, each exactly once, whatever ends it in between."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result
from tests.support import API_KEY, RunningSimulator, api_at, clock

from backcast.cli import main
from backcast.domain.errors import InputError
from backcast.ledger.connection import sql
from backcast.local.postgres import remove_postgres
from backcast.services.deadlines import check_deadlines
from backcast.services.fault_points import FaultPoint
from backcast.services.locks import held_files
from backcast.services.reconcile import Folders, finish_run

if TYPE_CHECKING:
    from collections.abc import Callable

    from backcast.ledger.connection import Ledger

PROJECT = Path(__file__).resolve().parents[2]
MODEL = "claude-haiku-4-5"
SCHEMA = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}


def request(custom_id: str, text: str = "hello", **params: Any) -> dict[str, Any]:
    asked = {"model": MODEL, "max_tokens": 1000, "messages": [{"role": "user", "content": text}]}
    return {"custom_id": custom_id, "params": {**asked, **params}}


def write(path: Path, *requests: Any) -> Path:
    path.write_text("".join(line if isinstance(line, str) else f"{json.dumps(line)}\n" for line in requests))
    return path


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_bytes().splitlines()]


def asked(simulator: RunningSimulator) -> list[str]:
    """Return what the API was asked for."""
    return [call["path"] for call in simulator.log() if call["path"].startswith("/v1")]


@pytest.fixture
def environment(ledger: Ledger, simulator: RunningSimulator) -> dict[str, str]:
    return {
        "BACKCAST_LEDGER": ledger.dsn,
        "ANTHROPIC_BASE_URL": simulator.base_url,
        "ANTHROPIC_API_KEY": API_KEY,
        "BACKCAST_POLL_INTERVAL": "0.2",
    }


@pytest.fixture
def backcast(environment: dict[str, str]) -> Callable[..., Result]:
    return lambda *arguments: CliRunner().invoke(main, ["run", *map(str, arguments)], env=environment)


def test_each_request_is_answered_once_under_its_own_id(
    backcast: Callable[..., Result], simulator: RunningSimulator, tmp_path: Path
) -> None:
    requests = write(tmp_path / "r.jsonl", request("b"), request("a"), "\n", request("c", "else"))
    output = tmp_path / "answers.jsonl"
    done = backcast(requests, "--output", output, "--json")
    assert done.exit_code == 0, done.output
    rows = read(output)
    assert [row["custom_id"] for row in rows] == ["b", "a", "c"]
    assert all(set(row) == {"custom_id", "result"} and row["result"]["type"] == "succeeded" for row in rows)
    told = json.loads(done.stdout)
    assert (told["requests"], told["answered"], told["unanswered"], told["simulated"]) == (3, 3, 0, True)
    # What two requests ask alike is asked for each of them.
    assert len(simulator.bill()) == 3
    assert float(told["cost_usd"]) == pytest.approx(sum(charge["cost_usd"] for charge in simulator.bill()))
    assert sorted(path.name for path in tmp_path.glob("*answers*")) == ["answers.jsonl"]


def test_the_same_command_again_asks_for_nothing(
    backcast: Callable[..., Result], simulator: RunningSimulator, tmp_path: Path
) -> None:
    requests, output = write(tmp_path / "r.jsonl", request("a")), tmp_path / "a.jsonl"
    backcast(requests, "-o", output)
    answers = output.read_bytes()
    again = backcast(requests, "-o", output)
    assert (again.exit_code, again.stdout.splitlines()[0]) == (
        0,
        f"1 of 1 requests are answered by a simulator, which no model was asked for: {output}",
    )
    # Its answers are in the ledger, should somebody lose the file.
    output.unlink()
    assert backcast(requests, "-o", output).exit_code == 0
    assert output.read_bytes() == answers
    assert len(simulator.bill()) == 1


def test_what_failed_goes_again_changed_and_what_has_no_answer_is_told_beside(
    backcast: Callable[..., Result], simulator: RunningSimulator, tmp_path: Path
) -> None:
    form = {"format": {"type": "json_schema", "schema": SCHEMA}}
    requests = write(
        tmp_path / "r.jsonl",
        request("plain"),
        request("passing", "passing"),
        request("truncated", "truncated", max_tokens=100),
        request("malformed", "malformed", output_config=form),
        request("refused", "refused"),
        request("wrong", "wrong", temperature=3),
    )
    simulator.rules(
        {"match": "passing", "attempts": [1], "outcome": "errored", "error_type": "overloaded_error"},
        {"match": "truncated", "when": {"max_tokens_below": 200}, "outcome": "truncated"},
        {"match": "malformed", "outcome": "malformed"},
        # The repair shows the schema.
        {
            "match": "That answer does not fit the JSON schema: ",
            "when": {"prompt_contains": '"required":["n"]'},
            "outcome": "answer",
        },
        {"match": "That answer", "outcome": "refusal"},
        {"match": "refused", "outcome": "refusal"},
    )
    output = tmp_path / "answers.jsonl"
    done = backcast(requests, "-o", output)
    assert done.exit_code == 3, done.output
    results = {row["custom_id"]: row["result"] for row in read(output)}
    assert list(results) == ["plain", "passing", "truncated", "malformed", "refused", "wrong"]
    assert results["truncated"]["message"]["stop_reason"] == "end_turn"
    assert results["malformed"]["message"]["content"][0]["text"] == '{"n":0}'
    assert results["refused"]["message"]["stop_reason"] == "refusal"
    assert results["wrong"]["type"] == "errored"
    beside = {row["custom_id"]: row for row in read(tmp_path / "answers.unanswered.jsonl")}
    assert {custom_id: row["attempts"] for custom_id, row in beside.items()} == {"refused": 1, "wrong": 1}
    assert beside["refused"]["reason"] == "refused: stop_reason refusal"
    assert beside["refused"]["tried"] == "r1: refused"
    assert beside["wrong"]["reason"].startswith("our_fault: invalid_request_error: temperature")
    assert f"2 have no answer: {tmp_path / 'answers.unanswered.jsonl'} says why." in done.stdout
    paid = Counter(charge["document_sha256"] for charge in simulator.bill())
    # Twice for what was truncated and for what was repaired, and nothing for what was wrong.
    assert len(simulator.bill()) == 7
    assert max(paid.values()) == 2


def test_a_budget_leaves_what_it_does_not_cover(
    backcast: Callable[..., Result], simulator: RunningSimulator, tmp_path: Path
) -> None:
    requests = write(tmp_path / "r.jsonl", *(request(f"r{number}", "x" * 600) for number in range(4)))
    # 700 bytes at a third of a token and a dollar a million, 1000 tokens at five dollars, halved: about 0.0026 each.
    done = backcast(requests, "-o", tmp_path / "a.jsonl", "--max-usd", "0.0060")
    assert done.exit_code == 3
    assert [row["custom_id"] for row in read(tmp_path / "a.unanswered.jsonl")] == ["r2", "r3"]
    assert (
        "budget: the US$ 0.006 of this run does not cover this request" in (tmp_path / "a.unanswered.jsonl").read_text()
    )
    assert [row["result"]["type"] for row in read(tmp_path / "a.jsonl")] == ["succeeded"] * 2 + ["canceled"] * 2
    assert len(simulator.bill()) == 2


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (["{broken\n"], "line 1: it is not JSON"),
        ([request("a"), "[]\n"], "line 2: it is no object; write"),
        ([request("a"), request("b"), request("a")], "line 3: custom_id 'a' is line 1's already: each needs its own."),
        ([request("a b")], "line 1: custom_id is 'a b': write 1 to 64 letters, digits, hyphens and underscores."),
        ([{"custom_id": "a"}], "line 1: params is missing; write"),
        ([{**request("a"), "extra": 1}], "line 1: 'extra' is not a part of a request"),
        ([request("a", model="gpt")], "line 1: the model 'gpt' is not known here"),
        ([request("a", max_tokens=0)], "line 1: params.max_tokens is 0: write how many tokens"),
        ([request("a", messages=[])], "line 1: params.messages is no list with at least one message."),
        (
            [request("a", stream=True)],
            "line 1: params.stream cannot be used, since answers of a batch are not streamed",
        ),
        ([request("a", tools=[{"name": "look_up"}])], "line 1: the tool 'look_up' would have to be run in mid-answer"),
        (["\n"], "r.jsonl has no requests: write one a line."),
        ([], "r.jsonl has no requests: write one a line."),
    ],
)
def test_bad_input_is_told_by_line_and_nothing_is_sent(
    backcast: Callable[..., Result], simulator: RunningSimulator, tmp_path: Path, lines: list[Any], said: str
) -> None:
    done = backcast(write(tmp_path / "r.jsonl", *lines), "-o", tmp_path / "a.jsonl")
    assert done.exit_code == 2, done.output
    assert said in done.stderr
    assert [path for path in asked(simulator) if "batches" in path] == []
    assert not (tmp_path / "a.jsonl").exists()


def test_a_line_that_is_too_long_is_told_without_reading_all_of_it(
    backcast: Callable[..., Result], tmp_path: Path
) -> None:
    with (tmp_path / "r.jsonl").open("w") as file:
        file.write(json.dumps(request("a")) + "\n" + "x" * 33_000_000)
    done = backcast(tmp_path / "r.jsonl", "-o", tmp_path / "a.jsonl")
    assert (done.exit_code, "line 2: it has more than 32 MB" in done.stderr) == (2, True)


def test_a_tool_that_nobody_runs_is_an_answer_only_when_that_was_said(
    backcast: Callable[..., Result], simulator: RunningSimulator, tmp_path: Path
) -> None:
    tool = {"name": "look_up", "input_schema": {"type": "object"}}
    requests = write(tmp_path / "r.jsonl", request("a", tools=[tool]))
    simulator.rules({"outcome": "tool_use"})
    done = backcast(requests, "-o", tmp_path / "a.jsonl", "--allow-tool-stop")
    assert done.exit_code == 0, done.output
    assert read(tmp_path / "a.jsonl")[0]["result"]["message"]["stop_reason"] == "tool_use"


def test_an_output_that_exists_is_not_written_over(backcast: Callable[..., Result], tmp_path: Path) -> None:
    requests, output = write(tmp_path / "r.jsonl", request("a")), tmp_path / "a.jsonl"
    output.write_text("mine")
    done = backcast(requests, "-o", output)
    assert (done.exit_code, f"{output} exists: move it away, or name another output." in done.stderr) == (2, True)
    assert output.read_text() == "mine"


def test_a_folder_that_cannot_be_written_is_told_before_anything_is_sent(
    backcast: Callable[..., Result], simulator: RunningSimulator, tmp_path: Path
) -> None:
    requests = write(tmp_path / "r.jsonl", request("a"))
    done = backcast(requests, "-o", tmp_path / "missing" / "a.jsonl")
    assert (done.exit_code, "a.jsonl cannot be written: No such file or directory." in done.stderr) == (2, True)
    assert asked(simulator) == []


def test_another_run_of_the_same_files_is_told(backcast: Callable[..., Result], ledger: Ledger, tmp_path: Path) -> None:
    requests, output = write(tmp_path / "r.jsonl", request("a")), tmp_path / "a.jsonl"
    with ledger.connect() as connection, held_files(connection, f"{requests} into {output}"):
        done = backcast(requests, "-o", output)
    assert (done.exit_code, "Another process already runs" in done.stderr) == (2, True)
    assert backcast(requests, "-o", output).exit_code == 0


def held(backcast: Callable[..., Result], simulator: RunningSimulator, requests: Path, output: Path) -> None:
    """Begin a run that cannot go on: nobody has money."""
    simulator.faults(refuse_create={"status": 402, "type": "billing_error", "message": "no credit"}, times=1)
    done = backcast(requests, "-o", output)
    assert (done.exit_code, "no credit" in done.stderr) == (1, True)


def test_requests_that_have_changed_in_mid_run_are_refused_or_begun_anew(
    backcast: Callable[..., Result], simulator: RunningSimulator, tmp_path: Path
) -> None:
    requests, output = write(tmp_path / "r.jsonl", request("a")), tmp_path / "a.jsonl"
    held(backcast, simulator, requests, output)
    before = requests.read_text()
    write(requests, request("a", "changed"), request("b"))
    refused = backcast(requests, "-o", output)
    assert refused.exit_code == 2
    assert "The requests have changed since run 1 of them began" in refused.stderr
    assert simulator.bill() == []
    requests.write_text(before)
    assert backcast(requests, "-o", output).exit_code == 0
    output.unlink()
    write(requests, request("a", "changed"), request("b"))
    assert backcast(requests, "-o", output).exit_code == 0
    assert [row["custom_id"] for row in read(output)] == ["a", "b"]


def test_anew_cancels_what_the_earlier_run_had(
    backcast: Callable[..., Result], simulator: RunningSimulator, ledger: Ledger, tmp_path: Path
) -> None:
    requests, output = write(tmp_path / "r.jsonl", request("a")), tmp_path / "a.jsonl"
    held(backcast, simulator, requests, output)
    assert backcast(requests, "-o", output, "--anew").exit_code == 0
    with ledger.connect() as connection:
        runs = connection.execute(
            "SELECT canceled_at IS NOT NULL AS canceled, state FROM runs ORDER BY run_id"
        ).fetchall()
    assert [(row["canceled"], row["state"]) for row in runs] == [(True, "collected"), (False, "published")]


def test_a_run_whose_first_requests_are_wrong_is_held_until_somebody_says_that_it_goes_on(
    backcast: Callable[..., Result], simulator: RunningSimulator, tmp_path: Path
) -> None:
    requests = write(tmp_path / "r.jsonl", *(request(f"r{number}", f"question {number}") for number in range(100)))
    wrong = {"outcome": "invalid_request", "message": "metadata.user_id: not here"}
    simulator.rules(*({"match": f"question {number}", **wrong} for number in range(20, 40)))
    held_run = backcast(requests, "-o", tmp_path / "a.jsonl")
    assert held_run.exit_code == 1
    assert "of its first 50 requests were wrong as they are" in held_run.stderr
    assert "The same command with --resubmit does so, too." in held_run.stderr
    paid = len(simulator.bill())
    assert paid < 50
    assert backcast(requests, "-o", tmp_path / "a.jsonl").exit_code == 1
    assert len(simulator.bill()) == paid
    assert backcast(requests, "-o", tmp_path / "a.jsonl", "--resubmit").exit_code == 3
    assert len(read(tmp_path / "a.unanswered.jsonl")) == 20


def test_a_full_disk_loses_nothing(environment: dict[str, str], simulator: RunningSimulator, tmp_path: Path) -> None:
    requests, output = write(tmp_path / "r.jsonl", request("a", "x" * 3000)), tmp_path / "a.jsonl"
    command = [sys.executable, "-c", "from backcast.cli import main; main()", "run", str(requests), "-o", str(output)]

    def no_file_larger_than(size: int) -> Callable[[], None]:
        return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    done = subprocess.run(
        command,
        cwd=PROJECT,
        env={**os.environ, **environment},
        check=False,
        timeout=120,
        capture_output=True,
        preexec_fn=no_file_larger_than(500),
        text=True,
    )
    assert (done.returncode, "a.jsonl cannot be written: File too large" in done.stderr) == (2, True), done.stderr
    assert [path.name for path in tmp_path.iterdir() if "a.jsonl" in path.name] == []
    done = subprocess.run(command, cwd=PROJECT, env={**os.environ, **environment}, check=True, timeout=120)
    assert len(simulator.bill()) == len(read(output)) == 1


def test_a_dry_run_counts_tokens_and_sends_nothing(
    backcast: Callable[..., Result], simulator: RunningSimulator, tmp_path: Path
) -> None:
    requests = write(tmp_path / "r.jsonl", *(request(f"r{number}", "x" * 3000) for number in range(10)))
    told = json.loads(backcast(requests, "-o", tmp_path / "a.jsonl", "--dry-run", "--json").stdout)
    assert (told["requests"], told["counted"]) == (10, 10)
    # The simulator takes three and a half characters for a token, and we take three bytes of JSON.
    assert 8_000 < told["input_tokens"] < 9_500
    assert float(told["cost_usd"]) * 2 == float(told["synchronous_usd"]) > 0
    assert set(asked(simulator)) == {"/v1/messages/count_tokens"}
    assert simulator.bill() == []


def test_an_estimate_needs_no_key(tmp_path: Path) -> None:
    requests = write(tmp_path / "r.jsonl", *(request(f"r{number}", "x" * 3000) for number in range(10)))
    none = {"ANTHROPIC_API_KEY": "", "ANTHROPIC_AUTH_TOKEN": ""}
    done = CliRunner().invoke(main, ["run", str(requests), "-o", str(tmp_path / "a.jsonl"), "--dry-run"], env=none)
    assert (done.exit_code, ", by their length: about US$ 0." in done.stdout) == (0, True), done.output


def test_killed_at_every_point_it_goes_on_and_pays_once(
    environment: dict[str, str], start_simulator: Callable[..., RunningSimulator], tmp_path: Path
) -> None:
    # Slow enough for what is sent within its two minutes to come within them.
    simulator = start_simulator("--speed", "2000")
    environment["ANTHROPIC_BASE_URL"] = simulator.base_url
    requests = write(tmp_path / "r.jsonl", *(request(f"r{number}", f"{number} {'x' * 3000}") for number in range(60)))
    simulator.rules({"match": "7 x", "attempts": [1], "outcome": "errored", "error_type": "api_error"})
    (tmp_path / "minutes").write_text("0")
    (tmp_path / "died-at").touch()
    output = tmp_path / "a.jsonl"
    arguments = [str(tmp_path), "run", str(requests), "-o", str(output)]
    for _ in range(len(FaultPoint) + 1):
        done = subprocess.run(
            [sys.executable, "-m", "tests.integration.mortal_run", *arguments],
            cwd=PROJECT,
            env={**os.environ, **environment},
            check=False,
            timeout=120,
        )
        if done.returncode == 0:
            break
        assert done.returncode == -signal.SIGKILL
        assert not output.exists() or FaultPoint.PUBLISH_WRITTEN in (tmp_path / "died-at").read_text().split()
    assert done.returncode == 0
    deaths = set((tmp_path / "died-at").read_text().split())
    assert deaths >= {
        FaultPoint.COLLECT_BEFORE_COMMIT,
        FaultPoint.SUBMIT_INTENDED,
        FaultPoint.SUBMIT_SENDING,
        FaultPoint.SUBMIT_CREATED,
        FaultPoint.INGEST_STORED,
        FaultPoint.INGEST_JUDGED,
        FaultPoint.RESUBMIT_COMMITTED,
        FaultPoint.PUBLISH_WRITTEN,
    }
    assert [row["custom_id"] for row in read(output)] == [f"r{number}" for number in range(60)]
    assert Counter(Counter(charge["custom_id"] for charge in simulator.bill()).values()) == {1: 60}
    assert len({charge["document_sha256"] for charge in simulator.bill()}) == 60


def test_without_a_ledger_it_brings_its_own_and_leaves_nothing_running(
    environment: dict[str, str], tmp_path: Path
) -> None:
    requests, home = write(tmp_path / "r.jsonl", request("a")), tmp_path / "home"
    alone = {**environment, "BACKCAST_LEDGER": "", "BACKCAST_HOME": str(home)}
    try:
        for _ in range(2):
            done = CliRunner().invoke(main, ["run", str(requests), "-o", str(tmp_path / "a.jsonl")], env=alone)
            assert done.exit_code == 0, done.output
        commands = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
        assert str(home) not in commands
    finally:
        remove_postgres(home / "ledger")


def test_what_is_no_dag_is_not_finished_by_anybody_else(
    backcast: Callable[..., Result], ledger: Ledger, simulator: RunningSimulator, tmp_path: Path
) -> None:
    requests, output = write(tmp_path / "r.jsonl", request("a")), tmp_path / "a.jsonl"
    held(backcast, simulator, requests, output)
    api, folders = api_at(simulator.base_url), Folders(tmp_path, tmp_path)
    with pytest.raises(InputError, match="the command that began it goes on with it"):
        finish_run(ledger, api, clock, 1, folders)
    assert unfinished(ledger) == []
    assert check_deadlines(ledger, lambda: clock() + timedelta(days=29)) == []


def unfinished(ledger: Ledger) -> list[dict[str, Any]]:
    with ledger.connect() as connection:
        return connection.execute(sql("unfinished_runs")).fetchall()

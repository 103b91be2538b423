"""The task of the DAG `pre_merge_review` writes its report, and fails only where its form asks for it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from airflow.sdk.exceptions import AirflowFailException
from tests.support import API_KEY, RunningSimulator, commit, git

from backcast.orchestration import clients, review_dag

if TYPE_CHECKING:
    from collections.abc import Callable

    from backcast.ledger.connection import Ledger


@pytest.fixture
def run(
    simulator: RunningSimulator, ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., str]:
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "main")
    commit_of(folder, "x = 1\n", "first")
    git(folder, "checkout", "-q", "-b", "feature")
    commit_of(folder, "def answer(request):\n    return eval(request.args['sum'])\n", "second")
    api = {"conn_type": "anthropic", "password": API_KEY, "host": simulator.base_url}
    monkeypatch.setenv("AIRFLOW_CONN_ANTHROPIC_DEFAULT", json.dumps(api))
    monkeypatch.setenv("BACKCAST_REPORTS", str(tmp_path / "reports"))
    monkeypatch.setattr(clients, "ledger", lambda: ledger)

    def task(**params: Any) -> str:
        given = {name: param.value for name, param in review_dag.review_params().items()}
        form = {**given, "repository": str(folder), "head": "feature", **params}
        monkeypatch.setattr(review_dag, "get_current_context", lambda: {"params": form})
        done: str = review_dag.review.function()
        return done

    return task


def commit_of(folder: Path, text: str, message: str) -> None:
    (folder / "app.py").write_text(text)
    commit(folder, message)


def test_a_review_is_written_and_told_to_the_ledger(run: Callable[..., str], ledger: Ledger) -> None:
    folder = Path(run())
    assert sorted(file.name for file in folder.iterdir()) == ["review.json", "review.md", "review.sarif"]
    [finding] = json.loads((folder / "review.json").read_bytes())["findings"]
    assert (finding["category"], finding["line_start"]) == ("security", 2)
    with ledger.connect() as connection:
        states = connection.execute("SELECT kind, state FROM runs").fetchall()
    assert states == [{"kind": "review", "state": "reviewed"}]


def test_it_fails_for_what_it_finds_or_cannot_answer_only_when_it_is_asked_to(
    run: Callable[..., str], simulator: RunningSimulator
) -> None:
    with pytest.raises(AirflowFailException, match=r"at or above high, first app\.py:2"):
        run(fail_on="high")
    run(fail_on="critical")
    simulator.rules({"outcome": "malformed", "text": "Fine!"})
    with pytest.raises(AirflowFailException, match=r"1 not answered, first app\.py: malformed"):
        run(fail_on="critical")
    run()

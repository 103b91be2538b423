"""A run keeps the prompt version that it was told, with its schema and its examples."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
import pytest
from tests.stepped_night import SteppedNight
from tests.support import WORKFLOW

from backcast.ledger.runs import load_run, prompt_of_row
from backcast.services.collect import collect
from backcast.services.open_run import open_run
from backcast.services.rounds import plan_round
from backcast.services.submit import requests_of, unsent
from backcast.settings import load_prompt, run_settings

if TYPE_CHECKING:
    from backcast.ledger.connection import Ledger

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture
def workflows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "workflows"
    shutil.copytree(PROJECT / "include" / "workflows" / WORKFLOW, folder / WORKFLOW)
    monkeypatch.setenv("BACKCAST_WORKFLOWS", str(folder))
    return folder


@pytest.fixture
def night(ledger: Ledger, tmp_path: Path) -> SteppedNight:
    return SteppedNight(ledger, tmp_path, 2)


def test_a_run_is_told_another_version_and_keeps_it_when_its_files_change(night: SteppedNight, workflows: Path) -> None:
    prompts = workflows / WORKFLOW / "prompts"
    shutil.copytree(workflows / WORKFLOW / "examples", prompts / "v2.examples")
    shutil.rmtree(prompts / "v2.examples" / "javascript")
    (prompts / "v2.md.j2").write_text("For example:\n{{ examples[0].shown }}\n{{ examples[0].answer }}\n{{ schema }}\n")
    run_id = night.collected(prompt="v2")
    [batch_id] = plan_round(night.ledger, night.now, run_id, 1)
    version = load_prompt(WORKFLOW, "v2")
    (prompts / "v2.md.j2").write_text("Changed.")
    with night.ledger.connect() as connection, connection.transaction():
        run = load_run(connection, run_id)
        batch = unsent(connection, batch_id) or {}
        sent = [orjson.loads(params)["system"][0]["text"] for _, params in requests_of(connection, batch)]
    row = night.row("prompt_versions", prompt_hash=version.prompt_hash)
    assert prompt_of_row(row) == prompt_of_row(run) == prompt_of_row(batch) == version
    assert [text.startswith("For example:\n<document-") for text in sent] == [True, True]
    assert json.loads(version.examples[0].answer)["findings"][0]["title"] in sent[0]


@pytest.mark.parametrize("version", ["v1", "v9"])
def test_a_version_with_several_examples_comes_back_from_the_ledger_with_its_hash(
    night: SteppedNight, workflows: Path, version: str
) -> None:
    """JSON in the ledger does not keep the order of the examples, which the hash depends on."""
    examples = workflows / WORKFLOW / "examples"
    (workflows / WORKFLOW / "prompts" / "v9.md.j2").write_text("{{ schema }}")
    if version == "v9":
        # Shorter names come first there, whatever the alphabet says.
        shutil.copytree(examples / "python", examples / "z")
    night.collected(prompt=version)
    prompt = load_prompt(WORKFLOW, version)
    assert prompt_of_row(night.row("prompt_versions", prompt_hash=prompt.prompt_hash)) == prompt


def test_a_workflow_may_have_the_prompt_of_another(night: SteppedNight, workflows: Path) -> None:
    """Whoever begins with a copy of a workflow has it, and what both send is the same."""
    shutil.copytree(workflows / WORKFLOW, workflows / "copied")
    file = workflows / "copied" / "workflow.yaml"
    file.write_text(file.read_text().replace(f"name: {WORKFLOW}", "name: copied"))
    night.collected()
    settings = run_settings("copied", {"repository": str(night.repository), "full": True})
    run_id = open_run(night.ledger, night.api, night.now, settings, external_key="copied/1")
    with night.ledger.connect() as connection:
        connection.execute("UPDATE requests SET claims = false")
    collect(night.ledger, night.now, run_id, cache=night.folder)
    [batch_id] = plan_round(night.ledger, night.now, run_id, 1)
    night.submit(batch_id)
    assert night.row("batches", batch_id=batch_id)["state"] == "submitted"

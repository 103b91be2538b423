"""The active version of a workflow's prompt: what its files declare, or what somebody promoted since."""

from __future__ import annotations

import json
import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result
from tests.stepped_night import SteppedNight
from tests.support import WORKFLOW

from backcast.cli import main
from backcast.domain.errors import InputError
from backcast.services.collect import collect
from backcast.services.first_pass import first_pass
from backcast.services.open_run import open_run
from backcast.services.reconcile import Folders
from backcast.services.refine import Refinement, refine
from backcast.services.versions import DECLARED_BY, declared_prompt, history, known_versions, promote
from backcast.settings import load_prompt, run_settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from backcast.ledger.connection import Ledger
    from backcast.services.versions import Promotion

PROJECT = Path(__file__).resolve().parents[2]


@pytest.fixture
def prompts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of a workflow's prompts, of the versions v1, which is declared, and v2."""
    workflows = tmp_path / "workflows"
    shutil.copytree(PROJECT / "include" / "workflows", workflows)
    monkeypatch.setenv("BACKCAST_WORKFLOWS", str(workflows))
    folder = workflows / WORKFLOW / "prompts"
    (folder / "v2.md.j2").write_text(f"{(folder / 'v1.md.j2').read_text()}\nBe brief.\n")
    return folder


@pytest.fixture
def night(ledger: Ledger, tmp_path: Path, prompts: Path) -> SteppedNight:
    del prompts
    return SteppedNight(ledger, tmp_path)


def opened(night: SteppedNight, key: str, **params: Any) -> str:
    """Return the hash of the prompt that a new run uses."""
    settings = run_settings(WORKFLOW, {"repository": str(night.repository), **params})
    run_id = open_run(night.ledger, night.api, night.now, settings, external_key=key)
    return str(night.row("runs", run_id=run_id)["prompt_hash"])


def promoted(night: SteppedNight, version: str, **more: Any) -> Promotion:
    given = {"by": "ada", "why": "better", "declared": declared_prompt(WORKFLOW), **more}
    return promote(night.ledger, night.now, WORKFLOW, version, **given)


def hash_of(version: str) -> str:
    return load_prompt(WORKFLOW, version).prompt_hash


def test_a_promotion_holds_until_the_files_declare_something_else(night: SteppedNight, prompts: Path) -> None:
    first = hash_of("v1")
    assert opened(night, "a") == first
    promoted(night, "v2", scores={"accepted": 9, "documents": 10})
    assert opened(night, "b") == hash_of("v2")
    # A deployment that changes what nobody declares undoes nothing.
    (prompts / "v3.md.j2").write_text("Other. {{ schema }}")
    assert opened(night, "c") == hash_of("v2")
    (prompts / "v1.md.j2").write_text(f"{(prompts / 'v1.md.j2').read_text()}\nBe kind.\n")
    changed = hash_of("v1")
    assert opened(night, "d") == changed != first
    promotions = history(night.ledger, WORKFLOW)
    assert [(one.version, one.promoted_by) for one in promotions] == [
        ("v1", DECLARED_BY),
        ("v2", "ada"),
        ("v1", DECLARED_BY),
    ]
    assert [one.declared_hash for one in promotions] == [changed, first, first]
    assert promotions[1].scores == {"accepted": 9, "documents": 10}
    assert opened(night, "d") == changed
    assert len(history(night.ledger, WORKFLOW)) == 3


def test_a_refinement_from_files_that_are_being_edited_undoes_no_promotion(night: SteppedNight, prompts: Path) -> None:
    promoted(night, "v2")
    whole = (prompts / "v1.md.j2").read_text()
    (prompts / "v1.md.j2").write_text(f"{whole}\nBe kind.\n")
    ask = Refinement(workflow=WORKFLOW, repository=str(night.repository), documents=1, iterations=0)
    folders = Folders(night.folder / "cache", night.folder / "reports", night.pause)
    refined = refine(night.ledger, night.api, night.now, ask, folders).refined
    assert refined.active == hash_of("v1")
    (prompts / "v1.md.j2").write_text(whole)
    assert opened(night, "a") == hash_of("v2")
    assert [one.promoted_by for one in history(night.ledger, WORKFLOW)] == ["ada"]


def test_a_run_that_is_told_a_version_uses_it_and_makes_nothing_active(night: SteppedNight) -> None:
    assert opened(night, "a", prompt="v2") == hash_of("v2")
    assert history(night.ledger, WORKFLOW) == []


def test_a_version_of_which_the_files_are_gone_is_active_whole(night: SteppedNight, prompts: Path) -> None:
    promoted(night, "v2")
    whole = load_prompt(WORKFLOW, "v2")
    (prompts / "v2.md.j2").unlink()
    assert opened(night, "a") == whole.prompt_hash
    run = night.through(night.collected("b"))
    assert (run["prompt_hash"], run["answered"]) == (whole.prompt_hash, 3)
    assert promoted(night, whole.prompt_hash[:8], why="once more").prompt_hash == whole.prompt_hash


def test_a_repeated_promotion_adds_nothing_and_a_new_one_a_row(night: SteppedNight) -> None:
    assert promoted(night, "v2") == promoted(night, "v2")
    promoted(night, "v2", by="grace")
    assert [one.promoted_by for one in history(night.ledger, WORKFLOW)] == ["grace", "ada"]


def test_promotions_and_runs_at_once_lose_nothing_and_wait_for_nothing_for_ever(night: SteppedNight) -> None:
    other = replace(load_prompt(WORKFLOW, "v2"), version="v9", system_template="Other. {{ schema }}")
    known = {hash_of("v1"), hash_of("v2"), other.prompt_hash}
    promote(night.ledger, night.now, WORKFLOW, other, by="x", why="y", declared=declared_prompt(WORKFLOW))

    def work(number: int) -> str:
        if number % 2:
            return opened(night, f"dag/{number}")
        return promoted(night, ("v1", "v2", "v9")[number % 3], why=str(number)).prompt_hash

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(work, range(24), timeout=60)) <= known
    assert sorted(one.why for one in history(night.ledger, WORKFLOW)) == sorted([
        "y",
        *(str(number) for number in range(0, 24, 2)),
    ])  # fmt: skip


def test_a_version_that_nobody_knows_is_refused_with_those_there_are(night: SteppedNight) -> None:
    with pytest.raises(InputError, match=r"has no prompt version 'v7'\. It has v1, v2; `backcast prompts "):
        promoted(night, "v7")
    with pytest.raises(InputError, match="say both"):
        promoted(night, "v2", why=" ")
    assert history(night.ledger, WORKFLOW) == []


@pytest.fixture
def backcast(ledger: Ledger) -> Callable[..., Result]:
    return lambda *arguments: CliRunner().invoke(main, list(arguments), env={"BACKCAST_LEDGER": ledger.dsn})


def test_versions_and_their_history_are_shown_and_promoted_by_hand(
    night: SteppedNight, prompts: Path, backcast: Callable[..., Result]
) -> None:
    opened(night, "a")
    done = backcast("promote", WORKFLOW, "v2", "--why", "says less", "--by", "ada")
    assert (done.exit_code, done.stdout.splitlines()) == (
        0,
        [
            f"v2 ({hash_of('v2')[:12]}) is the active prompt of {WORKFLOW}, by ada: says less",
            "The files declare v1: as soon as what they declare changes, that becomes active.",
        ],
    )
    told = json.loads(backcast("prompts", WORKFLOW, "--json").stdout)
    assert (told["active"]["version"], told["active"]["prompt_hash"]) == ("v2", hash_of("v2"))
    assert [(one["version"], one["in_files"], one["active"]) for one in told["versions"]] == [
        ("v1", True, False),
        ("v2", True, True),
    ]
    assert [(one["version"], one["why"]) for one in told["history"]] == [
        ("v2", "says less"),
        ("v1", "the files of the workflow declare it"),
    ]
    (prompts / "v2.md.j2").unlink()
    shown = backcast("prompts", WORKFLOW).stdout
    assert hash_of("v1")[:12] in shown
    assert "says less" in shown
    gone = known_versions(night.ledger, WORKFLOW, declared_prompt(WORKFLOW))[-1]
    assert (gone.version, gone.in_files, gone.active) == ("v2", False, True)
    refused = backcast("promote", WORKFLOW, "v7", "--why", "x")
    assert (refused.exit_code, "It has v1, v2;" in refused.stderr) == (2, True)
    assert backcast("prompts", "no_such").exit_code == 2


def test_two_workflows_may_have_the_same_text_of_a_prompt(night: SteppedNight, prompts: Path) -> None:
    shutil.copytree(prompts.parent, prompts.parents[1] / "other")
    file = prompts.parents[1] / "other" / "workflow.yaml"
    file.write_text(file.read_text().replace(f"name: {WORKFLOW}", "name: other"))
    night.through(night.collected())
    settings = run_settings("other", {"repository": str(night._own_repository("dag/2"))})
    run_id = open_run(night.ledger, night.api, night.now, settings, external_key="dag/2")
    collect(night.ledger, night.now, run_id, cache=night.folder)
    night.through(run_id)
    rates = first_pass(night.ledger, night.now, timedelta(days=7))
    assert [(row.workflow, row.requests) for row in rates] == [(WORKFLOW, 3), ("other", 3)]

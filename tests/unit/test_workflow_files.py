"""Each mistake that a workflow file can hold is said with its file, its line and what to write instead."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from click.testing import CliRunner
from tests.support import git

from backcast.cli import main
from backcast.domain.errors import InputError
from backcast.settings import load_workflow, run_settings, workflow_notes, workflows_folder
from backcast.workflow_files import workflow_schema

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

WORKFLOW = "nightly_tech_debt"
# Line 1 on purpose: a line is counted from there.
GOOD = """\
name: mine
description: Reviews something.
sla: 30h
due: Mon-Fri 08:00 Europe/Berlin
model: claude-haiku-4-5
max_tokens: 2048
prompt: v1
source:
  kind: git
"""


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    """Write the file of a workflow `mine`, beside one that is shipped."""
    shutil.copytree(workflows_folder(), tmp_path / "workflows")
    shutil.copytree(workflows_folder() / WORKFLOW, tmp_path / "workflows" / "mine")
    git(tmp_path, "init", "-q")
    monkeypatch.setenv("BACKCAST_WORKFLOWS", str(tmp_path / "workflows"))

    def file(text: str) -> Path:
        path = tmp_path / "workflows" / "mine" / "workflow.yaml"
        path.write_text(text)
        return path

    return file


MISTAKES: list[tuple[str, str, int, str]] = [
    # What is written in place of what, the line that is named, and what is said.
    ("sla: 30h", "slaa: 30h", 3, "'slaa' is no key here. Did you mean 'sla'?"),
    (
        "sla: 30h",
        "sla: 30h\ncolour: red",
        4,
        "'colour' is no key here. Write one of blocking, budget, checks, client_tools, ",
    ),
    ("  kind: git", "  kind: git\n  reff: main", 10, "source: 'reff' is no key here. Did you mean 'ref'?"),
    ("sla: 30h\n", "", 1, "'sla' is a required property. How long a run may take, as elapsed time: 30h"),
    ("sla: 30h", "sla: 30h\nsla: 40h", 4, "sla: it stands twice. Keep one of both."),
    ("name: mine", "name: yours", 1, "name: its folder is called 'mine'. Write that, or rename the folder."),
    ("sla: 30h", "sla: 30", 3, "sla: 30 is not of type 'string'. How long a run may take"),
    ("sla: 30h", "sla: soon", 3, "sla: 'soon' is not of the form that is read here. How long a run may take"),
    ("sla: 30h", "sla: 0h", 3, "sla: '0h' is no time at all: write it like 30h, 45m, 2d or 1h30m."),
    ("sla: 30h", "sla: 29d", 3, "sla: An SLA of 696 h is longer than results are kept: write at most 672h."),
    ("sla: 30h", "sla: 30h\nevery: 0m", 4, "every: '0m' is no time at all"),
    ("08:00 Europe/Berlin", "8 o'clock", 4, "says no due time: write it like '08:00 Europe/Berlin'"),
    ("Europe/Berlin", "Europe/Bielefeld", 4, "due: 'Europe/Bielefeld' is no time zone: write one like Europe/Berlin"),
    ("Mon-Fri", "Mon-Tag", 4, "due: 'Mon-Tag' is no weekday: write Mon, Tue"),
    ("08:00", "25:00", 4, "due: '25:00' is no time of day: write it like 08:00"),
    ("claude-haiku-4-5", "claude-haiku-45", 5, "model: 'claude-haiku-45' is not known here. Did you mean 'claude-haik"),
    ("max_tokens: 2048", "max_tokens: 0", 6, "max_tokens: 0 is less than the minimum of 1. The most tokens"),
    (
        "max_tokens: 2048",
        "max_tokens: 9000000",
        6,
        "max_tokens: an answer of claude-haiku-4-5 has at most 64000 tokens.",
    ),
    ("kind: git", "kind: svn", 9, "source.kind: 'svn' is not one of ['git', 'diff', 'folder', "),
    ("kind: git", "kind: git\n  path: inbox", 10, "source.path: it is of folder and object_store. Leave it out"),
    ("kind: git", "kind: folder", 9, "source.kind: nobody says which folder it is. Name it in source.path."),
    ("kind: git", "kind: folder\n  path: in\n  ref: main", 11, "source.ref: it is of git, and the kind is folder."),
    (
        "kind: git",
        "kind: folder\n  path: in\n  untested_only: true",
        11,
        "source.untested_only: it is of git, and the kind",
    ),
    ("sla: 30h", "sla: 30h\nchecks: {sandbox: none}", 4, "checks.sandbox: 'none' is not one of ['full', 'limits']"),
    ("kind: git", "kind: folder\n  path: s3://a/b", 10, "'s3://a/b' is no folder. Write `kind: object_store`"),
    ("kind: git", "kind: object_store\n  path: in", 10, "'in' is no URL of an object store. Write `kind: folder`"),
    (
        "sla: 30h",
        "sla: 30h\nblocking: perhaps",
        4,
        "blocking: 'perhaps' is not of type 'boolean'. true: somebody waits",
    ),
    ("sla: 30h", "sla: 30h\npriority: -1", 4, "priority: -1 is less than the minimum of 0."),
    ("sla: 30h", "sla: 30h\nconsumers: us", 4, "consumers: 'us' is not of type 'array'. Who uses what it brings"),
    ("sla: 30h", "sla: 30h\nbudget: {run: 5, retries: 6}", 4, "budget.retries: it is a part of budget.run, 5."),
    ("sla: 30h", "sla: 30h\nreport: {beside: nightly_tech_dept}", 4, "report.beside: 'nightly_tech_dept' is no other"),
    ("sla: 30h", "sla: 5m\nblocking: true", 5, "due: blocking says that somebody waits for the answer, and a batch"),
    ("sla: 30h", "sla: 30h\nslots: 1\nclient_tools: [read_file]", 4, "slots: client_tools says that somebody must run"),
    ("due: Mon-Fri 08:00 Europe/Berlin", "slots: 2", 4, "slots: it counts the submissions before each due time"),
    ("sla: 30h", "sla: 30h\nclient_tools: [a]\nserver_tools: [a]", 4, "client_tools: 'a' is among server_tools, too."),
    (
        "due: Mon-Fri 08:00 Europe/Berlin",
        "every: 4h\nopportunistic: true",
        5,
        "opportunistic: what arrives between two",
    ),
    ("name: mine", "- mine", 1, "is not YAML"),
]


@pytest.mark.parametrize(("right", "wrong", "line", "said"), MISTAKES)
def test_each_mistake_is_said_with_its_line_and_what_to_write(
    write: Callable[[str], Path], right: str, wrong: str, line: int, said: str
) -> None:
    assert right in GOOD
    file = write(GOOD.replace(right, wrong, 1))
    with pytest.raises(InputError) as raised:
        run_settings("mine", {})
    message = str(raised.value)
    assert said in message
    assert f"{file}:{line}: " in message or "is not YAML" in said


def test_a_good_file_is_taken_with_what_it_leaves_out(write: Callable[[str], Path]) -> None:
    write(GOOD)
    settings = run_settings("mine", {})
    assert (settings.ref, settings.selection.max_document_bytes) == ("HEAD", 200_000)
    write(GOOD.replace("kind: git", "kind: diff").replace("due: Mon-Fri 08:00 Europe/Berlin", "blocking: true"))
    assert load_workflow("mine")["source"] == {"kind": "diff"}


def test_all_mistakes_of_a_file_are_said_at_once_in_the_order_of_its_lines(write: Callable[[str], Path]) -> None:
    file = write(GOOD.replace("sla: 30h", "sla: 0h").replace("Mon-Fri", "Montag").replace("haiku", "haiko"))
    with pytest.raises(InputError) as raised:
        load_workflow("mine")
    said = str(raised.value).splitlines()
    assert [line.removeprefix(f"{file}:").split(":")[0] for line in said[1:]] == ["3", "4", "5"]


def test_what_is_read_no_more_is_still_taken_and_named_by_the_check(write: Callable[[str], Path]) -> None:
    file = write(GOOD + "rounds: 2\n")
    [note] = workflow_notes("mine")
    assert note.startswith(f"{file}:10: rounds: Not read: a run always has two rounds")
    done = CliRunner().invoke(main, ["check"])
    assert (done.exit_code, note in done.stderr) == (0, True)


def test_every_key_of_the_schema_has_a_description_for_the_editor() -> None:
    schema = workflow_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["$id"]
    keys = list(_keys(schema))
    assert len(keys) > 30
    assert [name for name, about in keys if not about.get("description")] == []


def _keys(schema: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for name, about in schema.get("properties", {}).items():
        yield name, about
        yield from _keys(about)
        if "items" in about:
            yield f"{name}[]", about["items"]


def test_each_shipped_file_leads_an_editor_to_the_schema() -> None:
    folder = Path(__file__).resolve().parents[2] / "include" / "workflows"
    files = sorted(folder.glob("*/workflow.yaml"))
    assert len(files) >= 2
    for file in files:
        first = file.read_text().splitlines()[0]
        named = file.parent / first.removeprefix("# yaml-language-server: $schema=")
        assert json.loads(named.read_text()) == workflow_schema(), file

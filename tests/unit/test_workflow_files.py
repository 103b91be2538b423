"""Each mistake that a workflow file can hold is said with its file, its line and what to write instead."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
import yaml
from click.testing import CliRunner
from tests.support import git

from backcast.cli import main
from backcast.domain.errors import InputError
from backcast.settings import load_workflow, run_settings, workflow_notes, workflows_folder
from backcast.workflow_files import workflow_schema
from backcast.yaml_errors import key_lines

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
        path.write_bytes(text.encode(errors="surrogateescape"))
        return path

    return file


MISTAKES: list[tuple[str, str, int, str]] = [
    # What is written in place of what, the line that is named, and what is said.
    ("sla: 30h", "slaa: 30h", 3, "'slaa' is no key here. Did you mean 'sla'?"),
    ("sla: 30h", "sla: 30h\ncolour: red", 4, "'colour' is no key here. Write one of blocking, budget, check, "),
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
    ("sla: 30h", "sla: 30h\ncheck: {topp: 3}", 4, "check: 'topp' is no key here. Did you mean 'top'?"),
    ("sla: 30h", "sla: 30h\ncheck: {max_turns: 1}", 4, "check.max_turns: 1 is less than the minimum of 2. How many"),
    (
        "sla: 30h",
        "sla: 30h\ncheck:\n  client_tools: [read_files]",
        5,
        "check.client_tools[0]: 'read_files' is not one of ['read_file', 'search', 'list_versions']",
    ),
    (
        "sla: 30h",
        "sla: 30h\nclient_tools: [search]\ncheck: {top: 3}",
        5,
        "check: it is a step after batches, and by client_tools all of this workflow is asked synchronously. Leave out",
    ),
    ("kind: git", "kind: folder\n  path: in\ncheck: {}", 11, "check: findings are checked at a commit, and the kind"),
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
    ("sla: 30h", "sla: 30h\ntests: {sandbox: none}", 4, "tests.sandbox: 'none' is not one of ['full', 'limits']"),
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
    ("name: mine", "- mine", 2, "it is not YAML: expected <block end>, but found '?'"),
    ("  kind: git", "\tkind: git", 9, "cannot start any token. Indent with blanks, not with tabs."),
    ("Reviews something.", "Reviews: something.", 2, 'Put a text that holds ": " into quotes'),
    (
        "sla: 30h",
        "sla: [30h",
        4,
        "expected ',' or ']', but got ':' (it began while parsing a flow sequence in line 3). Clo",
    ),
    (
        "sla: 30h",
        "sla: '30h",
        10,
        "found unexpected end of stream (it began while scanning a quoted scalar in line 3). Clo",
    ),
    ("sla: 30h", "sla: *a", 3, "found undefined alias 'a'. Put a text that begins with * into quotes."),
    ("sla: 30h", "sla: !!python/name:os.system", 3, "Leave out the tag that begins with !."),
    (
        "sla: 30h",
        "sla: 30h\n? [a]\n: b",
        4,
        "found unhashable key (it began while constructing a mapping in line 1). Write",
    ),
    ("  kind: git", "  kind: git\n---\na: 1", 10, "Leave out what follows the line ---."),
    ("something", "some\0thing", 2, "it holds the character #x0000. Take it out."),
    ("something", "some\udcfcthing", 2, "it is not UTF-8: invalid start byte. Save the file as UTF-8."),
    (GOOD, "", 1, "None is not of type 'object'. What a workflow is"),
    (GOOD, "mine\n", 1, "'mine' is not of type 'object'. What a workflow is"),
    ("  kind: git", "  kind: git\n  kind: git", 10, "source.kind: it stands twice. Keep one of both."),
    ("source:\n  kind: git", "source: git", 8, "Write its keys below it, indented: exclude, include, kind, "),
    ("source:\n  kind: git", "source:", 8, "source: None is not of type 'object'."),
    ("  kind: git", "  ref: main", 9, "source: 'kind' is a required property. git: every file of a commit;"),
    ("kind: git", "kind: folde", 9, "that lie there. Did you mean 'folder'?"),
    (
        "kind: git",
        "kind: diff",
        9,
        "source.kind: a diff is reviewed while somebody waits. Write `blocking: true`, or `kind",
    ),
    ("kind: git", "kind: git\n  ref: ''", 10, "source.ref: '' should be non-empty. A branch, tag or commit"),
    (
        "kind: git",
        "kind: git\n  include: ['*.py', '!']",
        10,
        "source.include: '!' is no pattern: write one as in a .gitig",
    ),
    ("kind: git", "kind: git\n  exclude: ['!']", 10, "source.exclude: '!' is no pattern"),
    ("sla: 30h", "sla: 30h\nrescue: {first: ['!']}", 4, "rescue.first: '!' is no pattern"),
    (
        "kind: git",
        "kind: object_store\n  path: s3://k:s@b",
        10,
        "source.path: The URL of s3://b holds credentials or opti",
    ),
    (
        "kind: git",
        "kind: object_store\n  path: http://b",
        10,
        "source.path: 'http://b' is no object store that is read",
    ),
    (
        "kind: git",
        "kind: object_store\n  path: s3:///a",
        10,
        "source.path: 's3:///a' names no bucket: write it like s3://",
    ),
    ("kind: git", "kind: git\n  max_documents: 0", 10, "source.max_documents: 0 is less than the minimum of 1."),
    ("kind: git", "kind: git\n  max_pdf_pages: 9", 10, "source.max_pdf_pages: it is of folder and object_store."),
    ("sla: 30h", "sla: 30h\nrescue: {when_unresolved: pay}", 4, "maybe paying twice. Write one of leave, pay_again."),
    ("sla: 30h", "sla: 30h\nreport: {first: best}", 4, "or the worst. Write one of pays_off, worst."),
    ("sla: 30h", "sla: 30h\nbudget: {run: -5}", 4, "budget.run: -5 is less than the minimum of 0. On one run"),
    (
        "sla: 30h",
        "sla: 30h\nbudget: {run: .nan}",
        4,
        "budget.run: nan is no number that can be counted with. Write one",
    ),
    ("sla: 30h", "sla: 30h\nbudget:\n  month: .inf", 5, "budget.month: inf is no number that can be counted with."),
    ("sla: 30h", "sla: 30h\nbudget: {run: 5 USD}", 4, "answers together. Write a number."),
    ("sla: 30h", "sla: 30h\nsample: {documents: 4}", 4, "sample.documents: 4 is less than the minimum of 5."),
    ("sla: 30h", "sla: 30h\nsample: {threshold: 90}", 4, "sample.threshold: 90 is greater than the maximum of 1."),
    (
        "sla: 30h",
        "sla: 30h\nrescue: {requests_per_minute: 0}",
        4,
        "rescue.requests_per_minute: 0 is less than or equal",
    ),
    ("sla: 30h", "sla: 30h\npriority: 5000", 4, "priority: 5000 is greater than the maximum of 1000."),
    ("sla: 30h", "sla: 30h\nslots: 0", 4, "slots: 0 is less than the minimum of 1. At most so many submissions"),
    ("sla: 30h", "sla: 99999999999999d", 3, "sla: '99999999999999d' is too long a time: write it like 30h"),
    (
        "due: Mon-Fri 08:00 Europe/Berlin",
        "every: soon",
        4,
        "every: 'soon' is not of the form that is read here. How far",
    ),
    ("Europe/Berlin", "Europe/Berln", 4, "write one like Europe/Berlin or UTC. Did you mean 'Europe/Berlin'?"),
    ("Europe/Berlin", "../../etc/passwd", 4, "due: '../../etc/passwd' is no time zone"),
    ("Mon-Fri 08:00 Europe/Berlin", "800", 4, "due: 800 is not of type 'string'. When a report is due"),
    ("due: Mon-Fri 08:00 Europe/Berlin", "every: 4h\nblocking: true", 4, "every: blocking says that somebody waits"),
    (
        "due: Mon-Fri 08:00 Europe/Berlin",
        "every: 4h\nclient_tools: [a]",
        4,
        "every: client_tools says that somebody must",
    ),
    (
        "sla: 30h",
        "sla: 30h\nopportunistic: true\nclient_tools: [a]",
        4,
        "opportunistic: client_tools says that somebody",
    ),
    ("sla: 30h", "sla: 30h\nclient_tools: [a, a]", 4, "client_tools: ['a', 'a'] has non-unique elements. Names of"),
    ("sla: 30h", "sla: 30h\nserver_tools: ['']", 4, "server_tools[0]: '' should be non-empty. The name of one tool"),
    ("name: mine", "name: Mine!", 1, "small letters, digits and _, a letter first."),
    ("Reviews something.", "''", 2, "description: '' should be non-empty. What it is for, in a sentence."),
    ("prompt: v1", "prompt: v9", 7, "mine/prompts has no v9.md.j2. Its versions are v1."),
    ("prompt: v1", "prompt: ../v1", 7, "mine/prompts has no ../v1.md.j2. Its versions are v1."),
    ("prompt: v1", "prompt: ''", 7, "prompt: '' should be non-empty."),
    *((f"{line}\n", "", 1, f"'{line.partition(':')[0]}' is a required property.") for line in GOOD.splitlines()[4:7]),
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
    assert f"{file}:{line}: " in message


WRONG = {"string": 5, "integer": "five", "number": "five", "boolean": "perhaps", "array": "one", "object": "one"}


def _types(schema: dict[str, Any], before: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], str]]:
    for name, about in schema["properties"].items():
        yield (*before, name), about.get("type", "enum")
        if "properties" in about:
            yield from _types(about, (*before, name))


@pytest.mark.parametrize(("path", "kind"), list(_types(workflow_schema())), ids=lambda given: "".join(given[-1:]))
def test_each_key_says_what_is_to_be_written_when_it_is_given_something_else(
    write: Callable[[str], Path], path: tuple[str, ...], kind: str
) -> None:
    declared = yaml.safe_load(GOOD)
    block = declared
    for step in path[:-1]:
        block = block.setdefault(step, {})
    block[path[-1]] = WRONG.get(kind, 5)
    text = yaml.safe_dump(declared, sort_keys=False)
    file = write(text)
    with pytest.raises(InputError) as raised:
        run_settings("mine", {})
    line = key_lines(text)[".".join(path)]
    [said] = [one for one in str(raised.value).splitlines() if one.startswith(f"{file}:")]
    assert said.startswith(f"{file}:{line}: {'.'.join(path)}: ")
    about = workflow_schema()
    for step in path:
        about = about["properties"][step]
    assert about["description"] in said
    assert re.search(r"(?:Write|Did you mean) .+\W$", said)


@pytest.mark.parametrize("schema", [{"type": "object", "properties": {"findings": {}}}, True])
def test_a_schema_that_the_api_cannot_be_told_is_named_by_the_check_with_its_file(
    write: Callable[[str], Path], schema: object
) -> None:
    file = write(GOOD)
    (file.parent / "schema.json").write_text(json.dumps(schema))
    for folder in ("examples", "sample"):
        shutil.rmtree(file.parent / folder, ignore_errors=True)
    note = f"{file.parent}/schema.json: the API cannot be told this schema, so that only the prompt asks for it. Give"
    done = CliRunner().invoke(main, ["check"])
    assert (done.exit_code, done.stderr.count(note)) == (0, 1)
    write(f"{GOOD}structured_outputs: false\n")
    assert "cannot be told" not in CliRunner().invoke(main, ["check"]).stderr
    (file.parent / "schema.json").unlink()
    with pytest.raises(InputError, match=rf"{file}:7: prompt: .*{file.parent}/schema\.json"):
        run_settings("mine", {})


def test_an_sla_that_cannot_hold_is_refused_by_the_check_with_its_line(write: Callable[[str], Path]) -> None:
    file = write(GOOD.replace("sla: 30h", "sla: 20h"))
    done = CliRunner().invoke(main, ["check"])
    assert done.exit_code == 1
    assert f"mine: {file}:3: sla: " in done.stderr
    assert "opportunistic: true" in done.stderr


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

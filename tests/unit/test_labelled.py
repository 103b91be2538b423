"""Labelled documents are read from a workflow's folder, and each mistake in them is said with its line."""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from backcast.cli import main
from backcast.domain.errors import InputError
from backcast.domain.findings import categories_of
from backcast.domain.golden import Expectation, compare, total
from backcast.labelled import load_labelled
from backcast.settings import workflows_folder
from backcast_simulator.analyst import analyse
from backcast_simulator.answer_shape import AnswerShape

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

WORKFLOW = "nightly_tech_debt"
DOCUMENT = "import os\n\n\ndef run():\n    return eval(os.environ['CODE'])\n"
LABELS = """\
path: tools/run.py
about: Runs what the environment says.
must:
  - {lines: [4, 5], categories: [security], about: it runs anything}
may:
  - {categories: [documentation, testing]}
must_not:
  - {lines: [1, 1], about: the import is used}
"""


@pytest.fixture
def case(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str, str | None], Path]:
    """Write a labelled document into a copy of the workflow that has no other; without labels if they are None."""
    folder = tmp_path / "workflows"
    shutil.copytree(workflows_folder() / WORKFLOW, folder / WORKFLOW, ignore=shutil.ignore_patterns("sample"))
    (tmp_path / ".git").mkdir()
    monkeypatch.setenv("BACKCAST_WORKFLOWS", str(folder))

    def write(name: str, document: str, labels: str | None) -> Path:
        written = folder / WORKFLOW / "sample" / name
        written.mkdir(parents=True)
        (written / "document.txt").write_bytes(document.encode())
        if labels is not None:
            (written / "expected.yaml").write_text(labels, encoding="utf-8")
        return written

    return write


def said_of(file: Path) -> list[tuple[int, str]]:
    """What the error says of a file, line by line, with the line that it names."""
    with pytest.raises(InputError) as raised:
        load_labelled(WORKFLOW)
    lines = str(raised.value).splitlines()
    assert lines[0] == f"The labelled documents of {WORKFLOW} cannot be used:"
    prefix = f"{file}:"
    told = [line.removeprefix(prefix).split(": ", 1) for line in lines[1:] if line.startswith(prefix)]
    return [(int(number), message) for number, message in told]


def test_documents_come_by_name_with_their_language_and_labels(case: Callable[..., Path]) -> None:
    case("b_script", "#!/bin/sh\r\necho hello\r\n", "path: bin/hello\nmust: []\n")
    case("a_run", DOCUMENT, LABELS)
    first, second = load_labelled(WORKFLOW)
    assert (first.name, first.path, first.language, first.text) == ("a_run", "tools/run.py", "python", DOCUMENT)
    assert first.about == "Runs what the environment says."
    assert first.must == (Expectation((4, 5), ("security",), "it runs anything"),)
    assert first.may == (Expectation(None, ("documentation", "testing")),)
    assert first.must_not == (Expectation((1, 1), (), "the import is used"),)
    assert (second.language, second.text, second.must) == ("shell", "#!/bin/sh\r\necho hello\r\n", ())


def test_a_workflow_without_a_sample_has_none() -> None:
    assert load_labelled("weekly_code_audit") == ()


def test_each_mistake_in_the_labels_is_said_with_its_line(case: Callable[..., Path]) -> None:
    labels = """\
path: notes/README.md
must:
  - {lines: [4, 6], categories: [security], about: one line too far}
  - lines: [5, 4]
    categories: [security, sekurity]
    about: the wrong way round
may:
  - {about: everything}
"""
    file = case("a_run", DOCUMENT, labels) / "expected.yaml"
    schema = (workflows_folder() / WORKFLOW / "schema.json").read_text(encoding="utf-8")
    known = ", ".join(categories_of(schema))
    assert said_of(file) == [
        (1, "path: files called 'notes/README.md' are not collected: give it the name of a source file."),
        (3, "must[0]: lines [4, 6] are not in document.txt: write [FIRST, LAST] within 1 to 5."),
        (4, "must[1]: lines [5, 4] are not in document.txt: write [FIRST, LAST] within 1 to 5."),
        (5, f"must[1]: 'sekurity' is no category of schema.json. Choose from {known}."),
        (8, "may[0]: it would match every finding: write `lines: [FIRST, LAST]`, `categories: [...]`, or both."),
    ]


def test_labels_of_another_form_are_refused_with_the_line(case: Callable[..., Path]) -> None:
    labels = """\
path: ""
colour: red
must:
  - {categories: [security], about: where}
  - {lines: [0, 2], about: too early}
  - {lines: [1], about: half of it}
"""
    file = case("a_run", DOCUMENT, labels) / "expected.yaml"
    assert [(line, message.split(":")[0]) for line, message in said_of(file)] == [
        (1, "path"),
        (2, "'colour' is no key here. Write one of about, may, must, must_not, path."),
        (4, "must[0]"),
        (5, "must[1].lines[0]"),
        (6, "must[2].lines"),
    ]


def test_what_is_missing_empty_or_there_twice_is_said_of_all_documents_at_once(case: Callable[..., Path]) -> None:
    case("a_run", DOCUMENT, LABELS)
    again = case("b_again", DOCUMENT, LABELS)
    bare = case("c_bare", DOCUMENT, None)
    empty = case("d_empty", "\n", LABELS)
    broken = case("e_broken", DOCUMENT, "must: [")
    lost = case("f_lost", DOCUMENT, LABELS)
    (lost / "document.txt").unlink()
    with pytest.raises(InputError) as raised:
        load_labelled(WORKFLOW)
    said = str(raised.value)
    assert f"{again}/expected.yaml:1: path: 'tools/run.py' is a_run, too: give each document its own." in said
    assert f"{bare}/expected.yaml is missing: write there what is to be found in document.txt" in said
    assert f"{empty}/document.txt is empty: put the document there" in said
    assert f"{broken}/expected.yaml is not YAML" in said
    assert f"{lost}/document.txt is missing: put the document there." in said


def test_check_says_which_labels_are_wrong_and_fails(case: Callable[..., Path]) -> None:
    file = case("a_run", DOCUMENT, LABELS) / "expected.yaml"
    assert CliRunner().invoke(main, ["check"]).exit_code == 0
    file.write_text(LABELS.replace("[4, 5]", "[4, 50]"))
    done = CliRunner().invoke(main, ["check"])
    assert done.exit_code == 1
    assert f"{WORKFLOW}: The labelled documents of {WORKFLOW} cannot be used:\n{file}:4: must[0]: lines" in done.stderr


def test_the_shipped_documents_cover_languages_and_clean_code() -> None:
    documents = load_labelled(WORKFLOW)
    assert len(documents) >= 12
    assert len({one.language for one in documents}) >= 8
    assert sum(not one.must for one in documents) >= 4
    assert all(25 <= len(one.text.splitlines()) <= 120 for one in documents)


def test_the_offline_analyst_finds_what_the_shipped_documents_are_labelled_with() -> None:
    schema = json.loads((workflows_folder() / WORKFLOW / "schema.json").read_text(encoding="utf-8"))
    shape = AnswerShape(json.dumps(schema["properties"]["findings"]["items"]))
    found = total(compare(one, analyse(one.path, one.language, one.text, shape)) for one in load_labelled(WORKFLOW))
    assert found.precision >= 0.9, found.unwanted
    assert found.recall >= 0.9, found.missed
    assert found.forbidden == 0, found.unwanted

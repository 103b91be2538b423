"""A prompt version is prompt, answer schema and worked examples together, read from files and checked when read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from backcast.cli import main
from backcast.domain.errors import InputError
from backcast.prompt_templates import render
from backcast.services.prompts import request_builder
from backcast.settings import load_prompt, prompt_versions, run_settings

WORKFLOW = "nightly_tech_debt"
PROJECT = Path(__file__).resolve().parents[2]
SCHEMA = {"type": "object", "required": ["debts"], "properties": {"debts": {"type": "array"}}}


@pytest.fixture
def prompts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the prompts of a workflow of this test's own."""
    shutil.copytree(PROJECT / "include" / "workflows" / WORKFLOW, tmp_path / WORKFLOW)
    monkeypatch.setenv("BACKCAST_WORKFLOWS", str(tmp_path))
    monkeypatch.setenv("BACKCAST_REPOSITORY", str(PROJECT))
    return tmp_path / WORKFLOW / "prompts"


def example(folder: Path, document: str, answer: Any) -> None:
    folder.mkdir(parents=True)
    (folder / "document.txt").write_text(document)
    (folder / "answer.json").write_text(json.dumps(answer))


def test_answers_that_are_in_ledgers_keep_their_key() -> None:
    """Whoever changes the files of v1 asks about everything again, and writes the new hash here."""
    known = "8294160f4623711a925d5aaf4645ac4d21e61438e150bdbf77c108e1bff4cd4b"
    assert load_prompt(WORKFLOW, "v1").prompt_hash == known


def test_versions_are_in_natural_order_and_what_all_share_is_none(prompts: Path) -> None:
    for name in ("v10", "v2", "v2-short", "draft"):
        (prompts / f"{name}.md.j2").write_text("{{ schema }}")
    assert prompt_versions(WORKFLOW) == ["draft", "v1", "v2", "v2-short", "v10"]


def test_a_version_may_have_a_schema_and_examples_of_its_own(prompts: Path) -> None:
    (prompts / "v2.md.j2").write_text("{{ schema }}")
    (prompts / "v2.schema.json").write_text(json.dumps(SCHEMA))
    example(prompts / "v2.examples" / "python", "VALUE = 1\n", {"debts": []})
    first, second = (load_prompt(WORKFLOW, version) for version in ("v1", "v2"))
    assert json.loads(second.answer_schema) == SCHEMA
    assert [(shown.language, shown.answer) for shown in second.examples] == [("python", '{"debts":[]}')]
    assert second.document_template == first.document_template
    assert [shown.language for shown in first.examples] == ["javascript", "python"]
    assert first.prompt_hash != second.prompt_hash


def test_a_version_shows_the_examples_in_its_system_prompt_as_a_request_shows_a_document(prompts: Path) -> None:
    (prompts / "v2.md.j2").write_text(
        "{% for example in examples %}{{ example.language }}:\n{{ example.shown }}\n{{ example.answer }}\n{% endfor %}"
    )
    prompt = load_prompt(WORKFLOW, "v2")
    build = request_builder(model="m", prompt=prompt)
    turns = build("a.py", "python", "0" * 64, "VALUE = 1\n", 100, "worked_example")["messages"]
    system = build("a.py", "python", "0" * 64, "VALUE = 1\n", 100)["system"][0]["text"]
    assert f"python:\n{turns[0]['content']}\n{turns[1]['content']}" in system
    assert "\n1| " in system.replace(" 1| ", "1| ")
    assert system.startswith("javascript:\n<document-")


@pytest.mark.parametrize("version", ["v9", "document", "simplified", "../prompts/v1", ""])
def test_a_version_that_does_not_exist_is_refused_with_those_that_do(prompts: Path, version: str) -> None:
    (prompts / "v2.md.j2").write_text("{{ schema }}")
    with pytest.raises(InputError, match=rf"The prompt .* of workflow '{WORKFLOW}' .* Its versions are v1, v2\."):
        load_prompt(WORKFLOW, version)


def test_one_run_can_be_told_another_version(prompts: Path) -> None:
    (prompts / "v2.md.j2").write_text("{{ schema }}")
    assert run_settings(WORKFLOW, {}).prompt.version == "v1"
    assert run_settings(WORKFLOW, {"prompt": "v2"}).prompt.version == "v2"


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("v2", "One\n{{ rules }}", r"v2\.md\.j2, line 2: 'rules' is undefined"),
        ("v2", "One\n\n{% if schema %}", r"v2\.md\.j2, line 3: Unexpected end of template"),
        ("v2", "{{ schema }}\n{{ examples[0].documents }}", r"v2\.md\.j2, line 2: .*no attribute 'documents'"),
        ("v2", "{{ schema.__class__.__mro__ }}", r"v2\.md\.j2, line 1: .*unsafe"),
        ("v2", "{{ examples.append(1) }}", r"v2\.md\.j2, line 1: .*unsafe"),
        ("v2", "One\n{{ 1 / 0 }}", r"v2\.md\.j2, line 2: division by zero"),
        ("v2", "One\n{{ 'a' * 10 ** 10 }}", r"v2\.md\.j2, line 2: \*\* is not for templates of prompts"),
        ("v2", "One\n{{ schema * 1000000 }}", r"v2\.md\.j2, line 2: \* is not for templates of prompts"),
        ("v2", "One\n{% include 'v1.md.j2' %}", r"v2\.md\.j2, line 2: no loader"),
        ("simplified", "One\n{{ rules }}", r"simplified\.md\.j2, line 2: 'rules' is undefined"),
        ("document", "{{ fence }}\n{{ text }}", r"document\.md\.j2, line 2: 'text' is undefined"),
    ],
)
def test_what_is_wrong_with_a_template_is_said_when_it_is_read_with_its_line(
    prompts: Path, file: str, text: str, said: str
) -> None:
    (prompts / "v2.md.j2").write_text("{{ schema }}")
    (prompts / f"{file}.md.j2").write_text(text)
    with pytest.raises(InputError, match=rf"The prompt 'v2' of workflow '{WORKFLOW}' cannot be used: prompts/{said}"):
        load_prompt(WORKFLOW, "v2")
    # Also where no run uses that version yet.
    checked = CliRunner().invoke(main, ["check"])
    assert checked.exit_code == 1
    assert f"{file}.md.j2, line" in checked.output


def test_what_is_wrong_with_a_schema_or_an_example_is_said_with_its_file(prompts: Path) -> None:
    (prompts / "v2.md.j2").write_text("{{ schema }}")
    schema = prompts / "v2.schema.json"
    for text, said in (
        ("{", "is not JSON"),
        ('{"properties": {"records": {"type": ["array", "null"]}}}', "records has to be a list"),
        ('{"type": "objekt"}', r"is no JSON schema: \$\.type"),
    ):
        schema.write_text(text)
        with pytest.raises(InputError, match=rf"{schema}:? {said}"):
            load_prompt(WORKFLOW, "v2")
    # The examples of another version do not fit.
    schema.write_text(json.dumps(SCHEMA))
    answer = prompts.parent / "examples" / "javascript" / "answer.json"
    with pytest.raises(InputError, match=rf"{answer} does not fit the answer schema: \$: 'debts' is a required"):
        load_prompt(WORKFLOW, "v2")
    (prompts / "v2.examples" / "python").mkdir(parents=True)
    with pytest.raises(InputError, match=r"v2\.examples/python/document\.txt cannot be read"):
        load_prompt(WORKFLOW, "v2")


def test_a_version_is_rendered_once(prompts: Path) -> None:
    assert prompts.is_dir()
    assert render(load_prompt(WORKFLOW, "v1")) is render(load_prompt(WORKFLOW, "v1"))

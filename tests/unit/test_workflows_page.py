"""The page about workflows shows what the commands print, and names what is there.

`WRITE_PAGE=1` writes the commands' output into the page.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from backcast.cli import main
from backcast.settings import workflows_folder
from backcast.workflow_files import workflow_schema

if TYPE_CHECKING:
    from collections.abc import Callable

PAGE = Path(__file__).parents[2] / "docs" / "workflows.md"


def backcast(*arguments: str) -> str:
    done = CliRunner().invoke(main, arguments)
    assert done.exit_code == 0, done.output
    return "\n".join(line.rstrip() for line in done.stdout.strip().splitlines())


def routes() -> str:
    rows = [
        [f"`{row['workflow']}`", row["route"], row["who_waits"], row["why"]]
        for row in json.loads(backcast("route", "--json"))["workflows"]
    ]
    head = ["workflow", "API", "who waits", "why"]
    return "\n".join(f"| {' | '.join(row)} |" for row in [head, ["---"] * len(head), *rows])


def answer(choice: str) -> str:
    command = f"backcast route --what-if {choice} --runs-a-month pre_merge_review=400"
    return f"```\n$ {command}\n{backcast(*command.split()[1:])}\n```"


SHOWN: dict[str, Callable[[], str]] = {
    "routes": routes,
    "all-batch": lambda: answer("all-batch"),
    "all-sync": lambda: answer("all-sync"),
}


@pytest.mark.parametrize("part", SHOWN)
def test_what_the_page_shows_is_what_the_command_prints(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BACKCAST_LEDGER", raising=False)
    block = re.compile(rf"(<!-- {part} -->\n).*?(<!-- end -->)", re.DOTALL)
    page = PAGE.read_text(encoding="utf-8")
    now = block.sub(lambda found: f"{found[1]}{SHOWN[part]()}\n{found[2]}", page)
    if os.environ.get("WRITE_PAGE"):
        PAGE.write_text(now, encoding="utf-8")
    assert block.search(page)
    assert now == page


def test_the_page_names_every_key_of_a_workflow_file() -> None:
    rows = re.findall(r"^\| (`.*?`) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    named = {key for row in rows for key in re.findall(r"`(\w+)`", row)}
    keys = {name for name, about in workflow_schema()["properties"].items() if not about.get("deprecated")}
    assert keys <= named


def test_the_mistakes_that_the_page_shows_are_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(workflows_folder() / "nightly_tech_debt", tmp_path / "mine")
    monkeypatch.setenv("BACKCAST_WORKFLOWS", str(tmp_path))
    said = []
    for sla in ("slaa: 30h\n", "sla: 5m\nblocking: true\n"):
        text = f"name: mine\ndescription: What.\n{sla}due: 08:00 UTC\nmodel: claude-haiku-4-5\n"
        text += "max_tokens: 99\nprompt: v1\nsource: {kind: git}\n"
        (tmp_path / "mine" / "workflow.yaml").write_text(text)
        said.append(CliRunner().invoke(main, ["check"]).stderr.replace(f"{tmp_path}/", ""))
    block = next(text for text in PAGE.read_text().split("```") if "slaa" in text).strip().splitlines()
    assert len(block) == 2
    assert all(shown in output for shown, output in zip(block, said, strict=True))

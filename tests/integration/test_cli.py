"""The `backcast` command as a person types it."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

import click

from backcast.cli import main

if TYPE_CHECKING:
    from collections.abc import Sequence

RUN = "from backcast.cli import main; main()"


def backcast(arguments: Sequence[str], **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", RUN, *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment or None)


def test_help_lists_the_commands() -> None:
    done = backcast(["--help"])
    assert done.returncode == 0
    names = main.list_commands(click.Context(main))
    assert {"cancel", "check", "config", "night", "plan", "reconcile", "requests", "run", "status"} <= set(names)
    for name in names:
        assert re.search(rf"^  {name} +[A-Z]", done.stdout, re.MULTILINE), name


def test_the_simulator_explains_its_own_knobs() -> None:
    done = backcast(["simulator", "--help"])
    assert done.returncode == 0
    assert "--weather" in done.stdout


def test_a_ledger_is_migrated_once_and_again(empty_database: str) -> None:
    for _ in range(2):
        done = backcast(["migrate", "--ledger", empty_database])
        assert done.returncode == 0, done.stderr
        assert "up to date" in done.stdout


def test_a_ledger_that_is_away_is_one_line_and_a_failure() -> None:
    done = backcast(["migrate", "--ledger", "postgresql://backcast@127.0.0.1:1/backcast"])
    assert done.returncode == 1
    assert done.stderr.startswith("backcast: The ledger is not reachable")
    assert "Traceback" not in done.stderr


def test_a_wrong_dsn_says_how_to_write_it() -> None:
    done = backcast(["migrate", "--ledger", "mysql://x"])
    assert done.returncode == 1
    assert "postgresql://" in done.stderr

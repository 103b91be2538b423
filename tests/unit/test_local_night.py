"""What is refused before anything is started: a message that says what to do, exit code 2, nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from backcast.local.leftovers import end_leftover, note_session
from backcast.local.night import run_night, up
from backcast.local.options import Api, NightOptions, StackOptions
from backcast.local.signals import Interrupted, ending_in_order

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def stack(tmp_path: Path) -> StackOptions:
    return StackOptions(project=tmp_path / "project", home=tmp_path / "home")


def _git(folder: Path, *arguments: str) -> None:
    identity = ("-c", "user.name=a", "-c", "user.email=a@example.com")
    subprocess.run(["git", "-C", folder, *identity, *arguments], check=True, capture_output=True)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    folder.mkdir()
    _git(folder, "init")
    (folder / "a.py").write_text("print(1)\n")
    _git(folder, "add", ".")
    _git(folder, "commit", "-m", "first")
    return folder


def _refused(options: NightOptions, capsys: pytest.CaptureFixture[str]) -> str:
    assert run_night(options) == 2
    base = options.stack.base
    assert not list(base.glob("*/run"))
    assert not list(base.glob("*/secrets"))
    return capsys.readouterr().err


def test_a_path_that_does_not_exist(stack: StackOptions, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = NightOptions(stack=stack, repository=str(tmp_path / "nowhere"))
    assert "nowhere does not exist" in _refused(options, capsys)


def test_a_folder_without_git(stack: StackOptions, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = NightOptions(stack=stack, repository=str(tmp_path))
    assert "is not a git repository" in _refused(options, capsys)


def test_a_repository_without_a_commit(stack: StackOptions, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _git(tmp_path, "init")
    options = NightOptions(stack=stack, repository=str(tmp_path))
    assert "has no commit yet" in _refused(options, capsys)


def test_resuming_what_died_with_its_simulator(stack: StackOptions, capsys: pytest.CaptureFixture[str]) -> None:
    assert "RESUME needs API=anthropic" in _refused(NightOptions(stack=stack, resume="x"), capsys)


def test_the_real_api_without_a_key(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)
    stack = StackOptions(project=tmp_path, home=tmp_path / "home", api=Api.ANTHROPIC)
    assert "export ANTHROPIC_API_KEY" in _refused(NightOptions(stack=stack), capsys)
    assert up(stack) == 2


def test_the_real_api_with_nobody_to_agree(
    tmp_path: Path, repository: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-test")
    stack = StackOptions(project=tmp_path, home=tmp_path / "home", api=Api.ANTHROPIC)
    options = NightOptions(stack=stack, repository=str(repository))
    assert run_night(options) == 2
    said = capsys.readouterr()
    assert "This sends 1 document to" in said.out
    assert "add YES=1" in said.err
    assert not (tmp_path / "home" / "anthropic" / "secrets").exists()


@contextmanager
def _cleaning_up() -> Iterator[None]:
    try:
        yield
    finally:
        signal.raise_signal(signal.SIGINT)


def test_the_first_signal_interrupts_and_the_next_does_not_break_off_the_clean_up() -> None:
    before = signal.getsignal(signal.SIGTERM)
    with pytest.raises(Interrupted) as raised, ending_in_order(), _cleaning_up():
        signal.raise_signal(signal.SIGTERM)
    assert raised.value.exit_code == 143
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_process_that_only_has_a_noted_number_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    note_session(tmp_path, os.getpid())
    assert not end_leftover(tmp_path)
    assert not list((tmp_path / "run").iterdir())

"""`make run` and `make up`: a whole night on this machine, and a stack to look around in."""

from __future__ import annotations

import os
import sys
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from backcast.domain.errors import BackcastError, InputError
from backcast.ledger.progress import read_progress
from backcast.local import summary
from backcast.local.display import Display
from backcast.local.environment import simulator_url
from backcast.local.follow import external_key, failures, follow, start_run, wait_for_dag
from backcast.local.options import Api
from backcast.local.signals import Interrupted, ending_in_order
from backcast.local.stack import Stack, running_stack
from backcast.services.estimate import check_api, estimate_night
from backcast.sources.git import GitSource
from backcast.sources.location import Remote, parse_repository

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from backcast.ledger.progress import RunProgress
    from backcast.local.options import NightOptions, StackOptions

FAILED: Final = 1
WRONG_INPUT: Final = 2


def run_night(options: NightOptions) -> int:
    """Start everything, run the workflow once, show how it goes, sum up, stop everything.

    Returns:
        The exit code: 0 only when the report was published, 2 when what was asked for cannot be done.
    """
    return _reported(lambda display: _run_night(options, display))


def up(options: StackOptions) -> int:
    """Start everything and leave it running until a signal comes; return the exit code."""
    return _reported(lambda display: _up(options, display))


def _reported(work: Callable[[Display], int]) -> int:
    """Do the work, and say what went wrong without a traceback."""
    with Display() as display, ending_in_order():
        try:
            return work(display)
        except Interrupted as interrupt:
            display.close()
            display.say("Stopped.")
            return interrupt.exit_code
        except BackcastError as error:
            display.close()
            print(f"backcast: {error}", file=sys.stderr)  # noqa: T201  this is a command's own message
            return WRONG_INPUT if isinstance(error, InputError) else FAILED


def _run_night(options: NightOptions, display: Display) -> int:
    _require_key(options.stack)
    if options.resume is not None and options.stack.api is not Api.ANTHROPIC:
        raise InputError("RESUME needs API=anthropic: the batches of a simulator end with it, so start a new run")
    repository = options.repository or str(options.stack.project)
    if options.resume is None:
        repository = _check_repository(options, repository, display)
    if options.stack.api is Api.ANTHROPIC:
        if options.resume is None and not _agreed(options, repository, display):
            return WRONG_INPUT
        _check_real_api(options.dag_id)
    with running_stack(options.stack, display.say) as stack:
        display.say(f"Airflow is up: {stack.url}")
        wait_for_dag(stack, options.dag_id)
        dag_run_id = start_run(stack, options, repository)
        display.say(f"Run {dag_run_id} of {options.dag_id} {'resumed' if options.resume else 'started'}")
        return _watch(stack, options.dag_id, dag_run_id, display)


def _watch(stack: Stack, dag_id: str, dag_run_id: str, display: Display) -> int:
    try:
        state, progress = follow(stack, dag_id, dag_run_id, display)
    except BaseException:
        display.close()
        _leave(stack, dag_id, dag_run_id, display)
        raise
    display.close()
    if state == "success" and progress is not None and progress.state == "published":
        return _say_published(stack, progress, display)
    display.say(f"Run {dag_run_id} ended as {state}, and no report was published.")
    for line in failures(stack, dag_id, dag_run_id):
        display.say(line)
    if stack.options.api is Api.ANTHROPIC:
        display.say(f"Once that is mended:  {summary.resume_command(stack.options, dag_run_id)}")
    return FAILED


def _say_published(stack: Stack, progress: RunProgress, display: Display) -> int:
    for line in summary.published_lines(progress, stack.options, datetime.now(UTC)):
        display.say(line)
    return 0


def _leave(stack: Stack, dag_id: str, dag_run_id: str, display: Display) -> None:
    """Close a run that was not finished if its simulator ends with us; else say how to resume it."""
    try:
        if stack.options.api is Api.SIMULATOR:
            stack.airflow.fail_run(dag_id, dag_run_id)
            display.say(f"Run {dag_run_id} is marked failed: its batches end with the simulator.")
            return
        progress = read_progress(stack.ledger, external_key(dag_id, dag_run_id))
    except BackcastError as error:
        # What stopped us is more important than this, and is reported after it.
        display.say(f"(Could not look after run {dag_run_id}: {error})")
        progress = None
    if stack.options.api is Api.ANTHROPIC:
        for line in summary.interrupted_lines(progress, stack.options, dag_run_id):
            display.say(line)


def _up(options: StackOptions, display: Display) -> int:
    _require_key(options)
    with running_stack(options, display.say) as stack:
        user, password = stack.login
        display.say(f"Airflow:    {stack.url}")
        display.say(f"Login:      {user} / {password}")
        if options.api is Api.SIMULATOR:
            display.say(f"Simulator:  {simulator_url(stack.ports)}")
        else:
            display.say("API:        Anthropic's; every run you trigger is paid for")
        display.say("Ctrl-C stops everything.")
        try:
            while True:
                stack.check()
                time.sleep(1)
        except Interrupted:
            display.say("Stopping.")
    return 0


def _require_key(options: StackOptions) -> None:
    if options.api is Api.ANTHROPIC and not os.environ.get("ANTHROPIC_API_KEY"):
        raise InputError(
            "API=anthropic needs a key: export ANTHROPIC_API_KEY=sk-ant-…, "
            "or leave API out to run against the simulator, free of charge"
        )


def _check_repository(options: NightOptions, repository: str, display: Display) -> str:
    """Look at the repository before anything is started, and return it as tasks will be told."""
    location = parse_repository(os.path.expanduser(repository))  # noqa: PTH111  may be a URL
    if isinstance(location, Remote):
        display.say(f"Fetching {location.shown}")
    cache: Path = options.stack.api_home / "git"
    snapshot = GitSource(os.fspath(_named(location)), options.ref or "HEAD", cache).snapshot()
    display.say(f"Repository {snapshot.repository} at {snapshot.commit[:12]}")
    return _named(location)


def _named(location: Remote | Path) -> str:
    return location.url if isinstance(location, Remote) else str(location)


def _check_real_api(workflow: str) -> None:
    # Imported here, since the SDK costs a second or two, and only this needs it.
    from backcast.anthropic_api.batches import api_from_environment  # noqa: PLC0415

    check_api(api_from_environment(), workflow)


def _agreed(options: NightOptions, repository: str, display: Display) -> bool:
    """Say what a run on the real API costs, and get a yes.

    Raises:
        InputError: nobody is there to ask.
    """
    estimate = estimate_night(options.dag_id, repository, options.ref, options.max_documents)
    for line in summary.estimate_lines(estimate, os.environ.get("ANTHROPIC_BASE_URL")):
        display.say(line)
    if options.yes:
        return True
    if not sys.stdin.isatty():
        raise InputError("nobody is here to agree to the cost: run this in a terminal, or add YES=1")
    return input("Send them? [y/N] ").strip().lower() in {"y", "yes"}

"""Checks what a run needs before one is opened: API, models, clock, ledger and disk. Each check is isolated."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from backcast import settings
from backcast.anthropic_api.models import facts_by_sdk
from backcast.domain.checkup import (
    Check,
    State,
    clock_ahead,
    judge_batches,
    judge_clock,
    judge_disk,
    judge_end_of_life,
    judge_postgresql,
    judge_revision,
)
from backcast.domain.errors import BackcastError
from backcast.domain.masking import without_password
from backcast.ledger.connection import HEAD, standing

if TYPE_CHECKING:
    from backcast.anthropic_api.batches import MessageBatchesApi
    from backcast.services.open_run import Clock

Checks: TypeAlias = Iterable[Check]

# Whoever waits for a check wants to know that an address is wrong, not to have it tried for minutes.
_PATIENCE: Final = timedelta(seconds=10)


def isolated(name: str, make: Callable[[], Checks]) -> list[Check]:
    """Return what a check found; whatever it raises becomes a failure of this name, so that the others go on."""
    found: list[Check] = []
    try:
        found.extend(make())
    except BackcastError as error:
        found.append(Check(name, State.FAILED, _told(str(error))))
    except (Exception, SystemExit) as error:  # noqa: BLE001  whatever is broken, it must be said in a line
        found.append(Check(name, State.FAILED, _told(f"{type(error).__name__}: {error}")))
    return found


def _told(text: str) -> str:
    return without_password(" ".join(text.split()))


@dataclass(frozen=True, slots=True)
class ApiSource:
    """An API and who names it, such as `ANTHROPIC_API_KEY`; `make` may raise what is wrong with that."""

    named_by: str
    make: Callable[[], MessageBatchesApi]


def check_apis(sources: Iterable[ApiSource], clock: Clock, workflows: Iterable[str]) -> Iterator[Check]:
    """Check each API, our clock by the first that answers, and what it says of each workflow's model."""
    answering: MessageBatchesApi | None = None
    for source in sources:
        checks, api = _reach(source)
        yield from checks
        answering = answering or api
    yield from isolated("clock", lambda: [_check_clock(answering, clock)])
    for workflow in workflows:
        yield from isolated(f"model of {workflow}", partial(_check_model, workflow, answering, clock))


def _reach(source: ApiSource) -> tuple[list[Check], MessageBatchesApi | None]:
    name = f"API by {source.named_by}"
    reached: list[MessageBatchesApi] = []

    def look() -> Iterator[Check]:
        api = source.make().impatient(_PATIENCE)
        by = "A simulator" if api.look().simulated else "The API"
        reached.append(api)
        yield Check(name, State.OK, f"{by} at {api.base_url} takes the key.")

    checks = isolated(name, look)
    return checks, reached[0] if reached else None


def _check_clock(api: MessageBatchesApi | None, clock: Clock) -> Check:
    if api is None:
        return _skipped("clock", "no API answers, so none has a clock to compare. Mend the API first.")
    before = clock()
    seen = api.look()
    after = clock()
    if seen.simulated:
        return _skipped("clock", "a simulator's clock may run fast. It is compared with the real API's.")
    if seen.server_time is None:
        return _skipped("clock", f"the answer of {api.base_url} has no Date header: something on the way removes it.")
    return Check("clock", *judge_clock(clock_ahead(before, seen.server_time, after)))


def _check_model(workflow: str, api: MessageBatchesApi | None, clock: Clock) -> Iterator[Check]:
    run = settings.run_settings(workflow, {})
    model, seen, wrong = run.model.name, None, ""
    try:
        seen = api.preflight(model) if api else None
    except BackcastError as error:
        wrong = _told(str(error))
    facts = seen.facts if seen else facts_by_sdk(model)
    state, told = judge_end_of_life(facts, clock(), run.sla)
    yield Check(f"model of {workflow}", state, f"{model} {told}")
    name = f"batches of {workflow}"
    if api is None:
        yield _skipped(name, f"no API answers, so none says whether {model} takes them. Mend the API first.")
    elif seen is None:
        yield Check(name, State.FAILED, wrong)
    else:
        state, told = judge_batches(seen.facts)
        yield Check(name, state, f"{model} {told}")


def check_ledger(make_dsn: Callable[[], str], named_by: str) -> Iterator[Check]:
    """Check that the ledger is reachable, of which version its server is, and whether it is migrated."""
    seen = standing(make_dsn())
    yield Check("ledger", State.OK, f"The one that {named_by} names is reachable.")
    yield Check("PostgreSQL", *judge_postgresql(seen.server_version))
    yield Check("ledger's revision", *judge_revision(seen.revision, HEAD))


def check_disk() -> Iterator[Check]:
    """Check how much is free where reports, clones and, if it is set, BACKCAST_HOME are; once a file system."""
    folders = {"reports": settings.reports_folder(), "clones": settings.cache_folder()}
    if home := os.environ.get("BACKCAST_HOME"):
        folders["BACKCAST_HOME"] = Path(home).resolve()
    kept: dict[int, tuple[Path, list[str]]] = {}
    for what, folder in folders.items():
        there = next(path for path in (folder, *folder.parents) if path.exists())
        kept.setdefault(there.stat().st_dev, (there, []))[1].append(f"{what} in {folder}")
    for there, names in kept.values():
        yield Check("disk", *judge_disk(shutil.disk_usage(there).free, ", ".join(names)))


def _skipped(name: str, why: str) -> Check:
    return Check(name, State.SKIPPED, why)

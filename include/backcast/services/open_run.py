"""Opens a run: settles what it is asked to do and when it is due, before anything is read or paid."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from backcast.domain.deadlines import require_reachable
from backcast.domain.errors import InputError
from backcast.domain.object_stores import check_url
from backcast.ledger import runs
from backcast.services.fault_points import FaultPoint, reached
from backcast.services.versions import active_prompt
from backcast.sources.location import Remote, parse_repository

if TYPE_CHECKING:
    from backcast.anthropic_api.batches import MessageBatchesApi, Preflight
    from backcast.domain.documents import Source
    from backcast.domain.workflow import RunSettings
    from backcast.ledger.connection import Connection, Ledger

Clock: TypeAlias = Callable[[], datetime]


def open_run(  # noqa: PLR0913  what a run is opened with, and where
    ledger: Ledger,
    api: MessageBatchesApi,
    clock: Clock,
    settings: RunSettings,
    *,
    external_key: str,
    start_by: datetime | None = None,
) -> int:
    """Return the run of this external key, opening it the first time.

    The API is asked for the model first, so that a wrong address, key or model is said before anything else is done.

    Args:
        ledger: where the run is kept.
        api: where its requests will go.
        clock: tells the time in UTC.
        settings: what the run is asked to do; later changes to files and environment do not reach it. Unless a version
            of the prompt was given, it uses the active one.
        external_key: names the DAG run, or whatever else asks for this run; the same key always gets the same run.
        start_by: the last moment at which a run may be opened for its slot; None when it is for no slot.

    Raises:
        InputError: the slot's last moment has passed, or its deadline is out of reach; nothing was opened.
    """
    with ledger.connect() as connection:
        known = runs.find_run(connection, external_key)
    if known is not None:
        return known
    _require_in_time(settings, start_by, clock())
    repository = kept_name(settings.repository, settings.source)
    reached(FaultPoint.OPEN_BEFORE_PREFLIGHT)
    preflight = api.preflight(settings.model.name)
    reached(FaultPoint.OPEN_PREFLIGHTED)
    with ledger.transaction() as connection:
        run_id = runs.insert_run(
            connection,
            _with_active_prompt(connection, clock(), _for_this_api(settings, preflight)),
            external_key=external_key,
            repository=repository,
            simulated=preflight.simulated,
            base_url=api.base_url,
            opened_at=clock(),
        )
    reached(FaultPoint.OPEN_COMMITTED)
    return run_id


def _require_in_time(settings: RunSettings, start_by: datetime | None, now: datetime) -> None:
    """Refuse what can no longer be in time; only at first, since a run that is open goes on whatever the clock says."""
    if start_by is not None and now > start_by:
        raise InputError(
            f"The slot of this run has passed: it had to start by {start_by:%Y-%m-%d %H:%M} UTC for a batch to be in "
            "time, so nothing is sent for it. To run all the same, trigger the DAG by hand."
        )
    if settings.deadline is not None:
        require_reachable(settings.deadline, now)


def _with_active_prompt(connection: Connection, now: datetime, settings: RunSettings) -> RunSettings:
    if settings.kind != "documents" or settings.prompt_is_given:
        return settings
    return replace(settings, prompt=active_prompt(connection, now, settings.workflow, settings.prompt))


def _for_this_api(settings: RunSettings, preflight: Preflight) -> RunSettings:
    return replace(settings, structured=settings.structured and preflight.structured_outputs)


def kept_name(named: str, source: Source = "git") -> str:
    """Return what the ledger keeps of a source's name: an absolute path, or a URL that holds no secret.

    Raises:
        InputError: the URL holds credentials.
    """
    if source == "folder":
        return str(Path(named).resolve())
    if source == "object_store":
        return check_url(named)
    location = parse_repository(named)
    if not isinstance(location, Remote):
        return str(location)
    if location.url != location.shown:
        raise InputError(
            f"The URL of {location.shown} holds credentials, which would be kept in the ledger. Leave them out and "
            "give them to git: by a credential helper, or an ssh key."
        )
    return location.shown

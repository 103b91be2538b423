"""Opens a run: settles what it is asked to do and when it is due, before anything is read or paid."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Final, TypeAlias

from backcast.domain.errors import InputError
from backcast.ledger import runs
from backcast.services.fault_points import FaultPoint, reached
from backcast.sources.location import Remote, parse_repository

if TYPE_CHECKING:
    from backcast.anthropic_api.batches import MessageBatchesApi
    from backcast.domain.workflow import RunSettings
    from backcast.ledger.connection import Ledger

Clock: TypeAlias = Callable[[], datetime]

# The most documents that a real API gets in one run, until prompts can be proved on a sample first.
UNPROVED_DOCUMENTS: Final = 10


def open_run(ledger: Ledger, api: MessageBatchesApi, clock: Clock, settings: RunSettings, *, external_key: str) -> int:
    """Return the run of this external key, opening it the first time.

    The API is asked for the model first, so that a wrong address, key or model is said before anything else is done.

    Args:
        ledger: where the run is kept.
        api: where its requests will go.
        clock: tells the time in UTC.
        settings: what the run is asked to do; later changes to files and environment do not reach it.
        external_key: names the DAG run, or whatever else asks for this run; the same key always gets the same run.
    """
    with ledger.connect() as connection:
        known = runs.find_run(connection, external_key)
    if known is not None:
        return known
    repository = _repository(settings.repository)
    reached(FaultPoint.OPEN_BEFORE_PREFLIGHT)
    preflight = api.preflight(settings.model.name)
    reached(FaultPoint.OPEN_PREFLIGHTED)
    with ledger.transaction() as connection:
        run_id = runs.insert_run(
            connection,
            settings if preflight.simulated else _capped(settings),
            external_key=external_key,
            repository=repository,
            simulated=preflight.simulated,
            base_url=api.base_url,
            opened_at=clock(),
        )
    reached(FaultPoint.OPEN_COMMITTED)
    return run_id


def _capped(settings: RunSettings) -> RunSettings:
    wanted = settings.selection.max_documents
    most = UNPROVED_DOCUMENTS if wanted is None else min(wanted, UNPROVED_DOCUMENTS)
    return replace(settings, selection=replace(settings.selection, max_documents=most))


def _repository(named: str) -> str:
    """Return what the ledger keeps of a repository's name: an absolute path, or a URL that holds no secret."""
    location = parse_repository(named)
    if not isinstance(location, Remote):
        return str(location)
    if location.url != location.shown:
        raise InputError(
            f"The URL of {location.shown} holds credentials, which would be kept in the ledger. Leave them out and "
            "give them to git: by a credential helper, or an ssh key."
        )
    return location.shown

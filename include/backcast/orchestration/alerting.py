"""Says that a report is at risk or missed, to whoever is to know: in the triggerer, for Airflow's Deadline Alerts."""

from __future__ import annotations

import asyncio
import logging
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from backcast.domain.deadlines import DeadlineKind

if TYPE_CHECKING:
    from collections.abc import Mapping

_log = logging.getLogger(__name__)
# A run by hand is due its SLA after it was opened, a little later than Airflow could know when it made the run; what is
# further away is left to `reconcile_batches`.
_WAITS_AT_MOST: Final = timedelta(minutes=15)
# A run with little time has its alert as soon as it was made, before its first task came to open it.
_OPENS_WITHIN: Final = timedelta(minutes=5)
_LOOKS_APART: Final = timedelta(seconds=30)


async def alert(kind: str, context: Mapping[str, Any]) -> None:
    """Look whether a run still owes its report, and only then say that it is at risk or missed. Runs in the triggerer.

    Args:
        kind: of `DeadlineKind`.
        context: what Airflow knows of the run, and of the moment.
    """
    # What comes is a moment in time, which no event could be set for.
    while pause := await asyncio.to_thread(_look, DeadlineKind(kind), context["dag_run"]):  # noqa: ASYNC110  as above
        await asyncio.sleep(pause.total_seconds())


def _look(kind: DeadlineKind, dag_run: Mapping[str, Any]) -> timedelta | None:
    """Raise and send what is due; return after how long to look again, when it will be due soon."""
    from backcast.orchestration import clients
    from backcast.orchestration.delivery import deliver
    from backcast.services.deadlines import alert_unopened, check_deadlines, find_opened, upcoming

    external_key = f"{dag_run['dag_id']}/{dag_run['dag_run_id']}"
    if dag_run["state"] == "success":
        _log.info("%s was ended as successful: nothing is owed.", external_key)
        return None
    ledger = clients.ledger()
    run_id = find_opened(ledger, external_key)
    if run_id is None:
        if clients.now() - datetime.fromisoformat(dag_run["run_after"]) < _OPENS_WITHIN:
            return _LOOKS_APART
        deliver(alert_unopened(ledger, clients.now, external_key, kind, dag_run.get("conf")))
        return None
    if dag_run["state"] == "failed":
        # Only a task can ask Airflow whether it failed by itself or by hand.
        _log.info("%s has failed: left to reconcile_batches, which knows whether somebody ended it.", external_key)
        return None
    if messages := check_deadlines(ledger, clients.now, [run_id]):
        deliver(messages)
        return None
    later = [message.at - clients.now() for message in upcoming(ledger, clients.now, [run_id]) if message.kind == kind]
    return next((pause for pause in later if timedelta() < pause <= _WAITS_AT_MOST), None)

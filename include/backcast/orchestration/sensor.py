"""Waits for a batch without a worker slot."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NoReturn, cast

from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger
from airflow.sdk import BaseSensorOperator
from airflow.sdk.exceptions import AirflowFailException

from backcast.domain.errors import ApiError, WaitsError
from backcast.orchestration.explaining import explained, may_pass
from backcast.orchestration.trigger import EVENTS, BatchEndedTrigger

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context

    from backcast.services.waiting import AwaitedBatch

_LOOKS_APART_SECONDS: Final = 60
# A look takes a worker for some seconds, and what is waited for may take a day.
_LOOKS_AT_THE_LEDGER: Final = 5
# A batch ends within 24 hours or expires; the rest is for clocks that differ and an API that is away.
LONGEST_WAIT: Final = timedelta(hours=26)


class BatchEndedSensor(BaseSensorOperator):
    """Waits until the API has ended a batch. Always deferred: the wait may take a day.

    Clearing it only waits again; it never cancels the batch.

    Args:
        batch_id: the ledger's id of the batch.
    """

    template_fields: Sequence[str] = ("batch_id",)

    def __init__(self, *, batch_id: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.batch_id = batch_id

    @explained
    def execute(
        self,
        context: Context,  # noqa: ARG002  Airflow gives it
        event: Any = None,  # noqa: ARG002  and this too, after a deferral
        away_since: str | None = None,
    ) -> int:
        """Defer until the batch has ended; return its id at once when the ledger knows that it has.

        A batch in doubt is looked for, now and again, until it is known what became of it.
        """
        from backcast.orchestration import clients
        from backcast.services.waiting import awaited_batch

        try:
            awaited = awaited_batch(clients.ledger(), clients.api(), clients.now, int(self.batch_id))
        except ApiError as error:
            # An API that loses an answer may be away for longer than Airflow retries.
            since = away_since or clients.now().isoformat()
            if not may_pass(error) or clients.now() - datetime.fromisoformat(since) > LONGEST_WAIT:
                raise
            self._look_later(str(error), _pause(error), away_since=since)
        if awaited.ended:
            return awaited.batch_id
        if awaited.api_batch_id is None or awaited.submitted_at is None:
            self._look_later(awaited.doubt, _pause())
        return self._wait(awaited)

    def _look_later(self, why: str, pause: timedelta, **kwargs: str) -> NoReturn:
        self.log.warning("%s", why)
        self.defer(trigger=TimeDeltaTrigger(pause), method_name="execute", kwargs=kwargs)

    def _wait(self, awaited: AwaitedBatch) -> NoReturn:
        from backcast.orchestration.clients import API_CONNECTION
        from backcast.settings import poll_interval_seconds

        self.log.info(
            "Batch %s is %s at the API. To end this wait leaves it alone there; to cancel it: backcast cancel %s",
            awaited.batch_id,
            awaited.api_batch_id,
            awaited.api_batch_id,
        )
        self.defer(
            trigger=BatchEndedTrigger(
                conn_id=API_CONNECTION,
                api_batch_id=str(awaited.api_batch_id),
                poll_interval=poll_interval_seconds(),
                wait_until=(cast("datetime", awaited.submitted_at) + LONGEST_WAIT).isoformat(),
                look_at=awaited.look_at.isoformat() if awaited.look_at else None,
            ),
            method_name="execute_complete",
            kwargs={"batch_id": awaited.batch_id},
        )

    def execute_complete(
        self,
        context: Context,
        event: dict[str, Any] | None = None,
        batch_id: int | None = None,
    ) -> int:
        """Return the id of the batch that ended, or fail and say what to do; at a cut-off, keep it and wait on."""
        status = (event or {}).get("status")
        if status == "look":
            return self.execute(context)
        if status == "ended":
            return int(batch_id or self.batch_id)
        if status not in EVENTS:
            raise AirflowFailException(f"The wait ended with {event!r}, which it never should. Clear this task.")
        reason = (
            "has not ended 26 hours after it was submitted"
            if status == "overdue"
            else "is not known to the API any more; is this its workspace, and its address?"
        )
        raise AirflowFailException(
            f"Batch {(event or {}).get('api_batch_id')} {reason}. Nothing is sent again. Clear this task to wait on."
        )


def _pause(error: ApiError | None = None) -> timedelta:
    from backcast.settings import poll_interval_seconds

    if isinstance(error, WaitsError):
        return timedelta(seconds=_LOOKS_AT_THE_LEDGER * poll_interval_seconds())
    return timedelta(seconds=max(poll_interval_seconds(), _LOOKS_APART_SECONDS))


class ClaimsSensor(BaseSensorOperator):
    """Waits until other runs have answered, or given up, the documents that they and this run both want.

    Args:
        run: the ledger's id of the run.
    """

    template_fields: Sequence[str] = ("run",)

    def __init__(self, *, run: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.run = run

    @explained
    def execute(
        self,
        context: Context,  # noqa: ARG002  Airflow gives it
        event: Any = None,  # noqa: ARG002  and this too, after a deferral
    ) -> int:
        """Return the run when there is nothing to wait for any more; look again now and then until there is."""
        from backcast.orchestration import clients
        from backcast.services.claims import await_claims, told
        from backcast.settings import poll_interval_seconds

        elsewhere = await_claims(clients.ledger(), clients.now, int(self.run))
        if elsewhere:
            self.log.info("Waits for %s.", told(elsewhere))
            pause = timedelta(seconds=_LOOKS_AT_THE_LEDGER * poll_interval_seconds())
            self.defer(trigger=TimeDeltaTrigger(pause), method_name="execute")
        return int(self.run)

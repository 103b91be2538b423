"""Waits for a batch without a worker slot."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

from airflow.sdk import BaseSensorOperator
from airflow.sdk.exceptions import AirflowFailException

from backcast.orchestration.trigger import EVENTS, BatchEndedTrigger

if TYPE_CHECKING:
    from collections.abc import Sequence

    from airflow.sdk import Context

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

    def execute(self, context: Context) -> int:  # noqa: ARG002, RET503  Airflow gives it; defer() never returns
        """Defer until the batch has ended; return its id at once when the ledger knows that it has."""
        from backcast.orchestration import clients
        from backcast.services.waiting import awaited_batch
        from backcast.settings import poll_interval_seconds

        awaited = awaited_batch(clients.ledger(), int(self.batch_id))
        if awaited.ended:
            return awaited.batch_id
        self.log.info("Batch %s is %s at the API.", awaited.batch_id, awaited.api_batch_id)
        self.defer(
            trigger=BatchEndedTrigger(
                conn_id=clients.API_CONNECTION,
                api_batch_id=awaited.api_batch_id,
                poll_interval=poll_interval_seconds(),
                wait_until=(awaited.submitted_at + LONGEST_WAIT).isoformat(),
            ),
            method_name="execute_complete",
        )

    def execute_complete(self, context: Context, event: dict[str, Any] | None = None) -> int:  # noqa: ARG002  as above
        """Return the batch's id, or fail and say what to do."""
        status = (event or {}).get("status")
        if status == "ended":
            return int(self.batch_id)
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

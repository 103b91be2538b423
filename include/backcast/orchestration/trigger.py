"""Waits for a batch in the triggerer, where a wait costs no worker slot."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, cast

from airflow.triggers.base import BaseTrigger, TriggerEvent

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from backcast.anthropic_api.polling import AsyncClient

# The API may answer 404 for a batch that it has: shortly after its create, and once again in mid-life. Only a batch
# that stays away for longer is gone.
GONE_AFTER: Final = timedelta(minutes=15)

EVENTS: Final = frozenset({"ended", "look", "overdue", "gone"})


class BatchEndedTrigger(BaseTrigger):
    """Looks at a batch until it has ended, and emits exactly one event: `ended`, `look`, `overdue` or `gone`.

    Clearing or failing the task, or marking its run failed, must not cancel a batch that is paid for: `on_kill` only
    says that it goes on. Cancelling is an act of its own.

    Args:
        conn_id: the Anthropic connection.
        api_batch_id: the batch's id at the API.
        poll_interval: seconds between two looks.
        wait_until: ISO 8601 time, in wall-clock time since the trigger may move to another process.
        look_at: ISO 8601 time at which the sensor must look at the run's cut-offs; None: there are none.
    """

    def __init__(
        self, conn_id: str, api_batch_id: str, poll_interval: float, wait_until: str, look_at: str | None = None
    ) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Airflow gives it no types
        self.conn_id = conn_id
        self.api_batch_id = api_batch_id
        self.poll_interval = poll_interval
        self.wait_until = wait_until
        self.look_at = look_at

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Return the class and the arguments that another triggerer needs to go on."""
        return (
            f"{type(self).__module__}.{type(self).__qualname__}",
            {
                "conn_id": self.conn_id,
                "api_batch_id": self.api_batch_id,
                "poll_interval": self.poll_interval,
                "wait_until": self.wait_until,
                "look_at": self.look_at,
            },
        )

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Look at the batch until one of the four events is due."""
        # Imported here, since every triggerer imports this module and the SDK costs two seconds.
        from airflow.providers.anthropic.hooks.anthropic import AnthropicHook

        from backcast.anthropic_api.polling import Look, look_at_batch

        wait_until = datetime.fromisoformat(self.wait_until)
        look_at = datetime.fromisoformat(self.look_at) if self.look_at else None
        missing_since: datetime | None = None
        client = cast("AsyncClient", await AnthropicHook(conn_id=self.conn_id).get_async_conn())
        async with client:
            while True:
                look, detail = await look_at_batch(client, self.api_batch_id)
                now = datetime.now(UTC)
                missing_since = (missing_since or now) if look is Look.NOT_FOUND else None
                if look is Look.UNREADABLE:
                    self.log.warning("Batch %s cannot be read now, will look again: %s", self.api_batch_id, detail)
                event = _event(look is Look.ENDED, now, wait_until, missing_since)
                if event is None and look_at is not None and now >= look_at:
                    event = "look"
                if event is not None:
                    payload = {"status": event, "api_batch_id": self.api_batch_id, "detail": detail}
                    yield TriggerEvent(payload)  # type: ignore[no-untyped-call]  # as above
                    return
                await asyncio.sleep(_seconds_to_next_look(self.poll_interval, now, look_at))

    async def on_kill(self) -> None:
        """Say that the batch goes on; Airflow calls this only when a person cleared or marked the waiting task."""
        self.log.warning(
            "The wait was ended by hand, the batch was not: %s is left alone at the API, and what it answers is paid "
            "for and kept. To cancel it: backcast cancel %s",
            self.api_batch_id,
            self.api_batch_id,
        )


def _seconds_to_next_look(poll_interval: float, now: datetime, look_at: datetime | None) -> float:
    return poll_interval if look_at is None else min(poll_interval, max(0.0, (look_at - now).total_seconds()))


def _event(ended: bool, now: datetime, wait_until: datetime, missing_since: datetime | None) -> str | None:  # noqa: FBT001
    if ended:
        return "ended"
    if missing_since is not None and now - missing_since >= GONE_AFTER:
        return "gone"
    return "overdue" if now >= wait_until else None

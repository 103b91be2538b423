"""Says when a conversation about a finding may begin, and writes it down with the most that it may cost."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Final

from backcast.domain.rescue import last_call_at
from backcast.ledger.connection import Connection, Row, sql
from backcast.ledger.runs import rescue_terms_of

if TYPE_CHECKING:
    from datetime import datetime

    from backcast.anthropic_api.batches import MessageBatchesApi
    from backcast.domain.audit import Candidate, CheckTerms
    from backcast.domain.workflow import PromptVersion
    from backcast.services.calls import Pause
    from backcast.services.open_run import Clock

# Of what a run may spend on checks, one may take such a part, so that a process that dies risks little of it; but no
# less than it needs at least.
_PARTS: Final = 8
# What one conversation is reckoned to ask of the API, where rescues have their share of it by the minute.
_USUAL_TURNS: Final = 4
_USUAL_TOKENS: Final = 8_000
_YIELD_SECONDS: Final = 5.0


def last_begin(run: Row) -> datetime:
    """Return the last moment at which a conversation is begun for a run."""
    return last_call_at(run["opened_at"], run["deadline"], rescue_terms_of(run).rate.longest_call)


class Admission:
    """Lets conversations of a run begin, one after the other: in time, behind rescues, and within all budgets.

    Attributes:
        waits: whether it was `stop_at`, and nothing of the run's, that let no more begin.
    """

    def __init__(  # noqa: PLR0913, PLR0917  what a service is given, once
        self,
        connection: Connection,
        api: MessageBatchesApi,
        clock: Clock,
        run: Row,
        terms: CheckTerms,
        pause: Pause,
        stop_at: datetime | None,
    ) -> None:
        self._connection, self._api, self._clock, self._run = connection, api, clock, run
        self._terms, self._pause, self._stop_at = terms, pause, stop_at
        self._key = {"run_id": run["run_id"]}
        self.waits = False

    async def not_now(self) -> str:
        """Wait until the API may be asked about one more finding; says why it may not be any more.

        Rescues that are due no later go first: they keep a promise, and a check does not.
        """
        last, at = last_begin(self._run), self._clock()
        workspace, rate = self._api.workspace, rescue_terms_of(self._run).rate
        key = {**self._key, "key_fingerprint": workspace["key_fingerprint"]}
        reserved = False
        while True:
            now = self._clock()
            if max(now, at) > last:
                return f"no time: the report is due at {self._run['deadline']:%Y-%m-%d %H:%M} UTC"
            if self._stop_at is not None and max(now, at) > self._stop_at:
                self.waits = True
                return "no time yet"
            if at > now:
                await self._pause((at - now).total_seconds())
            elif self._connection.execute(sql("goes_before"), {**key, "now": now}).fetchone():
                await self._pause(_YIELD_SECONDS)
            elif reserved:
                return ""
            else:
                share = {
                    "a_request": timedelta(minutes=_USUAL_TURNS / rate.requests_per_minute),
                    "the_tokens": timedelta(minutes=_USUAL_TOKENS / rate.tokens_per_minute),
                }
                row = self._connection.execute(sql("reserve_capacity"), {**workspace, **share, "now": now}).fetchone()
                at, reserved = (row or {"at": now})["at"], True

    def write(self, one: Candidate, prompt: PromptVersion, least: Decimal) -> Row | str:
        """Write a conversation down with the most that it may cost, or say why it may not be begun."""
        with self._connection.transaction():
            self._connection.execute(sql("lock_budget"), {"workflow": self._run["workflow"]})
            left, told = self._left_usd()
            if left < least:
                return (
                    f"budget: of the {told} US$ {max(left, Decimal(0)):.4f} are left, and it may cost US$ {least:.4f}"
                )
            most = min(left, max(self._terms.max_usd / _PARTS, least))
            values = {
                **self._key,
                "check_key": one.check_key,
                "fingerprint": one.finding.fingerprint,
                "content_hash": one.content_hash,
                "prompt_hash": prompt.prompt_hash,
                "now": self._clock(),
                "reserved_usd": most,
            }
            row = self._connection.execute(sql("begin_check"), values).fetchone()
        if row is None:
            return "the run was held or canceled meanwhile"
        return {**row, "most_usd": most}

    def _left_usd(self) -> tuple[Decimal, str]:
        """Return what is left of the tightest of the budgets, and how that one is told."""
        committed = self._connection.execute(sql("committed_money"), self._key).fetchone() or {}
        checks = self._connection.execute(sql("money_for_checks"), self._key).fetchone() or {}
        limits = [
            (self._terms.max_usd, checks["committed_usd"], "for the checks of a run"),
            (self._run["max_usd"], committed["run_usd"], "of this run"),
            (self._run["max_usd_a_month"], committed["month_usd"], "of this workflow for the month"),
        ]
        given = [(most - spent, f"US$ {most:f} {whose}") for most, spent, whose in limits if most is not None]
        return min(given, key=lambda limit: limit[0])

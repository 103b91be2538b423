"""The places at which a process may die: every boundary between what is done here and what is done elsewhere.

Tests let a process die, or the ledger go away, at each of them; nothing else listens.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class FaultPoint(StrEnum):
    """Where a process may die; the name says what was done last."""

    OPEN_BEFORE_PREFLIGHT = "open.before_preflight"
    OPEN_PREFLIGHTED = "open.preflighted"
    OPEN_COMMITTED = "open.committed"
    COLLECT_BEFORE_COMMIT = "collect.before_commit"
    COLLECT_COMMITTED = "collect.committed"
    CLAIM_BEFORE_COMMIT = "claim.before_commit"
    CLAIM_COMMITTED = "claim.committed"
    GATE_BEFORE_COMMIT = "gate.before_commit"
    GATE_OPENED = "gate.opened"
    GATE_JUDGED = "gate.judged"
    PLAN_BEFORE_COMMIT = "plan.before_commit"
    PLAN_COMMITTED = "plan.committed"
    SUBMIT_BEFORE_INTENT = "submit.before_intent"
    SUBMIT_INTENDED = "submit.intended"
    SUBMIT_SENDING = "submit.sending"
    SUBMIT_CREATED = "submit.created"
    SUBMIT_CONFIRMED = "submit.confirmed"
    SUBMIT_REFUSED = "submit.refused"
    SUBMIT_IN_DOUBT = "submit.in_doubt"
    DOUBT_LISTED = "doubt.listed"
    DOUBT_SIGHTED = "doubt.sighted"
    DOUBT_JUDGED = "doubt.judged"
    DOUBT_SETTLED = "doubt.settled"
    INGEST_BEFORE_END = "ingest.before_end"
    INGEST_ENDED = "ingest.ended"
    INGEST_ROW = "ingest.row"
    INGEST_STORED = "ingest.stored"
    INGEST_BEFORE_JUDGED = "ingest.before_judged"
    INGEST_JUDGED = "ingest.judged"
    CUT_OFF_WRITTEN = "cut_off.written"
    CUT_OFF_CANCELED = "cut_off.canceled"
    RESCUE_BEFORE_COMMIT = "rescue.before_commit"
    RESCUE_COMMITTED = "rescue.committed"
    RESCUE_CALL_WRITTEN = "rescue.call_written"
    RESCUE_CALL_ANSWERED = "rescue.call_answered"
    RESCUE_ANSWER_STORED = "rescue.answer_stored"
    RESUBMIT_BEFORE_COMMIT = "resubmit.before_commit"
    RESUBMIT_COMMITTED = "resubmit.committed"
    TESTS_RAN = "tests.ran"
    TESTS_BEFORE_COMMIT = "tests.before_commit"
    TESTS_STORED = "tests.stored"
    CHECK_CHOSEN = "check.chosen"
    CHECK_WRITTEN = "check.written"
    CHECK_ANSWERED = "check.answered"
    CHECK_STORED = "check.stored"
    CHECK_DONE = "check.done"
    PUBLISH_WRITTEN = "publish.written"
    PUBLISH_COMMITTED = "publish.committed"


_listener: Callable[[FaultPoint], None] | None = None


def reached(point: FaultPoint) -> None:
    """Tell whoever listens that this point was reached."""
    if _listener is not None:
        _listener(point)


def listen(listener: Callable[[FaultPoint], None] | None) -> None:
    """Let a test listen; None ends it."""
    global _listener  # noqa: PLW0603  one process, one listener
    _listener = listener

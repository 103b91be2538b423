"""Whether a run goes on, and what a held one may not do."""

from __future__ import annotations

from typing import TYPE_CHECKING

from backcast.domain.errors import HeldError

if TYPE_CHECKING:
    from backcast.ledger.connection import Row


def goes_on(run: Row) -> bool:
    """Whether anything is still to be asked for a run: it has collected, and was neither published nor canceled."""
    return run["state"] == "collected" and not run["dry_run"] and run["canceled_at"] is None


def require_not_held(row: Row) -> None:
    """Raise HeldError when the run of this row, a run's or a batch's, is held until a person decides."""
    run_id, reason = row["run_id"], row["held_because"]
    if reason:
        raise HeldError(
            f"Run {run_id} is held: {reason}. Nothing is sent until somebody decides: `backcast resubmit {run_id}` "
            f"lets it go on, `backcast cancel {run_id}` ends it with what it has. Then clear this task."
        )

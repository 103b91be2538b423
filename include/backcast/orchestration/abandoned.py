"""Which runs nobody works on any more: their DAG is paused, their tasks failed for good, or somebody ended them."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import TYPE_CHECKING, Any, Final

from airflow.sdk import DagRunState, get_current_context
from airflow.sdk.exceptions import AirflowRuntimeError

from backcast.ledger.connection import Ledger, sql

if TYPE_CHECKING:
    from collections.abc import Mapping

_NOT_FOUND: Final = 404
_OVER: Final = (DagRunState.FAILED, DagRunState.SUCCESS)
# In these, a task goes on without the scheduler.
_AT_WORK: Final = frozenset({"queued", "running", "deferred", "restarting", "awaiting_input"})
_MAPPED: Final = re.compile(r"\.batch\.\w+_\d+$")


class Worked(Enum):
    """Who works on a run: Airflow, nobody just now, nobody though somebody should, nobody by decision, or unknown."""

    ON = auto()
    IDLE = auto()
    ABANDONED = auto()
    LEFT = auto()
    UNKNOWN = auto()


@dataclass(slots=True)
class Survey:
    """The ledger's unfinished runs that nobody works on, by id.

    Of `idle` ones no task does anything: a moment between two tasks, or a DAG that is stale, which a task cannot see;
    the scheduler then starts nothing any more. `abandoned` ones are to be finished. `left` ones were marked failed or
    successful by hand: that is a decision, so their batches are left alone, what they answer is ingested, and nothing
    more is sent for them.
    """

    abandoned: list[int] = field(default_factory=list)
    left: list[int] = field(default_factory=list)
    idle: list[int] = field(default_factory=list)


def survey(ledger: Ledger) -> Survey:
    """Ask Airflow about each run of the ledger that is not over."""
    found = Survey()
    with ledger.connect() as connection:
        rows = connection.execute(sql("unfinished_runs")).fetchall()
    for row in rows:
        runs = {Worked.ABANDONED: found.abandoned, Worked.LEFT: found.left, Worked.IDLE: found.idle}
        runs.get(_worked(*_split(row["external_key"])), []).append(row["run_id"])
    return found


def _split(external_key: str) -> tuple[str, str]:
    dag_id, _, dag_run_id = external_key.partition("/")
    return dag_id, dag_run_id


def _worked(dag_id: str, dag_run_id: str) -> Worked:
    if not dag_run_id:
        return Worked.UNKNOWN
    instance: Any = get_current_context()["ti"]
    try:
        state = DagRunState(instance.get_dagrun_state(dag_id=dag_id, run_id=dag_run_id))
        paused = instance.get_dag(dag_id).is_paused
    except AirflowRuntimeError as error:
        if (error.error.detail or {}).get("status_code") == _NOT_FOUND:
            # The run or its DAG was deleted, or belongs to another Airflow: nobody can be asked about it.
            return Worked.UNKNOWN
        raise
    if paused and state not in _OVER:
        return Worked.ABANDONED
    states = instance.get_task_states(dag_id=dag_id, run_ids=[dag_run_id]).get(dag_run_id, {})
    if state not in _OVER:
        return Worked.ON if _AT_WORK & set(states.values()) else Worked.IDLE
    by_itself = state == DagRunState.FAILED and not ended_by_hand(states)
    return Worked.ABANDONED if by_itself else Worked.LEFT


def ended_by_hand(states: Mapping[str, str | None]) -> bool:
    """Whether somebody marked a failed run as such: what had not run is then `skipped`.

    Without that, only a batch task of a round without batches is skipped, which then has no map index, and what comes
    after a failure is `upstream_failed`. When all that had not run was already that, or only `publish` ran, nothing
    tells the one end from the other, and the run counts as failed by itself.

    Args:
        states: the state of each task of the run, by task id, with the map index at the end of a mapped one.
    """
    return states.get("publish") == "skipped" or any(
        state == "skipped" and _MAPPED.search(task) for task, state in states.items()
    )

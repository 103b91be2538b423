"""Which runs nobody works on any more: their DAG is paused, or their tasks failed for good."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from airflow.sdk import DagRunState, get_current_context
from airflow.sdk.exceptions import AirflowRuntimeError

from backcast.ledger.connection import Ledger, sql

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_NOT_FOUND: Final = 404
_OVER: Final = (DagRunState.FAILED, DagRunState.SUCCESS)
_MAPPED: Final = re.compile(r"\.batch\.\w+_\d+$")


def abandoned_runs(ledger: Ledger) -> Iterator[int]:
    """Yield the ledger's runs that are neither published nor worked on by Airflow, which is asked about each in turn.

    A run that somebody marked failed or successful is not among them: that is their decision. Its batches are left
    alone, and what they answer is still ingested.
    """
    with ledger.connect() as connection:
        rows = connection.execute(sql("unfinished_runs")).fetchall()
    for row in rows:
        if _is_abandoned(*_split(row["external_key"])):
            yield row["run_id"]


def _split(external_key: str) -> tuple[str, str]:
    dag_id, _, dag_run_id = external_key.partition("/")
    return dag_id, dag_run_id


def _is_abandoned(dag_id: str, dag_run_id: str) -> bool:
    if not dag_run_id:
        return False
    instance: Any = get_current_context()["ti"]
    try:
        state = DagRunState(instance.get_dagrun_state(dag_id=dag_id, run_id=dag_run_id))
        paused = instance.get_dag(dag_id).is_paused
    except AirflowRuntimeError as error:
        if (error.error.detail or {}).get("status_code") == _NOT_FOUND:
            # The run or its DAG was deleted, or belongs to another Airflow: nobody can be asked about it.
            return False
        raise
    if state not in _OVER:
        return bool(paused)
    states = instance.get_task_states(dag_id=dag_id, run_ids=[dag_run_id]).get(dag_run_id, {})
    return state == DagRunState.FAILED and not ended_by_hand(states)


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

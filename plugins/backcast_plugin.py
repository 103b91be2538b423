"""Tells Airflow of Backcast's timetable and deadline.

Only this file defines the plugin, and the package has no entry point for it: Airflow takes one plugin of a name.
"""

from __future__ import annotations

from typing import Any, ClassVar

from airflow.plugins_manager import AirflowPlugin

from backcast.orchestration.deadlines import BackcastDeadline
from backcast.orchestration.timetable import BackcastTimetable


class BackcastPlugin(AirflowPlugin):
    """Names what serialised DAGs may refer to."""

    name: str = "backcast"
    timetables: ClassVar[list[Any]] = [BackcastTimetable]
    deadline_references: ClassVar[list[Any]] = [BackcastDeadline]

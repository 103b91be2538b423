"""What Airflow is told of: the timetable and the deadline that serialised DAGs refer to."""

from __future__ import annotations

from importlib import metadata
from typing import Any, Final

from airflow.plugins_manager import AirflowPlugin

from backcast.orchestration.deadlines import BackcastDeadline
from backcast.orchestration.timetable import BackcastTimetable

_GROUP: Final = "airflow.plugins"
_DISTRIBUTION: Final = "backcast"


class BackcastPlugin(AirflowPlugin):
    """Names what serialised DAGs may refer to."""

    name: str = "backcast"
    timetables: list[Any] = [BackcastTimetable]  # noqa: RUF012  Airflow declares it so
    deadline_references: list[Any] = [BackcastDeadline]  # noqa: RUF012  as above


def comes_by_entry_point() -> bool:
    """Tell whether the installed package brings the plugin, so that a file in the plugins folder must not.

    Airflow takes one plugin of a name. It reads the files first, and reports the entry point after them as an error.
    """
    target = f"{BackcastPlugin.__module__}:{BackcastPlugin.__name__}"
    # Every copy of the metadata, as Airflow does: one that an older build left on the path must not hide the others.
    return any(
        point.group == _GROUP and point.value == target
        for distribution in metadata.distributions(name=_DISTRIBUTION)
        for point in distribution.entry_points
    )

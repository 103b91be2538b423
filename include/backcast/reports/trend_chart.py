"""The findings of the last weeks' audits, as a picture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from pygal import Config, StackedBar
from pygal.style import CleanStyle

from backcast.reports.refinement_chart import without_scripts
from backcast.reports.tables import SEVERITIES

if TYPE_CHECKING:
    from backcast.domain.audit import Audit

_COLOURS: Final = ("#8e0000", "#d9480f", "#f2b134", "#9aa5b1")


def draw_weeks(workflow: str, audit: Audit) -> bytes:
    """Return an SVG of the findings by week and severity; it loads nothing and holds no script.

    A week without an audit has no bar, and says so below.
    """
    chart = StackedBar(
        Config(js=[], no_prefix=True, disable_xml_declaration=True),
        title=f"{workflow}: findings by week",
        width=960,
        height=420,
        style=CleanStyle(font_family="sans-serif", background="white", colors=_COLOURS),
        explicit_size=True,
        legend_at_bottom=True,
        truncate_label=-1,
        x_label_rotation=40,
        formatter=_whole,
        no_data_text="no audit yet",
    )
    chart.x_labels = [week.week if week.run_id is not None else f"{week.week}: no audit" for week in audit.weeks]
    for severity in SEVERITIES:
        chart.add(severity, [getattr(week, severity) if week.run_id is not None else None for week in audit.weeks])
    chart.add_xml_filter(without_scripts)
    # A str, since it has no declaration of an encoding.
    return cast("str", chart.render()).encode()


def _whole(number: float) -> str:
    return f"{number:.0f}"

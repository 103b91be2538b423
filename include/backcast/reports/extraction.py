"""The report of a run that extracts rows, as Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from backcast.reports.markdown import environment

if TYPE_CHECKING:
    from backcast.domain.records import ExtractionReport

MOST_LISTED: Final = 50


def render_extraction(report: ExtractionReport) -> str:
    """What was extracted, what a person should look at, and what it cost; the rows stand beside it."""
    to_look_at = [one for one in report.documents if one.speaks_to_the_model or one.unreadable or one.unverified]
    return (
        environment()
        .get_template("extraction.md.j2")
        .render(
            report=report,
            without_rows=sum(not one.rows for one in report.documents),
            listed=to_look_at[:MOST_LISTED],
            more=len(to_look_at[MOST_LISTED:]),
            unanswered=report.unanswered[:MOST_LISTED],
            more_unanswered=len(report.unanswered[MOST_LISTED:]),
            saving=report.spend.synchronous_usd - report.spend.cost_usd,
            time_left=report.deadline - report.published_at,
        )
    )

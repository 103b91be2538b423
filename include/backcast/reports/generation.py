"""The report of a run that proposes tests, as Markdown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from backcast.reports.markdown import environment

if TYPE_CHECKING:
    from backcast.domain.generation import GenerationReport

MOST_LISTED: Final = 100


def render_generation(report: GenerationReport) -> str:
    """What is offered and how it was checked, what is not and why, and what it cost; the patch stands beside it."""
    return (
        environment()
        .get_template("generation.md.j2")
        .render(
            report=report,
            ran=sum(one.ran == "passed" for one in report.offered),
            listed=report.offered[:MOST_LISTED],
            more=len(report.offered[MOST_LISTED:]),
            not_offered=report.not_offered[:MOST_LISTED],
            more_not_offered=len(report.not_offered[MOST_LISTED:]),
            nothing=report.nothing_to_test[:MOST_LISTED],
            more_nothing=len(report.nothing_to_test[MOST_LISTED:]),
            unanswered=report.unanswered[:MOST_LISTED],
            more_unanswered=len(report.unanswered[MOST_LISTED:]),
            saving=report.spend.synchronous_usd - report.spend.cost_usd,
            time_left=report.deadline - report.published_at,
        )
    )

"""A review on disk, as Markdown, SARIF and JSON: complete, or not there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from backcast.reports.review import review_json, review_markdown
from backcast.reports.review_sarif import review_sarif
from backcast.reports.whole_folder import write_folder

if TYPE_CHECKING:
    from datetime import datetime
    from pathlib import Path

    from backcast.domain.reviews import Review

MARKDOWN: Final = "review.md"
SARIF: Final = "review.sarif"
JSON: Final = "review.json"


def write_review(review: Review, parent: Path, opened_at: datetime) -> Path:
    """Write a review into a new folder below `parent`, named by its time in UTC and its commit; returns the folder.

    Raises:
        ReportError: it cannot be written.
    """
    contents = {MARKDOWN: review_markdown(review).encode(), SARIF: review_sarif(review), JSON: review_json(review)}
    return write_folder(contents, parent, opened_at, review.commit)

"""A review on disk, as Markdown, SARIF and JSON: complete, or not there."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Final
from uuid import uuid4

from backcast.domain.errors import ReportError
from backcast.reports.review import review_json, review_markdown
from backcast.reports.review_sarif import review_sarif

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
    # Two reviews of a commit may begin in the same second.
    folder = parent / f"{opened_at:%Y-%m-%dT%H%M%SZ}-{review.commit[:12]}-{uuid4().hex[:6]}"
    temporary = folder.with_name(f".{folder.name}.tmp")
    try:
        temporary.mkdir(parents=True)
        for name, content in contents.items():
            (temporary / name).write_bytes(content)
        temporary.rename(folder)
    except OSError as error:
        raise ReportError(
            f"cannot write the review to {folder}: {error.strerror or error}; make room there, make it writable, or "
            "choose another folder by BACKCAST_REPORTS"
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder

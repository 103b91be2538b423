"""A review of a diff for people and for programs: Markdown, JSON, and annotations of GitHub Actions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import orjson

from backcast.reports.escaping import code, fenced, flat, printable, text

if TYPE_CHECKING:
    from collections.abc import Iterator

    from backcast.domain.reviews import NotReviewed, Review, ReviewFinding

_ANNOTATIONS: Final = {"critical": "error", "high": "error", "medium": "warning", "low": "notice"}


def review_json(review: Review) -> bytes:
    """Return all of a review as JSON; decimals as text."""
    return orjson.dumps(review.view(), default=str, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def review_markdown(review: Review) -> str:
    """Return a review as Markdown, in which nothing of the diff is read as markup."""
    played = " No model was asked: a simulator answered." if review.simulated else ""
    lines = [
        f"# Review of {code(review.head)} against {code(review.base)}",
        "",
        (
            f"{text(review.summary())}. {code(review.repository)} at {code(review.commit[:12])}, since "
            f"{code(review.merge_base[:12])}; {code(review.model)}, prompt {code(review.prompt)}.{played}"
        ),
        "",
    ]
    for finding in review.findings:
        lines += _told(finding)
    lines += _listed("Not answered", review.unanswered)
    lines += _listed("Left out", review.left_out)
    return "\n".join(lines).rstrip("\n") + "\n"


def _told(finding: ReviewFinding) -> Iterator[str]:
    yield from (
        f"## {text(finding.title)}",
        "",
        f"**{finding.severity}**, {text(finding.category)}: {code(_place(finding))}",
        "",
        fenced(finding.evidence),
        "",
        text(finding.why),
        "",
        text(finding.suggestion),
        "",
    )


def _listed(title: str, several: tuple[NotReviewed, ...]) -> Iterator[str]:
    if several:
        yield from (f"## {title}", "")
        yield from (f"- {code(one.where)}: {text(one.reason)}" for one in several)
        yield ""


def _place(finding: ReviewFinding) -> str:
    last = f"-{finding.line_end}" if finding.line_end != finding.line_start else ""
    return f"{finding.path}:{finding.line_start}{last}"


def review_annotations(review: Review) -> Iterator[str]:
    """Yield a command of GitHub Actions for each finding, and for what was not reviewed; a line each."""
    for finding in review.findings:
        properties = {
            "file": finding.path,
            "line": str(finding.line_start),
            "endLine": str(finding.line_end),
            "title": f"{finding.severity}: {flat(finding.title)}",
        }
        yield _command(_ANNOTATIONS[finding.severity], properties, f"{finding.why}\n{finding.suggestion}")
    for missing in review.unanswered:
        where = {"file": missing.path, **({"line": str(missing.lines[0])} if missing.lines else {})}
        yield _command("warning", {**where, "title": "not reviewed"}, missing.reason)


def _command(name: str, properties: dict[str, str], message: str) -> str:
    told = ",".join(f"{key}={_property(value)}" for key, value in properties.items())
    return f"::{name} {told}::{_data(message)}"


def _data(value: str) -> str:
    # As the runner reads it; it trims lines, so nothing else that is untrusted may begin one.
    return _shown(value).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(value: str) -> str:
    return _data(value).replace(":", "%3A").replace(",", "%2C")


def _shown(value: str) -> str:
    return "\n".join(printable(line) for line in value.replace("\r\n", "\n").split("\n"))

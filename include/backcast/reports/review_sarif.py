"""A review of a diff as SARIF 2.1.0, which code hosts and editors read."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

import orjson

from backcast.domain.findings import with_fingerprints
from backcast.reports.escaping import flat

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from backcast.domain.report import Finding
    from backcast.domain.reviews import NotReviewed, Review, ReviewFinding

_SCHEMA: Final = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_LEVELS: Final = {"critical": "error", "high": "error", "medium": "warning", "low": "note"}
_ROOT: Final = "%SRCROOT%"


def review_sarif(review: Review) -> bytes:
    """Return a review as a SARIF log with one run.

    Its categories are the rules; its fingerprints survive lines that move. What was not reviewed is a notification of
    the run, which is not successful then.
    """
    rules = sorted({finding.category for finding in review.findings})
    missing = [_notification(one, "warning") for one in review.unanswered]
    left_out = [_notification(one, "note") for one in review.left_out]
    run = {
        "tool": tool_of(rules),
        "invocations": [
            {"executionSuccessful": not missing, "toolExecutionNotifications": [*missing, *left_out]},
        ],
        "results": [result_of(finding, print_, rules) for print_, finding in _with_fingerprints(review.findings)],
        "columnKind": "unicodeCodePoints",
        "properties": {
            "model": review.model,
            "prompt": review.prompt,
            "simulated": review.simulated,
            "commit": review.commit,
            "mergeBase": review.merge_base,
        },
    }
    return sarif_log(run)


def sarif_log(run: Mapping[str, Any]) -> bytes:
    """Return a SARIF log with one run."""
    log = {"$schema": _SCHEMA, "version": "2.1.0", "runs": [run]}
    return orjson.dumps(log, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def _with_fingerprints(findings: Iterable[ReviewFinding]) -> Iterator[tuple[str, ReviewFinding]]:
    by_path: dict[str, list[ReviewFinding]] = {}
    for finding in findings:
        by_path.setdefault(finding.path, []).append(finding)
    for path, several in by_path.items():
        told = [{"evidence": one.evidence, "category": one.category} for one in several]
        for (fingerprint, _), finding in zip(with_fingerprints(path, told), several, strict=True):
            yield fingerprint, finding


def tool_of(rules: Iterable[str]) -> dict[str, Any]:
    """Return what says whose results these are, by which rules."""
    return {"driver": {"name": "backcast", **_version(), "rules": [{"id": rule} for rule in rules]}}


def result_of(finding: ReviewFinding | Finding, fingerprint: str, rules: list[str]) -> dict[str, Any]:
    """Return a finding as a result, by the rule that its category is."""
    lines = {"startLine": finding.line_start, "endLine": finding.line_end}
    told = "\n\n".join(message(part) for part in (finding.title, finding.why, finding.suggestion))
    return {
        "ruleId": finding.category,
        "ruleIndex": rules.index(finding.category),
        "level": _LEVELS[finding.severity],
        "message": {"text": told},
        "locations": [location_of(finding.path, {**lines, "snippet": {"text": finding.evidence}})],
        "partialFingerprints": {"backcast/v1": fingerprint},
        "properties": {"severity": finding.severity},
    }


def _notification(one: NotReviewed, level: str) -> dict[str, Any]:
    region = {"startLine": one.lines[0], "endLine": one.lines[1]} if one.lines else None
    text = f"{'not answered' if level == 'warning' else 'left out'}: {message(one.reason)}"
    return {"level": level, "message": {"text": text}, "locations": [location_of(one.path, region)]}


def message(text: str) -> str:
    """Return text as a message of SARIF may hold it: on one line, and no link.

    Even in plain text, `[text](target)` is one, and whoever wrote what the finding is about may want it followed.
    """
    return flat(text).replace("](", "] (")


def location_of(path: str, region: dict[str, Any] | None) -> dict[str, Any]:
    """Return a file, or a region of it, as a location."""
    place: dict[str, Any] = {"artifactLocation": {"uri": quote(path), "uriBaseId": _ROOT}}
    return {"physicalLocation": {**place, "region": region} if region else place}


def _version() -> dict[str, str]:
    try:
        return {"version": version("backcast")}
    except PackageNotFoundError:
        return {}

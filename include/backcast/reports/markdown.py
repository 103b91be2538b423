"""The report as Markdown."""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined

from backcast.reports import escaping, tables, wording

if TYPE_CHECKING:
    from collections.abc import Callable

    from backcast.domain.audit import Quotation
    from backcast.domain.report import Finding, Report

IN_FULL = 50
_EVIDENCE_LINES = 20
_LANGUAGE_HINT = re.compile(r"\.([A-Za-z0-9]{1,10})$")


def render_markdown(report: Report) -> str:
    """The report as Markdown that is pleasant both rendered and as plain text."""
    checks = report.audit.by_finding() if report.audit else {}
    gone = {fingerprint for fingerprint, check in checks.items() if check.verdict == "refuted"}
    findings = [finding for finding in report.findings if finding.fingerprint not in gone]
    return (
        environment()
        .get_template("report.md.j2")
        .render(
            report=report,
            suspicious=report.suspicious[:IN_FULL],
            audit=report.audit,
            checks=checks,
            verdicts=Counter(checks[one.fingerprint].verdict for one in report.findings if one.fingerprint in checks),
            findings=findings,
            in_full=findings[:IN_FULL],
            in_brief=findings[IN_FULL:],
            refuted=[finding for finding in report.findings if finding.fingerprint in gone],
            severities=tables.by_severity(findings),
            directories=tables.by_directory(findings),
            categories=tables.by_category(findings, report.categories),
            new=sum(finding.status == "new" for finding in findings),
            saving=report.spend.synchronous_usd - report.spend.cost_usd,
            time_left=report.deadline - report.published_at,
        )
    )


@cache
def environment() -> Environment:
    """Return where the templates of reports are; whatever they print is escaped unless a filter makes it Markdown."""
    made = Environment(
        loader=PackageLoader("backcast.reports"),
        autoescape=False,  # noqa: S701 - this is Markdown: `finalize` escapes whatever the template does not mark as its own
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        finalize=_finalize,
    )
    own: dict[str, Callable[..., str]] = {
        "code": escaping.code,
        "count": wording.count,
        "day": wording.day,
        "duration": wording.duration,
        "evidence": _evidence,
        "number": wording.number,
        "percent": wording.percent,
        "place": _place,
        "quoted_at": _quoted_at,
        "seconds": wording.seconds,
        "share": wording.share,
        "usd": wording.usd,
        "utc": wording.utc,
    }
    made.filters.update({name: _marked(function) for name, function in own.items()})
    # What another template has rendered is escaped already.
    made.filters["as_markdown"] = _Markdown
    return made


class _Markdown(str):
    """Text that is Markdown already."""

    __slots__ = ()


def _marked(function: Callable[..., str]) -> Callable[..., _Markdown]:
    return lambda *arguments: _Markdown(function(*arguments))


def _finalize(value: object) -> str:
    """Escape by default, so that a field added to the template without a thought is safe."""
    return value if isinstance(value, _Markdown) else escaping.text(value)


def _place(finding: Finding) -> str:
    return escaping.code(f"{finding.path}:{finding.line_start}-{finding.line_end}")


def _quoted_at(one: Quotation) -> str:
    return escaping.code(f"{one.path}:{one.line_start}-{one.line_end}")


def _evidence(evidence: str, path: str) -> str:
    lines = evidence.strip("\r\n").splitlines()
    if len(lines) > _EVIDENCE_LINES:
        lines = [*lines[:_EVIDENCE_LINES], f"… {len(lines) - _EVIDENCE_LINES} more lines"]
    hint = _LANGUAGE_HINT.search(path)
    return escaping.fenced("\n".join(lines), hint[1].lower() if hint else "")
